/* The job of a batch: each image through a trained model, or through what answers text (text_engine.h), its detections into the image's annotations, and where
 * tags are wanted through the model that describes, its words into the automatic tags; one transaction an image.
 *
 * Images that are done are marked in annotation_batch_images in the same transaction, so that a job that is taken up again goes on where it was.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "annotation/annotation.h"
#include "base/clock.h"
#include "base/text.h"
#include "server/annotations/annotations.h"
#include "server/auto_annotate/auto_annotate.h"
#include "server/auto_annotate/found.h"
#include "server/auto_annotate/text_engine.h"
#include "server/auto_annotate/vision_call.h"
#include "server/credits/credits.h"
#include "server/images/images.h"
#include "server/jobs/workers.h"
#include "server/objects/objects.h"
#include "server/projects/projects.h"
#include "server/search/search.h"
#include "worker/model_folder.h"
#include "base/banned.h"

enum { THINGS_MAX = 100 }; /* limits.yaml auto_annotate.text_max_detections.max */
enum { CLASSIFY_SECONDS = 120 };

/* Words for one model. */
typedef struct Words {
    const char **items;
    atomic_bool *meaningless; /* which of them mean nothing to the model, as any image's answer says */
    size_t count;
} Words;

typedef struct Batch {
    Job *job;
    const char *id, *organization_id, *project_id, *created_by;
    double threshold;
    bool is_trained; /* the engine is a model of the organization's own */
    TextEngine engine;
    WorkerPool *pool; /* that looks at the images */
    Wanted *wanted;   /* as many as things */
    Words things, tags;
    bool tagging; /* without words in tags: any that the model knows */
    int64_t top_k;
} Batch;

typedef struct FoundTag {
    const char *category, *tag;
} FoundTag;

typedef struct BatchImage {
    Batch *batch;
    int64_t position;
    const char *image_id, *reason; /* reason set: the image failed */
    const char *engine;            /* what answered */
    AnnotationList list;
    FoundTag *tags;
    size_t tag_count;
    Arena *arena;
} BatchImage;

/* The classes that the user named. */
static void read_classes(Batch *batch, Arena *arena, const char *text) {
    yyjson_doc *doc = json_parse_in(arena, text, strlen(text), NULL);
    yyjson_val *c;
    size_t index, count = yyjson_arr_size(yyjson_doc_get_root(doc));
    batch->wanted = arena_new_array(arena, Wanted, count);
    batch->things = (Words){arena_new_array(arena, const char *, count), arena_new_array(arena, atomic_bool, count), 0};
    batch->tags = (Words){arena_new_array(arena, const char *, count), arena_new_array(arena, atomic_bool, count), 0};
    yyjson_arr_foreach(yyjson_doc_get_root(doc), index, count, c) {
        const char *name = json_get_string(c, "name", ""), *type = json_get_string(c, "output_type", "bbox");
        if (text_equal(type, "tag")) {
            batch->tags.items[batch->tags.count++] = name;
            continue;
        }
        Wanted *wanted = &batch->wanted[batch->things.count];
        batch->things.items[batch->things.count++] = wanted->label = name;
        annotation_type_from_name(type, &wanted->type);
    }
    batch->tagging = batch->tags.count > 0 || batch->things.count == 0;
}

static Status load_batch(Batch *batch, Error *err) {
    Server *server = batch->job->server;
    Arena *arena = batch->job->arena;
    DbSession *db = db_session(server->store);
    DbRows rows = db_query(db, err,
                           "SELECT b.organization_id, b.project_id, b.confidence_threshold, b.classes, b.created_by, b.model_id, m.object, b.top_k FROM annotation_batches b "
                           "LEFT JOIN models m ON m.id = b.model_id WHERE b.id = $1", DB_TEXT(batch->id));
    bool found = db_next(&rows);
    const char *model_id = NULL, *object = NULL;
    if (found) {
        batch->organization_id = db_text(&rows, 0, arena);
        batch->project_id = db_text(&rows, 1, arena);
        batch->threshold = db_real(&rows, 2);
        read_classes(batch, arena, db_text_borrowed(&rows, 3));
        batch->created_by = db_text(&rows, 4, arena);
        model_id = db_text(&rows, 5, arena);
        object = db_text(&rows, 6, arena);
        batch->top_k = db_int(&rows, 7);
    }
    Status status = db_finish(&rows);
    db_session_release(server->store, db);
    if (status != STATUS_OK) return status;
    if (!found || !batch->project_id) return error_set(err, STATUS_NOT_FOUND, "The dataset is gone");
    if (!model_id) return batch->things.count ? text_engine_choose(&batch->engine, server, arena, err) : STATUS_OK;
    if (!object) return error_set(err, STATUS_MODEL_UNAVAILABLE, "The model has no weights");
    batch->is_trained = true;
    batch->engine = text_engine_of_model(objects_path(server->objects, object, arena));
    return STATUS_OK;
}

