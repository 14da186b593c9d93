/* Documents, the counts derived from them, and the removal of labels. */
#include <string.h>

#include "base/clock.h"
#include "server/annotations/annotations.h"
#include "server/projects/projects.h"
#include "base/banned.h"

static char *document_text(Arena *arena, const AnnotationList *list) {
    Buffer out;
    JsonWriter w;
    buffer_init(&out, (size_t)256 << 20);
    json_writer_init(&w, &out);
    annotation_list_write(list, &w);
    char *text = arena_strndup(arena, buffer_text(&out), out.size);
    buffer_clear(&out);
    return text;
}

static Status write_document(DbSession *tx, Arena *arena, const char *image_id, const AnnotationList *list, int64_t now, Error *err) {
    if (list->count == 0) return db_exec(tx, err, "DELETE FROM annotation_documents WHERE image_id = $1", DB_TEXT(image_id));
    return db_exec(tx, err,
                   "INSERT INTO annotation_documents (image_id, document, updated_at) VALUES ($1, $2, $3) "
                   "ON CONFLICT (image_id) DO UPDATE SET document = excluded.document, updated_at = excluded.updated_at",
                   DB_TEXT(image_id), DB_TEXT(document_text(arena, list)), DB_INT(now));
}

static Status write_class_counts(DbSession *tx, Arena *arena, const char *project_id, const char *image_id, const AnnotationList *list, Error *err) {
    Status status = db_exec(tx, err, "DELETE FROM image_classes WHERE image_id = $1", DB_TEXT(image_id));
    ClassCount *counts;
    size_t n = annotation_count_classes(arena, list, &counts);
    for (size_t i = 0; status == STATUS_OK && i < n; i++)
        status = db_exec(tx, err, "INSERT INTO image_classes (project_id, label, image_id, annotation_count) VALUES ($1, $2, $3, $4)",
                         DB_TEXT(project_id), DB_TEXT(counts[i].name), DB_TEXT(image_id), DB_INT((int64_t)counts[i].count));
    return status;
}

/* Saved count 0 gives new; more gives complete, unless somebody put the image in annotate or review. */
static const char *stage_after_save(const char *before, size_t count) {
    if (count == 0) return "new";
    return strcmp(before, "annotate") == 0 || strcmp(before, "review") == 0 ? before : "complete";
}

Status annotations_replace(DbSession *tx, Arena *arena, const char *image_id, const AnnotationList *list, const char *stage,
                           AnnotationsSaved *out, Error *err) {
    DbRows rows = db_query(tx, err, "SELECT project_id, stage, is_archived, annotation_count FROM images WHERE id = $1", DB_TEXT(image_id));
    bool found = db_next(&rows);
    const char *project_id = found ? db_text(&rows, 0, arena) : NULL, *before = found ? db_text(&rows, 1, arena) : NULL;
    bool archived = found && db_int(&rows, 2);
    int64_t previous = found ? db_int(&rows, 3) : 0, now = clock_now_ms();
    Status status = db_finish(&rows);
    if (status != STATUS_OK) return status;
    if (!found) return error_set(err, STATUS_NOT_FOUND, "Image not found");

    const char *after = stage ? stage : stage_after_save(before, list->count);
    status = write_document(tx, arena, image_id, list, now, err);
    if (status == STATUS_OK) status = write_class_counts(tx, arena, project_id, image_id, list, err);
    if (status == STATUS_OK)
        status = db_exec(tx, err, "UPDATE images SET annotation_count = $1, stage = $2, updated_at = $3 WHERE id = $4",
                         DB_INT((int64_t)list->count), DB_TEXT(after), DB_INT(now), DB_TEXT(image_id));
    int completed = (strcmp(after, "complete") == 0) - (strcmp(before, "complete") == 0);
    if (status == STATUS_OK && !archived)
        status = project_count(tx, project_id, &(ProjectDelta){.completed = completed}, err);
    if (out) *out = (AnnotationsSaved){.previous_count = previous, .new_count = (int64_t)list->count, .stage = after};
    return status;
}

Status annotations_copy(DbSession *tx, const char *from_image_id, const char *to_image_id, Error *err) {
    Status status = db_exec(tx, err, "INSERT INTO annotation_documents (image_id, document, updated_at) SELECT $1, document, $2 FROM annotation_documents WHERE image_id = $3",
                            DB_TEXT(to_image_id), DB_INT(clock_now_ms()), DB_TEXT(from_image_id));
    if (status != STATUS_OK) return status;
    return db_exec(tx, err, "INSERT INTO image_classes (project_id, label, image_id, annotation_count) SELECT project_id, label, $1, annotation_count FROM image_classes "
                   "WHERE image_id = $2", DB_TEXT(to_image_id), DB_TEXT(from_image_id));
}

