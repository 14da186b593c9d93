/* Tools that take several operations: exports and training that are waited for, annotation of a data set, imports; and those that only the caller can do. */
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/text.h"
#include "server/tools/tools.h"

#include "base/banned.h"

enum {
    BODY_MAXIMUM = 16 << 20,
    BATCH_MAXIMUM = 10000,     /* images of one batch, limits.yaml */
    LISTED_AT_ONCE = 1000,
    TEXT_MODE_MAXIMUM = 20,    /* images that one call takes in text mode: each costs a model run per class */
};

static const char *const EXPORT_GOES_ON[] = {"pending", "processing", NULL}, *const RUN_GOES_ON[] = {"pending", "queued", "running", NULL},
                  *const BATCH_GOES_ON[] = {"pending", "running", NULL}, *const IMPORT_GOES_ON[] = {"started", "processing", NULL};

/* --- bodies --- */

typedef struct Body {
    Buffer text;
    JsonWriter w;
} Body;

static JsonWriter *body_begin(Body *body) {
    buffer_init(&body->text, BODY_MAXIMUM);
    json_writer_init(&body->w, &body->text);
    json_begin_object(&body->w);
    return &body->w;
}

static const char *body_end(Body *body, Arena *arena) {
    json_end_object(&body->w);
    const char *text = arena_strndup(arena, buffer_text(&body->text), body->text.size);
    buffer_clear(&body->text);
    return text;
}

/* The argument of that name, as `key`, when there is one. */
static void body_argument(JsonWriter *w, const ToolCall *call, const char *key, const char *argument) {
    yyjson_val *value = yyjson_obj_get(call->arguments, argument);
    if (!value) return;
    json_key(w, key);
    json_value(w, value);
}

/* --- exports and training --- */

static bool wait_for_export(ToolCall *call, const char *name, yyjson_val **out) {
    yyjson_val *reply;
    Arena *arena = &call->rq->arena;
    const char *target = arena_printf(arena, "/exports/%s/%s", tool_escape(arena, tool_argument(call, "dataset_name")), tool_escape(arena, name));
    if (!tool_call_wait(call, target, "export", EXPORT_GOES_ON, &reply)) return false;
    *out = yyjson_obj_get(reply, "export");
    return true;
}

static bool make_export(ToolCall *call, const char *name, const char *body, yyjson_val **out) {
    return tool_call_operation(call, HTTP_POST, "/exports/", body, NULL) && wait_for_export(call, name, out);
}

bool tool_create_export(ToolCall *call) {
    static const char *const ARGUMENTS[] = {"dataset_name", "name", "format", "include_images", "class_filter", "status_filter"};
    Body body;
    yyjson_val *made;
    JsonWriter *w = body_begin(&body);
    for (size_t i = 0; i < sizeof ARGUMENTS / sizeof ARGUMENTS[0]; i++) body_argument(w, call, ARGUMENTS[i], ARGUMENTS[i]);
    if (!make_export(call, tool_argument(call, "name"), body_end(&body, &call->rq->arena), &made)) return false;
    json_value_without_nulls(call->out, made);
    return true;
}

/* decisions.md 45: <pipeline>-<YYYYMMDD-HHMMSS>, UTC */
static const char *export_name(const ToolCall *call) {
    time_t now = (time_t)(clock_now_ms() / 1000);
    struct tm parts;
    char text[32];
    gmtime_r(&now, &parts);
    strftime(text, sizeof text, "%Y%m%d-%H%M%S", &parts);
    return arena_printf(&call->rq->arena, "%s-%s", tool_argument(call, "pipeline"), text);
}

/* An export that an earlier call made for this pipeline and that was not ready in its time; NULL when there is none. */
static const char *export_under_way(ToolCall *call) {
    yyjson_val *reply, *one;
    size_t index, count;
    Arena *arena = &call->rq->arena;
    const char *of_now = export_name(call), *begin = arena_printf(arena, "%s-", tool_argument(call, "pipeline"));
    const char *target = arena_printf(arena, "/exports/?dataset_name=%s", tool_escape(arena, tool_argument(call, "dataset_name")));
    if (!tool_call_operation(call, HTTP_GET, target, NULL, &reply)) return NULL;
    yyjson_arr_foreach(yyjson_obj_get(reply, "exports"), index, count, one) {
        const char *status = json_get_string(one, "status", ""), *name = json_get_string(one, "name", "");
        bool under_way = text_equal(status, "pending") || text_equal(status, "processing");
        if (under_way && text_starts_with(name, begin) && strlen(name) == strlen(of_now)) return name;
    }
    return NULL;
}

