/* The job of an export: snapshot → zip → read back → object → completed. */
#include <pthread.h>

#include "base/clock.h"
#include "base/file.h"
#include "server/exports/export_rows.h"
#include "server/exports/exports.h"
#include "server/objects/objects.h"
#include "server/server.h"
#include "base/banned.h"

/* Rows of a snapshot that one transaction removes: others want to write, too. */
enum { SNAPSHOT_SLICE = 5000 };

typedef struct Build {
    ExportArchive archive;
    int64_t annotated;
    ObjectInfo object;
    Error examined; /* how the hashing of the archive went */
    int64_t removed; /* rows of the snapshot, by the last slice */
} Build;

/* --- states ---------------------------------------------------------------------------------------------------------------- */

static Status mark_processing(DbSession *tx, void *context, Error *err) {
    const Build *b = context;
    return db_exec(tx, err, "UPDATE exports SET status = 'processing' WHERE id = $1 AND status = 'pending'", DB_TEXT(b->archive.record.id));
}

static Status mark_completed(DbSession *tx, void *context, Error *err) {
    const Build *b = context;
    Status status = object_insert(tx, &b->object, err);
    if (status == STATUS_OK)
        status = db_exec(tx, err,
                         "UPDATE exports SET status = 'completed', object = $1, file_size = $2, md5 = $3, image_count = $4, annotation_count = $5, "
                         "annotated_image_count = $6, completed_at = $7 WHERE id = $8 AND status = 'processing'",
                         DB_TEXT(b->object.sha256), DB_INT(b->object.size), DB_TEXT(b->object.md5), DB_INT((int64_t)b->archive.written.images),
                         DB_INT((int64_t)b->archive.written.annotations), DB_INT(b->annotated), DB_INT(clock_now_ms()), DB_TEXT(b->archive.record.id));
    if (status != STATUS_OK || db_changes(tx) > 0) return status;
    return object_discard(tx, b->object.sha256, err); /* deleted meanwhile: nobody wants these bytes */
}

static Status drop_slice(DbSession *tx, void *context, Error *err) {
    Build *b = context;
    return export_drop_snapshot(tx, b->archive.record.id, SNAPSHOT_SLICE, &b->removed, err);
}

static Status drop_snapshot(Build *b, Error *err) {
    Status status;
    do status = db_write(b->archive.job->server->store, drop_slice, b, err);
    while (status == STATUS_OK && b->removed > 0);
    return status;
}

/* --- building -------------------------------------------------------------------------------------------------------------- */

static Status write_archive(Build *b, Error *err) {
    SnapshotReader *reader = snapshot_reader_new(b->archive.job, &b->archive.record, &b->archive.info);
    DatasetSource source = snapshot_reader_source(reader);
    Status status = dataset_write(b->archive.format, &b->archive.info, &source, b->archive.path, &b->archive.written, err);
    b->annotated = snapshot_reader_annotated(reader);
    snapshot_reader_free(reader);
    return status;
}

static void *examine_archive(void *context) {
    Build *b = context;
    (void)!objects_examine_file(b->archive.path, &b->object, &b->examined);
    return NULL;
}

/* Reading back takes about as long as hashing and syncing: they go on together. */
static Status check_archive(Build *b, Error *err) {
    pthread_t thread;
    bool together = pthread_create(&thread, NULL, examine_archive, b) == 0;
    Status status = export_check(&b->archive, err);
    if (together) pthread_join(thread, NULL);
    else examine_archive(b);
    if (status != STATUS_OK || b->examined.status == STATUS_OK) return status;
    *err = b->examined;
    return err->status;
}

static Status build(Build *b, Error *err) {
    Server *server = b->archive.job->server;
    Status status = db_write(server->store, mark_processing, b, err);
    if (status == STATUS_OK) status = write_archive(b, err);
    if (status == STATUS_OK) status = check_archive(b, err);
    if (status == STATUS_OK) status = objects_adopt_examined(server->objects, b->archive.path, &b->object, err);
    if (status == STATUS_OK) status = db_write(server->store, mark_completed, b, err);
    return status;
}

static bool is_final(ExportStatus status) { return status == EXPORT_STATUS_COMPLETED || status == EXPORT_STATUS_FAILED; }

static Status run_export(Job *job, Error *err) {
    Build b = {.archive.job = job};
    DbSession *db = db_session(job->server->store);
    Status status = export_load_by_id(db, job->arena, job->id, &b.archive.record, err);
    db_session_release(job->server->store, db);
    if (status == STATUS_NOT_FOUND) return STATUS_OK; /* deleted meanwhile */
    if (status != STATUS_OK) return status;
    if (!is_final(b.archive.record.status)) {
        b.archive.format = dataset_format_find(export_format_name(b.archive.record.format));
        b.archive.info = export_info(job->arena, job->payload, b.archive.record.include_images);
        b.archive.folder = objects_work_directory(job->server->objects, job->id, job->arena, err);
        b.archive.path = b.archive.folder ? arena_printf(job->arena, "%s/export.zip", b.archive.folder) : NULL;
        status = b.archive.folder ? build(&b, err) : err->status;
        if (b.archive.folder) file_remove_tree(b.archive.folder, NULL);
    }
    return status == STATUS_OK ? drop_snapshot(&b, err) : status;
}

static Status export_ended(DbSession *tx, const Job *job, Status why, const char *message, Error *err) {
    (void)why;
    int64_t removed;
    Status status = db_exec(tx, err, "UPDATE exports SET status = 'failed', error_message = $1, completed_at = $2 WHERE id = $3 AND status IN ('pending', 'processing')",
                            DB_TEXT(message), DB_INT(clock_now_ms()), DB_TEXT(job->id));
    return status == STATUS_OK ? export_drop_snapshot(tx, job->id, INT64_MAX / 2, &removed, err) : status;
}

const JobKind EXPORT_JOB = {.name = "export", .queue = "export", .parallel = 1, .max_attempts = 3, .run = run_export, .ended = export_ended};
