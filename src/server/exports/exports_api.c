/* Handlers of exports: start, list, read, delete, download. */
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/json.h"
#include "server/api/api_handlers.h"
#include "server/exports/export_rows.h"
#include "server/exports/exports.h"
#include "server/objects/objects.h"
#include "base/banned.h"

#define DOWNLOAD_MS (3600 * INT64_C(1000)) /* limits.yaml signed_urls.download_ttl_seconds */

/* --- from row to reply ------------------------------------------------------------------------------------------------------- */

static StringArray strings_of(Arena *arena, const char *json) {
    yyjson_doc *doc = json_parse(json, strlen(json), NULL);
    yyjson_val *list = yyjson_doc_get_root(doc), *item;
    StringArray strings = {.items = arena_new_array(arena, const char *, yyjson_arr_size(list))};
    size_t index, count;
    yyjson_arr_foreach(list, index, count, item) strings.items[strings.count++] = arena_strdup(arena, yyjson_get_str(item));
    yyjson_doc_free(doc);
    return strings;
}

static const char *file_name(Arena *arena, const ExportRecord *row) { return arena_printf(arena, "%s.zip", row->name); }

static const char *sign_download(Request *rq, const ExportRecord *row, int64_t expires_at) {
    ObjectClaim claim = {.action = OBJECT_GET, .subject = row->object, .filename = file_name(&rq->arena, row), .content_type = "application/zip", .expires_at = expires_at};
    return object_sign(rq->server->objects, rq->base_url, &claim, &rq->arena);
}

static Export export_reply(Request *rq, const ExportRecord *row) {
    bool ready = row->status == EXPORT_STATUS_COMPLETED && row->object;
    int64_t expires_at = clock_now_ms() + DOWNLOAD_MS;
    return (Export){
        .id = row->id, .project_id = row->project_id, .organization_id = row->organization_id, .dataset_name = row->dataset_name, .name = row->name,
        .format = row->format, .include_images = row->include_images, .has_class_filter = row->class_filter != NULL,
        .class_filter = row->class_filter ? strings_of(&rq->arena, row->class_filter) : (StringArray){0}, .status_filter = row->status_filter,
        .status = row->status, .error_message = row->error_message, .has_file_size = row->has_file_size, .file_size = row->file_size,
        .has_image_count = row->has_counts, .image_count = row->image_count, .has_annotation_count = row->has_counts,
        .annotation_count = row->annotation_count, .md5 = row->md5, .created_by = row->created_by, .created_at = row->created_at,
        .has_completed_at = row->has_completed_at, .completed_at = row->completed_at, .has_expires_at = ready, .expires_at = expires_at,
        .download_url = ready ? sign_download(rq, row, expires_at) : NULL,
    };
}

/* --- reading ----------------------------------------------------------------------------------------------------------------- */

Status get_export(Request *rq, const GetExportInput *in, ExportEnvelope *out) {
    ExportRecord row;
    Status status = export_load(request_db(rq), &rq->arena, rq->principal.organization_id, in->dataset_name, in->export_name, &row, &rq->error);
    if (status == STATUS_OK) out->export = export_reply(rq, &row);
    return status;
}

Status list_exports(Request *rq, const ListExportsInput *in, ExportListResponse *out) {
    DbSession *db = request_db(rq);
    const char *organization = rq->principal.organization_id, *wanted = export_status_name(in->status), *project_id = NULL;
    if (in->dataset_name) {
        ProjectRecord project;
        Status status = project_load(db, &rq->arena, organization, in->dataset_name, &project, &rq->error);
        if (status != STATUS_OK) return status;
        project_id = project.id;
    }
#define MATCHING " FROM exports e JOIN projects p ON p.id = e.project_id WHERE e.organization_id = $1 AND ($2 IS NULL OR e.project_id = $2) AND ($3 IS NULL OR e.status = $3)"
    Status status = db_read_int(db, &rq->error, &out->total, 0, "SELECT count(*)" MATCHING, DB_TEXT(organization), DB_TEXT(project_id), DB_TEXT(wanted));
    if (status != STATUS_OK) return status;
    out->exports.items = arena_new_array(&rq->arena, Export, (size_t)in->limit);
    DbRows rows = db_query(db, &rq->error, "SELECT " EXPORT_COLUMNS MATCHING " ORDER BY e.created_at DESC, e.id LIMIT $4 OFFSET $5", DB_TEXT(organization),
                           DB_TEXT(project_id), DB_TEXT(wanted), DB_INT(in->limit), DB_INT(in->offset));
#undef MATCHING
    while (out->exports.count < (size_t)in->limit && db_next(&rows)) {
        ExportRecord row = export_read_row(&rows, &rq->arena);
        out->exports.items[out->exports.count++] = export_reply(rq, &row);
    }
    out->limit = in->limit;
    out->offset = in->offset;
    out->has_total = out->has_limit = out->has_offset = true;
    return db_finish(&rows);
}

Status get_export_download(Request *rq, const GetExportDownloadInput *in, SignedDownload *out) {
    ExportRecord row;
    Status status = export_load(request_db(rq), &rq->arena, rq->principal.organization_id, in->dataset_name, in->export_name, &row, &rq->error);
    if (status != STATUS_OK) return status;
    if (row.status != EXPORT_STATUS_COMPLETED || !row.object) return request_fail(rq, STATUS_EXPORT_NOT_READY, "Export '%s' is not completed", row.name);
    int64_t expires_at = clock_now_ms() + DOWNLOAD_MS;
    *out = (SignedDownload){.download_url = sign_download(rq, &row, expires_at), .expires_at = expires_at, .has_file_size = true, .file_size = row.file_size,
                            .md5 = row.md5, .filename = file_name(&rq->arena, &row)};
    return STATUS_OK;
}

