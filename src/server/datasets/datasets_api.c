/* Handlers of the datasets: the read side of projects, and signed addresses in bulk. */
#include <string.h>

#include "base/clock.h"
#include "server/api/api_handlers.h"
#include "server/images/images.h"
#include "server/objects/objects.h"
#include "server/projects/projects.h"
#include "base/banned.h"

enum { DOWNLOAD_TTL_MS = 86400 * 1000 }; /* limits.yaml signed_urls.dataset_download_ttl_seconds */

static Dataset dataset_reply(Arena *arena, const ProjectRecord *row) {
    return (Dataset){
        .id = row->id, .organization_id = row->organization_id, .name = row->name, .description = row->description,
        .image_count = row->image_count, .completed_image_count = row->completed_image_count, .total_size = row->total_size,
        .archived_images = row->archived_images, .classes = project_classes(arena, &row->classes),
        .annotation_types = project_kinds(arena, row->annotation_types), .has_annotation_types = true,
        .created_at = row->created_at, .updated_at = row->updated_at, .has_updated_at = true,
    };
}

static DatasetImageSummary image_summary(Request *rq, const ImageRecord *row) {
    return (DatasetImageSummary){
        .id = row->id, .filename = row->filename, .status = image_stage_from_name(row->stage),
        .annotation_status = annotation_progress_from_name(image_progress(row->stage)), .annotation_count = row->annotation_count,
        .file_size = row->file_size, .width = row->width, .has_width = row->has_size, .height = row->height, .has_height = row->has_size,
        .mime_type = row->mime_type, .dataset_id = row->project_id, .virtual_folder_path = row->folder, .is_archived = row->is_archived,
        .image_url = image_url(rq, row->id), .thumbnail_url = image_thumbnail_url(rq, row->id),
        .annotation_url = row->annotation_count ? image_annotation_url(rq, row->id) : NULL, .created_at = row->created_at,
    };
}

static Status add_images(Request *rq, Dataset *dataset, int64_t limit, int64_t offset) {
    int64_t left = dataset->image_count - offset;
    size_t capacity = (size_t)(left < 0 ? 0 : left < limit ? left : limit);
    dataset->has_images = true;
    dataset->images.items = arena_new_array(&rq->arena, DatasetImageSummary, capacity);
    DbRows rows = db_query(request_db(rq), &rq->error,
                           "SELECT " IMAGE_COLUMNS " FROM images i WHERE i.project_id = $1 AND i.is_archived = 0 ORDER BY i.folder, i.filename LIMIT $2 OFFSET $3",
                           DB_TEXT(dataset->id), DB_INT((int64_t)capacity), DB_INT(offset));
    while (dataset->images.count < capacity && db_next(&rows)) {
        ImageRecord row = image_read_row(&rows, &rq->arena);
        dataset->images.items[dataset->images.count++] = image_summary(rq, &row);
    }
    return db_finish(&rows);
}

Status list_datasets(Request *rq, const ListDatasetsInput *in, DatasetListResponse *out) {
    ProjectRecord *rows;
    size_t count;
    Status status = project_page(request_db(rq), &rq->arena, rq->principal.organization_id, in->limit, in->offset, &rows, &count, &out->total, &rq->error);
    if (status != STATUS_OK) return status;
    out->datasets = (DatasetArray){.items = arena_new_array(&rq->arena, Dataset, count), .count = count};
    for (size_t i = 0; i < count; i++) out->datasets.items[i] = dataset_reply(&rq->arena, &rows[i]);
    out->limit = in->limit;
    out->offset = in->offset;
    out->has_total = out->has_limit = out->has_offset = true;
    return STATUS_OK;
}

Status get_dataset_by_name(Request *rq, const GetDatasetByNameInput *in, DatasetEnvelope *out) {
    ProjectRecord row;
    Status status = project_load(request_db(rq), &rq->arena, rq->principal.organization_id, in->name, &row, &rq->error);
    if (status != STATUS_OK) return status;
    out->dataset = dataset_reply(&rq->arena, &row);
    return in->include_images ? add_images(rq, &out->dataset, in->images_limit, in->images_offset) : STATUS_OK;
}