/* The processes for batches, unless a model of the operator's may be needed: those are large, and loaded once, where prompts are answered. */
static WorkerPool *choose_pool(const Batch *batch) {
    const Server *server = batch->job->server;
    bool boxes = !batch->tagging;
    for (size_t i = 0; i < batch->things.count; i++) boxes = boxes && batch->wanted[i].type == ANNOTATION_BBOX;
    bool at_home = batch->engine.any_word || (!boxes && model_folder_has_models(arena_printf(batch->job->arena, "%s/models", server->config.data_directory)));
    return at_home ? server->vision : server->labeller;
}

static Status mark_running(DbSession *tx, void *context, Error *err) {
    const Batch *batch = context;
    return db_exec(tx, err, "UPDATE annotation_batches SET status = 'running' WHERE id = $1 AND status = 'pending'", DB_TEXT(batch->id));
}

static void note_meaningless(Words *words, yyjson_val *result) {
    yyjson_val *word;
    size_t index, count;
    yyjson_arr_foreach(yyjson_obj_get(result, "words"), index, count, word) {
        if (index < words->count && !json_get_string(word, "class", NULL)) atomic_store(&words->meaningless[index], true);
    }
}

/* The names that mean nothing, after `before`; NULL when there are none. */
static const char *list_meaningless(Arena *arena, const Words *words, const char *before) {
    const char *names = NULL;
    for (size_t i = 0; i < words->count; i++)
        if (atomic_load(&words->meaningless[i])) names = arena_printf(arena, "%s%s'%s'", names ? names : before, names ? ", " : "", words->items[i]);
    return names;
}

/* What the user has to know of a batch that went to its end; NULL when it was plain. */
static const char *summary(const Batch *batch) {
    Arena *arena = batch->job->arena;
    const char *things = list_meaningless(arena, &batch->things, "Nothing was looked for under names that the detector does not know: ");
    const char *tags = list_meaningless(arena, &batch->tags, "The classification model has no such tags: ");
    return things && tags ? arena_printf(arena, "%s. %s", things, tags) : things ? things : tags;
}

static Status find(BatchImage *item, const ImageRecord *image, Error *err) {
    Batch *batch = item->batch;
    VisionCall call;
    yyjson_val *result = NULL;
    vision_call_begin(&call, batch->job->server, item->arena, image);
    call.pool = batch->pool;
    if (workers_count(call.pool) > 1) json_field_int(&call.writer, "threads", 1); /* a core for each image is quicker than all cores for one */
    text_engine_write(&call.writer, &batch->engine);
    json_field_number(&call.writer, "confidence_threshold", batch->threshold);
    if (batch->is_trained) json_field_number(&call.writer, "floor", batch->threshold);
    json_field_int(&call.writer, "max_detections", THINGS_MAX);
    wanted_write(&call.writer, batch->wanted, batch->things.count);
    Status status = vision_call_run(&call, batch->engine.method, batch->engine.seconds, job_stop, batch->job, &result, err);
    if (status == STATUS_OK) {
        note_meaningless(&batch->things, result);
        found_append(&item->list, item->arena, result, batch->wanted, batch->things.count, batch->created_by);
        item->engine = arena_strdup(item->arena, json_get_string(result, "engine", NULL));
    }
    vision_call_end(&call);
    return status;
}

static void take_tags(BatchImage *item, yyjson_val *result) {
    yyjson_val *list = yyjson_obj_get(result, "found"), *found;
    size_t index, count;
    item->tags = arena_new_array(item->arena, FoundTag, yyjson_arr_size(list));
    yyjson_arr_foreach(list, index, count, found) item->tags[item->tag_count++] =
        (FoundTag){arena_strdup(item->arena, json_get_string(found, "category", "objects")), arena_strdup(item->arena, json_get_string(found, "class", ""))};
    const char *engine = json_get_string(result, "engine", "");
    item->engine = item->engine ? arena_printf(item->arena, "%s+%s", item->engine, engine) : arena_strdup(item->arena, engine);
}

static Status classify(BatchImage *item, const ImageRecord *image, Error *err) {
    Batch *batch = item->batch;
    VisionCall call;
    yyjson_val *result = NULL;
    Status status = search_describe(batch->job->server, item->arena, image, job_stop, batch->job, err);
    if (status != STATUS_OK) return status;
    vision_call_begin(&call, batch->job->server, item->arena, image);
    call.pool = batch->pool;
    search_write_model(&call.writer, batch->job->server, item->arena);
    json_field_number(&call.writer, "confidence_threshold", batch->threshold);
    json_field_int(&call.writer, "top_k", batch->top_k);
    json_key(&call.writer, "words");
    json_begin_array(&call.writer);
    for (size_t i = 0; i < batch->tags.count; i++) {
        json_begin_object(&call.writer);
        json_field_string(&call.writer, "word", batch->tags.items[i]);
        json_end_object(&call.writer);
    }
    json_end_array(&call.writer);
    status = vision_call_run(&call, "classify", CLASSIFY_SECONDS, job_stop, batch->job, &result, err);
    if (status == STATUS_OK) {
        note_meaningless(&batch->tags, result);
        take_tags(item, result);
    }
    vision_call_end(&call);
    return status;
}

