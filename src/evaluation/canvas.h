/* Drawing on a picture: filled boxes, outlines and capital letters of 3 × 5 dots. Whatever lies outside is cut off. */
#pragma once
#include "picture/jpeg_file.h"

typedef struct Colour {
    uint8_t blue, green, red;
} Colour;

/* Size of a letter with the gap behind it, at scale 1. */
enum { CANVAS_LETTER_WIDTH = 4, CANVAS_LETTER_HEIGHT = 5 };

/* A colour for a number, far from those of the numbers beside it. */
Colour colour_of(unsigned number);
void canvas_fill(Raster *canvas, int x, int y, int width, int height, Colour colour);
/* An outline of `thickness` pixels inside the box. */
void canvas_outline(Raster *canvas, int x, int y, int width, int height, int thickness, Colour colour);
void canvas_paste(Raster *canvas, const Raster *picture, int x, int y);
/* Each dot is scale × scale pixels. Small letters are drawn as capitals, characters without a shape as '?'. At most `length`
 * characters. */
void canvas_text(Raster *canvas, int x, int y, int scale, const char *text, int length, Colour colour);
/* Characters of UTF-8 text, and pixels that so many take. */
int canvas_text_length(const char *text);
int canvas_text_width(int length, int scale);
