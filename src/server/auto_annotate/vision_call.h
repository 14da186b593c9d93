/* Calls of pictograph-vision on an image. */
#pragma once
#include "annotation/annotation.h"
#include "base/json.h"
#include "server/images/images.h"
#include "server/server.h"

/* The parameters of a call on an image: {"image_key": …, "image_path": …, …}. What the vision worker cannot read itself (all but
 * JPEG, and JPEG with four inks) and does not know from an earlier call, it refuses; the media worker then decodes it into a file that vision_call_end
 * removes, and the call is made again. The image record must outlive the call. */
typedef struct VisionCall {
    Server *server;
    Arena *arena;
    const ImageRecord *image;
    Buffer params;
    JsonWriter writer; /* the caller adds members */
    WorkerPool *pool;  /* server->vision, unless another one is set after vision_call_begin */
    bool patient;      /* set after vision_call_begin: everybody else's calls go first, see workers_call_patiently */
    const char *work;  /* folder of the decoded pixels, NULL while none are needed */
    yyjson_doc *reply;
} VisionCall;

void vision_call_begin(VisionCall *call, Server *server, Arena *arena, const ImageRecord *image);
/* Runs the method; *result is its answer, borrowed until vision_call_end. */
Status vision_call_run(VisionCall *call, const char *method, double timeout_seconds, bool (*stop)(void *), void *context, yyjson_val **result, Error *err);
void vision_call_end(VisionCall *call);

/* [[x, y], …] as points in the arena. */
Ring vision_ring(yyjson_val *points, Arena *arena);
/* The answer's "polygons" as one even-odd polygon, in the arena: an object may be seen in parts. False when there is none. */
bool vision_polygon(yyjson_val *result, Arena *arena, Polygon *out);
