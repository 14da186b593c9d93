/* Videos by their handles, and what the media worker says about them. */
#include <string.h>

#include "base/hash.h"
#include "base/text.h"
#include "server/jobs/workers.h"
#include "server/objects/objects.h"
#include "server/video/video.h"
#include "base/banned.h"

#define PREFIX "videos/"

const char *video_gcs_path(Arena *arena, const char *id, const char *filename) { return arena_printf(arena, PREFIX "%s/%s", id, filename); }

/* The id in "videos/<id>/<anything>"; NULL when it has none. */
static const char *id_in_path(Arena *arena, const char *gcs_path) {
    enum { PREFIX_LENGTH = sizeof PREFIX - 1, ID_LENGTH = UUID_SIZE - 1 };
    if (!text_starts_with(gcs_path, PREFIX) || strlen(gcs_path) <= PREFIX_LENGTH + ID_LENGTH || gcs_path[PREFIX_LENGTH + ID_LENGTH] != '/') return NULL;
    const char *id = arena_strndup(arena, gcs_path + PREFIX_LENGTH, ID_LENGTH);
    return uuid_is_valid(id) ? id : NULL;
}

Status video_load(DbSession *session, Arena *arena, const char *organization_id, const char *gcs_path, VideoRecord *out, Error *err) {
    const char *id = id_in_path(arena, gcs_path);
    bool found = false;
    if (!id) return error_set(err, STATUS_NOT_FOUND, "Video not found");
    DbRows rows = db_query(session, err,
                           "SELECT id, project_id, folder, filename, mime_type, object, file_size FROM videos WHERE id = $1 AND organization_id = $2 "
                           "UNION ALL SELECT u.id, nullif(u.project_id, ''), u.folder, u.filename, u.content_type, o.sha256, o.size FROM uploads u "
                           "JOIN objects o ON o.sha256 = u.object WHERE u.id = $1 AND u.organization_id = $2 AND u.kind = 'video' LIMIT 1",
                           DB_TEXT(id), DB_TEXT(organization_id));
    if (db_next(&rows)) {
        found = true;
        *out = (VideoRecord){.id = db_text(&rows, 0, arena), .project_id = db_text(&rows, 1, arena), .folder = db_text(&rows, 2, arena),
                             .filename = db_text(&rows, 3, arena), .mime_type = db_text(&rows, 4, arena), .object = db_text(&rows, 5, arena),
                             .file_size = db_int(&rows, 6)};
    }
    Status status = db_finish(&rows);
    return status != STATUS_OK || found ? status : error_set(err, STATUS_NOT_FOUND, "Nothing was uploaded under this gcs_path");
}

Status video_probe(Request *rq, const VideoRecord *video, bool count, VideoProbe *out) {
    Buffer params;
    JsonWriter w;
    buffer_init(&params, 65536);
    json_writer_init(&w, &params);
    json_begin_object(&w);
    json_field_string(&w, "path", objects_path(rq->server->objects, video->object, &rq->arena));
    json_field_string(&w, "filename", video->filename);
    json_field_bool(&w, "count", count);
    json_end_object(&w);
    yyjson_doc *reply = NULL;
    Status status = workers_call(rq->server->media, &reply, "probe_video", buffer_text(&params), VIDEO_PROBE_TIMEOUT_SECONDS, NULL, NULL, &rq->error);
    buffer_clear(&params);
    if (status == STATUS_OK) {
        yyjson_val *result = yyjson_obj_get(yyjson_doc_get_root(reply), "result");
        *out = (VideoProbe){.duration = json_get_number(result, "duration_seconds", 0), .fps = json_get_number(result, "fps", 0),
                            .width = json_get_int(result, "width", 0), .height = json_get_int(result, "height", 0),
                            .frame_count = json_get_int(result, "frame_count", 0), .codec = arena_strdup(&rq->arena, json_get_string(result, "codec", ""))};
    }
    yyjson_doc_free(reply);
    return status;
}

