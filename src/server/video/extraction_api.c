/* Handlers of frame extractions: start one, look at one, cancel one. */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/text.h"
#include "server/api/api_handlers.h"
#include "server/images/images.h"
#include "server/organizations/organizations.h"
#include "server/projects/projects.h"
#include "server/video/video.h"
#include "base/banned.h"

/* Both spellings of the body, in one. */
typedef struct Wanted {
    const char *gcs_path, *folder;
    double fps, start, end; /* end INFINITY: to the end */
    bool has_end;
    int64_t max_frames; /* 0: no cap */
} Wanted;

/* ---- what is asked ---- */

static Status wrong_field(Request *rq, const char *field, const char *message) {
    request_field_error(rq, "value_error", message, "body", field, NULL);
    return request_fail(rq, STATUS_VALIDATION_ERROR, "%s", message);
}

/* The folder "parent/name" of the spelling by names. */
static Status join_folder(Request *rq, const FrameExtractionByNameRequest *body, const char **out) {
    const char *parent = body->parent_folder_path, *name = body->folder_name;
    if (text_equal(name, ".") || text_equal(name, "..")) return wrong_field(rq, "folder_name", "A folder cannot be called '.' or '..'");
    *out = arena_printf(&rq->arena, "%s/%s", parent[1] ? parent : "", name);
    return text_length(*out) <= IMAGE_FOLDER_CHARACTERS ? STATUS_OK : wrong_field(rq, "folder_name", "The whole folder path is longer than 1024 characters");
}

static Status read_body(Request *rq, const StartFrameExtractionBody *body, Wanted *out, ProjectRecord *project) {
    const char *organization = rq->principal.organization_id;
    const FrameExtractionRequest *by_id = body->frame_extraction_request;
    const FrameExtractionByNameRequest *by_name = body->frame_extraction_by_name_request;
    if (by_id) {
        *out = (Wanted){.gcs_path = by_id->gcs_path, .folder = by_id->folder_path, .fps = by_id->fps, .start = by_id->start_seconds,
                        .end = by_id->end_seconds, .has_end = by_id->has_end_seconds, .max_frames = by_id->max_frames};
        return project_load_by_id(request_db(rq), &rq->arena, organization, by_id->dataset_id, project, &rq->error);
    }
    *out = (Wanted){.gcs_path = by_name->gcs_path, .fps = by_name->sample_fps, .start = by_name->start_seconds, .end = by_name->end_seconds,
                    .has_end = by_name->has_end_seconds, .max_frames = by_name->max_frames};
    Status status = project_load(request_db(rq), &rq->arena, organization, by_name->dataset_name, project, &rq->error);
    return status == STATUS_OK ? join_folder(rq, by_name, &out->folder) : status;
}

/* What the video itself has to allow. */
static Status check_span(Request *rq, const Wanted *wanted, const VideoProbe *probe) {
    if (wanted->has_end && wanted->end <= wanted->start) return wrong_field(rq, "end_seconds", "end_seconds must lie after start_seconds");
    if (probe && probe->duration > 0 && wanted->start >= probe->duration)
        return wrong_field(rq, "start_seconds", arena_printf(&rq->arena, "The video ends at %.3f s", probe->duration));
    return STATUS_OK;
}

/* How many pictures there will be: one for each instant, never more than the source has, never more than the cap. */
static int64_t expect_frames(const Wanted *wanted, const VideoProbe *probe) {
    double end = wanted->has_end && (probe->duration <= 0 || wanted->end < probe->duration) ? wanted->end : probe->duration;
    double span = fmax(end - wanted->start, 0), frames = ceil(span * wanted->fps - 1e-6);
    if (probe->fps > 0) frames = fmin(frames, ceil(span * probe->fps));
    if (probe->frame_count > 0) frames = fmin(frames, (double)probe->frame_count);
    if (wanted->max_frames > 0) frames = fmin(frames, (double)wanted->max_frames);
    return frames < 1 ? 1 : (int64_t)frames;
}

/* ---- rows and replies ---- */

#define REPLY_COLUMNS "id, status, progress, frames_extracted, total_frames, error_message, folder, project_id, created_at, completed_at"

