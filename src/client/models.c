/* Models. */
#include <pictograph/models.h>

#include "client/call.h"
#include "client/failure.h"
#include "client/landing.h"
#include "client/pager.h"

#include "base/banned.h"

#define PATH "models/{}"
#define DOWNLOAD_SILENCE 600.0 /* limits.yaml client.export_and_model_read_timeout_seconds */

PictographPager *pictograph_models_list(PictographClient *client, const PictographList *list, PictographError *error) {
    PagerPlan plan = {.call = {.method = "GET", .path = "models/"}, .items = "/models", .page_size = 50};
    if (list) {
        plan.call.query[0].key = "dataset_name", plan.call.query[0].value = list->dataset_name;
        plan.call.query[1].key = "status", plan.call.query[1].value = list->status;
        plan.call.query[2].key = "model_type", plan.call.query[2].value = list->model_type;
    }
    return pager_new(client, &plan, list, error);
}

PictographResult *pictograph_models_get(PictographClient *client, const char *model_id, PictographError *error) {
    return call(client, &(Call){.method = "GET", .path = PATH, .names = {model_id}, .envelope = "model"}, error);
}

PictographResult *pictograph_models_download(PictographClient *client, const char *model_id, const char *output_path,
                                             PictographProgress progress, void *context, PictographError *error) {
    PictographResult *note = call(
        client, &(Call){.method = "GET", .path = PATH "/download", .names = {model_id}, .query = {{"format", "onnx"}}}, error);
    if (!note) return NULL;
    PictographStatus status;
    const char *url = pictograph_text(note, "/download_url");
    if (url) {
        Exchange exchange;
        exchange_init(&exchange, client, "GET");
        exchange_set_signed_url(&exchange, url);
        exchange.silence = DOWNLOAD_SILENCE;
        exchange.progress = progress;
        exchange.progress_context = context;
        status = landing_fetch(&exchange, output_path, pictograph_text(note, "/md5"), error);
        exchange_clear(&exchange);
    } else {
        status = failure_set(error, PICTOGRAPH_SERVER, "The server gave no address of the model");
    }
    if (!status) return note;
    pictograph_result_free(note);
    return NULL;
}

PictographStatus pictograph_models_delete(PictographClient *client, const char *model_id, PictographError *error) {
    return call_for_status(client, &(Call){.method = "DELETE", .path = PATH, .names = {model_id}}, error);
}
