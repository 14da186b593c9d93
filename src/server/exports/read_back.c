/* The archive of an export, read back before anybody gets it. */
#include "base/file.h"
#include "base/map.h"
#include "base/text.h"
#include "formats/names.h"
#include "server/exports/export_rows.h"
#include "base/banned.h"

/* Up to here an archive is read back by the reader of its format, whose memory grows with the labels; of a larger one every entry is unpacked into
 * nothing and its checksum compared. Of images the checksum is all that counts, but where their pixels must tell their size. */
enum { READ_BACK_ITEMS = 50000, READ_BACK_LABEL_BYTES = 64 << 20, READ_BACK_PIXEL_BYTES = 256 << 20 };

typedef struct ReadBack {
    const ExportArchive *archive;
    Arena arena;
    StringMap sizes; /* folder and name of an image -> width << 32 | height, for YOLO, whose labels do not tell */
    NameList absent; /* images that the archive was made without, for YOLO, whose labels do not name them */
    DatasetReport report;
    size_t annotations;
} ReadBack;

static const char *size_key(Arena *arena, const char *folder, const char *filename) { return arena_printf(arena, "%s\n%s", folder, filename); }

static Status load_sizes(ReadBack *back, Error *err) {
    SnapshotReader *reader = snapshot_reader_new(back->archive->job, &back->archive->record, &back->archive->info);
    DatasetSource source = snapshot_reader_source(reader);
    DatasetImage image;
    bool more = true;
    Status status = STATUS_OK;
    while (status == STATUS_OK && more) {
        status = source.next(source.context, false, &image, &more, err);
        if (status != STATUS_OK || !more) break;
        string_map_set(&back->sizes, size_key(&back->arena, image.folder, image.filename), (size_t)image.width << 32 | image.height);
        const char *name = image.path ? NULL : name_in_archive(&back->arena, image.folder, image.filename);
        if (name) name_list_add(&back->absent, arena_printf(&back->arena, "images/%s", name));
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
    if (job_cancelled(back->archive->job)) return error_set(err, STATUS_CANCELLED, "Cancelled");
    back->annotations += image->annotations.count;
    return STATUS_OK;
}

static bool is_yolo(const ExportArchive *a) { return text_equal(dataset_format_name(a->format), "yolo"); }

static bool has_loss(const ExportArchive *a, const char *kind) {
    for (size_t i = 0; i < a->written.loss_count; i++)
        if (text_equal(a->written.losses[i].kind, kind)) return true;
    return false;
}

/* YOLO's labels are parts of a size, which the snapshot knows by the name of the image: not by another one that the archive gave it. */
static bool needs_pixels(const ExportArchive *a) { return is_yolo(a) && (has_loss(a, "images_renamed") || has_loss(a, "names_shortened")); }

static Status read_archive(ReadBack *back, Error *err) {
    const ExportArchive *a = back->archive;
    Dataset *dataset = NULL;
    DatasetReadOptions options = DATASET_READ_DEFAULTS;
    options.work_folder = arena_printf(&back->arena, "%s/check", a->folder);
    options.max_ratio = UINT64_MAX; /* equal labels pack well */
    options.labels_alone = !needs_pixels(a);
    options.size_of = size_of;
    options.context = back;
    options.absent = &back->absent;
    Status status = file_make_directories(options.work_folder, 0700, err);
    if (status == STATUS_OK) status = dataset_open(&dataset, a->path, &options, err);
    if (status == STATUS_OK) status = dataset_read(dataset, a->format, &(DatasetSink){back, count_image}, &back->report, err);
    dataset_close(dataset);
    return status;
}

/* By the reader that a user would use on the same file. What it leaves out knowingly (a box outside of its image) it counts. */
static Status read_back(const ExportArchive *a, Error *err) {
    ReadBack back = {.archive = a, .absent = {.arena = &back.arena}};
    arena_init(&back.arena, SIZE_MAX);
    dataset_report_init(&back.report, &back.arena);
    string_map_init(&back.sizes, &back.arena);
    Status status = is_yolo(a) ? load_sizes(&back, err) : STATUS_OK;
    if (status == STATUS_OK) status = read_archive(&back, err);
    size_t images = back.report.labelled_images, annotations = back.annotations + back.report.left_out;
    arena_clear(&back.arena);
    if (status != STATUS_OK && status != STATUS_CANCELLED) error_prefix(err, "the archive cannot be read back");
    if (status == STATUS_OK && (images != a->written.images || annotations < a->written.annotations))
        return error_set(err, STATUS_INTERNAL_ERROR, "the archive reads back as %zu images and %zu annotations, not %zu and %zu", images, annotations,
                         a->written.images, a->written.annotations);
    return status;
}

static bool can_be_read_back(const ExportArchive *a) {
    if (a->written.images + a->written.annotations > READ_BACK_ITEMS || a->written.label_bytes > READ_BACK_LABEL_BYTES) return false;
    return !needs_pixels(a) || (a->info.include_images && a->written.bytes <= READ_BACK_PIXEL_BYTES);
}

Status export_check(const ExportArchive *a, Error *err) {
    if (can_be_read_back(a)) return read_back(a, err);
    size_t entries = 0;
    Status status = dataset_verify_zip(a->path, &entries, err);
    if (status == STATUS_OK && entries != a->written.files)
        status = error_set(err, STATUS_INTERNAL_ERROR, "the archive has %zu files, not %zu", entries, a->written.files);
    return status;
}
