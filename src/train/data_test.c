/* The data set and its loader, on a small export that the test writes: JPEG, one of them with an EXIF rotation, a transparent PNG, a
 * BMP, and everything that must be left out with a warning. */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include <archive.h>
#include <archive_entry.h>
#include <jpeglib.h>
#include <vips/vips.h>

#include "base/arena.h"
#include "base/file.h"
#include "train/data_image.h"
#include "train/data_loader.h"

#include "base/banned.h"

typedef struct Fixture {
    Arena arena;
    char *folder;
    int warnings;
    char last_warning[500];
} Fixture;

static void count_warning(void *context, const char *file, const char *text) {
    Fixture *f = context;
    f->warnings++;
    snprintf(f->last_warning, sizeof f->last_warning, "%s: %s", file ? file : "", text);
}

static char *path_of(Fixture *f, const char *name) { return arena_printf(&f->arena, "%s/%s", f->folder, name); }

static void write_text(Fixture *f, const char *name, const char *text) {
    Error err = {0};
    char *path = path_of(f, name), *slash = strrchr(path, '/');
    assert_int_equal(file_make_directories(arena_strndup(&f->arena, path, (size_t)(slash - path)), 0755, &err), STATUS_OK);
    assert_int_equal(file_write_atomic(path, text, strlen(text), 0644, &err), STATUS_OK);
}

/* Left half red, right half blue; orientation 6 is "turn a quarter clockwise to show". */
static void write_jpeg(Fixture *f, const char *name, unsigned width, unsigned height, unsigned orientation) {
    char *path = path_of(f, name), *slash = strrchr(path, '/');
    assert_int_equal(file_make_directories(arena_strndup(&f->arena, path, (size_t)(slash - path)), 0755, NULL), STATUS_OK);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    struct jpeg_compress_struct info;
    struct jpeg_error_mgr manager;
    info.err = jpeg_std_error(&manager);
    jpeg_create_compress(&info);
    jpeg_stdio_dest(&info, file);
    info.image_width = width;
    info.image_height = height;
    info.input_components = 3;
    info.in_color_space = JCS_RGB;
    jpeg_set_defaults(&info);
    jpeg_set_quality(&info, 95, TRUE);
    jpeg_start_compress(&info, TRUE);
    const uint8_t exif[] = {'E', 'x', 'i', 'f', 0, 0, 'I', 'I', 42, 0, 8, 0, 0, 0, 1, 0, 0x12, 1, 3, 0, 1, 0, 0, 0,
                            (uint8_t)orientation, 0, 0, 0, 0, 0, 0, 0};
    if (orientation > 1) jpeg_write_marker(&info, JPEG_APP0 + 1, exif, sizeof exif);
    uint8_t *row = xcalloc(width, 3);
    for (unsigned x = 0; x < width; x++) row[3 * x + (x < width / 2 ? 0 : 2)] = 255;
    while (info.next_scanline < height) {
        JSAMPROW rows[] = {row};
        jpeg_write_scanlines(&info, rows, 1);
    }
    jpeg_finish_compress(&info);
    jpeg_destroy_compress(&info);
    free(row);
    fclose(file);
}

/* Green, the lower half transparent. */
static void write_png(Fixture *f, const char *name, int width, int height) {
    uint8_t *pixels = xcalloc((size_t)width * (size_t)height, 4);
    for (int i = 0; i < width * height; i++) {
        pixels[4 * i + 1] = 255;
        pixels[4 * i + 3] = i < width * height / 2 ? 255 : 0;
    }
    VipsImage *image = vips_image_new_from_memory(pixels, (size_t)width * (size_t)height * 4, width, height, 4, VIPS_FORMAT_UCHAR);
    image->Type = VIPS_INTERPRETATION_sRGB;
    assert_int_equal(vips_image_write_to_file(image, path_of(f, name), NULL), 0);
    g_object_unref(image);
    free(pixels);
}

