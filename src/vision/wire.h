/* Wire: what the methods of vision.h share in reading parameters and writing answers. Coordinates go out with two decimals: outlines are exact to
 * half a pixel.
 */
#pragma once
#include "base/json.h"
#include "geometry/geometry.h"

/* The file to read: pixels_path, else image_path. STATUS_VALIDATION_ERROR when both are missing. */
Status wire_picture(yyjson_val *params, const char **out, Error *err);
/* A number within bounds; `otherwise` where the member is missing. STATUS_VALIDATION_ERROR names it. */
Status wire_number(yyjson_val *params, const char *key, double otherwise, double least, double most, double *out, Error *err);

double wire_rounded(double v);
void wire_point(JsonWriter *w, Point p);             /* [x, y] */
void wire_points(JsonWriter *w, const Ring *points); /* [[x, y], …] */
void wire_polygon(JsonWriter *w, const Polygon *polygon);
void wire_box_members(JsonWriter *w, Box box); /* x, y, w, h of an object that is open */
