/* Units of the writers and of zips: what goes out comes back, losses are told, equal data is equal bytes, hostile archives are refused. */
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include "base/hash.h"
#include "base/text.h"
#include "formats/test_damage.h"
#include "formats/test_data.h"
#include "formats/unpack.h"
#include "formats/zip_format.h"
#include "formats/zip_writer.h"
#include "base/banned.h"

/* ---- a small dataset with everything in it ---- */

static DatasetClass CLASSES[] = {{"car", "bbox", "#ff0000"}, {"Stra\xc3\x9f" "e <&>", "polygon", NULL}};
#define RING(...) {(Point[]){__VA_ARGS__}, sizeof((Point[]){__VA_ARGS__}) / sizeof(Point)}
static Ring OUTLINE_AND_HOLE[] = {RING({10, 10}, {50, 10}, {50, 50}, {10, 50}), RING({20, 20}, {30, 20}, {30, 30}, {20, 30})};
static Ring TWO_PARTS[] = {RING({0, 0}, {8, 0}, {8, 8}), RING({20, 0}, {28, 0}, {28, 8})};
static Ring LINE = RING({1, 1}, {9, 9});

static Annotation FIRST[] = {
    {.id = "1", .name = "car", .type = ANNOTATION_BBOX, .bounding_box = {10.5, 20, 30, 40.25}, .confidence = 1},
    {.id = "2", .name = "Stra\xc3\x9f" "e <&>", .type = ANNOTATION_POLYGON, .bounding_box = {10, 10, 40, 40}, .polygon = {OUTLINE_AND_HOLE, 2}, .confidence = 0.5},
    {.id = "3", .name = "car", .type = ANNOTATION_POLYGON, .bounding_box = {0, 0, 28, 8}, .polygon = {TWO_PARTS, 2}, .confidence = 1},
    {.id = "4", .name = "car", .type = ANNOTATION_POLYLINE, .bounding_box = {1, 1, 8, 8}, .path = {0}, .confidence = 1},
    {.id = "5", .name = "car", .type = ANNOTATION_KEYPOINT, .keypoint = {3, 4}, .confidence = 1, .attributes = "[1]"},
    {.id = "6", .name = "unheard of", .type = ANNOTATION_BBOX, .bounding_box = {1, 1, 8, 8}, .confidence = 1},
};
static Annotation BOXES[] = {
    {.id = "1", .name = "car", .type = ANNOTATION_BBOX, .bounding_box = {-5, 20, 30, 40}, .confidence = 1},
    {.id = "2", .name = "car", .type = ANNOTATION_BBOX, .bounding_box = {90, 70, 10, 10}, .confidence = 1},
};

typedef struct Images {
    DatasetImage items[20];
    size_t count, next;
} Images;

static Status next(void *context, bool with_annotations, DatasetImage *out, bool *more, Error *err) {
    Images *images = context;
    (void)err;
    *more = images->next < images->count;
    if (*more) *out = images->items[images->next++];
    if (!with_annotations) out->annotations = (AnnotationList){0};
    return STATUS_OK;
}

static Status rewind_images(void *context, Error *err) {
    (void)err;
    ((Images *)context)->next = 0;
    return STATUS_OK;
}

/* Four images with pixels; the shapes only when asked, so that YOLO has a dataset of boxes as well. */
static Images images_of(bool shapes) {
    static const char *const FILES[] = {"a.png", "a.jpg", "\xe6\x97\xa5.png", "a.png"};
    static const char *const FOLDERS[] = {"/", "/", "/x/y", "/x"};
    Images images = {.count = 4};
    FIRST[3].path = LINE;
    for (size_t i = 0; i < 4; i++) {
        char *name = arena_printf(&t.arena, "src/%zu.png", i);
        test_image(&t, name, 100, 80);
        images.items[i] = (DatasetImage){.id = "i", .folder = FOLDERS[i], .filename = FILES[i], .width = 100, .height = 80, .status = "complete", .path = test_path(&t, name)};
    }
    images.items[0].annotations = shapes ? (AnnotationList){FIRST, 6, 0} : (AnnotationList){BOXES, 1, 0};
    images.items[1].annotations = (AnnotationList){BOXES, 2, 0};
    return images;
}

static DatasetWritten write_images(Images *images, const char *format, const char *name) {
    DatasetInfo info = {.name = "test", .classes = CLASSES, .class_count = 2, .include_images = true};
    DatasetWritten written;
    images->next = 0;
    Status status = dataset_write(dataset_format_find(format), &info, &(DatasetSource){images, next, rewind_images}, test_path(&t, name), &written, &t.err);
    assert_string_equal(t.err.message, "");
    assert_int_equal(status, STATUS_OK);
    return written;
}

static size_t lost(const DatasetWritten *written, const char *kind) {
    for (size_t i = 0; i < written->loss_count; i++) {
        if (text_equal(written->losses[i].kind, kind)) return written->losses[i].count;
    }
    return 0;
}

static void pictograph_keeps_everything(void **state) {
    (void)state;
    Images images = images_of(true);
    DatasetWritten written = write_images(&images, "pictograph", "p.zip");
    assert_int_equal(written.images, 4);
    assert_int_equal(written.annotations, 7);
    assert_int_equal(written.files, 10);
    assert_int_equal(written.loss_count, 1);
    assert_int_equal(lost(&written, "unknown_class"), 1);
    assert_string_equal(test_read(&t, "p.zip"),
                        "pictograph\n"
                        "/ a.jpg 100x80 none: 1 car bbox -5,20,30,40; 2 car bbox 90,70,10,10\n"
                        "/ a.png 100x80 none: 1 car bbox 10.5,20,30,40.25; 2 Stra\xc3\x9f" "e <&> polygon 10,10,40,40 (4+4); 3 car polygon 0,0,28,8 (3+3); "
                        "4 car polyline 1,1,8,8; 5 car keypoint 0,0,0,0\n"
                        "/x a.png 100x80 none:\n"
                        "/x/y \xe6\x97\xa5.png 100x80 none:\n");
    assert_string_equal(t.report.name, "test");
    assert_int_equal(t.report.class_count, 2);
    assert_string_equal(t.report.classes[0].color, "#ff0000");
}

