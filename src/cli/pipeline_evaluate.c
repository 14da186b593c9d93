/* The last step of the pipeline: the ONNX file on the held-out images, measured against the labels that only this machine has seen.
 *
 * The detections of the batch job will not do: average precision needs the doubtful ones too. So the worker that runs models for the
 * server is started here, on the downloaded file, at a low threshold.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/pipeline.h"
#include "cli/worker_child.h"
#include "evaluation/contact_sheet.h"

#include "base/banned.h"

#define LOWEST_SCORE 0.01 /* as COCO's figures are made by the authors of YOLOX */
enum { CALL_TIMEOUT = 120, PARAMS_MAXIMUM = 1 << 16, BOXES_MAXIMUM = 1 << 20 };

typedef struct Detector {
    Pipeline *pipeline;
    WorkerChild vision, media; /* media: only once an image is no JPEG */
    const char *work;          /* folder for decoded pixels */
} Detector;

static bool is_jpeg(const char *path) {
    const char *extension = file_extension(path);
    return text_equal_ignoring_case(extension, ".jpg") || text_equal_ignoring_case(extension, ".jpeg");
}

/* Raw pixels of an image that the vision worker does not read itself. */
static Status decode(Detector *detector, const char *path, const char *pixels, Error *err) {
    if (detector->media.pid == 0) {
        Status status = worker_child_start(&detector->media, "pictograph-media", detector->work, err);
        if (status) return status;
    }
    Buffer params;
    JsonWriter writer;
    yyjson_doc *reply = NULL;
    buffer_init(&params, PARAMS_MAXIMUM);
    json_writer_init(&writer, &params);
    json_begin_object(&writer);
    json_field_string(&writer, "path", path);
    json_field_string(&writer, "filename", file_base_name(path));
    json_field_string(&writer, "output", pixels);
    json_end_object(&writer);
    Status status = worker_child_call(&detector->media, "decode", &params, CALL_TIMEOUT, cli_interrupted, NULL, &reply, err);
    yyjson_doc_free(reply);
    buffer_clear(&params);
    return status;
}

static Status detect(Detector *detector, const char *path, yyjson_doc **reply, Error *err) {
    Pipeline *pipeline = detector->pipeline;
    Arena *memory = pipeline->memory;
    const char *absolute = path[0] == '/' ? path : NULL, *pixels = arena_printf(memory, "%s/pixels", detector->work);
    char *resolved = absolute ? NULL : realpath(path, NULL);
    absolute = absolute ? absolute : resolved;
    if (!absolute) return error_set(err, STATUS_NOT_FOUND, "%s: no such file", path);
    Buffer params;
    JsonWriter writer;
    buffer_init(&params, PARAMS_MAXIMUM);
    json_writer_init(&writer, &params);
    Status status = is_jpeg(absolute) ? STATUS_OK : decode(detector, absolute, pixels, err);
    if (!status) {
        json_begin_object(&writer);
        json_field_string(&writer, "image_key", absolute);
        json_field_string(&writer, "image_path", absolute);
        if (!is_jpeg(absolute)) json_field_string(&writer, "pixels_path", pixels);
        json_field_string(&writer, "model_path", pipeline->model_path);
        json_field_number(&writer, "confidence_threshold", LOWEST_SCORE);
        json_end_object(&writer);
        status = worker_child_call(&detector->vision, "detect", &params, CALL_TIMEOUT, cli_interrupted, NULL, reply, err);
    }
    buffer_clear(&params);
    free(resolved);
    return status;
}

/* ---- from answers to boxes ---- */

static void add_boxes(EvaluationBox **all, size_t *count, const EvaluationBox *boxes, size_t more) {
    if (more == 0) return;
    *all = xrealloc(*all, (*count + more) * sizeof **all);
    memcpy(*all + *count, boxes, more * sizeof **all);
    *count += more;
}

static void take_detections(Pipeline *pipeline, PartResult *part, int64_t image, yyjson_doc *reply) {
    size_t i, count;
    yyjson_val *row;
    yyjson_arr_foreach(yyjson_obj_get(yyjson_obj_get(yyjson_doc_get_root(reply), "result"), "detections"), i, count, row)
    {
        EvaluationBox box = {.image = image, .class_index = labels_class(&pipeline->labels, json_get_string(row, "name", "")),
                             .x = json_get_number(row, "x", 0), .y = json_get_number(row, "y", 0), .w = json_get_number(row, "w", 0),
                             .h = json_get_number(row, "h", 0), .score = json_get_number(row, "confidence", 0)};
        if (box.class_index >= 0) add_boxes(&part->detections, &part->detection_count, &box, 1);
    }
}

