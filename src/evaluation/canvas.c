/* Drawing, and the shapes of the letters. */
#include "evaluation/canvas.h"

#include <math.h>
#include <string.h>

#include "base/banned.h"

/* Five rows of three dots: each octal digit is a row, its highest bit the left dot. */
static const uint16_t letters[96] = {
    ['!' - 32] = 022202, ['"' - 32] = 055000, ['#' - 32] = 057575, ['%' - 32] = 051245, ['&' - 32] = 025253, ['\'' - 32] = 022000,
    ['(' - 32] = 024442, [')' - 32] = 021112, ['*' - 32] = 052500, ['+' - 32] = 002720, [',' - 32] = 000024, ['-' - 32] = 000700,
    ['.' - 32] = 000002, ['/' - 32] = 011244, ['0' - 32] = 075557, ['1' - 32] = 026227, ['2' - 32] = 071747, ['3' - 32] = 071717,
    ['4' - 32] = 055711, ['5' - 32] = 074717, ['6' - 32] = 074757, ['7' - 32] = 071122, ['8' - 32] = 075757, ['9' - 32] = 075717,
    [':' - 32] = 002020, [';' - 32] = 002024, ['<' - 32] = 012421, ['=' - 32] = 007070, ['>' - 32] = 042124, ['?' - 32] = 071202,
    ['@' - 32] = 075743, ['A' - 32] = 025755, ['B' - 32] = 065656, ['C' - 32] = 034443, ['D' - 32] = 065556, ['E' - 32] = 074647,
    ['F' - 32] = 074644, ['G' - 32] = 034553, ['H' - 32] = 055755, ['I' - 32] = 072227, ['J' - 32] = 011152, ['K' - 32] = 055655,
    ['L' - 32] = 044447, ['M' - 32] = 057755, ['N' - 32] = 065555, ['O' - 32] = 025552, ['P' - 32] = 065644, ['Q' - 32] = 025563,
    ['R' - 32] = 065655, ['S' - 32] = 034216, ['T' - 32] = 072222, ['U' - 32] = 055557, ['V' - 32] = 055552, ['W' - 32] = 055775,
    ['X' - 32] = 055255, ['Y' - 32] = 055222, ['Z' - 32] = 071247, ['[' - 32] = 064446, ['\\' - 32] = 044211, [']' - 32] = 031113,
    ['^' - 32] = 025000, ['_' - 32] = 000007, ['|' - 32] = 022222,
};

/* Hues a golden section of the circle apart. */
Colour colour_of(unsigned number) {
    double hue = fmod(number * 0.618034 * 6, 6);
    uint8_t channels[3];
    for (int c = 0; c < 3; c++) {
        double distance = fabs(fmod(hue - 2 * c + 9, 6) - 3); /* from where this channel is strongest */
        channels[c] = (uint8_t)(40 + 215 * fmin(1, fmax(0, 2 - distance)));
    }
    return (Colour){.red = channels[0], .green = channels[1], .blue = channels[2]};
}

static int clamp(int value, int high) { return value < 0 ? 0 : value > high ? high : value; }

void canvas_fill(Raster *canvas, int x, int y, int width, int height, Colour colour) {
    int left = clamp(x, canvas->width), right = clamp(x + width, canvas->width);
    int top = clamp(y, canvas->height), bottom = clamp(y + height, canvas->height);
    for (int row = top; row < bottom; row++) {
        uint8_t *pixel = canvas->pixels + ((size_t)row * (size_t)canvas->width + (size_t)left) * 3;
        for (int column = left; column < right; column++, pixel += 3) memcpy(pixel, (uint8_t[]){colour.blue, colour.green, colour.red}, 3);
    }
}

void canvas_outline(Raster *canvas, int x, int y, int width, int height, int thickness, Colour colour) {
    canvas_fill(canvas, x, y, width, thickness, colour);
    canvas_fill(canvas, x, y + height - thickness, width, thickness, colour);
    canvas_fill(canvas, x, y, thickness, height, colour);
    canvas_fill(canvas, x + width - thickness, y, thickness, height, colour);
}

void canvas_paste(Raster *canvas, const Raster *picture, int x, int y) {
    int left = clamp(x, canvas->width), right = clamp(x + picture->width, canvas->width);
    int top = clamp(y, canvas->height), bottom = clamp(y + picture->height, canvas->height);
    for (int row = top; row < bottom && left < right; row++)
        memcpy(canvas->pixels + ((size_t)row * (size_t)canvas->width + (size_t)left) * 3,
               picture->pixels + ((size_t)(row - y) * (size_t)picture->width + (size_t)(left - x)) * 3, (size_t)(right - left) * 3);
}

static bool continues_character(char byte) { return ((unsigned char)byte & 0xc0) == 0x80; }

static uint16_t shape_of(unsigned char c) {
    c = c >= 'a' && c <= 'z' ? (unsigned char)(c - 'a' + 'A') : c;
    if (c == ' ') return 0;
    uint16_t shape = c > 32 && c < 128 ? letters[c - 32] : 0;
    return shape ? shape : letters['?' - 32];
}

void canvas_text(Raster *canvas, int x, int y, int scale, const char *text, int length, Colour colour) {
    for (; *text && length > 0; text++) {
        if (continues_character(*text)) continue;
        uint16_t shape = shape_of((unsigned char)*text);
        for (int dot = 0; dot < 15; dot++)
            if (shape >> (14 - dot) & 1) canvas_fill(canvas, x + dot % 3 * scale, y + dot / 3 * scale, scale, scale, colour);
        x += CANVAS_LETTER_WIDTH * scale;
        length--;
    }
}

int canvas_text_length(const char *text) {
    int length = 0;
    for (; *text; text++) length += !continues_character(*text);
    return length;
}

int canvas_text_width(int length, int scale) { return length ? (length * CANVAS_LETTER_WIDTH - 1) * scale : 0; }
