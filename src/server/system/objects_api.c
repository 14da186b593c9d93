/* Signed addresses: the bytes behind them, in and out. No key is asked for; the signature is the permission. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/text.h"
#include "server/api/api_handlers.h"
#include "server/objects/objects.h"
#include "server/system/system.h"

#include "base/banned.h"

enum { UPLOAD_TTL_MS = 3600 * 1000 }; /* limits.yaml signed_urls.upload_ttl_seconds */

static Status check_claim(Request *rq, ObjectClaim *out, const char *token, int64_t expires, const char *signature) {
    Status status = object_verify(rq->server->objects, out, token, expires, signature, &rq->arena, &rq->error);
    if (status != STATUS_OK) return status;
    bool is_put = out->action == OBJECT_PUT;
    return is_put == (rq->method == HTTP_PUT) ? STATUS_OK : request_fail(rq, STATUS_SIGNATURE_INVALID, "This address was signed for another method");
}

/* --- out --- */

static Status send_object(Request *rq, const ObjectClaim *claim) {
    const char *md5 = NULL;
    DbRows rows = db_query(request_db(rq), &rq->error, "SELECT md5 FROM objects WHERE sha256 = $1", DB_TEXT(claim->subject));
    if (db_next(&rows)) md5 = db_text(&rows, 0, &rq->arena);
    Status status = db_finish(&rows);
    if (status != STATUS_OK) return status;
    if (!md5) return request_not_found(rq, "Object");
    return response_file(rq, objects_path(rq->server->objects, claim->subject, &rq->arena), claim->content_type ? claim->content_type : "application/octet-stream",
                         md5, claim->filename);
}

/* The annotations of an image as a bare array, ready to be written to a file. */
static Status send_annotations(Request *rq, const ObjectClaim *claim) {
    const char *document = NULL;
    DbRows rows = db_query(request_db(rq), &rq->error,
                           "SELECT COALESCE(d.document, '[]') FROM images i LEFT JOIN annotation_documents d ON d.image_id = i.id WHERE i.id = $1",
                           DB_TEXT(claim->subject));
    if (db_next(&rows)) document = db_text(&rows, 0, &rq->arena);
    Status status = db_finish(&rows);
    if (status != STATUS_OK) return status;
    if (!document) return request_not_found(rq, "Image");
    response_bytes(rq, "application/json", document, strlen(document));
    response_etag(rq, document, strlen(document));
    return STATUS_OK;
}

Status get_object(Request *rq, const GetObjectInput *in) {
    ObjectClaim claim;
    Status status = check_claim(rq, &claim, in->object_token, in->expires, in->signature);
    if (status != STATUS_OK) return status;
    return claim.action == OBJECT_ANNOTATIONS ? send_annotations(rq, &claim) : send_object(rq, &claim);
}

/* --- in --- */

static Status insert_upload(DbSession *tx, void *context, Error *err) {
    const Upload *u = context;
    return db_exec(tx, err,
                   "INSERT INTO uploads (id, organization_id, project_id, kind, folder, filename, content_type, maximum_bytes, expires_at, created_at) "
                   "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
                   DB_TEXT(u->id), DB_TEXT(u->organization_id), DB_TEXT(u->project_id), DB_TEXT(u->kind), DB_TEXT(u->folder), DB_TEXT(u->filename),
                   DB_TEXT(u->content_type), DB_INT(u->maximum_bytes), DB_INT(u->expires_at), DB_INT(clock_now_ms()));
}

Status upload_open(Request *rq, Upload *u) {
    u->organization_id = rq->principal.organization_id;
    u->id = uuid_new(arena_alloc(&rq->arena, UUID_SIZE));
    u->expires_at = clock_now_ms() + UPLOAD_TTL_MS;
    ObjectClaim claim = {.action = OBJECT_PUT, .subject = u->id, .content_type = u->content_type, .expires_at = u->expires_at};
    u->url = object_sign(rq->server->objects, rq->base_url, &claim, &rq->arena);
    return request_write(rq, insert_upload, u);
}

