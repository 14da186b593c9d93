/* Rows of exports: the record, the taking of a snapshot, and what the job is told. */
#include "server/exports/export_rows.h"

#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "server/images/images.h"
#include "base/banned.h"

ExportRecord export_read_row(const DbRows *rows, Arena *arena) {
    return (ExportRecord){
        .id = db_text(rows, 0, arena), .project_id = db_text(rows, 1, arena), .organization_id = db_text(rows, 2, arena),
        .dataset_name = db_text(rows, 3, arena), .name = db_text(rows, 4, arena), .format = export_format_from_name(db_text_borrowed(rows, 5)),
        .include_images = db_int(rows, 6) != 0, .class_filter = db_text(rows, 7, arena), .status_filter = db_text(rows, 8, arena),
        .status = export_status_from_name(db_text_borrowed(rows, 9)), .error_message = db_text(rows, 10, arena), .object = db_text(rows, 11, arena),
        .md5 = db_text(rows, 12, arena), .has_file_size = !db_is_null(rows, 13), .file_size = db_int(rows, 13), .has_counts = !db_is_null(rows, 15),
        .image_count = db_int(rows, 14), .annotation_count = db_int(rows, 15), .created_by = db_text(rows, 16, arena), .created_at = db_int(rows, 17),
        .has_completed_at = !db_is_null(rows, 18), .completed_at = db_int(rows, 18),
    };
}

static Status one_row(DbRows *rows, Arena *arena, const char *name, ExportRecord *out, Error *err) {
    bool found = db_next(rows);
    if (found) *out = export_read_row(rows, arena);
    Status status = db_finish(rows);
    return status != STATUS_OK || found ? status : error_set(err, STATUS_NOT_FOUND, "Export '%s' not found", name);
}

Status export_load(DbSession *session, Arena *arena, const char *organization_id, const char *dataset_name, const char *name, ExportRecord *out, Error *err) {
    ProjectRecord project;
    Status status = project_load(session, arena, organization_id, dataset_name, &project, err);
    if (status != STATUS_OK) return status;
    DbRows rows = db_query(session, err, "SELECT " EXPORT_COLUMNS " FROM exports e JOIN projects p ON p.id = e.project_id WHERE e.project_id = $1 AND e.name = $2",
                           DB_TEXT(project.id), DB_TEXT(name));
    return one_row(&rows, arena, name, out, err);
}

Status export_load_by_id(DbSession *session, Arena *arena, const char *id, ExportRecord *out, Error *err) {
    DbRows rows = db_query(session, err, "SELECT " EXPORT_COLUMNS " FROM exports e JOIN projects p ON p.id = e.project_id WHERE e.id = $1", DB_TEXT(id));
    return one_row(&rows, arena, id, out, err);
}

Status export_require_images(DbSession *session, Arena *arena, const char *project_id, const char *status_filter, Error *err) {
    const char *sql = arena_printf(arena, "SELECT EXISTS (SELECT 1 FROM images i WHERE i.project_id = $1 AND i.is_archived = 0 AND %s)",
                                   image_filter_condition(status_filter));
    int64_t found;
    Status status = db_read_int(session, err, &found, 0, sql, DB_TEXT(project_id));
    if (status != STATUS_OK || found) return status;
    return status_filter && strcmp(status_filter, "all") != 0
               ? error_set(err, STATUS_NOT_FOUND, "The dataset has no image with status '%s'; status_filter 'all' takes images in every status", status_filter)
               : error_set(err, STATUS_NOT_FOUND, "The dataset has no images");
}

Status export_drop_snapshot(DbSession *tx, const char *export_id, int64_t most, int64_t *out_removed, Error *err) {
    Status status = db_exec(tx, err,
                            "DELETE FROM export_snapshots WHERE export_id = $1 AND image_id IN "
                            "(SELECT image_id FROM export_snapshots WHERE export_id = $1 ORDER BY image_id LIMIT $2)",
                            DB_TEXT(export_id), DB_INT(most));
    *out_removed = status == STATUS_OK ? db_changes(tx) : 0;
    return status;
}

/* --- what the job is told ---------------------------------------------------------------------------------------------------- */

static bool passes(const StringArray *filter, const char *name) {
    for (size_t i = 0; filter && i < filter->count; i++)
        if (text_equal(filter->items[i], name)) return true;
    return !filter;
}

char *export_payload(Arena *arena, const char *export_id, const ProjectRecord *project, const StringArray *class_filter) {
    Buffer out;
    JsonWriter w;
    buffer_init(&out, (size_t)64 << 20);
    json_writer_init(&w, &out);
    json_begin_object(&w);
    json_field_string(&w, "export_id", export_id);
    json_field_string(&w, "dataset_name", project->name);
    json_field_string(&w, "description", project->description);
    json_key(&w, "annotation_types");
    json_raw(&w, project->annotation_types, strlen(project->annotation_types));
    json_key(&w, "classes");
    json_begin_array(&w);
    for (size_t i = 0; i < project->classes.count; i++) {
        const ProjectClassRecord *class = &project->classes.items[i];
        if (!passes(class_filter, class->name)) continue;
        json_begin_object(&w);
        json_field_string(&w, "name", class->name);
        json_field_string(&w, "type", class->type);
        json_field_string(&w, "color", class->color);
        json_end_object(&w);
    }
    json_end_array(&w);
    json_end_object(&w);
    char *text = arena_strndup(arena, buffer_text(&out), out.size);
    buffer_clear(&out);
    return text;
}

DatasetInfo export_info(Arena *arena, yyjson_val *payload, bool include_images) {
    yyjson_val *list = yyjson_obj_get(payload, "classes"), *item;
    DatasetClass *classes = arena_new_array(arena, DatasetClass, yyjson_arr_size(list));
    size_t index, count;
    yyjson_arr_foreach(list, index, count, item) {
        classes[index] = (DatasetClass){.name = json_get_string(item, "name", ""), .type = json_get_string(item, "type", NULL),
                                        .color = json_get_string(item, "color", NULL)};
    }
    return (DatasetInfo){.name = json_get_string(payload, "dataset_name", ""), .classes = classes, .class_count = yyjson_arr_size(list), .include_images = include_images,
                         .description = json_get_string(payload, "description", NULL), .kinds = dataset_kinds_read(yyjson_obj_get(payload, "annotation_types"))};
}