static void coco_keeps_shapes(void **state) {
    (void)state;
    Images images = images_of(true);
    DatasetWritten written = write_images(&images, "coco", "c.zip");
    assert_int_equal(written.annotations, 5);
    assert_int_equal(lost(&written, "holes_as_rle"), 1);
    assert_int_equal(lost(&written, "keypoints_left_out"), 1);
    assert_int_equal(lost(&written, "polylines_left_out"), 1);
    assert_string_equal(test_read(&t, "c.zip"),
                        "coco\n"
                        "/ a.png 100x80 none: 1 car bbox 10.5,20,30,40.25; 2 Stra\xc3\x9f" "e <&> polygon 10,10,40,40 (4+4); 3 car polygon 0,0,28,8 (3+3)\n"
                        "/ a.jpg 100x80 none: 4 car bbox 0,20,25,40; 5 car bbox 90,70,10,10\n"
                        "/x/y \xe6\x97\xa5.png 100x80 none:\n"
                        "/x a.png 100x80 none:\n"
                        "! annotations/instances.json: a.jpg, annotation 4 (car): box reaches 5 pixels out of the image; cut\n");
}

static UnpackLimits limits_of(uint64_t entries, uint64_t bytes, uint64_t ratio) {
    return (UnpackLimits){.max_entries = entries, .max_bytes = bytes, .max_ratio = ratio};
}

/* A zip as a tree, images unpacked; the caller closes it. */
static Status unpack(const char *path, UnpackLimits limits, Tree *tree) {
    char *folder = test_path(&t, "into");
    file_remove_tree(folder, NULL);
    file_make_directories(folder, 0700, NULL);
    Status status = tree_begin(tree, folder, &t.err);
    size_t entries;
    if (status == STATUS_OK) status = unpack_zip(path, tree, true, limits, &entries, &t.err);
    return status == STATUS_OK ? tree_finish(tree, &t.err) : status;
}

static Status unpacked(const char *path, UnpackLimits limits) {
    Tree tree;
    Status status = unpack(path, limits, &tree);
    tree_close(&tree);
    return status;
}

/* A file of a zip, which outlives it in the test's arena; NULL when it lacks it. */
static const char *in_zip(const char *zip, const char *name, size_t *size) {
    Tree tree;
    Buffer text;
    buffer_init(&text, 1 << 24);
    assert_int_equal(unpack(test_path(&t, zip), limits_of(100, 1 << 30, 0), &tree), STATUS_OK);
    const TreeFile *file = tree_find(&tree, name);
    if (file) assert_int_equal(tree_text(&tree, file, &text, &t.err), STATUS_OK);
    *size = text.size;
    char *copy = file ? arena_strndup(&t.arena, buffer_text(&text), text.size) : NULL;
    buffer_clear(&text);
    tree_close(&tree);
    return copy;
}

static void yolo_of_boxes(void **state) {
    (void)state;
    Images images = images_of(false);
    images.items[1].split = "val";
    images.items[0].split = "train";
    size_t size;
    write_images(&images, "yolo", "y.zip");
    assert_string_equal(test_read(&t, "y.zip"),
                        "yolo\n"
                        "/ a_jpg.jpg 100x80 val: 1 car bbox 0,20,25,40; 2 car bbox 90,70,10,10\n"
                        "/ a_png.png 100x80 train: 1 car bbox 0,20,25,40\n"
                        "/x a.png 100x80 none:\n"
                        "/x/y \xe6\x97\xa5.png 100x80 none:\n");
    assert_string_equal(t.report.classes[1].name, CLASSES[1].name);
    assert_non_null(in_zip("y.zip", "labels/a_jpg.txt", &size));
    assert_non_null(in_zip("y.zip", "labels/a_png.txt", &size));
    assert_non_null(in_zip("y.zip", "labels/x/a.txt", &size));
}

static void yolo_never_mixes(void **state) {
    (void)state;
    Images images = images_of(true);
    DatasetWritten written = write_images(&images, "yolo", "y.zip");
    assert_int_equal(lost(&written, "holes_left_out"), 1);
    assert_int_equal(lost(&written, "shapes_split"), 1);
    assert_int_equal(lost(&written, "images_renamed"), 2);
    const char *told = test_read(&t, "y.zip");
    assert_non_null(strstr(told, "/ a_png.png 100x80 none: 1 car polygon 10.5,20,30,40.25 (4); 2 Stra\xc3\x9f" "e <&> polygon 10,10,40,40 (4); 3 car polygon 0,0,8,8 (3); "
                                 "4 car polygon 20,0,8,8 (3)\n"));
    assert_null(strstr(told, "bbox"));
}