Status annotations_document(DbSession *session, Arena *arena, const char *image_id, char **out, Error *err) {
    DbRows rows = db_query(session, err, "SELECT document FROM annotation_documents WHERE image_id = $1", DB_TEXT(image_id));
    *out = db_next(&rows) ? db_text(&rows, 0, arena) : arena_strdup(arena, "[]");
    return db_finish(&rows);
}

static bool is_listed(const char *const *labels, size_t count, const char *name) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(labels[i], name) == 0) return true;
    return false;
}

static Status remove_from_image(DbSession *tx, const char *image_id, const char *const *labels, size_t count, int64_t *removed, Error *err) {
    Arena arena; /* per image: a project may have a million */
    arena_init(&arena, (size_t)256 << 20);
    char *document;
    AnnotationList list = {0};
    Status status = annotations_document(tx, &arena, image_id, &document, err);
    if (status == STATUS_OK) status = annotation_list_parse(&arena, document, strlen(document), &list, err);
    if (status == STATUS_OK) {
        size_t kept = 0;
        for (size_t i = 0; i < list.count; i++)
            if (!is_listed(labels, count, list.items[i].name)) list.items[kept++] = list.items[i];
        *removed += (int64_t)(list.count - kept);
        list.count = kept;
        status = annotations_replace(tx, &arena, image_id, &list, NULL, NULL, err);
    }
    arena_clear(&arena);
    return status;
}

Status annotations_remove_labels(DbSession *tx, Arena *arena, const char *project_id, const char *const *labels, size_t count, int64_t *removed, Error *err) {
    *removed = 0;
    for (size_t l = 0; l < count; l++) {
        int64_t n;
        Status status = db_read_int(tx, err, &n, 0, "SELECT count(*) FROM image_classes WHERE project_id = $1 AND label = $2", DB_TEXT(project_id), DB_TEXT(labels[l]));
        if (status != STATUS_OK) return status;
        const char **images = arena_new_array(arena, const char *, (size_t)n);
        size_t found = 0;
        DbRows rows = db_query(tx, err, "SELECT image_id FROM image_classes WHERE project_id = $1 AND label = $2", DB_TEXT(project_id), DB_TEXT(labels[l]));
        while (found < (size_t)n && db_next(&rows)) images[found++] = db_text(&rows, 0, arena);
        status = db_finish(&rows);
        for (size_t i = 0; status == STATUS_OK && i < found; i++) status = remove_from_image(tx, images[i], labels, count, removed, err);
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

/* --- what is derived, held against what it is derived from --- */

static Status class_counts_agree(DbSession *session, Arena *arena, const char *image_id, const AnnotationList *list, bool *out, Error *err) {
    ClassCount *counts;
    size_t n = annotation_count_classes(arena, list, &counts), seen = 0, equal = 0;
    DbRows rows = db_query(session, err, "SELECT label, annotation_count FROM image_classes WHERE image_id = $1", DB_TEXT(image_id));
    for (; db_next(&rows); seen++)
        for (size_t i = 0; i < n; i++) equal += strcmp(counts[i].name, db_text_borrowed(&rows, 0)) == 0 && db_int(&rows, 1) == (int64_t)counts[i].count;
    *out = seen == n && equal == n;
    return db_finish(&rows);
}

Status annotations_mend(DbSession *tx, Arena *arena, const char *image_id, bool *mended, Error *err) {
    AnnotationList list = {0};
    char *document;
    bool agree = false;
    DbRows rows = db_query(tx, err, "SELECT project_id, annotation_count FROM images WHERE id = $1", DB_TEXT(image_id));
    bool found = db_next(&rows);
    const char *project_id = found ? db_text(&rows, 0, arena) : NULL;
    int64_t count = found ? db_int(&rows, 1) : 0;
    Status status = db_finish(&rows);
    *mended = false;
    if (status != STATUS_OK || !found) return status;
    status = annotations_document(tx, arena, image_id, &document, err);
    if (status == STATUS_OK) status = annotation_list_parse(arena, document, strlen(document), &list, err);
    if (status == STATUS_OK) status = class_counts_agree(tx, arena, image_id, &list, &agree, err);
    if (status != STATUS_OK || (agree && count == (int64_t)list.count)) return status;
    *mended = true;
    status = write_class_counts(tx, arena, project_id, image_id, &list, err);
    return status == STATUS_OK ? db_exec(tx, err, "UPDATE images SET annotation_count = $1 WHERE id = $2", DB_INT((int64_t)list.count), DB_TEXT(image_id)) : status;
}
