/* Bytes become an image: decoded by the media worker, then a row. Register, direct upload and imports come through here. */
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "server/images/images.h"
#include "server/jobs/workers.h"
#include "server/projects/projects.h"
#include "base/banned.h"

enum { INSPECT_TIMEOUT_SECONDS = 60 };

static bool is_heic(const char *filename) {
    const char *extension = file_extension(filename);
    return text_equal_ignoring_case(extension, ".heic") || text_equal_ignoring_case(extension, ".heif");
}

const char *image_stored_name(Arena *arena, const char *filename) {
    if (!is_heic(filename)) return filename;
    return arena_printf(arena, "%.*s.png", (int)(file_extension(filename) - filename), filename);
}

Status image_inspect(Server *server, Arena *arena, NewImage *image, bool (*stop)(void *context), void *context, Error *err) {
    Objects *objects = server->objects;
    image->id = uuid_new(arena_alloc(arena, UUID_SIZE));
    image->filename = image_stored_name(arena, image->sent_name);
    const char *work = is_heic(image->sent_name) ? objects_work_directory(objects, image->id, arena, err) : NULL;
    if (is_heic(image->sent_name) && !work) return err->status;
    Buffer params;
    JsonWriter w;
    buffer_init(&params, 65536);
    json_writer_init(&w, &params);
    json_begin_object(&w);
    json_field_string(&w, "path", objects_path(objects, image->object.sha256, arena));
    json_field_string(&w, "filename", image->sent_name);
    if (work) json_field_string(&w, "convert_to", arena_printf(arena, "%s/%s.png", work, image->id));
    json_end_object(&w);
    yyjson_doc *reply = NULL;
    Status status = workers_call(server->media, &reply, "inspect", buffer_text(&params), INSPECT_TIMEOUT_SECONDS, stop, context, err);
    buffer_clear(&params);
    if (status == STATUS_OK) {
        yyjson_val *result = yyjson_obj_get(yyjson_doc_get_root(reply), "result");
        image->width = json_get_int(result, "width", 0);
        image->height = json_get_int(result, "height", 0);
        image->mime_type = arena_strdup(arena, json_get_string(result, "mime_type", "application/octet-stream"));
        const char *path = json_get_string(result, "converted_path", NULL);
        if (path) status = objects_adopt_file(objects, path, &image->object, err);
    }
    yyjson_doc_free(reply);
    if (work) file_remove_tree(work, NULL);
    if (status != STATUS_OK && status != STATUS_CANCELLED && !strstr(err->message, image->sent_name)) error_prefix(err, "%s", image->sent_name);
    return status;
}

Status image_insert(DbSession *tx, const NewImage *image, Error *err) {
    Status status = object_insert(tx, &image->object, err);
    if (status == STATUS_OK)
        status = db_exec(tx, err,
                         "INSERT INTO images (id, project_id, folder, filename, object, file_size, md5, mime_type, width, height, created_by, created_at, updated_at, "
                         "display_name) SELECT $1, id, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12, $13 FROM projects WHERE id = $2",
                         DB_TEXT(image->id), DB_TEXT(image->project_id), DB_TEXT(image->folder), DB_TEXT(image->filename), DB_TEXT(image->object.sha256),
                         DB_INT(image->object.size), DB_TEXT(image->object.md5), DB_TEXT(image->mime_type), DB_INT(image->width), DB_INT(image->height),
                         DB_TEXT(image->created_by), DB_INT(clock_now_ms()), DB_TEXT(image->display_name));
    if (status != STATUS_OK) return status;
    if (db_changes(tx) == 0) return error_set(err, STATUS_NOT_FOUND, "Dataset not found"); /* deleted meanwhile */
    ProjectDelta delta = {.images = 1, .bytes = image->object.size, .organization_images = 1, .organization_bytes = image->object.size};
    return project_count(tx, image->project_id, &delta, err);
}
