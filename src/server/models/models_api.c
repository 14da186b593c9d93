/* Handlers of models: list, read, archive, download. Models are made by training runs (training/training_job.c). */
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "server/api/api_handlers.h"
#include "server/objects/objects.h"
#include "server/projects/projects.h"
#include "base/banned.h"

enum { DOWNLOAD_TTL_MS = 3600 * 1000 }; /* limits.yaml signed_urls.download_ttl_seconds */

#define MODEL_COLUMNS                                                                                                                              \
    "m.id, m.organization_id, m.name, m.description, m.model_type, m.architecture, m.visibility, m.status, m.metrics, m.class_mapping, m.version, " \
    "m.parent_model_id, m.project_id, m.training_run_id, m.file_size, m.input_size, m.created_by, m.created_at, m.updated_at, m.object, m.md5"
/* A key sees its organization's models and the public ones of others. */
#define VISIBLE "(m.organization_id = $1 OR m.visibility = 'public')"

typedef struct ModelRow {
    Model model;
    const char *object, *md5;
} ModelRow;

static IntArray sizes(Arena *arena, const char *json) {
    IntArray out = {0};
    yyjson_doc *doc = json ? json_parse(json, strlen(json), NULL) : NULL;
    yyjson_val *list = yyjson_doc_get_root(doc), *item;
    size_t index, count;
    out.items = arena_new_array(arena, int64_t, yyjson_arr_size(list));
    yyjson_arr_foreach(list, index, count, item) out.items[out.count++] = yyjson_get_sint(item);
    yyjson_doc_free(doc);
    return out;
}

static ModelRow read_row(const DbRows *rows, Arena *arena) {
    return (ModelRow){
        .model = {
            .id = db_text(rows, 0, arena), .organization_id = db_text(rows, 1, arena), .name = db_text(rows, 2, arena), .description = db_text(rows, 3, arena),
            .model_type = model_type_from_name(db_text_borrowed(rows, 4)), .architecture = db_text(rows, 5, arena),
            .visibility = model_visibility_from_name(db_text_borrowed(rows, 6)), .status = model_status_from_name(db_text_borrowed(rows, 7)),
            .metrics = db_text(rows, 8, arena), .class_mapping = db_text(rows, 9, arena), .version = db_text(rows, 10, arena),
            .parent_model_id = db_text(rows, 11, arena), .dataset_id = db_text(rows, 12, arena), .training_run_id = db_text(rows, 13, arena),
            .file_size = db_int(rows, 14), .has_file_size = !db_is_null(rows, 14), .input_size = sizes(arena, db_text_borrowed(rows, 15)),
            .has_input_size = !db_is_null(rows, 15), .created_by = db_text(rows, 16, arena), .created_at = db_int(rows, 17), .updated_at = db_int(rows, 18),
        },
        .object = db_text(rows, 19, arena), .md5 = db_text(rows, 20, arena),
    };
}

static Status load(DbSession *session, Request *rq, const char *id, ModelRow *out, Error *err) {
    DbRows rows = db_query(session, err, "SELECT " MODEL_COLUMNS " FROM models m WHERE " VISIBLE " AND m.id = $2", DB_TEXT(rq->principal.organization_id), DB_TEXT(id));
    bool found = db_next(&rows);
    if (found) *out = read_row(&rows, &rq->arena);
    Status status = db_finish(&rows);
    return status != STATUS_OK || found ? status : error_set(err, STATUS_NOT_FOUND, "Model not found");
}

Status get_model(Request *rq, const GetModelInput *in, ModelEnvelope *out) {
    ModelRow row;
    Status status = load(request_db(rq), rq, in->model_id, &row, &rq->error);
    if (status == STATUS_OK) out->model = row.model;
    return status;
}