static bool begin_export(ToolCall *call, const char *name, yyjson_val **out) {
    Body body;
    JsonWriter *w = body_begin(&body);
    body_argument(w, call, "dataset_name", "dataset_name");
    json_field_string(w, "name", name);
    json_field_string(w, "format", "pictograph");
    json_field_bool(w, "include_images", true);
    json_field_string(w, "status_filter", "complete");
    return make_export(call, name, body_end(&body, &call->rq->arena), out);
}

static bool export_for_training(ToolCall *call, const char **out, bool *is_own) {
    yyjson_val *made;
    const char *name = export_under_way(call);
    if (call->failed_status) return false;
    *is_own = !name;
    bool waited = name ? wait_for_export(call, name, &made) : begin_export(call, name = export_name(call), &made);
    if (!waited) return false;
    *out = name;
    const char *status = json_get_string(made, "status", "");
    if (text_equal(status, "completed")) return true;
    if (text_equal(status, "failed")) return tool_call_fail(call, STATUS_INTERNAL_ERROR, "Export '%s' failed: %s", name, json_get_string(made, "error_message", ""));
    return tool_call_fail(call, STATUS_EXPORT_NOT_READY, "Export '%s' is still being built; call again to go on waiting for it", name);
}

static bool start_training(ToolCall *call, const char *export_, yyjson_val **out) {
    Body body;
    yyjson_val *reply;
    JsonWriter *w = body_begin(&body);
    body_argument(w, call, "dataset_name", "dataset_name");
    json_field_string(w, "export_name", export_);
    body_argument(w, call, "pipeline_type", "pipeline");
    body_argument(w, call, "gpu_type", "gpu");
    body_argument(w, call, "name", "name");
    body_argument(w, call, "config", "config");
    if (!tool_call_operation(call, HTTP_POST, "/training/", body_end(&body, &call->rq->arena), &reply)) return false;
    *out = yyjson_obj_get(reply, "training_run");
    return true;
}

/* The export that was made for a run that was refused: nobody would look for it. What the caller hears of is the refusal. */
static void discard_export(ToolCall *call, const char *name) {
    int refusal = call->failed_status;
    const char *why = call->failure;
    Arena *arena = &call->rq->arena;
    const char *target = arena_printf(arena, "/exports/%s/%s", tool_escape(arena, tool_argument(call, "dataset_name")), tool_escape(arena, name));
    tool_call_operation(call, HTTP_DELETE, target, NULL, NULL);
    call->failed_status = refusal;
    call->failure = why;
}

/* Training outlasts any patience of a call: the run is then shown as it stands, and get_training_status follows it. */
bool tool_train_pipeline(ToolCall *call) {
    yyjson_val *run, *reply = NULL;
    Arena *arena = &call->rq->arena;
    const char *name;
    bool is_own;
    if (!export_for_training(call, &name, &is_own)) return false;
    if (!start_training(call, name, &run)) {
        if (is_own && call->failed_status < 500) discard_export(call, name);
        return false;
    }
    if (json_get_bool(call->arguments, "wait", true)) {
        if (!tool_call_wait(call, arena_printf(arena, "/training/%s", json_get_string(run, "id", "")), "training_run", RUN_GOES_ON, &reply)) return false;
        run = yyjson_obj_get(reply, "training_run");
    }
    const char *model = json_get_string(run, "model_id", NULL);
    json_begin_object(call->out);
    json_key(call->out, "training_run");
    json_value_without_nulls(call->out, run);
    if (model && text_equal(json_get_string(run, "status", ""), "completed")) {
        if (!tool_call_operation(call, HTTP_GET, arena_printf(arena, "/models/%s", model), NULL, &reply)) return false;
        json_key(call->out, "model");
        json_value_without_nulls(call->out, yyjson_obj_get(reply, "model"));
    }
    json_end_object(call->out);
    return true;
}

