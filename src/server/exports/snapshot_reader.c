/* A snapshot as the source of a dataset writer. */
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "server/exports/export_rows.h"
#include "server/images/images.h"
#include "server/objects/objects.h"
#include "server/server.h"
#include "base/banned.h"

enum { PAGE = 256 };

typedef struct SnapshotRow {
    const char *image_id, *folder, *filename, *stage, *object, *document, *display_name;
    int64_t width, height;
} SnapshotRow;

struct SnapshotReader {
    const Job *job;
    const ExportRecord *record;
    const DatasetInfo *info;
    char *sql; /* of a page */
    Arena page_arena;  /* of the rows below */
    Arena image_arena; /* of the image that was handed out last */
    SnapshotRow rows[PAGE];
    size_t count, next;
    bool started;            /* this pass handed out an image */
    Buffer folder, filename; /* of the last row read */
    int64_t annotated;
};

/* Images that nobody touched since, and the old states of those that somebody did: each comes in the order of an index, so they are merged.
 * An image that moves while pages are read is found once: its old state keeps the old place. */
#define UNTOUCHED                                                                                                                             \
    "SELECT m.id, m.folder, m.filename, m.width, m.height, m.stage, m.object, d.document, m.display_name FROM images m "                     \
    "LEFT JOIN annotation_documents d ON d.image_id = m.id WHERE m.project_id = $1 AND m.is_archived = 0 AND (m.folder, m.filename) > ($3, $4) " \
    "AND NOT EXISTS (SELECT 1 FROM export_snapshots s WHERE s.export_id = $2 AND s.image_id = m.id)"
#define KEPT                                                                                                                                  \
    "SELECT s.image_id, s.folder, s.filename, s.width, s.height, s.stage, s.object, s.document, s.display_name FROM export_snapshots s "     \
    "WHERE s.export_id = $2 AND s.is_member = 1 AND (s.folder, s.filename) > ($3, $4)"

SnapshotReader *snapshot_reader_new(const Job *job, const ExportRecord *record, const DatasetInfo *info) {
    SnapshotReader *reader = xcalloc(1, sizeof *reader);
    *reader = (SnapshotReader){.job = job, .record = record, .info = info};
    arena_init(&reader->page_arena, SIZE_MAX);
    arena_init(&reader->image_arena, SIZE_MAX);
    buffer_init(&reader->folder, 1 << 16);
    buffer_init(&reader->filename, 1 << 16);
    reader->sql = arena_printf(job->arena, "SELECT i.* FROM (" UNTOUCHED " UNION ALL " KEPT ") i WHERE %s ORDER BY i.folder, i.filename LIMIT $5",
                               image_filter_condition(record->status_filter));
    return reader;
}

void snapshot_reader_free(SnapshotReader *reader) {
    if (!reader) return;
    arena_clear(&reader->page_arena);
    arena_clear(&reader->image_arena);
    buffer_clear(&reader->folder);
    buffer_clear(&reader->filename);
    free(reader);
}

int64_t snapshot_reader_annotated(const SnapshotReader *reader) { return reader->annotated; }

static void remember_place(SnapshotReader *r, const char *folder, const char *filename) {
    buffer_reset(&r->folder);
    buffer_reset(&r->filename);
    buffer_append_text(&r->folder, folder);
    buffer_append_text(&r->filename, filename);
}

static Status read_page(SnapshotReader *r, bool with_annotations, Error *err) {
    Store *store = r->job->server->store;
    DbSession *db = db_session(store);
    Arena *arena = &r->page_arena;
    arena_reset(arena);
    r->count = r->next = 0;
    DbRows rows = db_query(db, err, r->sql, DB_TEXT(r->record->project_id), DB_TEXT(r->record->id), DB_TEXT(buffer_text(&r->folder)),
                           DB_TEXT(buffer_text(&r->filename)), DB_INT(PAGE));
    while (r->count < PAGE && db_next(&rows))
        r->rows[r->count++] = (SnapshotRow){.image_id = db_text(&rows, 0, arena), .folder = db_text(&rows, 1, arena), .filename = db_text(&rows, 2, arena),
                                            .width = db_int(&rows, 3), .height = db_int(&rows, 4), .stage = db_text(&rows, 5, arena),
                                            .object = db_text(&rows, 6, arena), .document = with_annotations ? db_text(&rows, 7, arena) : NULL, .display_name = db_text(&rows, 8, arena)};
    Status status = db_finish(&rows);
    db_session_release(store, db);
    if (r->count) remember_place(r, r->rows[r->count - 1].folder, r->rows[r->count - 1].filename);
    return status;
}

static bool is_wanted(const DatasetInfo *info, const char *name) {
    for (size_t i = 0; i < info->class_count; i++)
        if (strcmp(info->classes[i].name, name) == 0) return true;
    return false;
}

/* The classes of the export are those that the filter lets through: the rest of an image's annotations is not wanted. */
static Status take_annotations(SnapshotReader *r, const SnapshotRow *row, AnnotationList *out, Error *err) {
    *out = (AnnotationList){0};
    if (!row->document) return STATUS_OK;
    Status status = annotation_list_parse(&r->image_arena, row->document, strlen(row->document), out, err);
    if (status != STATUS_OK) return error_prefix(err, "annotations of %s", row->filename);
    size_t kept = 0;
    for (size_t i = 0; i < out->count; i++)
        if (is_wanted(r->info, out->items[i].name)) out->items[kept++] = out->items[i];
    out->count = kept;
    r->annotated += kept > 0;
    return STATUS_OK;
}

static Status next_image(void *context, bool with_annotations, DatasetImage *out, bool *more, Error *err) {
    SnapshotReader *r = context;
    if (job_cancelled(r->job)) return error_set(err, STATUS_CANCELLED, "Cancelled");
    if (r->next == r->count) {
        Status status = read_page(r, with_annotations, err);
        if (status != STATUS_OK) return status;
    }
    *more = r->next < r->count;
    if (!*more) return STATUS_OK;
    const SnapshotRow *row = &r->rows[r->next++];
    arena_reset(&r->image_arena);
    if (with_annotations && !r->started) r->annotated = 0;
    r->started = true;
    *out = (DatasetImage){.id = row->image_id, .folder = row->folder, .filename = row->filename, .width = (uint32_t)row->width, .height = (uint32_t)row->height,
                          .status = row->stage, .display_name = row->display_name};
    if (r->info->include_images) out->path = objects_path(r->job->server->objects, row->object, &r->image_arena);
    return with_annotations ? take_annotations(r, row, &out->annotations, err) : STATUS_OK;
}

static Status rewind_images(void *context, Error *err) {
    SnapshotReader *r = context;
    (void)err;
    r->count = r->next = 0;
    remember_place(r, "", "");
    r->started = false;
    return STATUS_OK;
}

DatasetSource snapshot_reader_source(SnapshotReader *reader) { return (DatasetSource){.context = reader, .next = next_image, .rewind = rewind_images}; }