/* Two pixels, blue over red (rows run upwards), 24 bits each. */
static void write_bmp(Fixture *f, const char *name) {
    const uint8_t bytes[62] = {'B', 'M', 62, 0, 0, 0, 0, 0, 0, 0, 54, 0, 0, 0, 40, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 24, 0,
                               [54] = 0, 0, 255, 0, 255, 0, 0, 0};
    assert_int_equal(file_write_atomic(path_of(f, name), bytes, sizeof bytes, 0644, NULL), STATUS_OK);
}

static void write_labels(Fixture *f, const char *folder, const char *filename, const char *facts, const char *annotations) {
    const char *name = arena_printf(&f->arena, "annotations/%s%s%s.json", folder, *folder ? "/" : "", filename);
    write_text(f, name, arena_printf(&f->arena, "{%s \"folder\": \"/%s\", \"filename\": \"%s\", \"annotations\": [%s]}", facts, folder,
                                     filename, annotations));
}

static int set_up(void **state) {
    Fixture *f = xcalloc(1, sizeof *f);
    arena_init(&f->arena, 16 << 20);
    char pattern[] = "/tmp/train-data-XXXXXX";
    f->folder = arena_strdup(&f->arena, mkdtemp(pattern));
    write_text(f, "dataset.json", "{\"format\": \"pictograph\", \"version\": 1, \"name\": \"cells\","
               " \"classes\": [{\"name\": \"red\", \"type\": \"bbox\"}, {\"name\": \"blue\", \"type\": \"polygon\"}]}");
    write_jpeg(f, "images/a/one.jpg", 640, 480, 1);
    write_jpeg(f, "images/b/turned.jpg", 320, 200, 6);
    write_png(f, "images/clear.png", 40, 60);
    write_bmp(f, "images/tiny.bmp");
    write_jpeg(f, "images/unlabelled.jpg", 64, 64, 1);
    write_text(f, "images/broken.jpg", "\xff\xd8\xff this is no picture");
    write_labels(f, "a", "one.jpg", "\"width\": 640, \"height\": 480,",
                 "{\"id\": \"1\", \"name\": \"red\", \"type\": \"bbox\", \"bounding_box\": {\"x\": 0, \"y\": 0, \"w\": 320, \"h\": 480}},"
                 "{\"id\": \"2\", \"name\": \"blue\", \"type\": \"polygon\", \"polygon\": {\"paths\": [[{\"x\": 320, \"y\": 10},"
                 " {\"x\": 700, \"y\": 10}, {\"x\": 400, \"y\": 300}], [{\"x\": 330, \"y\": 20}, {\"x\": 331, \"y\": 20},"
                 " {\"x\": 330, \"y\": 21}]]}},"
                 "{\"id\": \"3\", \"name\": \"red\", \"type\": \"bbox\", \"bounding_box\": {\"x\": 5, \"y\": 5, \"w\": 0, \"h\": 9}},"
                 "{\"id\": \"4\", \"name\": \"red\", \"type\": \"bbox\", \"bounding_box\": {\"x\": 650, \"y\": 5, \"w\": 9, \"h\": 9}},"
                 "{\"id\": \"5\", \"name\": \"red\", \"type\": \"keypoint\", \"keypoint\": {\"x\": 1, \"y\": 2}},"
                 "{\"id\": \"6\", \"name\": \"red\", \"type\": \"bbox\"}");
    write_labels(f, "b", "turned.jpg", "", "{\"id\": \"1\", \"name\": \"red\", \"type\": \"bbox\","
                 " \"bounding_box\": {\"x\": 0, \"y\": 0, \"w\": 200, \"h\": 160}}");
    write_labels(f, "", "clear.png", "", "");
    write_labels(f, "", "tiny.bmp", "", "");
    write_labels(f, "", "broken.jpg", "\"width\": 10, \"height\": 10,", "");
    write_labels(f, "", "missing.jpg", "\"width\": 10, \"height\": 10,", "");
    write_text(f, "annotations/garbage.jpg.json", "{\"width\": 10, ");
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    Fixture *f = *state;
    file_remove_tree(f->folder, NULL);
    arena_clear(&f->arena);
    free(f);
    return 0;
}

