/* Calls of tools: a table from tools to operations. A row without a function is one request, made from the row and the arguments. */
#include "server/tools/tools.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"

#include "base/banned.h"

enum { TEXT_MAXIMUM = 16 << 20 };
/* How long a call waits for a job before it answers with the job's present state, and how often it looks. */
static const double PATIENCE_SECONDS = 25, PAUSE_SECONDS = 0.25;

/* Arguments that the target does not name go into the query of a GET and into the body of a POST. The result is the whole reply, or one member of it
 * (take), or a list with its length (list, shown as `as`), or what was deleted (the argument that names it). */
typedef struct ToolRow {
    const char *name;
    HttpMethod method;
    const char *target;
    const char *take, *list, *as, *deleted;
    ToolFunction run;
} ToolRow;

static const ToolRow ROWS[] = {
    {"upload_dataset_from_folder", .run = tool_upload_dataset_from_folder},
    {"auto_annotate_dataset", .run = tool_auto_annotate_dataset},
    {"train_pipeline", .run = tool_train_pipeline},
    {"full_pipeline", .run = tool_full_pipeline},
    {"list_datasets", HTTP_GET, .target = "/datasets/", .list = "datasets"},
    {"get_dataset", HTTP_GET, .target = "/datasets/by-name/{name}", .take = "dataset"},
    {"create_dataset", HTTP_POST, .target = "/projects/", .take = "project"},
    {"delete_dataset", HTTP_DELETE, .target = "/projects/{name}", .deleted = "name"},
    {"upload_image", .run = tool_upload_image},
    {"delete_image", HTTP_DELETE, .target = "/images/{image_uuid}", .deleted = "image_uuid"},
    {"get_annotations", HTTP_GET, .target = "/annotations/{image_uuid}", .list = "annotations"},
    {"save_annotations", HTTP_POST, .target = "/annotations/{image_uuid}"},
    {"auto_annotate_point", HTTP_POST, .target = "/auto-annotate/sam3/point"},
    {"auto_annotate_box", HTTP_POST, .target = "/auto-annotate/sam3/box"},
    {"auto_annotate_text", HTTP_POST, .target = "/auto-annotate/sam3/text"},
    {"search_by_tag", HTTP_GET, .target = "/search/by-tags", .list = "results", .as = "images"},
    {"search_by_similarity", HTTP_GET, .target = "/search/similar", .list = "results", .as = "images"},
    {"create_export", .run = tool_create_export},
    {"list_exports", HTTP_GET, .target = "/exports/", .list = "exports"},
    {"download_export", HTTP_GET, .target = "/exports/{dataset_name}/{export_name}/download", .run = tool_download},
    {"get_training_status", HTTP_GET, .target = "/training/{run_id}", .take = "training_run"},
    {"cancel_training", HTTP_POST, .target = "/training/{run_id}/cancel", .take = "training_run"},
    {"list_models", HTTP_GET, .target = "/models/", .list = "models"},
    {"download_model", HTTP_GET, .target = "/models/{model_id}/download", .run = tool_download},
    {"get_credit_balance", HTTP_GET, .target = "/credits/balance"},
    {"estimate_credit_cost", HTTP_GET, .target = "/credits/estimate"},
    {"validate_connector", HTTP_POST, .target = "/connectors/validate"},
    {"import_from_connector", .run = tool_import_from_connector},
};

static const ToolRow *row_of(const ToolCall *call) {
    const char *name = json_get_string(call->tool, "name", "");
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++)
        if (text_equal(ROWS[i].name, name)) return &ROWS[i];
    return NULL;
}

/* --- requests --- */

static char *keep(Arena *arena, Buffer *text) {
    char *copy = arena_strndup(arena, buffer_text(text), text->size);
    buffer_clear(text);
    return copy;
}

char *tool_escape(Arena *arena, const char *text) {
    Buffer out;
    buffer_init(&out, TEXT_MAXIMUM);
    buffer_append_escaped(&out, text);
    return keep(arena, &out);
}

const char *tool_argument(const ToolCall *call, const char *name) { return json_get_string(call->arguments, name, ""); }

char *tool_call_path(const ToolCall *call, const char *template) {
    Buffer out;
    buffer_init(&out, TEXT_MAXIMUM);
    while (*template) {
        size_t plain = strcspn(template, "{"), length = strcspn(template + plain, "}");
        buffer_append(&out, template, plain);
        template += plain;
        if (!*template) break;
        buffer_append_escaped(&out, tool_argument(call, arena_strndup(&call->rq->arena, template + 1, length - 1)));
        template += length + 1;
    }
    return keep(&call->rq->arena, &out);
}

static bool is_in_path(const char *target, const char *name) {
    const char *found = strstr(target, name);
    return found && found > target && found[-1] == '{' && found[strlen(name)] == '}';
}

static void add_to_query(Buffer *out, const char *name, yyjson_val *value) {
    size_t index, count;
    yyjson_val *one;
    if (yyjson_is_arr(value)) {
        yyjson_arr_foreach(value, index, count, one) add_to_query(out, name, one);
        return;
    }
    buffer_printf(out, "%s%s=", strchr(buffer_text(out), '?') ? "&" : "?", name);
    if (yyjson_is_str(value)) buffer_append_escaped(out, yyjson_get_str(value));
    else {
        JsonWriter w;
        json_writer_init(&w, out);
        json_value(&w, value);
    }
}

static char *make_target(const ToolCall *call, const ToolRow *row) {
    Buffer out;
    size_t index, count;
    yyjson_val *key, *value;
    buffer_init(&out, TEXT_MAXIMUM);
    buffer_append_text(&out, tool_call_path(call, row->target));
    if (row->method == HTTP_GET)
        yyjson_obj_foreach(call->arguments, index, count, key, value)
            if (!is_in_path(row->target, yyjson_get_str(key))) add_to_query(&out, yyjson_get_str(key), value);
    return keep(&call->rq->arena, &out);
}

