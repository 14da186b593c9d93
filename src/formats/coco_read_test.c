/* Units of the COCO reader: each oddity that real files hold, as a small folder and the text that it is told as. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include "formats/test_data.h"
#include "base/banned.h"

static void coco_with_its_oddities(void **state) {
    (void)state;
    test_image(&t, "d/images/a.png", 100, 80);
    test_image(&t, "d/images/x/b.png", 20, 10);
    test_image(&t, "d/images/unlisted.png", 20, 10);
    test_file(&t, "d/annotations/instances_val2017.json",
              "{\"images\":[{\"id\":\"7\",\"file_name\":\"a.png\",\"width\":100,\"height\":80},{\"id\":8,\"file_name\":\"x/b.png\"},"
              "{\"id\":9,\"file_name\":\"../../etc/passwd.png\"},{\"id\":10,\"file_name\":\"a.png\"},{\"id\":11},{\"id\":12,\"file_name\":\"gone.jpg\",\"width\":5,\"height\":5}],"
              "\"categories\":[{\"id\":\"3\",\"name\":\"car\"},{\"id\":4}],"
              "\"annotations\":["
              "{\"id\":1,\"image_id\":7,\"category_id\":3,\"bbox\":[1,2,3,4]},"
              "{\"id\":1,\"image_id\":7,\"category_id\":3,\"bbox\":[1,2,0,4]},"
              "{\"id\":2,\"image_id\":7,\"category_id\":3,\"bbox\":[1,2,3,4],\"segmentation\":[[1,2,4,6]]},"
              "{\"id\":3,\"image_id\":7,\"category_id\":3,\"segmentation\":[[0,0,10,0,10,10],[20,20,30,20,30,30,20,30]]},"
              "{\"id\":4,\"image_id\":7,\"category_id\":3,\"segmentation\":[[0,0,10,0,10,10,0,10],[5,5,15,5,15,15,5,15]]},"
              "{\"id\":5,\"image_id\":7,\"category_id\":99,\"segmentation\":[0,0,10,0,10,10]},"
              "{\"id\":6,\"image_id\":7,\"category_id\":3,\"iscrowd\":1,\"bbox\":[1,2,3,4]},"
              "{\"image_id\":8,\"category_id\":3,\"bbox\":[1,2,3,4],\"segmentation\":{\"size\":[10,20],\"counts\":[11,3,7,3,176]},\"score\":0.5},"
              "{\"image_id\":8,\"category_id\":3,\"bbox\":[1,2,3,4],\"segmentation\":{\"size\":[10,20],\"counts\":\"zz\"}},"
              "{\"image_id\":8,\"category_id\":3},{\"image_id\":8},{\"image_id\":77}]}");
    test_file(&t, "d/other.json", "{\"images\":1,\"annotations\":2,\"categories\":3}");
    assert_string_equal(test_read(&t, "d"),
                        "coco\n"
                        "/ a.png 100x80 val: 1 car bbox 1,2,3,4; 2 car bbox 1,2,3,4; 3 car polygon 0,0,30,30 (3+4); 4 car polygon 0,0,15,15 (8); "
                        "5 category 99 polygon 0,0,10,10 (3)\n"
                        "/x b.png 20x10 val: #7 car polygon 1,1,2,3 (4); #8 car bbox 1,2,3,4\n"
                        "/ passwd.png 0x0 val:\n"
                        "/ gone.jpg 5x5 val:\n"
                        "/ unlisted.png 20x10 none: -\n"
                        "! annotations/instances_val2017.json: ids are texts instead of numbers; taken as they are\n"
                        "! annotations/instances_val2017.json: category 1 has no name or no id; passed over\n"
                        "! annotations/instances_val2017.json: 1 annotations belong to no listed image; left out\n"
                        "! annotations/instances_val2017.json: a.png, annotation 1#1 (car): box of zero size; left out\n"
                        "! annotations/instances_val2017.json: a.png, annotation 2 (car): a segmentation of 4 numbers is no polygon; passed over\n"
                        "! annotations/instances_val2017.json: annotations use categories that are not listed; named by their id\n"
                        "! annotations/instances_val2017.json: a.png, annotation 6 (car): a crowd region; left out\n"
                        "! annotations/instances_val2017.json: b.png, annotation #8 (car): Malformed run lengths; its box is taken\n"
                        "! annotations/instances_val2017.json: b.png, annotation #9 (car): neither a box nor a shape; left out\n"
                        "! annotations/instances_val2017.json: b.png, annotation #10: no category; left out\n"
                        "! annotations/instances_val2017.json: image ../../etc/passwd.png is missing\n"
                        "! annotations/instances_val2017.json: image 4 has no file_name; left out\n"
                        "! annotations/instances_val2017.json: image gone.jpg is missing\n"
                        "! annotations/instances_val2017.json: 1 of its images are listed before: 0 of their annotations are added there, 0 are there already\n");
}

static void coco_as_the_real_world_writes_it(void **state) {
    (void)state;
    test_image(&t, "d/train/a.png", 9, 9);
    test_image(&t, "d/sub/b.png", 9, 9);
    test_image(&t, "d/c.png", 9, 9);
    test_file(&t, "d/annotations/captions_train.json", ONE_COCO("a.png", "\"caption\":\"words\""));
    test_file(&t, "d/annotations/instances_train.json", ONE_COCO("a.png", "\"category_id\":1,\"bbox\":[1,2,3,4]"));
    test_file(&t, "d/annotations/person_train.json", ONE_COCO("a.png", "\"category_id\":1,\"bbox\":[1,2,3,4]"));
    test_file(&t, "d/windows.json", "\xef\xbb\xbf" ONE_COCO("sub\\\\b.png", "\"category_id\":1,\"bbox\":[1,2,3,4]"));
    test_file(&t, "d/z.json", ONE_COCO("/home/somebody/c.png", "\"category_id\":1,\"bbox\":[1,2,3,4]"));
    assert_string_equal(test_read(&t, "d"),
                        "coco\n/train a.png 9x9 train: 1 car bbox 1,2,3,4\n/sub b.png 9x9 none: 1 car bbox 1,2,3,4\n/ c.png 9x9 none: 1 car bbox 1,2,3,4\n"
                        "! annotations/captions_train.json: its annotations have neither category nor shape, as captions; left out\n"
                        "! annotations/person_train.json: 1 of its images are listed before: 0 of their annotations are added there, 1 are there already\n");
    assert_int_equal(t.report.left_out, 0);
}

static void coco_files_of_one_image_are_put_together(void **state) {
    (void)state;
    test_image(&t, "d/a.png", 9, 9);
    test_image(&t, "d/b.png", 9, 9);
    test_file(&t, "d/instances_extra.json", "{\"images\":[{\"id\":4,\"file_name\":\"b.png\",\"width\":9,\"height\":9},{\"id\":5,\"file_name\":\"a.png\",\"width\":18,\"height\":9}],"
                                            "\"annotations\":[{\"id\":1,\"image_id\":5,\"category_id\":1,\"bbox\":[1,2,3,4]},{\"id\":2,\"image_id\":5,\"category_id\":1,\"bbox\":[20,2,3,4]},"
                                            "{\"id\":3,\"image_id\":4,\"category_id\":1,\"bbox\":[1,1,1,1]}],\"categories\":[{\"id\":1,\"name\":\"bus\"}]}");
    test_file(&t, "d/instances_train.json", ONE_COCO("a.png", "\"category_id\":1,\"bbox\":[1,2,3,4]"));
    test_file(&t, "d/instances_val.json", ONE_COCO("a.png", "\"category_id\":1,\"bbox\":[5,5,1,1]"));
    assert_string_equal(test_read(&t, "d"),
                        "coco\n/ b.png 9x9 none: 3 bus bbox 1,1,1,1\n/ a.png 9x9 none: 1 bus bbox 1,2,3,4; 1#1 car bbox 1,2,3,4; 1#2 car bbox 5,5,1,1\n"
                        "! instances_extra.json: a.png is 9x9, but its labels are for 18x9: they may lie wrong\n"
                        "! instances_extra.json: a.png, annotation 2 (bus): box outside the image; left out\n"
                        "! instances_train.json: 1 of its images are listed before: 1 of their annotations are added there, 0 are there already\n"
                        "! instances_val.json: 1 of its images are listed before: 1 of their annotations are added there, 0 are there already\n");
    assert_int_equal(t.report.annotations, 4);
    char *together = arena_strdup(&t.arena, buffer_text(&t.told));
    DatasetReadOptions options = DATASET_READ_DEFAULTS; /* each may be as large */
    options.max_label_bytes = (uint64_t)file_size(test_path(&t, "d/instances_extra.json"));
    assert_string_equal(test_read_with(&t, test_path(&t, "d"), options), together);
}

