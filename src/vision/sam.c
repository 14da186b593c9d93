#include "vision/sam.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "vision/outline.h"
#include "base/banned.h"

enum { MASKS_MAX = 16, MASK_SIDE_MAX = 8192 };

/* What a decoder's input is fed with; 0 and above: that feature of the image. */
enum { FEED_POINTS = -1, FEED_LABELS = -2, FEED_MASK = -3, FEED_HAS_MASK = -4, FEED_SIZE = -5, FEED_NOTHING = -6 };

static const struct {
    const char *name;
    int feed, rank;
} PROMPT_INPUTS[] = {
    {"point_coords", FEED_POINTS, 3}, {"point_labels", FEED_LABELS, 2}, {"mask_input", FEED_MASK, 4},
    {"has_mask_input", FEED_HAS_MASK, 1}, {"orig_im_size", FEED_SIZE, 1},
};

struct SamModel {
    const Manifest *manifest;
    Network *encoder, *decoder;
    int feeds[NETWORK_ENDS_MAX]; /* of the decoder's inputs */
    int scores, masks;           /* outputs of the decoder */
    bool low_resolution;         /* masks are of the model's frame, not of orig_im_size */
};

/* ---- opening ---- */

static int feed_of(const SamModel *m, const TensorSpec *input) {
    for (size_t i = 0; i < sizeof PROMPT_INPUTS / sizeof *PROMPT_INPUTS; i++)
        if (text_equal(input->name, PROMPT_INPUTS[i].name)) return input->rank == PROMPT_INPUTS[i].rank ? PROMPT_INPUTS[i].feed : FEED_NOTHING;
    int feature = network_find(m->encoder->outputs, m->encoder->output_count, input->name);
    if (feature >= 0) return feature;
    return text_starts_with(input->name, "image_embed") && m->encoder->output_count == 1 ? 0 : FEED_NOTHING;
}

static Status bind_inputs(SamModel *m, Error *err) {
    const char *file = m->manifest->files[PART_DECODER];
    bool points = false, labels = false;
    for (int i = 0; i < m->decoder->input_count; i++) {
        const TensorSpec *input = &m->decoder->inputs[i];
        int feed = m->feeds[i] = feed_of(m, input);
        if (feed == FEED_NOTHING || (feed >= 0 && !encoded_fits(m->encoder, feed, input)))
            return error_set(err, STATUS_MODEL_UNAVAILABLE, "%s: nothing fits its input '%s': neither a prompt nor an output of %s of that name and shape", file,
                             input->name, m->manifest->files[PART_ENCODER]);
        points = points || feed == FEED_POINTS;
        labels = labels || feed == FEED_LABELS;
    }
    if (points && labels) return STATUS_OK;
    return error_set(err, STATUS_MODEL_UNAVAILABLE, "%s: it has no input '%s'", file, points ? "point_labels" : "point_coords");
}

static Status bind_outputs(SamModel *m, Error *err) {
    const Network *d = m->decoder;
    bool sized = network_find(d->inputs, d->input_count, "orig_im_size") >= 0;
    int low = network_find(d->outputs, d->output_count, "low_res_masks");
    m->scores = network_find(d->outputs, d->output_count, "iou_predictions");
    m->masks = low >= 0 ? low : network_find(d->outputs, d->output_count, "masks");
    m->low_resolution = low >= 0 || !sized;
    if (m->scores >= 0 && m->masks >= 0) return STATUS_OK;
    return error_set(err, STATUS_MODEL_UNAVAILABLE, "%s: it has no output '%s'", m->manifest->files[PART_DECODER],
                     m->scores < 0 ? "iou_predictions" : "low_res_masks' or 'masks");
}

Status sam_open(SamModel **out, Runtime *runtime, const Manifest *manifest, const char *folder, int threads, Error *err) {
    SamModel *m = xcalloc(1, sizeof *m);
    m->manifest = manifest;
    Status status = frame_open_part(manifest, PART_ENCODER, runtime, folder, threads, &m->encoder, err);
    if (status == STATUS_OK) status = frame_open_part(manifest, PART_DECODER, runtime, folder, threads, &m->decoder, err);
    if (status == STATUS_OK) status = frame_check(manifest, PART_ENCODER, m->encoder, err);
    if (status == STATUS_OK) status = bind_inputs(m, err);
    if (status == STATUS_OK) status = bind_outputs(m, err);
    if (status != STATUS_OK) sam_close(m);
    else *out = m;
    return status;
}