static void voc_of_boxes(void **state) {
    (void)state;
    Images images = images_of(true);
    DatasetWritten written = write_images(&images, "pascal_voc", "v.zip");
    assert_int_equal(lost(&written, "polygons_as_boxes"), 2);
    assert_int_equal(strncmp(test_read(&t, "v.zip"), "pascal_voc\n", 11), 0);
    assert_int_equal(t.report.warning_total, 0);
    assert_non_null(strstr(buffer_text(&t.told), "/ a_png.png 100x80 none: 1 car bbox 10,20,30,40; 2 Stra\xc3\x9f" "e <&> bbox 10,10,40,40; 3 car bbox 0,0,28,8\n"));
    assert_non_null(strstr(buffer_text(&t.told), "/ a_jpg.jpg 100x80 none: 1 car bbox 0,20,25,40; 2 car bbox 90,70,10,10\n"));
    size_t size;
    assert_string_equal(in_zip("v.zip", "ImageSets/Main/all.txt", &size), "a_png\na_jpg\nx/y/\xe6\x97\xa5\nx/a\n");
}

static void cvat_keeps_shapes(void **state) {
    (void)state;
    Images images = images_of(true);
    images.items[3].split = "test";
    DatasetWritten written = write_images(&images, "cvat", "v.zip");
    assert_int_equal(written.annotations, 8);
    assert_int_equal(lost(&written, "holes_left_out"), 1);
    assert_int_equal(lost(&written, "shapes_split"), 1);
    assert_int_equal(lost(&written, "confidences_left_out"), 1);
    assert_string_equal(test_read(&t, "v.zip"),
                        "cvat\n"
                        "/ a.png 100x80 none: 1 car bbox 10.5,20,30,40.25; 2 Stra\xc3\x9f" "e <&> polygon 10,10,40,40 (4); 3 car polygon 0,0,8,8 (3); 4 car polygon 20,0,8,8 (3); "
                        "5 car polyline 1,1,8,8; 6 car keypoint 0,0,0,0\n"
                        "/ a.jpg 100x80 none: 1 car bbox 0,20,25,40; 2 car bbox 90,70,10,10\n"
                        "/x/y \xe6\x97\xa5.png 100x80 none:\n"
                        "/x a.png 100x80 test:\n");
    assert_string_equal(t.report.classes[0].color, "#ff0000");
}

static void labelme_lies_beside_the_images(void **state) {
    (void)state;
    Images images = images_of(true);
    images.items[2].folder = "/images";
    images.items[3].filename = "MANIFEST.png";
    images.items[3].folder = "/";
    DatasetWritten written = write_images(&images, "labelme", "l.zip");
    assert_int_equal(written.annotations, 7);
    assert_int_equal(lost(&written, "images_renamed"), 3);
    assert_int_equal(lost(&written, "shapes_split"), 1);
    assert_string_equal(test_read(&t, "l.zip"),
                        "labelme\n"
                        "/ MANIFEST_png.png 100x80 none:\n"
                        "/ a_jpg.jpg 100x80 none: 1 car bbox 0,20,25,40; 2 car bbox 90,70,10,10\n"
                        "/ a_png.png 100x80 none: 1 car bbox 10.5,20,30,40.25; 2 Stra\xc3\x9f" "e <&> polygon 10,10,40,40 (4); 3 car polygon 0,0,28,8 (3+3); "
                        "5 car polyline 1,1,8,8; 6 car keypoint 0,0,0,0\n"
                        "/images \xe6\x97\xa5.png 100x80 none:\n");
    size_t size;
    const char *text = in_zip("l.zip", "a_png.json", &size);
    yyjson_doc *doc = json_parse(text, size, &t.err);
    assert_string_equal(json_get_string(yyjson_doc_get_root(doc), "imagePath", ""), "a_png.png");
    assert_true(yyjson_is_null(yyjson_obj_get(yyjson_doc_get_root(doc), "imageData")));
    yyjson_doc_free(doc);
}

static void csv_guards_its_texts(void **state) {
    (void)state;
    static const char *const NAMES[] = {"=1+1", "'=x", "-5", "@a", "+", "\ttab", "a,\"b\"\r\nc", "'plain", " car", "''+y"};
    enum { COUNT = sizeof NAMES / sizeof *NAMES };
    DatasetClass classes[COUNT];
    Annotation annotations[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        classes[i] = (DatasetClass){.name = NAMES[i]};
        annotations[i] = (Annotation){.id = NAMES[i], .name = NAMES[i], .bounding_box = {0.1 + (double)i, 2, 1.0 / 3, 4}, .confidence = 0.25, .created_by = NAMES[i]};
    }
    Images images = images_of(false);
    images.items[0].annotations = (AnnotationList){annotations, COUNT, 0};
    images.items[0].filename = "=a, \"b\".png";
    DatasetInfo info = {.name = "test", .classes = classes, .class_count = COUNT, .include_images = true};
    DatasetWritten written;
    assert_int_equal(dataset_write(dataset_format_find("csv"), &info, &(DatasetSource){&images, next, rewind_images}, test_path(&t, "c.zip"), &written, &t.err), STATUS_OK);
    const char *told = test_read(&t, "c.zip");
    assert_int_equal(t.report.warning_total, 0);
    assert_int_equal(t.report.annotations, COUNT);
    for (size_t i = 0; i < COUNT; i++) { /* what names a class is trimmed */
        const char *class = NAMES[i] + strspn(NAMES[i], " \t");
        assert_non_null(strstr(told, arena_printf(&t.arena, "%s %s bbox %g,2,0.333333,4", NAMES[i], class, 0.1 + (double)i)));
    }
    assert_non_null(strstr(told, "/ =a, \"b\".png 100x80 none: =1+1"));
    size_t size;
    const char *text = in_zip("c.zip", "annotations.csv", &size);
    assert_non_null(strstr(text, "i,\"'=a, \"\"b\"\".png\",/,100,80,complete,'=1+1,'=1+1,0.1,2,0.3333333333333333,4,0.25,'=1+1\r\n"));
    assert_non_null(strstr(text, "i,a.png,/x,100,80,complete,,,,,,,,\r\n"));
}