static TrainDataset *open_dataset(Fixture *f) {
    Error err = {0};
    TrainDataset *dataset = NULL;
    f->warnings = 0;
    if (train_dataset_open(&dataset, f->folder, NULL, count_warning, f, &err)) fail_msg("%s", err.message);
    return dataset;
}

static void assert_pixel(Raster p, int x, int y, int blue, int green, int red) {
    const uint8_t *pixel = p.pixels + ((size_t)y * (size_t)p.width + (size_t)x) * 3;
    assert_true(abs(pixel[0] - blue) < 12 && abs(pixel[1] - green) < 12 && abs(pixel[2] - red) < 12);
}

static void an_export_is_read_and_what_is_wrong_is_named(void **state) {
    Fixture *f = *state;
    TrainDataset *d = open_dataset(f);
    assert_string_equal(d->name, "cells");
    assert_int_equal(d->class_count, 2);
    assert_int_equal(d->image_count, 5);
    assert_string_equal(d->images[0].name, "a/one.jpg");
    assert_string_equal(d->images[1].name, "b/turned.jpg");
    assert_int_equal(d->images[0].box_count, 2);
    const AugmentBox polygon = d->images[0].boxes[1];
    assert_true(polygon.x0 == 320 && polygon.y0 == 10 && polygon.x1 == 640 && polygon.y1 == 300 && polygon.class_index == 1);
    assert_int_equal(d->images[1].width, 200); /* after rotation, from the file itself */
    assert_int_equal(d->images[1].height, 320);
    assert_int_equal(f->warnings, 5); /* three boxes, a missing picture, a file that is no JSON */
    train_dataset_free(d);
}

static void pictures_are_decoded_to_fit(void **state) {
    Fixture *f = *state;
    Error err = {0};
    float scale;
    Raster p;
    assert_int_equal(train_image_decode(&p, &scale, path_of(f, "images/a/one.jpg"), 256, 256, &err), STATUS_OK);
    assert_int_equal(p.width, 256);
    assert_int_equal(p.height, 192);
    assert_true(fabsf(scale - 0.4f) < 1e-6f);
    assert_pixel(p, 60, 100, 0, 0, 255);
    assert_pixel(p, 200, 100, 255, 0, 0);
    free(p.pixels);
    assert_int_equal(train_image_decode(&p, &scale, path_of(f, "images/b/turned.jpg"), 128, 128, &err), STATUS_OK);
    assert_int_equal(p.width, 80);
    assert_int_equal(p.height, 128);
    assert_pixel(p, 40, 20, 0, 0, 255); /* the left half has come to the top */
    assert_pixel(p, 40, 110, 255, 0, 0);
    free(p.pixels);
    assert_int_equal(train_image_decode(&p, &scale, path_of(f, "images/clear.png"), 120, 120, &err), STATUS_OK);
    assert_int_equal(p.height, 120);
    assert_pixel(p, 40, 20, 0, 255, 0);
    assert_pixel(p, 40, 100, 255, 255, 255);
    free(p.pixels);
    assert_int_equal(train_image_decode(&p, &scale, path_of(f, "images/tiny.bmp"), 64, 64, &err), STATUS_OK);
    assert_int_equal(p.width, 32);
    assert_pixel(p, 16, 5, 255, 0, 0);
    assert_pixel(p, 16, 60, 0, 0, 255);
    free(p.pixels);
    assert_int_equal(train_image_decode(&p, &scale, path_of(f, "images/broken.jpg"), 64, 64, &err), STATUS_UNDECODABLE_MEDIA);
    assert_int_equal(train_image_decode(&p, &scale, path_of(f, "dataset.json"), 64, 64, &err), STATUS_UNDECODABLE_MEDIA);
}

