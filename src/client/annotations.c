/* Annotations of one image, and many lists saved at once. */
#include <pictograph/annotations.h>

#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/text.h"
#include "client/call.h"
#include "client/exchange.h"
#include "client/failure.h"
#include "client/transfer.h"

#include "base/banned.h"

#define PATH "annotations/{}"
enum { SAVE_WORKERS = 8 };

PictographResult *pictograph_annotations_get(PictographClient *client, const char *image_id, PictographError *error) {
    return call(client, &(Call){.method = "GET", .path = PATH, .names = {image_id}, .envelope = "annotations"}, error);
}

/* One annotation again, with an id in front when it has none. */
static void write_annotation(JsonWriter *writer, yyjson_val *annotation) {
    if (!yyjson_is_obj(annotation) || yyjson_obj_get(annotation, "id")) {
        json_value(writer, annotation); /* if it is no object, the server says what is wrong with it */
        return;
    }
    json_begin_object(writer);
    json_field_string(writer, "id", uuid_new((char[UUID_SIZE]){0}));
    size_t i, count;
    yyjson_val *key, *value;
    yyjson_obj_foreach(annotation, i, count, key, value)
    {
        json_key(writer, yyjson_get_str(key));
        json_value(writer, value);
    }
    json_end_object(writer);
}

static Status write_save_body(Buffer *body, const char *image_id, const char *json, Error *err) {
    yyjson_doc *doc = json_parse(json, strlen(json), err);
    if (!doc) return err->status;
    yyjson_val *list = yyjson_doc_get_root(doc);
    Status status = STATUS_OK;
    if (yyjson_is_arr(list)) {
        JsonWriter writer = call_body(body);
        json_field_string(&writer, "image_id", image_id);
        json_key(&writer, "annotations");
        json_begin_array(&writer);
        size_t i, count;
        yyjson_val *annotation;
        yyjson_arr_foreach(list, i, count, annotation) write_annotation(&writer, annotation);
        json_end_array(&writer);
        json_end_object(&writer);
    } else {
        status = error_set(err, STATUS_VALIDATION_ERROR, "Annotations must be a list");
    }
    yyjson_doc_free(doc);
    return status;
}

PictographResult *pictograph_annotations_save(PictographClient *client, const char *image_id, const char *json, PictographError *error) {
    Buffer body = {0};
    Error base = {0};
    if (write_save_body(&body, image_id, json, &base)) {
        failure_from_base(error, &base);
        return NULL;
    }
    return call(client, &(Call){.method = "POST", .path = PATH, .names = {image_id}, .body = &body}, error);
}

PictographResult *pictograph_annotations_delete(PictographClient *client, const char *image_id, PictographError *error) {
    return call(client, &(Call){.method = "DELETE", .path = PATH, .names = {image_id}}, error);
}

/* ---- many at once ---- */

typedef struct SaveMany {
    PictographClient *client;
    PictographAnnotationsItem *items;
    size_t count, next, done;
    PictographProgress progress;
    void *context;
} SaveMany;

static void finish_item(SaveMany *all, PictographAnnotationsItem *item, PictographStatus status, const char *reason) {
    item->status = status;
    snprintf(item->reason, sizeof item->reason, "%s", reason);
    all->done++;
    if (all->progress) all->progress(all->context, (int64_t)all->done, (int64_t)all->count, item->image_id);
}

static bool begin_save(void *context, Transfer *transfer) {
    SaveMany *all = context;
    while (all->next < all->count) {
        PictographAnnotationsItem *item = &all->items[all->next++];
        Error base = {0};
        exchange_init(&transfer->exchange, all->client, "POST");
        exchange_set_path(&transfer->exchange, PATH, &item->image_id);
        transfer->exchange.content_type = "application/json";
        transfer->user = item;
        if (!write_save_body(&transfer->exchange.body, item->image_id, item->json, &base)) return true;
        exchange_clear(&transfer->exchange);
        finish_item(all, item, PICTOGRAPH_VALIDATION, base.message);
    }
    return false;
}

static TransferNext end_save(void *context, Transfer *transfer, PictographError *error) {
    if (error->status == PICTOGRAPH_CANCELLED || error->status == PICTOGRAPH_AUTH) return TRANSFER_STOP;
    finish_item(context, transfer->user, error->status, error->message);
    return TRANSFER_OVER;
}

PictographStatus pictograph_annotations_save_many(PictographClient *client, PictographAnnotationsItem *items, size_t count,
                                                  PictographProgress progress, void *context, PictographError *error) {
    SaveMany all = {.client = client, .items = items, .count = count, .progress = progress, .context = context};
    TransferPlan plan = {.begin = begin_save, .proceed = end_save, .context = &all, .workers = SAVE_WORKERS};
    return transfer_run(client, &plan, error);
}
