/* The job of a batch: each image through a trained model, its detections into the image's annotations, one transaction an image.
 *
 * Images that are done are marked in annotation_batch_images in the same transaction, so that a job that is taken up again goes on where it was.
 */
#include <string.h>

#include "annotation/annotation.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/text.h"
#include "server/annotations/annotations.h"
#include "server/auto_annotate/auto_annotate.h"
#include "server/auto_annotate/vision_call.h"
#include "server/credits/credits.h"
#include "server/images/images.h"
#include "server/objects/objects.h"
#include "server/projects/projects.h"
#include "base/banned.h"

enum { IMAGE_TIMEOUT_SECONDS = 120, BATCH_MINIMUM_CREDITS = 3 }; /* limits.yaml credits.charges.batch_minimum */

typedef struct Batch {
    Job *job;
    const char *id, *organization_id, *project_id, *model_path, *created_by;
    double threshold;
    yyjson_doc *classes; /* array of {name, output_type} */
} Batch;

typedef struct BatchImage {
    Batch *batch;
    int64_t position;
    const char *image_id, *reason; /* reason set: the image failed */
    AnnotationList list;
    Arena *arena;
} BatchImage;

static Status load_batch(Batch *batch, Error *err) {
    Server *server = batch->job->server;
    Arena *arena = batch->job->arena;
    DbSession *db = db_session(server->store);
    DbRows rows = db_query(db, err,
                           "SELECT b.organization_id, b.project_id, b.confidence_threshold, b.classes, b.created_by, m.object FROM annotation_batches b "
                           "LEFT JOIN models m ON m.id = b.model_id WHERE b.id = $1", DB_TEXT(batch->id));
    bool found = db_next(&rows);
    const char *object = NULL;
    if (found) {
        batch->organization_id = db_text(&rows, 0, arena);
        batch->project_id = db_text(&rows, 1, arena);
        batch->threshold = db_real(&rows, 2);
        const char *classes = db_text_borrowed(&rows, 3);
        batch->classes = json_parse(classes, strlen(classes), NULL);
        batch->created_by = db_text(&rows, 4, arena);
        object = db_text(&rows, 5, arena);
    }
    Status status = db_finish(&rows);
    db_session_release(server->store, db);
    if (status != STATUS_OK) return status;
    if (!found || !batch->project_id) return error_set(err, STATUS_NOT_FOUND, "The dataset is gone");
    if (!object) return error_set(err, STATUS_MODEL_UNAVAILABLE, "The model has no weights");
    batch->model_path = objects_path(server->objects, object, arena);
    return STATUS_OK;
}

static Status mark_running(DbSession *tx, void *context, Error *err) {
    const Batch *batch = context;
    return db_exec(tx, err, "UPDATE annotation_batches SET status = 'running' WHERE id = $1 AND status = 'pending'", DB_TEXT(batch->id));
}

/* The kind of geometry that the user wants for a label; NULL when the label is not asked for. */
static const char *wanted_output(const Batch *batch, const char *label) {
    size_t index, count;
    yyjson_val *c;
    yyjson_arr_foreach(yyjson_doc_get_root(batch->classes), index, count, c) {
        if (text_equal(json_get_string(c, "name", NULL), label)) return json_get_string(c, "output_type", "bbox");
    }
    return NULL;
}

/* Outline of what lies in a detected box, by the box prompt's engine. */
static bool outline(BatchImage *item, const ImageRecord *image, const Box *box, Polygon *out) {
    VisionCall call;
    yyjson_val *result;
    Error err = {0};
    bool found = false;
    if (vision_call_begin(&call, item->batch->job->server, item->arena, image, &err) == STATUS_OK) {
        JsonWriter *w = &call.writer;
        json_key(w, "box");
        json_begin_object(w);
        json_field_number(w, "x", box->x);
        json_field_number(w, "y", box->y);
        json_field_number(w, "w", box->w);
        json_field_number(w, "h", box->h);
        json_end_object(w);
        found = vision_call_run(&call, "segment_box", IMAGE_TIMEOUT_SECONDS, NULL, NULL, &result, &err) == STATUS_OK && vision_polygon(result, item->arena, out);
    }
    vision_call_end(&call);
    return found;
}