static void a_split_is_stable_and_leaves_both_sides_something(void **state) {
    Fixture *f = *state;
    TrainDataset *d = open_dataset(f);
    const double fractions[] = {0, 0.0001, 0.5, 1};
    for (size_t i = 0; i < 4; i++) {
        uint32_t *train, *held;
        size_t train_count, held_count;
        train_dataset_split(d, fractions[i], &train, &train_count, &held, &held_count);
        assert_int_equal(train_count + held_count, d->image_count);
        assert_true(train_count >= 1);
        assert_int_equal(held_count > 0, fractions[i] > 0);
        free(train);
        free(held);
    }
    train_dataset_free(d);
}

static TrainLoader *open_loader(TrainDataset *d, TrainCache *cache, const uint32_t *indexes, size_t count, const TrainLoaderOptions *options) {
    TrainLoader *loader;
    assert_int_equal(train_loader_new(&loader, d, cache, indexes, count, options, NULL), STATUS_OK);
    return loader;
}

/* Everything of a run in one array: what must not depend on threads, cache or timing. */
static size_t collect(TrainDataset *d, int threads, size_t cache_limit, TrainPixels pixels, uint64_t seed, uint8_t **out) {
    TrainCache *cache = train_cache_new(d, 64, 64, cache_limit);
    uint32_t indexes[] = {0, 1, 2};
    TrainLoaderOptions o = TRAIN_LOADER_DEFAULTS;
    o.width = o.height = 64, o.batch = 2, o.threads = threads, o.epochs = 6, o.closing_epochs = 2, o.shuffle = true;
    o.pixels = pixels, o.seed = seed, o.augment = (AugmentOptions)AUGMENT_DEFAULTS;
    TrainLoader *loader = open_loader(d, cache, indexes, 3, &o);
    assert_int_equal(train_loader_batches_per_epoch(loader), 2);
    size_t size = 0, value = pixels >= TRAIN_PIXELS_F32_NCHW ? 4 : 1;
    int number = 0;
    TrainBatch *b;
    *out = NULL;
    for (; (b = train_loader_next(loader)) != NULL; number++) {
        assert_int_equal(b->epoch, number / 2);
        assert_int_equal(b->index, number % 2);
        assert_int_equal(b->count, number % 2 ? 1 : 2);
        size_t images = (size_t)b->count * 3 * 64 * 64 * value, targets = (size_t)b->count * (size_t)b->max_boxes * 5 * sizeof(float);
        *out = xrealloc(*out, size + images + targets);
        memcpy(*out + size, b->images, images);
        memcpy(*out + size + images, b->targets, targets);
        size += images + targets;
        train_batch_release(loader, b);
    }
    assert_int_equal(number, 12);
    train_loader_free(loader);
    train_cache_free(cache);
    return size;
}

static void batches_do_not_depend_on_threads_or_cache(void **state) {
    Fixture *f = *state;
    TrainDataset *d = open_dataset(f);
    uint8_t *one, *other;
    size_t size = collect(d, 1, 1 << 20, TRAIN_PIXELS_U8_NHWC, 7, &one);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(collect(d, 3, i ? (size_t)i * 8000 : 0, TRAIN_PIXELS_U8_NHWC, 7, &other), size);
        assert_memory_equal(one, other, size);
        free(other);
    }
    assert_true(collect(d, 2, 1 << 20, TRAIN_PIXELS_U8_NHWC, 8, &other) != size || memcmp(one, other, size));
    free(one);
    free(other);
    train_dataset_free(d);
}

