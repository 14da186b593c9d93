/* What the pipeline shows at its end. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "cli/output.h"
#include "cli/pipeline.h"

#include "base/banned.h"

const char *const pipeline_part_names[PART_COUNT] = {"", "train", "val", "test"};
static const char *const step_names[STEP_COUNT] = {
    [STEP_UPLOAD] = "upload",           [STEP_IMPORT] = "import labels", [STEP_EXPORT] = "export",
    [STEP_TRAIN] = "train",             [STEP_ANNOTATE] = "label the rest", [STEP_COCO] = "export COCO",
    [STEP_MODEL] = "download ONNX",     [STEP_EVALUATE] = "evaluate",
};
static const char *const step_keys[STEP_COUNT] = {"upload", "import", "export", "train", "annotate", "export_coco", "model", "evaluate"};

/* ---- tables ---- */

static const char *count_text(Arena *memory, int64_t count) {
    return count < 0 ? NULL : arena_printf(memory, "%lld", (long long)count);
}

/* Images a second; 0 where that says nothing. */
static double rate_of(const Step *step, StepId id) {
    if (step->rate > 0) return step->rate;
    return id != STEP_TRAIN && step->images > 0 && step->seconds > 0.05 ? (double)step->images / step->seconds : 0;
}

static void print_steps(const Pipeline *pipeline, FILE *out) {
    Table *table = table_new("STEP|>IMAGES|>ANNOTATIONS|>SECONDS|>IMAGES/S|");
    for (int i = 0; i < STEP_COUNT; i++) {
        const Step *step = &pipeline->steps[i];
        if (!step->done) continue;
        double rate = rate_of(step, (StepId)i);
        table_row(table, step_names[i], count_text(pipeline->memory, step->images), count_text(pipeline->memory, step->annotations),
                  arena_printf(pipeline->memory, "%.1f", step->seconds),
                  rate > 0 ? arena_printf(pipeline->memory, "%.1f", rate) : NULL, step->note);
    }
    table_print(table, out);
}

/* A figure, or "-" where there was no truth to measure on. */
static const char *figure(Arena *memory, double value) {
    return value < 0 ? NULL : arena_printf(memory, "%.3f", value);
}

static void print_quality(const Pipeline *pipeline, FILE *out) {
    Arena *memory = pipeline->memory;
    Table *table = table_new("HELD OUT|>IMAGES|CLASS|>TRUE BOXES|>mAP50|>mAP50:95");
    for (LabelsPart part = PART_VAL; part <= PART_TEST; part++) {
        const PartResult *result = &pipeline->parts[part];
        if (!result->measured) continue;
        const char *images = count_text(memory, (int64_t)result->images);
        for (size_t i = 0; i < result->evaluation.class_count; i++) {
            const EvaluationClass *class = &result->evaluation.classes[i];
            table_row(table, pipeline_part_names[part], images, pipeline->labels.report.classes[i].name, count_text(memory, (int64_t)class->truths),
                      figure(memory, class->metrics.ap50), figure(memory, class->metrics.ap));
        }
        table_row(table, pipeline_part_names[part], images, "all", count_text(memory, (int64_t)result->truth_count),
                  figure(memory, result->evaluation.overall.ap50), figure(memory, result->evaluation.overall.ap));
    }
    table_print(table, out);
}

/* ---- JSON ---- */

static void write_steps(const Pipeline *pipeline, JsonWriter *writer) {
    json_key(writer, "steps");
    json_begin_object(writer);
    for (int i = 0; i < STEP_COUNT; i++) {
        const Step *step = &pipeline->steps[i];
        if (!step->done) continue;
        json_key(writer, step_keys[i]);
        json_begin_object(writer);
        if (step->images >= 0) json_field_int(writer, "images", step->images);
        if (step->annotations >= 0) json_field_int(writer, "annotations", step->annotations);
        json_field_number(writer, "seconds", step->seconds);
        if (rate_of(step, (StepId)i) > 0) json_field_number(writer, "images_per_second", rate_of(step, (StepId)i));
        if (step->note[0]) json_field_string(writer, "note", step->note);
        json_end_object(writer);
    }
    json_end_object(writer);
}