static Polygon rectangle(Arena *arena, Box box) {
    Polygon polygon = {.rings = arena_new(arena, Ring), .count = 1};
    polygon.rings[0] = (Ring){.points = arena_new_array(arena, Point, 4), .count = 4};
    box_corners(box, polygon.rings[0].points);
    return polygon;
}

/* A detection as the annotation that was asked for. A detector says where, not which shape: polygons come from the box prompt's engine inside the
 * detected box; a polyline is the box's longer axis, a keypoint its centre. */
static void add_detection(BatchImage *item, const ImageRecord *image, yyjson_val *detection) {
    const char *label = json_get_string(detection, "name", ""), *output = wanted_output(item->batch, label);
    double confidence = json_get_number(detection, "confidence", 0);
    if (!output || confidence < item->batch->threshold) return;
    Box box = {json_get_number(detection, "x", 0), json_get_number(detection, "y", 0), json_get_number(detection, "w", 0), json_get_number(detection, "h", 0)};
    Annotation a = {.id = uuid_new(arena_alloc(item->arena, UUID_SIZE)), .name = arena_strdup(item->arena, label), .type = ANNOTATION_BBOX, .bounding_box = box,
                    .confidence = confidence > 1 ? 1 : confidence, .created_by = item->batch->created_by};
    annotation_type_from_name(output, &a.type);
    double cx = box.x + box.w / 2, cy = box.y + box.h / 2;
    if (a.type == ANNOTATION_POLYGON) {
        if (!outline(item, image, &box, &a.polygon)) a.polygon = rectangle(item->arena, box);
    } else if (a.type == ANNOTATION_POLYLINE) {
        Point *ends = arena_new_array(item->arena, Point, 2);
        bool wide = box.w >= box.h;
        ends[0] = wide ? (Point){box.x, cy} : (Point){cx, box.y};
        ends[1] = wide ? (Point){box.x + box.w, cy} : (Point){cx, box.y + box.h};
        a.path = (Ring){.points = ends, .count = 2};
    } else if (a.type == ANNOTATION_KEYPOINT) {
        a.keypoint = (Point){cx, cy};
    }
    annotation_fit_box(&a);
    annotation_list_append(item->arena, &item->list, &a);
}

static bool stop_asked(void *context) { return job_cancelled(context); }

static Status detect(BatchImage *item, Error *err) {
    Batch *batch = item->batch;
    Server *server = batch->job->server;
    ImageRecord image;
    DbSession *db = db_session(server->store);
    Status status = image_load(db, item->arena, batch->organization_id, item->image_id, &image, err);
    db_session_release(server->store, db);
    if (status != STATUS_OK) return status;
    VisionCall call;
    yyjson_val *result = NULL, *detection;
    size_t index, count;
    status = vision_call_begin(&call, server, item->arena, &image, err);
    if (status == STATUS_OK) {
        json_field_string(&call.writer, "model_path", batch->model_path);
        json_field_number(&call.writer, "confidence_threshold", batch->threshold);
        status = vision_call_run(&call, "detect", IMAGE_TIMEOUT_SECONDS, stop_asked, batch->job, &result, err);
    }
    if (status == STATUS_OK) {
        yyjson_arr_foreach(yyjson_obj_get(result, "detections"), index, count, detection) add_detection(item, &image, detection);
    }
    vision_call_end(&call);
    return status;
}

/* The image's list, its mark and the batch's counts in one transaction. An image without detections keeps what it had. */
static Status write_image(DbSession *tx, void *context, Error *err) {
    BatchImage *item = context;
    Batch *batch = item->batch;
    Status status = STATUS_OK;
    if (!item->reason && item->list.count) status = annotations_replace(tx, item->arena, item->image_id, &item->list, NULL, NULL, err);
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
                   "annotations_added = annotations_added + $3 WHERE id = $4",
                   DB_INT(!item->reason), DB_INT(item->reason != NULL), DB_INT(item->reason ? 0 : (int64_t)item->list.count), DB_TEXT(batch->id));
}

