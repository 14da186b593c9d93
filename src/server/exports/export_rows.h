/* Rows of exports and of their snapshots. Private to this feature. */
#pragma once
#include "formats/dataset.h"
#include "server/api/api_types.h"
#include "server/jobs/jobs.h"
#include "server/projects/projects.h"
#include "server/store/db.h"

typedef struct ExportRecord {
    const char *id, *project_id, *organization_id, *dataset_name, *name;
    ExportFormat format;
    bool include_images;
    const char *class_filter;  /* JSON array; NULL: all classes */
    const char *status_filter; /* NULL: all images */
    ExportStatus status;
    const char *error_message, *object, *md5; /* NULL while there is none */
    bool has_file_size, has_counts, has_completed_at;
    int64_t file_size, image_count, annotation_count;
    const char *created_by;
    int64_t created_at, completed_at; /* ms */
} ExportRecord;

/* Columns in the order of export_read_row, of tables named e and p (projects). */
#define EXPORT_COLUMNS                                                                                                                     \
    "e.id, e.project_id, e.organization_id, p.name, e.name, e.format, e.include_images, e.class_filter, e.status_filter, e.status, "         \
    "e.error_message, e.object, e.md5, e.file_size, e.image_count, e.annotation_count, e.created_by, e.created_at, e.completed_at"
ExportRecord export_read_row(const DbRows *rows, Arena *arena);

/* STATUS_NOT_FOUND, which names the dataset or the export. */
Status export_load(DbSession *session, Arena *arena, const char *organization_id, const char *dataset_name, const char *name, ExportRecord *out, Error *err);
Status export_load_by_id(DbSession *session, Arena *arena, const char *id, ExportRecord *out, Error *err);

/* STATUS_NOT_FOUND when a status filter picks no image of a project. */
Status export_require_images(DbSession *session, Arena *arena, const char *project_id, const char *status_filter, Error *err);
/* At most `most` rows that were kept for an export go; *out_removed tells how many did. */
Status export_drop_snapshot(DbSession *tx, const char *export_id, int64_t most, int64_t *out_removed, Error *err);

/* What else must stay as it was at creation, for the job: JSON {"export_id", "dataset_name", "description", "annotation_types", "classes": […]}. class_filter NULL: all classes. */
char *export_payload(Arena *arena, const char *export_id, const ProjectRecord *project, const StringArray *class_filter);
/* The reading of it; texts are borrowed from the payload. */
DatasetInfo export_info(Arena *arena, yyjson_val *payload, bool include_images);

/* Reads the images as they were when the export was created, by folder and name, page by page. Each page is one statement, so that no old
 * state of the database is pinned while a large zip is written. */
typedef struct SnapshotReader SnapshotReader;
SnapshotReader *snapshot_reader_new(const Job *job, const ExportRecord *record, const DatasetInfo *info);
void snapshot_reader_free(SnapshotReader *reader);
DatasetSource snapshot_reader_source(SnapshotReader *reader);
/* Images with an annotation, of the last pass with annotations. */
int64_t snapshot_reader_annotated(const SnapshotReader *reader);
