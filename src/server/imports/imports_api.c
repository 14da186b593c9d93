/* Handlers of imports: upload, start, watch, cancel. */
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "server/api/api_handlers.h"
#include "server/imports/import_rows.h"
#include "server/imports/imports.h"
#include "server/organizations/organizations.h"
#include "server/system/system.h"
#include "base/banned.h"

/* limits.yaml imports.max_archive_bytes */
#define ARCHIVE_MAXIMUM_BYTES (INT64_C(10) << 30)
#define CONTENT_TYPE "application/zip"

static ZipImport zip_import_reply(const ZipImportRecord *row) {
    return (ZipImport){
        .id = row->id, .name = row->name, .format = row->format, .status = row->status, .progress = row->progress, .image_count = row->image_count,
        .annotation_count = row->annotation_count, .taken = row->taken, .mended = row->mended, .left_out = row->left_out, .error_message = row->error_message,
        .project_id = row->status == ZIP_IMPORT_STATUS_COMPLETED ? row->id : NULL, .created_by = row->created_by, .created_at = row->created_at,
        .has_completed_at = row->has_completed_at, .completed_at = row->completed_at,
    };
}

/* --- upload ------------------------------------------------------------------------------------------------------------------ */

Status create_zip_import_upload_url(Request *rq, const CreateZipImportUploadUrlInput *in, ZipImportUploadTarget *out) {
    const ZipImportUploadUrlRequest *body = in->body;
    if (body->has_file_size && body->file_size > ARCHIVE_MAXIMUM_BYTES)
        return request_fail(rq, STATUS_PAYLOAD_TOO_LARGE, "%s: %lld bytes exceed 10 GB", body->filename, (long long)body->file_size);
    Upload upload = {.kind = "import", .project_id = "", .folder = "", .filename = body->filename, .content_type = CONTENT_TYPE, .maximum_bytes = ARCHIVE_MAXIMUM_BYTES};
    Status status = upload_open(rq, &upload);
    *out = (ZipImportUploadTarget){.upload_id = upload.id, .upload_url = upload.url, .content_type = CONTENT_TYPE, .max_bytes = ARCHIVE_MAXIMUM_BYTES,
                                   .expires_at = upload.expires_at};
    return status;
}

/* --- starting ---------------------------------------------------------------------------------------------------------------- */

typedef struct NewImport {
    Request *rq;
    const ZipImportCreateRequest *body;
    const char *id, *object;
    ZipImportRecord row;
} NewImport;

static Status no_upload(Request *rq, const char *message) {
    request_field_error(rq, "value_error", message, "body", "upload_id", NULL);
    return request_fail(rq, STATUS_VALIDATION_ERROR, "%s", message);
}

static Status find_upload(Request *rq, const char *id, const char **object) {
    DbRows rows = db_query(request_db(rq), &rq->error, "SELECT object FROM uploads WHERE id = $1 AND organization_id = $2 AND kind = 'import'", DB_TEXT(id),
                           DB_TEXT(rq->principal.organization_id));
    bool known = db_next(&rows);
    *object = known ? db_text(&rows, 0, &rq->arena) : NULL;
    Status status = db_finish(&rows);
    if (status != STATUS_OK || *object) return status;
    return no_upload(rq, known ? "Nothing was uploaded to this address yet" : "No upload has this id, or it was used already");
}

/* The upload's row goes: its address takes no more bytes, and a second import cannot use it. */
static Status insert_import(DbSession *tx, void *context, Error *err) {
    NewImport *new = context;
    Request *rq = new->rq;
    const char *organization = rq->principal.organization_id;
    int64_t taken = 0;
    Status status = organization_require_projects(rq, tx, 1, err);
    if (status == STATUS_OK)
        status = db_read_int(tx, err, &taken, 0, "SELECT 1 FROM projects WHERE organization_id = $1 AND name = $2", DB_TEXT(organization), DB_TEXT(new->body->name));
    if (taken) return error_set(err, STATUS_ALREADY_EXISTS, "Project '%s' already exists", new->body->name);
    if (status == STATUS_OK) status = db_exec(tx, err, "DELETE FROM uploads WHERE id = $1 AND object = $2", DB_TEXT(new->body->upload_id), DB_TEXT(new->object));
    if (status == STATUS_OK && db_changes(tx) == 0) return error_set(err, STATUS_CONFLICT, "The upload changed meanwhile");
    if (status == STATUS_OK)
        status = db_exec(tx, err,
                         "INSERT INTO zip_imports (id, organization_id, name, description, wanted_format, object, created_by, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
                         DB_TEXT(new->id), DB_TEXT(organization), DB_TEXT(new->body->name), DB_TEXT(new->body->description),
                         DB_TEXT(new->body->format ? export_format_name(new->body->format) : NULL), DB_TEXT(new->object), DB_TEXT(request_creator(rq)),
                         DB_INT(clock_now_ms()));
    if (status == STATUS_OK) status = job_enqueue(tx, new->id, ZIP_IMPORT_JOB.name, organization, NULL, "{}", err);
    return status == STATUS_OK ? zip_import_load(tx, &rq->arena, organization, new->id, &new->row, err) : status;
}

