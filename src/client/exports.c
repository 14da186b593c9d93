/* Exports. */
#include <pictograph/exports.h>

#include <string.h>

#include "client/call.h"
#include "client/failure.h"
#include "client/landing.h"
#include "client/pager.h"
#include "client/wait.h"

#include "base/banned.h"

#define PATH "exports/{}/{}"
#define DOWNLOAD_SILENCE 600.0 /* limits.yaml client.export_and_model_read_timeout_seconds */

PictographPager *pictograph_exports_list(PictographClient *client, const PictographList *list, PictographError *error) {
    PagerPlan plan = {.call = {.method = "GET", .path = "exports/"}, .items = "/exports", .page_size = 100};
    if (list) {
        plan.call.query[0].key = "dataset_name", plan.call.query[0].value = list->dataset_name;
        plan.call.query[1].key = "status", plan.call.query[1].value = list->status;
    }
    return pager_new(client, &plan, list, error);
}

PictographResult *pictograph_exports_create(PictographClient *client, const PictographExport *request, PictographError *error) {
    Buffer body;
    JsonWriter writer = call_body(&body);
    json_field_string(&writer, "dataset_name", request->dataset_name);
    json_field_string(&writer, "name", request->name);
    json_field_string(&writer, "format", request->format ? request->format : "pictograph");
    json_field_bool(&writer, "include_images", !request->without_images);
    call_optional_strings(&writer, "class_filter", request->class_filter);
    json_field_string(&writer, "status_filter", request->status_filter ? request->status_filter : "complete");
    json_end_object(&writer);
    return call(client, &(Call){.method = "POST", .path = "exports/", .body = &body, .envelope = "export"}, error);
}

PictographResult *pictograph_exports_get(PictographClient *client, const char *dataset_name, const char *name, PictographError *error) {
    return call(client, &(Call){.method = "GET", .path = PATH, .names = {dataset_name, name}, .envelope = "export"}, error);
}

static PictographResult *get_by_names(PictographClient *client, const void *key, PictographError *error) {
    const char *const *names = key;
    return pictograph_exports_get(client, names[0], names[1], error);
}

PictographResult *pictograph_exports_wait(PictographClient *client, const char *dataset_name, const char *name, const PictographWait *wait,
                                          PictographError *error) {
    const char *const names[] = {dataset_name, name};
    WaitPlan plan = {.kind = "export", .id = name, .interval = 2, .timeout = 600, .get = get_by_names, .key = names};
    return wait_for(client, &plan, wait, error);
}

PictographStatus pictograph_exports_download(PictographClient *client, const char *dataset_name, const char *name, const char *output_path,
                                             PictographProgress progress, void *context, PictographError *error) {
    PictographError own = {0};
    Exchange exchange = {0};
    PictographResult *note =
        call(client, &(Call){.method = "GET", .path = PATH "/download", .names = {dataset_name, name}}, &own);
    const char *url = pictograph_text(note, "/download_url");
    if (note && !url) failure_set(&own, PICTOGRAPH_SERVER, "The server gave no address of the export");
    if (url) {
        exchange_init(&exchange, client, "GET");
        exchange_set_signed_url(&exchange, url);
        exchange.silence = DOWNLOAD_SILENCE;
        exchange.progress = progress;
        exchange.progress_context = context;
        landing_fetch(&exchange, output_path, pictograph_text(note, "/md5"), &own);
        exchange_clear(&exchange);
    }
    pictograph_result_free(note);
    PictographStatus status = own.status;
    failure_move(error, &own);
    return status;
}

PictographStatus pictograph_exports_delete(PictographClient *client, const char *dataset_name, const char *name, PictographError *error) {
    return call_for_status(client, &(Call){.method = "DELETE", .path = PATH, .names = {dataset_name, name}}, error);
}
