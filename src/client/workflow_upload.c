/* Workflow: a folder of images into a dataset, many files side by side on this thread. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pictograph/images.h>
#include <pictograph/projects.h>
#include <pictograph/workflows.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/map.h"
#include "base/text.h"
#include "client/failure.h"
#include "client/report.h"
#include "client/transfer.h"
#include "client/upload.h"

#include "base/banned.h"

enum { DEFAULT_WORKERS = 8, PATHS_MAXIMUM = 1 << 30, DEEPEST = 32 };

/* ---- what lies in the folder ---- */

typedef struct Listing {
    Arena memory;
    const char **paths; /* relative to the folder */
    size_t count, capacity;
    PictographFailure *failures; /* folders that are not looked into */
    size_t failure_count;
} Listing;

static void listing_add(Listing *listing, const char *path) {
    if (listing->count == listing->capacity) {
        listing->capacity = listing->capacity ? 2 * listing->capacity : 256;
        listing->paths = xrealloc(listing->paths, listing->capacity * sizeof *listing->paths);
    }
    listing->paths[listing->count++] = path;
}

/* Links to folders are not followed, since a link may lead in a circle. */
static void pass_over(Listing *listing, const char *root, const char *child, const struct stat *link) {
    struct stat info;
    const char *path = arena_printf(&listing->memory, "%s/%s", root, child);
    if (S_ISDIR(link->st_mode)) report_failure(&listing->failures, &listing->failure_count, path, NULL, "too many folders in one another");
    else if (S_ISLNK(link->st_mode) && stat(path, &info) == 0 && S_ISDIR(info.st_mode))
        report_failure(&listing->failures, &listing->failure_count, path, NULL, "a link to a folder, which is not followed: upload that folder itself");
}

/* Adds the images below root/relative. Hidden entries are left out. */
static PictographStatus scan(Listing *listing, const char *root, const char *relative, int depth, PictographError *error) {
    const char *path = *relative ? arena_printf(&listing->memory, "%s/%s", root, relative) : root;
    PictographStatus status = PICTOGRAPH_OK;
    DIR *directory = opendir(path);
    if (!directory && depth == 0) return failure_set(error, PICTOGRAPH_FILE, "%s: %s", path, strerror(errno));
    if (!directory) {
        report_failure(&listing->failures, &listing->failure_count, path, NULL, strerror(errno));
        return PICTOGRAPH_OK;
    }
    for (struct dirent *entry; !status && (entry = readdir(directory));) {
        struct stat info;
        if (entry->d_name[0] == '.' || fstatat(dirfd(directory), entry->d_name, &info, AT_SYMLINK_NOFOLLOW)) continue;
        char *child = arena_printf(&listing->memory, "%s%s%s", relative, *relative ? "/" : "", entry->d_name);
        if (S_ISDIR(info.st_mode) && depth < DEEPEST) status = scan(listing, root, child, depth + 1, error);
        else if (!S_ISDIR(info.st_mode) && pictograph_is_image_name(entry->d_name)) listing_add(listing, child);
        else pass_over(listing, root, child, &info);
    }
    closedir(directory);
    return status;
}

/* The virtual folder of a path relative to the folder. */
static const char *virtual_folder(Arena *memory, const char *relative, const PictographFolderUpload *options) {
    const char *first = strchr(relative, '/'), *last = strrchr(relative, '/');
    if (options->flat || !first) return "/";
    const char *end = options->full_paths ? last : first;
    return arena_printf(memory, "/%.*s", (int)(end - relative), relative);
}

/* ---- the files, side by side ---- */

typedef struct UploadAll {
    PictographClient *client;
    const PictographFolderUpload *options;
    const PictographUploadFile *files;
    size_t count, next;
    const char *dataset_id;
    PictographUploadReport *report;
    Arena memory;
    StringMap places; /* folder and name -> index of the file that goes there */
} UploadAll;

static void finish_file(UploadAll *all, const char *path) {
    all->report->images_attempted++;
    if (all->options->progress) all->options->progress(all->options->context, all->report->images_attempted, (int64_t)all->count, path);
}

/* A taken name is no failure unless the caller says so; another conflict is. */
static void record(UploadAll *all, const char *path, const PictographError *error) {
    PictographUploadReport *report = all->report;
    bool taken = error->status == PICTOGRAPH_CONFLICT && !text_equal(error->error_code, "idempotency_conflict");
    if (error->status == PICTOGRAPH_VALIDATION && strstr(error->message, "already exists")) taken = true;
    const char *message = error->message, *colon = text_starts_with(message, path) ? message + strlen(path) : "";
    if (text_starts_with(colon, ": ")) message = colon + 2; /* the row names the file already */
    Buffer reason;
    buffer_init(&reason, 2048);
    buffer_printf(&reason, "%s%s", taken ? "conflict: " : "", message);
    if (error->status == PICTOGRAPH_OK) report->images_uploaded++;
    else if (taken && !all->options->conflicts_fail) report->images_skipped++;
    else report_failure(&report->failures, &report->failure_count, path, NULL, buffer_text(&reason));
    buffer_clear(&reason);
    finish_file(all, path);
}

/* What would fail for every further file too. */
static bool ends_all(PictographStatus status) {
    static const PictographStatus fatal[] = {PICTOGRAPH_AUTH,      PICTOGRAPH_FORBIDDEN,    PICTOGRAPH_NOT_FOUND,
                                             PICTOGRAPH_CANCELLED, PICTOGRAPH_RATE_LIMITED, PICTOGRAPH_PAYMENT_REQUIRED};
    for (size_t i = 0; i < sizeof fatal / sizeof *fatal; i++)
        if (fatal[i] == status) return true;
    return false;
}

static void drop(Upload *upload) {
    upload_close(upload);
    free(upload);
}

