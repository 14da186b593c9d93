/* A version of a Roboflow project comes as one archive in COCO's form, read by the reader that reads every COCO file. What lies below train/, valid/ and
 * test/ keeps these as its folders. */
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "formats/dataset.h"
#include "server/connectors/import_job.h"
#include "base/banned.h"

static const int64_t ARCHIVE_MAXIMUM = (int64_t)64 << 30;
enum { ARENA_BYTES = 512 << 20 };

typedef struct VersionImport {
    SetImport *set;
    DbSession *db;
} VersionImport;

/* The annotations that the reader found, under ids of their own. */
static void take_annotations(Incoming *in, int64_t width, int64_t height) {
    const DatasetImage *image = in->context;
    (void)width, (void)height;
    conversion_init(&in->conversion, in->arena, in->set->import->record.created_by);
    for (size_t i = 0; i < image->annotations.count; i++) {
        Annotation a = image->annotations.items[i];
        a.name = label_of(in->arena, a.name);
        conversion_add(&in->conversion, a, NULL);
    }
}

static Status take_image(void *context, const DatasetImage *image, Error *err) {
    VersionImport *v = context;
    SetImport *set = v->set;
    Job *job = set->import->job;
    Arena arena;
    Error failure = {0};
    if (job_cancelled(job)) return error_set(err, STATUS_CANCELLED, "Cancelled");
    arena_init(&arena, ARENA_BYTES);
    const char *remote_id = arena_printf(&arena, "%s/%s", strcmp(image->folder, "/") == 0 ? "" : image->folder, image->filename);
    int64_t there;
    Status status = import_has_image(v->db, set->dataset->project_id, remote_id, &there, err);
    if (status == STATUS_OK && !there) {
        Incoming in = {.set = set, .arena = &arena, .remote_id = remote_id, .name = image->filename, .folder = image->folder, .content_type = "",
                       .convert = take_annotations, .context = (void *)(uintptr_t)image};
        if (!image->path) status = error_set(&failure, STATUS_NOT_FOUND, "The export names it and does not hold it");
        else if (file_size(image->path) > IMAGE_MAXIMUM_BYTES) status = error_set(&failure, STATUS_PAYLOAD_TOO_LARGE, "The image is larger than 50 MB");
        else status = objects_adopt_file(job->server->objects, image->path, &in.object, &failure);
        if (status == STATUS_OK) status = import_take(&in, &failure);
        if (status != STATUS_OK && import_is_images_own(status)) status = import_report_failure(set, image->filename, failure.message, err);
        else if (status != STATUS_OK) *err = failure;
    }
    arena_clear(&arena);
    return status;
}

static Status read_archive(SetImport *set, const char *folder, const char *path, Error *err) {
    Arena *arena = set->import->job->arena;
    Store *store = set->import->job->server->store;
    Dataset *dataset = NULL;
    DatasetReport report;
    DatasetReadOptions options = DATASET_READ_DEFAULTS;
    VersionImport v = {.set = set};
    options.work_folder = arena_printf(arena, "%s/unpacked", folder);
    options.max_bytes = (uint64_t)ARCHIVE_MAXIMUM;
    Status status = file_make_directories(options.work_folder, 0700, err);
    if (status == STATUS_OK) status = dataset_open(&dataset, path, &options, err);
    if (status != STATUS_OK) return status;
    dataset_report_init(&report, arena);
    v.db = db_session(store);
    status = dataset_read(dataset, dataset_format_find("coco"), &(DatasetSink){&v, take_image}, &report, err);
    db_session_release(store, v.db);
    dataset_close(dataset);
    return status;
}

Status import_version(SetImport *set, Error *err) {
    Job *job = set->import->job;
    const char *link;
    Status status = roboflow_export_link(set->import->remote, job->arena, &set->source, job_stop, job, &link, err);
    if (status != STATUS_OK) return status;
    char name[UUID_SIZE];
    const char *folder = objects_work_directory(job->server->objects, uuid_new(name), job->arena, err);
    if (!folder) return err->status;
    const char *path = arena_printf(job->arena, "%s/export.zip", folder);
    status = remote_download_to(set->import->remote, link, ARCHIVE_MAXIMUM, path, err);
    if (status == STATUS_OK) status = read_archive(set, folder, path, err);
    file_remove_tree(folder, NULL);
    return status;
}
