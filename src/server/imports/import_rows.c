/* Rows of imports. */
#include "server/imports/import_rows.h"

#include "base/clock.h"
#include "base/hash.h"
#include "server/annotations/annotations.h"
#include "server/organizations/organizations.h"
#include "base/banned.h"

/* The organization of projects that are being made. */
#define NOWHERE "00000000-0000-0000-0000-000000000000"

ZipImportRecord zip_import_read_row(const DbRows *rows, Arena *arena) {
    return (ZipImportRecord){
        .id = db_text(rows, 0, arena), .organization_id = db_text(rows, 1, arena), .name = db_text(rows, 2, arena), .description = db_text(rows, 3, arena),
        .wanted_format = db_text(rows, 4, arena), .format = db_text(rows, 5, arena), .status = zip_import_status_from_name(db_text_borrowed(rows, 6)),
        .progress = db_int(rows, 7), .image_count = db_int(rows, 8), .annotation_count = db_int(rows, 9), .taken = db_int(rows, 10),
        .mended = db_int(rows, 11), .left_out = db_int(rows, 12), .error_message = db_text(rows, 13, arena), .object = db_text(rows, 14, arena),
        .created_by = db_text(rows, 15, arena), .created_at = db_int(rows, 16), .has_completed_at = !db_is_null(rows, 17), .completed_at = db_int(rows, 17),
    };
}

Status zip_import_load(DbSession *session, Arena *arena, const char *organization_id, const char *id, ZipImportRecord *out, Error *err) {
    DbRows rows = db_query(session, err, "SELECT " ZIP_IMPORT_COLUMNS " FROM zip_imports m WHERE m.id = $1 AND ($2 IS NULL OR m.organization_id = $2)", DB_TEXT(id),
                           DB_TEXT(organization_id));
    bool found = db_next(&rows);
    if (found) *out = zip_import_read_row(&rows, arena);
    Status status = db_finish(&rows);
    return status != STATUS_OK || found ? status : error_set(err, STATUS_NOT_FOUND, "Import not found");
}

Status zip_import_begin(DbSession *tx, const ZipImportRecord *record, Error *err) {
    int64_t now = clock_now_ms();
    Status status = db_exec(tx, err,
                            "INSERT INTO organizations (id, name, slug, tier, monthly_allowance, created_at, updated_at) "
                            "VALUES ($1, '(imports that run)', '.imports', 'free', 0, $2, $2) ON CONFLICT (id) DO NOTHING", DB_TEXT(NOWHERE), DB_INT(now));
    if (status == STATUS_OK)
        status = db_exec(tx, err,
                         "INSERT INTO projects (id, organization_id, name, description, annotation_types, classes, created_by, created_at, updated_at) "
                         "VALUES ($1, $2, $1, $3, '[]', '[]', $4, $5, $5)",
                         DB_TEXT(record->id), DB_TEXT(NOWHERE), DB_TEXT(record->description), DB_TEXT(record->created_by), DB_INT(now));
    if (status == STATUS_OK) status = db_exec(tx, err, "DELETE FROM zip_import_files WHERE import_id = $1", DB_TEXT(record->id));
    if (status != STATUS_OK) return status;
    return db_exec(tx, err,
                   "UPDATE zip_imports SET status = 'processing', progress = 0, image_count = 0, annotation_count = 0, taken = 0, mended = 0, left_out = 0 WHERE id = $1",
                   DB_TEXT(record->id));
}

/* ---- items ---- */

static Status add_image(DbSession *tx, Arena *arena, ZipImportItem *item, Error *err) {
    int64_t taken = 1;
    Status status = item->wanted_id ? db_read_int(tx, err, &taken, 1, "SELECT count(*) FROM images WHERE id = $1", DB_TEXT(item->wanted_id)) : STATUS_OK;
    if (!taken) item->image.id = item->wanted_id;
    if (status == STATUS_OK) status = image_insert(tx, &item->image, err);
    if (status != STATUS_OK || (!item->annotations.count && !item->stage)) return status;
    return annotations_replace(tx, arena, item->image.id, &item->annotations, item->stage, NULL, err);
}

Status zip_import_add(DbSession *tx, Arena *arena, const ZipImportRecord *record, ZipImportItem *items, size_t count, int64_t sequence, int64_t progress, Error *err) {
    int64_t images = 0, annotations = 0, outcomes[ZIP_IMPORT_OUTCOME_LEFT_OUT + 1] = {0};
    Status status = STATUS_OK;
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        ZipImportItem *item = &items[i];
        int64_t taken = item->image.id ? (int64_t)item->annotations.count : 0;
        if (item->image.id) status = add_image(tx, arena, item, err);
        if (status == STATUS_OK)
            status = db_exec(tx, err, "INSERT INTO zip_import_files (import_id, sequence, file, outcome, annotation_count, message) VALUES ($1, $2, $3, $4, $5, $6)",
                             DB_TEXT(record->id), DB_INT(sequence + (int64_t)i), DB_TEXT(item->file), DB_TEXT(zip_import_outcome_name(item->outcome)), DB_INT(taken),
                             DB_TEXT(item->message));
        images += item->image.id != NULL;
        annotations += taken;
        outcomes[item->outcome]++;
    }
    if (status != STATUS_OK) return status;
    return db_exec(tx, err,
                   "UPDATE zip_imports SET progress = $1, image_count = image_count + $2, annotation_count = annotation_count + $3, taken = taken + $4, "
                   "mended = mended + $5, left_out = left_out + $6 WHERE id = $7",
                   DB_INT(progress), DB_INT(images), DB_INT(annotations), DB_INT(outcomes[ZIP_IMPORT_OUTCOME_TAKEN]), DB_INT(outcomes[ZIP_IMPORT_OUTCOME_MENDED]),
                   DB_INT(outcomes[ZIP_IMPORT_OUTCOME_LEFT_OUT]), DB_TEXT(record->id));
}

