/* Handlers of single images: facts, bytes, preview, deletion. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "server/api/api_handlers.h"
#include "server/images/images.h"
#include "server/jobs/workers.h"
#include "server/objects/objects.h"
#include "server/projects/projects.h"
#include "server/search/search.h"
#include "base/banned.h"

#define CACHE_30_DAYS "private, max-age=2592000" /* limits.yaml images.cache_days */
enum { THUMBNAIL_TIMEOUT_SECONDS = 60 };

Image image_reply(Request *rq, const ImageRecord *row) {
    return (Image){
        .id = row->id, .filename = row->filename, .status = image_stage_from_name(row->stage),
        .annotation_status = annotation_progress_from_name(image_progress(row->stage)), .annotation_count = row->annotation_count,
        .file_size = row->file_size, .width = row->width, .has_width = row->has_size, .height = row->height, .has_height = row->has_size,
        .mime_type = row->mime_type, .dataset_id = row->project_id, .virtual_folder_path = row->folder, .is_archived = row->is_archived,
        .image_url = image_url(rq, row->id), .thumbnail_url = image_thumbnail_url(rq, row->id),
        .annotation_url = row->annotation_count ? image_annotation_url(rq, row->id) : NULL, .display_name = row->display_name, .md5 = row->md5,
        .created_by = row->created_by, .created_at = row->created_at, .updated_at = row->updated_at, .has_updated_at = true,
    };
}

static Status load(Request *rq, const char *image_id, ImageRecord *out) {
    return image_load(request_db(rq), &rq->arena, rq->principal.organization_id, image_id, out, &rq->error);
}

Status get_image(Request *rq, const GetImageInput *in, ImageEnvelope *out) {
    ImageRecord row;
    Status status = load(rq, in->image_id, &row);
    if (status != STATUS_OK) return status;
    out->image = image_reply(rq, &row);
    out->image.image_auto_tags = arena_new(&rq->arena, AutoTags);
    return search_tags(request_db(rq), &rq->arena, row.id, out->image.image_auto_tags, &rq->error);
}

Status download_image(Request *rq, const DownloadImageInput *in) {
    ImageRecord row;
    Status status = load(rq, in->image_id, &row);
    if (status != STATUS_OK) return status;
    response_header(rq, "Cache-Control", CACHE_30_DAYS);
    return response_file(rq, objects_path(rq->server->objects, row.object, &rq->arena), row.mime_type, row.md5, NULL);
}

/* A preview belongs to the bytes, so it is kept by their hash; made once, under a temporary name, by the media worker. */
static Status make_thumbnail(Request *rq, const ImageRecord *row, int64_t size, const char *cached) {
    char name[UUID_SIZE];
    const char *work = objects_work_directory(rq->server->objects, uuid_new(name), &rq->arena, &rq->error);
    if (!work) return rq->error.status;
    const char *output = arena_printf(&rq->arena, "%s/%s", work, file_base_name(cached)); /* its extension says which type */
    Buffer params;
    JsonWriter w;
    buffer_init(&params, 65536);
    json_writer_init(&w, &params);
    json_begin_object(&w);
    json_field_string(&w, "path", objects_path(rq->server->objects, row->object, &rq->arena));
    json_field_string(&w, "filename", row->filename);
    json_field_int(&w, "size", size);
    json_field_string(&w, "output", output);
    json_end_object(&w);
    yyjson_doc *reply = NULL;
    Status status = workers_call(rq->server->media, &reply, "thumbnail", buffer_text(&params), THUMBNAIL_TIMEOUT_SECONDS, NULL, NULL, &rq->error);
    buffer_clear(&params);
    yyjson_doc_free(reply);
    if (status == STATUS_OK) {
        const char *folder = arena_strndup(&rq->arena, cached, (size_t)(file_base_name(cached) - cached - 1));
        status = file_sync(output, &rq->error); /* else what is left of it after a power cut would be sent ever after; a rename that is lost is made up for */
        if (status == STATUS_OK) status = file_make_directories(folder, 0700, &rq->error);
        if (status == STATUS_OK && rename(output, cached) != 0) status = error_set_errno(&rq->error, errno, "Cannot keep the thumbnail of %s", row->filename);
    }
    file_remove_tree(work, NULL);
    return status;
}

Status get_image_thumbnail(Request *rq, const GetImageThumbnailInput *in) {
    ImageRecord row;
    Status status = load(rq, in->image_id, &row);
    if (status != STATUS_OK) return status;
    /* PNG and GIF may be transparent: their previews stay PNG. */
    bool png = strcmp(row.mime_type, "image/png") == 0 || strcmp(row.mime_type, "image/gif") == 0 || strcmp(row.mime_type, "image/webp") == 0;
    const char *cached = arena_printf(&rq->arena, "%s/thumbnails/%.2s/%s-%lld.%s", rq->server->config.data_directory, row.object, row.object,
                                      (long long)in->size, png ? "png" : "jpg");
    if (!file_exists(cached)) status = make_thumbnail(rq, &row, in->size, cached);
    if (status != STATUS_OK) return status;
    response_header(rq, "Cache-Control", CACHE_30_DAYS);
    rq->response.etag = arena_printf(&rq->arena, "\"%s\"", file_base_name(cached));
    return response_file(rq, cached, png ? "image/png" : "image/jpeg", NULL, NULL);
}

/* ---- deletion ---- */

typedef struct Deletion {
    Request *rq;
    const char *image_id;
    bool permanent;
} Deletion;

Status image_archive(DbSession *tx, const ImageRecord *image, bool archive, Error *err) {
    if (image->is_archived == archive) return STATUS_OK;
    int64_t sign = archive ? -1 : 1;
    Status status = db_exec(tx, err, "UPDATE images SET is_archived = $1, updated_at = $2 WHERE id = $3", DB_INT(archive), DB_INT(clock_now_ms()),
                            DB_TEXT(image->id));
    ProjectDelta delta = {.images = sign, .bytes = sign * image->file_size, .archived = -sign, .completed = strcmp(image->stage, "complete") == 0 ? sign : 0};
    return status == STATUS_OK ? project_count(tx, image->project_id, &delta, err) : status;
}

static Status remove_or_archive(DbSession *tx, void *context, Error *err) {
    Deletion *d = context;
    Request *rq = d->rq;
    ImageRecord row;
    Status status = image_load(tx, &rq->arena, rq->principal.organization_id, d->image_id, &row, err);
    if (status != STATUS_OK) return status;
    if (!d->permanent) return image_archive(tx, &row, true, err);
    if (!request_owns(rq, row.created_by) && request_require_role(rq, ACCESS_ADMIN) != STATUS_OK)
        return error_set(err, STATUS_NOT_OWNER, "Only its uploader or an admin may delete this image for good");
    return image_remove(tx, &row, err);
}

Status delete_image(Request *rq, const DeleteImageInput *in, ImageDeleteResponse *out) {
    Deletion deletion = {.rq = rq, .image_id = in->image_id, .permanent = in->permanent};
    Status status = request_write(rq, remove_or_archive, &deletion);
    *out = (ImageDeleteResponse){.image_id = in->image_id, .archived = !in->permanent, .permanent = in->permanent};
    return status;
}