/* Without pixels the label files alone must say which images there are, in which folders and of which size; YOLO's cannot. */
static void label_files_alone(void **state) {
    (void)state;
    for (size_t f = 0; dataset_format_at(f); f++) {
        const char *format = dataset_format_name(dataset_format_at(f));
        if (text_equal(format, "yolo")) continue;
        Images images = images_of(false);
        for (size_t i = 0; i < 4; i++) images.items[i].path = NULL;
        write_images(&images, format, arena_printf(&t.arena, "%s.zip", format));
        const char *told = test_read(&t, arena_printf(&t.arena, "%s.zip", format));
        assert_int_equal(t.report.images, 4);
        assert_int_equal(t.report.annotations, 3);
        assert_non_null(strstr(told, "/x a.png 100x80 none:\n"));
        assert_non_null(strstr(told, "/x/y \xe6\x97\xa5.png 100x80 none:\n"));
    }
}

static void equal_data_is_equal_bytes(void **state) {
    (void)state;
    char sha[2][SHA256_HEX_SIZE];
    for (size_t f = 0; dataset_format_at(f); f++) {
        const char *format = dataset_format_name(dataset_format_at(f));
        for (size_t round = 0; round < 2; round++) {
            char *name = arena_printf(&t.arena, "%s%zu.zip", format, round);
            setenv("TZ", round ? "Asia/Tokyo" : "America/New_York", 1);
            tzset();
            Images images = images_of(true);
            write_images(&images, format, name);
            assert_int_equal(hash_file(test_path(&t, name), sha[round], NULL, NULL), STATUS_OK);
        }
        assert_string_equal(sha[0], sha[1]);
    }
}

static void manifest_lists_and_hashes(void **state) {
    (void)state;
    Images images = images_of(true);
    write_images(&images, "coco", "c.zip");
    size_t size;
    const char *manifest = in_zip("c.zip", "MANIFEST.json", &size);
    yyjson_doc *doc = json_parse(manifest, size, &t.err);
    assert_non_null(doc);
    yyjson_val *root = yyjson_doc_get_root(doc), *file;
    assert_string_equal(json_get_string(root, "format", ""), "coco");
    assert_int_equal(json_get_int(root, "images", 0), 4);
    assert_int_equal(json_get_int(yyjson_arr_get(yyjson_obj_get(root, "classes"), 0), "annotations", 0), 4);
    size_t index, count;
    yyjson_arr_foreach(yyjson_obj_get(root, "files"), index, count, file) {
        unsigned char digest[SHA256_SIZE];
        char sha[SHA256_HEX_SIZE];
        const char *bytes = in_zip("c.zip", json_get_string(file, "path", ""), &size);
        hash_sha256(bytes, size, digest);
        hash_hex(digest, SHA256_SIZE, sha);
        assert_string_equal(sha, json_get_string(file, "sha256", ""));
        assert_int_equal(size, json_get_int(file, "bytes", -1));
    }
    assert_int_equal(count, 5);
    yyjson_doc_free(doc);
}

static Status failing_next(void *context, bool with_annotations, DatasetImage *out, bool *more, Error *err) {
    Images *images = context;
    if (images->next == 2) return error_set(err, STATUS_CANCELLED, "enough");
    return next(context, with_annotations, out, more, err);
}

static void failures_leave_nothing(void **state) {
    (void)state;
    Images images = images_of(true);
    DatasetInfo info = {.name = "test", .classes = CLASSES, .class_count = 2, .include_images = true};
    DatasetWritten written;
    char *path = test_path(&t, "f.zip");
    for (size_t f = 0; dataset_format_at(f); f++) {
        images.next = 0;
        assert_int_equal(dataset_write(dataset_format_at(f), &info, &(DatasetSource){&images, failing_next, rewind_images}, path, &written, &t.err), STATUS_CANCELLED);
        assert_false(file_exists(path));
    }
    images.items[0].path = test_path(&t, "nowhere.png");
    images.next = 0;
    assert_int_not_equal(dataset_write(dataset_format_at(0), &info, &(DatasetSource){&images, next, rewind_images}, path, &written, &t.err), STATUS_OK);
    assert_false(file_exists(path));
    test_file(&t, "exists.zip", "precious");
    images.next = 0;
    assert_int_not_equal(dataset_write(dataset_format_at(0), &info, &(DatasetSource){&images, next, rewind_images}, test_path(&t, "exists.zip"), &written, &t.err), STATUS_OK);
    assert_int_equal(file_size(test_path(&t, "exists.zip")), 8);
}