/* Two files of one upload for one place: the server would call the second "there already", and its image would be lost without a word. */
static bool has_place(UploadAll *all, size_t index, PictographError *error) {
    const PictographUploadFile *file = &all->files[index];
    const char *folder = file->folder_path ? file->folder_path : "/";
    size_t first = string_map_get_or_set(&all->places, arena_printf(&all->memory, "%s/%s", folder, file_base_name(file->path)), index);
    if (first == index) return true;
    failure_set(error, PICTOGRAPH_VALIDATION, "%s has the same name and goes to the folder %s too; full paths keep them apart", all->files[first].path, folder);
    return false;
}

static bool begin_next(void *context, Transfer *transfer) {
    UploadAll *all = context;
    while (all->next < all->count) {
        const PictographUploadFile *file = &all->files[all->next++];
        PictographError error = {0};
        Upload *upload = xcalloc(1, sizeof *upload);
        if (has_place(all, all->next - 1, &error) && !upload_open(upload, file->path, NULL, file->folder_path, NULL, &error)) {
            upload->dataset_id = all->dataset_id;
            upload_describe_address(upload, all->client, &transfer->exchange);
            transfer->user = upload;
            return true;
        }
        drop(upload);
        record(all, file->path, &error);
        pictograph_error_clear(&error);
    }
    return false;
}

static TransferNext proceed(void *context, Transfer *transfer, PictographError *error) {
    UploadAll *all = context;
    Upload *upload = transfer->user;
    if (ends_all(error->status)) return TRANSFER_STOP;
    if (!error->status && transfer->step == 0) upload_keep_target(upload, &transfer->exchange, error);
    if (error->status || transfer->step == 2) {
        record(all, upload->path, error);
        drop(upload);
        return TRANSFER_OVER;
    }
    exchange_clear(&transfer->exchange);
    if (transfer->step == 0) upload_describe_put(upload, all->client, &transfer->exchange);
    else upload_describe_register(upload, all->client, &transfer->exchange);
    return TRANSFER_MORE;
}

static void abandon(void *context, Transfer *transfer) {
    (void)context;
    drop(transfer->user);
}

/* The dataset's id; a missing dataset is created unless the caller forbids it. */
static PictographResult *find_or_create(PictographClient *client, const char *name, bool must_exist, PictographError *error) {
    PictographResult *dataset = pictograph_datasets_get(client, name, 0, 0, error);
    if (!dataset && error->status == PICTOGRAPH_NOT_FOUND && !must_exist)
        dataset = pictograph_projects_create(client, &(PictographProject){.name = name}, error);
    if (dataset && !pictograph_text(dataset, "/id")) {
        failure_set(error, PICTOGRAPH_SERVER, "The dataset '%s' has no id", name);
        pictograph_result_free(dataset);
        dataset = NULL;
    }
    return dataset;
}

PictographStatus pictograph_upload_files(PictographClient *client, const char *dataset_name, const PictographUploadFile *files, size_t count,
                                         const PictographFolderUpload *options, PictographUploadReport *report, PictographError *error) {
    static const PictographFolderUpload defaults = {0};
    options = options ? options : &defaults;
    *report = (PictographUploadReport){0};
    PictographError own = {0};
    PictographResult *dataset = find_or_create(client, dataset_name, options->must_exist, &own);
    if (dataset) {
        UploadAll all = {.client = client, .options = options, .files = files, .count = count, .report = report,
                         .dataset_id = pictograph_text(dataset, "/id")};
        TransferPlan plan = {.begin = begin_next, .proceed = proceed, .abandon = abandon, .context = &all,
                             .workers = options->workers > 0 ? options->workers : DEFAULT_WORKERS};
        arena_init(&all.memory, SIZE_MAX);
        string_map_init(&all.places, &all.memory);
        transfer_run(client, &plan, &own);
        arena_clear(&all.memory);
    }
    pictograph_result_free(dataset);
    PictographStatus status = own.status;
    report->success = !status && report->failure_count == 0 && report->images_uploaded > 0;
    failure_move(error, &own);
    return status;
}

PictographStatus pictograph_upload_dataset_from_folder(PictographClient *client, const PictographFolderUpload *options,
                                                       PictographUploadReport *report, PictographError *error) {
    *report = (PictographUploadReport){0};
    failure_reset(error);
    if (!file_is_directory(options->folder)) return failure_set(error, PICTOGRAPH_FILE, file_exists(options->folder) ? "%s: a file, not a folder" : "%s: no such folder", options->folder);
    Listing listing = {0};
    arena_init(&listing.memory, PATHS_MAXIMUM);
    PictographUploadFile *files = NULL;
    PictographStatus status = scan(&listing, options->folder, "", 0, error);
    if (status) goto out;
    if (listing.count > 0) qsort(listing.paths, listing.count, sizeof *listing.paths, text_compare);
    files = xcalloc(listing.count + 1, sizeof *files);
    for (size_t i = 0; i < listing.count; i++) {
        files[i].path = arena_printf(&listing.memory, "%s/%s", options->folder, listing.paths[i]);
        files[i].folder_path = virtual_folder(&listing.memory, listing.paths[i], options);
    }
    status = pictograph_upload_files(client, options->dataset_name, files, listing.count, options, report, error);
    for (size_t i = 0; i < listing.failure_count; i++) report_failure(&report->failures, &report->failure_count, listing.failures[i].path, NULL, listing.failures[i].reason);
    report->success &= listing.failure_count == 0;
out:
    report_clear(&listing.failures, &listing.failure_count);
    free(files);
    free(listing.paths);
    arena_clear(&listing.memory);
    return status;
}

void pictograph_upload_report_clear(PictographUploadReport *report) {
    report_clear(&report->failures, &report->failure_count);
}