/* The reader cuts the text into rows by itself: what is no JSON must be refused as a whole, and told as the parser tells it. */
/* What is known of the image is kept from one mention to the next: to gather it anew each time took minutes and all memory. */
static void coco_that_lists_one_image_very_often(void **state) {
    (void)state;
    enum { TIMES = 20000 };
    Buffer text;
    buffer_init(&text, 16 << 20);
    test_image(&t, "d/a.png", 100, 100);
    buffer_append_text(&text, "{\"categories\":[{\"id\":1,\"name\":\"car\"}],\"images\":[");
    for (int i = 0; i < TIMES; i++) buffer_printf(&text, "%s{\"id\":%d,\"file_name\":\"a.png\"}", i ? "," : "", i);
    buffer_append_text(&text, "],\"annotations\":[");
    for (int i = 0; i < TIMES; i++) buffer_printf(&text, "%s{\"id\":%d,\"image_id\":%d,\"category_id\":1,\"bbox\":[1,2,%d.%05d,4]}", i ? "," : "", i, i, 3 + i % 2, i / 2);
    buffer_append_text(&text, "]}");
    test_file(&t, "d/a.json", buffer_text(&text));
    test_read(&t, "d");
    assert_int_equal(t.report.annotations, TIMES);
    buffer_clear(&text);
}

