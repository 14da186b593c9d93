/* Handlers of the projects: create, read, list, change, delete. */
#include <stdlib.h>
#include <string.h>

#include "annotation/annotation.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/json.h"
#include "server/annotations/annotations.h"
#include "server/api/api_handlers.h"
#include "server/jobs/jobs.h"
#include "server/organizations/organizations.h"
#include "server/projects/projects.h"
#include "base/banned.h"

/* ---- from row to reply ---- */

AnnotationKindArray project_kinds(Arena *arena, const char *annotation_types) {
    AnnotationKindArray kinds = {.items = arena_new_array(arena, AnnotationKind, ANNOTATION_KIND_TABLE.count)};
    yyjson_doc *doc = json_parse(annotation_types, strlen(annotation_types), NULL);
    size_t index, count;
    yyjson_val *item;
    yyjson_arr_foreach(yyjson_doc_get_root(doc), index, count, item) {
        AnnotationKind kind = annotation_kind_from_name(yyjson_get_str(item));
        if (kind && kinds.count < (size_t)ANNOTATION_KIND_TABLE.count) kinds.items[kinds.count++] = kind;
    }
    yyjson_doc_free(doc);
    return kinds;
}

ProjectClassArray project_classes(Arena *arena, const ClassList *list) {
    ProjectClassArray classes = {.items = arena_new_array(arena, ProjectClass, list->count), .count = list->count};
    for (size_t i = 0; i < list->count; i++)
        classes.items[i] = (ProjectClass){.name = list->items[i].name, .type = list->items[i].type, .color = list->items[i].color};
    return classes;
}

static Project project_reply(Arena *arena, const ProjectRecord *row) {
    ProjectConfig *config = arena_new(arena, ProjectConfig);
    config->classes = project_classes(arena, &row->classes);
    config->annotation_types = project_kinds(arena, row->annotation_types);
    return (Project){
        .id = row->id, .organization_id = row->organization_id, .name = row->name, .description = row->description,
        .annotation_types = config->annotation_types, .classes = config->classes, .project_config = config, .image_count = row->image_count,
        .completed_image_count = row->completed_image_count, .total_size = row->total_size, .archived_images = row->archived_images,
        .created_by = row->created_by, .created_at = row->created_at, .updated_at = row->updated_at, .has_updated_at = true,
    };
}

/* ---- from request to row ---- */

static const char *kinds_text(Arena *arena, const AnnotationKindArray *kinds) {
    const char **names = arena_new_array(arena, const char *, kinds->count);
    for (size_t i = 0; i < kinds->count; i++) names[i] = annotation_kind_name(kinds->items[i]);
    return json_list_text(arena, names, kinds->count);
}

static int compare_classes(const void *a, const void *b) {
    const ProjectClassInput *const *x = a, *const *y = b;
    int order = strcmp((*x)->name, (*y)->name);
    return order ? order : (*x > *y) - (*x < *y); /* equal names in the order sent, so that the later one is named */
}

/* Names the second bearer of every name. */
static Status require_different_names(Request *rq, const ProjectClassInputArray *classes) {
    const ProjectClassInput **sorted = arena_new_array(&rq->arena, const ProjectClassInput *, classes->count);
    for (size_t i = 0; i < classes->count; i++) sorted[i] = &classes->items[i];
    qsort(sorted, classes->count, sizeof *sorted, compare_classes);
    for (size_t i = 1; i < classes->count; i++) {
        if (strcmp(sorted[i - 1]->name, sorted[i]->name) != 0) continue;
        request_field_error(rq, "duplicate_class", arena_printf(&rq->arena, "Class '%s' is listed twice", sorted[i]->name), "body", "classes",
                            arena_printf(&rq->arena, "%zu", (size_t)(sorted[i] - classes->items)), "name", NULL);
    }
    return rq->errors.count ? request_fail(rq, STATUS_DUPLICATE_CLASS, "Class names must differ") : STATUS_OK;
}

/* The list to store. A class that `old` already has keeps its kind and colour where the new one leaves them out. */
static ClassList class_list_of(Arena *arena, const ProjectClassInputArray *classes, const ClassList *old, const char *default_type) {
    ClassList list = {0};
    for (size_t i = 0; i < classes->count; i++) {
        const ProjectClassInput *c = &classes->items[i];
        const ProjectClassRecord *before = class_list_find(old, c->name);
        const char *type = c->type ? annotation_kind_name(c->type) : before ? before->type : NULL;
        class_list_add(arena, &list, c->name, type, c->color ? c->color : before ? before->color : NULL, default_type);
    }
    return list;
}