/* ---- ends ---- */

/* Moves the project's share of an organization's totals; sign is "+" or "-". */
static Status count_in(DbSession *tx, Arena *arena, const char *sign, const char *organization_id, const char *project_id, Error *err) {
    const char *sql = arena_printf(arena,
                                   "UPDATE organizations SET image_count = image_count %s COALESCE((SELECT image_count FROM projects WHERE id = $1), 0), "
                                   "storage_bytes = storage_bytes %s COALESCE((SELECT total_size FROM projects WHERE id = $1), 0) WHERE id = $2", sign, sign);
    return db_exec(tx, err, sql, DB_TEXT(project_id), DB_TEXT(organization_id));
}

Status zip_import_publish(DbSession *tx, Arena *arena, const ZipImportRecord *record, const char *description, const char *annotation_types, const ClassList *classes,
                          Error *err) {
    int64_t images, bytes, now = clock_now_ms();
    Status status = db_read_int(tx, err, &images, 0, "SELECT image_count FROM projects WHERE id = $1", DB_TEXT(record->id));
    if (status == STATUS_OK) status = db_read_int(tx, err, &bytes, 0, "SELECT total_size FROM projects WHERE id = $1", DB_TEXT(record->id));
    if (status == STATUS_OK) status = organization_check_room(tx, record->organization_id, images, bytes, err);
    if (status == STATUS_OK) status = organization_check_projects(tx, record->organization_id, 1, err);
    if (status == STATUS_OK) status = count_in(tx, arena, "-", NOWHERE, record->id, err);
    if (status == STATUS_OK) status = count_in(tx, arena, "+", record->organization_id, record->id, err);
    if (status == STATUS_OK)
        status = db_exec(tx, err,
                         "UPDATE projects SET organization_id = $1, name = $2, annotation_types = $3, classes = $4, created_at = $5, updated_at = $5, "
                         "description = COALESCE(description, $7) WHERE id = $6",
                         DB_TEXT(record->organization_id), DB_TEXT(record->name), DB_TEXT(annotation_types), DB_TEXT(class_list_text(arena, classes)), DB_INT(now),
                         DB_TEXT(record->id), DB_TEXT(description));
    if (status == STATUS_ALREADY_EXISTS) return error_set(err, status, "Project '%s' already exists", record->name);
    if (status == STATUS_OK)
        status = db_exec(tx, err, "UPDATE zip_imports SET status = 'completed', progress = 100, completed_at = $1 WHERE id = $2", DB_INT(now), DB_TEXT(record->id));
    return status == STATUS_OK ? zip_import_discard_archive(tx, record->id, err) : status;
}

Status zip_import_drop(DbSession *tx, const char *id, int64_t most, int64_t *out_removed, Error *err) {
#define SOME "(SELECT id FROM images WHERE project_id = (SELECT id FROM projects WHERE id = $1 AND organization_id = '" NOWHERE "') ORDER BY id LIMIT $2)"
    *out_removed = 0;
    Status status = db_exec(tx, err,
                            "INSERT INTO discarded_objects (sha256, discarded_at) SELECT DISTINCT object, $3 FROM images WHERE id IN " SOME
                            " ON CONFLICT (sha256) DO NOTHING", DB_TEXT(id), DB_INT(most), DB_INT(clock_now_ms()));
    if (status == STATUS_OK) status = db_exec(tx, err, "DELETE FROM images WHERE id IN " SOME, DB_TEXT(id), DB_INT(most));
#undef SOME
    if (status != STATUS_OK) return status;
    *out_removed = db_changes(tx);
    if (*out_removed == most) return STATUS_OK;
    Arena arena;
    arena_init(&arena, 1 << 16);
    int64_t hidden;
    status = db_read_int(tx, err, &hidden, 0, "SELECT count(*) FROM projects WHERE id = $1 AND organization_id = $2", DB_TEXT(id), DB_TEXT(NOWHERE));
    if (hidden) status = count_in(tx, &arena, "-", NOWHERE, id, err);
    if (hidden && status == STATUS_OK) status = db_exec(tx, err, "DELETE FROM projects WHERE id = $1", DB_TEXT(id));
    arena_clear(&arena);
    return status;
}

Status zip_import_discard_archive(DbSession *tx, const char *id, Error *err) {
    Status status = db_exec(tx, err,
                            "INSERT INTO discarded_objects (sha256, discarded_at) SELECT object, $1 FROM zip_imports WHERE id = $2 AND object IS NOT NULL "
                            "ON CONFLICT (sha256) DO NOTHING", DB_INT(clock_now_ms()), DB_TEXT(id));
    return status == STATUS_OK ? db_exec(tx, err, "UPDATE zip_imports SET object = NULL WHERE id = $1", DB_TEXT(id)) : status;
}