static Status load_reply(DbSession *session, Arena *arena, const char *organization_id, const char *id, FrameExtractionJob *out, Error *err) {
    DbRows rows = db_query(session, err, "SELECT " REPLY_COLUMNS " FROM frame_extractions WHERE id = $1 AND organization_id = $2", DB_TEXT(id),
                           DB_TEXT(organization_id));
    bool found = db_next(&rows);
    if (found)
        *out = (FrameExtractionJob){.job_id = db_text(&rows, 0, arena), .status = frame_extraction_job_status_from_name(db_text_borrowed(&rows, 1)),
                                    .progress = db_int(&rows, 2), .frames_extracted = db_int(&rows, 3), .total_frames = db_int(&rows, 4),
                                    .error = db_text(&rows, 5, arena), .folder_path = db_text(&rows, 6, arena), .dataset_id = db_text(&rows, 7, arena),
                                    .created_at = db_int(&rows, 8), .has_created_at = true, .completed_at = db_int(&rows, 9),
                                    .has_completed_at = !db_is_null(&rows, 9)};
    Status status = db_finish(&rows);
    return status != STATUS_OK || found ? status : error_set(err, STATUS_NOT_FOUND, "Extraction not found");
}

typedef struct NewExtraction {
    Request *rq;
    const Wanted *wanted;
    const ProjectRecord *project;
    const VideoRecord *video;
    const char *id;
    int64_t expected;
    FrameExtractionJob reply;
} NewExtraction;

static Status insert_extraction(DbSession *tx, void *context, Error *err) {
    NewExtraction *new = context;
    Request *rq = new->rq;
    const Wanted *w = new->wanted;
    const char *organization = rq->principal.organization_id;
    int64_t there = 0;
    Status status = organization_require_room(rq, tx, new->expected, 0, err);
    if (status == STATUS_OK) status = db_read_int(tx, err, &there, 0, "SELECT 1 FROM projects WHERE id = $1", DB_TEXT(new->project->id));
    if (status != STATUS_OK) return status;
    if (!there) return error_set(err, STATUS_NOT_FOUND, "Dataset not found"); /* deleted meanwhile */
    status = db_exec(tx, err,
                     "INSERT INTO frame_extractions (id, organization_id, project_id, folder, object, filename, fps, start_seconds, end_seconds, max_frames, "
                     "total_frames, created_by, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
                     DB_TEXT(new->id), DB_TEXT(organization), DB_TEXT(new->project->id), DB_TEXT(w->folder), DB_TEXT(new->video->object),
                     DB_TEXT(new->video->filename), DB_REAL(w->fps), DB_REAL(w->start), w->has_end ? DB_REAL(w->end) : DB_NULL,
                     DB_INT_OR_NULL(w->max_frames > 0, w->max_frames), DB_INT(new->expected), DB_TEXT(request_creator(rq)), DB_INT(clock_now_ms()));
    if (status == STATUS_OK) status = job_enqueue(tx, new->id, FRAME_EXTRACTION_JOB.name, organization, new->project->id, "{}", err);
    return status == STATUS_OK ? load_reply(tx, &rq->arena, organization, new->id, &new->reply, err) : status;
}

Status start_frame_extraction(Request *rq, const StartFrameExtractionInput *in, FrameExtractionJob *out) {
    Wanted wanted;
    ProjectRecord project;
    VideoRecord video;
    VideoProbe probe;
    Status status = read_body(rq, in->body, &wanted, &project);
    if (status == STATUS_OK) status = check_span(rq, &wanted, NULL);
    if (status == STATUS_OK) status = video_load(request_db(rq), &rq->arena, rq->principal.organization_id, wanted.gcs_path, &video, &rq->error);
    if (status == STATUS_OK) status = video_probe(rq, &video, false, &probe);
    if (status == STATUS_OK) status = check_span(rq, &wanted, &probe);
    if (status != STATUS_OK) return status;
    NewExtraction new = {.rq = rq, .wanted = &wanted, .project = &project, .video = &video, .id = uuid_new(arena_alloc(&rq->arena, UUID_SIZE)),
                         .expected = expect_frames(&wanted, &probe)};
    status = request_write(rq, insert_extraction, &new);
    if (status != STATUS_OK) return status;
    jobs_wake(rq->server->jobs);
    *out = new.reply;
    return STATUS_OK;
}

Status get_frame_extraction(Request *rq, const GetFrameExtractionInput *in, FrameExtractionJob *out) {
    return load_reply(request_db(rq), &rq->arena, rq->principal.organization_id, in->job_id, out, &rq->error);
}

Status cancel_frame_extraction(Request *rq, const CancelFrameExtractionInput *in, FrameExtractionJob *out) {
    const char *organization = rq->principal.organization_id;
    Status status = load_reply(request_db(rq), &rq->arena, organization, in->job_id, out, &rq->error);
    if (status == STATUS_OK) status = request_cancel_job(rq, in->job_id);
    return status == STATUS_OK ? load_reply(request_db(rq), &rq->arena, organization, in->job_id, out, &rq->error) : status;
}