static Status name_taken(Request *rq, const char *name) {
    return request_fail(rq, STATUS_ALREADY_EXISTS, "Project '%s' already exists", name);
}

/* ---- handlers ---- */

Status list_projects(Request *rq, const ListProjectsInput *in, ProjectListResponse *out) {
    ProjectRecord *rows;
    size_t count;
    Status status = project_page(request_db(rq), &rq->arena, rq->principal.organization_id, in->limit, in->offset, &rows, &count, &out->total, &rq->error);
    if (status != STATUS_OK) return status;
    out->projects = (ProjectArray){.items = arena_new_array(&rq->arena, Project, count), .count = count};
    for (size_t i = 0; i < count; i++) out->projects.items[i] = project_reply(&rq->arena, &rows[i]);
    out->limit = in->limit;
    out->offset = in->offset;
    out->has_total = out->has_limit = out->has_offset = true;
    return STATUS_OK;
}

Status get_project(Request *rq, const GetProjectInput *in, ProjectEnvelope *out) {
    ProjectRecord row;
    Status status = project_load(request_db(rq), &rq->arena, rq->principal.organization_id, in->name, &row, &rq->error);
    if (status == STATUS_OK) out->project = project_reply(&rq->arena, &row);
    return status;
}

typedef struct Change {
    Request *rq;
    const ProjectCreateRequest *create;
    const ProjectUpdateRequest *update;
    const char *name; /* of the project to change or delete */
    ProjectRecord row;
    ProjectDeletion deletion;
} Change;

static Status insert_project(DbSession *tx, void *context, Error *err) {
    Change *c = context;
    Arena *arena = &c->rq->arena;
    const ProjectCreateRequest *body = c->create;
    const char *organization = c->rq->principal.organization_id;
    ClassList classes = class_list_of(arena, &body->classes, &(ClassList){0}, annotation_kind_name(body->annotation_types.items[0]));
    char *id = arena_alloc(arena, UUID_SIZE);
    int64_t now = clock_now_ms();
    Status status = organization_require_projects(c->rq, tx, 1, err);
    if (status == STATUS_OK)
        status = db_exec(tx, err,
                         "INSERT INTO projects (id, organization_id, name, description, annotation_types, classes, created_by, created_at, updated_at) "
                         "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)",
                         DB_TEXT(uuid_new(id)), DB_TEXT(organization), DB_TEXT(body->name), DB_TEXT(body->description),
                         DB_TEXT(kinds_text(arena, &body->annotation_types)), DB_TEXT(class_list_text(arena, &classes)),
                         DB_TEXT(request_creator(c->rq)), DB_INT(now));
    return status == STATUS_OK ? project_load_by_id(tx, arena, organization, id, &c->row, err) : status;
}

Status create_project(Request *rq, const CreateProjectInput *in, ProjectEnvelope *out) {
    Status status = require_different_names(rq, &in->body->classes);
    if (status != STATUS_OK) return status;
    Change change = {.rq = rq, .create = in->body};
    status = request_write(rq, insert_project, &change);
    if (status == STATUS_ALREADY_EXISTS) return name_taken(rq, in->body->name);
    if (status == STATUS_OK) out->project = project_reply(&rq->arena, &change.row);
    return status;
}

/* Labels of the old list that the new one lacks. */
static size_t removed_labels(Arena *arena, const ClassList *old, const ClassList *new, const char ***out) {
    size_t count = 0;
    *out = arena_new_array(arena, const char *, old->count);
    for (size_t i = 0; i < old->count; i++)
        if (!class_list_find(new, old->items[i].name)) (*out)[count++] = old->items[i].name;
    return count;
}