/* A picture that is only letterboxed: the boxes, the fill and all four layouts. */
static void a_plain_batch_holds_letterboxed_pictures(void **state) {
    Fixture *f = *state;
    TrainDataset *d = open_dataset(f);
    TrainCache *cache = train_cache_new(d, 64, 64, 1 << 20);
    uint32_t indexes[] = {0};
    for (int pixels = TRAIN_PIXELS_U8_NCHW; pixels <= TRAIN_PIXELS_F32_NHWC; pixels++) {
        TrainLoaderOptions o = TRAIN_LOADER_DEFAULTS;
        o.width = o.height = 64, o.batch = 4, o.pixels = (TrainPixels)pixels;
        TrainLoader *loader = open_loader(d, cache, indexes, 1, &o);
        TrainBatch *b = train_loader_next(loader);
        assert_int_equal(b->count, 1);
        assert_int_equal(b->max_boxes, 2);
        const float first[] = {0, 16, 24, 32, 48};
        for (int i = 0; i < 5; i++) assert_true(fabsf(b->targets[i] - first[i]) < 1e-4f);
        assert_true(fabsf(b->scales[0] - 0.1f) < 1e-6f);
        bool planar = pixels == TRAIN_PIXELS_U8_NCHW || pixels == TRAIN_PIXELS_F32_NCHW, floating = pixels >= TRAIN_PIXELS_F32_NCHW;
        for (int c = 0; c < 3; c++) {
            int inside = 20 * 64 + 10, below = 60 * 64 + 10;
            int at = planar ? c * 4096 + inside : 3 * inside + c, at_fill = planar ? c * 4096 + below : 3 * below + c;
            float value = floating ? ((float *)b->images)[at] : ((uint8_t *)b->images)[at];
            float fill = floating ? ((float *)b->images)[at_fill] : ((uint8_t *)b->images)[at_fill];
            assert_true(fabsf(value - (c == 2 ? 255.0f : 0.0f)) < 12 && fill == AUGMENT_FILL);
        }
        train_batch_release(loader, b);
        assert_null(train_loader_next(loader));
        train_loader_free(loader);
    }
    train_cache_free(cache);
    train_dataset_free(d);
}

static void a_broken_picture_is_warned_of_once_and_empty(void **state) {
    Fixture *f = *state;
    TrainDataset *d = open_dataset(f);
    assert_string_equal(d->images[2].name, "broken.jpg");
    TrainCache *cache = train_cache_new(d, 64, 64, 0);
    f->warnings = 0;
    for (int i = 0; i < 3; i++) {
        float scale;
        Raster p = train_cache_get(cache, 2, &scale);
        assert_true(scale == 0 && p.width == 1 && p.pixels[0] == AUGMENT_FILL);
        train_cache_give_back(cache, 2, p);
    }
    assert_int_equal(f->warnings, 1);
    assert_non_null(strstr(f->last_warning, "broken.jpg"));
    train_cache_free(cache);
    train_dataset_free(d);
}

static void a_loader_may_be_left_in_the_middle(void **state) {
    Fixture *f = *state;
    TrainDataset *d = open_dataset(f);
    TrainCache *cache = train_cache_new(d, 64, 64, 0);
    uint32_t indexes[] = {0, 1, 2};
    TrainLoaderOptions o = TRAIN_LOADER_DEFAULTS;
    o.width = o.height = 64, o.batch = 1, o.threads = 3, o.ahead = 2, o.epochs = 1000;
    TrainLoader *loader = open_loader(d, cache, indexes, 3, &o);
    train_batch_release(loader, train_loader_next(loader));
    train_loader_free(loader);
    train_cache_free(cache);
    train_dataset_free(d);
}

static void no_thread_is_a_failure(void **state) {
    Fixture *f = *state;
    TrainDataset *d = open_dataset(f);
    TrainCache *cache = train_cache_new(d, 64, 64, 0);
    TrainLoaderOptions o = TRAIN_LOADER_DEFAULTS;
    TrainLoader *loader;
    Error err = {0};
    pthread_attr_t usual, enormous; /* a stack that no address space holds */
    assert_int_equal(pthread_getattr_default_np(&usual), 0);
    enormous = usual;
    assert_int_equal(pthread_attr_setstacksize(&enormous, (size_t)1 << 50), 0);
    assert_int_equal(pthread_setattr_default_np(&enormous), 0);
    assert_int_equal(train_loader_new(&loader, d, cache, (const uint32_t[]){0}, 1, &o, &err), STATUS_IO);
    assert_int_equal(pthread_setattr_default_np(&usual), 0);
    assert_null(loader);
    assert_non_null(strstr(err.message, "No thread"));
    train_cache_free(cache);
    train_dataset_free(d);
}

