/* Augmentation: boxes follow the pixels they were painted around, and the same numbers give the same bytes. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/arena.h"
#include "train/augment.h"

#include "base/banned.h"

enum { SIDE = 96, PICTURES = 4 };

/* Black pictures of different sizes, each with one rectangle in its own primary colour. */
static const uint8_t colours[PICTURES][3] = {{255, 0, 0}, {0, 255, 0}, {0, 0, 255}, {255, 255, 255}};
static const AugmentBox rectangles[PICTURES] = {{20, 30, 60, 50, 0}, {5, 10, 35, 60, 1}, {40, 8, 90, 40, 2}, {10, 10, 50, 50, 3}};
static const int sizes[PICTURES][2] = {{96, 72}, {64, 96}, {96, 64}, {80, 96}};

static Raster picture_new(int width, int height) {
    return (Raster){width, height, xcalloc((size_t)width * height, 3)};
}

static Raster painted(uint32_t index) {
    Raster p = picture_new(sizes[index][0], sizes[index][1]);
    AugmentBox r = rectangles[index];
    for (int y = (int)r.y0; y < (int)r.y1; y++)
        for (int x = (int)r.x0; x < (int)r.x1; x++) memcpy(p.pixels + ((size_t)y * p.width + x) * 3, colours[index], 3);
    return p;
}

static Raster get(void *context, uint32_t index, AugmentBoxes *boxes) {
    (void)context;
    augment_boxes_add(boxes, rectangles[index]);
    return painted(index);
}

static void give_back(void *context, uint32_t index, Raster picture) {
    (void)context, (void)index;
    free(picture.pixels);
}

static const AugmentSource source = {.count = PICTURES, .get = get, .give_back = give_back};

/* Close enough that neither the fill nor a blend of two colours passes. */
static bool has_colour(const uint8_t *pixel, int class_index) {
    for (int c = 0; c < 3; c++)
        if (abs(pixel[c] - colours[class_index][c]) > 70) return false;
    return true;
}

/* Enclosing box of the pixels of a class; an empty one has x0 > x1. */
static AugmentBox find_pixels(const Raster *p, int class_index) {
    AugmentBox found = {1e9f, 1e9f, -1e9f, -1e9f, class_index};
    for (int y = 0; y < p->height; y++)
        for (int x = 0; x < p->width; x++)
            if (has_colour(p->pixels + ((size_t)y * p->width + x) * 3, class_index)) {
                found.x0 = fminf(found.x0, (float)x), found.x1 = fmaxf(found.x1, (float)x + 1);
                found.y0 = fminf(found.y0, (float)y), found.y1 = fmaxf(found.y1, (float)y + 1);
            }
    return found;
}

static void assert_same_box(AugmentBox a, AugmentBox b, float tolerance) {
    assert_true(fabsf(a.x0 - b.x0) <= tolerance && fabsf(a.x1 - b.x1) <= tolerance);
    assert_true(fabsf(a.y0 - b.y0) <= tolerance && fabsf(a.y1 - b.y1) <= tolerance);
}

static void draw(Raster *out, AugmentBoxes *boxes, uint32_t index, const AugmentOptions *options, uint64_t seed) {
    AugmentScratch *scratch = augment_scratch_new();
    Random random = random_start(seed, index);
    augment_sample(out, boxes, &source, index, options, &random, scratch);
    augment_scratch_free(scratch);
}

static void without_options_a_picture_is_letterboxed_at_the_top_left(void **state) {
    (void)state;
    Raster out = picture_new(SIDE, SIDE), plain = painted(0);
    AugmentBoxes boxes = {0};
    draw(&out, &boxes, 0, &(AugmentOptions)AUGMENT_NONE, 1);
    assert_int_equal(boxes.count, 1);
    assert_same_box(boxes.items[0], rectangles[0], 0);
    assert_memory_equal(out.pixels, plain.pixels, (size_t)plain.width * plain.height * 3);
    assert_int_equal(out.pixels[(SIDE * SIDE - 1) * 3], AUGMENT_FILL);
    augment_boxes_clear(&boxes);
    free(out.pixels);
    free(plain.pixels);
}

