/* Prompts and batch jobs. */
#include <pictograph/auto_annotate.h>

#include "client/call.h"
#include "client/pager.h"
#include "client/wait.h"

#include "base/banned.h"

#define PROMPT "auto-annotate/sam3/"
#define BATCH "auto-annotate/batch"

static JsonWriter begin_prompt(Buffer *body, const char *dataset_name, const char *image_filename) {
    JsonWriter writer = call_body(body);
    json_field_string(&writer, "dataset_name", dataset_name);
    json_field_string(&writer, "image_filename", image_filename);
    return writer;
}

static void write_threshold(JsonWriter *writer, const char *key, double value) {
    if (value >= 0) json_field_number(writer, key, value);
}

static void write_points(JsonWriter *writer, const char *key, const double (*points)[2], size_t count) {
    if (count == 0) return;
    json_key(writer, key);
    json_begin_array(writer);
    for (size_t i = 0; i < count; i++) {
        json_begin_array(writer);
        json_number(writer, points[i][0]);
        json_number(writer, points[i][1]);
        json_end_array(writer);
    }
    json_end_array(writer);
}

PictographResult *pictograph_auto_annotate_point(PictographClient *client, const PictographPointPrompt *prompt, PictographError *error) {
    Buffer body;
    JsonWriter writer = begin_prompt(&body, prompt->dataset_name, prompt->image_filename);
    json_field_number(&writer, "x", prompt->x);
    json_field_number(&writer, "y", prompt->y);
    call_optional_string(&writer, "name", prompt->name);
    write_points(&writer, "positive_points", prompt->positive_points, prompt->positive_count);
    write_points(&writer, "negative_points", prompt->negative_points, prompt->negative_count);
    write_threshold(&writer, "score_threshold", prompt->score_threshold);
    json_end_object(&writer);
    return call(client, &(Call){.method = "POST", .path = PROMPT "point", .body = &body}, error);
}

PictographResult *pictograph_auto_annotate_box(PictographClient *client, const PictographBoxPrompt *prompt, PictographError *error) {
    Buffer body;
    JsonWriter writer = begin_prompt(&body, prompt->dataset_name, prompt->image_filename);
    json_key(&writer, "box");
    json_begin_object(&writer);
    json_field_number(&writer, "x", prompt->x);
    json_field_number(&writer, "y", prompt->y);
    json_field_number(&writer, "w", prompt->w);
    json_field_number(&writer, "h", prompt->h);
    json_end_object(&writer);
    json_field_string(&writer, "name", prompt->name);
    write_threshold(&writer, "confidence_threshold", prompt->confidence_threshold);
    json_field_bool(&writer, "return_polygon", !prompt->without_polygon);
    json_end_object(&writer);
    return call(client, &(Call){.method = "POST", .path = PROMPT "box", .body = &body}, error);
}

PictographResult *pictograph_auto_annotate_text(PictographClient *client, const PictographTextPrompt *prompt, PictographError *error) {
    Buffer body;
    JsonWriter writer = begin_prompt(&body, prompt->dataset_name, prompt->image_filename);
    json_field_string(&writer, "text_prompt", prompt->text_prompt);
    call_optional_string(&writer, "output_type", prompt->output_type);
    write_threshold(&writer, "confidence_threshold", prompt->confidence_threshold);
    if (prompt->max_detections > 0) json_field_int(&writer, "max_detections", prompt->max_detections);
    json_end_object(&writer);
    return call(client, &(Call){.method = "POST", .path = PROMPT "text", .body = &body}, error);
}

PictographResult *pictograph_auto_annotate_batch(PictographClient *client, const PictographBatch *batch, PictographError *error) {
    Buffer body;
    JsonWriter writer = call_body(&body);
    json_field_string(&writer, "dataset_name", batch->dataset_name);
    json_key(&writer, "image_filenames");
    json_begin_array(&writer);
    for (size_t i = 0; i < batch->image_count; i++) json_string(&writer, batch->image_filenames[i]);
    json_end_array(&writer);
    json_key(&writer, "classes");
    json_begin_array(&writer);
    for (size_t i = 0; i < batch->class_count; i++) {
        json_begin_object(&writer);
        json_field_string(&writer, "name", batch->classes[i].name);
        json_field_string(&writer, "output_type", batch->classes[i].type ? batch->classes[i].type : "polygon");
        json_end_object(&writer);
    }
    json_end_array(&writer);
    write_threshold(&writer, "confidence_threshold", batch->confidence_threshold);
    call_optional_string(&writer, "model_id", batch->model_id);
    if (batch->top_k > 0) json_field_int(&writer, "top_k", batch->top_k);
    json_end_object(&writer);
    return call(client, &(Call){.method = "POST", .path = BATCH, .body = &body}, error);
}

PictographResult *pictograph_auto_annotate_batch_get(PictographClient *client, const char *job_id, PictographError *error) {
    return call(client, &(Call){.method = "GET", .path = BATCH "/{}", .names = {job_id}}, error);
}

PictographResult *pictograph_auto_annotate_batch_cancel(PictographClient *client, const char *job_id, PictographError *error) {
    return call(client, &(Call){.method = "POST", .path = BATCH "/{}/cancel", .names = {job_id}}, error);
}

static PictographResult *get_by_id(PictographClient *client, const void *key, PictographError *error) {
    return pictograph_auto_annotate_batch_get(client, key, error);
}

PictographResult *pictograph_auto_annotate_batch_wait(PictographClient *client, const char *job_id, const PictographWait *wait,
                                                      PictographError *error) {
    WaitPlan plan = {.kind = "batch job", .id = job_id, .interval = 5, .timeout = 1800, .get = get_by_id, .key = job_id};
    return wait_for(client, &plan, wait, error);
}