Status list_models(Request *rq, const ListModelsInput *in, ModelListResponse *out) {
    DbSession *db = request_db(rq);
    const char *organization = rq->principal.organization_id, *project_id = NULL, *wanted = model_status_name(in->status), *type = model_type_name(in->model_type);
    if (in->dataset_name) {
        ProjectRecord project;
        Status status = project_load(db, &rq->arena, organization, in->dataset_name, &project, &rq->error);
        if (status != STATUS_OK) return status;
        project_id = project.id;
    }
    /* Archived ones show up only when asked for. */
#define MATCHING                                                                                                                     \
    " FROM models m WHERE " VISIBLE " AND ($2 IS NULL OR m.project_id = $2) AND ($3 IS NULL OR m.model_type = $3) "                  \
    "AND (m.status = $4 OR ($4 IS NULL AND m.status <> 'archived'))"
    Status status = db_read_int(db, &rq->error, &out->total, 0, "SELECT count(*)" MATCHING, DB_TEXT(organization), DB_TEXT(project_id), DB_TEXT(type), DB_TEXT(wanted));
    if (status != STATUS_OK) return status;
    out->models.items = arena_new_array(&rq->arena, Model, (size_t)in->limit);
    DbRows rows = db_query(db, &rq->error, "SELECT " MODEL_COLUMNS MATCHING " ORDER BY m.created_at DESC, m.id LIMIT $5 OFFSET $6", DB_TEXT(organization),
                           DB_TEXT(project_id), DB_TEXT(type), DB_TEXT(wanted), DB_INT(in->limit), DB_INT(in->offset));
#undef MATCHING
    while (out->models.count < (size_t)in->limit && db_next(&rows)) out->models.items[out->models.count++] = read_row(&rows, &rq->arena).model;
    out->limit = in->limit;
    out->offset = in->offset;
    out->has_total = out->has_limit = out->has_offset = true;
    return db_finish(&rows);
}

/* ---- archiving ---- */

typedef struct Archive {
    Request *rq;
    const char *id;
} Archive;

static Status archive(DbSession *tx, void *context, Error *err) {
    const Archive *a = context;
    ModelRow row;
    Status status = load(tx, a->rq, a->id, &row, err);
    if (status == STATUS_OK && !text_equal(row.model.organization_id, a->rq->principal.organization_id)) status = error_set(err, STATUS_NOT_FOUND, "Model not found");
    if (status != STATUS_OK) return status;
    if (!request_owns(a->rq, row.model.created_by) && request_require_role(a->rq, ACCESS_ADMIN) != STATUS_OK)
        return error_set(err, STATUS_NOT_OWNER, "Only its creator or an admin may archive this model");
    return db_exec(tx, err, "UPDATE models SET status = 'archived', updated_at = $1 WHERE id = $2", DB_INT(clock_now_ms()), DB_TEXT(a->id));
}

Status delete_model(Request *rq, const DeleteModelInput *in) { return request_write(rq, archive, &(Archive){rq, in->model_id}); }

/* ---- download ---- */

Status get_model_download(Request *rq, const GetModelDownloadInput *in, SignedDownload *out) {
    ModelRow row;
    Status status = load(request_db(rq), rq, in->model_id, &row, &rq->error);
    if (status != STATUS_OK) return status;
    if (row.model.status != MODEL_STATUS_READY || !row.object)
        return request_fail(rq, STATUS_MODEL_NOT_READY, "The model is %s; only a ready one can be downloaded", model_status_name(row.model.status));
    const char *filename = arena_printf(&rq->arena, "%s.onnx", row.model.name);
    ObjectClaim claim = {.action = OBJECT_GET, .subject = row.object, .filename = filename, .content_type = "application/octet-stream",
                         .expires_at = clock_now_ms() + DOWNLOAD_TTL_MS};
    *out = (SignedDownload){.download_url = object_sign(rq->server->objects, rq->base_url, &claim, &rq->arena), .expires_at = claim.expires_at,
                            .file_size = row.model.file_size, .has_file_size = row.model.has_file_size, .md5 = row.md5, .filename = filename};
    return STATUS_OK;
}