/* --- imports --- */

bool tool_import_from_connector(ToolCall *call) {
    Body body;
    yyjson_val *started, *job;
    JsonWriter *w = body_begin(&body);
    body_argument(w, call, "provider", "provider");
    body_argument(w, call, "api_key", "api_key");
    body_argument(w, call, "datasets", "datasets");
    Arena *arena = &call->rq->arena;
    if (!tool_call_operation(call, HTTP_POST, "/connectors/import/start", body_end(&body, arena), &started)) return false;
    const char *target = arena_printf(arena, "/connectors/import/status/%s", json_get_string(started, "import_id", ""));
    if (!tool_call_wait(call, target, NULL, IMPORT_GOES_ON, &job)) return false;
    json_value_without_nulls(call->out, job);
    return true;
}

/* --- annotation of a data set --- */

typedef struct Chosen {
    const char *names[BATCH_MAXIMUM]; /* full virtual paths, which name one image each */
    const char *ids[BATCH_MAXIMUM];
    size_t count, skipped;
} Chosen;

static void choose(ToolCall *call, Chosen *chosen, yyjson_val *image, size_t most) {
    bool annotated = json_get_int(image, "annotation_count", 0) > 0;
    if (chosen->count >= most || (annotated && !json_get_bool(call->arguments, "overwrite", false))) {
        chosen->skipped++;
        return;
    }
    const char *folder = json_get_string(image, "virtual_folder_path", "/"), *name = json_get_string(image, "filename", "");
    chosen->ids[chosen->count] = json_get_string(image, "id", "");
    chosen->names[chosen->count++] = arena_printf(&call->rq->arena, "%s%s%s", folder, text_equal(folder, "/") ? "" : "/", name);
}

static bool choose_images(ToolCall *call, Chosen *chosen) {
    Arena *arena = &call->rq->arena;
    int64_t most = json_get_int(call->arguments, "max_images", BATCH_MAXIMUM);
    if (most > BATCH_MAXIMUM) most = BATCH_MAXIMUM;
    for (size_t offset = 0;;) {
        yyjson_val *reply, *image;
        size_t index, count;
        const char *target = arena_printf(arena, "/datasets/by-name/%s?include_images=true&images_limit=%d&images_offset=%zu",
                                          tool_escape(arena, tool_argument(call, "dataset_name")), LISTED_AT_ONCE, offset);
        if (!tool_call_operation(call, HTTP_GET, target, NULL, &reply)) return false;
        yyjson_val *images = yyjson_obj_get(yyjson_obj_get(reply, "dataset"), "images");
        yyjson_arr_foreach(images, index, count, image) choose(call, chosen, image, (size_t)most);
        if (count < LISTED_AT_ONCE) return true;
        offset += count;
    }
}

/* AnnotateReport of decisions.md (e), with the batch's state while it runs. */
typedef struct Report {
    const Chosen *chosen;
    int64_t processed, added;
    const char *job_id, *status, *message;
    yyjson_val *failures; /* as a batch's job lists them; NULL: none */
} Report;

static void write_report(const ToolCall *call, const Report *report) {
    JsonWriter *w = call->out;
    json_begin_object(w);
    json_field_string(w, "dataset_name", tool_argument(call, "dataset_name"));
    json_field_int(w, "images_attempted", (int64_t)report->chosen->count);
    json_field_int(w, "images_processed", report->processed);
    json_field_int(w, "images_skipped", (int64_t)report->chosen->skipped);
    json_field_int(w, "annotations_added", report->added);
    json_key(w, "failures");
    if (report->failures) json_value_without_nulls(w, report->failures);
    else json_raw(w, "[]", 2);
    if (report->job_id) json_field_string(w, "job_id", report->job_id);
    if (report->status) json_field_string(w, "status", report->status);
    if (report->message) json_field_string(w, "message", report->message);
    json_field_bool(w, "success", report->processed > 0 && yyjson_arr_size(report->failures) == 0);
    json_end_object(w);
}

