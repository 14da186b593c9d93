/* One call: what to look at, what to do, what came back. */
#include "server/auto_annotate/vision_call.h"

#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/text.h"
#include "server/jobs/workers.h"
#include "server/objects/objects.h"
#include "base/banned.h"

enum { DECODE_TIMEOUT_SECONDS = 60 };

static Status decode_pixels(VisionCall *call, const ImageRecord *image, const char *path, const char **out, Error *err) {
    char name[UUID_SIZE];
    call->work = objects_work_directory(call->server->objects, uuid_new(name), call->arena, err);
    if (!call->work) return err->status;
    *out = arena_printf(call->arena, "%s/pixels", call->work);
    Buffer params;
    JsonWriter w;
    buffer_init(&params, 65536);
    json_writer_init(&w, &params);
    json_begin_object(&w);
    json_field_string(&w, "path", path);
    json_field_string(&w, "filename", image->filename);
    json_field_string(&w, "output", *out);
    json_end_object(&w);
    yyjson_doc *reply = NULL;
    Status status = workers_call(call->server->media, &reply, "decode", buffer_text(&params), DECODE_TIMEOUT_SECONDS, NULL, NULL, err);
    yyjson_doc_free(reply);
    buffer_clear(&params);
    return status;
}

Status vision_call_begin(VisionCall *call, Server *server, Arena *arena, const ImageRecord *image, Error *err) {
    *call = (VisionCall){.server = server, .arena = arena};
    buffer_init(&call->params, 1 << 20);
    json_writer_init(&call->writer, &call->params);
    const char *path = objects_path(server->objects, image->object, arena), *pixels = NULL;
    Status status = STATUS_OK;
    if (!text_equal(image->mime_type, "image/jpeg")) status = decode_pixels(call, image, path, &pixels, err);
    json_begin_object(&call->writer);
    json_field_string(&call->writer, "image_key", image->object);
    json_field_string(&call->writer, "image_path", path);
    if (pixels) json_field_string(&call->writer, "pixels_path", pixels);
    return status;
}

Status vision_call_run(VisionCall *call, const char *method, double timeout_seconds, bool (*stop)(void *), void *context, yyjson_val **result, Error *err) {
    json_end_object(&call->writer);
    Status status = workers_call(call->server->vision, &call->reply, method, buffer_text(&call->params), timeout_seconds, stop, context, err);
    *result = status == STATUS_OK ? yyjson_obj_get(yyjson_doc_get_root(call->reply), "result") : NULL;
    return status;
}

void vision_call_end(VisionCall *call) {
    yyjson_doc_free(call->reply);
    buffer_clear(&call->params);
    if (call->work) file_remove_tree(call->work, NULL);
}

static Ring read_ring(yyjson_val *points, Arena *arena) {
    Ring ring = {.points = arena_new_array(arena, Point, yyjson_arr_size(points))};
    size_t index, count;
    yyjson_val *p;
    yyjson_arr_foreach(points, index, count, p) {
        ring.points[ring.count++] = yyjson_is_arr(p) ? (Point){yyjson_get_num(yyjson_arr_get(p, 0)), yyjson_get_num(yyjson_arr_get(p, 1))}
                                                     : (Point){json_get_number(p, "x", 0), json_get_number(p, "y", 0)};
    }
    return ring;
}

bool vision_polygon(yyjson_val *result, Arena *arena, Polygon *out) {
    yyjson_val *rings = yyjson_obj_get(result, "rings");
    *out = (Polygon){.rings = arena_new_array(arena, Ring, yyjson_arr_size(rings))};
    size_t index, count;
    yyjson_val *points;
    yyjson_arr_foreach(rings, index, count, points) {
        Ring ring = read_ring(points, arena);
        if (ring.count >= 3) out->rings[out->count++] = ring;
    }
    return out->count > 0;
}
