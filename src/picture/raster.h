/* Raster: a picture in memory, three channels of 8 bits a pixel, rows without gaps. Whether red or blue comes first is agreed between who made it and
 * who reads it. Everything here may be called from several threads.
 */
#pragma once
#include <stdint.h>

typedef struct Raster {
    int width, height;
    uint8_t *pixels; /* malloc; width * height * 3 */
} Raster;

/* Factor by which a picture of width x height fills a frame, keeping its proportions; may be above 1. */
double raster_fit(int width, int height, int frame_width, int frame_height);
/* A new raster of that size: linear interpolation, by a triangle as wide as a pixel of the coarser of both grids. */
void raster_resize(Raster *out, const Raster *source, int width, int height);
/* Turns in place by an EXIF orientation, 1 to 8. */
void raster_turn(Raster *raster, int orientation);
void raster_clear(Raster *raster);
