#include "media/video.h"

#include <libavutil/frame.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "media/frame_jpeg.h"
#include "media/frame_picker.h"
#include "media/video_source.h"
#include "worker/sandbox.h"
#include "base/banned.h"

enum { CPU_SECONDS = 120, FRAMES_DEFAULT = 24, FRAMES_MAX = 1000, PATH_MAXIMUM = 4096 };
#define COUNT_SECONDS 10.0
#define CHUNK_SECONDS 3.0
#define LISTEN_SECONDS 0.25
/* A stream whose own length is known and that ends earlier than this before it was cut off. */
#define MISSING_SECONDS 0.5
#define MISSING_FRAMES 3

/* One extraction, open. What is asked is kept as text, so that the next call can be recognised. */
typedef struct Extraction {
    char *path;
    VideoSource *source;
    FramePicker picker;
    AVFrame *held; /* the frame that the picker holds back */
    FrameConverter converter;
    double position;
} Extraction;

struct VideoDesk {
    Extraction *open; /* the one that the last call left unfinished */
};

static void extraction_free(Extraction *e) {
    if (!e) return;
    video_close(e->source);
    av_frame_free(&e->held);
    frame_converter_clear(&e->converter);
    free(e->path);
    free(e);
}

VideoDesk *video_desk_new(void) { return calloc(1, sizeof(VideoDesk)); }

void video_desk_free(VideoDesk *desk) {
    if (!desk) return;
    extraction_free(desk->open);
    free(desk);
}

/* ---- what is asked ---- */

typedef struct Question {
    const char *path, *name;
} Question;

static Status question_read(yyjson_val *params, Question *out, Error *err) {
    out->path = json_get_string(params, "path", NULL);
    if (!out->path) return error_set(err, STATUS_VALIDATION_ERROR, "'path' is missing");
    out->name = json_get_string(params, "filename", NULL);
    if (!out->name) out->name = file_base_name(out->path);
    sandbox_limit_cpu(CPU_SECONDS);
    return STATUS_OK;
}

Status video_probe_method(WorkerCall *call, void *context, Error *err) {
    (void)context;
    Question q;
    VideoSource *source = NULL;
    Status status = question_read(call->params, &q, err);
    if (status == STATUS_OK) status = video_open(&source, q.path, q.name, err);
    if (status != STATUS_OK) return status;
    video_complete_facts(source, json_get_bool(call->params, "count", true) ? COUNT_SECONDS : 0);
    const VideoFacts *facts = video_facts(source);
    JsonWriter *w = call->result;
    json_begin_object(w);
    json_field_number(w, "duration_seconds", facts->duration);
    json_field_number(w, "fps", facts->fps);
    json_field_int(w, "width", facts->width);
    json_field_int(w, "height", facts->height);
    json_field_string(w, "codec", facts->codec);
    json_field_int(w, "frame_count", facts->frame_count);
    json_field_int(w, "orientation", facts->orientation);
    json_end_object(w);
    video_close(source);
    return STATUS_OK;
}

static Status plan_read(yyjson_val *params, FramePlan *out, Error *err) {
    *out = (FramePlan){.start = json_get_number(params, "start", 0), .end = json_get_number(params, "end", INFINITY), .fps = json_get_number(params, "fps", 0),
                       .max_frames = json_get_int(params, "max_frames", INT64_MAX)};
    bool good = out->fps > 0 && out->fps <= 1000 && out->start >= 0 && out->end > out->start && out->max_frames > 0;
    return good ? STATUS_OK : error_set(err, STATUS_VALIDATION_ERROR, "'fps', 'start', 'end' or 'max_frames' is out of bounds");
}

/* ---- where to go on ---- */

/* The state of the picker before the frame that it holds: a reader that finds this frame again can go on from there. */
typedef struct Cursor {
    int64_t slot, taken;
    double time;
    bool wanted;
} Cursor;

static bool cursor_read(yyjson_val *value, Cursor *out) {
    *out = (Cursor){.slot = json_get_int(value, "slot", -1), .taken = json_get_int(value, "taken", -1), .time = json_get_number(value, "time", -1),
                    .wanted = json_get_bool(value, "wanted", false)};
    return out->slot >= 0 && out->taken >= 0 && isfinite(out->time);
}

static void cursor_write(const FramePicker *picker, JsonWriter *w) {
    json_key(w, "cursor");
    json_begin_object(w);
    json_field_int(w, "slot", picker->slot);
    json_field_int(w, "taken", picker->taken);
    json_field_number(w, "time", picker->held_time);
    json_field_bool(w, "wanted", picker->held_wanted);
    json_end_object(w);
}

