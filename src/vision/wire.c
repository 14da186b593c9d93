#include "vision/wire.h"

#include <math.h>
#include "base/banned.h"

Status wire_picture(yyjson_val *params, const char **out, Error *err) {
    *out = json_get_string(params, "pixels_path", NULL);
    if (!*out) *out = json_get_string(params, "image_path", NULL);
    return *out ? STATUS_OK : error_set(err, STATUS_VALIDATION_ERROR, "'image_path' or 'pixels_path' is missing");
}

Status wire_number(yyjson_val *params, const char *key, double otherwise, double least, double most, double *out, Error *err) {
    *out = json_get_number(params, key, otherwise);
    if (*out >= least && *out <= most) return STATUS_OK;
    return error_set(err, STATUS_VALIDATION_ERROR, "'%s' must be a number from %g to %g", key, least, most);
}

double wire_rounded(double v) { return round(v * 100) / 100; }

void wire_point(JsonWriter *w, Point p) {
    json_begin_array(w);
    json_number(w, wire_rounded(p.x));
    json_number(w, wire_rounded(p.y));
    json_end_array(w);
}

void wire_points(JsonWriter *w, const Ring *points) {
    json_begin_array(w);
    for (size_t i = 0; i < points->count; i++) wire_point(w, points->points[i]);
    json_end_array(w);
}

void wire_polygon(JsonWriter *w, const Polygon *polygon) {
    json_begin_array(w);
    for (size_t r = 0; r < polygon->count; r++) wire_points(w, &polygon->rings[r]);
    json_end_array(w);
}

void wire_box_members(JsonWriter *w, Box box) {
    json_field_number(w, "x", wire_rounded(box.x));
    json_field_number(w, "y", wire_rounded(box.y));
    json_field_number(w, "w", wire_rounded(box.w));
    json_field_number(w, "h", wire_rounded(box.h));
}
