/* The registry over HTTP: /tools and /tools.json, the same content, made from the contract at build time. */
#include <string.h>

#include "base/text.h"
#include "server/api/api_handlers.h"
#include "server/api/route.h"
#include "server/tools/tools.h"

#include "base/banned.h"

#define REGISTRY_VERSION "1.0.0" /* limits.yaml tools.registry_version */

yyjson_val *tools_registry(Arena *arena) {
    Error err = {0};
    return yyjson_doc_get_root(json_parse_in(arena, API_TOOLS, API_TOOLS_SIZE, &err));
}

yyjson_val *tools_find(yyjson_val *registry, const char *name) {
    size_t index, count;
    yyjson_val *tool;
    yyjson_arr_foreach(registry, index, count, tool)
        if (text_equal(json_get_string(tool, "name", NULL), name)) return tool;
    return NULL;
}

static ToolDescriptor describe(Arena *arena, yyjson_val *tool) {
    ToolDescriptor out = {
        .name = json_get_string(tool, "name", ""),
        .description = json_get_string(tool, "description", ""),
        .category = json_get_string(tool, "category", NULL),
        .input_schema = json_text(arena, yyjson_obj_get(tool, "input_schema")),
        .required_role = role_from_name(json_get_string(tool, "required_role", "viewer")),
        .credit_cost = json_get_int(tool, "credit_cost", 0),
        .idempotent = json_get_bool(tool, "idempotent", false),
    };
    return out;
}

Status get_tools(Request *rq, ToolRegistry *out) {
    yyjson_val *registry = tools_registry(&rq->arena), *tool;
    size_t index, count = yyjson_arr_size(registry);
    out->tools = (ToolDescriptorArray){arena_new_array(&rq->arena, ToolDescriptor, count), count};
    yyjson_arr_foreach(registry, index, count, tool) out->tools.items[index] = describe(&rq->arena, tool);
    out->version = REGISTRY_VERSION;
    out->count = (int64_t)count;
    out->generated_at = rq->server->started_at;
    response_etag(rq, API_TOOLS, API_TOOLS_SIZE); /* a restart changes generated_at, and nothing that a reader would want to fetch again */
    return STATUS_OK;
}

Status get_tools_json(Request *rq, ToolRegistry *out) { return get_tools(rq, out); }