/* --- starting ---------------------------------------------------------------------------------------------------------------- */

typedef struct NewExport {
    Request *rq;
    const ExportCreateRequest *body;
    const char *id;
    ExportRecord row;
} NewExport;

/* A filter that names no class of the project would leave everything out, and be noticed late: every such name is refused. */
static Status check_class_filter(Request *rq, const StringArray *filter, const ProjectRecord *project, Error *err) {
    for (size_t i = 0; i < filter->count; i++) {
        if (class_list_find(&project->classes, filter->items[i])) continue;
        request_field_error(rq, "unknown_class", arena_printf(&rq->arena, "'%s' is not a class of the project", filter->items[i]), "body", "class_filter",
                            arena_printf(&rq->arena, "%zu", i), NULL);
    }
    return rq->errors.count ? error_set(err, STATUS_UNKNOWN_CLASS, "Unknown class") : STATUS_OK;
}

static Status insert_export(DbSession *tx, void *context, Error *err) {
    NewExport *new = context;
    Arena *arena = &new->rq->arena;
    const ExportCreateRequest *body = new->body;
    const char *organization = new->rq->principal.organization_id, *status_filter = status_filter_name(body->status_filter);
    ProjectRecord project;
    Status status = project_load(tx, arena, organization, body->dataset_name, &project, err);
    if (status == STATUS_OK) status = check_class_filter(new->rq, &body->class_filter, &project, err);
    if (status == STATUS_OK) status = export_require_images(tx, arena, project.id, status_filter, err);
    if (status == STATUS_OK)
        status = db_exec(tx, err,
                         "INSERT INTO exports (id, organization_id, project_id, name, format, include_images, class_filter, status_filter, created_by, created_at) "
                         "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
                         DB_TEXT(new->id), DB_TEXT(organization), DB_TEXT(project.id), DB_TEXT(body->name), DB_TEXT(export_format_name(body->format)),
                         DB_INT(body->include_images), DB_TEXT(body->has_class_filter ? json_list_text(arena, body->class_filter.items, body->class_filter.count) : NULL), DB_TEXT(status_filter),
                         DB_TEXT(request_creator(new->rq)), DB_INT(clock_now_ms()));
    if (status == STATUS_ALREADY_EXISTS) return error_set(err, status, "Export '%s' already exists in this dataset", body->name);
    if (status == STATUS_OK)
        status = job_enqueue(tx, new->id, EXPORT_JOB.name, organization, project.id,
                             export_payload(arena, new->id, &project, body->has_class_filter ? &body->class_filter : NULL), err);
    return status == STATUS_OK ? export_load_by_id(tx, arena, new->id, &new->row, err) : status;
}

static const char *writable_formats(Arena *arena) {
    const char *names = "", *separator = "";
    const DatasetFormat *format;
    for (size_t i = 0; (format = dataset_format_at(i)); i++) {
        if (!dataset_format_can_write(format)) continue;
        names = arena_printf(arena, "%s%s%s", names, separator, dataset_format_name(format));
        separator = ", ";
    }
    return names;
}

Status create_export(Request *rq, const CreateExportInput *in, ExportEnvelope *out) {
    NewExport new = {.rq = rq, .body = in->body, .id = uuid_new(arena_alloc(&rq->arena, UUID_SIZE))};
    ProjectRecord project;
    Status status = project_load(request_db(rq), &rq->arena, rq->principal.organization_id, in->body->dataset_name, &project, &rq->error);
    if (status != STATUS_OK) return status;
    const DatasetFormat *format = dataset_format_find(export_format_name(in->body->format));
    if (!format || !dataset_format_can_write(format)) {
        request_field_error(rq, "value_error", arena_printf(&rq->arena, "This server writes %s", writable_formats(&rq->arena)), "body", "format", NULL);
        return request_fail(rq, STATUS_VALIDATION_ERROR, "Format '%s' is not available on this server", export_format_name(in->body->format));
    }
    status = request_write(rq, insert_export, &new);
    if (status != STATUS_OK) return status;
    jobs_wake(rq->server->jobs);
    out->export = export_reply(rq, &new.row);
    return STATUS_OK;
}

/* --- deleting ---------------------------------------------------------------------------------------------------------------- */

typedef struct Deletion {
    Request *rq;
    const char *dataset_name, *name;
} Deletion;

static Status remove_export(DbSession *tx, void *context, Error *err) {
    const Deletion *d = context;
    Request *rq = d->rq;
    ExportRecord row;
    Status status = export_load(tx, &rq->arena, rq->principal.organization_id, d->dataset_name, d->name, &row, err);
    if (status != STATUS_OK) return status;
    if (!request_owns(rq, row.created_by) && request_require_role(rq, ACCESS_ADMIN) != STATUS_OK)
        return error_set(err, STATUS_NOT_OWNER, "Only its creator or an admin may delete this export");
    status = job_cancel(tx, rq->server->jobs, row.id, err);
    if (status == STATUS_OK && row.object) status = object_discard(tx, row.object, err);
    return status == STATUS_OK ? db_exec(tx, err, "DELETE FROM exports WHERE id = $1", DB_TEXT(row.id)) : status;
}

Status delete_export(Request *rq, const DeleteExportInput *in) {
    Status status = request_write(rq, remove_export, &(Deletion){rq, in->dataset_name, in->export_name});
    if (status == STATUS_OK) jobs_wake(rq->server->jobs);
    return status;
}
