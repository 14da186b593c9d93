/* A snapshot as the source of a dataset writer. */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "server/exports/export_rows.h"
#include "server/objects/objects.h"
#include "server/server.h"
#include "base/banned.h"

enum { PAGE = 256 };

typedef struct SnapshotRow {
    const char *image_id, *folder, *filename, *stage, *object, *document;
    int64_t width, height;
} SnapshotRow;

struct SnapshotReader {
    const Job *job;
    const char *export_id;
    const DatasetInfo *info;
    Arena page_arena;  /* of the rows below */
    Arena image_arena; /* of the image that was handed out last */
    SnapshotRow rows[PAGE];
    size_t count, next;
    int64_t position; /* of the last row read */
    int64_t annotated;
};

SnapshotReader *snapshot_reader_new(const Job *job, const char *export_id, const DatasetInfo *info) {
    SnapshotReader *reader = xcalloc(1, sizeof *reader);
    *reader = (SnapshotReader){.job = job, .export_id = export_id, .info = info};
    arena_init(&reader->page_arena, SIZE_MAX);
    arena_init(&reader->image_arena, SIZE_MAX);
    return reader;
}

void snapshot_reader_free(SnapshotReader *reader) {
    if (!reader) return;
    arena_clear(&reader->page_arena);
    arena_clear(&reader->image_arena);
    free(reader);
}

int64_t snapshot_reader_annotated(const SnapshotReader *reader) { return reader->annotated; }

static Status read_page(SnapshotReader *r, Error *err) {
    Store *store = r->job->server->store;
    DbSession *db = db_session(store);
    Arena *arena = &r->page_arena;
    arena_reset(arena);
    r->count = r->next = 0;
    DbRows rows = db_query(db, err,
                           "SELECT s.position, s.image_id, s.folder, s.filename, s.stage, s.object, s.width, s.height, coalesce(s.document, d.document) "
                           "FROM export_snapshots s LEFT JOIN annotation_documents d ON d.image_id = s.image_id AND s.is_kept = 0 "
                           "WHERE s.export_id = $1 AND s.position > $2 ORDER BY s.position LIMIT $3",
                           DB_TEXT(r->export_id), DB_INT(r->position), DB_INT(PAGE));
    while (r->count < PAGE && db_next(&rows)) {
        r->position = db_int(&rows, 0);
        r->rows[r->count++] = (SnapshotRow){.image_id = db_text(&rows, 1, arena), .folder = db_text(&rows, 2, arena), .filename = db_text(&rows, 3, arena),
                                            .stage = db_text(&rows, 4, arena), .object = db_text(&rows, 5, arena), .width = db_int(&rows, 6),
                                            .height = db_int(&rows, 7), .document = db_text(&rows, 8, arena)};
    }
    Status status = db_finish(&rows);
    db_session_release(store, db);
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

static Status next_image(void *context, DatasetImage *out, bool *more, Error *err) {
    SnapshotReader *r = context;
    if (job_cancelled(r->job)) return error_set(err, STATUS_CANCELLED, "Cancelled");
    if (r->next == r->count) {
        Status status = read_page(r, err);
        if (status != STATUS_OK) return status;
    }
    *more = r->next < r->count;
    if (!*more) return STATUS_OK;
    const SnapshotRow *row = &r->rows[r->next++];
    arena_reset(&r->image_arena);
    *out = (DatasetImage){.id = row->image_id, .folder = row->folder, .filename = row->filename, .width = (uint32_t)row->width, .height = (uint32_t)row->height,
                          .status = row->stage};
    if (r->info->include_images) out->path = objects_path(r->job->server->objects, row->object, &r->image_arena);
    return take_annotations(r, row, &out->annotations, err);
}

static Status rewind_images(void *context, Error *err) {
    SnapshotReader *r = context;
    (void)err;
    r->count = r->next = 0;
    r->position = 0; /* the first is 1 */
    r->annotated = 0;
    return STATUS_OK;
}

DatasetSource snapshot_reader_source(SnapshotReader *reader) { return (DatasetSource){.context = reader, .next = next_image, .rewind = rewind_images}; }
