/* Handlers of the batch operations: move, copy, delete, update of up to 10,000 images in one transaction.
 *
 * Each image works or fails by itself; the answer parts the input exactly into both. Repeated ids count once.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/text.h"
#include "server/annotations/annotations.h"
#include "server/api/api_handlers.h"
#include "server/images/images.h"
#include "server/organizations/organizations.h"
#include "server/projects/projects.h"
#include "base/banned.h"

enum { RENAMES_MAXIMUM = 100000 };

typedef struct Batch Batch;
/* Changes one image. STATUS_OK, or the reason in err: the image then counts as failed, unless the failure is the store's own. */
typedef Status (*BatchStep)(Batch *batch, DbSession *tx, const ImageRecord *image, Error *err);

struct Batch {
    Request *rq;
    const char *dataset_name;
    const StringArray *ids;
    BatchStep step;
    ProjectRecord project;
    BatchResult *out;
    size_t folder_capacity, known; /* known: ids that are images of the dataset */
    StringMap folders;             /* those in out->affected_folders */
    /* what the steps need */
    const char *folder; /* target, without a trailing slash */
    const BatchCopyRequest *copy;
    ProjectDelta copied; /* counted once all are there */
    StringMap names;     /* file names that copies of this call bear, with the last number that was put behind each */
    const BatchUpdateFields *updates;
    bool permanent;
};

/* ---- the frame ---- */

static void touch_folder(Batch *batch, const char *folder) {
    StringArray *folders = &batch->out->affected_folders;
    size_t before = batch->folders.count;
    string_map_get_or_set(&batch->folders, folder, 0);
    if (batch->folders.count == before) return;
    if (folders->count == batch->folder_capacity) {
        batch->folder_capacity = batch->folder_capacity ? batch->folder_capacity * 2 : 8;
        const char **more = arena_new_array(&batch->rq->arena, const char *, batch->folder_capacity);
        if (folders->count) memcpy(more, folders->items, folders->count * sizeof *more);
        folders->items = more;
    }
    folders->items[folders->count++] = folder;
}

/* STATUS_NOT_FOUND: the condition holds for no image. */
static Status read_image(DbRows rows, Arena *arena, ImageRecord *out, Error *err) {
    bool found = db_next(&rows);
    if (found) *out = image_read_row(&rows, arena);
    Status status = db_finish(&rows);
    return status != STATUS_OK || found ? status : error_set(err, STATUS_NOT_FOUND, "Image not found");
}

static Status load_image(Batch *batch, DbSession *tx, const char *id, ImageRecord *out, Error *err) {
    DbRows rows = db_query(tx, err, "SELECT " IMAGE_COLUMNS " FROM images i WHERE i.id = $1 AND i.project_id = $2", DB_TEXT(id), DB_TEXT(batch->project.id));
    return read_image(rows, &batch->rq->arena, out, err);
}

/* A failure of the store or of the caller's plan ends the whole call; anything else is the image's own. */
static bool ends_the_call(Status status) {
    return status_info(status)->http >= 500 || status == STATUS_TIER_LIMIT_EXCEEDED || status == STATUS_INSUFFICIENT_ROLE;
}

static Status take_image(Batch *batch, DbSession *tx, const char *id, Error *err) {
    Arena *arena = &batch->rq->arena;
    ImageRecord image;
    Error why = {0};
    Status status = load_image(batch, tx, id, &image, &why);
    batch->known += status == STATUS_OK;
    if (status == STATUS_OK) status = batch->step(batch, tx, &image, &why);
    if (status == STATUS_OK) {
        batch->out->succeeded.items[batch->out->succeeded.count++] = id;
        return STATUS_OK;
    }
    if (ends_the_call(status)) return error_set(err, status, "%s", why.message);
    batch->out->failed.items[batch->out->failed.count++] = (BatchFailure){.id = id, .image_id = id, .reason = arena_strdup(arena, why.message)};
    return STATUS_OK;
}

/* Copies add up; whether the plan has room for them is asked once. */
static Status count_copies(Batch *batch, DbSession *tx, Error *err) {
    if (batch->copied.images == 0) return STATUS_OK;
    Status status = organization_require_room(batch->rq, tx, batch->copied.organization_images, batch->copied.organization_bytes, err);
    return status == STATUS_OK ? project_count(tx, batch->project.id, &batch->copied, err) : status;
}

static Status take_all(DbSession *tx, void *context, Error *err) {
    Batch *batch = context;
    Arena *arena = &batch->rq->arena;
    size_t count = batch->ids->count;
    *batch->out = (BatchResult){.succeeded = {.items = arena_new_array(arena, const char *, count)}, .failed = {.items = arena_new_array(arena, BatchFailure, count)}};
    if (batch->copy) {
        batch->out->has_created = true;
        batch->out->created.items = arena_new_array(arena, BatchResultCreatedItem, count);
    }
    batch->folder_capacity = batch->known = 0;
    batch->copied = (ProjectDelta){0};
    string_map_init(&batch->folders, arena);
    string_map_init(&batch->names, arena);
    Status status = project_load(tx, arena, batch->rq->principal.organization_id, batch->dataset_name, &batch->project, err);
    const char **sorted = arena_new_array(arena, const char *, count);
    memcpy(sorted, batch->ids->items, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, text_compare);
    for (size_t i = 0; status == STATUS_OK && i < count; i++)
        if (i == 0 || strcmp(sorted[i], sorted[i - 1]) != 0) status = take_image(batch, tx, sorted[i], err);
    if (status == STATUS_OK && batch->known == 0) status = error_set(err, STATUS_NOT_FOUND, "Not one of the ids is an image of '%s'", batch->dataset_name);
    return status == STATUS_OK ? count_copies(batch, tx, err) : status;
}