/* Runs the model on every image of the held-out parts. */
static Status detect_all(Detector *detector, size_t total, Error *err) {
    Pipeline *pipeline = detector->pipeline;
    int64_t done = 0;
    for (size_t i = 0; i < pipeline->labels.count; i++) {
        const LabelsImage *image = &pipeline->labels.images[i];
        PartResult *part = &pipeline->parts[image->part];
        if (image->part != PART_VAL && image->part != PART_TEST) continue;
        yyjson_doc *reply = NULL;
        Status status = detect(detector, image->path, &reply, err);
        if (status) return error_prefix(err, "%s", image->path);
        take_detections(pipeline, part, (int64_t)i, reply);
        yyjson_doc_free(reply);
        add_boxes(&part->truth, &part->truth_count, image->boxes, image->box_count);
        part->images++;
        progress_update(&pipeline->progress, ++done, (int64_t)total, NULL);
    }
    return STATUS_OK;
}

static Status measure(Pipeline *pipeline, Error *err) {
    for (LabelsPart part = PART_VAL; part <= PART_TEST; part++) {
        PartResult *result = &pipeline->parts[part];
        if (result->images == 0) continue;
        Status status = evaluation_run(&result->evaluation, pipeline->memory, result->truth, result->truth_count, result->detections,
                                       result->detection_count, pipeline->labels.report.class_count, err);
        if (status) return status;
        result->measured = true;
    }
    return STATUS_OK;
}

/* ---- the picture ---- */

/* Boxes of one image, which lie together. */
static const EvaluationBox *boxes_of(const EvaluationBox *boxes, size_t count, int64_t image, size_t *out_count) {
    size_t first = 0, last;
    while (first < count && boxes[first].image != image) first++;
    for (last = first; last < count && boxes[last].image == image;) last++;
    *out_count = last - first;
    return boxes + first;
}

/* Held-out images for the sheet, evenly spread. */
static size_t choose_images(const Pipeline *pipeline, size_t total, size_t *chosen) {
    size_t seen = 0, count = 0;
    for (size_t i = 0; i < pipeline->labels.count; i++) {
        const LabelsImage *image = &pipeline->labels.images[i];
        if (image->part != PART_VAL && image->part != PART_TEST) continue;
        if (count < CONTACT_SHEET_MAXIMUM && seen * CONTACT_SHEET_MAXIMUM >= count * total) chosen[count++] = i;
        seen++;
    }
    return count;
}

static Status draw_sheet(Pipeline *pipeline, size_t total, Error *err) {
    size_t chosen[CONTACT_SHEET_MAXIMUM], count = choose_images(pipeline, total, chosen);
    ContactSheetImage images[CONTACT_SHEET_MAXIMUM];
    for (size_t i = 0; i < count; i++) {
        const LabelsImage *image = &pipeline->labels.images[chosen[i]];
        const PartResult *part = &pipeline->parts[image->part];
        images[i] = (ContactSheetImage){.path = image->path, .title = image->name, .truth = image->boxes, .truth_count = image->box_count};
        images[i].detections = boxes_of(part->detections, part->detection_count, (int64_t)chosen[i], &images[i].detection_count);
    }
    const DatasetReport *report = &pipeline->labels.report;
    const char **names = arena_new_array(pipeline->memory, const char *, report->class_count + 1);
    for (size_t i = 0; i < report->class_count; i++) names[i] = report->classes[i].name;
    ContactSheetOptions options = CONTACT_SHEET_DEFAULTS;
    snprintf(pipeline->sheet_path, sizeof pipeline->sheet_path, "%s/contact-sheet.jpg", pipeline->output);
    return contact_sheet_write(pipeline->sheet_path, images, count, names, report->class_count, &options, err);
}

int pipeline_evaluate(Pipeline *pipeline) {
    size_t total = labels_count_part(&pipeline->labels, PART_VAL) + labels_count_part(&pipeline->labels, PART_TEST);
    if (total == 0) return CLI_OK;
    pipeline_begin(pipeline, "Evaluate", "images");
    char *output = realpath(pipeline->output, NULL);
    Detector detector = {.pipeline = pipeline, .work = output ? output : pipeline->output};
    snprintf(pipeline->model_path, sizeof pipeline->model_path, "%.4080s/model.onnx", detector.work);
    Error err = {0};
    Status status = worker_child_start(&detector.vision, "pictograph-vision", NULL, &err);
    if (!status) status = detect_all(&detector, total, &err);
    worker_child_stop(&detector.vision);
    worker_child_stop(&detector.media);
    remove(arena_printf(pipeline->memory, "%s/pixels", detector.work));
    if (!status) status = measure(pipeline, &err);
    if (!status) status = draw_sheet(pipeline, total, &err);
    free(output);
    if (status) return cli_fail_base(&err);
    size_t truths = pipeline->parts[PART_VAL].truth_count + pipeline->parts[PART_TEST].truth_count;
    pipeline_end(pipeline, STEP_EVALUATE, (int64_t)total, (int64_t)truths, pipeline->sheet_path);
    return CLI_OK;
}