static void coco_rows_end_where_they_should(void **state) {
    (void)state;
    test_file(&t, "d/a.json", "{\"info\":{\"x\":[1,{\"y\":\"]\"}]},\"licenses\":[ ],\"images\":[\n {\"id\":1,\"file_name\":\"a,]}\\\".png\",\"width\":9,\"height\":9} , 7,[[]],null],"
                              "\"annot\\u0061tions\":[{\"image_id\":1,\"category_id\":1,\"bbox\":[1,2,3,4]}],\"annotations\":[{}],\"categories\":[{\"id\":1,\"name\":\"c\\\\\"}]}");
    assert_string_equal(test_read(&t, "d/a.json"), "coco\n/ a,]}\".png 9x9 none: #0 c\\ bbox 1,2,3,4\n"
                                                   "! a.json: image 1 has no id; its annotations cannot be found\n! a.json: image 2 has no id; its annotations cannot be found\n"
                                                   "! a.json: image 3 has no id; its annotations cannot be found\n! a.json: image 1 has no file_name; left out\n"
                                                   "! a.json: image 2 has no file_name; left out\n! a.json: image 3 has no file_name; left out\n");
    static const char *const TAILS[] = {"[1,]}", "[,1]}", "[1 2]}", "[{]}", "[{\"x\":1]}]}", "[}", "[\"]}", "[]", "[]}}", "[[]]]}", "[nul]}", "[{\"x\"}]}"};
    for (size_t i = 0; i < sizeof TAILS / sizeof *TAILS; i++) {
        Error why = {0};
        char *text = arena_printf(&t.arena, "{\"annotations\":[],\"images\":[{\"id\":1,\"file_name\":\"a.png\"}],\"categories\":%s", TAILS[i]);
        test_file(&t, "d/a.json", text);
        assert_null(json_parse(text, strlen(text), &why));
        assert_string_equal(test_read(&t, "d/a.json"), arena_printf(&t.arena, "coco\n! a.json: %s; left out\n", why.message));
    }
}

/* Python's json writes NaN and Infinity. */
static void coco_with_numbers_that_are_none(void **state) {
    (void)state;
    test_image(&t, "d/a.png", 9, 9);
    test_file(&t, "d/i.json",
              "{\"info\":{\"version\":NaN},\"images\":[{\"id\":1,\"file_name\":\"a.png\",\"width\":NaN,\"height\":Infinity},{\"id\":NaN,\"file_name\":\"b.png\"}],"
              "\"categories\":[{\"id\":1,\"name\":\"car\"},{\"id\":-Infinity,\"name\":\"bus\"}],\"annotations\":["
              "{\"id\":1,\"image_id\":1,\"category_id\":1,\"bbox\":[1,2,3,4],\"area\":NaN,\"score\":NaN,\"iscrowd\":NaN,\"segmentation\":NaN},"
              "{\"id\":2,\"image_id\":1,\"category_id\":1,\"bbox\":[1,NaN,3,4]},{\"id\":3,\"image_id\":1,\"category_id\":1,\"segmentation\":[[1,1,5,1,5,-Infinity]]},"
              "{\"id\":4,\"image_id\":1,\"category_id\":NaN,\"bbox\":[1,2,3,4]},{\"id\":NaN,\"image_id\":NaN,\"category_id\":1,\"bbox\":[1,2,3,4]}]}");
    assert_string_equal(test_read(&t, "d"),
                        "coco\n/ a.png 9x9 none: 1 car bbox 1,2,3,4\n/ b.png 0x0 none:\n"
                        "! i.json: category 1 has no name or no id; passed over\n"
                        "! i.json: image 1 has no id; its annotations cannot be found\n"
                        "! i.json: 1 annotations belong to no listed image; left out\n"
                        "! i.json: a.png, annotation 2 (car): box not made of numbers; left out\n"
                        "! i.json: a.png, annotation 3 (car): a segmentation of 6 numbers is no polygon; passed over\n"
                        "! i.json: a.png, annotation 3 (car): neither a box nor a shape; left out\n"
                        "! i.json: a.png, annotation 4: no category; left out\n"
                        "! i.json: image b.png is missing\n");
    assert_int_equal(t.report.left_out, 4);
}

