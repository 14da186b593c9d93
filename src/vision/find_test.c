/* What words mean, how a generalised-focal-loss output is read, where the middle of a shape runs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include "vision/centre_line.h"
#include "vision/found_cache.h"
#include "vision/gfl.h"
#include "vision/words.h"
#include "base/banned.h"

/* ---- words ---- */

static const char *const NAMES[] = {(char[]){"person"}, (char[]){"wine glass"}, (char[]){"bus"}, (char[]){"knife"}, (char[]){"sheep"}, (char[]){"skis"}, (char[]){"mouse"},
                              (char[]){"scissors"}, (char[]){"Person"}, (char[]){"cherry"}, (char[]){"Traffic_Light"}, (char[]){"Äpfel"}, (char[]){"tv"}};
enum { NAME_COUNT = sizeof NAMES / sizeof *NAMES };

static void words_mean_classes(void **state) {
    (void)state;
    static const struct {
        const char *phrase, *meant;
    } CASES[] = {
        {"person", "person"}, {"Person", "Person"}, {"PEOPLE", "person"}, {"persons", "person"}, {"the humans", "person"}, {"all  Women ", "person"}, {"kids.", "person"},
        {"wine glasses", "wine glass"}, {"a wine-glass", "wine glass"}, {"wineglasses", "wine glass"}, {"buses", "bus"}, {"coaches", "bus"}, {"bus", "bus"},
        {"knives", "knife"}, {"sheep", "sheep"}, {"ski", "skis"}, {"skis", "skis"}, {"mice", "mouse"}, {"a pair of scissors", "scissors"}, {"scissors", "scissors"},
        {"cherries", "cherry"}, {"traffic lights", "Traffic_Light"}, {"stoplight", "Traffic_Light"}, {"Äpfel", "Äpfel"}, {"televisions", "tv"}, {"TVs", "tv"},
        {"", NULL}, {"   ", NULL}, {"the", NULL}, {"s", NULL}, {"es", NULL}, {"perso", NULL}, {"wine", NULL}, {"glass", NULL}, {"unicorn", NULL}, {"\xc3\xa4pfel", NULL},
        {"a a person", NULL}, {"cat", NULL}, {"kittens", NULL},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        int found = words_find(NAMES, NAME_COUNT, CASES[i].phrase);
        const char *name = found < 0 ? NULL : NAMES[found];
        if ((name == NULL) != (CASES[i].meant == NULL) || (name && strcmp(name, CASES[i].meant) != 0))
            fail_msg("'%s' means %s, not %s", CASES[i].phrase, CASES[i].meant ? CASES[i].meant : "nothing", name ? name : "nothing");
    }
}

static void long_phrases_mean_nothing(void **state) {
    (void)state;
    char phrase[5000];
    memset(phrase, 's', sizeof phrase);
    for (size_t length = WORDS_MAX - 2; length < sizeof phrase; length += length < WORDS_MAX + 10 ? 1 : 997) {
        phrase[length] = '\0';
        assert_int_equal(words_find(NAMES, NAME_COUNT, phrase), -1);
        phrase[length] = 's';
    }
}

/* ---- gfl ---- */

static void rows_become_boxes(void **state) {
    (void)state;
    const GflHead head = {.width = 32, .height = 16, .classes = 2, .bins = 4, .strides = {8, 16}, .stride_count = 2};
    assert_int_equal(gfl_rows(&head), 4 * 2 + 2 * 1);
    assert_int_equal(gfl_columns(&head), 18);
    float rows[10 * 18] = {0};
    float *second = rows + 6 * 18; /* stride 8, second row, third cell: the point (20, 12) */
    second[0] = 0.75f, second[1] = 0.5f;
    for (int edge = 0; edge < 4; edge++) second[2 + 4 * edge + 1] = 100; /* all of it at distance 1 */
    float *last = rows + 9 * 18; /* stride 16, the point (24, 8); logits all equal: the mean of 0 … 3 */
    last[1] = 0.9f;
    rows[0] = NAN;
    Detection found[8];
    size_t count = gfl_read(&head, rows, 0.3, 0.5, (Box){0, 0, 64, 32}, found, 8);
    assert_int_equal(count, 3);
    assert_true(found[0].class_index == 0 && found[1].class_index == 1 && found[2].class_index == 1);
    assert_true(found[0].box.x == 24 && found[0].box.y == 8 && found[0].box.w == 32 && found[0].box.h == 24 - 0); /* 12 … 28 and 4 … 20, doubled and clipped to 32 */
    assert_true(found[2].box.x == 0 && found[2].box.y == 0 && found[2].box.w == 64 && found[2].box.h == 32);
    assert_int_equal(gfl_read(&head, rows, 0.3, 0.5, (Box){0, 0, 64, 32}, found, 2), 2);
}

