/* Contact sheet: a legend on top, then rows of pairs of pictures. Sizes are settled first, so that the canvas is made once. */
#include "evaluation/contact_sheet.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "evaluation/canvas.h"
#include "picture/jpeg_file.h"

#include "base/banned.h"

enum { MARGIN = 10, TEXT_SCALE = 2, LINE = 20, LABEL_LETTERS = 8, SIDE_MAXIMUM = 20000, SMALLEST_CELL = 64 };

static const Colour background = {38, 34, 32}, ink = {235, 235, 235}, empty = {90, 90, 90}, black = {0, 0, 0};

typedef struct Cell {
    Raster picture; /* scaled; pixels NULL when it could not be read */
    double scale;       /* from pixels of the file */
    int height;
} Cell;

typedef struct Sheet {
    const ContactSheetOptions *options;
    const char *const *class_names;
    size_t class_count;
    Raster canvas;
    int columns, legend_height;
} Sheet;

/* ---- sizes ---- */

static void cell_read(Cell *cell, const char *path, int width) {
    Raster decoded = {0};
    int own_width, own_height;
    cell->height = width * 3 / 4;
    /* Tall pictures are kept to one and a half times the width. */
    if (jpeg_file_read(&decoded, &own_width, &own_height, path, width, width * 3 / 2, JPEG_BGR, NULL)) return;
    cell->scale = raster_fit(own_width, own_height, width, width * 3 / 2);
    raster_resize(&cell->picture, &decoded, (int)fmax(1, fmin(width, lrint(own_width * cell->scale))), (int)fmax(1, lrint(own_height * cell->scale)));
    cell->height = cell->picture.height;
    raster_clear(&decoded);
}

static int pair_width(const Sheet *sheet) { return 2 * sheet->options->cell_width + 3 * MARGIN; }

static int row_height(const Sheet *sheet, const Cell *cells, size_t first, size_t count) {
    int height = 0;
    for (size_t i = first; i < count && i < first + (size_t)sheet->columns; i++) height = cells[i].height > height ? cells[i].height : height;
    return height + LINE + MARGIN;
}

/* ---- text ---- */

static const char *class_name(const Sheet *sheet, int32_t index, char number[16]) {
    if (sheet->class_names && index >= 0 && (size_t)index < sheet->class_count) return sheet->class_names[index];
    snprintf(number, 16, "%d", (int)index);
    return number;
}

/* Walks over the legend's entries line by line; draws them when there is a canvas already. Returns the height. */
static int legend(Sheet *sheet, int width) {
    int x = MARGIN, y = MARGIN;
    for (size_t i = 0; i < sheet->class_count; i++) {
        char number[16];
        const char *name = class_name(sheet, (int32_t)i, number);
        int length = canvas_text_length(name), wide = LINE + canvas_text_width(length, TEXT_SCALE) + 2 * MARGIN;
        if (x > MARGIN && x + wide > width) {
            x = MARGIN;
            y += LINE;
        }
        if (sheet->canvas.pixels) {
            canvas_fill(&sheet->canvas, x, y, LINE - 8, LINE - 8, colour_of((unsigned)i));
            canvas_text(&sheet->canvas, x + LINE - 2, y + 1, TEXT_SCALE, name, length, ink);
        }
        x += wide;
    }
    return y + LINE + MARGIN;
}

static Colour text_colour(Colour on) { return on.red * 3 + on.green * 6 + on.blue > 1150 ? black : (Colour){255, 255, 255}; }

static void draw_label(Raster *canvas, int x, int y, const char *text, int length, Colour colour) {
    int height = CANVAS_LETTER_HEIGHT * TEXT_SCALE + 4;
    y = y < height ? 0 : y - height;
    canvas_fill(canvas, x, y, canvas_text_width(length, TEXT_SCALE) + 4, height, colour);
    canvas_text(canvas, x + 2, y + 2, TEXT_SCALE, text, length, text_colour(colour));
}

/* ---- boxes ---- */

static int to_pixel(double value, double scale, int most) { return (int)lrint(fmin(most, fmax(0, value * scale))); }

/* Bytes of the first letters of a name, whole characters only. */
static int label_bytes(const char *name) {
    int bytes = 0;
    for (int kept = 0; name[bytes]; bytes++) {
        bool starts = ((unsigned char)name[bytes] & 0xc0) != 0x80;
        if (starts && kept++ == LABEL_LETTERS) break;
    }
    return bytes;
}

static void draw_box(const Sheet *sheet, Raster *picture, const EvaluationBox *box, double scale, bool labelled) {
    if (!isfinite(box->x) || !isfinite(box->y) || !isfinite(box->w) || !isfinite(box->h)) return;
    int x = to_pixel(box->x, scale, picture->width - 1), y = to_pixel(box->y, scale, picture->height - 1);
    int right = to_pixel(box->x + box->w, scale, picture->width), bottom = to_pixel(box->y + box->h, scale, picture->height);
    Colour colour = colour_of((unsigned)box->class_index);
    canvas_outline(picture, x, y, right > x ? right - x : 1, bottom > y ? bottom - y : 1, 2, colour);
    if (!labelled) return;
    char number[16], text[64];
    const char *name = class_name(sheet, box->class_index, number);
    snprintf(text, sizeof text, "%.*s %d", label_bytes(name), name, to_pixel(box->score, 100, 999));
    draw_label(picture, x, y, text, canvas_text_length(text), colour);
}

