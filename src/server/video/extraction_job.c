/* The job of an extraction: the media worker writes a handful of frames, they become objects, then images in one transaction with the place where
 * the worker goes on. Whatever dies in between, the next attempt goes on from that place: no frame is missing or there twice.
 */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "server/images/images.h"
#include "server/jobs/workers.h"
#include "server/objects/objects.h"
#include "server/organizations/organizations.h"
#include "server/video/video.h"
#include "base/banned.h"

enum { CHUNK_FRAMES = 32, CHUNK_TIMEOUT_SECONDS = 180, ROUND_ARENA = 16 << 20 };
#define FRAME_NAME_TAIL "_%06lld.jpg" /* limits.yaml videos.frame_name */
enum { TAIL_MAXIMUM = sizeof "_0123456789.jpg" };

typedef struct Extraction {
    Job *job;
    const char *id, *organization_id, *project_id, *folder, *object, *base, *filename, *created_by;
    double fps, start, end; /* end INFINITY: to the end */
    int64_t max_frames;     /* 0: no cap */
    int64_t total_frames;
    const char *cursor; /* JSON: where the worker goes on; NULL: at the beginning */
    const char *work;   /* folder of the frames on their way */
    bool done;          /* in its final state already */
} Extraction;

/* One answer of the worker. */
typedef struct Round {
    Extraction *e;
    Arena arena;
    NewImage *frames;
    size_t count;
    const char *cursor; /* JSON, in the job's arena; NULL: nothing follows */
    const char *note;   /* NULL: nothing to say */
    bool cut_off;
    double position;
} Round;

/* The video's name without its extension, short enough for what follows. */
static const char *base_name(Arena *arena, const char *filename) {
    size_t length = strlen(filename) - strlen(file_extension(filename));
    if (length == 0) length = strlen(filename);
    const char *base = arena_strndup(arena, filename, length);
    while (text_length(base) > IMAGE_FILENAME_CHARACTERS - TAIL_MAXIMUM || !text_is_utf8(base, length)) base = arena_strndup(arena, base, --length);
    return base;
}

static Status load(Extraction *e, Error *err) {
    Server *server = e->job->server;
    Arena *arena = e->job->arena;
    DbSession *db = db_session(server->store);
    DbRows rows = db_query(db, err,
                           "SELECT organization_id, project_id, folder, object, filename, created_by, fps, start_seconds, end_seconds, max_frames, total_frames, "
                           "status <> 'processing', cursor FROM frame_extractions WHERE id = $1", DB_TEXT(e->id));
    bool found = db_next(&rows);
    if (found) {
        e->organization_id = db_text(&rows, 0, arena);
        e->project_id = db_text(&rows, 1, arena);
        e->folder = db_text(&rows, 2, arena);
        e->object = db_text(&rows, 3, arena);
        e->filename = db_text(&rows, 4, arena);
        e->created_by = db_text(&rows, 5, arena);
        e->fps = db_real(&rows, 6);
        e->start = db_real(&rows, 7);
        e->end = db_is_null(&rows, 8) ? INFINITY : db_real(&rows, 8);
        e->max_frames = db_int(&rows, 9);
        e->total_frames = db_int(&rows, 10);
        e->done = db_int(&rows, 11) != 0;
        e->cursor = db_text(&rows, 12, arena);
        e->base = base_name(arena, e->filename);
    }
    Status status = db_finish(&rows);
    db_session_release(server->store, db);
    return status != STATUS_OK || found ? status : error_set(err, STATUS_NOT_FOUND, "The extraction is gone");
}

/* ---- frames from the worker ---- */

static void write_params(const Extraction *e, Arena *arena, JsonWriter *w) {
    json_begin_object(w);
    json_field_string(w, "path", objects_path(e->job->server->objects, e->object, arena));
    json_field_string(w, "filename", e->filename);
    json_field_string(w, "folder", e->work);
    json_field_number(w, "fps", e->fps);
    json_field_number(w, "start", e->start);
    if (isfinite(e->end)) json_field_number(w, "end", e->end);
    if (e->max_frames) json_field_int(w, "max_frames", e->max_frames);
    json_field_int(w, "frames", CHUNK_FRAMES);
    if (e->cursor) {
        json_key(w, "cursor");
        json_raw(w, e->cursor, strlen(e->cursor));
    }
    json_end_object(w);
}

static NewImage read_frame(Round *r, yyjson_val *frame) {
    Extraction *e = r->e;
    char *id = arena_alloc(&r->arena, UUID_SIZE);
    NewImage image = {.project_id = e->project_id, .folder = e->folder, .created_by = e->created_by, .id = uuid_new(id), .mime_type = "image/jpeg",
                      .width = json_get_int(frame, "width", 0), .height = json_get_int(frame, "height", 0)};
    image.filename = image.sent_name = arena_printf(&r->arena, "%s" FRAME_NAME_TAIL, e->base, (long long)json_get_int(frame, "index", 0));
    return image;
}

