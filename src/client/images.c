/* Images: one at a time. */
#include <pictograph/images.h>

#include "client/call.h"
#include "client/failure.h"
#include "client/landing.h"
#include "client/result.h"
#include "client/upload.h"

#include "base/banned.h"

#define PATH "images/{}"

/* Performs the three steps. The exchange is the registration at the end. */
static PictographResult *perform_upload(PictographClient *client, Upload *upload, PictographError *error) {
    PictographResult *image = NULL;
    Exchange exchange;
    upload_describe_address(upload, client, &exchange);
    PictographStatus status = exchange_perform(&exchange, error);
    if (!status) status = upload_keep_target(upload, &exchange, error);
    exchange_clear(&exchange);
    if (status) return NULL;
    upload_describe_put(upload, client, &exchange);
    status = exchange_perform(&exchange, error);
    exchange_clear(&exchange);
    if (status) return NULL;
    upload_describe_register(upload, client, &exchange);
    if (!exchange_perform(&exchange, error)) image = exchange_result(&exchange, NULL, error);
    exchange_clear(&exchange);
    /* The image itself where the server tells it, else the bare id. */
    yyjson_val *inner = result_at(image, "/image");
    if (inner) image->root = inner;
    return image;
}

PictographResult *pictograph_images_upload(PictographClient *client, const char *dataset_name, const char *path,
                                           const PictographUpload *options, PictographError *error) {
    static const PictographUpload defaults = {0};
    options = options ? options : &defaults;
    failure_reset(error);
    Upload upload;
    PictographResult *dataset = NULL, *image = NULL;
    if (upload_open(&upload, path, options->filename, options->folder_path, options->idempotency_key, error)) goto out;
    if (!(dataset = call(client, &(Call){.method = "GET", .path = "datasets/by-name/{}", .names = {dataset_name}, .envelope = "dataset"}, error)))
        goto out;
    upload.dataset_id = pictograph_text(dataset, "/id");
    upload.progress = options->progress;
    upload.context = options->context;
    if (upload.dataset_id) image = perform_upload(client, &upload, error);
    else failure_set(error, PICTOGRAPH_SERVER, "The dataset '%s' has no id", dataset_name);
out:
    upload_close(&upload);
    pictograph_result_free(dataset);
    return image;
}

PictographResult *pictograph_images_get(PictographClient *client, const char *image_id, PictographError *error) {
    return call(client, &(Call){.method = "GET", .path = PATH "/metadata", .names = {image_id}, .envelope = "image"}, error);
}

PictographStatus pictograph_images_download(PictographClient *client, const char *image_id, const char *output_path,
                                            PictographProgress progress, void *context, PictographError *error) {
    Exchange exchange;
    exchange_init(&exchange, client, "GET");
    exchange_set_path(&exchange, PATH, &image_id);
    exchange.progress = progress;
    exchange.progress_context = context;
    PictographStatus status = landing_fetch(&exchange, output_path, NULL, error);
    exchange_clear(&exchange);
    return status;
}

PictographResult *pictograph_images_delete(PictographClient *client, const char *image_id, bool permanent, PictographError *error) {
    return call(client,
                &(Call){.method = "DELETE", .path = PATH, .names = {image_id}, .query = {{"permanent", permanent ? "true" : NULL}}}, error);
}

PictographResult *pictograph_images_set_stage(PictographClient *client, const char *dataset_name, const char *const *image_ids, size_t count,
                                              const char *stage, PictographError *error) {
    Buffer body;
    JsonWriter writer = call_body(&body);
    json_field_string(&writer, "dataset_name", dataset_name);
    json_key(&writer, "image_ids");
    json_begin_array(&writer);
    for (size_t i = 0; i < count; i++) json_string(&writer, image_ids[i]);
    json_end_array(&writer);
    json_key(&writer, "updates");
    json_begin_object(&writer);
    json_field_string(&writer, "status", stage);
    json_end_object(&writer);
    json_end_object(&writer);
    return call(client, &(Call){.method = "PATCH", .path = "batch/images/update", .body = &body}, error);
}
