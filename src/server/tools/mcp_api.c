/* The Model Context Protocol over its streamable HTTP transport, without sessions: each POST is one JSON-RPC message, answered as JSON.
 * Source: modelcontextprotocol.io, specification 2025-06-18, Base Protocol and Server Features / Tools. */
#include <string.h>

#include "base/text.h"
#include "server/api/api_handlers.h"
#include "server/tools/tools.h"

#include "base/banned.h"

enum {
    RESULT_MAXIMUM = 64 << 20,
    RESPONSE_TOKENS_MAXIMUM = 25000, /* decisions.md (f); a token counts as four characters */
    /* JSON-RPC 2.0 */
    RPC_INVALID_REQUEST = -32600,
    RPC_METHOD_NOT_FOUND = -32601,
    RPC_INVALID_PARAMS = -32602,
};

/* Newest first. None of them has batches of messages. */
static const char *const VERSIONS[] = {"2025-11-25", "2025-06-18"};
enum { VERSION_COUNT = sizeof VERSIONS / sizeof VERSIONS[0] };

static const char INSTRUCTIONS[] =
    "Pictograph turns folders of images into trained vision models. Datasets hold images in virtual folders; annotations are saved whole per image; "
    "exports are what training runs on. Tools that need files of the user's machine answer with the commands to run there.\n"
    "The usual way: upload_dataset_from_folder; labels that exist already come in by the command `pictograph datasets import DATASET FOLDER` (COCO, YOLO, CVAT, Pascal VOC, LabelMe, CSV, "
    "Pictograph), others by auto_annotate_dataset or, image by image, by auto_annotate_text and save_annotations; then train_pipeline with pipeline yolox, the one that this server trains "
    "(config: model_size nano, tiny, s, m, l or x, epochs, max_seconds), get_training_status until its status is final, download_model; create_export and download_export for the labels.\n"
    "An annotation's name must be a class of its dataset. Names that auto_annotate_text, auto_annotate_point and auto_annotate_box answered with become classes when they are saved; other classes are made by PATCH "
    "/api/v1/developer/projects/{dataset} with the whole list, {\"classes\": [{\"name\": \"car\"}]}, and the same X-API-Key.\n"
    "A dataset of more images than a conversation holds is read page by page: get_dataset with include_images, images_limit 100 and images_offset 0, 100, 200 and so on.\n"
    "A failure names every wrong argument and says what is allowed: mend the call and repeat it.";

typedef struct Message {
    Request *rq;
    yyjson_val *id, *params;
    JsonWriter w; /* over the reply's body */
} Message;

/* --- frames --- */

static void begin_answer(Message *m, const char *member) {
    json_begin_object(&m->w);
    json_field_string(&m->w, "jsonrpc", "2.0");
    json_key(&m->w, "id");
    if (m->id) json_value(&m->w, m->id);
    else json_null(&m->w);
    json_key(&m->w, member);
    json_begin_object(&m->w);
}

static void end_answer(Message *m) {
    json_end_object(&m->w);
    json_end_object(&m->w);
}

static void answer_error(Message *m, int code, const char *text) {
    begin_answer(m, "error");
    json_field_int(&m->w, "code", code);
    json_field_string(&m->w, "message", text);
    end_answer(m);
}

/* --- methods --- */

static bool is_served(const char *version) {
    for (int i = 0; i < VERSION_COUNT; i++)
        if (text_equal(VERSIONS[i], version)) return true;
    return false;
}

static void initialize(Message *m) {
    const char *asked = json_get_string(m->params, "protocolVersion", NULL);
    begin_answer(m, "result");
    json_field_string(&m->w, "protocolVersion", is_served(asked) ? asked : VERSIONS[0]);
    json_key(&m->w, "capabilities");
    json_raw(&m->w, "{\"tools\":{\"listChanged\":false}}", strlen("{\"tools\":{\"listChanged\":false}}"));
    json_key(&m->w, "serverInfo");
    json_begin_object(&m->w);
    json_field_string(&m->w, "name", "pictograph");
    json_field_string(&m->w, "version", PICTOGRAPH_VERSION);
    json_end_object(&m->w);
    json_field_string(&m->w, "instructions", INSTRUCTIONS);
    end_answer(m);
}