/* The media type without parameters, compared without case. */
static bool same_type(const char *sent, const char *signed_type) {
    size_t length = sent ? strcspn(sent, "; \t") : 0;
    return length == strlen(signed_type) && strncasecmp(sent, signed_type, length) == 0;
}

typedef struct ArrivedObject {
    const char *upload_id;
    ObjectInfo info;
} ArrivedObject;

/* An upload is over once an image was made of it, or a video registered: its bytes are then another's. */
#define UPLOAD_STATE                                                                                                                                  \
    "SELECT u.content_type, u.maximum_bytes, EXISTS (SELECT 1 FROM images i WHERE i.project_id = u.project_id AND i.folder = u.folder"                \
    " AND i.object = u.object AND i.created_at >= u.created_at) OR EXISTS (SELECT 1 FROM videos v WHERE v.id = u.id) FROM uploads u WHERE u.id = $1"

static Status registered_already(Error *err) {
    return error_set(err, STATUS_CONFLICT, "This object has been registered and can no longer be written");
}

Status begin_put_object(Request *rq, const PutObjectInput *in) {
    ObjectClaim claim;
    Status status = check_claim(rq, &claim, in->object_token, in->expires, in->signature);
    if (status != STATUS_OK) return status;
    const char *content_type = NULL;
    int64_t maximum = 0;
    bool registered = false;
    DbRows rows = db_query(request_db(rq), &rq->error, UPLOAD_STATE, DB_TEXT(claim.subject));
    if (db_next(&rows)) {
        content_type = db_text(&rows, 0, &rq->arena);
        maximum = db_int(&rows, 1);
        registered = db_int(&rows, 2) != 0;
    }
    status = db_finish(&rows);
    if (status != STATUS_OK) return status;
    if (!content_type) return request_not_found(rq, "Upload");
    if (registered) return registered_already(&rq->error);
    const char *sent = request_header(rq, "Content-Type");
    if (!same_type(sent, content_type))
        return request_fail(rq, STATUS_UNSUPPORTED_MEDIA_TYPE, "Content-Type must be the signed one, %s, not %.100s", content_type, sent ? sent : "absent");
    if (rq->content_length > maximum) return request_fail(rq, STATUS_PAYLOAD_TOO_LARGE, "File exceeds %lld MB", (long long)(maximum >> 20));
    ArrivedObject *arrived = rq->upload = arena_new(&rq->arena, ArrivedObject);
    arrived->upload_id = claim.subject;
    return object_writer_begin(&rq->pending_object, rq->server->objects, maximum, &rq->error);
}

static Status record_object(DbSession *tx, void *context, Error *err) {
    const ArrivedObject *arrived = context;
    Status status = object_insert(tx, &arrived->info, err);
    if (status != STATUS_OK) return status;
    bool registered = false, known = false;
    DbRows rows = db_query(tx, err, UPLOAD_STATE, DB_TEXT(arrived->upload_id));
    if (db_next(&rows)) known = true, registered = db_int(&rows, 2) != 0;
    status = db_finish(&rows);
    if (status != STATUS_OK) return status;
    if (!known) return error_set(err, STATUS_NOT_FOUND, "Upload not found");
    if (registered) return registered_already(err);
    return db_exec(tx, err, "UPDATE uploads SET object = $1 WHERE id = $2", DB_TEXT(arrived->info.sha256), DB_TEXT(arrived->upload_id));
}

Status put_object(Request *rq, const PutObjectInput *in, PutObjectReply *out) {
    (void)in; /* begin_put_object has looked at it; that the address may have expired meanwhile does not matter */
    ArrivedObject *arrived = rq->upload;
    ObjectWriter *writer = rq->pending_object;
    rq->pending_object = NULL;
    Status status = object_writer_commit(writer, &arrived->info, &rq->error);
    if (status == STATUS_OK) status = request_write(rq, record_object, arrived);
    if (status != STATUS_OK) return status;
    out->size = arrived->info.size;
    out->md5 = arrived->info.md5;
    rq->response.etag = arena_printf(&rq->arena, "\"%s\"", arrived->info.md5);
    return STATUS_OK;
}
