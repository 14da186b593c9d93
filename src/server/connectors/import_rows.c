/* SQL of imports. */
#include "server/connectors/import_rows.h"

#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "server/annotations/annotations.h"
#include "server/api/patterns.h"
#include "server/organizations/organizations.h"
#include "server/projects/projects.h"
#include "base/banned.h"

enum { NAME_MAXIMUM = 120, SUFFIXES = 100000 }; /* limits.yaml projects.name_max_chars, less room for a suffix */

#define LARGER(other) "CASE WHEN total_images < " other " THEN " other " ELSE total_images END"

/* --- reading --------------------------------------------------------------------------------------------------------------- */

static Status load_datasets(DbSession *session, Arena *arena, ImportRecord *out, Error *err) {
    int64_t count;
    Status status = db_read_int(session, err, &count, 0, "SELECT count(*) FROM import_datasets WHERE import_id = $1", DB_TEXT(out->id));
    out->count = 0;
    out->datasets = arena_new_array(arena, ImportDataset, (size_t)count);
    if (status != STATUS_OK) return status;
    DbRows rows = db_query(session, err,
                           "SELECT position, remote_id, remote_name, workspace, version, project_id, name, status, error, total_images, imported, failed "
                           "FROM import_datasets WHERE import_id = $1 ORDER BY position", DB_TEXT(out->id));
    while (db_next(&rows))
        out->datasets[out->count++] = (ImportDataset){
            .position = db_int(&rows, 0), .remote_id = db_text(&rows, 1, arena), .remote_name = db_text(&rows, 2, arena), .workspace = db_text(&rows, 3, arena),
            .has_version = !db_is_null(&rows, 4), .version = db_int(&rows, 4), .project_id = db_text(&rows, 5, arena), .name = db_text(&rows, 6, arena),
            .status = db_text(&rows, 7, arena), .error = db_text(&rows, 8, arena), .total_images = db_int(&rows, 9), .imported = db_int(&rows, 10),
            .failed = db_int(&rows, 11)};
    return db_finish(&rows);
}

Status import_load(DbSession *session, Arena *arena, const char *organization_id, const char *id, ImportRecord *out, Error *err) {
    DbRows rows = db_query(session, err,
                           "SELECT id, organization_id, provider, status, error_message, created_by, created_at, completed_at FROM imports "
                           "WHERE id = $1 AND ($2 IS NULL OR organization_id = $2)", DB_TEXT(id), DB_TEXT(organization_id));
    bool found = db_next(&rows);
    if (found)
        *out = (ImportRecord){.id = db_text(&rows, 0, arena), .organization_id = db_text(&rows, 1, arena), .provider = db_text(&rows, 2, arena),
                              .status = db_text(&rows, 3, arena), .error_message = db_text(&rows, 4, arena), .created_by = db_text(&rows, 5, arena),
                              .created_at = db_int(&rows, 6), .has_completed_at = !db_is_null(&rows, 7), .completed_at = db_int(&rows, 7)};
    Status status = db_finish(&rows);
    if (status != STATUS_OK) return status;
    return found ? load_datasets(session, arena, out, err) : error_set(err, STATUS_NOT_FOUND, "Import not found");
}

bool import_is_final(const ImportRecord *record) { return strcmp(record->status, "processing") != 0; }

/* --- starting -------------------------------------------------------------------------------------------------------------- */

Status import_insert(DbSession *tx, const ImportRecord *r, Error *err) {
    Status status = db_exec(tx, err, "INSERT INTO imports (id, organization_id, provider, created_by, created_at) VALUES ($1, $2, $3, $4, $5)", DB_TEXT(r->id),
                            DB_TEXT(r->organization_id), DB_TEXT(r->provider), DB_TEXT(r->created_by), DB_INT(r->created_at));
    for (size_t i = 0; status == STATUS_OK && i < r->count; i++) {
        const ImportDataset *d = &r->datasets[i];
        status = db_exec(tx, err,
                         "INSERT INTO import_datasets (import_id, position, remote_id, remote_name, workspace, version, project_id, name, total_images) "
                         "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)", DB_TEXT(r->id), DB_INT(d->position), DB_TEXT(d->remote_id), DB_TEXT(d->remote_name),
                         DB_TEXT(d->workspace), DB_INT_OR_NULL(d->has_version, d->version), DB_TEXT(d->project_id), DB_TEXT(d->name), DB_INT(d->total_images));
    }
    return status;
}

