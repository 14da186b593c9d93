/* Training runs. */
#include <pictograph/training.h>

#include <string.h>

#include "client/call.h"
#include "client/failure.h"
#include "client/pager.h"
#include "client/wait.h"

#include "base/banned.h"

#define PATH "training/{}"

PictographPager *pictograph_training_list(PictographClient *client, const PictographList *list, PictographError *error) {
    PagerPlan plan = {.call = {.method = "GET", .path = "training/"}, .items = "/training_runs", .page_size = 50};
    if (list) {
        plan.call.query[0].key = "dataset_name", plan.call.query[0].value = list->dataset_name;
        plan.call.query[1].key = "status", plan.call.query[1].value = list->status;
    }
    return pager_new(client, &plan, list, error);
}

PictographResult *pictograph_training_create(PictographClient *client, const PictographTraining *request, PictographError *error) {
    Error base = {0};
    yyjson_doc *config = NULL;
    if (request->config_json && !(config = json_parse(request->config_json, strlen(request->config_json), &base))) {
        failure_set(error, PICTOGRAPH_VALIDATION, "config: %s", base.message);
        return NULL;
    }
    Buffer body;
    JsonWriter writer = call_body(&body);
    json_field_string(&writer, "dataset_name", request->dataset_name);
    json_field_string(&writer, "export_name", request->export_name);
    json_field_string(&writer, "pipeline_type", request->pipeline_type);
    call_optional_string(&writer, "name", request->name);
    call_optional_string(&writer, "gpu_type", request->gpu_type);
    if (config) {
        json_key(&writer, "config");
        json_value(&writer, yyjson_doc_get_root(config));
    }
    json_end_object(&writer);
    yyjson_doc_free(config);
    return call(client, &(Call){.method = "POST", .path = "training/", .body = &body, .envelope = "training_run"}, error);
}

PictographResult *pictograph_training_get(PictographClient *client, const char *run_id, PictographError *error) {
    return call(client, &(Call){.method = "GET", .path = PATH, .names = {run_id}, .envelope = "training_run"}, error);
}

static PictographResult *get_by_id(PictographClient *client, const void *key, PictographError *error) {
    return pictograph_training_get(client, key, error);
}

PictographResult *pictograph_training_wait(PictographClient *client, const char *run_id, const PictographWait *wait, PictographError *error) {
    WaitPlan plan = {.kind = "training run", .id = run_id, .interval = 5, .timeout = 7200, .get = get_by_id, .key = run_id};
    return wait_for(client, &plan, wait, error);
}

PictographResult *pictograph_training_cancel(PictographClient *client, const char *run_id, PictographError *error) {
    return call(client, &(Call){.method = "POST", .path = PATH "/cancel", .names = {run_id}, .envelope = "training_run"}, error);
}
