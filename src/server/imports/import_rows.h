/* Rows of imports, and the project that grows out of sight until it is whole. Private to this feature.
 *
 * While an import runs, its project belongs to an organization that nobody has a key of and is called by its id: no listing, name or address
 * leads to it. The last transaction gives it its name and its organization, however many images it has; an import that ends otherwise
 * removes it.
 */
#pragma once
#include "annotation/annotation.h"
#include "server/api/api_types.h"
#include "server/images/images.h"
#include "server/jobs/jobs.h"
#include "server/projects/projects.h"
#include "server/store/db.h"

typedef struct ZipImportRecord {
    const char *id, *organization_id, *name, *description;
    const char *wanted_format, *format; /* as asked for, as found; NULL */
    ZipImportStatus status;
    int64_t progress, image_count, annotation_count, taken, mended, left_out;
    const char *error_message, *object; /* object: the zip, while it is needed */
    const char *created_by;
    bool has_completed_at;
    int64_t created_at, completed_at; /* ms */
} ZipImportRecord;

/* Columns in the order of zip_import_read_row, of a table named m. */
#define ZIP_IMPORT_COLUMNS                                                                                                                  \
    "m.id, m.organization_id, m.name, m.description, m.wanted_format, m.format, m.status, m.progress, m.image_count, m.annotation_count, " \
    "m.taken, m.mended, m.left_out, m.error_message, m.object, m.created_by, m.created_at, m.completed_at"
ZipImportRecord zip_import_read_row(const DbRows *rows, Arena *arena);
/* organization_id NULL: any. STATUS_NOT_FOUND. */
Status zip_import_load(DbSession *session, Arena *arena, const char *organization_id, const char *id, ZipImportRecord *out, Error *err);

/* A line of the report, and the image that it may stand for. */
typedef struct ZipImportItem {
    const char *file, *message;
    ZipImportOutcome outcome;
    NewImage image;              /* its id is NULL when there is none */
    const char *wanted_id;       /* the image's id in the archive; taken when it is free. NULL: none */
    const char *stage;           /* NULL: by the rule of a save */
    AnnotationList annotations;
} ZipImportItem;

/* All of these run inside a transaction. */
/* An empty project out of sight; the report starts anew. */
Status zip_import_begin(DbSession *tx, const ZipImportRecord *record, Error *err);
/* Rows of the items; sequence is the number of the first line. Counts and progress follow. */
Status zip_import_add(DbSession *tx, Arena *arena, const ZipImportRecord *record, ZipImportItem *items, size_t count, int64_t sequence, int64_t progress, Error *err);
/* The project becomes visible; description, which may be NULL, counts where the request brought none. STATUS_ALREADY_EXISTS when its name is taken, STATUS_TIER_LIMIT_EXCEEDED when the plan has no room. */
Status zip_import_publish(DbSession *tx, Arena *arena, const ZipImportRecord *record, const char *description, const char *annotation_types, const ClassList *classes,
                          Error *err);
/* Takes at most `most` images of the hidden project away, and with the last ones the project; *out_removed counts images. */
Status zip_import_drop(DbSession *tx, const char *id, int64_t most, int64_t *out_removed, Error *err);
/* The archive's bytes may go. */
Status zip_import_discard_archive(DbSession *tx, const char *id, Error *err);