/* Names and shapes that the contract lets pass but files cannot hold: each format leaves out or mends, and reads back what it says it wrote. */
static void what_files_cannot_hold(void **state) {
    (void)state;
    Ring flat[] = {RING({1, 1}, {9, 1}, {5, 1})}, outside[] = {RING({200, 1}, {209, 1}, {205, 9})};
    Ring halves[] = {RING({-50, 1}, {-40, 1}, {-45, 9}), RING({150, 1}, {160, 1}, {155, 9})};
    Annotation odd[] = {
        {.id = "1", .name = "car", .type = ANNOTATION_POLYGON, .bounding_box = {1, 1, 8, 1}, .polygon = {flat, 1}, .confidence = 1},
        {.id = "2", .name = "car", .type = ANNOTATION_POLYGON, .bounding_box = {200, 1, 9, 8}, .polygon = {outside, 1}, .confidence = 1},
        {.id = "3", .name = "car", .type = ANNOTATION_POLYGON, .bounding_box = {-50, 1, 210, 8}, .polygon = {halves, 2}, .confidence = 1},
        {.id = "4", .name = "car", .type = ANNOTATION_BBOX, .bounding_box = {-1.7e308, 1, 1.7e308, 1}, .confidence = 1},
        {.id = "5", .name = "car", .type = ANNOTATION_BBOX, .bounding_box = {-20, 1, 10, 10}, .confidence = 1},
        {.id = "6", .name = "car", .type = ANNOTATION_BBOX, .bounding_box = {5, 5, 0.25, 1e-9}, .confidence = 1},
        {.id = "7", .name = "car", .type = ANNOTATION_BBOX, .bounding_box = {99.9, 5, 30, 0.5}, .confidence = 1},
        {.id = "8", .name = "car", .type = ANNOTATION_POLYLINE, .bounding_box = {200, 1, 9, 8}, .path = outside[0], .confidence = 1},
        {.id = "9", .name = "car", .type = ANNOTATION_KEYPOINT, .keypoint = {5, -5}, .confidence = 1},
    };
    char *huge = arena_alloc(&t.arena, 800);
    for (int i = 0; i < 255; i++) memcpy(huge + 3 * i, "\xe6\x97\xa5", 3);
    memcpy(huge + 3 * 251, ".png", 5);
    Images images = images_of(false);
    images.items[0].annotations = (AnnotationList){odd, 9, 0};
    images.items[1].filename = huge;
    images.items[2].folder = arena_printf(&t.arena, "/a\\b/%s", huge);
    images.items[3].folder = "/..\\x";
    for (size_t f = 0; dataset_format_at(f); f++) {
        const char *format = dataset_format_name(dataset_format_at(f));
        char *name = arena_printf(&t.arena, "%s.zip", format);
        DatasetWritten written = write_images(&images, format, name);
        assert_int_equal(lost(&written, "names_shortened"), 3);
        assert_int_equal(strncmp(test_read(&t, name), format, strlen(format)), 0);
        assert_int_equal(t.report.images, written.images);
        assert_int_equal(t.report.annotations + t.report.left_out, written.annotations);
        assert_int_equal(t.report.left_out, 0);
    }
}

#define DECOMPOSED "Fru\xcc\x88" "chte"  /* as a Mac writes it */
#define COMPOSED "Fr\xc3\xbc" "chte"

/* Names are bytes, in every format: libarchive would compose them, and then labels would name other files than there are. */
static void names_come_back_byte_for_byte(void **state) {
    (void)state;
    Images images = images_of(false);
    images.items[0].filename = DECOMPOSED ".png";
    images.items[1].folder = "/" DECOMPOSED;
    images.items[2].folder = "/" COMPOSED "/.x";
    images.items[3].filename = ".hidden.png";
    for (size_t f = 0; dataset_format_at(f); f++) {
        const char *format = dataset_format_name(dataset_format_at(f)), *name = arena_printf(&t.arena, "%s.zip", format);
        DatasetWritten written = write_images(&images, format, name);
        const char *told = test_read(&t, name);
        assert_int_equal(t.report.images, 4);
        assert_int_equal(t.report.annotations + t.report.left_out, written.annotations);
        assert_non_null(strstr(told, "/ " DECOMPOSED ".png 100x80 none: "));
        assert_non_null(strstr(told, "/" DECOMPOSED " a.jpg 100x80 none: "));
        assert_non_null(strstr(told, "/" COMPOSED "/.x \xe6\x97\xa5.png 100x80 none:"));
        assert_non_null(strstr(told, "/x .hidden.png 100x80 none:"));
    }
}

/* ---- hostile zips ---- */

/* A zip of one entry, made by libarchive without our checks. */
static char *zip_of(const char *name, int type, size_t size, int copies) {
    char *path = test_path(&t, "hostile.zip"), chunk[4096] = {0};
    struct archive *archive = archive_write_new();
    archive_write_set_format_zip(archive);
    archive_write_open_filename(archive, path);
    for (int i = 0; i < copies; i++) {
        struct archive_entry *entry = archive_entry_new();
        archive_entry_set_pathname(entry, name);
        archive_entry_set_filetype(entry, (unsigned)type);
        archive_entry_set_perm(entry, 0644);
        archive_entry_set_size(entry, (la_int64_t)size);
        if (type == AE_IFLNK) archive_entry_set_symlink(entry, "/etc/passwd");
        archive_write_header(archive, entry);
        for (size_t rest = size; rest && type == AE_IFREG;) {
            la_ssize_t n = archive_write_data(archive, chunk, rest < sizeof chunk ? rest : sizeof chunk);
            rest -= (size_t)n;
        }
        archive_entry_free(entry);
    }
    archive_write_close(archive);
    archive_write_free(archive);
    return path;
}

