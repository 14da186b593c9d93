/* The job of an export: snapshot → zip → read back → object → completed. */
#include "base/clock.h"
#include "base/file.h"
#include "base/map.h"
#include "base/text.h"
#include "server/exports/export_rows.h"
#include "server/exports/exports.h"
#include "server/objects/objects.h"
#include "server/server.h"
#include "base/banned.h"

/* Rows of a snapshot that one transaction removes: others want to write, too. */
enum { SNAPSHOT_SLICE = 5000 };
/* Up to these sizes an archive is read back by the reader of its format, whose memory and disk grow with it; of a larger one every entry is
 * unpacked into nothing and its checksum compared. */
enum { READ_BACK_ITEMS = 20000, READ_BACK_BYTES = 256 << 20 };

typedef struct Build {
    Job *job;
    ExportRecord record;
    DatasetInfo info;
    const DatasetFormat *format;
    const char *folder, *path;
    DatasetWritten written;
    int64_t annotated;
    ObjectInfo object;
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

typedef struct ReadBack {
    const Build *build;
    Arena arena;
    StringMap sizes; /* folder and name of an image -> width << 32 | height, for formats whose labels do not tell */
    DatasetReport report;
    size_t images, annotations;
} ReadBack;

static const char *size_key(Arena *arena, const char *folder, const char *filename) { return arena_printf(arena, "%s\n%s", folder, filename); }

static Status load_sizes(ReadBack *back, Error *err) {
    SnapshotReader *reader = snapshot_reader_new(back->build->job, &back->build->record, &back->build->info);
    DatasetSource source = snapshot_reader_source(reader);
    DatasetImage image;
    bool more = true;
    Status status = STATUS_OK;
    string_map_init(&back->sizes, &back->arena);
    while (status == STATUS_OK && more) {
        status = source.next(source.context, &image, &more, err);
        if (status == STATUS_OK && more && image.width && image.height)
            string_map_set(&back->sizes, size_key(&back->arena, image.folder, image.filename), (size_t)image.width << 32 | image.height);
    }
    snapshot_reader_free(reader);
    return status;
}

static bool size_of(void *context, const char *folder, const char *filename, uint32_t *width, uint32_t *height) {
    ReadBack *back = context;
    size_t size = string_map_get(&back->sizes, size_key(&back->arena, folder, filename));
    if (size == STRING_MAP_NONE) return false;
    *width = (uint32_t)(size >> 32);
    *height = (uint32_t)size;
    return true;
}

static Status count_image(void *context, const DatasetImage *image, Error *err) {
    ReadBack *back = context;
    if (job_cancelled(back->build->job)) return error_set(err, STATUS_CANCELLED, "Cancelled");
    back->images++;
    back->annotations += image->annotations.count;
    return STATUS_OK;
}

static Status read_archive(ReadBack *back, Error *err) {
    const Build *b = back->build;
    Dataset *dataset = NULL;
    DatasetReadOptions options = DATASET_READ_DEFAULTS;
    options.work_folder = arena_printf(&back->arena, "%s/check", b->folder);
    options.max_ratio = UINT64_MAX; /* equal labels pack well */
    options.size_of = size_of;
    options.context = back;
    Status status = file_make_directories(options.work_folder, 0700, err);
    if (status == STATUS_OK) status = dataset_open(&dataset, b->path, &options, err);
    if (status == STATUS_OK) status = dataset_read(dataset, b->format, &(DatasetSink){back, count_image}, &back->report, err);
    dataset_close(dataset);
    return status;
}

/* By the reader that a user would use on the same file. What it leaves out knowingly (a box outside of its image) it counts. */
static Status read_back(const Build *b, Error *err) {
    ReadBack back = {.build = b};
    arena_init(&back.arena, SIZE_MAX);
    dataset_report_init(&back.report, &back.arena);
    Status status = load_sizes(&back, err);
    if (status == STATUS_OK) status = read_archive(&back, err);
    size_t annotations = back.annotations + back.report.left_out;
    arena_clear(&back.arena);
    if (status != STATUS_OK && status != STATUS_CANCELLED) error_prefix(err, "the archive cannot be read back");
    if (status == STATUS_OK && (back.images != b->written.images || annotations < b->written.annotations))
        return error_set(err, STATUS_INTERNAL_ERROR, "the archive reads back as %zu images and %zu annotations, not %zu and %zu", back.images, annotations,
                         b->written.images, b->written.annotations);
    return status;
}

static Status write_archive(Build *b, Error *err) {
    SnapshotReader *reader = snapshot_reader_new(b->job, &b->record, &b->info);
    DatasetSource source = snapshot_reader_source(reader);
    Status status = dataset_write(b->format, &b->info, &source, b->path, &b->written, err);
    b->annotated = snapshot_reader_annotated(reader);
    snapshot_reader_free(reader);
    return status;
}

/* YOLO's label files do not say which image they belong to: without pixels there is nothing to read them against. */
static bool can_be_read_back(const Build *b) {
    bool small = b->written.bytes <= READ_BACK_BYTES && b->written.images + b->written.annotations <= READ_BACK_ITEMS;
    return small && (b->info.include_images || !text_equal(dataset_format_name(b->format), "yolo"));
}

static Status check_archive(const Build *b, Error *err) {
    if (can_be_read_back(b)) return read_back(b, err);
    size_t entries = 0;
    Status status = dataset_verify_zip(b->path, &entries, err);
    if (status == STATUS_OK && entries != b->written.files)
        status = error_set(err, STATUS_INTERNAL_ERROR, "the archive has %zu files, not %zu", entries, b->written.files);
    return status;
}

static Status build(Build *b, Error *err) {
    Server *server = b->job->server;
    Status status = db_write(server->store, mark_processing, b, err);
    if (status == STATUS_OK) status = write_archive(b, err);
    if (status == STATUS_OK) status = check_archive(b, err);
    if (status == STATUS_OK) status = objects_adopt_file(server->objects, b->path, &b->object, err);
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
