/* Rows of projects, and the class lists in them. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/text.h"
#include "server/projects/projects.h"
#include "base/banned.h"

#define PROJECT_COLUMNS                                                                                                              \
    "id, organization_id, name, description, annotation_types, classes, image_count, completed_image_count, total_size, "            \
    "archived_images, created_by, created_at, updated_at"

static ProjectRecord read_row(const DbRows *rows, Arena *arena) {
    ProjectRecord project = {
        .id = db_text(rows, 0, arena), .organization_id = db_text(rows, 1, arena), .name = db_text(rows, 2, arena),
        .description = db_text(rows, 3, arena), .annotation_types = db_text(rows, 4, arena), .classes_json = db_text(rows, 5, arena),
        .image_count = db_int(rows, 6), .completed_image_count = db_int(rows, 7), .total_size = db_int(rows, 8),
        .archived_images = db_int(rows, 9), .created_by = db_text(rows, 10, arena), .created_at = db_int(rows, 11),
        .updated_at = db_int(rows, 12),
    };
    project.classes = class_list_parse(arena, project.classes_json);
    return project;
}

static Status one_row(DbRows *rows, Arena *arena, ProjectRecord *out, bool *found) {
    *found = db_next(rows);
    if (*found) *out = read_row(rows, arena);
    return db_finish(rows);
}

Status project_load(DbSession *session, Arena *arena, const char *organization_id, const char *name, ProjectRecord *out, Error *err) {
    bool found;
    DbRows rows = db_query(session, err, "SELECT " PROJECT_COLUMNS " FROM projects WHERE organization_id = $1 AND name = $2",
                           DB_TEXT(organization_id), DB_TEXT(name));
    Status status = one_row(&rows, arena, out, &found);
    if (status != STATUS_OK || found) return status;
    return error_set(err, STATUS_NOT_FOUND, "Project '%s' not found", name);
}

Status project_load_by_id(DbSession *session, Arena *arena, const char *organization_id, const char *id, ProjectRecord *out, Error *err) {
    bool found;
    DbRows rows = db_query(session, err, "SELECT " PROJECT_COLUMNS " FROM projects WHERE id = $1 AND organization_id = $2", DB_TEXT(id),
                           DB_TEXT(organization_id));
    Status status = one_row(&rows, arena, out, &found);
    if (status != STATUS_OK || found) return status;
    if (uuid_is_valid(id)) return error_set(err, STATUS_NOT_FOUND, "Dataset not found");
    return error_set(err, STATUS_NOT_FOUND, "Dataset not found: '%.100s' is no id, which looks like 01a228f6-663c-7dc5-b950-751c0dec0466; a dataset's name is none", id);
}

Status project_page(DbSession *session, Arena *arena, const char *organization_id, int64_t limit, int64_t offset, ProjectRecord **out,
                    size_t *count, int64_t *total, Error *err) {
    Status status = db_read_int(session, err, total, 0, "SELECT count(*) FROM projects WHERE organization_id = $1", DB_TEXT(organization_id));
    *out = arena_new_array(arena, ProjectRecord, (size_t)limit);
    *count = 0;
    if (status != STATUS_OK) return status;
    DbRows rows = db_query(session, err, "SELECT " PROJECT_COLUMNS " FROM projects WHERE organization_id = $1 ORDER BY name LIMIT $2 OFFSET $3",
                           DB_TEXT(organization_id), DB_INT(limit), DB_INT(offset));
    while (*count < (size_t)limit && db_next(&rows)) (*out)[(*count)++] = read_row(&rows, arena);
    return db_finish(&rows);
}

/* ---- class lists ---- */

static ProjectClassRecord *append(Arena *arena, ClassList *list) {
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 16;
        ProjectClassRecord *items = arena_new_array(arena, ProjectClassRecord, capacity);
        if (list->count) memcpy(items, list->items, list->count * sizeof *items);
        list->items = items;
        list->capacity = capacity;
    }
    return &list->items[list->count++];
}

ClassList class_list_parse(Arena *arena, const char *json) {
    ClassList list = {0};
    yyjson_doc *doc = json ? json_parse(json, strlen(json), NULL) : NULL;
    size_t index, count;
    yyjson_val *item;
    yyjson_arr_foreach(yyjson_doc_get_root(doc), index, count, item) {
        *append(arena, &list) = (ProjectClassRecord){
            .name = arena_strdup(arena, json_get_string(item, "name", "")),
            .type = arena_strdup(arena, json_get_string(item, "type", NULL)),
            .color = arena_strdup(arena, json_get_string(item, "color", NULL)),
        };
    }
    yyjson_doc_free(doc);
    return list;
}

/* Twenty colours that stay apart on photographs; after them, hues by the golden angle. */
static const char *color_at(Arena *arena, size_t place) {
    static const char *const PALETTE[] = {"#e6194b", "#3cb44b", "#ffe119", "#4363d8", "#f58231", "#911eb4", "#46f0f0",
                                          "#f032e6", "#bcf60c", "#fabebe", "#008080", "#e6beff", "#9a6324", "#fffac8",
                                          "#800000", "#aaffc3", "#808000", "#ffd8b1", "#000075", "#808080"};
    if (place < sizeof PALETTE / sizeof *PALETTE) return PALETTE[place];
    return arena_printf(arena, "hsl(%d, 70%%, 50%%)", (int)((double)place * 137.508) % 360);
}