static void ping(Message *m) {
    begin_answer(m, "result");
    end_answer(m);
}

static void write_tool(JsonWriter *w, yyjson_val *tool) {
    const char *name = json_get_string(tool, "name", "");
    json_begin_object(w);
    json_field_string(w, "name", name);
    json_field_string(w, "description", json_get_string(tool, "description", ""));
    json_key(w, "inputSchema");
    json_value(w, yyjson_obj_get(tool, "input_schema"));
    json_key(w, "annotations");
    json_begin_object(w);
    json_field_bool(w, "readOnlyHint", text_equal(json_get_string(tool, "required_role", NULL), "viewer"));
    json_field_bool(w, "destructiveHint", text_starts_with(name, "delete_") || text_equal(name, "save_annotations"));
    json_field_bool(w, "idempotentHint", json_get_bool(tool, "idempotent", false));
    json_end_object(w);
    json_end_object(w);
}

static void list_tools(Message *m) {
    yyjson_val *tool;
    size_t index, count;
    begin_answer(m, "result");
    json_key(&m->w, "tools");
    json_begin_array(&m->w);
    yyjson_arr_foreach(tools_registry(&m->rq->arena), index, count, tool) write_tool(&m->w, tool);
    json_end_array(&m->w);
    end_answer(m);
}

/* The result as text, for models, and as it is, for programs. */
static void answer_result(Message *m, const char *json, size_t size, bool failed) {
    begin_answer(m, "result");
    json_key(&m->w, "content");
    json_begin_array(&m->w);
    json_begin_object(&m->w);
    json_field_string(&m->w, "type", "text");
    json_key(&m->w, "text");
    json_string_n(&m->w, json, size);
    json_end_object(&m->w);
    json_end_array(&m->w);
    if (!failed) {
        json_key(&m->w, "structuredContent");
        json_raw(&m->w, json, size);
    }
    json_field_bool(&m->w, "isError", failed);
    end_answer(m);
}

/* The argument of a tool whose name ends so; NULL when it has none. */
static const char *argument_ending(yyjson_val *tool, const char *end) {
    yyjson_val *name, *value;
    size_t i, count;
    yyjson_obj_foreach(yyjson_obj_get(yyjson_obj_get(tool, "input_schema"), "properties"), i, count, name, value)
        if (text_ends_with(yyjson_get_str(name), end)) return yyjson_get_str(name);
    return NULL;
}

/* How many entries of the list in the result would fit; 0 when nobody knows. */
static size_t fitting_entries(const Buffer *result) {
    yyjson_doc *doc = result->failed ? NULL : json_parse(result->data, result->size, NULL);
    yyjson_val *name, *value;
    size_t i, count, entries = 0;
    yyjson_obj_foreach(doc ? yyjson_doc_get_root(doc) : NULL, i, count, name, value)
        if (yyjson_arr_size(value) > entries) entries = yyjson_arr_size(value);
    yyjson_doc_free(doc);
    return entries * RESPONSE_TOKENS_MAXIMUM * 4 / (result->size + 1) * 9 / 10;
}

static void answer_truncated(Message *m, yyjson_val *tool, const Buffer *result) {
    Arena *arena = &m->rq->arena;
    const char *limit = argument_ending(tool, "limit"), *offset = argument_ending(tool, "offset");
    size_t fitting = limit ? fitting_entries(result) : 0;
    const char *how = limit ? "narrow it down by a limit or a filter" : "it is had over HTTP, with the same key";
    if (fitting) how = arena_printf(arena, "%s: %s %zu would fit%s%s", how, limit, fitting, offset ? ", and what comes after that is had by " : "", offset ? offset : "");
    const char *text = arena_printf(arena, "{\"_truncated\":true,\"_message\":\"The result is too large for a conversation; %s.\",\"_size_chars\":%zu}", how, result->size);
    answer_result(m, text, strlen(text), false);
}