/* The frames' files become objects. */
static Status take_frames(Round *r, yyjson_val *list, Error *err) {
    Extraction *e = r->e;
    size_t index, count;
    yyjson_val *frame;
    Status status = STATUS_OK;
    Adoption *files = arena_new_array(&r->arena, Adoption, yyjson_arr_size(list));
    r->frames = arena_new_array(&r->arena, NewImage, yyjson_arr_size(list));
    /* The name of a file is taken from our own folder, whatever the worker says. */
    yyjson_arr_foreach(list, index, count, frame) files[index].path = arena_printf(&r->arena, "%s/%s", e->work, file_base_name(json_get_string(frame, "path", "")));
    objects_adopt_files(e->job->server->objects, files, yyjson_arr_size(list));
    yyjson_arr_foreach(list, index, count, frame) {
        NewImage image = read_frame(r, frame);
        image.object = files[index].object;
        if (files[index].error.status == STATUS_OK) r->frames[r->count++] = image;
        else status = (*err = files[index].error).status;
    }
    return status;
}

static Status read_round(Round *r, yyjson_val *result, Error *err) {
    yyjson_val *cursor = yyjson_obj_get(result, "cursor");
    Status status = take_frames(r, yyjson_obj_get(result, "frames"), err);
    r->position = json_get_number(result, "position", 0);
    r->note = arena_strdup(&r->arena, json_get_string(result, "note", NULL));
    r->cut_off = json_get_bool(result, "cut_off", false);
    if (!cursor || status != STATUS_OK) return status;
    Buffer text;
    JsonWriter w;
    buffer_init(&text, 4096);
    json_writer_init(&w, &text);
    json_value(&w, cursor);
    if (text.failed) status = error_set(err, STATUS_INTERNAL_ERROR, "The worker's cursor is too long");
    else r->cursor = arena_strdup(r->e->job->arena, buffer_text(&text));
    buffer_clear(&text);
    return status;
}

static Status next_round(Round *r, Error *err) {
    Buffer params;
    JsonWriter w;
    yyjson_doc *reply = NULL;
    buffer_init(&params, 65536);
    json_writer_init(&w, &params);
    write_params(r->e, &r->arena, &w);
    Status status = workers_call(r->e->job->server->video, &reply, "extract_frames", buffer_text(&params), CHUNK_TIMEOUT_SECONDS, job_stop, r->e->job, err);
    buffer_clear(&params);
    if (status == STATUS_OK) status = read_round(r, yyjson_obj_get(yyjson_doc_get_root(reply), "result"), err);
    yyjson_doc_free(reply);
    return status;
}

/* ---- images from frames ---- */

static Status discard_frames(DbSession *tx, void *context, Error *err) {
    const Round *r = context;
    Status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < r->count; i++) status = object_discard(tx, r->frames[i].object.sha256, err);
    return status;
}

/* An image that bears the name already stays as it is. */
static Status add_frame(DbSession *tx, Round *r, const NewImage *frame, Error *err) {
    const Extraction *e = r->e;
    int64_t taken;
    Status status = db_read_int(tx, err, &taken, 0, "SELECT 1 FROM images WHERE project_id = $1 AND folder = $2 AND filename = $3 AND is_archived = 0",
                                DB_TEXT(frame->project_id), DB_TEXT(frame->folder), DB_TEXT(frame->filename));
    if (!taken) {
        if (status == STATUS_OK) status = image_insert(tx, frame, err);
        return status == STATUS_OK ? db_exec(tx, err, "UPDATE frame_extractions SET frames_extracted = frames_extracted + 1 WHERE id = $1", DB_TEXT(e->id)) : status;
    }
    status = object_discard(tx, frame->object.sha256, err);
    if (status != STATUS_OK) return status;
    return db_exec(tx, err, "UPDATE frame_extractions SET frames_left_out = frames_left_out + 1, first_left_out = coalesce(first_left_out, $1) WHERE id = $2",
                   DB_TEXT(frame->filename), DB_TEXT(e->id));
}

/* How far, by the time reached and by the frames made; 100 is for the end alone. */
static int64_t progress(const Round *r, int64_t frames) {
    const Extraction *e = r->e;
    double by_frames = e->total_frames > 0 ? (double)frames / (double)e->total_frames : 0;
    double by_time = isfinite(e->end) && e->end > e->start ? (r->position - e->start) / (e->end - e->start) : 0;
    double percent = floor(100 * fmax(by_frames, by_time));
    return percent < 0 ? 0 : percent > 99 ? 99 : (int64_t)percent;
}

/* ---- the end ---- */

