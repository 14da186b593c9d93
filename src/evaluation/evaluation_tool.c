/* evaluation_tool TRUTH.json DETECTIONS.json: reads COCO's two files and prints the metrics as JSON. A program of the tests, which compare
 * it with pycocotools; users get these figures from pictograph-train and from the command line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "evaluation/evaluation.h"

#include "base/banned.h"

enum { FILE_MAXIMUM = 1 << 30, OUTPUT_MAXIMUM = 64 << 20, ARENA_MAXIMUM = 1 << 30 };

typedef struct Boxes {
    EvaluationBox *items;
    size_t count;
} Boxes;

/* Class index of a COCO category id, -1 when there is none. Ids come in the order of the file; COCO evaluates them sorted, which no
 * figure depends on. */
static int32_t class_of(yyjson_val *categories, int64_t id) {
    size_t i, n;
    yyjson_val *category;
    yyjson_arr_foreach(categories, i, n, category)
        if (json_get_int(category, "id", -1) == id) return (int32_t)i;
    return -1;
}

static Boxes read_boxes(Arena *arena, yyjson_val *list, yyjson_val *categories) {
    Boxes out = {.items = arena_new_array(arena, EvaluationBox, yyjson_arr_size(list))};
    size_t i, n;
    yyjson_val *item;
    yyjson_arr_foreach(list, i, n, item) {
        yyjson_val *bbox = yyjson_obj_get(item, "bbox");
        int32_t class_index = class_of(categories, json_get_int(item, "category_id", -1));
        if (yyjson_arr_size(bbox) != 4 || class_index < 0) continue;
        out.items[out.count++] = (EvaluationBox){
            .image = json_get_int(item, "image_id", -1),
            .class_index = class_index,
            .iscrowd = json_get_int(item, "iscrowd", 0) != 0,
            .x = yyjson_get_num(yyjson_arr_get(bbox, 0)),
            .y = yyjson_get_num(yyjson_arr_get(bbox, 1)),
            .w = yyjson_get_num(yyjson_arr_get(bbox, 2)),
            .h = yyjson_get_num(yyjson_arr_get(bbox, 3)),
            .score = json_get_number(item, "score", 0),
            .area = json_get_number(item, "area", 0),
        };
    }
    return out;
}

static void write_metrics(JsonWriter *w, const EvaluationMetrics *m) {
    const struct {
        const char *name;
        double value;
    } fields[] = {{"ap", m->ap}, {"ap50", m->ap50}, {"ap75", m->ap75}, {"ap_small", m->ap_small}, {"ap_medium", m->ap_medium},
                  {"ap_large", m->ap_large}, {"ar1", m->ar1}, {"ar10", m->ar10}, {"ar100", m->ar100}, {"ar_small", m->ar_small},
                  {"ar_medium", m->ar_medium}, {"ar_large", m->ar_large}};
    json_begin_object(w);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) json_field_number(w, fields[i].name, fields[i].value);
    json_end_object(w);
}

static void print_evaluation(const Evaluation *evaluation, double seconds) {
    Buffer out;
    buffer_init(&out, OUTPUT_MAXIMUM);
    JsonWriter w;
    json_writer_init(&w, &out);
    json_begin_object(&w);
    json_field_number(&w, "seconds", seconds);
    json_key(&w, "overall");
    write_metrics(&w, &evaluation->overall);
    json_key(&w, "classes");
    json_begin_array(&w);
    for (size_t c = 0; c < evaluation->class_count; c++) write_metrics(&w, &evaluation->classes[c].metrics);
    json_end_array(&w);
    json_end_object(&w);
    puts(buffer_text(&out));
    buffer_clear(&out);
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: evaluation_tool TRUTH.json DETECTIONS.json\n");
        return 2;
    }
    Error err = {0};
    Arena arena;
    arena_init(&arena, ARENA_MAXIMUM);
    yyjson_doc *truth_doc = json_parse_file(argv[1], FILE_MAXIMUM, &err);
    yyjson_doc *detection_doc = truth_doc ? json_parse_file(argv[2], FILE_MAXIMUM, &err) : NULL;
    int code = 1;
    if (detection_doc) {
        yyjson_val *root = yyjson_doc_get_root(truth_doc), *categories = yyjson_obj_get(root, "categories");
        Boxes truth = read_boxes(&arena, yyjson_obj_get(root, "annotations"), categories);
        Boxes detections = read_boxes(&arena, yyjson_doc_get_root(detection_doc), categories);
        double start = clock_monotonic();
        Evaluation evaluation;
        if (!evaluation_run(&evaluation, &arena, truth.items, truth.count, detections.items, detections.count,
                            yyjson_arr_size(categories), &err)) {
            print_evaluation(&evaluation, clock_monotonic() - start);
            code = 0;
        }
    }
    if (code) fprintf(stderr, "evaluation_tool: %s\n", err.message);
    yyjson_doc_free(detection_doc);
    yyjson_doc_free(truth_doc);
    arena_clear(&arena);
    return code;
}