static bool same_plan(const FramePlan *a, const FramePlan *b) {
    return a->start == b->start && a->end == b->end && a->fps == b->fps && a->max_frames == b->max_frames;
}

static bool goes_on(const Extraction *e, const char *path, const FramePlan *plan, const Cursor *cursor) {
    const FramePicker *p = &e->picker;
    return text_equal(e->path, path) && same_plan(&p->plan, plan) && p->slot == cursor->slot && p->taken == cursor->taken && p->held_time == cursor->time &&
           p->held_wanted == cursor->wanted;
}

/* ---- start ---- */

static void hold(Extraction *e, AVFrame *frame) {
    av_frame_unref(e->held);
    av_frame_move_ref(e->held, frame);
}

/* Finds the frame that the cursor was at, and holds it again. */
static Status resume(Extraction *e, const Cursor *cursor, const char *name, Error *err) {
    Status status = video_seek(e->source, cursor->time, err);
    AVFrame *frame = NULL;
    double time = 0;
    do {
        if (status == STATUS_OK) status = video_next(e->source, &frame, &time, err);
    } while (status == STATUS_OK && frame && time < cursor->time - 1e-6);
    if (status != STATUS_OK) return status;
    if (!frame) return error_set(err, STATUS_UNDECODABLE_MEDIA, "Video '%s' has no frame at %.3f s any more", name, cursor->time);
    hold(e, frame);
    e->picker.slot = cursor->slot;
    e->picker.taken = cursor->taken;
    e->picker.held = true;
    e->picker.held_time = cursor->time;
    e->picker.held_wanted = cursor->wanted;
    return STATUS_OK;
}

static Status extraction_new(Extraction **out, const Question *q, const FramePlan *plan, const Cursor *cursor, Error *err) {
    Extraction *e = calloc(1, sizeof *e);
    if (!e || !(e->path = strdup(q->path)) || !(e->held = av_frame_alloc())) {
        extraction_free(e);
        return error_set(err, STATUS_OUT_OF_MEMORY, "No memory");
    }
    frame_picker_init(&e->picker, plan);
    Status status = video_open(&e->source, q->path, q->name, err);
    if (status == STATUS_OK && cursor) status = resume(e, cursor, q->name, err);
    else if (status == STATUS_OK && plan->start > 0) status = video_seek(e->source, plan->start, err);
    if (status == STATUS_OK) *out = e;
    else extraction_free(e);
    return status;
}

static Status extraction_open(VideoDesk *desk, Extraction **out, yyjson_val *params, const Question *q, Error *err) {
    Cursor cursor;
    FramePlan plan;
    yyjson_val *sent = yyjson_obj_get(params, "cursor");
    Status status = plan_read(params, &plan, err);
    if (status != STATUS_OK) return status;
    if (sent && !cursor_read(sent, &cursor)) return error_set(err, STATUS_VALIDATION_ERROR, "'cursor' is none of ours");
    Extraction *left = desk ? desk->open : NULL;
    if (desk) desk->open = NULL;
    if (left && sent && goes_on(left, q->path, &plan, &cursor)) {
        *out = left;
        return STATUS_OK;
    }
    extraction_free(left);
    return extraction_new(out, q, &plan, sent ? &cursor : NULL, err);
}

/* ---- frames ---- */

typedef struct Chunk {
    WorkerCall *call;
    Extraction *e;
    const Question *q;
    const char *folder;
    int64_t most, written;
    double deadline, next_listen;
    bool finished, ends_early, cut_off; /* cut_off: it ends early, and that is sure */
} Chunk;

/* Writes the held frame, which the picker has just taken. */
static Status write_held(Chunk *c, double time, Error *err) {
    char path[PATH_MAXIMUM];
    FrameFile file;
    int64_t index = c->e->picker.taken - 1;
    snprintf(path, sizeof path, "%s/%06lld.jpg", c->folder, (long long)index);
    Status status = frame_write_jpeg(&c->e->converter, c->e->held, video_facts(c->e->source)->orientation, path, c->q->name, &file, err);
    if (status != STATUS_OK) return status;
    JsonWriter *w = c->call->result;
    json_begin_object(w);
    json_field_int(w, "index", index);
    json_field_number(w, "time", time);
    json_field_string(w, "path", path);
    json_field_int(w, "width", file.width);
    json_field_int(w, "height", file.height);
    json_end_object(w);
    c->written++;
    return STATUS_OK;
}