static bool annotate_by_batch(ToolCall *call, const Chosen *chosen) {
    Body body;
    yyjson_val *job;
    Arena *arena = &call->rq->arena;
    JsonWriter *w = body_begin(&body);
    body_argument(w, call, "dataset_name", "dataset_name");
    json_key(w, "image_filenames");
    json_begin_array(w);
    for (size_t i = 0; i < chosen->count; i++) json_string(w, chosen->names[i]);
    json_end_array(w);
    body_argument(w, call, "classes", "classes");
    body_argument(w, call, "confidence_threshold", "confidence_threshold");
    if (!tool_call_operation(call, HTTP_POST, "/auto-annotate/batch", body_end(&body, arena), &job)) return false;
    const char *id = json_get_string(job, "job_id", "");
    if (!tool_call_wait(call, arena_printf(arena, "/auto-annotate/batch/%s", id), NULL, BATCH_GOES_ON, &job)) return false;
    write_report(call, &(Report){.chosen = chosen, .processed = json_get_int(job, "processed_images", 0), .added = json_get_int(job, "total_annotations_added", 0),
                                 .job_id = id, .status = json_get_string(job, "status", ""),
                                 .message = json_get_string(job, "error_message", NULL), .failures = yyjson_obj_get(job, "failures")});
    return true;
}

/* Appends what a prompt for one class finds in one image. */
static bool prompt(ToolCall *call, const char *image, yyjson_val *class, JsonWriter *found, int64_t *count) {
    Body body;
    yyjson_val *reply, *one;
    size_t index, size;
    JsonWriter *w = body_begin(&body);
    body_argument(w, call, "dataset_name", "dataset_name");
    json_field_string(w, "image_filename", image);
    json_field_string(w, "text_prompt", json_get_string(class, "name", ""));
    json_field_string(w, "output_type", json_get_string(class, "output_type", "polygon"));
    body_argument(w, call, "confidence_threshold", "confidence_threshold");
    if (!tool_call_operation(call, HTTP_POST, "/auto-annotate/sam3/text", body_end(&body, &call->rq->arena), &reply)) return false;
    yyjson_val *annotations = yyjson_obj_get(reply, "annotations");
    yyjson_arr_foreach(annotations, index, size, one) json_value(found, one);
    *count += (int64_t)size;
    return true;
}

/* All classes of an image in one save: a save per class would overwrite the one before. */
static bool annotate_image(ToolCall *call, const Chosen *chosen, size_t image, int64_t *added) {
    Body body;
    yyjson_val *class;
    size_t index, classes;
    int64_t count = 0;
    JsonWriter *w = body_begin(&body);
    json_key(w, "annotations");
    json_begin_array(w);
    bool good = true;
    yyjson_arr_foreach(yyjson_obj_get(call->arguments, "classes"), index, classes, class) good = good && prompt(call, chosen->names[image], class, w, &count);
    json_end_array(w);
    const char *text = body_end(&body, &call->rq->arena);
    if (!good || count == 0) return good;
    if (!tool_call_operation(call, HTTP_POST, arena_printf(&call->rq->arena, "/annotations/%s", chosen->ids[image]), text, NULL)) return false;
    *added += count;
    return true;
}

static void write_failure(JsonWriter *w, ToolCall *call, const char *image) {
    yyjson_doc *doc = json_parse_in(&call->rq->arena, call->failure, strlen(call->failure), NULL);
    json_begin_object(w);
    json_field_string(w, "image_filename", image);
    json_field_string(w, "reason", json_get_string(yyjson_doc_get_root(doc), "message", "It failed"));
    json_end_object(w);
    call->failed_status = 0;
}

/* decisions.md (e): what is refused before any image is done fails the call, later failures are entries of the report. */
static bool annotate_by_text(ToolCall *call, const Chosen *chosen) {
    Report report = {.chosen = chosen};
    Buffer failures;
    JsonWriter w;
    if (chosen->count > TEXT_MODE_MAXIMUM)
        return tool_call_fail(call, STATUS_VALIDATION_ERROR, "Text mode takes up to %d images a call and %zu are waiting: use batch mode, or max_images", TEXT_MODE_MAXIMUM, chosen->count);
    buffer_init(&failures, BODY_MAXIMUM);
    json_writer_init(&w, &failures);
    json_begin_array(&w);
    bool good = true;
    for (size_t i = 0; i < chosen->count && good; i++) {
        bool done = annotate_image(call, chosen, i, &report.added);
        report.processed += done;
        good = done || (report.processed && call->failed_status != 401);
        if (!done && good) write_failure(&w, call, chosen->names[i]);
    }
    json_end_array(&w);
    report.failures = yyjson_doc_get_root(json_parse_in(&call->rq->arena, failures.data, failures.size, NULL));
    buffer_clear(&failures);
    if (!good) return false;
    write_report(call, &report);
    return true;
}

