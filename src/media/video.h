/* The two methods of pictograph-media for video (see media.h for the images' and the manner):
 *
 *   probe_video     {path, filename?, count?}
 *           -> {duration_seconds, fps, width, height, codec, frame_count, orientation}
 *     width and height are upright. Where the container holds no frame count, the packets are counted (for at most 10 s, then it is
 *     estimated); count false estimates at once.
 *   extract_frames  {path, filename?, folder, fps, start?, end?, max_frames?, cursor?, frames?}
 *           -> {frames: [{index, time, path, width, height}], position, cursor?, note?}
 *     The next frames of frame_picker.h's choice as JPEG files folder/<index>.jpg, index counted from 0 over the whole extraction: at most
 *     `frames` of them (default 24), or as many as three seconds allow, which may be none. cursor says where to go on: hand it to the next
 *     call with otherwise equal params; its absence says that all is done. A worker that served the call before goes on without seeking; any
 *     other finds the place by itself and gives the same frames. position is the time reached. note says in words what was passed over.
 *
 * Failures: unsupported_media_type (no video, or a codec that is not read), undecodable_media (damaged), payload_too_large (a frame above 35
 * megapixels), not_found, storage_full, and STATUS_CANCELLED within a second of the caller's wish.
 */
#pragma once
#include "worker/channel.h"

/* What stays open between calls; NULL is fine for both methods, which then seek each time. */
typedef struct VideoDesk VideoDesk;
VideoDesk *video_desk_new(void);
void video_desk_free(VideoDesk *desk);

Status video_probe_method(WorkerCall *call, void *desk, Error *err);
Status video_extract_method(WorkerCall *call, void *desk, Error *err);