/* The same data set as a zip; what a hostile one may hold is the affair of src/formats. */
static void an_archive_is_unpacked_and_read(void **state) {
    Fixture *f = *state;
    const char *names[] = {"dataset.json", "annotations/a/one.jpg.json", "images/a/one.jpg"};
    struct archive *zip = archive_write_new();
    archive_write_set_format_zip(zip);
    assert_int_equal(archive_write_open_filename(zip, path_of(f, "export.zip")), ARCHIVE_OK);
    for (size_t i = 0; i < 3; i++) {
        Buffer bytes;
        buffer_init(&bytes, 1 << 20);
        assert_int_equal(file_read(path_of(f, names[i]), &bytes, NULL), STATUS_OK);
        struct archive_entry *entry = archive_entry_new();
        archive_entry_set_pathname(entry, names[i]);
        archive_entry_set_filetype(entry, AE_IFREG);
        archive_entry_set_perm(entry, 0644);
        archive_entry_set_size(entry, (int64_t)bytes.size);
        assert_int_equal(archive_write_header(zip, entry), ARCHIVE_OK);
        archive_write_data(zip, bytes.data, bytes.size);
        archive_entry_free(entry);
        buffer_clear(&bytes);
    }
    archive_write_free(zip);
    for (int run = 0; run < 2; run++) { /* a second run finds what the first one unpacked */
        TrainDataset *d = NULL;
        Error err = {0};
        assert_int_equal(train_dataset_open(&d, path_of(f, "export.zip"), path_of(f, "work"), NULL, NULL, &err), STATUS_OK);
        assert_int_equal(d->image_count, 1);
        assert_int_equal(d->box_count, 2);
        assert_true(file_exists(d->images[0].path));
        train_dataset_free(d);
    }
}

static void what_is_no_data_set_is_refused(void **state) {
    Fixture *f = *state;
    TrainDataset *d = NULL;
    Error err = {0};
    write_text(f, "text.zip", "this is no archive, whatever its name says");
    write_text(f, "nothing/readme.txt", "no labels here");
    assert_int_equal(train_dataset_open(&d, path_of(f, "nowhere"), NULL, NULL, NULL, &err), STATUS_NOT_FOUND);
    assert_int_equal(train_dataset_open(&d, path_of(f, "nothing"), NULL, NULL, NULL, &err), STATUS_VALIDATION_ERROR);
    assert_int_not_equal(train_dataset_open(&d, path_of(f, "text.zip"), path_of(f, "work"), NULL, NULL, &err), STATUS_OK);
    assert_int_not_equal(train_dataset_open(&d, path_of(f, "export.zip"), NULL, NULL, NULL, &err), STATUS_OK);
    assert_null(d);
}

int main(int argc, char **argv) {
    (void)argc;
    Error err = {0};
    if (train_images_init(argv[0], &err)) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_export_is_read_and_what_is_wrong_is_named),
        cmocka_unit_test(pictures_are_decoded_to_fit),
        cmocka_unit_test(a_split_is_stable_and_leaves_both_sides_something),
        cmocka_unit_test(batches_do_not_depend_on_threads_or_cache),
        cmocka_unit_test(a_plain_batch_holds_letterboxed_pictures),
        cmocka_unit_test(a_broken_picture_is_warned_of_once_and_empty),
        cmocka_unit_test(no_thread_is_a_failure),
        cmocka_unit_test(a_loader_may_be_left_in_the_middle),
        cmocka_unit_test(an_archive_is_unpacked_and_read),
        cmocka_unit_test(what_is_no_data_set_is_refused),
    };
    int failed = cmocka_run_group_tests(tests, set_up, tear_down);
    vips_shutdown();
    return failed;
}