void sam_close(SamModel *model) {
    if (!model) return;
    network_close(model->encoder);
    network_close(model->decoder);
    free(model);
}

Network *sam_encoder(SamModel *model) { return model->encoder; }

/* ---- the prompt ---- */

/* Points as the decoder takes them: places in the model's frame, and what each means. */
typedef struct Prompted {
    float *places, *labels;
    size_t count;
} Prompted;

static void add_place(Prompted *p, const EncodedImage *image, double x, double y, float label) {
    p->places[2 * p->count] = (float)(x * image->fit.width / image->full_width);
    p->places[2 * p->count + 1] = (float)(y * image->fit.height / image->full_height);
    p->labels[p->count++] = label;
}

static Prompted prompted_points(const SamModel *m, const EncodedImage *image, Arena *arena, const SamPrompt *prompt) {
    enum { PADDING = -1, TOP_LEFT = 2, BOTTOM_RIGHT = 3 };
    Prompted p = {.places = arena_new_array(arena, float, 2 * (prompt->point_count + 3)), .labels = arena_new_array(arena, float, prompt->point_count + 3)};
    for (size_t i = 0; i < prompt->point_count; i++) add_place(&p, image, prompt->points[i].x, prompt->points[i].y, prompt->points[i].foreground);
    if (prompt->box) {
        add_place(&p, image, prompt->box->x, prompt->box->y, TOP_LEFT);
        add_place(&p, image, prompt->box->x + prompt->box->w, prompt->box->y + prompt->box->h, BOTTOM_RIGHT);
    }
    if (!prompt->box || m->manifest->role == MODEL_SAM2) add_place(&p, image, 0, 0, PADDING);
    return p;
}

/* Masks of a size that nobody reads need not be large. */
static void asked_size(const SamModel *m, const EncodedImage *image, float size[2]) {
    int width, height;
    encoded_mask_size(image, &width, &height);
    double scale = m->low_resolution ? fmin(1, 64.0 / fmax(width, height)) : 1;
    size[0] = (float)ceil(height * scale);
    size[1] = (float)ceil(width * scale);
}

static Tensor tensor_of(float *data, int rank, int64_t a, int64_t b, int64_t c, int64_t d) { return (Tensor){.data = data, .rank = rank, .shape = {a, b, c, d}}; }

static Tensor feed(const SamModel *m, const EncodedImage *image, Arena *arena, const Prompted *p, int i) {
    const TensorSpec *spec = &m->decoder->inputs[i];
    int64_t count = (int64_t)p->count, height = m->manifest->height / 4, width = m->manifest->width / 4;
    switch (m->feeds[i]) {
    case FEED_POINTS: return tensor_of(p->places, 3, 1, count, 2, 0);
    case FEED_LABELS: return tensor_of(p->labels, 2, 1, count, 0, 0);
    case FEED_HAS_MASK: return tensor_of(arena_new(arena, float), 1, 1, 0, 0, 0);
    case FEED_MASK:
        if (spec->shape[2] > 0 && spec->shape[2] <= MASK_SIDE_MAX) height = spec->shape[2];
        if (spec->shape[3] > 0 && spec->shape[3] <= MASK_SIDE_MAX) width = spec->shape[3];
        return tensor_of(arena_new_array(arena, float, (size_t)(height * width)), 4, 1, 1, height, width);
    case FEED_SIZE: {
        float *size = arena_new_array(arena, float, 2);
        asked_size(m, image, size);
        return tensor_of(size, 1, 2, 0, 0, 0);
    }
    default: return image->features[m->feeds[i]];
    }
}

/* ---- the masks ---- */

/* Of four masks the first is meant for prompts that leave no doubt: two clicks and more. */
static int best_mask(const float *scores, int count, size_t points) {
    int first = count == 4 && points <= 2 ? 1 : 0, best = first, last = count == 4 && points > 2 ? 1 : count;
    for (int i = first; i < last; i++)
        if (scores[i] > scores[best]) best = i;
    return best;
}