/* The newest import of it decides: one that was completed or cancelled is not gone on with. */
Status import_find_unfinished(DbSession *tx, Arena *arena, const char *organization_id, const char *provider, const ImportDataset *d, const char **project_id,
                              const char **name, Error *err) {
    DbRows rows = db_query(tx, err,
                           "SELECT p.id, p.name, CASE WHEN i.status = 'error' AND d.status <> 'completed' AND NOT EXISTS (SELECT 1 FROM import_datasets o JOIN imports r ON r.id = o.import_id "
                           "WHERE o.project_id = d.project_id AND r.status = 'processing') THEN 1 ELSE 0 END "
                           "FROM import_datasets d JOIN imports i ON i.id = d.import_id JOIN projects p ON p.id = d.project_id WHERE d.remote_id = $1 "
                           "AND i.organization_id = $2 AND i.provider = $3 AND coalesce(d.version, -1) = $4 ORDER BY i.created_at DESC, i.id LIMIT 1",
                           DB_TEXT(d->remote_id), DB_TEXT(organization_id), DB_TEXT(provider), DB_INT(d->has_version ? d->version : -1));
    bool usable = db_next(&rows) && db_int(&rows, 2) != 0;
    *project_id = usable ? db_text(&rows, 0, arena) : NULL;
    *name = usable ? db_text(&rows, 1, arena) : NULL;
    return db_finish(&rows);
}

/* A name by the contract's rules for projects. */
static const char *project_name(Arena *arena, const char *remote_name) {
    char *name = arena_strdup(arena, remote_name), *end;
    size_t characters = 0;
    while (*name == ' ') name++;
    for (end = name; *end; end++) {
        if ((unsigned char)*end < 0x20 || strchr("/\\?#%", *end)) *end = '-';
        if (((unsigned char)*end & 0xC0) != 0x80 && characters++ == NAME_MAXIMUM) break;
    }
    *end = '\0';
    while (end > name && end[-1] == ' ') *--end = '\0';
    if (PATTERN_PROJECT_NAME.matches(name)) return name;
    return "imported dataset"; /* dots, nothing at all, or white space of other scripts at an end */
}

static Status find_free_name(DbSession *tx, Arena *arena, const char *organization_id, const char *base, const char **out, Error *err) {
    *out = base;
    for (int i = 2; i < SUFFIXES; i++) {
        int64_t taken;
        Status status = db_read_int(tx, err, &taken, 0, "SELECT 1 FROM projects WHERE organization_id = $1 AND name = $2", DB_TEXT(organization_id), DB_TEXT(*out));
        if (!taken) return status;
        *out = arena_printf(arena, "%s-%d", base, i);
    }
    return error_set(err, STATUS_ALREADY_EXISTS, "No name is left for '%s'", base);
}

/* Kinds of the classes, each once; boxes where the source says nothing. */
static const char *kinds_of(Arena *arena, const ClassList *classes) {
    const char *text = "";
    for (size_t i = 0; i < classes->count; i++) {
        const char *kind = arena_printf(arena, "\"%s\"", classes->items[i].type);
        if (!strstr(text, kind)) text = arena_printf(arena, "%s%s%s", text, *text ? "," : "", kind);
    }
    return arena_printf(arena, "[%s]", *text ? text : "\"bbox\"");
}

Status import_make_project(DbSession *tx, Arena *arena, const ImportRecord *r, ImportDataset *d, const ClassList *classes, Error *err) {
    char *id = uuid_new(arena_alloc(arena, UUID_SIZE));
    Status status = organization_check_projects(tx, r->organization_id, 1, err);
    if (status == STATUS_OK) status = find_free_name(tx, arena, r->organization_id, project_name(arena, d->remote_name), &d->name, err);
    if (status == STATUS_OK)
        status = db_exec(tx, err,
                         "INSERT INTO projects (id, organization_id, name, annotation_types, classes, created_by, created_at, updated_at) "
                         "VALUES ($1, $2, $3, $4, $5, $6, $7, $7)", DB_TEXT(id), DB_TEXT(r->organization_id), DB_TEXT(d->name), DB_TEXT(kinds_of(arena, classes)),
                         DB_TEXT(class_list_text(arena, classes)), DB_TEXT(r->created_by), DB_INT(clock_now_ms()));
    if (status == STATUS_OK)
        status = db_exec(tx, err, "UPDATE import_datasets SET project_id = $1, name = $2 WHERE import_id = $3 AND position = $4", DB_TEXT(id), DB_TEXT(d->name),
                         DB_TEXT(r->id), DB_INT(d->position));
    if (status == STATUS_OK) d->project_id = id;
    return status;
}

/* --- running --------------------------------------------------------------------------------------------------------------- */

Status import_begin_dataset(DbSession *tx, const ImportRecord *r, ImportDataset *d, Error *err) {
    Status status = db_read_int(tx, err, &d->imported, 0, "SELECT count(*) FROM imported_images WHERE project_id = $1", DB_TEXT(d->project_id));
    d->failed = 0;
    if (status == STATUS_OK) status = db_exec(tx, err, "DELETE FROM import_failures WHERE import_id = $1 AND position = $2", DB_TEXT(r->id), DB_INT(d->position));
    if (status != STATUS_OK) return status;
    return db_exec(tx, err, "UPDATE import_datasets SET status = 'processing', error = NULL, imported = $1, failed = 0, total_images = " LARGER("$1") " "
                            "WHERE import_id = $2 AND position = $3", DB_INT(d->imported), DB_TEXT(r->id), DB_INT(d->position));
}