Status get_dataset_by_id(Request *rq, const GetDatasetByIdInput *in, DatasetEnvelope *out) {
    ProjectRecord row;
    Status status = project_load_by_id(request_db(rq), &rq->arena, rq->principal.organization_id, in->dataset_id, &row, &rq->error);
    if (status != STATUS_OK) return status;
    out->dataset = dataset_reply(&rq->arena, &row);
    return in->include_images ? add_images(rq, &out->dataset, in->images_limit, in->images_offset) : STATUS_OK;
}

static DatasetDownloadItem download_item(Request *rq, const ListDatasetDownloadsInput *in, const ImageRecord *row, int64_t expires_at) {
    const Objects *objects = rq->server->objects;
    DatasetDownloadItem item = {
        .image_id = row->id, .filename = row->filename, .virtual_folder_path = row->folder, .status = image_stage_from_name(row->stage),
        .file_size = row->file_size, .has_file_size = true, .md5 = row->md5, .annotation_count = row->annotation_count, .has_annotation_count = true,
    };
    if (in->mode != DOWNLOAD_MODE_ANNOTATIONS_ONLY) {
        ObjectClaim claim = {.action = OBJECT_GET, .subject = row->object, .filename = row->filename, .content_type = row->mime_type, .expires_at = expires_at};
        item.image_url = object_sign(objects, rq->base_url, &claim, &rq->arena);
    }
    if (in->mode != DOWNLOAD_MODE_IMAGES_ONLY && row->annotation_count) {
        ObjectClaim claim = {.action = OBJECT_ANNOTATIONS, .subject = row->id, .content_type = "application/json", .expires_at = expires_at};
        item.annotation_url = object_sign(objects, rq->base_url, &claim, &rq->arena);
    }
    return item;
}

Status list_dataset_downloads(Request *rq, const ListDatasetDownloadsInput *in, DatasetDownloadResponse *out) {
    ProjectRecord project;
    DbSession *db = request_db(rq);
    Status status = project_load(db, &rq->arena, rq->principal.organization_id, in->name, &project, &rq->error);
    if (status != STATUS_OK) return status;
    const char *condition = image_filter_condition(status_filter_name(in->status_filter));
    const char *count = arena_printf(&rq->arena, "SELECT count(*) FROM images i WHERE i.project_id = $1 AND i.is_archived = 0 AND %s", condition);
    const char *page = arena_printf(&rq->arena,
                                    "SELECT " IMAGE_COLUMNS " FROM images i WHERE i.project_id = $1 AND i.is_archived = 0 AND %s "
                                    "ORDER BY i.folder, i.filename LIMIT $2 OFFSET $3", condition);
    *out = (DatasetDownloadResponse){.dataset_id = project.id, .dataset_name = project.name, .mode = in->mode, .limit = in->limit, .offset = in->offset,
                                     .has_total = true, .has_limit = true, .has_offset = true, .expires_at = clock_now_ms() + DOWNLOAD_TTL_MS};
    status = db_read_int(db, &rq->error, &out->total, 0, count, DB_TEXT(project.id));
    if (status != STATUS_OK) return status;
    int64_t left = out->total - in->offset;
    size_t capacity = (size_t)(left < 0 ? 0 : left < in->limit ? left : in->limit);
    out->items.items = arena_new_array(&rq->arena, DatasetDownloadItem, capacity);
    DbRows rows = db_query(db, &rq->error, page, DB_TEXT(project.id), DB_INT((int64_t)capacity), DB_INT(in->offset));
    while (out->items.count < capacity && db_next(&rows)) {
        ImageRecord row = image_read_row(&rows, &rq->arena);
        out->items.items[out->items.count++] = download_item(rq, in, &row, out->expires_at);
    }
    return db_finish(&rows);
}
