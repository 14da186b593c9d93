/* Agent tools: the registry of the contract (x-tools), and what a call of one does.
 *
 * A tool is a name over operations of the contract. Its call becomes requests of those operations, run as the caller by pipeline_nested, so that
 * roles, validation, credits and logs are the ones of any other request. What needs the caller's own disk (folders, files to upload) cannot run
 * here: such a call is answered with the steps that the caller takes.
 */
#pragma once
#include <stdbool.h>

#include "base/field_errors.h"
#include "base/json.h"
#include "server/api/pipeline.h"
#include "server/api/request.h"

/* x-tools as parsed JSON, an array, in the arena. */
yyjson_val *tools_registry(Arena *arena);
/* An element of the registry; NULL when there is no tool of that name. */
yyjson_val *tools_find(yyjson_val *registry, const char *name);

/* Holds arguments (an object, or NULL for none) against a tool's input_schema and returns them completed: defaults filled in, nulls left out; in the
 * arena. What is wrong is added to errors, and the result is then of no use. Knows the keywords that x-tools uses. */
yyjson_val *tool_arguments(yyjson_val *schema, yyjson_val *arguments, FieldErrors *errors, Arena *arena);

/* One call. A step that fails leaves the failure here and returns false. */
typedef struct ToolCall {
    Request *rq;           /* the request that asks for it */
    yyjson_val *tool;      /* of the registry */
    yyjson_val *arguments; /* checked and completed */
    JsonWriter *out;       /* the result, one JSON value */
    int failed_status;     /* HTTP status of the failure; 0 while there is none */
    const char *failure;   /* JSON text: the envelope of the operation that failed */
} ToolCall;

/* Runs the tool. False: failed_status and failure say why; nothing useful was written. */
bool tool_call_run(ToolCall *call);

/* --- for workflows --- */

/* Runs an operation: method and target (path below /api/v1/developer and query), body JSON text or NULL. *out is the reply's root in the arena, NULL
 * for an empty one. */
bool tool_call_operation(ToolCall *call, HttpMethod method, const char *target, const char *body, yyjson_val **out);
/* Template with each {name} replaced by that argument, percent-encoded; in the arena. */
char *tool_call_path(const ToolCall *call, const char *template);
/* text percent-encoded for one segment of a path or one value of a query. */
char *tool_escape(Arena *arena, const char *text);
const char *tool_argument(const ToolCall *call, const char *name);
bool tool_call_fail(ToolCall *call, Status status, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Repeats an operation until the member `status` of its reply (inside `envelope`, when not NULL) is none of `going` (ended by NULL), or patience ends:
 * then the last reply is returned as it is, and the caller's tool shows how far it is. */
bool tool_call_wait(ToolCall *call, const char *target, const char *envelope, const char *const *going, yyjson_val **out);

typedef bool (*ToolFunction)(ToolCall *call);
bool tool_create_export(ToolCall *call);
bool tool_train_pipeline(ToolCall *call);
bool tool_auto_annotate_dataset(ToolCall *call);
bool tool_import_from_connector(ToolCall *call);
bool tool_download(ToolCall *call);
bool tool_upload_image(ToolCall *call);
bool tool_upload_dataset_from_folder(ToolCall *call);
bool tool_full_pipeline(ToolCall *call);
