/* Handlers of videos: a signed address, the registration of what arrived there, and what it is. */
#include "base/clock.h"
#include "server/api/api_handlers.h"
#include "server/projects/projects.h"
#include "server/system/system.h"
#include "server/video/video.h"
#include "base/banned.h"

#define VIDEO_MAXIMUM_BYTES INT64_C(10737418240) /* limits.yaml videos.max_bytes */

/* A dataset that the caller named, or none. */
static Status require_dataset(Request *rq, const char *dataset_id) {
    ProjectRecord project;
    return dataset_id ? project_load_by_id(request_db(rq), &rq->arena, rq->principal.organization_id, dataset_id, &project, &rq->error) : STATUS_OK;
}

/* ---- step 1 ---- */

Status create_video_upload_url(Request *rq, const CreateVideoUploadUrlInput *in, VideoUploadInfo *out) {
    const VideoUploadUrlRequest *body = in->body;
    Status status = require_dataset(rq, body->dataset_id);
    if (status != STATUS_OK) return status;
    if (body->has_file_size && body->file_size > VIDEO_MAXIMUM_BYTES)
        return request_fail(rq, STATUS_PAYLOAD_TOO_LARGE, "%s: %lld bytes exceed 10 GB", body->filename, (long long)body->file_size);
    Upload upload = {.kind = "video", .project_id = body->dataset_id ? body->dataset_id : "", .folder = body->folder_path, .filename = body->filename,
                     .content_type = body->content_type, .maximum_bytes = VIDEO_MAXIMUM_BYTES};
    status = upload_open(rq, &upload);
    if (status != STATUS_OK) return status;
    const char *path = video_gcs_path(&rq->arena, upload.id, body->filename);
    *out = (VideoUploadInfo){
        .video_id = upload.id, .upload_url = upload.url, .gcs_bucket = UPLOAD_BUCKET, .gcs_path = path,
        .gcs_uri = arena_printf(&rq->arena, "gs://" UPLOAD_BUCKET "/%s", path), .content_type = body->content_type, .max_bytes = VIDEO_MAXIMUM_BYTES,
        .has_max_bytes = true, .expires_at = upload.expires_at,
    };
    return STATUS_OK;
}

/* ---- step 3 ---- */

typedef struct Registration {
    Request *rq;
    VideoRecord video;
    int64_t created_at;
} Registration;

/* Registering again changes what is said anew and nothing else. */
static Status upsert_video(DbSession *tx, void *context, Error *err) {
    Registration *r = context;
    const VideoRecord *v = &r->video;
    Status status = db_exec(tx, err,
                            "INSERT INTO videos (id, organization_id, project_id, folder, filename, mime_type, object, file_size, created_by, created_at) "
                            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (id) DO UPDATE SET project_id = excluded.project_id, "
                            "folder = excluded.folder, filename = excluded.filename, mime_type = excluded.mime_type",
                            DB_TEXT(v->id), DB_TEXT(r->rq->principal.organization_id), DB_TEXT(v->project_id), DB_TEXT(v->folder), DB_TEXT(v->filename),
                            DB_TEXT(v->mime_type), DB_TEXT(v->object), DB_INT(v->file_size), DB_TEXT(request_creator(r->rq)), DB_INT(clock_now_ms()));
    return status == STATUS_OK ? db_read_int(tx, err, &r->created_at, 0, "SELECT created_at FROM videos WHERE id = $1", DB_TEXT(v->id)) : status;
}

Status register_video(Request *rq, const RegisterVideoInput *in, VideoRegisterResponse *out) {
    const VideoRegisterRequest *body = in->body;
    Registration r = {.rq = rq};
    VideoRecord *video = &r.video;
    VideoProbe probe;
    Status status = video_load(request_db(rq), &rq->arena, rq->principal.organization_id, body->gcs_path, video, &rq->error);
    if (status == STATUS_OK) status = require_dataset(rq, body->dataset_id);
    if (status == STATUS_OK) status = video_probe(rq, video, false, &probe); /* what nobody can read is not kept */
    if (status != STATUS_OK) return status;
    if (body->dataset_id) {
        video->project_id = body->dataset_id;
        video->folder = body->folder_path;
    }
    if (body->filename) video->filename = body->filename;
    if (body->mime_type) video->mime_type = body->mime_type;
    status = request_write(rq, upsert_video, &r);
    if (status == STATUS_CONFLICT) return request_fail(rq, STATUS_NOT_FOUND, "Dataset not found"); /* deleted meanwhile */
    if (status != STATUS_OK) return status;
    *out = (VideoRegisterResponse){.video_id = video->id, .gcs_path = video_gcs_path(&rq->arena, video->id, video->filename), .dataset_id = video->project_id,
                                   .folder_path = video->folder, .filename = video->filename, .file_size = video->file_size, .has_file_size = true,
                                   .mime_type = video->mime_type, .created_at = r.created_at, .has_created_at = true};
    return STATUS_OK;
}

/* ---- what it is ---- */

Status probe_video(Request *rq, const ProbeVideoInput *in, VideoMetadata *out) {
    VideoRecord video;
    VideoProbe probe;
    Status status = video_load(request_db(rq), &rq->arena, rq->principal.organization_id, in->body->gcs_path, &video, &rq->error);
    if (status == STATUS_OK) status = video_probe(rq, &video, true, &probe);
    if (status != STATUS_OK) return status;
    *out = (VideoMetadata){.gcs_path = in->body->gcs_path, .duration_seconds = probe.duration, .fps = probe.fps, .native_fps = probe.fps, .width = probe.width,
                           .height = probe.height, .codec = probe.codec, .frame_count = probe.frame_count, .file_size = video.file_size, .has_file_size = true};
    return STATUS_OK;
}