/* Wrong arguments are a failed result, not an error of the protocol: the model shall read it and mend its call. */
static void answer_wrong_arguments(Message *m, const FieldErrors *errors) {
    Buffer text;
    JsonWriter w;
    buffer_init(&text, RESULT_MAXIMUM);
    json_writer_init(&w, &text);
    json_begin_object(&w);
    json_field_string(&w, "error_code", "validation_error");
    json_field_string(&w, "message", field_errors_summary(errors));
    json_key(&w, "detail");
    field_errors_write(errors, &w);
    json_end_object(&w);
    answer_result(m, buffer_text(&text), text.size, true);
    buffer_clear(&text);
}

static void call_tool(Message *m) {
    Request *rq = m->rq;
    const char *name = json_get_string(m->params, "name", "");
    yyjson_val *tool = tools_find(tools_registry(&rq->arena), name);
    if (!tool) {
        answer_error(m, RPC_INVALID_PARAMS, text_mend_utf8(arena_printf(&rq->arena, "Unknown tool: %.100s", name)));
        return;
    }
    FieldErrors errors;
    field_errors_init(&errors, &rq->arena);
    yyjson_val *arguments = tool_arguments(yyjson_obj_get(tool, "input_schema"), yyjson_obj_get(m->params, "arguments"), &errors, &rq->arena);
    if (errors.total) {
        answer_wrong_arguments(m, &errors);
        return;
    }
    Buffer result;
    JsonWriter w;
    buffer_init(&result, RESULT_MAXIMUM);
    json_writer_init(&w, &result);
    ToolCall call = {.rq = rq, .tool = tool, .arguments = arguments, .out = &w};
    if (!tool_call_run(&call)) answer_result(m, call.failure, strlen(call.failure), true);
    else if (result.failed || result.size / 4 > RESPONSE_TOKENS_MAXIMUM) answer_truncated(m, tool, &result);
    else answer_result(m, buffer_text(&result), result.size, false);
    buffer_clear(&result);
}

static const struct {
    const char *name;
    void (*run)(Message *m);
} METHODS[] = {{"initialize", initialize}, {"ping", ping}, {"tools/list", list_tools}, {"tools/call", call_tool}};

static void answer(Message *m, const char *method) {
    for (size_t i = 0; i < sizeof METHODS / sizeof METHODS[0]; i++)
        if (text_equal(METHODS[i].name, method)) {
            METHODS[i].run(m);
            return;
        }
    answer_error(m, RPC_METHOD_NOT_FOUND, "Method not found");
}

/* A browser sends the origin of the page that asks: a page of another host must not use a key that lies in the browser. */
static bool is_foreign(const Request *rq) {
    const char *origin = request_header(rq, "Origin"), *host = request_header(rq, "Host");
    const char *name = origin ? strstr(origin, "://") : NULL;
    return origin && (!name || !text_equal(name + 3, host));
}

Status post_mcp_message(Request *rq, const PostMcpMessageInput *in) {
    Message m = {.rq = rq, .id = yyjson_obj_get(in->body->json, "id"), .params = yyjson_obj_get(in->body->json, "params")};
    const char *version = request_header(rq, "MCP-Protocol-Version");
    if (is_foreign(rq)) return request_fail(rq, STATUS_INSUFFICIENT_ROLE, "Messages of web pages are taken from this server's own only");
    if (version && !is_served(version)) return request_fail(rq, STATUS_BAD_REQUEST, "Protocol version %.40s is not served", version);
    json_writer_init(&m.w, &rq->response.body);
    rq->response.status = 200;
    if (!text_equal(in->body->jsonrpc, "2.0") || (m.id && !yyjson_is_str(m.id) && !yyjson_is_int(m.id))) answer_error(&m, RPC_INVALID_REQUEST, "Not a JSON-RPC 2.0 request");
    else if (m.id) answer(&m, in->body->method);
    else rq->response.status = 202; /* a notification: nothing is kept between messages, so there is nothing to do */
    return STATUS_OK;
}