static void coco_of_splits_and_folders_with_equal_names(void **state) {
    (void)state;
    test_image(&t, "d/images/train/1.png", 9, 9);
    test_image(&t, "d/images/val/1.png", 9, 9);
    test_image(&t, "d/data/x/2.png", 9, 9);
    test_image(&t, "d/data/y/2.png", 9, 9);
    test_file(&t, "d/annotations/instances_train.json", ONE_COCO("1.png", "\"category_id\":1,\"bbox\":[1,2,3,4]"));
    test_file(&t, "d/annotations/instances_val.json", ONE_COCO("1.png", "\"category_id\":1,\"bbox\":[4,3,2,1]"));
    test_file(&t, "d/labels.json", ONE_COCO("y/2.png", "\"category_id\":1,\"bbox\":[1,1,1,1]"));
    test_file(&t, "d/more.json", ONE_COCO("2.png", "\"category_id\":1,\"bbox\":[2,2,2,2]"));
    assert_string_equal(test_read(&t, "d"),
                        "coco\n/train 1.png 9x9 train: 1 car bbox 1,2,3,4\n/val 1.png 9x9 val: 1 car bbox 4,3,2,1\n/data/y 2.png 9x9 none: 1 car bbox 1,1,1,1\n"
                        "/ 2.png 9x9 none: 1 car bbox 2,2,2,2\n/data/x 2.png 9x9 none: -\n! more.json: image 2.png is missing\n");
}

static void coco_as_one_file(void **state) {
    (void)state;
    test_file(&t, "d/labels.json", "{\"images\":[{\"id\":1,\"file_name\":\"a.jpg\",\"width\":9,\"height\":9}],\"annotations\":[],\"categories\":[]}");
    test_file(&t, "d/more.json", "{\"images\":[{\"id\":1,\"file_name\":\"b.jpg\",\"width\":9,\"height\":9}],\"annotations\":[],\"categories\":[]}");
    assert_string_equal(test_read(&t, "d/labels.json"), "coco\n/ a.jpg 9x9 none:\n");
}

/* Many annotations of one image, those of others between them. */
static void coco_annotations_may_stand_anywhere(void **state) {
    (void)state;
    Buffer text;
    buffer_init(&text, 1 << 24);
    buffer_append_text(&text, "{\"images\":[{\"id\":\"a\",\"file_name\":\"a.png\"},{\"id\":7,\"file_name\":\"b.png\"}],\"annotations\":[");
    for (int i = 0; i < 9000; i++) buffer_printf(&text, "%s{\"id\":%d,\"image_id\":%s,\"category_id\":1,\"bbox\":[1,2,3,4]}", i ? ",\n" : "", i, i < 6000 && i != 3000 ? "\"a\"" : "7.0");
    buffer_append_text(&text, "],\"categories\":[{\"id\":1,\"name\":\"car\"}]}");
    test_file(&t, "d/a.json", buffer_text(&text));
    buffer_clear(&text);
    const char *told = test_read(&t, "d");
    assert_int_equal(t.report.annotations, 9000);
    assert_int_equal(t.report.left_out, 0);
    assert_non_null(strstr(told, "; 2999 car bbox 1,2,3,4; 3001 car bbox"));
    assert_non_null(strstr(told, "b.png 0x0 none: 3000 car bbox 1,2,3,4; 6000 car bbox"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(coco_with_its_oddities, set_up, tear_down),
        cmocka_unit_test_setup_teardown(coco_as_the_real_world_writes_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(coco_files_of_one_image_are_put_together, set_up, tear_down),
        cmocka_unit_test_setup_teardown(coco_that_lists_one_image_very_often, set_up, tear_down),
        cmocka_unit_test_setup_teardown(coco_rows_end_where_they_should, set_up, tear_down),
        cmocka_unit_test_setup_teardown(coco_with_numbers_that_are_none, set_up, tear_down),
        cmocka_unit_test_setup_teardown(coco_of_splits_and_folders_with_equal_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(coco_as_one_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(coco_annotations_may_stand_anywhere, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
