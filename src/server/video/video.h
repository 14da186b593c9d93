/* Videos: uploads, probing, and jobs that turn their frames into images. What the feature's own files and app.c share. */
#pragma once
#include "server/api/request.h"
#include "server/jobs/jobs.h"

enum { VIDEO_PROBE_TIMEOUT_SECONDS = 60 };

/* Turns frames into images. The id of the job is the extraction's; the payload is empty. */
extern const JobKind FRAME_EXTRACTION_JOB;

/* An uploaded video, registered or not. Text lives in the arena. */
typedef struct VideoRecord {
    const char *id, *project_id, *folder, *filename, *mime_type; /* project_id NULL: of no dataset */
    const char *object;                                          /* sha256 */
    int64_t file_size;
} VideoRecord;

/* What lies under a gcs_path that upload-url gave out. STATUS_NOT_FOUND for any other, another organization's, and while nothing was uploaded. */
Status video_load(DbSession *session, Arena *arena, const char *organization_id, const char *gcs_path, VideoRecord *out, Error *err);
const char *video_gcs_path(Arena *arena, const char *id, const char *filename);

typedef struct VideoProbe {
    double duration, fps; /* seconds, frames a second; 0 when the file does not tell */
    int64_t width, height, frame_count;
    const char *codec;
} VideoProbe;

/* Asks the media worker. count false: frames are estimated rather than counted where the file does not say. */
Status video_probe(Request *rq, const VideoRecord *video, bool count, VideoProbe *out);