static Status annotate_image(Batch *batch, int64_t position, const char *image_id, Error *err) {
    Arena arena;
    arena_init(&arena, (size_t)256 << 20);
    BatchImage item = {.batch = batch, .position = position, .image_id = image_id, .arena = &arena};
    Error failure = {0};
    Status status = detect(&item, &failure);
    if (status == STATUS_CANCELLED) {
        arena_clear(&arena);
        return error_set(err, status, "Cancelled");
    }
    if (status != STATUS_OK) item.reason = failure.message; /* this image's trouble, not the batch's */
    status = db_write(batch->job->server->store, write_image, &item, err);
    arena_clear(&arena);
    return status;
}

static size_t pending_images(Batch *batch, const char ***ids, int64_t **positions, Error *err) {
    Server *server = batch->job->server;
    Arena *arena = batch->job->arena;
    DbSession *db = db_session(server->store);
    size_t capacity = (size_t)db_get_int(db, err, 0, "SELECT count(*) FROM annotation_batch_images WHERE batch_id = $1 AND state = 'pending'", DB_TEXT(batch->id)), count = 0;
    *ids = arena_new_array(arena, const char *, capacity);
    *positions = arena_new_array(arena, int64_t, capacity);
    DbRows rows = db_query(db, err, "SELECT position, image_id FROM annotation_batch_images WHERE batch_id = $1 AND state = 'pending' ORDER BY position", DB_TEXT(batch->id));
    while (count < capacity && db_next(&rows)) {
        (*positions)[count] = db_int(&rows, 0);
        (*ids)[count++] = db_text(&rows, 1, arena);
    }
    db_finish(&rows);
    db_session_release(server->store, db);
    return count;
}

/* Brings a batch to a final state: one credit an image that was done, at least three if any was, the rest comes back. */
static Status finish(DbSession *tx, const char *batch_id, const char *status_text, const char *message, Error *err) {
    char organization[64] = "";
    int64_t reserved = 0, processed = 0;
    bool open = false;
    DbRows rows = db_query(tx, err, "SELECT organization_id, credits_reserved, processed_images, status FROM annotation_batches WHERE id = $1", DB_TEXT(batch_id));
    if (db_next(&rows)) {
        snprintf(organization, sizeof organization, "%s", db_text_borrowed(&rows, 0));
        reserved = db_int(&rows, 1);
        processed = db_int(&rows, 2);
        const char *now_is = db_text_borrowed(&rows, 3);
        open = text_equal(now_is, "pending") || text_equal(now_is, "running");
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

static Status complete(DbSession *tx, void *context, Error *err) { return finish(tx, ((Batch *)context)->id, "completed", NULL, err); }

static Status run_batch(Job *job, Error *err) {
    Batch batch = {.job = job, .id = json_get_string(job->payload, "batch_id", "")};
    Status status = load_batch(&batch, err);
    if (status == STATUS_OK) status = db_write(job->server->store, mark_running, &batch, err);
    const char **ids = NULL;
    int64_t *positions = NULL;
    size_t count = status == STATUS_OK ? pending_images(&batch, &ids, &positions, err) : 0;
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        if (job_cancelled(job)) status = error_set(err, STATUS_CANCELLED, "Cancelled");
        else status = annotate_image(&batch, positions[i], ids[i], err);
    }
    if (status == STATUS_OK) status = db_write(job->server->store, complete, &batch, err);
    yyjson_doc_free(batch.classes);
    return status;
}

static Status end_batch(DbSession *tx, const Job *job, Status why, const char *message, Error *err) {
    bool cancelled = why == STATUS_CANCELLED;
    return finish(tx, json_get_string(job->payload, "batch_id", ""), cancelled ? "cancelled" : "failed", cancelled ? NULL : message, err);
}

const JobKind BATCH_ANNOTATION_JOB = {.name = "batch_annotation", .queue = "vision", .parallel = 1, .max_attempts = 3, .run = run_batch, .ended = end_batch};
