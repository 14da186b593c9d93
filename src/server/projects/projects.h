/* Projects (datasets): the record, its class list, its derived counts. What other features may use of this one.
 *
 * Text lives in the arena that was passed. Functions that take a `tx` run inside a write transaction (store/db.h).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "server/api/api_types.h"
#include "server/store/db.h"

typedef struct ProjectClassRecord {
    const char *name;
    const char *type;  /* "bbox" … */
    const char *color; /* CSS */
} ProjectClassRecord;

typedef struct ClassList {
    ProjectClassRecord *items;
    size_t count;
    size_t capacity;
} ClassList;

typedef struct ProjectRecord {
    const char *id, *organization_id, *name, *description; /* description may be NULL */
    const char *annotation_types;                          /* JSON array of names */
    const char *classes_json;                              /* as stored */
    ClassList classes;
    int64_t image_count, completed_image_count, total_size, archived_images;
    const char *created_by;
    int64_t created_at, updated_at; /* ms */
} ProjectRecord;

/* By name inside an organization. STATUS_NOT_FOUND with the text "Project 'x' not found". */
Status project_load(DbSession *session, Arena *arena, const char *organization_id, const char *name, ProjectRecord *out, Error *err);
/* By id inside an organization. STATUS_NOT_FOUND, a malformed id too. */
Status project_load_by_id(DbSession *session, Arena *arena, const char *organization_id, const char *id, ProjectRecord *out, Error *err);
/* One page ordered by name; *total counts all. */
Status project_page(DbSession *session, Arena *arena, const char *organization_id, int64_t limit, int64_t offset, ProjectRecord **out,
                    size_t *count, int64_t *total, Error *err);

/* Class lists. Parsing takes what class_list_text wrote, which gives each class without a colour the first of the palette that is not used. */
ClassList class_list_parse(Arena *arena, const char *json);
char *class_list_text(Arena *arena, const ClassList *list);
const ProjectClassRecord *class_list_find(const ClassList *list, const char *name);
/* Appends; type NULL becomes `default_type`. */
void class_list_add(Arena *arena, ClassList *list, const char *name, const char *type, const char *color, const char *default_type);
/* Adds the classes that the project lacks, inside a transaction. */
Status project_add_classes(DbSession *tx, Arena *arena, const char *project_id, const ClassList *more, Error *err);
/* Remembers a label that a prompt returned, so that a save may add it to the classes. */
Status project_remember_label(DbSession *tx, Arena *arena, const char *project_id, const char *label, const char *type, Error *err);

/* Derived counts move with every change of images. Organization totals move along. */
typedef struct ProjectDelta {
    int64_t images, completed, bytes, archived; /* of the project; images and bytes without the archived ones */
    int64_t organization_images, organization_bytes; /* archived ones included */
} ProjectDelta;
Status project_count(DbSession *tx, const char *project_id, const ProjectDelta *delta, Error *err);

/* As replies spell them; the dataset is another view of the same row. */
AnnotationKindArray project_kinds(Arena *arena, const char *annotation_types);
ProjectClassArray project_classes(Arena *arena, const ClassList *list);
