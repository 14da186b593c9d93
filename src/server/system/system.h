/* System: what the rest of the server asks of this feature: addresses for uploads, the sweep, and which rows name objects.
 *
 * What nobody needs any more goes. Called about once a minute; each round is short.
 *
 * Objects that deletions let go lie in discarded_objects until it is certain that no row names their bytes and that nobody is about to write one
 * (objects_remove leaves young files alone), and their previews with them. Uploads that were never registered go after a day, with their bytes.
 * Files that no row names, left by a crash between rename and commit, go within two days: each call looks at one of OBJECTS_PARTS parts of the store.
 */
#pragma once
#include "server/api/request.h"

#define UPLOAD_BUCKET "pictograph"
typedef struct Upload {
    const char *kind;                                           /* "image", "video", "import" */
    const char *project_id, *folder, *filename, *content_type; /* project_id and folder "" for none */
    int64_t maximum_bytes;
    const char *organization_id, *id, *url; /* from here on upload_open fills in */
    int64_t expires_at;
} Upload;
/* An address that takes these bytes for an hour. */
Status upload_open(Request *rq, Upload *upload);

void sweep_discarded(Server *server);
void sweep_uploads(Server *server);
enum { SWEEP_FILES_SECONDS = 300 }; /* between two calls: all parts within 22 hours */
void sweep_files(Server *server);
/* At a start: folders of requests and jobs that kill -9 ended. Those of jobs that go on stay. */
void sweep_work(Server *server);

/* Every column that names an object, as USE(table, column, condition): bytes that one of them names are kept by the sweep, copied by a backup and
 * verified by a check. Training that has not ended needs the bytes of its export even when the export is gone. */
#define OBJECT_USES(USE)                                                                    \
    USE("images", "object", "1")                                                            \
    USE("uploads", "object", "1")                                                           \
    USE("exports", "object", "1")                                                           \
    USE("export_snapshots", "object", "1")                                                  \
    USE("models", "object", "1")                                                            \
    USE("videos", "object", "1")                                                            \
    USE("zip_imports", "object", "1")                                                       \
    USE("frame_extractions", "object", "status = 'processing'")                             \
    USE("training_runs", "export_object", "status IN ('pending', 'queued', 'running')")
#define OBJECT_OR_USED(table, column, condition) " OR EXISTS (SELECT 1 FROM " table " WHERE " column " = $1 AND " condition ")"
#define OBJECT_IS_USED "(0" OBJECT_USES(OBJECT_OR_USED) ")" /* SQL: does a row name the object $1? */
