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
    Job *job;
    ExportRecord record;
    DatasetInfo info;
    const DatasetFormat *format;
    const char *folder, *path; /* the job's own, and the zip in it */
    DatasetWritten written;
    int64_t annotated;
    ObjectInfo object;
    Error examined; /* how the hashing of the archive went */
    int64_t removed; /* rows of the snapshot, by the last slice */
} Build;

/* --- states ---------------------------------------------------------------------------------------------------------------- */

static Status mark_processing(DbSession *tx, void *context, Error *err) {
    const Build *b = context;
    return db_exec(tx, err, "UPDATE exports SET status = 'processing' WHERE id = $1 AND status = 'pending'", DB_TEXT(b->record.id));
}

static Status mark_completed(DbSession *tx, void *context, Error *err) {
    const Build *b = context;
    Status status = object_insert(tx, &b->object, err);
    if (status == STATUS_OK)
        status = db_exec(tx, err,
                         "UPDATE exports SET status = 'completed', object = $1, file_size = $2, md5 = $3, image_count = $4, annotation_count = $5, "
                         "annotated_image_count = $6, completed_at = $7 WHERE id = $8 AND status = 'processing'",
                         DB_TEXT(b->object.sha256), DB_INT(b->object.size), DB_TEXT(b->object.md5), DB_INT((int64_t)b->written.images),
                         DB_INT((int64_t)b->written.annotations), DB_INT(b->annotated), DB_INT(clock_now_ms()), DB_TEXT(b->record.id));
    if (status != STATUS_OK || db_changes(tx) > 0) return status;
    return object_discard(tx, b->object.sha256, err); /* deleted meanwhile: nobody wants these bytes */
}

static Status drop_slice(DbSession *tx, void *context, Error *err) {
    Build *b = context;
    return export_drop_snapshot(tx, b->record.id, SNAPSHOT_SLICE, &b->removed, err);
}

static Status drop_snapshot(Build *b, Error *err) {
    Status status;
    do status = db_write(b->job->server->store, drop_slice, b, err);
    while (status == STATUS_OK && b->removed > 0);
    return status;
}

/* --- building -------------------------------------------------------------------------------------------------------------- */

static Status write_archive(Build *b, Error *err) {
    SnapshotReader *reader = snapshot_reader_new(b->job, &b->record, &b->info);
    DatasetSource source = snapshot_reader_source(reader);
    Status status = dataset_write(b->format, &b->info, &source, b->path, &b->written, err);
    b->annotated = snapshot_reader_annotated(reader);
    snapshot_reader_free(reader);
    return status;
}

static void *examine_archive(void *context) {
    Build *b = context;
    (void)!objects_examine_file(b->path, &b->object, &b->examined);
    return NULL;
}

static Status read_back(Build *b, Error *err) {
    const char *folder = arena_printf(b->job->arena, "%s/check", b->folder);
    Status status = file_make_directories(folder, 0700, err);
    return status == STATUS_OK ? dataset_check(b->format, b->path, folder, &b->info, &b->written, job_stop, b->job, err) : status;
}

/* Reading back takes about as long as hashing and syncing: they go on together. */
static Status check_archive(Build *b, Error *err) {
    pthread_t thread;
    bool together = pthread_create(&thread, NULL, examine_archive, b) == 0;
    Status status = read_back(b, err);
    if (together) pthread_join(thread, NULL);
    else examine_archive(b);
    if (status != STATUS_OK || b->examined.status == STATUS_OK) return status;
    *err = b->examined;
    return err->status;
}

static Status build(Build *b, Error *err) {
    Server *server = b->job->server;
    Status status = db_write(server->store, mark_processing, b, err);
    if (status == STATUS_OK) status = write_archive(b, err);
    if (status == STATUS_OK) status = check_archive(b, err);
    if (status == STATUS_OK) status = objects_adopt_examined(server->objects, b->path, &b->object, err);
    if (status == STATUS_OK) status = db_write(server->store, mark_completed, b, err);
    return status;
}

static bool is_final(ExportStatus status) { return status == EXPORT_STATUS_COMPLETED || status == EXPORT_STATUS_FAILED; }

static Status run_export(Job *job, Error *err) {
    Build b = {.job = job};
    DbSession *db = db_session(job->server->store);
    Status status = export_load_by_id(db, job->arena, job->id, &b.record, err);
    db_session_release(job->server->store, db);
    if (status == STATUS_NOT_FOUND) return STATUS_OK; /* deleted meanwhile */
    if (status != STATUS_OK) return status;
    if (!is_final(b.record.status)) {
        b.format = dataset_format_find(export_format_name(b.record.format));
        b.info = export_info(job->arena, job->payload, b.record.include_images);
        b.info.class_counts = arena_new_array(job->arena, size_t, b.info.class_count);
        b.folder = objects_work_directory(job->server->objects, job->id, job->arena, err);
        b.path = b.folder ? arena_printf(job->arena, "%s/export.zip", b.folder) : NULL;
        status = b.folder ? build(&b, err) : err->status;
        if (b.folder) file_remove_tree(b.folder, NULL);
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
