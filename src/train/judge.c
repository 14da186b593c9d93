/* See judge.h. */
#include "train/judge.h"

#include <string.h>

#include "train/detect.h"
#include "base/banned.h"

enum { BATCH = 8 };

/* A list that grows in an arena. */
typedef struct Boxes {
    EvaluationBox *items;
    size_t count, capacity;
} Boxes;

static void boxes_add(Boxes *boxes, const EvaluationBox *more, size_t count, Arena *arena) {
    if (boxes->count + count > boxes->capacity) {
        size_t capacity = 2 * boxes->capacity + count + 64;
        EvaluationBox *items = arena_new_array(arena, EvaluationBox, capacity);
        if (boxes->count) memcpy(items, boxes->items, boxes->count * sizeof *items);
        boxes->items = items;
        boxes->capacity = capacity;
    }
    if (count) memcpy(boxes->items + boxes->count, more, count * sizeof *more);
    boxes->count += count;
}

static void add_truth(Boxes *truth, const TrainImage *image, int64_t number, Arena *arena) {
    for (size_t i = 0; i < image->box_count; i++) {
        const AugmentBox *b = &image->boxes[i];
        boxes_add(truth, &(EvaluationBox){.image = number, .class_index = b->class_index, .x = (double)b->x0, .y = (double)b->y0,
                                          .w = (double)(b->x1 - b->x0), .h = (double)(b->y1 - b->y0)}, 1, arena);
    }
}

static Status judge_batch(Boxes *found, Boxes *truth, const JudgeInput *in, const TrainBatch *batch, Arena *arena, Error *err) {
    const float *raw;
    DetectOptions options = DETECT_DEFAULTS;
    size_t size = (size_t)yolox_anchor_count(in->net, in->side, in->side) * (size_t)(5 + in->net->class_count);
    Status status = trainer_predict(in->trainer, &raw, batch->images, batch->count, in->side, in->side, err);
    for (int i = 0; i < batch->count && status == STATUS_OK; i++) {
        uint32_t image = batch->image_index[i];
        EvaluationBox *boxes;
        if (!(batch->scales[i] > 0)) /* the picture does not decode */
            continue;
        size_t count = detect_boxes(&boxes, in->net, raw + (size_t)i * size, in->side, in->side, batch->scales[i], image, &options, arena);
        boxes_add(found, boxes, count, arena);
        add_truth(truth, &in->dataset->images[image], image, arena);
    }
    return status;
}

Status judge_images(Metrics *out, const JudgeInput *in, Arena *arena, Error *err) {
    TrainLoaderOptions o = TRAIN_LOADER_DEFAULTS;
    o.width = o.height = in->side;
    o.batch = BATCH;
    o.threads = 1;
    Boxes found = {0}, truth = {0};
    Arena scratch;
    arena_init(&scratch, SIZE_MAX);
    TrainLoader *loader;
    TrainBatch *batch;
    Status status = train_loader_new(&loader, in->dataset, in->cache, in->images, in->count, &o, err);
    while (status == STATUS_OK && (batch = train_loader_next(loader)) != NULL) {
        status = judge_batch(&found, &truth, in, batch, &scratch, err);
        train_batch_release(loader, batch);
        if (status == STATUS_OK && *in->stop) status = error_set(err, STATUS_CANCELLED, "Stopped");
    }
    train_loader_free(loader);
    if (status == STATUS_OK)
        status = evaluation_run(&out->evaluation, arena, truth.items, truth.count, found.items, found.count, (size_t)in->net->class_count, err);
    out->known = status == STATUS_OK;
    arena_clear(&scratch);
    return status;
}

static void write_figure(JsonWriter *w, const char *key, bool known, double value) {
    json_key(w, key);
    if (known && value >= 0) json_number(w, value);
    else json_null(w);
}

void metrics_write(JsonWriter *w, const Metrics *metrics, const TrainDataset *dataset) {
    write_figure(w, "map50", metrics->known, metrics->evaluation.overall.ap50);
    write_figure(w, "map", metrics->known, metrics->evaluation.overall.ap);
    if (!metrics->known || !dataset) return;
    json_key(w, "per_class");
    json_begin_array(w);
    for (size_t i = 0; i < metrics->evaluation.class_count; i++) {
        const EvaluationClass *c = &metrics->evaluation.classes[i];
        json_begin_object(w);
        json_field_string(w, "name", dataset->class_names[i]);
        write_figure(w, "map50", true, c->metrics.ap50);
        write_figure(w, "map", true, c->metrics.ap);
        json_field_int(w, "boxes", (int64_t)c->truths);
        json_end_object(w);
    }
    json_end_array(w);
}
