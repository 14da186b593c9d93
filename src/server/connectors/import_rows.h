/* Rows of imports. Text lives in the arena that was passed; functions with a `tx` run inside a write transaction. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "server/connectors/convert.h"
#include "server/images/images.h"
#include "server/projects/projects.h"
#include "server/store/db.h"

typedef struct ImportDataset {
    int64_t position;
    const char *remote_id, *remote_name, *workspace;
    bool has_version;
    int64_t version;
    const char *project_id; /* NULL: not made yet, or deleted */
    const char *name, *status, *error;
    int64_t total_images, imported, failed;
} ImportDataset;

typedef struct ImportRecord {
    const char *id, *organization_id, *provider, *status, *error_message, *created_by;
    int64_t created_at, completed_at;
    bool has_completed_at;
    ImportDataset *datasets;
    size_t count;
} ImportRecord;

/* organization_id NULL: of any. STATUS_NOT_FOUND "Import not found". */
Status import_load(DbSession *session, Arena *arena, const char *organization_id, const char *id, ImportRecord *out, Error *err);
bool import_is_final(const ImportRecord *record);

Status import_insert(DbSession *tx, const ImportRecord *record, Error *err);
/* The project in which an import of this dataset, that ended as error, may go on; NULL when there is none. */
Status import_find_unfinished(DbSession *tx, Arena *arena, const char *organization_id, const char *provider, const ImportDataset *dataset, const char **project_id,
                              const char **name, Error *err);
/* Makes the dataset's project under a name that is free, and names both in *dataset. */
Status import_make_project(DbSession *tx, Arena *arena, const ImportRecord *record, ImportDataset *dataset, const ClassList *classes, Error *err);
/* Counts anew from what is in the project, forgets old failures, marks as processing. */
Status import_begin_dataset(DbSession *tx, const ImportRecord *record, ImportDataset *dataset, Error *err);
/* status 'completed' or 'error' with its reason. The total becomes what was really there. */
Status import_end_dataset(DbSession *tx, const ImportRecord *record, const ImportDataset *dataset, const char *status, const char *error, Error *err);
Status import_set_total(DbSession *tx, const ImportRecord *record, const ImportDataset *dataset, int64_t total, Error *err);
/* Final state of the whole; no change when it has one already. */
Status import_end(DbSession *tx, const char *id, const char *status, const char *message, Error *err);

/* *out is 1 when the project has it, else 0. */
Status import_has_image(DbSession *session, const char *project_id, const char *remote_id, int64_t *out, Error *err);
/* An image with its annotations, their classes, its mark and counts. STATUS_ALREADY_EXISTS, STATUS_NOT_FOUND as image_insert says. */
typedef struct ImportedImage {
    const ImportRecord *record;
    const ImportDataset *dataset;
    const char *remote_id;
    NewImage image;
    const Conversion *conversion;
    Arena *arena;
} ImportedImage;
Status import_insert_image(DbSession *tx, ImportedImage *imported, Error *err);
Status import_insert_failure(DbSession *tx, const ImportRecord *record, const ImportDataset *dataset, const char *filename, const char *reason, Error *err);
