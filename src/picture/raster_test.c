/* Scaling and turning. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "picture/raster.h"
#include "base/banned.h"

static Raster gradient(int width, int height) {
    Raster r = {width, height, malloc((size_t)(width * height * 3))};
    for (int i = 0; i < width * height; i++) r.pixels[3 * i] = (unsigned char)(i % width), r.pixels[3 * i + 1] = (unsigned char)(i / width), r.pixels[3 * i + 2] = 7;
    return r;
}

static void every_turn_is_the_one_that_exif_means(void **state) {
    (void)state;
    /* where the stored top-left pixel of a 5 x 3 picture is after the turn */
    static const int PLACES[9][2] = {{0, 0}, {0, 0}, {4, 0}, {4, 2}, {0, 2}, {0, 0}, {2, 0}, {2, 4}, {0, 4}};
    for (int orientation = 1; orientation <= 8; orientation++) {
        Raster r = gradient(5, 3);
        raster_turn(&r, orientation);
        assert_int_equal(r.width, orientation > 4 ? 3 : 5);
        assert_int_equal(r.height, orientation > 4 ? 5 : 3);
        const unsigned char *p = r.pixels + (PLACES[orientation][1] * r.width + PLACES[orientation][0]) * 3;
        if (p[0] != 0 || p[1] != 0) fail_msg("orientation %d", orientation);
        raster_clear(&r);
    }
}

static void scaling_keeps_means_and_copies_at_equal_size(void **state) {
    (void)state;
    Raster r = gradient(64, 48), same, half, point, large;
    raster_resize(&same, &r, 64, 48);
    assert_memory_equal(same.pixels, r.pixels, 64 * 48 * 3);
    raster_resize(&half, &r, 32, 24);
    assert_in_range(half.pixels[(12 * 32 + 16) * 3], 32, 33);
    raster_resize(&point, &r, 1, 1);
    assert_in_range(point.pixels[0], 30, 33);
    assert_int_equal(point.pixels[2], 7);
    raster_resize(&large, &point, 10, 10);
    assert_int_equal(large.pixels[99 * 3], point.pixels[0]);
    raster_clear(&r), raster_clear(&same), raster_clear(&half), raster_clear(&point), raster_clear(&large);
}

/* A ramp stays a ramp, whether it is made smaller or larger, and the mean stays the mean. */
static void scaling_keeps_ramps_and_means(void **state) {
    (void)state;
    const int widths[] = {31, 64, 100, 333};
    uint8_t ramp[100 * 3 * 2];
    for (int i = 0; i < 200; i++) memset(ramp + 3 * i, 2 * (i % 100) + 20, 3);
    Raster in = {100, 2, ramp};
    for (size_t k = 0; k < sizeof widths / sizeof *widths; k++) {
        Raster out;
        raster_resize(&out, &in, widths[k], 5);
        double sum = 0;
        for (int x = 0; x < out.width; x++) {
            double position = (x + 0.5) * 100 / out.width - 0.5;
            sum += out.pixels[3 * (2 * out.width + x)];
            if (position > 4 && position < 95) assert_true(fabs(out.pixels[3 * (2 * out.width + x)] - (2 * position + 20)) <= 1);
        }
        assert_true(fabs(sum / out.width - 119) < 1);
        free(out.pixels);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_turn_is_the_one_that_exif_means),
        cmocka_unit_test(scaling_keeps_means_and_copies_at_equal_size),
        cmocka_unit_test(scaling_keeps_ramps_and_means),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