static Status look(BatchImage *item, Error *err) {
    Batch *batch = item->batch;
    Server *server = batch->job->server;
    ImageRecord image;
    DbSession *db = db_session(server->store);
    Status status = image_load(db, item->arena, batch->organization_id, item->image_id, &image, err);
    db_session_release(server->store, db);
    if (status == STATUS_OK && batch->things.count) status = find(item, &image, err);
    if (status == STATUS_OK && batch->tagging) status = classify(item, &image, err);
    return status;
}

/* The image's list, its tags, its mark and the batch's counts in one transaction. An image without detections keeps what it had; tags come to those there. */
static Status write_image(DbSession *tx, void *context, Error *err) {
    BatchImage *item = context;
    Batch *batch = item->batch;
    Status status = STATUS_OK;
    if (!item->reason && item->list.count) status = annotations_replace(tx, item->arena, item->image_id, &item->list, NULL, NULL, err);
    for (size_t i = 0; status == STATUS_OK && !item->reason && i < item->tag_count; i++)
        status = search_add_tag(tx, item->image_id, item->tags[i].category, item->tags[i].tag, err);
    if (status == STATUS_NOT_FOUND) {
        item->reason = "The image was deleted";
        status = STATUS_OK;
    }
    if (status == STATUS_OK)
        status = db_exec(tx, err, "UPDATE annotation_batch_images SET state = $1, reason = $2 WHERE batch_id = $3 AND position = $4 AND state = 'pending'",
                         DB_TEXT(item->reason ? "failed" : "processed"), DB_TEXT(item->reason), DB_TEXT(batch->id), DB_INT(item->position));
    if (status != STATUS_OK || db_changes(tx) == 0) return status;
    return db_exec(tx, err,
                   "UPDATE annotation_batches SET processed_images = processed_images + $1, failed_images = failed_images + $2, "
                   "annotations_added = annotations_added + $3, "
                   /* images end in any order: the fullest name */
                   "engine = CASE WHEN engine IS NULL OR ($3 > 0 AND length($4) > length(engine)) THEN $4 ELSE engine END WHERE id = $5",
                   DB_INT(!item->reason), DB_INT(item->reason != NULL), DB_INT(item->reason ? 0 : (int64_t)(item->list.count + item->tag_count)), DB_TEXT(item->engine), DB_TEXT(batch->id));
}

static Status annotate_image(Batch *batch, int64_t position, const char *image_id, Error *err) {
    Arena arena;
    arena_init(&arena, (size_t)256 << 20);
    BatchImage item = {.batch = batch, .position = position, .image_id = image_id, .arena = &arena};
    Error failure = {0};
    Status status = look(&item, &failure);
    if (status == STATUS_CANCELLED) {
        arena_clear(&arena);
        return error_set(err, status, "Cancelled");
    }
    if (status != STATUS_OK) { /* this image's trouble, not the batch's */
        const Config *config = &batch->job->server->config;
        error_outward(&failure, config->data_directory, config->program_directory);
        item.reason = failure.message;
    }
    status = db_write(batch->job->server->store, write_image, &item, err);
    arena_clear(&arena);
    return status;
}

/* The images that are left, and the lanes that take them in turn: one more than workers, so that while one image is stored all of them look at others. */
typedef struct Images {
    Batch *batch;
    const char **ids;
    int64_t *positions;
    size_t count;
    pthread_mutex_t lock; /* of what follows */
    size_t next;
    Error failure; /* of the batch: ends all lanes */
} Images;

/* SIZE_MAX when there is nothing to do any more. */
static size_t next_image(Images *images) {
    pthread_mutex_lock(&images->lock);
    size_t at = images->next < images->count && images->failure.status == STATUS_OK ? images->next++ : SIZE_MAX;
    pthread_mutex_unlock(&images->lock);
    return at;
}

static void *lane(void *context) {
    Images *images = context;
    for (size_t i; (i = next_image(images)) != SIZE_MAX;) {
        Error err = {0};
        Status status = job_cancelled(images->batch->job) ? error_set(&err, STATUS_CANCELLED, "Cancelled") : annotate_image(images->batch, images->positions[i], images->ids[i], &err);
        if (status == STATUS_OK) continue;
        pthread_mutex_lock(&images->lock);
        if (images->failure.status == STATUS_OK) images->failure = err;
        pthread_mutex_unlock(&images->lock);
    }
    return NULL;
}

