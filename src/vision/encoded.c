#include "vision/encoded.h"

#include <math.h>
#include <stdlib.h>

#include "base/banned.h"

Status encoded_new(Network *encoder, const Manifest *manifest, const Picture *picture, EncodedImage **out, Error *err) {
    EncodedImage *image = xcalloc(1, sizeof *image);
    image->full_width = picture->full_width;
    image->full_height = picture->full_height;
    image->fit = frame_fit(manifest, picture->full_width, picture->full_height);
    Tensor input = frame_fill(manifest, image->fit, picture);
    Status status = network_run(encoder, &input, image->features, err);
    free(input.data);
    image->feature_count = encoder->output_count;
    for (int i = 0; status == STATUS_OK && i < image->feature_count; i++) image->bytes += tensor_count(&image->features[i]) * sizeof(float);
    if (status != STATUS_OK) encoded_free(image);
    else *out = image;
    return status;
}

void encoded_free(EncodedImage *image) {
    if (!image) return;
    tensors_clear(image->features, image->feature_count);
    free(image);
}

bool encoded_fits(const Network *encoder, int feature, const TensorSpec *input) {
    const TensorSpec *output = &encoder->outputs[feature];
    bool fits = input->rank == output->rank;
    for (int axis = 0; fits && axis < input->rank; axis++)
        fits = input->shape[axis] < 0 || output->shape[axis] < 0 || input->shape[axis] == output->shape[axis];
    return fits;
}

int encoded_feature(const Network *encoder, const TensorSpec *input) {
    int feature = network_find(encoder->outputs, encoder->output_count, input->name);
    return feature >= 0 && encoded_fits(encoder, feature, input) ? feature : -1;
}

void encoded_mask_size(const EncodedImage *image, int *width, int *height) {
    double scale = fmin(1, raster_fit(image->full_width, image->full_height, ENCODED_MASK_SIDE, ENCODED_MASK_SIDE));
    *width = (int)fmax(1, floor(image->full_width * scale + 0.5));
    *height = (int)fmax(1, floor(image->full_height * scale + 0.5));
}

typedef struct Step {
    int low, high;
    float part; /* of high */
} Step;

static Step *steps_new(Arena *arena, int from, int to) {
    Step *steps = arena_new_array(arena, Step, (size_t)to);
    float scale = (float)from / (float)to;
    for (int i = 0; i < to; i++) {
        float at = fmaxf(0, ((float)i + 0.5f) * scale - 0.5f);
        int low = at < (float)(from - 1) ? (int)at : from - 1;
        steps[i] = (Step){low, low + 1 < from ? low + 1 : low, at - (float)low};
    }
    return steps;
}

float *encoded_interpolate(Arena *arena, const float *from, int stride, int width, int height, int to_width, int to_height) {
    float *out = arena_new_array(arena, float, (size_t)to_width * (size_t)to_height);
    const Step *across = steps_new(arena, width, to_width), *down = steps_new(arena, height, to_height);
    for (int y = 0; y < to_height; y++) {
        const float *a = from + (size_t)down[y].low * (size_t)stride, *b = from + (size_t)down[y].high * (size_t)stride;
        float part = down[y].part, *row = out + (size_t)y * (size_t)to_width;
        for (int x = 0; x < to_width; x++) {
            Step s = across[x];
            row[x] = (1 - part) * ((1 - s.part) * a[s.low] + s.part * a[s.high]) + part * ((1 - s.part) * b[s.low] + s.part * b[s.high]);
        }
    }
    return out;
}