/* The last frame is held still, and stands for what remains of the video. */
static Status finish(Chunk *c, Error *err) {
    FramePicker *picker = &c->e->picker;
    const VideoFacts *facts = video_facts(c->e->source);
    double time = picker->held_time, interval = facts->fps > 0 ? 1 / facts->fps : 0;
    double wanted = fmin(picker->plan.end, facts->duration);
    c->finished = true;
    c->ends_early = (facts->duration_is_firm || facts->duration_is_said) && picker->taken < picker->plan.max_frames &&
                    c->e->position < wanted - MISSING_SECONDS - MISSING_FRAMES * interval;
    c->cut_off = c->ends_early && facts->duration_is_firm; /* else it may be the sound that is longer */
    /* a length that is not the pictures' own, or not true, says nothing: the video then ends where its last frame does */
    double end = facts->duration_is_firm && !c->cut_off ? facts->duration : c->e->position + interval;
    return frame_picker_finish(picker, end) ? write_held(c, time, err) : STATUS_OK;
}

static Status step(Chunk *c, Error *err) {
    Extraction *e = c->e;
    FramePicker *picker = &e->picker;
    AVFrame *frame;
    double time, held_time = picker->held_time;
    video_skip_towards(e->source, frame_picker_next_instant(picker));
    Status status = video_next(e->source, &frame, &time, err);
    if (status != STATUS_OK) return status;
    if (frame) e->position = time;
    if (!frame || frame_picker_is_done(picker, time)) return finish(c, err);
    if (frame_picker_offer(picker, time)) status = write_held(c, held_time, err);
    if (picker->held && picker->held_time == time) hold(e, frame);
    return status;
}

static bool cancelled(Chunk *c) {
    double now = clock_monotonic();
    if (c->call->fd < 0 || now < c->next_listen) return false;
    c->next_listen = now + LISTEN_SECONDS;
    return !worker_progress(c->call, "{}");
}

static Status run_chunk(Chunk *c, Error *err) {
    Status status = STATUS_OK;
    json_key(c->call->result, "frames");
    json_begin_array(c->call->result);
    /* Without a held frame there is no place to go on from. */
    while (status == STATUS_OK && !c->finished && ((c->written < c->most && clock_monotonic() < c->deadline) || !c->e->picker.held)) {
        status = cancelled(c) ? error_set(err, STATUS_CANCELLED, "Cancelled") : step(c, err);
    }
    json_end_array(c->call->result);
    return status;
}

static void write_note(const Chunk *c, JsonWriter *w) {
    char note[160];
    long long damaged = video_damaged(c->e->source);
    if (c->ends_early)
        snprintf(note, sizeof note, "The video%s after %.3f of %.3f s%s", c->cut_off ? " ends" : "'s pictures end", c->e->position,
                 video_facts(c->e->source)->duration, c->cut_off ? "" : "; it may be cut off");
    else if (damaged) snprintf(note, sizeof note, "%lld damaged frames or packets were passed over", damaged);
    if (c->ends_early || damaged) json_field_string(w, "note", note);
    json_field_bool(w, "cut_off", c->cut_off);
}

Status video_extract_method(WorkerCall *call, void *context, Error *err) {
    VideoDesk *desk = context;
    Question q;
    Chunk c = {.call = call, .q = &q, .folder = json_get_string(call->params, "folder", NULL), .most = json_get_int(call->params, "frames", FRAMES_DEFAULT),
               .deadline = clock_monotonic() + CHUNK_SECONDS};
    Status status = question_read(call->params, &q, err);
    if (status == STATUS_OK && !c.folder) status = error_set(err, STATUS_VALIDATION_ERROR, "'folder' is missing");
    if (status == STATUS_OK && (c.most < 1 || c.most > FRAMES_MAX)) status = error_set(err, STATUS_VALIDATION_ERROR, "'frames' must be 1 to %d", FRAMES_MAX);
    if (status == STATUS_OK) status = extraction_open(desk, &c.e, call->params, &q, err);
    if (status != STATUS_OK) return status;
    JsonWriter *w = call->result;
    json_begin_object(w);
    status = run_chunk(&c, err);
    json_field_number(w, "position", c.e->position);
    if (!c.finished) cursor_write(&c.e->picker, w);
    else write_note(&c, w);
    json_end_object(w);
    bool keep = desk && status == STATUS_OK && !c.finished;
    if (keep) desk->open = c.e;
    else extraction_free(c.e);
    return status;
}