/* Sure ones last, so that they lie on top. */
static int compare_scores(const void *a, const void *b) {
    const EvaluationBox *left = *(const EvaluationBox *const *)a, *right = *(const EvaluationBox *const *)b;
    return left->score < right->score ? -1 : left->score > right->score;
}

/* A copy of the cell's picture with boxes, pasted at x, y. */
static void draw_side(Sheet *sheet, const Cell *cell, const EvaluationBox *boxes, size_t count, int x, int y, bool detections) {
    if (!cell->picture.pixels) {
        canvas_fill(&sheet->canvas, x, y, sheet->options->cell_width, cell->height, empty);
        return;
    }
    size_t size = (size_t)cell->picture.width * (size_t)cell->picture.height * 3;
    Raster copy = {cell->picture.width, cell->picture.height, memcpy(xmalloc(size), cell->picture.pixels, size)};
    const EvaluationBox **order = xcalloc(count + 1, sizeof *order);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (!detections || boxes[i].score >= sheet->options->minimum_score) order[kept++] = &boxes[i];
    if (detections) qsort(order, kept, sizeof *order, compare_scores);
    for (size_t i = 0; i < kept; i++) draw_box(sheet, &copy, order[i], cell->scale, detections);
    canvas_paste(&sheet->canvas, &copy, x, y);
    free(order);
    free(copy.pixels);
}

static void draw_pair(Sheet *sheet, const Cell *cell, const ContactSheetImage *image, int x, int y) {
    int width = sheet->options->cell_width, letters = width / (CANVAS_LETTER_WIDTH * TEXT_SCALE);
    size_t found = 0;
    for (size_t i = 0; i < image->detection_count; i++) found += image->detections[i].score >= sheet->options->minimum_score;
    char text[64];
    int reserved = snprintf(text, sizeof text, "  TRUTH %zu", image->truth_count);
    const char *title = image->title ? image->title : "";
    int kept = canvas_text_length(title);
    kept = kept > letters - reserved ? letters - reserved : kept;
    canvas_text(&sheet->canvas, x, y + 4, TEXT_SCALE, title, kept, ink);
    canvas_text(&sheet->canvas, x + width - canvas_text_width(reserved, TEXT_SCALE), y + 4, TEXT_SCALE, text, reserved, ink);
    int length = snprintf(text, sizeof text, "FOUND %zu", found);
    canvas_text(&sheet->canvas, x + width + MARGIN, y + 4, TEXT_SCALE, text, length, ink);
    draw_side(sheet, cell, image->truth, image->truth_count, x, y + LINE, false);
    draw_side(sheet, cell, image->detections, image->detection_count, x + width + MARGIN, y + LINE, true);
}

/* ---- the whole ---- */

static void draw(Sheet *sheet, const Cell *cells, const ContactSheetImage *images, size_t count, int width, int height) {
    sheet->canvas = (Raster){width, height, xmalloc((size_t)width * (size_t)height * 3)};
    canvas_fill(&sheet->canvas, 0, 0, width, height, background);
    int y = legend(sheet, width);
    for (size_t first = 0; first < count; first += (size_t)sheet->columns) {
        for (size_t i = first; i < count && i < first + (size_t)sheet->columns; i++)
            draw_pair(sheet, &cells[i], &images[i], MARGIN + (int)(i - first) * pair_width(sheet), y);
        y += row_height(sheet, cells, first, count);
    }
}

Status contact_sheet_write(const char *path, const ContactSheetImage *images, size_t image_count, const char *const *class_names,
                           size_t class_count, const ContactSheetOptions *options, Error *err) {
    Sheet sheet = {.options = options, .class_names = class_names, .class_count = class_count,
                   .columns = options->columns < 1 ? 1 : options->columns};
    size_t count = image_count > CONTACT_SHEET_MAXIMUM ? CONTACT_SHEET_MAXIMUM : image_count;
    if ((size_t)sheet.columns > count) sheet.columns = count ? (int)count : 1;
    if (options->cell_width < SMALLEST_CELL || options->cell_width > SIDE_MAXIMUM || options->quality < 1 || options->quality > 100)
        return error_set(err, STATUS_VALIDATION_ERROR, "A contact sheet takes cells of %d to %d pixels and a quality of 1 to 100",
                         SMALLEST_CELL, SIDE_MAXIMUM);
    Cell cells[CONTACT_SHEET_MAXIMUM] = {{{0}, 0, 0}};
    int64_t width = MARGIN + (int64_t)sheet.columns * (2 * (int64_t)options->cell_width + 3 * MARGIN);
    if (width > SIDE_MAXIMUM) return error_set(err, STATUS_VALIDATION_ERROR, "A contact sheet of %lld pixels is too wide", (long long)width);
    for (size_t i = 0; i < count; i++) cell_read(&cells[i], images[i].path, options->cell_width);
    int height = legend(&sheet, (int)width);
    for (size_t first = 0; first < count; first += (size_t)sheet.columns) height += row_height(&sheet, cells, first, count);
    Status status = STATUS_OK;
    if (height > SIDE_MAXIMUM * 3) status = error_set(err, STATUS_VALIDATION_ERROR, "A contact sheet of %d pixels is too high", height);
    else draw(&sheet, cells, images, count, (int)width, height);
    if (!status) status = jpeg_file_write(path, &sheet.canvas, JPEG_BGR, options->quality, err);
    for (size_t i = 0; i < count; i++) free(cells[i].picture.pixels);
    free(sheet.canvas.pixels);
    return status;
}