bool tool_auto_annotate_dataset(ToolCall *call) {
    Chosen *chosen = arena_new(&call->rq->arena, Chosen);
    if (!choose_images(call, chosen)) return false;
    if (chosen->count == 0) {
        write_report(call, &(Report){.chosen = chosen});
        return true;
    }
    return text_equal(tool_argument(call, "mode"), "text") ? annotate_by_text(call, chosen) : annotate_by_batch(call, chosen);
}

/* --- what only the caller can do: it has the files --- */

static void begin_steps(ToolCall *call) {
    json_begin_object(call->out);
    json_field_string(call->out, "runs_on", "caller");
    json_field_string(call->out, "reason", "The files lie on the caller's machine, which this server cannot read. Take these steps there.");
    json_field_string(call->out, "commands", arena_printf(&call->rq->arena, "pictograph is this server's own command line, built beside it (build/bin/pictograph), not that of the Python package. "
                                                                            "It finds the server by PICTOGRAPH_BASE_URL=%s and the key by PICTOGRAPH_API_KEY.", call->rq->base_url));
    json_key(call->out, "steps");
    json_begin_array(call->out);
}

static void end_steps(ToolCall *call) {
    json_end_array(call->out);
    json_end_object(call->out);
}

/* A command of the `pictograph` command line; words ends with NULL. */
static void write_command(ToolCall *call, const char *const *words) {
    json_begin_object(call->out);
    json_key(call->out, "command");
    json_begin_array(call->out);
    for (; *words; words++) json_string(call->out, *words);
    json_end_array(call->out);
    json_end_object(call->out);
}

bool tool_upload_image(ToolCall *call) {
    begin_steps(call);
    write_command(call, (const char *const[]){"pictograph", "images", "upload", "--folder", tool_argument(call, "folder_path"), "--", tool_argument(call, "dataset_name"),
                                              tool_argument(call, "file_path"), NULL});
    end_steps(call);
    return true;
}

static void write_folder_upload(ToolCall *call, const char *workers, bool flat) {
    write_command(call, (const char *const[]){"pictograph", "datasets", "upload", "--workers", workers, flat ? "--flat" : "--", flat ? "--" : tool_argument(call, "dataset_name"),
                                              flat ? tool_argument(call, "dataset_name") : tool_argument(call, "folder"), flat ? tool_argument(call, "folder") : NULL, NULL});
}

bool tool_upload_dataset_from_folder(ToolCall *call) {
    begin_steps(call);
    write_folder_upload(call, arena_printf(&call->rq->arena, "%lld", (long long)json_get_int(call->arguments, "max_workers", 8)),
                        !json_get_bool(call->arguments, "organize_by_class", true));
    end_steps(call);
    return true;
}

static void write_tool_step(ToolCall *call, const char *tool, const char *const *arguments) {
    JsonWriter *w = call->out;
    json_begin_object(w);
    json_field_string(w, "tool", tool);
    json_key(w, "arguments");
    json_begin_object(w);
    for (; *arguments; arguments++) body_argument(w, call, *arguments, *arguments);
    json_end_object(w);
    json_end_object(w);
}

bool tool_full_pipeline(ToolCall *call) {
    begin_steps(call);
    write_folder_upload(call, "8", false);
    if (json_get_bool(call->arguments, "annotate", true)) write_tool_step(call, "auto_annotate_dataset", (const char *const[]){"dataset_name", "classes", NULL});
    if (json_get_bool(call->arguments, "train", true)) write_tool_step(call, "train_pipeline", (const char *const[]){"dataset_name", "pipeline", "gpu", NULL});
    end_steps(call);
    return true;
}
