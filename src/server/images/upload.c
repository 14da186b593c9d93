/* Handlers that bring images in: a signed address, the registration of what arrived there, and both in one multipart request.
 *
 * Bytes are decoded by pictograph-media before the image's row is written: what no decoder reads whole never becomes an image.
 */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/text.h"
#include "formats/names.h"
#include "server/api/api_handlers.h"
#include "server/api/patterns.h"
#include "server/images/images.h"
#include "server/jobs/workers.h"
#include "server/objects/objects.h"
#include "server/organizations/organizations.h"
#include "server/projects/projects.h"
#include "server/system/system.h"
#include "base/banned.h"

typedef struct ImageKind {
    const char *mime_type, *other_mime_type;
} ImageKind;

static const ImageKind KINDS[] = {
    {"image/jpeg", "image/jpg"}, {"image/png", NULL}, {"image/webp", NULL}, {"image/bmp", "image/x-ms-bmp"}, {"image/tiff", NULL}, {"image/gif", NULL},
    {"image/heic", "image/heif"},
};
enum { KIND_COUNT = sizeof KINDS / sizeof *KINDS };

static bool mime_type_is_known(const char *mime_type) {
    for (size_t i = 0; i < KIND_COUNT; i++)
        if (text_equal_ignoring_case(mime_type, KINDS[i].mime_type) || (KINDS[i].other_mime_type && text_equal_ignoring_case(mime_type, KINDS[i].other_mime_type)))
            return true;
    return false;
}

static Status name_taken(Request *rq, const char *folder, const char *filename) {
    return request_fail(rq, STATUS_ALREADY_EXISTS, "Image '%s' already exists in folder '%s'", filename, folder);
}

static bool name_is_taken(DbSession *session, const char *project_id, const char *folder, const char *filename) {
    return db_get_int(session, NULL, 0, "SELECT 1 FROM images WHERE project_id = $1 AND folder = $2 AND filename = $3 AND is_archived = 0",
                      DB_TEXT(project_id), DB_TEXT(folder), DB_TEXT(filename)) != 0;
}

/* What both ways of uploading refuse before any byte is looked at. */
static Status refuse_early(Request *rq, const char *dataset_id, const char *filename, ProjectRecord *project) {
    if (!name_is_image(filename))
        return request_fail(rq, STATUS_UNSUPPORTED_MEDIA_TYPE, "%s: unsupported image type '%s'; known are .jpg .jpeg .png .webp .bmp .tif .tiff .gif .heic", filename,
                            file_extension(filename));
    return project_load_by_id(request_db(rq), &rq->arena, rq->principal.organization_id, dataset_id, project, &rq->error);
}

/* ---- step 1 ---- */

Status create_image_upload_url(Request *rq, const CreateImageUploadUrlInput *in, UploadTarget *out) {
    const ImageUploadUrlRequest *body = in->body;
    if (!mime_type_is_known(body->content_type))
        return request_fail(rq, STATUS_UNSUPPORTED_MEDIA_TYPE, "%s: unsupported content type '%s'", body->filename, body->content_type);
    if (body->has_file_size && body->file_size > IMAGE_MAXIMUM_BYTES)
        return request_fail(rq, STATUS_PAYLOAD_TOO_LARGE, "%s: %lld bytes exceed 50 MB", body->filename, (long long)body->file_size);
    ProjectRecord project;
    Status status = refuse_early(rq, body->dataset_id, body->filename, &project);
    if (status == STATUS_OK) status = organization_require_room(rq, request_db(rq), 1, body->has_file_size ? body->file_size : 0, &rq->error);
    if (status != STATUS_OK) return status;
    const char *name = image_stored_name(&rq->arena, body->filename);
    if (name_is_taken(request_db(rq), project.id, body->folder_path, name)) return name_taken(rq, body->folder_path, name);

    Upload upload = {.kind = "image", .project_id = project.id, .folder = body->folder_path, .filename = body->filename, .content_type = body->content_type,
                     .maximum_bytes = IMAGE_MAXIMUM_BYTES};
    status = upload_open(rq, &upload);
    if (status != STATUS_OK) return status;
    const char *path = arena_printf(&rq->arena, "uploads/%s/%s", upload.id, body->filename);
    *out = (UploadTarget){
        .upload_url = upload.url, .gcs_bucket = UPLOAD_BUCKET, .gcs_path = path,
        .gcs_uri = arena_printf(&rq->arena, "gs://" UPLOAD_BUCKET "/%s", path), .content_type = body->content_type, .max_bytes = IMAGE_MAXIMUM_BYTES,
        .has_max_bytes = true, .expires_at = upload.expires_at,
    };
    return STATUS_OK;
}

/* ---- step 3 ---- */

typedef struct Registration {
    Request *rq;
    ProjectRecord project;
    NewImage image;
    ImageRecord row;
} Registration;