/* The number of frames, and what a user has to know of an extraction that went to its end: NULL when it was plain. */
static Status summary(DbSession *tx, Round *r, int64_t *out_all, const char **out_text, Error *err) {
    DbRows rows = db_query(tx, err, "SELECT frames_extracted, frames_left_out, first_left_out FROM frame_extractions WHERE id = $1", DB_TEXT(r->e->id));
    *out_text = r->note;
    if (db_next(&rows)) {
        *out_all = db_int(&rows, 0) + db_int(&rows, 1);
        if (db_int(&rows, 1))
            *out_text = arena_printf(&r->arena, "%lld frames were left out, since images of their names are in %s already (the first: %s)%s%s", (long long)db_int(&rows, 1),
                                     r->e->folder, db_text_borrowed(&rows, 2), r->note ? ". " : "", r->note ? r->note : "");
    }
    return db_finish(&rows);
}

static Status conclude(DbSession *tx, Round *r, Error *err) {
    int64_t all = 0;
    const char *text;
    Status status = summary(tx, r, &all, &text, err);
    if (status != STATUS_OK) return status;
    bool failed = r->cut_off || all == 0;
    bool in_part = r->e->start > 0 || isfinite(r->e->end);
    if (all == 0 && !text) text = in_part ? "No frame of the video begins in the time that was asked for" : "No frame of the video could be decoded";
    return db_exec(tx, err,
                   "UPDATE frame_extractions SET status = $1, progress = CASE WHEN $1 = 'complete' THEN 100 ELSE progress END, total_frames = CASE WHEN $1 = 'complete' "
                   "THEN $2 ELSE total_frames END, error_message = $3, completed_at = $4 WHERE id = $5 AND status = 'processing'",
                   DB_TEXT(failed ? "failed" : "complete"), DB_INT(all), DB_TEXT(text), DB_INT(clock_now_ms()), DB_TEXT(r->e->id));
}

/* The last frames come with the end: without a cursor, another attempt would begin anew. */
static Status write_round(DbSession *tx, void *context, Error *err) {
    Round *r = context;
    Extraction *e = r->e;
    int64_t bytes = 0;
    for (size_t i = 0; i < r->count; i++) bytes += r->frames[i].object.size;
    Status status = organization_check_room(tx, e->organization_id, (int64_t)r->count, bytes, err);
    for (size_t i = 0; status == STATUS_OK && i < r->count; i++) status = add_frame(tx, r, &r->frames[i], err);
    int64_t frames;
    if (status == STATUS_OK) status = db_read_int(tx, err, &frames, 0, "SELECT frames_extracted + frames_left_out FROM frame_extractions WHERE id = $1", DB_TEXT(e->id));
    if (status != STATUS_OK) return status;
    status = db_exec(tx, err, "UPDATE frame_extractions SET cursor = $1, progress = max(progress, $2), total_frames = max(total_frames, $3) WHERE id = $4 AND status = 'processing'",
                     DB_TEXT(r->cursor), DB_INT(progress(r, frames)), DB_INT(frames), DB_TEXT(e->id));
    if (status != STATUS_OK) return status;
    if (db_changes(tx) == 0) return error_set(err, STATUS_NOT_FOUND, "The extraction is gone"); /* and its frames with it */
    return r->cursor ? STATUS_OK : conclude(tx, r, err);
}

/* ---- the job ---- */

static Status run_round(Extraction *e, bool *more, Error *err) {
    Store *store = e->job->server->store;
    Round r = {.e = e};
    arena_init(&r.arena, ROUND_ARENA);
    Status status = next_round(&r, err);
    if (status == STATUS_OK) status = db_write(store, write_round, &r, err);
    if (status != STATUS_OK && r.count) db_write(store, discard_frames, &r, NULL);
    *more = status == STATUS_OK && r.cursor;
    e->cursor = r.cursor;
    arena_clear(&r.arena);
    return status;
}

static Status run_extraction(Job *job, Error *err) {
    Extraction e = {.job = job, .id = job->id};
    Status status = load(&e, err);
    if (status != STATUS_OK || e.done) return status;
    e.work = objects_work_directory(job->server->objects, job->id, job->arena, err);
    if (!e.work) return err->status;
    bool more = true;
    while (status == STATUS_OK && more) {
        if (job_cancelled(job)) status = error_set(err, STATUS_CANCELLED, "Cancelled");
        else status = run_round(&e, &more, err);
    }
    file_remove_tree(e.work, NULL);
    return status;
}

static Status end_extraction(DbSession *tx, const Job *job, Status why, const char *message, Error *err) {
    if (why == STATUS_CANCELLED) message = "Cancelled. Images made until then stay in the dataset";
    return db_exec(tx, err,
                   "UPDATE frame_extractions SET status = 'failed', completed_at = $1, error_message = CASE WHEN $2 AND NOT EXISTS (SELECT 1 FROM projects WHERE id = project_id) "
                   "THEN 'Cancelled, since the dataset was deleted' ELSE $3 END WHERE id = $4 AND status = 'processing'",
                   DB_INT(clock_now_ms()), DB_INT(why == STATUS_CANCELLED), DB_TEXT(message), DB_TEXT(job->id));
}

const JobKind FRAME_EXTRACTION_JOB = {.name = "frame_extraction", .queue = "video", .parallel = 1, .max_attempts = 3, .run = run_extraction, .ended = end_extraction};