static Status run(Batch *batch) {
    Status status = request_write(batch->rq, take_all, batch);
    if (status != STATUS_OK) return status;
    BatchResult *out = batch->out;
    out->processed = (int64_t)out->succeeded.count;
    out->failed_count = (int64_t)out->failed.count;
    out->failures = out->failed;
    out->success = out->failed.count == 0;
    return STATUS_OK;
}

static Status name_taken(Error *err, const char *folder, const char *filename) {
    return error_set(err, STATUS_ALREADY_EXISTS, "'%s' already exists in folder '%s'", filename, folder);
}

/* ---- move ---- */

static Status move(Batch *batch, DbSession *tx, const ImageRecord *image, Error *err) {
    if (strcmp(image->folder, batch->folder) == 0) return STATUS_OK;
    Status status = db_exec(tx, err, "UPDATE images SET folder = $1, updated_at = $2 WHERE id = $3", DB_TEXT(batch->folder), DB_INT(clock_now_ms()), DB_TEXT(image->id));
    if (status == STATUS_ALREADY_EXISTS) return name_taken(err, batch->folder, image->filename);
    if (status == STATUS_OK) {
        touch_folder(batch, image->folder);
        touch_folder(batch, batch->folder);
    }
    return status;
}

Status batch_move_images(Request *rq, const BatchMoveImagesInput *in, BatchResult *out) {
    return run(&(Batch){.rq = rq, .dataset_name = in->body->dataset_name, .ids = &in->body->image_ids, .step = move, .out = out,
                        .folder = in->body->target_folder_path});
}

/* ---- copy ---- */

/* Puts a copy into the folder, unless the name is taken there: then *placed is false. */
static Status place(Batch *batch, DbSession *tx, const ImageRecord *image, const char *id, const char *name, bool *placed, Error *err) {
    bool annotated = batch->copy->copy_annotations;
    Status status = db_exec(tx, err,
                            "INSERT INTO images (id, project_id, folder, filename, stage, annotation_count, object, file_size, md5, mime_type, width, height, display_name, "
                            "created_by, created_at, updated_at) SELECT $1, project_id, $2, $3, $4, $5, object, file_size, md5, mime_type, width, height, display_name, $6, $7, $7 "
                            "FROM images WHERE id = $8 ON CONFLICT (project_id, folder, filename) WHERE is_archived = 0 DO NOTHING",
                            DB_TEXT(id), DB_TEXT(batch->folder), DB_TEXT(name), DB_TEXT(annotated ? image->stage : "new"), DB_INT(annotated ? image->annotation_count : 0),
                            DB_TEXT(request_creator(batch->rq)), DB_INT(clock_now_ms()), DB_TEXT(image->id));
    *placed = status == STATUS_OK && db_changes(tx) == 1;
    if (*placed) string_map_get_or_set(&batch->names, image->filename, 1);
    return status;
}

/* Under the first free name of a-2.jpg, a-3.jpg, …, from where the last copy of this name found one. */
static Status place_renamed(Batch *batch, DbSession *tx, const ImageRecord *image, const char *id, Error *err) {
    const char *extension = file_extension(image->filename);
    size_t number = string_map_get_or_set(&batch->names, image->filename, 1);
    bool placed = false;
    Status status = STATUS_OK;
    while (status == STATUS_OK && !placed && number < RENAMES_MAXIMUM) {
        const char *name = arena_printf(&batch->rq->arena, "%.*s-%zu%s", (int)(extension - image->filename), image->filename, ++number, extension);
        if (text_length(name) > IMAGE_FILENAME_CHARACTERS) break;
        status = place(batch, tx, image, id, name, &placed, err);
    }
    string_map_set(&batch->names, image->filename, number);
    return status != STATUS_OK || placed ? status : name_taken(err, batch->folder, image->filename);
}