/* ---- centre line ---- */

static Ring line_of(Arena *arena, const double (*points)[2], size_t count) {
    Polygon shape = {.rings = arena_new(arena, Ring), .count = 1};
    shape.rings[0] = (Ring){arena_new_array(arena, Point, count), count};
    for (size_t i = 0; i < count; i++) shape.rings[0].points[i] = (Point){points[i][0], points[i][1]};
    Ring line = {0};
    assert_true(centre_line(arena, &shape, &line));
    assert_true(line.count >= 2);
    return line;
}

static bool near(Point p, double x, double y, double reach) { return hypot(p.x - x, p.y - y) <= reach; }

static void a_bar_has_its_middle_for_a_line(void **state) {
    (void)state;
    Arena arena;
    arena_init(&arena, SIZE_MAX);
    Ring line = line_of(&arena, (const double[][2]){{100, 50}, {500, 50}, {500, 90}, {100, 90}}, 4);
    Point a = line.points[0], b = line.points[line.count - 1];
    if (a.x > b.x) a = line.points[line.count - 1], b = line.points[0];
    assert_true(near(a, 100, 70, 8) && near(b, 500, 70, 8));
    for (size_t i = 0; i < line.count; i++) assert_true(fabs(line.points[i].y - 70) < 8);
    arena_clear(&arena);
}

static void the_line_of_a_bend_goes_around_it(void **state) {
    (void)state;
    Arena arena;
    arena_init(&arena, SIZE_MAX);
    Ring line = line_of(&arena, (const double[][2]){{0, 0}, {200, 0}, {200, 30}, {30, 30}, {30, 200}, {0, 200}}, 6);
    assert_true(line.count >= 3);
    double nearest = 1e9;
    for (size_t i = 0; i < line.count; i++) nearest = fmin(nearest, hypot(line.points[i].x - 18, line.points[i].y - 18));
    assert_true(nearest < 14);
    Point a = line.points[0], b = line.points[line.count - 1];
    assert_true((near(a, 200, 15, 10) && near(b, 15, 200, 10)) || (near(b, 200, 15, 10) && near(a, 15, 200, 10)));
    arena_clear(&arena);
}

static void small_and_empty_shapes(void **state) {
    (void)state;
    Arena arena;
    arena_init(&arena, SIZE_MAX);
    Ring dot = line_of(&arena, (const double[][2]){{5, 5}, {5.4, 5}, {5.4, 5.2}, {5, 5.2}}, 4);
    assert_int_equal(dot.count, 2);
    Ring hair = line_of(&arena, (const double[][2]){{0, 0}, {3000, 0}, {3000, 1}, {0, 1}}, 4);
    assert_true(fabs(hair.points[0].x - hair.points[hair.count - 1].x) > 2900);
    Ring line;
    assert_false(centre_line(&arena, &(Polygon){0}, &line));
    arena_clear(&arena);
}

/* ---- cache ---- */

static void the_latest_pictures_are_kept(void **state) {
    (void)state;
    FoundCache *cache = found_cache_new();
    Detection one = {.box = {1, 2, 3, 4}, .class_index = 7, .confidence = 0.5};
    size_t count = 99;
    found_cache_put(cache, "first", 1, &one, 1);
    found_cache_put(cache, "none", 1, NULL, 0);
    assert_null(found_cache_get(cache, "first", 2, &count)); /* another detector's */
    assert_non_null(found_cache_get(cache, "none", 1, &count));
    assert_int_equal(count, 0);
    for (int i = 0; i < FOUND_CACHE_PICTURES - 1; i++) {
        char key[2] = {(char)('0' + i), '\0'};
        assert_non_null(found_cache_get(cache, "first", 1, &count));
        found_cache_put(cache, key, 1, &one, 1);
    }
    const Detection *kept = found_cache_get(cache, "first", 1, &count);
    assert_true(kept && count == 1 && kept->class_index == 7);
    assert_null(found_cache_get(cache, "none", 1, &count));
    found_cache_free(cache);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_mean_classes),
        cmocka_unit_test(long_phrases_mean_nothing),
        cmocka_unit_test(rows_become_boxes),
        cmocka_unit_test(a_bar_has_its_middle_for_a_line),
        cmocka_unit_test(the_line_of_a_bend_goes_around_it),
        cmocka_unit_test(small_and_empty_shapes),
        cmocka_unit_test(the_latest_pictures_are_kept),
    };
    return cmocka_run_group_tests_name("find", tests, NULL, NULL);
}