static void hostile_zips_are_refused(void **state) {
    (void)state;
    const UnpackLimits limits = limits_of(100, 1 << 30, 100);
    assert_int_equal(unpacked(zip_of("a/b.txt", AE_IFREG, 10, 1), limits), STATUS_OK);
    size_t size;
    assert_non_null(in_zip("hostile.zip", "a/b.txt", &size));
    assert_int_equal(size, 10);
    assert_non_null(in_zip(file_base_name(zip_of("a/b.png", AE_IFREG, 10, 1)), "a/b.png", &size));
    assert_int_equal(file_size(test_path(&t, "into/a/b.png")), 10);
    static const char *const BAD[] = {"../b.txt", "/tmp/b.txt", "a/../../b.txt", "..\\b.txt", "\\b.txt", "\xff/../b.txt", "a//.."};
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) assert_int_equal(unpacked(zip_of(BAD[i], AE_IFREG, 10, 1), limits), STATUS_BAD_REQUEST);
    assert_int_equal(unpacked(zip_of("link.txt", AE_IFLNK, 11, 1), limits), STATUS_BAD_REQUEST);
    assert_int_equal(unpacked(zip_of("twice.txt", AE_IFREG, 10, 2), limits), STATUS_BAD_REQUEST);
    assert_int_equal(unpacked(zip_of(".twice.txt", AE_IFREG, 10, 2), limits), STATUS_BAD_REQUEST);
    assert_int_equal(unpacked(zip_of("twice.png", AE_IFREG, 10, 2), limits), STATUS_BAD_REQUEST);
    assert_int_equal(unpacked(zip_of("bomb", AE_IFREG, (size_t)100 << 20, 1), limits), STATUS_PAYLOAD_TOO_LARGE);
    assert_int_equal(unpacked(zip_of("big", AE_IFREG, 5000, 1), limits_of(100, 4000, 100)), STATUS_PAYLOAD_TOO_LARGE);
    assert_int_equal(unpacked(zip_of("many", AE_IFREG, 1, 5), limits_of(0, 4000, 100)), STATUS_PAYLOAD_TOO_LARGE);
    test_file(&t, "broken.zip", "PK\x03\x04 nothing that follows is right");
    assert_int_equal(unpacked(test_path(&t, "broken.zip"), limits), STATUS_BAD_REQUEST);
    DatasetReadOptions options = DATASET_READ_DEFAULTS;
    assert_non_null(strstr(test_read_with(&t, zip_of("a.txt", AE_IFREG, 1, 1), options), "only folders"));
}

/* As of a folder. */
static void names_in_zips_that_cannot_be_used_are_passed_over(void **state) {
    (void)state;
    char *longer = arena_printf(&t.arena, "%0300d.png", 1), *deep = arena_alloc(&t.arena, 4001);
    for (size_t i = 0; i < 4000; i++) deep[i] = "a/"[i % 2];
    memcpy(deep + 3995, "a.png", 6);
    const char *names[] = {"\xff\xfe.png", "\xff\xfe.txt", "new\nline.png", "a//b.txt", "a/./b.png", longer, deep};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        Tree tree;
        assert_int_equal(unpack(zip_of(names[i], AE_IFREG, 10, 2), limits_of(100, 1 << 30, 100), &tree), STATUS_OK);
        assert_int_equal(tree.count, 0);
        assert_int_equal(tree.passed_count, 2);
        assert_string_equal(tree.passed[1].why, "a name that cannot be used; passed over");
        tree_close(&tree);
        assert_int_equal(unpacked(zip_of(names[i], AE_IFREG, 5000, 1), limits_of(100, 4000, 100)), STATUS_PAYLOAD_TOO_LARGE);
    }
    assert_non_null(strstr(test_read(&t, file_base_name(zip_of("a/\xff\xfe.png", AE_IFREG, 10, 1))), "! a/??.png: a name that cannot be used; passed over\n"));
}

static void a_cut_zip_is_refused(void **state) {
    (void)state;
    Images images = images_of(true);
    write_images(&images, "coco", "c.zip");
    Buffer bytes;
    buffer_init(&bytes, 1 << 20);
    assert_int_equal(file_read(test_path(&t, "c.zip"), &bytes, NULL), STATUS_OK);
    for (size_t size = 4; size < bytes.size; size += bytes.size / 20) {
        test_file_bytes(&t, "cut.zip", bytes.data, size);
        assert_int_not_equal(unpacked(test_path(&t, "cut.zip"), limits_of(100, 1 << 30, 100)), STATUS_OK);
    }
    buffer_clear(&bytes);
}

/* What takes more than 16 and 32 bits. */
static void zips_may_be_large(void **state) {
    (void)state;
    enum { MANY = 70000 };
    ZipWriter *zip;
    Tree tree;
    Buffer before, after;
    size_t files;
    uint64_t bytes;
    assert_int_equal(zip_writer_open(&zip, test_path(&t, "many.zip"), &t.err), STATUS_OK);
    for (int i = 0; i < MANY; i++) assert_int_equal(zip_writer_bytes(zip, arena_printf(&t.arena, "%d", i), "x", 1, &t.err), STATUS_OK);
    assert_int_equal(zip_writer_finish(zip, "{\"a\":1", &files, &bytes, &t.err), STATUS_OK);
    zip_writer_free(zip);
    assert_int_equal(files, MANY + 1);
    assert_int_equal(unpack(test_path(&t, "many.zip"), limits_of(files, 1 << 30, 0), &tree), STATUS_OK);
    assert_int_equal(tree.count, files);
    tree_close(&tree);
    buffer_init(&before, 1000);
    buffer_init(&after, 1000);
    ZipEntry entry = {.name = "a", .is_open = true};
    zip_local_header(&before, &entry);
    entry.size = (uint64_t)5 << 32 | 7, entry.packed = 9;
    zip_local_header(&after, &entry);
    assert_int_equal(before.size, after.size);
    assert_memory_equal(after.data + 18, "\xff\xff\xff\xff\xff\xff\xff\xff\1\0\x14\0a\1\0\x10\0\7\0\0\0\5\0\0\0\11\0\0\0\0\0\0\0", 33);
    buffer_clear(&before);
    buffer_clear(&after);
}

/* ---- zips that were not written as they should be ---- */

