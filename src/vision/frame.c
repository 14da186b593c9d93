#include "vision/frame.h"

#include <math.h>
#include <stdio.h>

#include "base/banned.h"

#define FILE_BYTES_MAX ((int64_t)4 << 30)

Status frame_open_part(const Manifest *manifest, ModelPart part, Runtime *runtime, const char *folder, int threads, Network **out, Error *err) {
    char path[4096];
    Error failure;
    const char *file = manifest->files[part];
    if ((size_t)snprintf(path, sizeof path, "%s/%s", folder, file) >= sizeof path) return error_set(err, STATUS_MODEL_UNAVAILABLE, "%s: the path is too long", file);
    if (network_open(runtime, path, FILE_BYTES_MAX, threads, out, &failure) == STATUS_OK) return STATUS_OK;
    return error_set(err, STATUS_MODEL_UNAVAILABLE, "%s: %s", file, failure.message);
}

Status frame_check(const Manifest *manifest, ModelPart part, const Network *network, Error *err) {
    const TensorSpec *in = &network->inputs[0];
    if (network->input_count == 1 && in->rank == 4 && network_axis_fits(in->shape[0], 1) && network_axis_fits(in->shape[1], 3) &&
        network_axis_fits(in->shape[2], manifest->height) && network_axis_fits(in->shape[3], manifest->width) && network->output_count > 0)
        return STATUS_OK;
    return error_set(err, STATUS_MODEL_UNAVAILABLE, "%s: it must have one input of the shape 1 x 3 x %d x %d (see 'input_size')", manifest->files[part],
                     manifest->height, manifest->width);
}

FrameFit frame_fit(const Manifest *m, int full_width, int full_height) {
    if (m->resize == RESIZE_STRETCH) return (FrameFit){m->width, m->height};
    double scale = raster_fit(full_width, full_height, m->width, m->height);
    return (FrameFit){(int)fmax(1, fmin(m->width, floor(full_width * scale + 0.5))), (int)fmax(1, fmin(m->height, floor(full_height * scale + 0.5)))};
}

Tensor frame_fill(const Manifest *m, FrameFit fit, const Picture *picture) {
    size_t plane = (size_t)m->width * (size_t)m->height;
    float *frame = xcalloc(3 * plane, sizeof *frame);
    Raster fitted;
    raster_resize(&fitted, &picture->raster, fit.width, fit.height);
    const unsigned char *pixel = fitted.pixels;
    for (int y = 0; y < fitted.height; y++)
        for (int x = 0; x < fitted.width; x++)
            for (size_t c = 0; c < 3; c++)
                frame[c * plane + (size_t)y * (size_t)m->width + (size_t)x] = (float)((*pixel++ - m->mean[c]) / m->std[c]);
    raster_clear(&fitted);
    return (Tensor){.data = frame, .rank = 4, .shape = {1, 3, m->height, m->width}};
}
