#include "vision/describer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "vision/vocabulary.h"
#include "worker/onnx_metadata.h"
#include "base/banned.h"

/* A word is said when its classes together have this probability: more often right than wrong. */
#define WORD_PROBABILITY 0.5
/* Broad words gather a little from many classes; one of them must stand out. */
#define BEST_CLASS_PROBABILITY 0.12
enum { THREADS = 1, SIDE_MAX = 1024 };

struct Describer {
    Model *model;
    char *path, *name;
    int side, dimensions;
};

/* ---- opening ---- */

static const struct {
    const char *key, *value;
} WANTED[] = {{ONNX_META_OUTPUT_LAYOUT, "embedding-logits"}, {ONNX_META_CHANNEL_ORDER, "RGB"}, {ONNX_META_PIXEL_RANGE, "[0, 255]"}, {"vocabulary", "imagenet-1k"}};

static Status check_metadata(Describer *d, Arena *arena, Error *err) {
    for (size_t i = 0; i < sizeof WANTED / sizeof *WANTED; i++) {
        const char *value = model_metadata(d->model, arena, WANTED[i].key);
        if (!text_equal(value, WANTED[i].value))
            return error_set(err, STATUS_MODEL_UNAVAILABLE, "The model's %s is '%s'; only '%s' is known", WANTED[i].key, value ? value : "", WANTED[i].value);
    }
    const char *name = model_metadata(d->model, arena, ONNX_META_ARCHITECTURE);
    if (!name) return error_set(err, STATUS_MODEL_UNAVAILABLE, "The model does not say its " ONNX_META_ARCHITECTURE);
    d->name = xstrdup(name);
    return STATUS_OK;
}

/* The sizes are read off the tensors, which cannot lie about them. */
static Status check_shapes(Describer *d, Error *err) {
    int64_t in[MODEL_RANK_MAX], out[MODEL_RANK_MAX];
    bool good = model_input_shape(d->model, in) == 4 && in[1] == 3 && in[2] == in[3] && in[2] >= 1 && in[2] <= SIDE_MAX &&
                model_output_shape(d->model, out) == 2 && out[1] > VOCABULARY_CLASSES && out[1] <= EMBEDDING_MAX + VOCABULARY_CLASSES;
    if (!good) return error_set(err, STATUS_MODEL_UNAVAILABLE, "The model's tensors do not have the shapes of a describing model");
    d->side = (int)in[2];
    d->dimensions = (int)out[1] - VOCABULARY_CLASSES;
    return STATUS_OK;
}

Status describer_open(Runtime *runtime, const char *path, Describer **out, Error *err) {
    Describer *d = xcalloc(1, sizeof *d);
    Arena arena;
    arena_init(&arena, 1 << 20);
    d->path = xstrdup(path);
    Status status = model_open(runtime, path, THREADS, &d->model, err);
    if (status == STATUS_OK) status = check_metadata(d, &arena, err);
    if (status == STATUS_OK) status = check_shapes(d, err);
    arena_clear(&arena);
    if (status == STATUS_OK) *out = d;
    else describer_close(d);
    return status;
}

void describer_close(Describer *describer) {
    if (!describer) return;
    model_close(describer->model);
    free(describer->path);
    free(describer->name);
    free(describer);
}

bool describer_is(const Describer *describer, const char *path) { return strcmp(describer->path, path) == 0; }

const char *describer_name(const Describer *describer) { return describer->name; }

/* ---- running ---- */

static void fill_input(const Describer *d, const Picture *picture, float *input) {
    size_t plane = (size_t)d->side * (size_t)d->side;
    Raster square;
    raster_resize(&square, &picture->raster, d->side, d->side);
    for (size_t i = 0; i < plane; i++)
        for (size_t c = 0; c < 3; c++) input[c * plane + i] = square.pixels[3 * i + c];
    raster_clear(&square);
}

static void softmax(const float *logits, float *out) {
    float most = logits[0];
    double sum = 0;
    for (int i = 1; i < VOCABULARY_CLASSES; i++) most = fmaxf(most, logits[i]);
    for (int i = 0; i < VOCABULARY_CLASSES; i++) sum += out[i] = expf(logits[i] - most);
    for (int i = 0; i < VOCABULARY_CLASSES; i++) out[i] = (float)(out[i] / sum);
}

static SureWords weigh_words(const VocabularyWord *words, const float *probabilities, bool stands_out, Arena *arena) {
    SureWords out = {0};
    while (words[out.count].word) out.count++;
    out.items = arena_new_array(arena, SureWord, out.count);
    for (size_t i = 0; i < out.count; i++) out.items[i] = (SureWord){words[i].word, stands_out ? vocabulary_probability(&words[i], probabilities) : 0};
    return out;
}

static void find_words(const float *logits, Arena *arena, Description *out) {
    float probabilities[VOCABULARY_CLASSES], best = 0;
    softmax(logits, probabilities);
    for (int i = 0; i < VOCABULARY_CLASSES; i++) best = fmaxf(best, probabilities[i]);
    out->objects = weigh_words(VOCABULARY_OBJECTS, probabilities, best >= BEST_CLASS_PROBABILITY, arena);
    out->scenes = weigh_words(VOCABULARY_SCENES, probabilities, best >= BEST_CLASS_PROBABILITY, arena);
    out->least = WORD_PROBABILITY;
}

Status describer_run(Describer *describer, Arena *arena, const Picture *picture, Description *out, Error *err) {
    const int64_t shape[4] = {1, 3, describer->side, describer->side};
    size_t floats = (size_t)(3 * shape[2] * shape[3]);
    ModelOutput output;
    *out = (Description){0};
    float *input = xmalloc(floats * sizeof *input);
    fill_input(describer, picture, input);
    Status status = model_run(describer->model, input, floats, shape, 4, &output, err);
    free(input);
    if (status != STATUS_OK) return status;
    if (output.rank != 2 || output.shape[0] != 1 || output.shape[1] != describer->dimensions + VOCABULARY_CLASSES)
        status = error_set(err, STATUS_MODEL_UNAVAILABLE, "The model's output does not have the shape that it says");
    if (status == STATUS_OK) status = description_embed(output.data, describer->dimensions, arena, out, err);
    if (status == STATUS_OK) find_words(output.data + describer->dimensions, arena, out);
    model_output_clear(describer->model, &output);
    if (status == STATUS_OK) out->attribute_count = attributes_measure(picture, out->attributes);
    return status;
}