/* Scale, translation, flips and colours: the box and the painted pixels end at the same place. */
static void boxes_follow_an_affine_map(void **state) {
    (void)state;
    AugmentOptions options = AUGMENT_DEFAULTS;
    options.mosaic = 0;
    options.affine_always = true;
    options.value = 10; /* the fill must stay darker than half */
    int seen = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        Raster out = picture_new(SIDE, SIDE);
        AugmentBoxes boxes = {0};
        uint32_t index = (uint32_t)seed % PICTURES;
        draw(&out, &boxes, index, &options, seed);
        if (boxes.count) {
            assert_same_box(find_pixels(&out, (int)index), boxes.items[0], 1.01f);
            seen++;
        }
        augment_boxes_clear(&boxes);
        free(out.pixels);
    }
    assert_true(seen > 150);
}

/* Where nothing is cut, the enclosing box of a turned and sheared rectangle is found again. */
static void boxes_enclose_what_was_turned(void **state) {
    (void)state;
    for (int degrees = -40; degrees <= 40; degrees += 5) {
        double angle = degrees * M_PI / 180, shear = degrees / 400.0;
        float c = (float)cos(angle), s = (float)sin(angle);
        AugmentMatrix matrix = {{c, s + (float)shear, 60, -s, c, 60}};
        Raster in = painted(3), out = picture_new(200, 200);
        AugmentBoxes boxes = {0};
        augment_boxes_add(&boxes, rectangles[3]);
        augment_warp(&out, &in, &matrix);
        augment_map_boxes(&boxes, 0, &matrix);
        assert_same_box(find_pixels(&out, 3), boxes.items[0], 1.5f);
        augment_boxes_clear(&boxes);
        free(in.pixels);
        free(out.pixels);
    }
}

/* In a mosaic every pixel of a colour lies in a box of its class, and the middle of every box has its colour. */
static void a_mosaic_keeps_every_rectangle_in_its_box(void **state) {
    (void)state;
    AugmentOptions options = AUGMENT_DEFAULTS;
    options.mosaic = 1;
    options.minimum_side = 0;
    options.value = 10;
    size_t total = 0;
    for (uint64_t seed = 0; seed < 100; seed++) {
        Raster out = picture_new(SIDE, SIDE);
        AugmentBoxes boxes = {0};
        draw(&out, &boxes, (uint32_t)seed % PICTURES, &options, seed);
        for (size_t i = 0; i < boxes.count; i++) {
            AugmentBox b = boxes.items[i];
            if (b.x1 - b.x0 < 4 || b.y1 - b.y0 < 4) continue;
            int x = (int)((b.x0 + b.x1) / 2), y = (int)((b.y0 + b.y1) / 2);
            assert_true(has_colour(out.pixels + ((size_t)y * SIDE + x) * 3, b.class_index));
        }
        for (int at = 0; at < SIDE * SIDE; at++)
            for (int class_index = 0; class_index < PICTURES; class_index++) {
                bool covered = !has_colour(out.pixels + at * 3, class_index);
                for (size_t i = 0; i < boxes.count && !covered; i++) {
                    AugmentBox b = boxes.items[i];
                    float x = (float)(at % SIDE) + 0.5f, y = (float)(at / SIDE) + 0.5f;
                    covered = b.class_index == class_index && x > b.x0 - 1 && x < b.x1 + 1 && y > b.y0 - 1 && y < b.y1 + 1;
                }
                assert_true(covered);
            }
        total += boxes.count;
        augment_boxes_clear(&boxes);
        free(out.pixels);
    }
    assert_true(total > 100);
}

static void mixup_adds_the_boxes_of_a_second_picture(void **state) {
    (void)state;
    AugmentOptions options = AUGMENT_DEFAULTS;
    options.mosaic = options.mixup = 1;
    AugmentOptions plain = options;
    plain.mixup = 0;
    size_t with = 0, without = 0;
    Raster out = picture_new(SIDE, SIDE);
    for (uint64_t seed = 0; seed < 60; seed++) {
        AugmentBoxes boxes = {0};
        draw(&out, &boxes, 0, &options, seed);
        with += boxes.count;
        for (size_t i = 0; i < boxes.count; i++)
            assert_true(boxes.items[i].x0 >= 0 && boxes.items[i].x1 <= SIDE && boxes.items[i].y0 >= 0 && boxes.items[i].y1 <= SIDE);
        boxes.count = 0;
        draw(&out, &boxes, 0, &plain, seed);
        without += boxes.count;
        augment_boxes_clear(&boxes);
    }
    assert_true(with > without + 30);
    free(out.pixels);
}