/* In the place of the image that has the name; not of one that this call has put there. */
static Status place_over(Batch *batch, DbSession *tx, const ImageRecord *image, const char *id, Error *err) {
    ImageRecord taken;
    bool placed;
    if (string_map_get(&batch->names, image->filename) != STRING_MAP_NONE) return name_taken(err, batch->folder, image->filename);
    DbRows rows = db_query(tx, err, "SELECT " IMAGE_COLUMNS " FROM images i WHERE i.project_id = $1 AND i.folder = $2 AND i.filename = $3 AND i.is_archived = 0",
                           DB_TEXT(batch->project.id), DB_TEXT(batch->folder), DB_TEXT(image->filename));
    Status status = read_image(rows, &batch->rq->arena, &taken, err);
    if (status == STATUS_OK && strcmp(taken.id, image->id) == 0) return error_set(err, STATUS_CONFLICT, "'%s' cannot replace itself", image->filename);
    if (status == STATUS_OK && batch->rq->principal.role < ACCESS_ADMIN && !request_owns(batch->rq, taken.created_by))
        return error_set(err, STATUS_NOT_OWNER, "'%s' in folder '%s' goes for good: only its uploader or an admin may replace it", image->filename, batch->folder);
    if (status == STATUS_OK) status = image_remove(tx, &taken, err);
    return status == STATUS_OK ? place(batch, tx, image, id, image->filename, &placed, err) : status;
}

static Status copy(Batch *batch, DbSession *tx, const ImageRecord *image, Error *err) {
    bool annotated = batch->copy->copy_annotations, placed;
    char *id = uuid_new(arena_alloc(&batch->rq->arena, UUID_SIZE));
    Status status = place(batch, tx, image, id, image->filename, &placed, err);
    if (status == STATUS_OK && !placed) {
        switch (batch->copy->duplicate_handling) {
        case BATCH_COPY_REQUEST_DUPLICATE_HANDLING_SKIP: status = name_taken(err, batch->folder, image->filename); break;
        case BATCH_COPY_REQUEST_DUPLICATE_HANDLING_OVERWRITE: status = place_over(batch, tx, image, id, err); break;
        default: status = place_renamed(batch, tx, image, id, err); break;
        }
    }
    if (status == STATUS_OK && annotated) status = annotations_copy(tx, image->id, id, err);
    if (status != STATUS_OK) return status;
    batch->copied.images++, batch->copied.organization_images++;
    batch->copied.bytes += image->file_size, batch->copied.organization_bytes += image->file_size;
    batch->copied.completed += annotated && strcmp(image->stage, "complete") == 0;
    batch->out->created.items[batch->out->created.count++] = (BatchResultCreatedItem){.source_id = image->id, .image_id = id};
    touch_folder(batch, batch->folder);
    return STATUS_OK;
}

Status batch_copy_images(Request *rq, const BatchCopyImagesInput *in, BatchResult *out) {
    return run(&(Batch){.rq = rq, .dataset_name = in->body->dataset_name, .ids = &in->body->image_ids, .step = copy, .out = out, .copy = in->body,
                        .folder = in->body->target_folder_path});
}

/* ---- delete ---- */

static Status delete_one(Batch *batch, DbSession *tx, const ImageRecord *image, Error *err) {
    Status status = batch->permanent ? image_remove(tx, image, err) : image_archive(tx, image, true, err);
    if (status == STATUS_OK && !image->is_archived) touch_folder(batch, image->folder);
    return status;
}

Status batch_delete_images(Request *rq, const BatchDeleteImagesInput *in, BatchResult *out) {
    Status status = in->body->permanent ? request_require_role(rq, ACCESS_ADMIN) : STATUS_OK;
    if (status != STATUS_OK) return status;
    return run(&(Batch){.rq = rq, .dataset_name = in->body->dataset_name, .ids = &in->body->image_ids, .step = delete_one, .out = out, .permanent = in->body->permanent});
}

/* ---- update ---- */

static Status set_stage(Batch *batch, DbSession *tx, const ImageRecord *image, Error *err) {
    const char *stage = image_stage_name(batch->updates->status);
    int64_t completed = (strcmp(stage, "complete") == 0) - (strcmp(image->stage, "complete") == 0);
    Status status = db_exec(tx, err, "UPDATE images SET stage = $1, updated_at = $2 WHERE id = $3", DB_TEXT(stage), DB_INT(clock_now_ms()), DB_TEXT(image->id));
    return status == STATUS_OK && completed && !image->is_archived ? project_count(tx, image->project_id, &(ProjectDelta){.completed = completed}, err) : status;
}

static Status update(Batch *batch, DbSession *tx, const ImageRecord *before, Error *err) {
    const BatchUpdateFields *updates = batch->updates;
    ImageRecord image = *before;
    Status status = STATUS_OK;
    if (updates->has_is_archived && updates->is_archived != image.is_archived) {
        status = image_archive(tx, &image, updates->is_archived, err);
        if (status == STATUS_ALREADY_EXISTS) return name_taken(err, image.folder, image.filename);
        image.is_archived = updates->is_archived;
        touch_folder(batch, image.folder);
    }
    if (status == STATUS_OK && updates->status) status = set_stage(batch, tx, &image, err);
    if (status == STATUS_OK && updates->display_name)
        status = db_exec(tx, err, "UPDATE images SET display_name = $1, updated_at = $2 WHERE id = $3", DB_TEXT(updates->display_name), DB_INT(clock_now_ms()), DB_TEXT(image.id));
    return status;
}

Status batch_update_images(Request *rq, const BatchUpdateImagesInput *in, BatchResult *out) {
    return run(&(Batch){.rq = rq, .dataset_name = in->body->dataset_name, .ids = &in->body->image_ids, .step = update, .out = out, .updates = &in->body->updates});
}
