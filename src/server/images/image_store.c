/* Rows of images. */
#include <string.h>

#include "server/images/images.h"
#include "server/projects/projects.h"
#include "base/banned.h"

ImageRecord image_read_row(const DbRows *rows, Arena *arena) {
    return (ImageRecord){
        .id = db_text(rows, 0, arena), .project_id = db_text(rows, 1, arena), .folder = db_text(rows, 2, arena),
        .filename = db_text(rows, 3, arena), .stage = db_text(rows, 4, arena), .is_archived = db_int(rows, 5) != 0,
        .annotation_count = db_int(rows, 6), .file_size = db_int(rows, 7), .object = db_text(rows, 8, arena),
        .md5 = db_text(rows, 9, arena), .mime_type = db_text(rows, 10, arena), .has_size = !db_is_null(rows, 11),
        .width = db_int(rows, 11), .height = db_int(rows, 12), .display_name = db_text(rows, 13, arena),
        .created_by = db_text(rows, 14, arena), .created_at = db_int(rows, 15), .updated_at = db_int(rows, 16),
    };
}

Status image_load(DbSession *session, Arena *arena, const char *organization_id, const char *id, ImageRecord *out, Error *err) {
    DbRows rows = db_query(session, err,
                           "SELECT " IMAGE_COLUMNS " FROM images i JOIN projects p ON p.id = i.project_id "
                           "WHERE i.id = $1 AND p.organization_id = $2", DB_TEXT(id), DB_TEXT(organization_id));
    bool found = db_next(&rows);
    if (found) *out = image_read_row(&rows, arena);
    Status status = db_finish(&rows);
    return status != STATUS_OK || found ? status : error_set(err, STATUS_NOT_FOUND, "Image not found");
}

Status image_find_by_name(DbSession *session, Arena *arena, const char *project_id, const char *name, ImageRecord **out, size_t *count, Error *err) {
    enum { BEARERS = 10000 }; /* more folders than anyone gives one name */
    const char *slash = strrchr(name, '/');
    const char *base = slash ? slash + 1 : name;
    const char *folder = !slash ? NULL : slash == name ? "/" : arena_strndup(arena, name, (size_t)(slash - name));
    /* Not "is_archived = 0": SQLite would walk the whole project along images_by_place or images_by_stage instead of asking images_by_name. */
    DbRows rows = db_query(session, err,
                           "SELECT " IMAGE_COLUMNS " FROM images i WHERE i.project_id = $1 AND i.filename = $2 AND i.is_archived + 0 = 0 "
                           "AND ($3 IS NULL OR i.folder = $3) ORDER BY i.folder LIMIT $4",
                           DB_TEXT(project_id), DB_TEXT(base), DB_TEXT(folder), DB_INT(BEARERS));
    size_t capacity = 0;
    *out = NULL;
    *count = 0;
    while (db_next(&rows)) {
        if (*count == capacity) {
            capacity = capacity ? capacity * 4 : 1;
            ImageRecord *more = arena_new_array(arena, ImageRecord, capacity);
            if (*count) memcpy(more, *out, *count * sizeof *more);
            *out = more;
        }
        (*out)[(*count)++] = image_read_row(&rows, arena);
    }
    return db_finish(&rows);
}

const char *image_progress(const char *stage) {
    return strcmp(stage, "annotate") == 0 || strcmp(stage, "review") == 0 ? "in_progress" : stage;
}

const char *image_filter_condition(const char *status_filter) {
    static const char *const CONDITIONS[][2] = {
        {"complete", "i.stage = 'complete'"}, {"in_progress", "i.stage IN ('annotate', 'review')"}, {"new", "i.stage = 'new'"},
        {"annotate", "i.stage = 'annotate'"}, {"review", "i.stage = 'review'"},
    };
    for (size_t i = 0; status_filter && i < sizeof CONDITIONS / sizeof *CONDITIONS; i++)
        if (strcmp(CONDITIONS[i][0], status_filter) == 0) return CONDITIONS[i][1];
    return "1 = 1";
}

char *image_url(Request *rq, const char *image_id) {
    return arena_printf(&rq->arena, "%s/api/v1/developer/images/%s", rq->base_url, image_id);
}

char *image_thumbnail_url(Request *rq, const char *image_id) {
    return arena_printf(&rq->arena, "%s/api/v1/developer/images/%s/thumbnail", rq->base_url, image_id);
}

char *image_annotation_url(Request *rq, const char *image_id) {
    return arena_printf(&rq->arena, "%s/api/v1/developer/annotations/%s/file", rq->base_url, image_id);
}

Status image_remove(DbSession *tx, const ImageRecord *image, Error *err) {
    Status status = db_exec(tx, err, "DELETE FROM images WHERE id = $1", DB_TEXT(image->id));
    if (status != STATUS_OK) return status;
    if (db_changes(tx) == 0) return error_set(err, STATUS_NOT_FOUND, "Image not found");
    status = object_discard(tx, image->object, err);
    if (status != STATUS_OK) return status;
    ProjectDelta delta = {.organization_images = -1, .organization_bytes = -image->file_size};
    if (image->is_archived) {
        delta.archived = -1;
    } else {
        delta.images = -1;
        delta.bytes = -image->file_size;
        delta.completed = strcmp(image->stage, "complete") == 0 ? -1 : 0;
    }
    return project_count(tx, image->project_id, &delta, err);
}