/* One file of a zip goes, and the zip stays sound. */
static void drop(const char *path, const char *name) {
    char without[512];
    snprintf(without, sizeof without, "%s.without", path);
    struct archive *in = archive_read_new(), *out = archive_write_new();
    archive_read_support_format_zip(in);
    archive_write_set_format_zip(out);
    if (archive_read_open_filename(in, path, 1 << 16) != ARCHIVE_OK || archive_write_open_filename(out, without) != ARCHIVE_OK) fail_msg("%s", path);
    size_t dropped = 0;
    for (struct archive_entry *entry; archive_read_next_header(in, &entry) == ARCHIVE_OK;) {
        char chunk[1 << 12];
        if (strcmp(archive_entry_pathname(entry), name) == 0) {
            dropped++;
            continue;
        }
        archive_write_header(out, entry);
        for (la_ssize_t n; (n = archive_read_data(in, chunk, sizeof chunk)) > 0;) archive_write_data(out, chunk, (size_t)n);
    }
    archive_read_free(in);
    if (archive_write_close(out) != ARCHIVE_OK || dropped != 1) fail_msg("%s lacks %s", path, name);
    archive_write_free(out);
    assert_int_equal(rename(without, path), 0);
}

/* What dataset_check says of a zip; "" when it is sound. */
static const char *checked(const char *name, const char *format, const DatasetInfo *info, const DatasetWritten *written, bool (*stop)(void *context)) {
    char *folder = test_path(&t, "check");
    file_remove_tree(folder, NULL);
    file_make_directories(folder, 0700, NULL);
    t.err = (Error){0};
    Status status = dataset_check(dataset_format_find(format), test_path(&t, name), folder, info, written, stop, NULL, &t.err);
    if (status == STATUS_OK) return "";
    assert_true(stop ? status == STATUS_CANCELLED : status == STATUS_BAD_REQUEST || status == STATUS_INTERNAL_ERROR);
    return t.err.message;
}

/* The labels of an image, in the formats with a file an image. */
static const char *label_of(const char *format) {
    static const char *const LABELS[][2] = {
        {"pictograph", "annotations/x/a.png.json"}, {"yolo", "labels/x/a.txt"}, {"pascal_voc", "Annotations/x/a.xml"}, {"labelme", "x/a.json"}};
    for (size_t i = 0; i < sizeof LABELS / sizeof *LABELS; i++)
        if (text_equal(LABELS[i][0], format)) return LABELS[i][1];
    return NULL;
}

static bool at_once(void *context) {
    (void)context;
    return true;
}

static int asked, patience;
static bool later(void *context) {
    (void)context;
    return ++asked > patience;
}

/* Also within a file that is long, and not only when it was unpacked. */
static void reading_back_stops_soon(void **state) {
    (void)state;
    static const char *const FORMATS[] = {"coco", "cvat", "csv"};
    for (size_t f = 0; f < 3; f++) {
        size_t counts[2];
        Annotation *many = arena_new_array(&t.arena, Annotation, 60000);
        for (size_t i = 0; i < 60000; i++) many[i] = BOXES[1];
        Images images = {.count = 1};
        images.items[0] = (DatasetImage){.id = "i", .folder = "/", .filename = "a.png", .width = 100, .height = 80, .annotations = {many, 60000, 0}};
        DatasetInfo info = {.name = "test", .classes = CLASSES, .class_count = 2, .class_counts = counts};
        DatasetWritten written;
        assert_int_equal(dataset_write(dataset_format_find(FORMATS[f]), &info, &(DatasetSource){&images, next, rewind_images}, test_path(&t, FORMATS[f]), &written, &t.err), STATUS_OK);
        asked = 0, patience = INT_MAX;
        assert_string_equal(checked(FORMATS[f], FORMATS[f], &info, &written, later), "");
        if (asked < 40) fail_msg("%s: asked %d times", FORMATS[f], asked);
        patience = asked * 3 / 4, asked = 0;
        assert_string_equal(checked(FORMATS[f], FORMATS[f], &info, &written, later), "Cancelled");
        if (asked > patience + 5) fail_msg("%s went on", FORMATS[f]);
    }
}

static void what_was_not_written_is_noticed(void **state) {
    (void)state;
    for (size_t f = 0; f < 14; f++) {
        const char *format = dataset_format_name(dataset_format_at(f / 2)), *name = arena_printf(&t.arena, "%s%zu.zip", format, f % 2);
        size_t counts[2] = {7, 7};
        Images images = images_of(true);
        images.items[2].filename = "b.png"; /* drop() knows no other names */
        DatasetInfo info = {.name = "test", .classes = CLASSES, .class_count = 2, .include_images = f % 2, .class_counts = counts};
        DatasetWritten written;
        assert_int_equal(dataset_write(dataset_format_at(f / 2), &info, &(DatasetSource){&images, next, rewind_images}, test_path(&t, name), &written, &t.err), STATUS_OK);
        assert_int_equal(counts[0] + counts[1], written.annotations);
        assert_string_equal(checked(name, format, &info, &written, NULL), "");
        assert_string_equal(checked(name, format, &info, &written, at_once), "Cancelled");
        written.images++;
        assert_non_null(strstr(checked(name, format, &info, &written, NULL), "images, not 5"));
        written.images--;
        counts[0]--, counts[1]++; /* an annotation of the other class */
        assert_string_equal(checked(name, format, &info, &written, NULL), "the archive reads back with 1 annotations too many of car");
        counts[0] += 2, counts[1]--;
        assert_non_null(strstr(checked(name, format, &info, &written, NULL), "the archive reads back without 1 of"));
        counts[0]--;
        if (label_of(format)) {
            drop(test_path(&t, name), label_of(format));
            assert_non_null(strstr(checked(name, format, &info, &written, NULL), " files, not "));
            written.files--;
            assert_non_null(strstr(checked(name, format, &info, &written, NULL), "the archive reads back as 3 images, not 4"));
        }
        test_damage_zip(test_path(&t, name));
        assert_string_not_equal(checked(name, format, &info, &written, NULL), "");
    }
}