static Status insert_image(DbSession *tx, void *context, Error *err) {
    Registration *r = context;
    Request *rq = r->rq;
    Status status = organization_require_room(rq, tx, 1, r->image.object.size, err);
    if (status == STATUS_OK) status = image_insert(tx, &r->image, err);
    return status == STATUS_OK ? image_load(tx, &rq->arena, rq->principal.organization_id, r->image.id, &r->row, err) : status;
}

static Status add_image(Registration *r, const char *sent_name, ImageRegisterResponse *out) {
    Request *rq = r->rq;
    r->image.project_id = r->project.id;
    r->image.sent_name = sent_name;
    r->image.created_by = request_creator(rq);
    Status status = image_inspect(rq->server, &rq->arena, &r->image, NULL, NULL, &rq->error);
    if (status != STATUS_OK) return status;
    status = request_write(rq, insert_image, r);
    if (status == STATUS_ALREADY_EXISTS) return name_taken(rq, r->image.folder, r->image.filename);
    if (status != STATUS_OK) return status;
    out->image_id = r->image.id;
    out->image = arena_new(&rq->arena, Image);
    *out->image = image_reply(rq, &r->row);
    return STATUS_OK;
}

static Status no_upload(Request *rq, const char *message) {
    request_field_error(rq, "value_error", message, "body", "gcs_path", NULL);
    return request_fail(rq, STATUS_VALIDATION_ERROR, "%s", message);
}

/* The object that arrived at the address which upload-url gave out. */
static Status find_upload(Request *rq, const ImageRegisterRequest *body, const char *project_id, ObjectInfo *out) {
    static const char PREFIX[] = "uploads/";
    char id[UUID_SIZE] = "";
    if (text_starts_with(body->gcs_path, PREFIX) && strlen(body->gcs_path) >= sizeof PREFIX - 1 + UUID_SIZE - 1)
        memcpy(id, body->gcs_path + sizeof PREFIX - 1, UUID_SIZE - 1);
    DbRows rows = db_query(request_db(rq), &rq->error,
                           "SELECT o.sha256, o.md5, o.size FROM uploads u LEFT JOIN objects o ON o.sha256 = u.object "
                           "WHERE u.id = $1 AND u.organization_id = $2 AND u.project_id = $3 AND u.kind = 'image'",
                           DB_TEXT(id), DB_TEXT(rq->principal.organization_id), DB_TEXT(project_id));
    bool known = db_next(&rows), arrived = known && !db_is_null(&rows, 0);
    if (arrived) {
        snprintf(out->sha256, sizeof out->sha256, "%s", db_text_borrowed(&rows, 0));
        snprintf(out->md5, sizeof out->md5, "%s", db_text_borrowed(&rows, 1));
        out->size = db_int(&rows, 2);
    }
    Status status = db_finish(&rows);
    if (status != STATUS_OK || arrived) return status;
    return no_upload(rq, known ? "Nothing was uploaded to this address yet" : "No upload of this dataset has this path");
}

Status register_image(Request *rq, const RegisterImageInput *in, ImageRegisterResponse *out) {
    const ImageRegisterRequest *body = in->body;
    Registration r = {.rq = rq, .image.folder = body->folder_path};
    Status status = refuse_early(rq, body->dataset_id, body->filename, &r.project);
    if (status == STATUS_OK) status = find_upload(rq, body, r.project.id, &r.image.object);
    return status == STATUS_OK ? add_image(&r, body->filename, out) : status;
}

/* ---- all steps at once ---- */

Status upload_image_direct(Request *rq, const UploadImageDirectInput *in, ImageRegisterResponse *out) {
    const ImageMultipartRequest *body = in->body;
    const char *filename = body->filename ? body->filename : body->file.file_name;
    if (!filename || !*filename || !PATTERN_FILE_NAME.matches(filename) || text_length(filename) > IMAGE_FILENAME_CHARACTERS) {
        request_field_error(rq, "value_error", "A base name of at most 255 characters is needed", "body", "filename", NULL);
        return request_fail(rq, STATUS_VALIDATION_ERROR, "The file has no usable name");
    }
    Registration r = {.rq = rq, .image.folder = body->folder_path};
    Status status = refuse_early(rq, body->dataset_id, filename, &r.project);
    ObjectWriter *writer = NULL;
    if (status == STATUS_OK) status = object_writer_begin(&writer, rq->server->objects, IMAGE_MAXIMUM_BYTES, &rq->error);
    if (status != STATUS_OK) return status;
    status = object_writer_write(writer, body->file.data, body->file.size, &rq->error);
    if (status != STATUS_OK) {
        object_writer_abort(writer);
        return status;
    }
    status = object_writer_commit(writer, &r.image.object, &rq->error);
    return status == STATUS_OK ? add_image(&r, filename, out) : status;
}