static void the_same_seed_gives_the_same_bytes(void **state) {
    (void)state;
    AugmentOptions options = AUGMENT_DEFAULTS;
    options.mosaic = 0.7f, options.mixup = 0.5f, options.rotation = 10, options.shear = 2;
    Raster a = picture_new(SIDE, SIDE), b = picture_new(SIDE, SIDE);
    int different = 0;
    for (uint64_t seed = 0; seed < 20; seed++) {
        AugmentBoxes first = {0}, second = {0};
        draw(&a, &first, 2, &options, seed);
        draw(&b, &second, 2, &options, seed);
        assert_memory_equal(a.pixels, b.pixels, SIDE * SIDE * 3);
        assert_int_equal(first.count, second.count);
        if (first.count) assert_memory_equal(first.items, second.items, first.count * sizeof *first.items);
        draw(&b, &second, 2, &options, seed + 1000);
        different += memcmp(a.pixels, b.pixels, SIDE * SIDE * 3) != 0;
        augment_boxes_clear(&first);
        augment_boxes_clear(&second);
    }
    assert_true(different > 15);
    free(a.pixels);
    free(b.pixels);
}

static void small_and_hardly_visible_boxes_fall_out(void **state) {
    (void)state;
    AugmentOptions options = {.minimum_side = 2, .minimum_visible = 0.25f};
    AugmentBoxes boxes = {0};
    augment_boxes_add(&boxes, (AugmentBox){10, 10, 12, 30, 0});   /* side 2: not longer than the minimum */
    augment_boxes_add(&boxes, (AugmentBox){-30, 10, 9, 20, 1});   /* 9 of 39 left */
    augment_boxes_add(&boxes, (AugmentBox){-20, 10, 20, 20, 2});  /* half left */
    augment_boxes_add(&boxes, (AugmentBox){200, 200, 220, 220, 3});
    augment_clip_boxes(&boxes, 0, 100, 100, &options);
    assert_int_equal(boxes.count, 1);
    assert_same_box(boxes.items[0], (AugmentBox){0, 10, 20, 20, 2}, 0);
    augment_boxes_clear(&boxes);
}

/* Against the definition: no change leaves colours within one step, red turned by 60 of 180 is green, grey has no hue. */
static void colours_turn_as_defined(void **state) {
    (void)state;
    uint8_t pixels[4 * 3] = {0, 0, 255, 128, 128, 128, 30, 60, 200, 0, 0, 0};
    Raster p = {4, 1, pixels};
    augment_hsv(&p, 60, 0, 0);
    const uint8_t turned[4 * 3] = {0, 255, 0, 128, 128, 128, 60, 200, 30, 0, 0, 0};
    for (int i = 0; i < 9; i++) assert_in_range(pixels[i] + 1, turned[i], turned[i] + 2);
    augment_hsv(&p, -60, 0, 30);
    assert_int_equal(pixels[2], 255);
    assert_int_equal(pixels[3], 158);
    assert_int_equal(pixels[9], 30);
}

static void a_flat_matrix_gives_only_fill(void **state) {
    (void)state;
    Raster in = painted(3), out = picture_new(SIDE, SIDE);
    const AugmentMatrix flat[] = {{{0, 0, 0, 0, 0, 0}}, {{1, 1, 0, 1, 1, 0}}, {{NAN, 0, 0, 0, 1, 0}}, {{1, 0, 1e30f, 0, 1, 0}}};
    for (size_t i = 0; i < sizeof flat / sizeof *flat; i++) {
        augment_warp(&out, &in, &flat[i]);
        assert_int_equal(out.pixels[0], AUGMENT_FILL);
        assert_int_equal(out.pixels[SIDE * SIDE * 3 - 1], AUGMENT_FILL);
    }
    free(in.pixels);
    free(out.pixels);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_options_a_picture_is_letterboxed_at_the_top_left),
        cmocka_unit_test(boxes_follow_an_affine_map),
        cmocka_unit_test(boxes_enclose_what_was_turned),
        cmocka_unit_test(a_mosaic_keeps_every_rectangle_in_its_box),
        cmocka_unit_test(mixup_adds_the_boxes_of_a_second_picture),
        cmocka_unit_test(the_same_seed_gives_the_same_bytes),
        cmocka_unit_test(small_and_hardly_visible_boxes_fall_out),
        cmocka_unit_test(colours_turn_as_defined),
        cmocka_unit_test(a_flat_matrix_gives_only_fill),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