Status create_zip_import(Request *rq, const CreateZipImportInput *in, ZipImportEnvelope *out) {
    NewImport new = {.rq = rq, .body = in->body, .id = uuid_new(arena_alloc(&rq->arena, UUID_SIZE))};
    Status status = find_upload(rq, in->body->upload_id, &new.object);
    if (status == STATUS_OK) status = organization_require_room(rq, request_db(rq), 1, 0, &rq->error);
    if (status == STATUS_OK) status = request_write(rq, insert_import, &new);
    if (status != STATUS_OK) return status;
    jobs_wake(rq->server->jobs);
    out->import = zip_import_reply(&new.row);
    return STATUS_OK;
}

/* --- watching ---------------------------------------------------------------------------------------------------------------- */

Status get_zip_import(Request *rq, const GetZipImportInput *in, ZipImportEnvelope *out) {
    ZipImportRecord row;
    Status status = zip_import_load(request_db(rq), &rq->arena, rq->principal.organization_id, in->import_id, &row, &rq->error);
    if (status == STATUS_OK) out->import = zip_import_reply(&row);
    return status;
}

Status list_zip_imports(Request *rq, const ListZipImportsInput *in, ZipImportListResponse *out) {
    DbSession *db = request_db(rq);
    const char *organization = rq->principal.organization_id;
    Status status = db_read_int(db, &rq->error, &out->total, 0, "SELECT count(*) FROM zip_imports WHERE organization_id = $1", DB_TEXT(organization));
    if (status != STATUS_OK) return status;
    out->limit = in->limit;
    out->offset = in->offset;
    out->imports.items = arena_new_array(&rq->arena, ZipImport, (size_t)in->limit);
    DbRows rows = db_query(db, &rq->error, "SELECT " ZIP_IMPORT_COLUMNS " FROM zip_imports m WHERE m.organization_id = $1 ORDER BY m.created_at DESC, m.id LIMIT $2 OFFSET $3",
                           DB_TEXT(organization), DB_INT(in->limit), DB_INT(in->offset));
    while (out->imports.count < (size_t)in->limit && db_next(&rows)) {
        ZipImportRecord row = zip_import_read_row(&rows, &rq->arena);
        out->imports.items[out->imports.count++] = zip_import_reply(&row);
    }
    return db_finish(&rows);
}

Status list_zip_import_files(Request *rq, const ListZipImportFilesInput *in, ZipImportFileListResponse *out) {
    DbSession *db = request_db(rq);
    const char *outcome = in->outcome ? zip_import_outcome_name(in->outcome) : NULL;
    ZipImportRecord row;
    Status status = zip_import_load(db, &rq->arena, rq->principal.organization_id, in->import_id, &row, &rq->error);
    if (status == STATUS_OK)
        status = db_read_int(db, &rq->error, &out->total, 0, "SELECT count(*) FROM zip_import_files WHERE import_id = $1 AND ($2 IS NULL OR outcome = $2)", DB_TEXT(row.id),
                             DB_TEXT(outcome));
    if (status != STATUS_OK) return status;
    out->limit = in->limit;
    out->offset = in->offset;
    out->files.items = arena_new_array(&rq->arena, ZipImportFile, (size_t)in->limit);
    DbRows rows = db_query(db, &rq->error,
                           "SELECT file, outcome, annotation_count, message FROM zip_import_files WHERE import_id = $1 AND ($2 IS NULL OR outcome = $2) "
                           "ORDER BY sequence LIMIT $3 OFFSET $4", DB_TEXT(row.id), DB_TEXT(outcome), DB_INT(in->limit), DB_INT(in->offset));
    while (out->files.count < (size_t)in->limit && db_next(&rows))
        out->files.items[out->files.count++] = (ZipImportFile){.file = db_text(&rows, 0, &rq->arena), .outcome = zip_import_outcome_from_name(db_text_borrowed(&rows, 1)),
                                                            .annotation_count = db_int(&rows, 2), .message = db_text(&rows, 3, &rq->arena)};
    return db_finish(&rows);
}

/* --- cancelling -------------------------------------------------------------------------------------------------------------- */

Status cancel_zip_import(Request *rq, const CancelZipImportInput *in, ZipImportEnvelope *out) {
    ZipImportRecord row;
    Status status = zip_import_load(request_db(rq), &rq->arena, rq->principal.organization_id, in->import_id, &row, &rq->error);
    if (status != STATUS_OK) return status;
    if (!request_owns(rq, row.created_by) && request_require_role(rq, ACCESS_ADMIN) != STATUS_OK)
        return request_fail(rq, STATUS_NOT_OWNER, "Only its creator or an admin may cancel this import");
    status = request_cancel_job(rq, in->import_id);
    if (status == STATUS_OK) status = zip_import_load(request_db(rq), &rq->arena, rq->principal.organization_id, in->import_id, &row, &rq->error);
    if (status == STATUS_OK) out->import = zip_import_reply(&row);
    return status;
}