static void write_metrics(JsonWriter *writer, const char *key, const EvaluationMetrics *metrics, size_t truths) {
    json_key(writer, key);
    json_begin_object(writer);
    json_field_int(writer, "truths", (int64_t)truths);
    if (metrics->ap50 >= 0) {
        json_field_number(writer, "mAP50", metrics->ap50);
        json_field_number(writer, "mAP", metrics->ap);
    }
    json_end_object(writer);
}

static void write_quality(const Pipeline *pipeline, JsonWriter *writer) {
    json_key(writer, "evaluation");
    json_begin_object(writer);
    for (LabelsPart part = PART_VAL; part <= PART_TEST; part++) {
        const PartResult *result = &pipeline->parts[part];
        if (!result->measured) continue;
        json_key(writer, pipeline_part_names[part]);
        json_begin_object(writer);
        json_field_int(writer, "images", (int64_t)result->images);
        write_metrics(writer, "all", &result->evaluation.overall, result->truth_count);
        json_key(writer, "classes");
        json_begin_object(writer);
        for (size_t i = 0; i < result->evaluation.class_count; i++)
            write_metrics(writer, pipeline->labels.report.classes[i].name, &result->evaluation.classes[i].metrics,
                          result->evaluation.classes[i].truths);
        json_end_object(writer);
        json_end_object(writer);
    }
    json_end_object(writer);
}

static void write_json(const Pipeline *pipeline, double total, Buffer *out) {
    JsonWriter writer;
    json_writer_init(&writer, out);
    writer.indent = 2;
    json_begin_object(&writer);
    json_field_string(&writer, "dataset_name", pipeline->name);
    json_field_string(&writer, "label_format", pipeline->labels.format);
    json_field_bool(&writer, "held_out_by_hash", pipeline->labels.split_by_hash);
    json_field_int(&writer, "labels_left_out", (int64_t)pipeline->labels.report.left_out);
    json_field_string(&writer, "run_id", pipeline->run_id);
    json_field_string(&writer, "model_id", pipeline->model_id);
    json_key(&writer, "config");
    json_raw(&writer, pipeline->config, strlen(pipeline->config));
    json_field_string(&writer, "model_path", pipeline->model_path);
    json_field_string(&writer, "contact_sheet", pipeline->sheet_path[0] ? pipeline->sheet_path : NULL);
    write_steps(pipeline, &writer);
    write_quality(pipeline, &writer);
    json_field_int(&writer, "train_seconds", pipeline->train_seconds);
    json_field_number(&writer, "total_seconds", total);
    json_end_object(&writer);
    buffer_append_byte(out, '\n');
}

/* The part that the last line speaks of: val, else test. */
static const EvaluationMetrics *headline(const Pipeline *pipeline) {
    for (LabelsPart part = PART_VAL; part <= PART_TEST; part++)
        if (pipeline->parts[part].measured && pipeline->parts[part].evaluation.overall.ap50 >= 0) return &pipeline->parts[part].evaluation.overall;
    return NULL;
}

int pipeline_report(Pipeline *pipeline) {
    double total = clock_monotonic() - pipeline->started;
    Buffer json;
    Error err = {0};
    buffer_init(&json, 1 << 24);
    write_json(pipeline, total, &json);
    const char *path = arena_printf(pipeline->memory, "%s/report.json", pipeline->output);
    Status status = file_write_atomic(path, buffer_text(&json), json.size, 0644, &err);
    if (cli_flag(pipeline->cli, "json")) {
        fputs(buffer_text(&json), stdout);
    } else {
        putchar('\n');
        print_steps(pipeline, stdout);
        putchar('\n');
        print_quality(pipeline, stdout);
        const EvaluationMetrics *metrics = headline(pipeline);
        printf("\nmAP50 %s mAP %s train %lld s total %.0f s\n", metrics ? figure(pipeline->memory, metrics->ap50) : "n/a",
               metrics ? figure(pipeline->memory, metrics->ap) : "n/a", (long long)pipeline->train_seconds, total);
    }
    buffer_clear(&json);
    return status ? cli_fail_base(&err) : CLI_OK;
}