static Status apply_update(DbSession *tx, void *context, Error *err) {
    Change *c = context;
    Arena *arena = &c->rq->arena;
    const ProjectUpdateRequest *body = c->update;
    const char *organization = c->rq->principal.organization_id;
    ProjectRecord old;
    Status status = project_load(tx, arena, organization, c->name, &old, err);
    if (status != STATUS_OK) return status;

    const char *types = body->has_annotation_types ? kinds_text(arena, &body->annotation_types) : old.annotation_types;
    const char *classes_json = old.classes_json;
    if (body->has_classes) {
        AnnotationKindArray kinds = project_kinds(arena, types);
        ClassList classes = class_list_of(arena, &body->classes, &old.classes, kinds.count ? annotation_kind_name(kinds.items[0]) : "bbox");
        const char **labels;
        size_t count = removed_labels(arena, &old.classes, &classes, &labels);
        int64_t removed;
        status = annotations_remove_labels(tx, arena, old.id, labels, count, &removed, err);
        classes_json = class_list_text(arena, &classes);
    }
    const char *description = body->description || body->description_is_null ? body->description : old.description;
    if (status == STATUS_OK)
        status = db_exec(tx, err, "UPDATE projects SET name = $1, description = $2, annotation_types = $3, classes = $4, updated_at = $5 WHERE id = $6",
                         DB_TEXT(body->name ? body->name : old.name), DB_TEXT(description), DB_TEXT(types), DB_TEXT(classes_json),
                         DB_INT(clock_now_ms()), DB_TEXT(old.id));
    return status == STATUS_OK ? project_load_by_id(tx, arena, organization, old.id, &c->row, err) : status;
}

Status update_project(Request *rq, const UpdateProjectInput *in, ProjectEnvelope *out) {
    Status status = require_different_names(rq, &in->body->classes);
    if (status != STATUS_OK) return status;
    Change change = {.rq = rq, .update = in->body, .name = in->name};
    status = request_write(rq, apply_update, &change);
    if (status == STATUS_ALREADY_EXISTS) return name_taken(rq, in->body->name);
    if (status == STATUS_OK) out->project = project_reply(&rq->arena, &change.row);
    return status;
}

static Status remove_project(DbSession *tx, void *context, Error *err) {
    Change *c = context;
    Arena *arena = &c->rq->arena;
    ProjectRecord row;
    Status status = project_load(tx, arena, c->rq->principal.organization_id, c->name, &row, err);
    if (status != STATUS_OK) return status;
    DbRows rows = db_query(tx, err, "SELECT count(*), coalesce(sum(annotation_count), 0), coalesce(sum(file_size), 0) FROM images WHERE project_id = $1",
                           DB_TEXT(row.id));
    if (db_next(&rows))
        c->deletion = (ProjectDeletion){.project_id = row.id, .name = row.name, .images_deleted = db_int(&rows, 0), .annotations_deleted = db_int(&rows, 1),
                                        .bytes_freed = db_int(&rows, 2), .has_bytes_freed = true, .has_exports_deleted = true};
    status = db_finish(&rows);
    if (status == STATUS_OK) status = db_read_int(tx, err, &c->deletion.exports_deleted, 0, "SELECT count(*) FROM exports WHERE project_id = $1", DB_TEXT(row.id));
    /* Those that wait end here, refunded, while their rows still exist. */
    if (status == STATUS_OK) status = job_cancel_project(tx, c->rq->server->jobs, row.id, err);
    if (status == STATUS_OK)
        status = db_exec(tx, err,
                         "INSERT INTO discarded_objects (sha256, discarded_at) SELECT object, $1 FROM images WHERE project_id = $2 "
                         "UNION SELECT object, $1 FROM exports WHERE project_id = $2 AND object IS NOT NULL ON CONFLICT (sha256) DO NOTHING",
                         DB_INT(clock_now_ms()), DB_TEXT(row.id));
    if (status == STATUS_OK)
        status = project_count(tx, row.id, &(ProjectDelta){.organization_images = -c->deletion.images_deleted, .organization_bytes = -c->deletion.bytes_freed}, err);
    if (status == STATUS_OK) status = db_exec(tx, err, "DELETE FROM uploads WHERE project_id = $1", DB_TEXT(row.id));
    return status == STATUS_OK ? db_exec(tx, err, "DELETE FROM projects WHERE id = $1", DB_TEXT(row.id)) : status;
}

Status delete_project(Request *rq, const DeleteProjectInput *in, ProjectDeleteResponse *out) {
    Change change = {.rq = rq, .name = in->name};
    Status status = request_write(rq, remove_project, &change);
    if (status == STATUS_OK) jobs_wake(rq->server->jobs);
    out->deleted = change.deletion;
    return status;
}