static bool color_is_used(const ClassList *list, const char *color) {
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i].color && text_equal_ignoring_case(list->items[i].color, color)) return true;
    return false;
}

/* Classes without a colour get the first ones that no class of the list has, wherever it stands. */
static void fill_colors(Arena *arena, const ClassList *list) {
    enum { DIFFERENT = 360 }; /* from there on they may come again */
    size_t next = 0;
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i].color) continue;
        while (next < DIFFERENT && color_is_used(list, color_at(arena, next))) next++;
        list->items[i].color = color_at(arena, next++);
    }
}

char *class_list_text(Arena *arena, const ClassList *list) {
    Buffer out;
    JsonWriter w;
    fill_colors(arena, list);
    buffer_init(&out, 64 << 20);
    json_writer_init(&w, &out);
    json_begin_array(&w);
    for (size_t i = 0; i < list->count; i++) {
        json_begin_object(&w);
        json_field_string(&w, "name", list->items[i].name);
        json_field_string(&w, "type", list->items[i].type);
        json_field_string(&w, "color", list->items[i].color);
        json_end_object(&w);
    }
    json_end_array(&w);
    char *text = arena_strndup(arena, buffer_text(&out), out.size);
    buffer_clear(&out);
    return text;
}

const ProjectClassRecord *class_list_find(const ClassList *list, const char *name) {
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].name, name) == 0) return &list->items[i];
    return NULL;
}

void class_list_add(Arena *arena, ClassList *list, const char *name, const char *type, const char *color, const char *default_type) {
    *append(arena, list) = (ProjectClassRecord){.name = name, .type = type ? type : default_type, .color = color};
}

/* ---- changes ---- */

static Status read_text(DbSession *tx, Arena *arena, const char *sql, const char *id, char **out, Error *err) {
    DbRows rows = db_query(tx, err, sql, DB_TEXT(id));
    *out = db_next(&rows) ? db_text(&rows, 0, arena) : NULL;
    Status status = db_finish(&rows);
    if (status == STATUS_OK && !*out) status = error_set(err, STATUS_NOT_FOUND, "Dataset not found");
    return status;
}

Status project_add_classes(DbSession *tx, Arena *arena, const char *project_id, const ClassList *more, Error *err) {
    char *json;
    Status status = read_text(tx, arena, "SELECT classes FROM projects WHERE id = $1", project_id, &json, err);
    if (status != STATUS_OK) return status;
    ClassList classes = class_list_parse(arena, json);
    size_t before = classes.count;
    for (size_t i = 0; i < more->count; i++)
        if (!class_list_find(&classes, more->items[i].name))
            class_list_add(arena, &classes, more->items[i].name, more->items[i].type, more->items[i].color, "bbox");
    if (classes.count == before) return STATUS_OK;
    return db_exec(tx, err, "UPDATE projects SET classes = $1, updated_at = $2 WHERE id = $3", DB_TEXT(class_list_text(arena, &classes)),
                   DB_INT(clock_now_ms()), DB_TEXT(project_id));
}

Status project_remember_label(DbSession *tx, Arena *arena, const char *project_id, const char *label, const char *type, Error *err) {
    char *json;
    Status status = read_text(tx, arena, "SELECT prompted_labels FROM projects WHERE id = $1", project_id, &json, err);
    if (status != STATUS_OK) return status;
    ClassList labels = class_list_parse(arena, json);
    if (class_list_find(&labels, label)) return STATUS_OK;
    class_list_add(arena, &labels, label, type, NULL, "polygon");
    return db_exec(tx, err, "UPDATE projects SET prompted_labels = $1 WHERE id = $2", DB_TEXT(class_list_text(arena, &labels)),
                   DB_TEXT(project_id));
}

Status project_count(DbSession *tx, const char *project_id, const ProjectDelta *delta, Error *err) {
    Status status = db_exec(tx, err,
                            "UPDATE projects SET image_count = image_count + $1, completed_image_count = completed_image_count + $2, "
                            "total_size = total_size + $3, archived_images = archived_images + $4, updated_at = $5 WHERE id = $6",
                            DB_INT(delta->images), DB_INT(delta->completed), DB_INT(delta->bytes), DB_INT(delta->archived),
                            DB_INT(clock_now_ms()), DB_TEXT(project_id));
    if (status != STATUS_OK || (!delta->organization_images && !delta->organization_bytes)) return status;
    return db_exec(tx, err,
                   "UPDATE organizations SET image_count = image_count + $1, storage_bytes = storage_bytes + $2 "
                   "WHERE id = (SELECT organization_id FROM projects WHERE id = $3)",
                   DB_INT(delta->organization_images), DB_INT(delta->organization_bytes), DB_TEXT(project_id));
}