static char *make_body(const ToolCall *call, const ToolRow *row) {
    Buffer out;
    JsonWriter w;
    size_t index, count;
    yyjson_val *key, *value;
    if (row->method != HTTP_POST) return NULL;
    buffer_init(&out, TEXT_MAXIMUM);
    json_writer_init(&w, &out);
    json_begin_object(&w);
    bool any = false;
    yyjson_obj_foreach(call->arguments, index, count, key, value) {
        if (is_in_path(row->target, yyjson_get_str(key))) continue;
        any = true;
        json_key(&w, yyjson_get_str(key));
        json_value(&w, value);
    }
    json_end_object(&w);
    char *text = keep(&call->rq->arena, &out);
    return any ? text : NULL;
}

bool tool_call_operation(ToolCall *call, HttpMethod method, const char *target, const char *body, yyjson_val **out) {
    NestedReply reply;
    Error err = {0};
    pipeline_nested(call->rq, method, arena_printf(&call->rq->arena, "/api/v1/developer%s", target), body, &reply);
    yyjson_doc *doc = reply.size ? json_parse_in(&call->rq->arena, reply.body, reply.size, &err) : NULL;
    if (out) *out = yyjson_doc_get_root(doc);
    if (reply.status < 300 && (doc || !reply.size)) return true;
    call->failed_status = reply.status;
    call->failure = reply.body;
    return false;
}

bool tool_call_fail(ToolCall *call, Status status, const char *format, ...) {
    Buffer out;
    JsonWriter w;
    va_list args;
    va_start(args, format);
    const char *message = arena_vprintf(&call->rq->arena, format, args);
    va_end(args);
    buffer_init(&out, TEXT_MAXIMUM);
    json_writer_init(&w, &out);
    json_begin_object(&w);
    json_field_string(&w, "error_code", status_info(status)->slug);
    json_field_string(&w, "message", message);
    json_field_string(&w, "request_id", call->rq->id);
    json_end_object(&w);
    call->failed_status = status_info(status)->http;
    call->failure = keep(&call->rq->arena, &out);
    return false;
}

static bool is_one_of(const char *text, const char *const *list) {
    for (; *list; list++)
        if (text_equal(text, *list)) return true;
    return false;
}

/* Waiting costs a handler thread, so at most half of them wait; the calls beyond answer at once with the state as it is. */
bool tool_call_wait(ToolCall *call, const char *target, const char *envelope, const char *const *going, yyjson_val **out) {
    Server *server = call->rq->server;
    bool may_wait = atomic_fetch_add(&server->waiting_tools, 1) < server->config.handler_threads / 2, good;
    double until = clock_monotonic() + PATIENCE_SECONDS;
    for (;;) {
        good = tool_call_operation(call, HTTP_GET, target, NULL, out);
        yyjson_val *job = good && envelope ? yyjson_obj_get(*out, envelope) : *out;
        if (!good || !is_one_of(json_get_string(job, "status", ""), going)) break;
        if (!may_wait || clock_monotonic() > until || !atomic_load(&server->ready)) break;
        clock_sleep(PAUSE_SECONDS);
    }
    atomic_fetch_sub(&server->waiting_tools, 1);
    return good;
}

/* --- results --- */

static void write_list(JsonWriter *out, const char *name, yyjson_val *list) {
    json_begin_object(out);
    json_key(out, name);
    json_value_without_nulls(out, list);
    json_field_int(out, "count", (int64_t)yyjson_arr_size(list));
    json_end_object(out);
}

static void write_deleted(const ToolCall *call, const char *argument) {
    json_begin_object(call->out);
    json_field_bool(call->out, "deleted", true);
    json_field_string(call->out, argument, tool_argument(call, argument));
    json_end_object(call->out);
}

/* The caller's disk is out of reach: where the bytes are, and where they were wanted. */
bool tool_download(ToolCall *call) {
    yyjson_val *reply, *key, *value;
    size_t index, count;
    if (!tool_call_operation(call, HTTP_GET, tool_call_path(call, row_of(call)->target), NULL, &reply)) return false;
    json_begin_object(call->out);
    json_field_string(call->out, "output_path", tool_argument(call, "output_path"));
    json_field_string(call->out, "next", "GET download_url, which needs no key, and write its bytes to output_path");
    yyjson_obj_foreach(reply, index, count, key, value) {
        json_key(call->out, yyjson_get_str(key));
        json_value(call->out, value);
    }
    json_end_object(call->out);
    return true;
}

bool tool_call_run(ToolCall *call) {
    const ToolRow *row = row_of(call);
    yyjson_val *reply;
    if (!row) return tool_call_fail(call, STATUS_NOT_FOUND, "Tool not found");
    if (request_require_role(call->rq, access_role_from_name(json_get_string(call->tool, "required_role", "owner"))) != STATUS_OK)
        return tool_call_fail(call, STATUS_INSUFFICIENT_ROLE, "This tool needs the %s role", json_get_string(call->tool, "required_role", "owner"));
    if (row->run) return row->run(call);
    if (!tool_call_operation(call, row->method, make_target(call, row), make_body(call, row), &reply)) return false;
    if (row->deleted) write_deleted(call, row->deleted);
    else if (row->list) write_list(call->out, row->as ? row->as : row->list, yyjson_obj_get(reply, row->list));
    else json_value_without_nulls(call->out, row->take ? yyjson_obj_get(reply, row->take) : reply);
    return true;
}
