/* onnx_tool SIZE CLASSES HEIGHT WIDTH FOLDER: exports a network with made-up weights and runs it in the trainer. A program of the tests.
 *
 * FOLDER gets model.onnx, images.u8 (2 × HEIGHT × WIDTH × 3, BGR) and output.f32 (2 × anchors × (5 + CLASSES), decoded), which the
 * test compares with what ONNX Runtime makes of the same images. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/text.h"
#include "train/model.h"
#include "train/onnx_yolox.h"
#include "train/random.h"

#include "base/banned.h"

enum { IMAGES = 2 };

/* Weights as training starts from, but with a normalisation that does something and predictions that are not all alike. */
static float *made_up_weights(const Yolox *net) {
    static const double ranges[][2] = {[YOLOX_NORM_SCALE] = {0.7, 1.5}, [YOLOX_NORM_SHIFT] = {-0.3, 0.3}, [YOLOX_NORM_MEAN] = {-0.3, 0.3},
                                       [YOLOX_NORM_VARIANCE] = {0.3, 1.2}, [YOLOX_BIAS] = {-1, 1}};
    float *weights = xcalloc(net->size, sizeof *weights);
    yolox_initialize(net, 3, weights);
    Random random = random_start(5, 0);
    for (int i = 0; i < net->tensor_count; i++) {
        const YoloxTensor *t = &net->tensors[i];
        for (size_t k = 0; k < t->elements && t->kind != YOLOX_WEIGHT; k++)
            weights[t->offset + k] = (float)random_between(&random, ranges[t->kind][0], ranges[t->kind][1]);
    }
    return weights;
}

static uint8_t *made_up_images(size_t size) {
    uint8_t *images = xmalloc(size);
    Random random = random_start(6, 0);
    for (size_t i = 0; i < size; i++) images[i] = (uint8_t)random_below(&random, 256);
    return images;
}

/* From the raw outputs to boxes in pixels and probabilities, level by level. */
static void decode(float *out, const float *raw, const Yolox *net, int height, int width) {
    int numbers = 5 + net->class_count;
    for (int level = 0; level < YOLOX_LEVELS; level++) {
        int stride = net->heads[level].stride;
        for (int y = 0; y < height / stride; y++)
            for (int x = 0; x < width / stride; x++, raw += numbers, out += numbers) {
                out[0] = (raw[0] + (float)x) * (float)stride;
                out[1] = (raw[1] + (float)y) * (float)stride;
                out[2] = expf(raw[2]) * (float)stride;
                out[3] = expf(raw[3]) * (float)stride;
                for (int i = 4; i < numbers; i++) out[i] = 1 / (1 + expf(-raw[i]));
            }
    }
}

static Status run(const Yolox *net, int height, int width, const char *folder, Error *err) {
    Arena arena;
    arena_init(&arena, 16 << 20);
    const char **names = arena_new_array(&arena, const char *, (size_t)net->class_count);
    for (int i = 0; i < net->class_count; i++) names[i] = arena_printf(&arena, "class \"%d\" é", i);
    float *weights = made_up_weights(net);
    size_t image_size = (size_t)IMAGES * (size_t)height * (size_t)width * 3;
    size_t row = (size_t)yolox_anchor_count(net, height, width) * (size_t)(5 + net->class_count);
    uint8_t *images = made_up_images(image_size);
    float *output = xcalloc(IMAGES * row, sizeof *output);
    Model *model = NULL;
    ModelOptions options = {.threads = 1};
    Status status = onnx_yolox_write(arena_printf(&arena, "%s/model.onnx", folder), net, weights, height, width, names, err);
    if (!status) status = model_new(&model, net, weights, &options, err);
    if (!status) status = model_forward(model, images, IMAGES, height, width, false, err);
    for (size_t i = 0; i < IMAGES && !status; i++) decode(output + i * row, model_raw(model) + i * row, net, height, width);
    if (!status) status = file_write_atomic(arena_printf(&arena, "%s/images.u8", folder), images, image_size, 0644, err);
    if (!status) status = file_write_atomic(arena_printf(&arena, "%s/output.f32", folder), output, IMAGES * row * sizeof *output, 0644, err);
    model_free(model);
    free(output);
    free(images);
    free(weights);
    arena_clear(&arena);
    return status;
}

int main(int argc, char **argv) {
    YoloxSize size;
    int64_t classes, height, width;
    if (argc != 6 || !yolox_size_from_name(argv[1], &size) || !text_to_int(argv[2], &classes) || !text_to_int(argv[3], &height) ||
        !text_to_int(argv[4], &width) || classes < 1 || classes > YOLOX_MAX_CLASSES || height < 32 || width < 32 || height > 2048 ||
        width > 2048) {
        fprintf(stderr, "usage: onnx_tool SIZE CLASSES HEIGHT WIDTH FOLDER\n");
        return 2;
    }
    Yolox *net = yolox_new(size, (int)classes);
    Error err = {0};
    Status status = run(net, (int)height, (int)width, argv[5], &err);
    if (status) fprintf(stderr, "onnx_tool: %s\n", err.message);
    yolox_free(net);
    return status ? 1 : 0;
}