static Status check_outputs(const SamModel *m, const Tensor *scores, const Tensor *masks, int width, int height, Error *err) {
    bool good = masks->rank == 4 && masks->shape[0] == 1 && masks->shape[1] >= 1 && masks->shape[1] <= MASKS_MAX &&
                tensor_count(scores) == (size_t)masks->shape[1];
    if (m->low_resolution) good = good && masks->shape[2] >= 1 && masks->shape[2] <= MASK_SIDE_MAX && masks->shape[3] >= 1 && masks->shape[3] <= MASK_SIDE_MAX;
    else good = good && masks->shape[2] == height && masks->shape[3] == width;
    return good ? STATUS_OK : error_set(err, STATUS_MODEL_UNAVAILABLE, "%s: its masks and scores do not have the shapes that fit each other and the image",
                                        m->manifest->files[PART_DECODER]);
}

/* From the model's frame to the picture, in the two steps of the reference. */
static const float *enlarge(const SamModel *m, const EncodedImage *image, Arena *arena, const float *mask, int mask_width, int mask_height, int width, int height) {
    if (!m->low_resolution) return mask;
    if (m->manifest->resize == RESIZE_STRETCH) return encoded_interpolate(arena, mask, mask_width, mask_width, mask_height, width, height);
    const float *frame = encoded_interpolate(arena, mask, mask_width, mask_width, mask_height, m->manifest->width, m->manifest->height);
    return encoded_interpolate(arena, frame, m->manifest->width, image->fit.width, image->fit.height, width, height);
}

/* Nothing in a negative box is foreground. */
static void clear_box(Mask *mask, Box box, double scale_x, double scale_y) {
    for (uint32_t y = 0; y < mask->height; y++)
        for (uint32_t x = 0; x < mask->width; x++) {
            double fx = (x + 0.5) * scale_x, fy = (y + 0.5) * scale_y;
            if (fx >= box.x && fx < box.x + box.w && fy >= box.y && fy < box.y + box.h) mask->pixels[(size_t)y * mask->width + x] = 0;
        }
}

static Status read_answer(const SamModel *m, const EncodedImage *image, Arena *arena, const SamPrompt *prompt, size_t points, const Tensor *outputs, Segmentation *out,
                          Error *err) {
    const Tensor *scores = &outputs[m->scores], *masks = &outputs[m->masks];
    int width, height;
    encoded_mask_size(image, &width, &height);
    Status status = check_outputs(m, scores, masks, width, height, err);
    if (status != STATUS_OK) return status;
    int best = best_mask(scores->data, (int)masks->shape[1], points), mask_height = (int)masks->shape[2], mask_width = (int)masks->shape[3];
    const float *chosen = masks->data + (size_t)best * (size_t)mask_width * (size_t)mask_height;
    const float *large = enlarge(m, image, arena, chosen, mask_width, mask_height, width, height);
    size_t count = (size_t)width * (size_t)height;
    Mask mask = {.width = (uint32_t)width, .height = (uint32_t)height, .pixels = arena_alloc(arena, count)};
    for (size_t i = 0; i < count; i++) mask.pixels[i] = large[i] > 0;
    double scale_x = (double)image->full_width / width, scale_y = (double)image->full_height / height;
    for (size_t i = 0; i < prompt->without_count; i++) clear_box(&mask, prompt->without[i], scale_x, scale_y);
    outline_mask(arena, &mask, (Point){0, 0}, scale_x, scale_y, out);
    out->score = isfinite(scores->data[best]) ? fmax(0, fmin(1, scores->data[best])) : 0;
    return STATUS_OK;
}

Status sam_segment(SamModel *model, const EncodedImage *image, Arena *arena, const SamPrompt *prompt, Segmentation *out, Error *err) {
    Tensor inputs[NETWORK_ENDS_MAX], outputs[NETWORK_ENDS_MAX];
    Error failure;
    *out = (Segmentation){0};
    Prompted points = prompted_points(model, image, arena, prompt);
    for (int i = 0; i < model->decoder->input_count; i++) inputs[i] = feed(model, image, arena, &points, i);
    if (network_run(model->decoder, inputs, outputs, &failure) != STATUS_OK)
        return error_set(err, STATUS_MODEL_UNAVAILABLE, "%s: %s", model->manifest->files[PART_DECODER], failure.message);
    Status status = read_answer(model, image, arena, prompt, points.count, outputs, out, err);
    tensors_clear(outputs, model->decoder->output_count);
    return status;
}