/* Whatever images and classes are called, a zip of ours is as it should be. */
static void odd_names_read_back(void **state) {
    (void)state;
    static const char *const FILES[] = {"..jpg", "classes.jpg", "labels.png", "labels.jpg", "MANIFEST.jpg", ".jpg", "a.txt.jpg", "train.jpg"};
    static const char *const FOLDERS[] = {"/", "/ImageSets", "/labels", "/labels/Annotations", "/images"};
    static const char *const MIRRORED[] = {"/images", "/labels", "/Annotations", "/", "/x/images", "/x/labels", "/x", "/images/images"}; /* of one name */
    DatasetClass classes[] = {{.name = "a b"}, {.name = "a"}, {.name = "b\x01\r\n\t\"\\c"}, {.name = "'=1"}, {.name = "<&>, ;#: x"}};
    for (size_t f = 0; f < 14; f++) {
        const DatasetFormat *format = dataset_format_at(f / 2);
        size_t counts[5];
        DatasetInfo info = {.name = "test", .classes = classes, .class_count = 5, .include_images = f % 2, .class_counts = counts};
        for (size_t i = 0; i < 8 * 5 + 8; i += 4) {
            bool mirrored = i >= 8 * 5;
            Images images = {.count = 4};
            Annotation boxes[4];
            for (size_t k = 0; k < 4; k++) {
                boxes[k] = BOXES[1];
                boxes[k].name = classes[(i + k) % 5].name;
                test_image(&t, "src/a.png", 100, 80);
                images.items[k] = (DatasetImage){.id = "i", .folder = mirrored ? MIRRORED[i + k - 40] : FOLDERS[(i + k) / 8],
                                                 .filename = mirrored ? "a.png" : FILES[(i + k) % 8], .width = 100, .height = 80,
                                                 .path = test_path(&t, "src/a.png"), .annotations = {boxes, k, 0}};
            }
            DatasetWritten written;
            const char *name = arena_printf(&t.arena, "%zu-%zu.zip", f, i), *why;
            assert_int_equal(dataset_write(format, &info, &(DatasetSource){&images, next, rewind_images}, test_path(&t, name), &written, &t.err), STATUS_OK);
            assert_int_equal(written.annotations, 6);
            if (*(why = checked(name, dataset_format_name(format), &info, &written, NULL))) fail_msg("%s, images from %zu on: %s", dataset_format_name(format), i, why);
        }
    }
}

/* No disk holds a folder and a file of one name, some take a backslash for a slash, XML has no U+FFFE, and unpackers pass __MACOSX over. */
static void names_that_no_disk_holds_are_told_apart(void **state) {
    (void)state;
    static const char *const PLACES[][2] = {
        {"/", "a.jpg"}, {"/a.jpg", "b.jpg"}, {"/a.jpg.json", "a.jpg"}, {"/a.json", "a.jpg"}, {"/a.txt", "a.jpg"}, {"/a.xml", "a.jpg"}, {"/MANIFEST.json", "a.jpg"}, {"/tiles.tif", "a.jpg"},
        {"/x/y", "a.jpg"}, {"/x\\y", "a.jpg"}, {"/__MACOSX", "a.jpg"}, {"/", "x\xef\xbf\xbd.jpg"}, {"/", "x\xef\xbf\xbe.jpg"}, {"/", "x\xef\xbf\xbf.jpg"}, {"/", "a.png"}, {"/a_jpg.json/a_jpg.jpg", "c.jpg"}, {"/v", " a.jpg"}, {"/v", "a.jpg.jpg"}, {"/v", "a.png"}, {"/v", "a.jpg"},
    };
    enum { COUNT = sizeof PLACES / sizeof *PLACES };
    test_image(&t, "src/a.png", 100, 80);
    for (size_t f = 0; dataset_format_at(f); f++) {
        const char *format = dataset_format_name(dataset_format_at(f)), *name = arena_printf(&t.arena, "%s.zip", format);
        Images images = {.count = COUNT};
        for (size_t i = 0; i < COUNT; i++)
            images.items[i] = (DatasetImage){.id = "i", .folder = PLACES[i][0], .filename = PLACES[i][1], .width = 100, .height = 80, .path = test_path(&t, "src/a.png"), .annotations = {BOXES + 1, 1, 0}};
        DatasetWritten written = write_images(&images, format, name);
        const char *told = test_read(&t, name);
        if (strchr(told, '!') || t.report.images != COUNT || t.report.annotations != COUNT) fail_msg("%s", told);
        assert_non_null(strstr(told, "/tiles.tif a.jpg ")); /* which is no file beside it */
        for (size_t i = 0; i < COUNT && f == 0; i++) assert_non_null(strstr(told, arena_printf(&t.arena, "\n%s %s 100x80", PLACES[i][0], PLACES[i][1])));
        assert_true(lost(&written, "names_shortened") >= 5);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(pictograph_keeps_everything, set_up, tear_down),
        cmocka_unit_test_setup_teardown(coco_keeps_shapes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(yolo_of_boxes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(yolo_never_mixes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(voc_of_boxes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(cvat_keeps_shapes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(labelme_lies_beside_the_images, set_up, tear_down),
        cmocka_unit_test_setup_teardown(csv_guards_its_texts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(label_files_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(equal_data_is_equal_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(manifest_lists_and_hashes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(failures_leave_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_files_cannot_hold, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_come_back_byte_for_byte, set_up, tear_down),
        cmocka_unit_test_setup_teardown(hostile_zips_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_in_zips_that_cannot_be_used_are_passed_over, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_cut_zip_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(zips_may_be_large, set_up, tear_down),
        cmocka_unit_test_setup_teardown(reading_back_stops_soon, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_not_written_is_noticed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(odd_names_read_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_that_no_disk_holds_are_told_apart, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
