/* Images: the record, and what other features may ask of it. Text lives in the arena that was passed. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "server/api/api_types.h"
#include "server/api/request.h"
#include "server/objects/objects.h"
#include "server/store/db.h"

typedef struct ImageRecord {
    const char *id, *project_id, *folder, *filename, *stage;
    bool is_archived;
    int64_t annotation_count, file_size;
    const char *object, *md5, *mime_type; /* object: sha256 of the bytes */
    bool has_size;
    int64_t width, height; /* pixels after EXIF rotation, when has_size */
    const char *display_name, *created_by;
    int64_t created_at, updated_at; /* ms */
} ImageRecord;

/* Columns in the order of image_read_row, of a table named i. */
#define IMAGE_COLUMNS                                                                                                               \
    "i.id, i.project_id, i.folder, i.filename, i.stage, i.is_archived, i.annotation_count, i.file_size, i.object, i.md5, "           \
    "i.mime_type, i.width, i.height, i.display_name, i.created_by, i.created_at, i.updated_at"
ImageRecord image_read_row(const DbRows *rows, Arena *arena);

/* Inside an organization, archived or not. STATUS_NOT_FOUND "Image not found", for a malformed id too. */
Status image_load(DbSession *session, Arena *arena, const char *organization_id, const char *id, ImageRecord *out, Error *err);

/* By what a user calls it in a dataset: a file name, or a full virtual path that starts with '/'. Archived images are left out. *out is an
 * array of all bearers, ordered by folder. */
Status image_find_by_name(DbSession *session, Arena *arena, const char *project_id, const char *name, ImageRecord **out, size_t *count, Error *err);

/* The condensed view of a stage: new, in_progress, complete. */
const char *image_progress(const char *stage);
/* SQL condition of a status filter ("all", "complete", "in_progress", "new", "annotate", "review") on column i.stage, a constant text. */
const char *image_filter_condition(const char *status_filter);

/* Absolute addresses. */
char *image_url(Request *rq, const char *image_id);
char *image_thumbnail_url(Request *rq, const char *image_id);
char *image_annotation_url(Request *rq, const char *image_id);

/* As replies spell it. */
Image image_reply(Request *rq, const ImageRecord *row);

/* Archives or restores, inside a transaction; counts follow. STATUS_ALREADY_EXISTS when a restored one's name was taken meanwhile. */
Status image_archive(DbSession *tx, const ImageRecord *image, bool archive, Error *err);
/* Removes images for good, inside a transaction: annotations, index rows and counts go; objects that nothing uses any more are swept later. */
Status image_remove(DbSession *tx, const ImageRecord *image, Error *err);

/* limits.yaml images.max_bytes, filename_max_chars, folder_path_max_chars */
enum { IMAGE_MAXIMUM_BYTES = 52428800, IMAGE_FILENAME_CHARACTERS = 255, IMAGE_FOLDER_CHARACTERS = 1024 };

/* Bytes on their way to an image. Whoever brings images in fills the first part and calls image_inspect, then image_insert in a transaction, before
 * which it asks organizations.h for room. */
typedef struct NewImage {
    const char *project_id, *folder, *sent_name, *created_by; /* folder "/" or "/a/b"; sent_name: a base name with a known extension */
    const char *display_name;                                 /* may be NULL */
    ObjectInfo object; /* the bytes; HEIC's are replaced by those of its PNG */
    const char *id, *filename, *mime_type;
    int64_t width, height; /* pixels after EXIF rotation */
} NewImage;

/* The name under which it will lie: HEIC becomes PNG. */
const char *image_stored_name(Arena *arena, const char *filename);
/* Has the media worker decode the whole object and fills the second part, in the arena. STATUS_UNDECODABLE_MEDIA, STATUS_IMAGE_TOO_LARGE; stop as
 * for workers_call. */
Status image_inspect(Server *server, Arena *arena, NewImage *image, bool (*stop)(void *context), void *context, Error *err);
/* The rows, inside a transaction; counts follow. STATUS_ALREADY_EXISTS when the name is taken, STATUS_NOT_FOUND when the project is gone. */
Status image_insert(DbSession *tx, const NewImage *image, Error *err);
