/* The three steps of an upload, as descriptions. */
#include "client/upload.h"

#include <errno.h>
#include <pictograph/images.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/text.h"
#include "client/call.h"
#include "client/failure.h"
#include "client/result.h"

#include "base/banned.h"

#define UPLOAD_SILENCE 300.0 /* limits.yaml client.upload_read_write_timeout_seconds */

static const struct {
    const char *extension, *type;
} image_types[] = {
    {".jpg", "image/jpeg"}, {".jpeg", "image/jpeg"}, {".png", "image/png"}, {".webp", "image/webp"}, {".bmp", "image/bmp"},
    {".tif", "image/tiff"}, {".tiff", "image/tiff"}, {".gif", "image/gif"}, {".heic", "image/heic"}, {".heif", "image/heif"},
};

const char *upload_content_type(const char *filename) {
    const char *extension = file_extension(filename);
    for (size_t i = 0; i < sizeof image_types / sizeof *image_types; i++)
        if (text_equal_ignoring_case(image_types[i].extension, extension)) return image_types[i].type;
    return NULL;
}

bool pictograph_is_image_name(const char *filename) {
    return upload_content_type(filename) != NULL;
}

PictographStatus upload_open(Upload *upload, const char *path, const char *filename, const char *folder_path, const char *idempotency_key,
                             PictographError *error) {
    *upload = (Upload){.path = path, .filename = filename ? filename : file_base_name(path), .folder_path = folder_path ? folder_path : "/"};
    if (idempotency_key) snprintf(upload->idempotency_key, sizeof upload->idempotency_key, "%s", idempotency_key);
    if (!(upload->content_type = upload_content_type(upload->filename)))
        return failure_set(error, PICTOGRAPH_VALIDATION, "'%s' is no image: its name must end in .jpg, .jpeg, .png, .webp, .bmp, .tif, .tiff, "
                           ".gif or .heic", upload->filename);
    if (!text_is_utf8(upload->filename, strlen(upload->filename)) || !text_is_utf8(upload->folder_path, strlen(upload->folder_path)))
        return failure_set(error, PICTOGRAPH_VALIDATION, "The name is not UTF-8");
    for (const char *at = upload->filename; *at; at++)
        if (*at == '\\' || (unsigned char)*at < 0x20) return failure_set(error, PICTOGRAPH_VALIDATION, "The name holds a backslash or a control character");
    struct stat info;
    upload->file = fopen(path, "rbe");
    if (!upload->file || fstat(fileno(upload->file), &info)) return failure_set(error, PICTOGRAPH_FILE, "%s: %s", path, strerror(errno));
    if (!S_ISREG(info.st_mode)) return failure_set(error, PICTOGRAPH_FILE, "%s: not a regular file", path);
    upload->size = info.st_size;
    return PICTOGRAPH_OK;
}

void upload_close(Upload *upload) {
    if (upload->file) fclose(upload->file);
    pictograph_result_free(upload->target);
    *upload = (Upload){0};
}

/* One key for the caller, one for each step at the server. */
static void derive_key(const Upload *upload, Exchange *exchange, const char *step) {
    if (upload->idempotency_key[0]) snprintf(exchange->idempotency_key, sizeof exchange->idempotency_key, "%.240s-%s", upload->idempotency_key, step);
}

void upload_describe_address(const Upload *upload, PictographClient *client, Exchange *exchange) {
    exchange_init(exchange, client, "POST");
    exchange_set_path(exchange, "images/upload-url", NULL);
    derive_key(upload, exchange, "upload-url");
    exchange->content_type = "application/json";
    JsonWriter writer = call_body(&exchange->body);
    json_field_string(&writer, "dataset_id", upload->dataset_id);
    json_field_string(&writer, "filename", upload->filename);
    json_field_string(&writer, "folder_path", upload->folder_path);
    json_field_string(&writer, "content_type", upload->content_type);
    json_field_int(&writer, "file_size", upload->size);
    json_end_object(&writer);
}

PictographStatus upload_keep_target(Upload *upload, Exchange *previous, PictographError *error) {
    upload->target = exchange_result(previous, NULL, error);
    if (!upload->target) return PICTOGRAPH_SERVER;
    if (!pictograph_text(upload->target, "/upload_url") || !pictograph_text(upload->target, "/gcs_path"))
        return failure_set(error, PICTOGRAPH_SERVER, "The server gave no address to upload to");
    return PICTOGRAPH_OK;
}

void upload_describe_put(const Upload *upload, PictographClient *client, Exchange *exchange) {
    exchange_init(exchange, client, "PUT");
    exchange_set_signed_url(exchange, pictograph_text(upload->target, "/upload_url"));
    exchange->content_type = upload->content_type;
    exchange->source = upload->file;
    exchange->source_size = upload->size;
    exchange->silence = UPLOAD_SILENCE;
    exchange->progress = upload->progress;
    exchange->progress_context = upload->context;
}

void upload_describe_register(const Upload *upload, PictographClient *client, Exchange *exchange) {
    exchange_init(exchange, client, "POST");
    exchange_set_path(exchange, "images/register", NULL);
    derive_key(upload, exchange, "register");
    exchange->content_type = "application/x-www-form-urlencoded";
    const struct {
        const char *key, *value;
    } fields[] = {
        {"dataset_id", upload->dataset_id},
        {"filename", upload->filename},
        {"folder_path", upload->folder_path},
        {"gcs_bucket", pictograph_text(upload->target, "/gcs_bucket")},
        {"gcs_path", pictograph_text(upload->target, "/gcs_path")},
        {"gcs_uri", pictograph_text(upload->target, "/gcs_uri")},
        {"file_size", call_number(upload->size)},
        {"mime_type", upload->content_type},
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        if (!fields[i].value) continue;
        buffer_printf(&exchange->body, "%s%s=", exchange->body.size ? "&" : "", fields[i].key);
        buffer_append_escaped(&exchange->body, fields[i].value);
    }
}