Status import_end_dataset(DbSession *tx, const ImportRecord *r, const ImportDataset *d, const char *status, const char *error, Error *err) {
    return db_exec(tx, err,
                   "UPDATE import_datasets SET status = $1, error = $2, total_images = CASE WHEN $1 = 'completed' THEN imported + failed ELSE total_images END "
                   "WHERE import_id = $3 AND position = $4", DB_TEXT(status), DB_TEXT(error), DB_TEXT(r->id), DB_INT(d->position));
}

Status import_set_total(DbSession *tx, const ImportRecord *r, const ImportDataset *d, int64_t total, Error *err) {
    return db_exec(tx, err, "UPDATE import_datasets SET total_images = " LARGER("$1") " WHERE import_id = $2 AND position = $3", DB_INT(total), DB_TEXT(r->id),
                   DB_INT(d->position));
}

Status import_end(DbSession *tx, const char *id, const char *status, const char *message, Error *err) {
    Status result = db_exec(tx, err, "UPDATE imports SET status = $1, error_message = $2, completed_at = $3 WHERE id = $4 AND status = 'processing'", DB_TEXT(status),
                            DB_TEXT(message), DB_INT(clock_now_ms()), DB_TEXT(id));
    if (result != STATUS_OK || db_changes(tx) == 0) return result;
    return db_exec(tx, err, "UPDATE import_datasets SET status = 'error', error = coalesce(error, $1) WHERE import_id = $2 AND status = 'processing'", DB_TEXT(message),
                   DB_TEXT(id));
}

Status import_has_image(DbSession *session, const char *project_id, const char *remote_id, int64_t *out, Error *err) {
    return db_read_int(session, err, out, 0, "SELECT 1 FROM imported_images WHERE project_id = $1 AND remote_id = $2", DB_TEXT(project_id), DB_TEXT(remote_id));
}

static Status add_classes(DbSession *tx, ImportedImage *i, Error *err) {
    const AnnotationList *list = &i->conversion->list;
    ClassCount *counts;
    ClassList classes = {0};
    size_t count = annotation_count_classes(i->arena, list, &counts);
    for (size_t k = 0; k < count; k++) {
        size_t first = 0;
        while (strcmp(list->items[first].name, counts[k].name) != 0) first++;
        class_list_add(i->arena, &classes, counts[k].name, annotation_type_name(list->items[first].type), NULL, "bbox");
    }
    return count ? project_add_classes(tx, i->arena, i->dataset->project_id, &classes, err) : STATUS_OK;
}

static Status count_left_out(DbSession *tx, const ImportedImage *i, Error *err) {
    Status status = STATUS_OK;
    for (size_t k = 0; status == STATUS_OK && k < i->conversion->left_out_count; k++)
        status = db_exec(tx, err,
                         "INSERT INTO import_left_out (import_id, kind, annotation_count) VALUES ($1, $2, $3) "
                         "ON CONFLICT (import_id, kind) DO UPDATE SET annotation_count = import_left_out.annotation_count + $3", DB_TEXT(i->record->id),
                         DB_TEXT(i->conversion->left_out[k].kind), DB_INT((int64_t)i->conversion->left_out[k].count));
    return status;
}

Status import_insert_image(DbSession *tx, ImportedImage *i, Error *err) {
    Status status = organization_check_room(tx, i->record->organization_id, 1, i->image.object.size, err);
    if (status == STATUS_OK) status = image_insert(tx, &i->image, err);
    if (status == STATUS_OK) status = add_classes(tx, i, err);
    if (status == STATUS_OK && i->conversion->list.count) status = annotations_replace(tx, i->arena, i->image.id, &i->conversion->list, NULL, NULL, err);
    if (status == STATUS_OK)
        status = db_exec(tx, err, "INSERT INTO imported_images (project_id, remote_id) VALUES ($1, $2) ON CONFLICT DO NOTHING", DB_TEXT(i->dataset->project_id),
                         DB_TEXT(i->remote_id));
    if (status == STATUS_OK) status = count_left_out(tx, i, err);
    if (status != STATUS_OK) return status;
    return db_exec(tx, err, "UPDATE import_datasets SET imported = imported + 1, total_images = " LARGER("imported + failed + 1") " WHERE import_id = $1 AND position = $2",
                   DB_TEXT(i->record->id), DB_INT(i->dataset->position));
}

Status import_insert_failure(DbSession *tx, const ImportRecord *r, const ImportDataset *d, const char *filename, const char *reason, Error *err) {
    Status status = db_exec(tx, err, "INSERT INTO import_failures (import_id, position, filename, reason) VALUES ($1, $2, $3, $4)", DB_TEXT(r->id), DB_INT(d->position),
                            DB_TEXT(filename), DB_TEXT(reason));
    if (status != STATUS_OK) return status;
    return db_exec(tx, err, "UPDATE import_datasets SET failed = failed + 1, total_images = " LARGER("imported + failed + 1") " WHERE import_id = $1 AND position = $2",
                   DB_TEXT(r->id), DB_INT(d->position));
}