static Status annotate_all(Images *images, Error *err) {
    size_t wanted = (size_t)workers_count(images->batch->pool), started = 0;
    pthread_t *others = arena_new_array(images->batch->job->arena, pthread_t, wanted);
    pthread_mutex_init(&images->lock, NULL);
    while (started < wanted && started + 1 < images->count && pthread_create(&others[started], NULL, lane, images) == 0) started++;
    lane(images);
    while (started) pthread_join(others[--started], NULL);
    pthread_mutex_destroy(&images->lock);
    if (images->failure.status != STATUS_OK) *err = images->failure;
    return images->failure.status;
}

static Status load_images(Images *images, Error *err) {
    Job *job = images->batch->job;
    DbSession *db = db_session(job->server->store);
    DbRows rows = db_query(db, err, "SELECT position, image_id, count(*) OVER () FROM annotation_batch_images WHERE batch_id = $1 AND state = 'pending' ORDER BY position",
                           DB_TEXT(images->batch->id));
    while (db_next(&rows)) {
        if (!images->ids) {
            images->ids = arena_new_array(job->arena, const char *, (size_t)db_int(&rows, 2));
            images->positions = arena_new_array(job->arena, int64_t, (size_t)db_int(&rows, 2));
        }
        images->positions[images->count] = db_int(&rows, 0);
        images->ids[images->count++] = db_text(&rows, 1, job->arena);
    }
    Status status = db_finish(&rows);
    db_session_release(job->server->store, db);
    return status;
}

/* Brings a batch to a final state: one credit an image that was done, at least three if any was, the rest comes back. A batch whose project was
 * deleted meanwhile is cancelled, even when it found nothing left to do before it heard of that. */
static Status finish(DbSession *tx, const char *batch_id, const char *status_text, const char *message, Error *err) {
    char organization[64] = "";
    int64_t reserved = 0, processed = 0;
    bool open = false;
    DbRows rows = db_query(tx, err, "SELECT organization_id, credits_reserved, processed_images, status, project_id FROM annotation_batches WHERE id = $1", DB_TEXT(batch_id));
    if (db_next(&rows)) {
        snprintf(organization, sizeof organization, "%s", db_text_borrowed(&rows, 0));
        reserved = db_int(&rows, 1);
        processed = db_int(&rows, 2);
        const char *now_is = db_text_borrowed(&rows, 3);
        open = text_equal(now_is, "pending") || text_equal(now_is, "running");
        if (db_is_null(&rows, 4)) status_text = "cancelled", message = NULL;
    }
    Status status = db_finish(&rows);
    if (status != STATUS_OK || !open) return status; /* a final state never changes */
    int64_t charged = processed == 0 ? 0 : processed < BATCH_MINIMUM_CREDITS ? BATCH_MINIMUM_CREDITS : processed;
    if (charged > reserved) charged = reserved;
    status = db_exec(tx, err, "UPDATE annotation_batches SET status = $1, error_message = $2, credits_charged = $3, completed_at = $4 WHERE id = $5", DB_TEXT(status_text),
                     DB_TEXT(message), DB_INT(charged), DB_INT(clock_now_ms()), DB_TEXT(batch_id));
    if (status != STATUS_OK || charged == reserved) return status;
    return credits_refund(tx, organization, "sam3_refund", reserved - charged, "Images that the batch did not process", err);
}

static Status complete(DbSession *tx, void *context, Error *err) {
    const Batch *batch = context;
    return finish(tx, batch->id, "completed", summary(batch), err);
}

static Status run_batch(Job *job, Error *err) {
    Batch batch = {.job = job, .id = job->id};
    Images images = {.batch = &batch};
    Status status = load_batch(&batch, err);
    if (status == STATUS_OK) batch.pool = choose_pool(&batch);
    if (status == STATUS_OK) status = db_write(job->server->store, mark_running, &batch, err);
    if (status == STATUS_OK) status = load_images(&images, err);
    if (status == STATUS_OK) status = annotate_all(&images, err);
    if (status == STATUS_OK) status = db_write(job->server->store, complete, &batch, err);
    return status;
}

static Status end_batch(DbSession *tx, const Job *job, Status why, const char *message, Error *err) {
    bool cancelled = why == STATUS_CANCELLED;
    return finish(tx, job->id, cancelled ? "cancelled" : "failed", cancelled ? NULL : message, err);
}

const JobKind BATCH_ANNOTATION_JOB = {.name = "batch_annotation", .queue = "vision", .parallel = 1, .max_attempts = 3, .run = run_batch, .ended = end_batch};
