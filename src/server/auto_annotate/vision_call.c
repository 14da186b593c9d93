/* One call: what to look at, what to do, what came back. */
#include "server/auto_annotate/vision_call.h"

#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "server/jobs/workers.h"
#include "server/objects/objects.h"
#include "base/banned.h"

enum { DECODE_TIMEOUT_SECONDS = 60 };

static Status decode_pixels(VisionCall *call, Error *err) {
    char name[UUID_SIZE];
    call->work = objects_work_directory(call->server->objects, uuid_new(name), call->arena, err);
    if (!call->work) return err->status;
    const char *pixels = arena_printf(call->arena, "%s/pixels", call->work);
    Buffer params;
    JsonWriter w;
    buffer_init(&params, 65536);
    json_writer_init(&w, &params);
    json_begin_object(&w);
    json_field_string(&w, "path", objects_path(call->server->objects, call->image->object, call->arena));
    json_field_string(&w, "filename", call->image->filename);
    json_field_string(&w, "output", pixels);
    json_end_object(&w);
    yyjson_doc *reply = NULL;
    Status status = workers_call(call->server->media, &reply, "decode", buffer_text(&params), DECODE_TIMEOUT_SECONDS, NULL, NULL, err);
    yyjson_doc_free(reply);
    buffer_clear(&params);
    json_field_string(&call->writer, "pixels_path", pixels); /* stands above image_path */
    return status;
}

void vision_call_begin(VisionCall *call, Server *server, Arena *arena, const ImageRecord *image) {
    *call = (VisionCall){.server = server, .pool = server->vision, .arena = arena, .image = image};
    buffer_init(&call->params, 1 << 20);
    json_writer_init(&call->writer, &call->params);
    json_begin_object(&call->writer);
    json_field_string(&call->writer, "image_key", image->object);
    json_field_string(&call->writer, "image_path", objects_path(server->objects, image->object, arena));
    json_field_string(&call->writer, "models_path", arena_printf(arena, "%s/models", server->config.data_directory)); /* of the operator */
}

static Status call_once(VisionCall *call, const char *method, double timeout_seconds, bool (*stop)(void *), void *context, Error *err) {
    size_t open = call->params.size; /* the object is closed for the worker only, so that a member can still be added */
    buffer_append_byte(&call->params, '}');
    WorkersCall *send = call->patient ? workers_call_patiently : workers_call;
    Status status = send(call->pool, &call->reply, method, buffer_text(&call->params), timeout_seconds, stop, context, err);
    call->params.size = open;
    return status;
}

Status vision_call_run(VisionCall *call, const char *method, double timeout_seconds, bool (*stop)(void *), void *context, yyjson_val **result, Error *err) {
    Status status = call_once(call, method, timeout_seconds, stop, context, err);
    if (status == STATUS_UNSUPPORTED_MEDIA_TYPE && !call->work) {
        status = decode_pixels(call, err);
        if (status == STATUS_OK) status = call_once(call, method, timeout_seconds, stop, context, err);
    }
    *result = status == STATUS_OK ? yyjson_obj_get(yyjson_doc_get_root(call->reply), "result") : NULL;
    return status;
}

void vision_call_end(VisionCall *call) {
    yyjson_doc_free(call->reply);
    buffer_clear(&call->params);
    if (call->work) file_remove_tree(call->work, NULL);
}

Ring vision_ring(yyjson_val *points, Arena *arena) {
    Ring ring = {.points = arena_new_array(arena, Point, yyjson_arr_size(points))};
    size_t index, count;
    yyjson_val *p;
    yyjson_arr_foreach(points, index, count, p) ring.points[ring.count++] = (Point){yyjson_get_num(yyjson_arr_get(p, 0)), yyjson_get_num(yyjson_arr_get(p, 1))};
    return ring;
}

bool vision_polygon(yyjson_val *result, Arena *arena, Polygon *out) {
    yyjson_val *parts = yyjson_obj_get(result, "polygons"), *part, *points;
    size_t i, n, k, m, total = 0;
    yyjson_arr_foreach(parts, i, n, part) total += yyjson_arr_size(part);
    *out = (Polygon){.rings = arena_new_array(arena, Ring, total)};
    yyjson_arr_foreach(parts, i, n, part) {
        yyjson_arr_foreach(part, k, m, points) {
            Ring ring = vision_ring(points, arena);
            if (ring.count >= 3) out->rings[out->count++] = ring;
        }
    }
    return out->count > 0;
}
