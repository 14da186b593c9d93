/* Contact sheet: a sheet comes out whatever the pictures are, and boxes lie where they belong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/arena.h"
#include "base/file.h"
#include "evaluation/canvas.h"
#include "evaluation/contact_sheet.h"

#include "base/banned.h"

static char folder[] = "/tmp/contact-sheet-XXXXXX";
static char picture_path[64], sheet_path[64];

static int set_up(void **state) {
    (void)state;
    if (!mkdtemp(folder)) return 1;
    snprintf(picture_path, sizeof picture_path, "%s/a.jpg", folder);
    snprintf(sheet_path, sizeof sheet_path, "%s/sheet.jpg", folder);
    Raster grey = {640, 480, xmalloc(640 * 480 * 3)};
    canvas_fill(&grey, 0, 0, 640, 480, (Colour){128, 128, 128});
    Status status = jpeg_file_write(picture_path, &grey, JPEG_BGR, 90, NULL);
    free(grey.pixels);
    return status;
}

static int tear_down(void **state) {
    (void)state;
    return (int)file_remove_tree(folder, NULL);
}

static Raster read_sheet(void) {
    Raster out;
    int width, height;
    Error err = {0};
    assert_int_equal(jpeg_file_read(&out, &width, &height, sheet_path, 20000, 20000, JPEG_BGR, &err), STATUS_OK);
    return out;
}

static bool is_near(const Raster *p, int x, int y, Colour colour) {
    const uint8_t *pixel = p->pixels + ((size_t)y * (size_t)p->width + (size_t)x) * 3;
    return abs(pixel[0] - colour.blue) < 60 && abs(pixel[1] - colour.green) < 60 && abs(pixel[2] - colour.red) < 60;
}

static void boxes_lie_on_their_sides(void **state) {
    (void)state;
    const char *names[] = {"cell", "röd blodkropp"};
    EvaluationBox truth[] = {{.x = 64, .y = 64, .w = 320, .h = 320}};
    EvaluationBox found[] = {{.class_index = 1, .x = 320, .y = 160, .w = 320, .h = 320, .score = 0.87}, {.w = 50, .h = 50, .score = 0.1}};
    ContactSheetImage image = {picture_path, "a.jpg", truth, 1, found, 2};
    ContactSheetOptions options = CONTACT_SHEET_DEFAULTS;
    options.cell_width = 320;
    Error err = {0};
    assert_int_equal(contact_sheet_write(sheet_path, &image, 1, names, 2, &options, &err), STATUS_OK);
    Raster sheet = read_sheet();
    assert_int_equal(sheet.width, 10 + 2 * 320 + 30);
    int top = sheet.height - 10 - 240; /* of the pictures: half of their own size */
    Colour grey = {128, 128, 128};
    assert_true(is_near(&sheet, 10 + 32, top + 100, colour_of(0)));
    assert_true(is_near(&sheet, 10 + 100, top + 100, grey));
    assert_true(is_near(&sheet, 10 + 320 + 10 + 160, top + 160, colour_of(1)));
    assert_true(is_near(&sheet, 10 + 320 + 10 + 10, top + 24, grey)); /* the unsure one is not drawn */
    free(sheet.pixels);
}

static void what_cannot_be_read_becomes_a_grey_cell(void **state) {
    (void)state;
    EvaluationBox wild[] = {{.x = -1e30, .y = 1e30, .w = 1e300, .h = 0, .score = 1},
                            {.class_index = -5, .x = 5, .y = 5, .w = 900, .h = 900, .score = 2}};
    ContactSheetImage images[14];
    for (size_t i = 0; i < 14; i++)
        images[i] = (ContactSheetImage){i % 2 ? "/nowhere.jpg" : picture_path,
                                        i % 3 ? "a name that is far too long for the space that there is above" : NULL, wild, 2, wild, 2};
    Error err = {0};
    ContactSheetOptions options = CONTACT_SHEET_DEFAULTS;
    options.cell_width = 64;
    assert_int_equal(contact_sheet_write(sheet_path, images, 14, NULL, 3, &options, &err), STATUS_OK);
    assert_int_equal(contact_sheet_write(sheet_path, NULL, 0, NULL, 0, &options, &err), STATUS_OK);
    options.cell_width = 5;
    assert_int_equal(contact_sheet_write(sheet_path, images, 1, NULL, 0, &options, &err), STATUS_VALIDATION_ERROR);
    options = (ContactSheetOptions)CONTACT_SHEET_DEFAULTS;
    assert_int_not_equal(contact_sheet_write("/nowhere/sheet.jpg", images, 1, NULL, 0, &options, &err), STATUS_OK);
}

static void letters_are_drawn(void **state) {
    (void)state;
    Raster canvas = {40, 10, xcalloc(40 * 10, 3)};
    canvas_text(&canvas, 0, 0, 1, "1é", 2, (Colour){255, 255, 255});
    const char *one = ".#.##..#..#.###"; /* three by five */
    for (int i = 0; i < 15; i++) assert_int_equal(canvas.pixels[(i / 3 * 40 + i % 3) * 3] != 0, one[i] == '#');
    assert_int_equal(canvas.pixels[4 * 3], 255); /* the question mark */
    assert_int_equal(canvas_text_length("1é"), 2);
    free(canvas.pixels);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(boxes_lie_on_their_sides),
                                       cmocka_unit_test(what_cannot_be_read_becomes_a_grey_cell),
                                       cmocka_unit_test(letters_are_drawn)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
