/* Units of the readers: each oddity that real datasets hold, as a small folder and the text that it is told as. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// clang-format off
#include <cmocka.h>
// clang-format on
#include <sys/stat.h>
#include <unistd.h>

#include "formats/image_size.h"
#include "formats/names.h"
#include "formats/test_data.h"
#include "formats/yaml.h"
#include "base/banned.h"

#define OBJECT(name, a, b, c, d)                                                                                                              \
    "<object><name>" name "</name><bndbox><xmin>" a "</xmin><ymin>" b "</ymin><xmax>" c "</xmax><ymax>" d "</ymax></bndbox></object>"
#define VOC(filename, objects) "<annotation><filename>" filename "</filename><size><width>100</width><height>80</height></size>" objects "</annotation>"

static void voc_with_splits_and_slips(void **state) {
    (void)state;
    test_image(&t, "d/JPEGImages/a.png", 100, 80);
    test_image(&t, "d/JPEGImages/b.png", 100, 80);
    test_image(&t, "d/JPEGImages/sub/c.png", 50, 40);
    test_image(&t, "d/JPEGImages/z.png", 50, 40);
    test_file(&t, "d/Annotations/a.xml", VOC("a.png", OBJECT("car", "1", "1", "100", "80") OBJECT("car", "5", "5", "5", "5") OBJECT("&lt;x&gt;", "95", "1", "140", "9")));
    test_file(&t, "d/Annotations/b.xml", VOC("renamed.png", OBJECT("bus", "9", "1", "4", "5") OBJECT("bus", "x", "1", "4", "5")
                                             "<object><bndbox/></object>" OBJECT("bus", "200", "1", "240", "5")));
    test_file(&t, "d/Annotations/sub/c.xml", "<annotation><filename>c</filename></annotation>");
    test_file(&t, "d/Annotations/sub/gone.xml", VOC("gone.jpg", ""));
    test_file(&t, "d/Annotations/gone.xml", VOC("gone.jpg", OBJECT("car", "2", "2", "3", "3")));
    test_file(&t, "d/Annotations/broken.xml", "<annotation><filename>");
    test_file(&t, "d/Annotations/evil.xml", "<!DOCTYPE a [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><annotation><filename>&e;</filename></annotation>");
    test_file(&t, "d/ImageSets/Main/train.txt", "a\nb\nmissing\n");
    test_file(&t, "d/ImageSets/Main/val.txt", "sub/c 1\r\n");
    test_file(&t, "d/ImageSets/Main/car_train.txt", "z 1\n");
    assert_string_equal(test_read(&t, "d"),
                        "pascal_voc\n"
                        "/ a.png 100x80 train: 1 car bbox 0,0,100,80; 3 <x> bbox 94,0,6,9\n"
                        "/ b.png 100x80 train:\n"
                        "/ gone.jpg 100x80 none: 1 car bbox 1,1,2,2\n"
                        "/sub c.png 50x40 val:\n"
                        "/sub gone.jpg 100x80 none:\n"
                        "/ z.png 50x40 none: -\n"
                        "! ImageSets/Main/train.txt: 1 of its images are missing\n"
                        "! Annotations/a.xml: object 2 (car): box of zero size (5, 5, 5, 5); left out\n"
                        "! Annotations/a.xml: object 3 (<x>): box reaches 40 pixels out of the image; cut\n"
                        "! Annotations/b.xml: object 1 (bus): box of zero size (9, 1, 4, 5); left out\n"
                        "! Annotations/b.xml: object 2 (bus): no box of four numbers; left out\n"
                        "! Annotations/b.xml: object 3 (without name): left out\n"
                        "! Annotations/b.xml: object 4 (bus): box outside the image; left out\n"
                        "! Annotations/broken.xml: not a sound XML file; left out\n"
                        "! Annotations/evil.xml: not a sound XML file; left out\n"
                        "! Annotations/gone.xml: its image gone.jpg is missing\n"
                        "! Annotations/sub/gone.xml: its image gone.jpg is missing\n");
    assert_int_equal(t.report.left_out, 5);
    DatasetReadOptions options = DATASET_READ_DEFAULTS;
    options.voc_zero_based = true;
    assert_non_null(strstr(test_read_with(&t, test_path(&t, "d"), options), "1 car bbox 1,1,99,79"));
}

static void voc_beside_the_images(void **state) {
    (void)state;
    test_image(&t, "d/train/a.png", 100, 80);
    test_file(&t, "d/train/a.xml", VOC("a.png", OBJECT("car", "2", "2", "3", "3")));
    test_image(&t, "d/val/a.png", 100, 80);
    test_file(&t, "d/val/a.xml", VOC("a.png", OBJECT("car", "4", "4", "5", "5")));
    assert_string_equal(test_read(&t, "d"), "pascal_voc\n/train a.png 100x80 train: 1 car bbox 1,1,2,2\n/val a.png 100x80 val: 1 car bbox 3,3,2,2\n");
}

static void yolo_with_its_oddities(void **state) {
    (void)state;
    test_image(&t, "d/train/images/a.png", 100, 80);
    test_image(&t, "d/valid/images/b.png", 200, 100);
    test_image(&t, "d/valid/images/empty.png", 200, 100);
    test_file(&t, "d/data.yaml", "# made by hand\ntrain: ../train/images\nval: ../valid/images\nnc: 2\nnames: ['it''s', \"b # b\"]  # two\nroboflow:\n  license: MIT\n");
    test_file(&t, "d/train/labels/a.txt", "0 0.5 0.5 0.5 0.5\n1 0.1 0.1 0.2 0.2 0.75\r\n\n2 0.5 0.5 0.1 0.1\n0 0.5 0.5 0 0.1\n0 0.95 0.5 0.3 0.5\nx 1 2 3 4\n0 0.1 0.2 0.3\n");
    test_file(&t, "d/valid/labels/b.txt", "1 0 0 1 0 1.5 1 0 1\n");
    test_file(&t, "d/valid/labels/empty.txt", "");
    test_file(&t, "d/valid/labels/gone.txt", "1 0.5 0.5 0.5 0.5\n");
    assert_string_equal(test_read(&t, "d"),
                        "yolo\n"
                        "/ a.png 100x80 train: 1 it's bbox 25,20,50,40; 2 b # b bbox 0,0,20,16; 6 it's bbox 80,20,20,40\n"
                        "/ b.png 200x100 val: 1 b # b polygon 0,0,200,100 (4)\n"
                        "/ empty.png 200x100 val:\n"
                        "! train/labels/a.txt: line 4: class 2, but there are only 2; left out\n"
                        "! train/labels/a.txt: line 5 (it's): box of zero size; left out\n"
                        "! train/labels/a.txt: line 6 (it's): box reaches 10 pixels out of the image; cut\n"
                        "! train/labels/a.txt: line 7: neither a box nor a polygon; left out\n"
                        "! train/labels/a.txt: line 8: neither a box nor a polygon; left out\n"
                        "! valid/labels/b.txt: line 1 (b # b): values outside 0..1; cut\n"
                        "! valid/labels/gone.txt: its image is missing; labels left out\n");
}

static void yolo_without_names(void **state) {
    (void)state;
    test_image(&t, "d/a.png", 100, 80);
    test_file(&t, "d/a.txt", "3 0.5 0.5 0.5 0.5\n");
    test_file(&t, "d/readme.txt", "some words\n");
    assert_string_equal(test_read(&t, "d"), "yolo\n/ a.png 100x80 none: 1 class 3 bbox 25,20,50,40\n"
                                            "! .: no names of classes (data.yaml, classes.txt); classes are named by their number\n");
    test_file(&t, "d/classes.txt", "zero\none\ntwo\nthree\n");
    assert_string_equal(test_read(&t, "d"), "yolo\n/ a.png 100x80 none: 1 three bbox 25,20,50,40\n");
}

static void yolo_says_which_texts_are_no_labels(void **state) {
    (void)state;
    Buffer outline;
    buffer_init(&outline, 1 << 12);
    buffer_append_text(&outline, "0");
    for (int i = 0; i < 30; i++) buffer_printf(&outline, " %de-2 0.%d", i, i % 2 ? 25 : 75); /* longer than what is looked at, and cut within an exponent */
    for (const char *name = "abcdefg"; *name; name++) test_image(&t, arena_printf(&t.arena, "d/%c.png", *name), 100, 80);
    test_file(&t, "d/a.txt", buffer_text(&outline));
    test_file(&t, "d/b.txt", "\xef\xbb\xbf" "1 0.5 0.5 0.5 0.5\r\n");
    test_file(&t, "d/c.txt", "\n\n1 0.5 0.5 0.5 0.5\n");
    test_file(&t, "d/d.txt", "car 0.5 0.5 0.5 0.5\n");
    test_file(&t, "d/e.txt", "1 50 40 50 40\n");
    test_file(&t, "d/f.txt", "");
    test_file(&t, "d/notes.txt", "some words\n");
    test_file(&t, "d/classes.txt", "\xef\xbb\xbf" "car\r\nbus\r\n");
    assert_string_equal(test_read(&t, "d"),
                        "yolo\n/ a.png 100x80 none: 1 car polygon 0,20,29,40 (30)\n/ b.png 100x80 none: 1 bus bbox 25,20,50,40\n"
                        "/ c.png 100x80 none: 3 bus bbox 25,20,50,40\n/ f.png 100x80 none:\n/ d.png 100x80 none: -\n/ e.png 100x80 none: -\n/ g.png 100x80 none: -\n"
                        "! d.txt: its first line is neither a box nor a polygon; the file is left out\n"
                        "! e.txt: its first line is neither a box nor a polygon; the file is left out\n");
    buffer_clear(&outline);
}

static void yolo_labels_of_which_nothing_is_left_label_nothing(void **state) {
    (void)state;
    for (const char *name = "abc"; *name; name++) test_image(&t, arena_printf(&t.arena, "d/images/%c.png", *name), 100, 80);
    test_file(&t, "d/labels/a.txt", "some words\n");
    test_file(&t, "d/labels/b.txt", "0 150 40 50 40\n");
    test_file(&t, "d/labels/c.txt", " \n\n");
    test_file(&t, "d/data.yaml", "train: images\nnames: [car]\n");
    assert_string_equal(test_read(&t, "d"), "yolo\n/ a.png 100x80 train: -\n/ b.png 100x80 train: -\n/ c.png 100x80 train:\n"
                                            "! labels/a.txt: line 1: neither a box nor a polygon; left out\n! labels/b.txt: line 1 (car): box outside the image; left out\n");
    assert_int_equal(t.report.labelled_images, 1);
}

static void yolo_of_skeletons_gives_their_boxes(void **state) {
    (void)state;
    test_image(&t, "d/images/train/a.png", 100, 80);
    test_image(&t, "d/images/val/b.png", 100, 80);
    test_file(&t, "d/data.yaml", "train: images/train\nval: images/val\nkpt_shape: [2, 3]\nnames:\n  0: person\n");
    test_file(&t, "d/labels/train/a.txt", "0 0.5 0.5 0.5 0.5 0.1 0.1 2 0.2 0.2 2\n");
    test_file(&t, "d/labels/val/b.txt", "0 0.5 0.5 0.5 0.5 0.1 0.1 2\n");
    assert_string_equal(test_read(&t, "d"), "yolo\n/train a.png 100x80 train: 1 person bbox 25,20,50,40\n/val b.png 100x80 val: -\n"
                                            "! data.yaml: keypoints of skeletons are not read; their boxes are\n"
                                            "! labels/val/b.txt: line 1: neither a box nor a polygon; left out\n");
}

static void images_of_one_name_keep_the_folders_that_tell_them_apart(void **state) {
    (void)state;
    test_image(&t, "d/train/images/1.png", 100, 80);
    test_image(&t, "d/valid/images/1.png", 100, 80);
    test_file(&t, "d/data.yaml", "train: train.txt\nval: ../valid/images\nnames: [car, bus]\n");
    test_file(&t, "d/train.txt", "\xef\xbb\xbf./train/images/1.png\r\nC:\\gone\\9.png\r\n");
    test_file(&t, "d/train/labels/1.txt", "0 0.5 0.5 0.5 0.5\n");
    test_file(&t, "d/valid/labels/1.txt", "1 0.5 0.5 0.5 0.5\n");
    assert_string_equal(test_read(&t, "d"), "yolo\n/train 1.png 100x80 train: 1 car bbox 25,20,50,40\n/valid 1.png 100x80 val: 1 bus bbox 25,20,50,40\n"
                                            "! train.txt: 1 of its images are missing\n");
}

static bool knows_size(void *context, const char *folder, const char *filename, uint32_t *width, uint32_t *height) {
    (void)context;
    *width = *height = 10;
    return strcmp(folder, "/") == 0 && strcmp(filename, "gone") == 0;
}

static void yolo_sizes_that_the_caller_knows(void **state) {
    (void)state;
    test_file(&t, "d/labels/gone.txt", "0 0.5 0.5 0.5 0.5\n");
    DatasetReadOptions options = DATASET_READ_DEFAULTS;
    options.size_of = knows_size;
    assert_non_null(strstr(test_read_with(&t, test_path(&t, "d"), options), "/ gone 10x10 none: 1 class 0 bbox 2.5,2.5,5,5\n"));
}

static void labels_alone_find_images_that_are_elsewhere(void **state) {
    (void)state;
    NameList absent = {.arena = &t.arena};
    name_list_add(&absent, "photos/gone.jpg");
    test_file(&t, "d/labels/gone.txt", "0 0.5 0.5 0.5 0.5\n");
    DatasetReadOptions options = DATASET_READ_DEFAULTS;
    options.absent = &absent;
    assert_non_null(strstr(test_read_with(&t, test_path(&t, "d"), options), "the size of its image cannot be told"));
    test_file(&t, "d/photos/gone.xml", VOC("gone.jpg", OBJECT("car", "1", "1", "4", "6")));
    assert_non_null(strstr(test_read_with(&t, test_path(&t, "d/photos"), options), "/photos gone.jpg 100x80 none: 1 car bbox 0,0,4,6\n"));
    test_image(&t, "d/photos/other.png", 100, 80); /* a folder with images of its own looks nowhere else */
    assert_null(strstr(test_read_with(&t, test_path(&t, "d/photos"), options), "/photos gone.jpg"));
}

static void cvat_with_its_oddities(void **state) {
    (void)state;
    test_image(&t, "d/images/a.png", 100, 80);
    test_image(&t, "d/images/x/b.png", 20, 10);
    test_image(&t, "d/images/unlisted.png", 20, 10);
    test_file(&t, "d/annotations.xml",
              "<?xml version=\"1.0\"?><annotations><version>1.1</version><meta><job><labels><label><name>Stra\303\237e &amp; more</name><color>#ff0000</color></label>"
              "<label><name> </name></label></labels></job></meta>"
              "<image id=\"0\" name=\"a.png\" width=\"100\" height=\"80\" subset=\"Validation\">"
              "<tag label=\"day\"/><box label=\"car\" xtl=\"1\" ytl=\"2\" xbr=\"4\" ybr=\"6\"><attribute name=\"n\">5</attribute></box>"
              "<box label=\"car\" xtl=\"1\" ytl=\"2\" xbr=\"1\" ybr=\"6\"/><box label=\"car\" xtl=\"1\" ytl=\"2\" xbr=\"1\"/>"
              "<box label=\"car\" xtl=\"10\" ytl=\"10\" xbr=\"30\" ybr=\"20\" rotation=\"90\"/>"
              "<polygon label=\"Stra\303\237e &amp; more\" points=\"0.00,0.00;10.00,0.00;10.00,10.00\"/><polygon label=\"car\" points=\"1,1;2,2\"/>"
              "<polygon label=\"car\" points=\"1,1;2,2;x\"/><polyline label=\"car\" points=\"1,1;5,9\"/><points label=\"car\" points=\"7,8;9,9\"/>"
              "<ellipse label=\"car\" cx=\"50\" cy=\"40\" rx=\"10\" ry=\"5\"/><mask label=\"car\" rle=\"1, 2, 1, 2\" left=\"10\" top=\"20\" width=\"3\" height=\"2\"/>"
              "<mask label=\"car\" rle=\"1,2\" left=\"0\" top=\"0\" width=\"3\" height=\"2\"/><cuboid label=\"car\"/><skeleton label=\"car\"><points label=\"car\" points=\"7,8\"/></skeleton>"
              "<box xtl=\"1\" ytl=\"2\" xbr=\"4\" ybr=\"6\"/></image>"
              "<track id=\"0\" label=\"car\"><box frame=\"0\" xtl=\"1\" ytl=\"2\" xbr=\"4\" ybr=\"6\"/></track><track/>"
              "<image id=\"1\" name=\"x/b.png\"/><image id=\"2\" name=\"a.png\"/><image id=\"3\" name=\"../../etc/passwd.png\"/><image/>"
              "<image id=\"4\" name=\"gone.png\" width=\"5\" height=\"5\"/></annotations>");
    assert_string_equal(test_read(&t, "d"),
                        "cvat\n"
                        "/x b.png 20x10 none:\n"
                        "/ a.png 100x80 val: 2 car bbox 1,2,3,4; 5 car polygon 15,5,10,20 (4); 6 Stra\303\237e & more polygon 0,0,10,10 (3); 9 car polyline 1,1,4,8; "
                        "10 car keypoint 0,0,0,0; 10.2 car keypoint 0,0,0,0; 11 car polygon 40,35,20,10 (36); 12 car polygon 11,20,2,2 (4)\n"
                        "/ passwd.png 0x0 none:\n"
                        "/ gone.png 5x5 none:\n"
                        "/ unlisted.png 20x10 none: -\n"
                        "! annotations.xml: a.png, shape 1 (day): a tag; left out\n"
                        "! annotations.xml: a.png, shape 3 (car): box of zero size; left out\n"
                        "! annotations.xml: a.png, shape 4 (car): a box that is not sound; left out\n"
                        "! annotations.xml: a.png, shape 7 (car): a polygon that is not sound; left out\n"
                        "! annotations.xml: a.png, shape 8 (car): a polygon that is not sound; left out\n"
                        "! annotations.xml: a.png, shape 13 (car): a mask that is not sound; left out\n"
                        "! annotations.xml: a.png, shape 14 (car): a cuboid; left out\n"
                        "! annotations.xml: a.png, shape 15 (car): a skeleton; left out\n"
                        "! annotations.xml: a.png, shape 16 (without label): left out\n"
                        "! annotations.xml: a track of a video (car): not read; left out\n"
                        "! annotations.xml: a track of a video (without label): not read; left out\n"
                        "! annotations.xml: image ../../etc/passwd.png is missing\n"
                        "! annotations.xml: an image has no name; left out\n"
                        "! annotations.xml: image gone.png is missing\n"
                        "! annotations.xml: 1 of its images are listed before: 0 of their annotations are added there, 0 are there already\n");
    assert_string_equal(t.report.classes[0].color, "#ff0000");
    assert_int_equal(t.report.left_out, 10);
}

/* Boxes, see above; what reaches out of its image is kept as it is. */
static void shapes_outside_their_image_are_left_out(void **state) {
    (void)state;
    test_file(&t, "d/annotations.xml",
              "<annotations><version>1.1</version><image id=\"0\" name=\"a.png\" width=\"9\" height=\"8\">"
              "<polygon label=\"c\" points=\"20,1;30,1;30,5\"/><polyline label=\"c\" points=\"-5,1;-1,5\"/><points label=\"c\" points=\"4,9;9,8;4,-1\"/>"
              "<polygon label=\"c\" points=\"5,1;30,1;30,5\"/><polyline label=\"c\" points=\"-5,1;2,1\"/><spline label=\"c\"/></image></annotations>");
    assert_string_equal(test_read(&t, "d"), "cvat\n/ a.png 9x8 none: 3.2 c keypoint 0,0,0,0; 4 c polygon 5,1,25,4 (3); 5 c polyline -5,1,7,1\n"
                                            "! annotations.xml: a.png, shape 1 (c): polygon outside the image; left out\n"
                                            "! annotations.xml: a.png, shape 2 (c): line outside the image; left out\n"
                                            "! annotations.xml: a.png, shape 3 (c): point outside the image; left out\n"
                                            "! annotations.xml: a.png, shape 3 (c): point outside the image; left out\n"
                                            "! annotations.xml: a.png, shape 6 (c): a spline; left out\n");
    assert_int_equal(t.report.left_out, 5);
}

/* As of COCO: what several files say of an image is put together, what two say the same is there once. */
static void files_of_one_image_are_put_together(void **state) {
    (void)state;
    test_image(&t, "d/images/a.png", 100, 80);
    test_image(&t, "d/images/b.png", 100, 80);
    test_image(&t, "d/other/a.png", 100, 80);
    test_file(&t, "d/1.csv", "filename,width,height,annotation_id,name,x,y,w,h\na.png,100,80,7,car,1,2,3,4\na.png,100,80,8,car,1,2,3,4\nb.png,,,1,car,1,1,1,1\n");
    test_file(&t, "d/2.csv", "filename,width,height,annotation_id,name,x,y,w,h\na.png,50,80,7,car,1,2,3,4\na.png,50,80,7,bus,9,9,300,9\nimages/a.png,,,7,bus,5,5,5,5\n");
    test_file(&t, "d/other/3.csv", "filename,name,x,y,w,h\na.png,van,1,2,3,4\n");
    assert_string_equal(test_read(&t, "d"),
                        "csv\n/ a.png 100x80 none: 7 car bbox 1,2,3,4; 8 car bbox 1,2,3,4; 7#3 bus bbox 9,9,91,9; 7#3#3 bus bbox 5,5,5,5\n"
                        "/ b.png 100x80 none: 1 car bbox 1,1,1,1\n/other a.png 100x80 none: line 2 van bbox 1,2,3,4\n"
                        "! 2.csv: a.png is 100x80, but its labels are for 50x80: they may lie wrong\n"
                        "! 2.csv: line 3 (bus): box reaches 209 pixels out of the image; cut\n"
                        "! 2.csv: 2 of its images are listed before: 2 of their annotations are added there, 1 are there already\n");
    assert_int_equal(t.report.annotations, 6);
    test_file(&t, "d/other/4.csv", "filename,name,x,y,w,h\n"); /* a table without lines */
    assert_non_null(strstr(test_read(&t, "d"), "/other a.png 100x80 none: line 2 van bbox 1,2,3,4\n"));
    test_file(&t, "c/1.xml", "<annotations><version>1.1</version><image name=\"a.png\" width=\"100\" height=\"80\"><box label=\"car\" xtl=\"1\" ytl=\"2\" xbr=\"4\" ybr=\"6\"/>"
                             "<points label=\"car\" points=\"7,8\"/></image><image name=\"b.png\" width=\"9\" height=\"9\"/></annotations>");
    test_file(&t, "c/2.xml", "<annotations><version>1.1</version><image name=\"b.png\" width=\"9\" height=\"9\"><box label=\"bus\" xtl=\"1\" ytl=\"2\" xbr=\"4\" ybr=\"6\"/></image>"
                             "<image name=\"a.png\" width=\"50\" height=\"80\"><points label=\"car\" points=\"7,8;8,8\"/><box label=\"car\" xtl=\"1\" ytl=\"2\" xbr=\"4\" ybr=\"6\"/></image></annotations>");
    test_file(&t, "c/3.xml", "<annotations><version>1.1</version><image name=\"b.png\"><box label=\"van\" xtl=\"2\" ytl=\"2\" xbr=\"4\" ybr=\"6\"/></image><image name=\"b.png\"><box <");
    test_image(&t, "c/images/a.png", 100, 80);
    test_image(&t, "c/images/b.png", 9, 9);
    assert_string_equal(test_read(&t, "c"),
                        "cvat\n/ a.png 100x80 none: 1 car bbox 1,2,3,4; 2 car keypoint 0,0,0,0; 3.2 car keypoint 0,0,0,0\n/ b.png 9x9 none: 1 bus bbox 1,2,3,4; 2 van bbox 2,2,2,4\n"
                        "! 2.xml: a.png is 100x80, but its labels are for 50x80: they may lie wrong\n"
                        "! 2.xml: 2 of its images are listed before: 2 of their annotations are added there, 2 are there already\n"
                        "! 3.xml: not a sound XML file; what comes after its fault is left out\n"
                        "! 3.xml: 2 of its images are listed before: 1 of their annotations are added there, 0 are there already\n");
    assert_int_equal(t.report.annotations, 5);
}

static void cvat_that_breaks_off(void **state) {
    (void)state;
    static const char HEAD[] = "<annotations><version>1.1</version><image id=\"0\" name=\"a.png\" width=\"9\" height=\"9\"><box label=\"c\" xtl=\"1\" ytl=\"2\" xbr=\"4\" ybr=\"6\"/>";
    test_file(&t, "d/annotations.xml", HEAD);
    assert_string_equal(test_read(&t, "d"), "cvat\n/ a.png 9x9 none: 1 c bbox 1,2,3,4\n! annotations.xml: not a sound XML file; what comes after its fault is left out\n");
    test_file(&t, "d/annotations.xml", arena_printf(&t.arena, "<!DOCTYPE a [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>%s</image></annotations>", HEAD));
    assert_string_equal(test_read(&t, "d"), "cvat\n! annotations.xml: not a sound XML file; what comes after its fault is left out\n");
}

#define SHAPE(label, type, group, points) "{\"label\":\"" label "\",\"points\":[" points "],\"group_id\":" group ",\"shape_type\":\"" type "\",\"flags\":{}}"

static void labelme_with_its_oddities(void **state) {
    (void)state;
    test_image(&t, "d/images/a.png", 100, 80);
    test_image(&t, "d/images/b.png", 20, 10);
    test_image(&t, "d/images/plain.png", 20, 10);
    test_file(&t, "d/images/a.json",
              "{\"version\":\"5.5.0\",\"flags\":null,\"shapes\":["
              SHAPE("car", "rectangle", "null", "[4,6],[1,2]") "," SHAPE("car", "polygon", "1", "[0,0],[8,0],[8,8]") "," SHAPE("car", "polygon", "1", "[20,0],[28,0],[28,8]") ","
              SHAPE("bus", "polygon", "1", "[0,0],[10,0],[10,10],[0,10]") "," SHAPE("bus", "polygon", "1", "[5,5],[15,5],[15,15],[5,15]") ","
              SHAPE("car", "circle", "null", "[50,40],[60,40]") "," SHAPE("car", "linestrip", "null", "[1,1],[5,9]") "," SHAPE("car", "line", "null", "[1,1]") ","
              SHAPE("car", "point", "null", "[7,8]") "," SHAPE("car", "points", "null", "[7,8],[9,9]") "," SHAPE("car", "mask", "null", "[10,10],[20,30]") ","
              SHAPE("car", "blob", "null", "[7,8]") "," SHAPE("", "point", "null", "[7,8]") "," SHAPE("car", "polygon", "null", "[7,\"8\"]") ","
              SHAPE("car", "rotation", "null", "[5,0],[10,5],[5,10],[0,5]") "," SHAPE("car", "polygon", "NaN", "[0,0],[8,0],[8,NaN]") ","
              "{\"label\":\"old\",\"points\":[[1,1],[3,1],[3,3]]}],"
              "\"imagePath\":\"a.png\",\"imageData\":null,\"imageHeight\":80,\"imageWidth\":100}");
    test_file(&t, "d/json/b.json", "{\"shapes\":[],\"imagePath\":\"..\\\\images\\\\b.png\",\"imageData\":null}");
    test_file(&t, "d/json/gone.json", "{\"shapes\":[],\"imagePath\":\"gone.jpg\",\"imageHeight\":5,\"imageWidth\":6}");
    test_file(&t, "d/json/broken.json", "{\"shapes\":[");
    test_file(&t, "d/json/other.json", "{\"name\":1}");
    assert_string_equal(test_read(&t, "d"),
                        "labelme\n"
                        "/images a.png 100x80 none: 1 car bbox 1,2,3,4; 2 car polygon 0,0,28,8 (3+3); 4 bus polygon 0,0,15,15 (8); 6 car polygon 40,30,20,20 (36); "
                        "7 car polyline 1,1,4,8; 9 car keypoint 0,0,0,0; 10 car keypoint 0,0,0,0; 10.2 car keypoint 0,0,0,0; 11 car bbox 10,10,10,20; "
                        "15 car polygon 0,0,10,10 (4); 17 old polygon 1,1,2,2 (3)\n"
                        "/images b.png 20x10 none:\n"
                        "/json gone.jpg 6x5 none:\n"
                        "/images plain.png 20x10 none: -\n"
                        "! images/a.json: shape 8 (car): not a line of two points or more; left out\n"
                        "! images/a.json: shape 11 (car): a mask; its box is taken\n"
                        "! images/a.json: shape 12 (car): of the unknown type blob; left out\n"
                        "! images/a.json: shape 13 (): left out\n"
                        "! images/a.json: shape 14 (car): a polygon that is not sound; left out\n"
                        "! images/a.json: shape 16 (car): a polygon that is not sound; left out\n"
                        "! json/broken.json: Not valid JSON at line 1, column 12: unexpected end of data; left out\n"
                        "! json/gone.json: its image gone.jpg is missing\n"
                        "! json/other.json: a JSON file, but not of LabelMe; passed over\n");
}

/* ASCII, "~" for U+00E9 and "^" for U+1F600, as a file of UTF-16 with its mark. */
static void utf16_file(const char *name, const char *text, bool big) {
    Buffer bytes;
    buffer_init(&bytes, 1 << 16);
    buffer_append(&bytes, big ? "\xfe\xff" : "\xff\xfe", 2);
    for (; *text; text++) {
        unsigned units[2] = {*text == '~' ? 0xe9 : *text == '^' ? 0xd83d : (unsigned char)*text, 0xde00};
        for (int i = 0; i < (*text == '^' ? 2 : 1); i++) buffer_append(&bytes, big ? (char[]){(char)(units[i] >> 8), (char)units[i]} : (char[]){(char)units[i], (char)(units[i] >> 8)}, 2);
    }
    test_file_bytes(&t, name, bytes.data, bytes.size);
    buffer_clear(&bytes);
}

static void texts_may_be_utf16(void **state) {
    (void)state;
#define CAFE "caf\xc3\xa9 \xf0\x9f\x98\x80"
    for (int big = 0; big < 2; big++) {
        test_image(&t, "csv/a.png", 90, 90), test_image(&t, "coco/a.png", 90, 90), test_image(&t, "voc/a.png", 90, 90), test_image(&t, "cvat/a.png", 90, 90);
        test_image(&t, "labelme/a.png", 90, 90), test_image(&t, "yolo/images/a.png", 100, 100);
        utf16_file("csv/a.csv", "", big);
        assert_string_equal(test_read(&t, "csv"), "images\n/ a.png 90x90 none: -\n! a.csv: no labels of a known format\n");
        utf16_file("csv/a.csv", "filename,name,x,y,w,h\r\na.png,caf~ ^,1,2,3,4\r\n", big);
        assert_string_equal(test_read(&t, "csv"), "csv\n/ a.png 90x90 none: line 2 " CAFE " bbox 1,2,3,4\n");
        utf16_file("coco/a.json", ONE_COCO("a.png", "\"category_id\":1,\"bbox\":[1,2,3,4]"), big);
        assert_string_equal(test_read(&t, "coco"), "coco\n/ a.png 90x90 none: 1 car bbox 1,2,3,4\n! a.json: a.png is 90x90, but its labels are for 9x9: they may lie wrong\n");
        utf16_file("voc/a.xml", "<?xml version=\"1.0\" encoding=\"UTF-16\"?><annotation><filename>a.png</filename><object><name>caf~ ^</name><bndbox><xmin>1</xmin><ymin>2</ymin>"
                                "<xmax>3</xmax><ymax>4</ymax></bndbox></object></annotation>", big);
        assert_string_equal(test_read(&t, "voc"), "pascal_voc\n/ a.png 90x90 none: 1 " CAFE " bbox 0,1,3,3\n");
        utf16_file("cvat/a.xml", "<?xml version=\"1.0\" encoding=\"utf-16\"?><annotations><version>1.1</version><image id=\"0\" name=\"a.png\" width=\"90\" height=\"90\">"
                                 "<box label=\"caf~ ^\" xtl=\"1\" ytl=\"2\" xbr=\"4\" ybr=\"6\"/></image></annotations>", big);
        assert_string_equal(test_read(&t, "cvat"), "cvat\n/ a.png 90x90 none: 1 " CAFE " bbox 1,2,3,4\n");
        utf16_file("labelme/a.json", "{\"imagePath\":\"a.png\",\"shapes\":[{\"label\":\"caf~ ^\",\"shape_type\":\"rectangle\",\"points\":[[1,2],[4,6]]}]}", big);
        assert_string_equal(test_read(&t, "labelme"), "labelme\n/ a.png 90x90 none: 1 " CAFE " bbox 1,2,3,4\n");
        utf16_file("yolo/classes.txt", "caf~ ^\r\n", big);
        utf16_file("yolo/images/a.txt", "0 0.5 0.5 0.5 0.5\r\n", big);
        assert_string_equal(test_read(&t, "yolo"), "yolo\n/ a.png 100x100 none: 1 " CAFE " bbox 25,25,50,50\n");
    }
    /* halves of pairs become U+FFFD, half a letter at the end goes */
    static const char HALVES[] = "\xff\xfe" "f\0i\0l\0e\0n\0a\0m\0e\0,\0n\0a\0m\0e\0,\0x\0,\0y\0,\0w\0,\0h\0\n\0" "a\0.\0p\0n\0g\0,\0\x3d\xd8z\0\0\xde,\0" "1\0,\0" "2\0,\0" "3\0,\0" "4\0" "5";
    test_file_bytes(&t, "csv/a.csv", HALVES, sizeof HALVES - 1);
    assert_string_equal(test_read(&t, "csv"), "csv\n/ a.png 90x90 none: line 2 \xef\xbf\xbdz\xef\xbf\xbd bbox 1,2,3,4\n");
}

/* Long texts are read piece by piece: wherever the pieces of this one end, it says the same. `hole` marks where it becomes longer by `filling`. */
static void same_wherever_it_is_cut(const char *name, const char *text, char filling) {
    enum { PIECE = 1 << 17 };
    const char *hole = strchr(text, '$');
    size_t before = (size_t)(hole - text), after = strlen(hole + 1);
    char *told = NULL, *long_text = xmalloc(before + PIECE + after);
    for (size_t shift = 0; shift <= after; shift++) {
        size_t size = shift ? PIECE - before - after + shift - 1 : 1;
        memcpy(long_text, text, before);
        memset(long_text + before, filling, size);
        memcpy(long_text + before + size, hole + 1, after);
        FILE *file = fopen(test_path(&t, name), "w");
        if (!file || fwrite(long_text, 1, before + size + after, file) != before + size + after || fclose(file) != 0) fail_msg("%s", name);
        const char *now = test_read(&t, "d");
        if (!told) told = arena_strdup(&t.arena, now);
        assert_string_equal(now, told);
    }
    assert_non_null(strstr(told, "car"));
    free(long_text);
}

static void long_texts_are_read_in_pieces(void **state) {
    (void)state;
    test_image(&t, "d/a.png", 90, 90);
    test_image(&t, "d/b.png", 90, 90);
    same_wherever_it_is_cut("d/a.csv", "junk,filename,name,x,y,w,h\n$,a.png,car,1,2,3,4\r\n,b.png,\"c \"\"a\"\"\n\",5,6,7,8\r\n\r\n,a.png,bus,9,8,7,6\r\n,\"b.png\",car,1,1,1,1", 'x');
    file_remove_tree(test_path(&t, "d/a.csv"), NULL);
    same_wherever_it_is_cut("d/a.json", "{$\"annotations\" : [ {\"id\":1,\"image_id\":5,\"category_id\":1,\"bbox\":[1,2,3,4]}, {\"id\":1,\"image_id\":5,\"category_id\":2,\"bbox\":[1,2,3,4]},"
                            "{\"image_id\":\"4\",\"category_id\":1,\"bbox\":[5,2,3,4],\"x\":\"]\\\\\\\",\"},{\"image_id\":5,\"category_id\":1,\"bbox\":[7,2,3,4]}],"
                            "\"images\":[{\"id\":4,\"file_name\":\"b.png\"},{\"id\":5,\"file_name\":\"a.png\"}],\"categories\":[{\"id\":1,\"name\":\"car\"},{\"id\":2,\"name\":\"b,]\\\"s\"}]}", ' ');
    same_wherever_it_is_cut("d/a.json", "{\"images\":[{\"id\":4,\"x\":\"$\",\"file_name\":\"b.png\"}],\"annotations\":[{\"image_id\":4,\"category_id\":1,\"bbox\":[1,2,3,4]}],"
                            "\"categories\":[{\"id\":1,\"name\":\"car\"}]}", 'x');
    assert_string_equal(test_read(&t, "d"), "coco\n/ b.png 90x90 none: #0 car bbox 1,2,3,4\n/ a.png 90x90 none: -\n");
}

static void csv_with_its_oddities(void **state) {
    (void)state;
    test_image(&t, "d/images/a, \"b\".png", 100, 80);
    test_image(&t, "d/images/x/a.png", 20, 10);
    test_file(&t, "d/annotations.csv",
              "\xef\xbb\xbf" "Filename,width,height,class,xmin,ymin,xmax,ymax,unknown,split\r\n"
              "\"a, \"\"b\"\".png\",100,80,\"a\nclass\",1,2,4,6,zz,val\r\n"
              "x/a.png,,,'=cmd,1,2,4,6\n"
              "\"a, \"\"b\"\".png\",,,'quoted,1,2,400,6,,train\n"
              "\n"
              "x/a.png,,,car,1,2,1,6\r"
              "x/a.png,,,car,1,2,q,6\n"
              "x/a.png,,,,1,2,3,6\n"
              ",,,car,1,2,3,6\n"
              "../../etc/passwd.png,,,car,1,2,3,6\n"
              "gone.png,9,9,,,,,");
    assert_string_equal(test_read(&t, "d"),
                        "csv\n"
                        "/ a, \"b\".png 100x80 val: line 2 a\nclass bbox 1,2,3,4; line 5 'quoted bbox 1,2,99,4\n"
                        "/x a.png 20x10 none: line 4 =cmd bbox 1,2,3,4\n"
                        "/ passwd.png 0x0 none: line 11 car bbox 1,2,2,4\n"
                        "/ gone.png 9x9 none:\n"
                        "! annotations.csv: line 10: names no image; left out\n"
                        "! annotations.csv: line 5 ('quoted): box reaches 300 pixels out of the image; cut\n"
                        "! annotations.csv: line 7 (car): box of zero size; left out\n"
                        "! annotations.csv: line 8 (car): no box of four numbers; left out\n"
                        "! annotations.csv: line 9: no class; left out\n"
                        "! annotations.csv: image ../../etc/passwd.png is missing\n"
                        "! annotations.csv: image gone.png is missing\n");
    assert_int_equal(t.report.left_out, 4);
    test_file(&t, "d/annotations.csv", "image_path;class_name;x_min;y_min;x_max;y_max\nx/a.png;car, red;1;2;4;6\n");
    assert_non_null(strstr(test_read(&t, "d"), "/x a.png 20x10 none: line 2 car, red bbox 1,2,3,4\n"));
    test_file(&t, "d/annotations.csv", "image\tlabel\tx\ty\tw\th\nx/a.png\tcar, \"red\"; old\t1\t2\t3\t4\n\t\t\t\t\t\n");
    assert_non_null(strstr(test_read(&t, "d"), "/x a.png 20x10 none: line 2 car, \"red\"; old bbox 1,2,3,4\n"));
}

static void what_is_passed_over_is_named(void **state) {
    (void)state;
    test_image(&t, "d/a.png", 100, 80);
    test_image(&t, "d/\xe9.png", 100, 80);
    test_image(&t, "d/new\nline.png", 100, 80);
    test_image(&t, "elsewhere/b.png", 100, 80);
    if (symlink("../elsewhere", test_path(&t, "d/linked")) || symlink("nowhere.png", test_path(&t, "d/lost.png")) || symlink("../elsewhere/b.png", test_path(&t, "d/b.png"))) abort();
    const char *told = test_read(&t, "d");
    assert_non_null(strstr(told, "/ a.png 100x80 none: -\n/ b.png 100x80 none: -\n!"));
    assert_non_null(strstr(told, "! ?.png: a name that cannot be used; passed over\n"));
    assert_non_null(strstr(told, "! new?line.png: a name that cannot be used; passed over\n"));
    assert_non_null(strstr(told, "! linked: a link to a folder, which is not followed\n"));
    assert_non_null(strstr(told, "! lost.png: a link that leads nowhere; passed over\n"));
    assert_int_equal(t.report.warning_total, 4);
}

static void folders_that_cannot_be_opened_are_named(void **state) {
    (void)state;
    enum { NOBODY = 65534 };
    test_image(&t, "d/a.png", 100, 80);
    test_image(&t, "d/closed/b.png", 100, 80);
    bool is_root = geteuid() == 0; /* who opens every folder */
    if (chmod(test_path(&t, "."), 0755) || chmod(test_path(&t, "d"), 0755) || chmod(test_path(&t, "d/a.png"), 0644) || chmod(test_path(&t, "d/closed"), 0)) abort();
    if (is_root && seteuid(NOBODY)) abort();
    assert_string_equal(test_read(&t, "d"), "images\n/ a.png 100x80 none: -\n! closed: a folder that cannot be opened; passed over\n");
    if (is_root && seteuid(0)) abort();
    if (chmod(test_path(&t, "d/closed"), 0700)) abort();
}

static void labels_for_another_size_are_doubted(void **state) {
    (void)state;
    test_image(&t, "d/a.png", 50, 40);
    test_image(&t, "d/b.png", 80, 100);
    test_image(&t, "d/c.png", 100, 80);
    test_file(&t, "d/a.xml", VOC("a.png", OBJECT("car", "1", "1", "60", "40")));
    test_file(&t, "d/b.xml", VOC("b.png", ""));
    test_file(&t, "d/c.xml", VOC("c.png", ""));
    assert_string_equal(test_read(&t, "d"), "pascal_voc\n/ a.png 50x40 none: 1 car bbox 0,0,50,40\n/ b.png 80x100 none:\n/ c.png 100x80 none:\n"
                                            "! a.xml: a.png is 50x40, but its labels are for 100x80: they may lie wrong\n"
                                            "! a.xml: object 1 (car): box reaches 10 pixels out of the image; cut\n"
                                            "! b.xml: b.png is 80x100, but its labels are for 100x80 (turned, perhaps by EXIF): they may lie wrong\n");
}

static void what_datasets_download_wrote(void **state) {
    (void)state;
    const char *box = "[\n  {\"id\": \"1\", \"name\": \"car\", \"type\": \"bbox\", \"bounding_box\": {\"x\": 1, \"y\": 2, \"w\": 3, \"h\": 4}}\n]\n";
    test_image(&t, "d/images/a.png", 100, 80);
    test_image(&t, "d/b/a.png", 100, 80);
    test_image(&t, "d/plain.png", 100, 80);
    test_file(&t, "d/images/a.png.json", box);
    test_file(&t, "d/b/a.png.json", "[]");
    test_file(&t, "d/b/gone.png.json", box);
    test_file(&t, "d/b/list.json", "[1]");
    assert_string_equal(test_read(&t, "d"), "pictograph\n/b a.png 100x80 none:\n/b gone.png 0x0 none: 1 car bbox 1,2,3,4\n"
                                            "/images a.png 100x80 none: 1 car bbox 1,2,3,4\n/ plain.png 100x80 none: -\n");
}

static void other_formats_in_the_folder_are_said(void **state) {
    (void)state;
    test_image(&t, "d/a.png", 100, 80);
    test_image(&t, "d/b.png", 100, 80);
    test_file(&t, "d/a.txt", "0 0.5 0.5 0.5 0.5\n");
    test_file(&t, "d/b.xml", VOC("b.png", OBJECT("car", "2", "2", "3", "3")));
    test_file(&t, "d/classes.txt", "car\n");
    assert_string_equal(test_read(&t, "d"), "yolo\n/ a.png 100x80 none: 1 car bbox 25,20,50,40\n/ b.png 100x80 none: -\n"
                                            "! .: labels of the format pascal_voc are there too; yolo alone is read\n");
}

/* A label file in a folder of its own does not take the image that another one has by its place. */
/* As programs leave them that put an extension on top of another. */
static void images_with_two_extensions(void **state) {
    (void)state;
    static const char *const IMAGES[] = {"train/images/p.png.jpg", "valid/images/p.png.jpg", "valid/images/p.png", "valid/images/p.jpg.jpg"};
    for (size_t i = 0; i < 4; i++) test_image(&t, arena_printf(&t.arena, "d/%s", IMAGES[i]), 10, 10);
    test_file(&t, "d/data.yaml", "names: [car, bus]\n");
    test_file(&t, "d/train/labels/p.png.txt", "0 0.5 0.5 0.2 0.2\n");
    test_file(&t, "d/valid/labels/p.png.txt", "0 0.5 0.5 0.4 0.4\n");
    test_file(&t, "d/valid/labels/p.txt", "1 0.5 0.5 0.2 0.2\n");
    test_file(&t, "d/valid/labels/p.jpg.txt", "1 0.5 0.5 0.4 0.4\n");
    assert_string_equal(test_read(&t, "d"), "yolo\n/train p.png.jpg 10x10 train: 1 car bbox 4,4,2,2\n/valid p.jpg.jpg 10x10 val: 1 bus bbox 3,3,4,4\n"
                                            "/valid p.png.jpg 10x10 val: 1 car bbox 3,3,4,4\n/valid p.png 10x10 val: 1 bus bbox 4,4,2,2\n");
}

static void equal_names_in_two_folders(void **state) {
    (void)state;
    test_image(&t, "d/images/x/a.png", 100, 80);
    test_file(&t, "d/labels/a.txt", "0 0.5 0.5 0.5 0.5\n");
    test_file(&t, "d/labels/x/a.txt", "1 0.5 0.5 0.5 0.5\n");
    const char *told = test_read(&t, "d");
    assert_non_null(strstr(told, "/x a.png 100x80 none: 1 class 1 bbox 25,20,50,40\n"));
    assert_non_null(strstr(told, "! labels/a.txt: its image is missing; labels left out\n"));
    test_file(&t, "c/i.json", "{\"images\":[{\"id\":1,\"file_name\":\"val/a.png\",\"width\":5,\"height\":5},{\"id\":2,\"file_name\":\"b/a.png\",\"width\":9,\"height\":9}],"
                           "\"annotations\":[],\"categories\":[]}");
    test_image(&t, "c/images/b/a.png", 9, 9);
    assert_string_equal(test_read(&t, "c"), "coco\n/val a.png 5x5 val:\n/b a.png 9x9 none:\n! i.json: image val/a.png is missing\n");
}

/* Labels written by one program and files named by another: what looks the same is the same, unless a file bears exactly the name. */
static void names_composed_and_not(void **state) {
    (void)state;
#define DECOMPOSED "u\xcc\x88"
#define COMPOSED "\xc3\xbc"
    test_file(&t, "c/i.json", "{\"images\":[{\"id\":1,\"file_name\":\"" COMPOSED ".png\",\"width\":9,\"height\":9},{\"id\":2,\"file_name\":\"else/" DECOMPOSED
                           "2.png\",\"width\":9,\"height\":9}],\"annotations\":[],\"categories\":[]}");
    test_image(&t, "c/" DECOMPOSED ".png", 9, 9);
    test_image(&t, "c/x/" COMPOSED "2.png", 9, 9);
    assert_string_equal(test_read(&t, "c"), "coco\n/ " DECOMPOSED ".png 9x9 none:\n/x " COMPOSED "2.png 9x9 none:\n");
    test_image(&t, "d/images/" DECOMPOSED ".png", 100, 80);
    test_file(&t, "d/data.yaml", "names: [car]\n");
    test_file(&t, "d/labels/" COMPOSED ".txt", "0 0.5 0.5 0.5 0.5\n");
    assert_string_equal(test_read(&t, "d"), "yolo\n/ " DECOMPOSED ".png 100x80 none: 1 car bbox 25,20,50,40\n");
    test_image(&t, "d/images/" COMPOSED ".png", 100, 80);
    assert_string_equal(test_read(&t, "d"), "yolo\n/ " COMPOSED ".png 100x80 none: 1 car bbox 25,20,50,40\n/ " DECOMPOSED ".png 100x80 none: -\n");
}

static void images_alone(void **state) {
    (void)state;
    test_image(&t, "d/cats/a.png", 10, 10);
    test_image(&t, "d/b.PNG", 10, 10);
    test_file(&t, "d/.hidden/c.png", "");
    test_file(&t, "d/notes.txt", "hello");
    assert_string_equal(test_read(&t, "d"), "images\n/ b.PNG 10x10 none: -\n/cats a.png 10x10 none: -\n");
    test_file(&t, "d/numbers.csv", "a,b\n1,2\n");
    test_file(&t, "d/settings.json", "{\"shapes\":[]}");
    assert_string_equal(test_read(&t, "d"), "images\n/ b.PNG 10x10 none: -\n/cats a.png 10x10 none: -\n"
                                            "! numbers.csv: no labels of a known format\n! settings.json: no labels of a known format\n");
    test_file(&t, "d/annotations.xml", "<annotations><version>1.1</version></annotations>"); /* CVAT is not VOC */
    assert_string_equal(test_read(&t, "d"), "cvat\n/ b.PNG 10x10 none: -\n/cats a.png 10x10 none: -\n");
    assert_string_equal(test_read(&t, "nowhere"), arena_printf(&t.arena, "No such file or folder: %s/nowhere", t.folder));
}

static void yaml_as_people_write_it(void **state) {
    (void)state;
    Yaml yaml;
    yaml_read(&t.arena,
              "\xef\xbb\xbf# top\npath: ../data # where\ntrain:\n  - a/images\n  - 'b c'\nnames:\n  0: person\n  1: \"a \\\"b\\\"\"\n  2: x#y\n"
              "flow: [a,\n  'b, c', # why\n  d]\nmap: {0: a, 1: 'b:c'}\ndownload: |\n  import x\n  y: [\nnc: 3\nempty:\nlist:\n- p\n- q\n---\nlast: ''\n:\n- [",
              &yaml);
    assert_string_equal(yaml_get(&yaml, "path")->items[0].value, "../data");
    assert_int_equal(yaml_get(&yaml, "train")->count, 2);
    assert_string_equal(yaml_get(&yaml, "train")->items[1].value, "b c");
    assert_string_equal(yaml_get(&yaml, "names")->items[1].value, "a \"b\"");
    assert_string_equal(yaml_get(&yaml, "names")->items[2].value, "x#y");
    assert_string_equal(yaml_get(&yaml, "names")->items[2].key, "2");
    assert_int_equal(yaml_get(&yaml, "flow")->count, 3);
    assert_string_equal(yaml_get(&yaml, "flow")->items[1].value, "b, c");
    assert_string_equal(yaml_get(&yaml, "map")->items[1].value, "b:c");
    assert_int_equal(yaml_get(&yaml, "download")->count, 0);
    assert_string_equal(yaml_get(&yaml, "nc")->items[0].value, "3");
    assert_int_equal(yaml_get(&yaml, "empty")->count, 0);
    assert_int_equal(yaml_get(&yaml, "list")->count, 2);
    assert_true(yaml_get(&yaml, "last")->is_scalar);
    assert_null(yaml_get(&yaml, "y"));
    yaml_read(&t.arena, "names: [\"caf\\xE9\", \"\\u0161\\U0001F600\", \"\\ud83d\\ude00\", \"\\N\\_\\L\\P\", \"\\ud83d \\u12 \\/\"]\n", &yaml); /* as Python and JSON write them */
    static const char *const NAMES[] = {"caf\xc3\xa9", "\xc5\xa1\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80", "\xc2\x85\xc2\xa0\xe2\x80\xa8\xe2\x80\xa9", "ud83d u12 /"};
    for (size_t i = 0; i < 5; i++) assert_string_equal(yaml_get(&yaml, "names")->items[i].value, NAMES[i]);
}

static void sizes_from_headers(void **state) {
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
        uint32_t width, height;
    } CASES[] = {
        {"GIF89a\x40\x01\xf0\x00", 10, 320, 240},
        {"BM\0\0\0\0\0\0\0\0\0\0\0\0\x28\0\0\0\x40\x01\0\0\x10\xff\xff\xff", 26, 320, 240},
        {"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\x3f\x01\0\xef\0\0", 30, 320, 240},
        {"\xff\xd8\xff\xe0\0\4ab\xff\xc0\0\x11\x08\0\xf0\x01\x40\3", 18, 320, 240},
        /* EXIF orientation 6: the sensor's rows are the picture's columns */
        {"\xff\xd8\xff\xe1\0\x22" "Exif\0\0MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0\xff\xc0\0\x11\x08\0\xf0\x01\x40\3", 50, 240, 320},
        {"II*\0\x08\0\0\0\2\0\0\1\3\0\1\0\0\0\x40\1\0\0\1\1\3\0\1\0\0\0\xf0\0\0\0", 34, 320, 240},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        uint32_t width = 0, height = 0;
        assert_true(image_size_of_bytes((const unsigned char *)CASES[i].bytes, CASES[i].size, &width, &height));
        assert_int_equal(width, CASES[i].width);
        assert_int_equal(height, CASES[i].height);
        for (size_t size = 0; size < CASES[i].size; size++) { /* an exact block each, for the sanitizer */
            unsigned char *cut = malloc(size ? size : 1);
            memcpy(cut, CASES[i].bytes, size);
            image_size_of_bytes(cut, size, &width, &height);
            free(cut);
        }
    }
}

static void names_that_are_safe(void **state) {
    (void)state;
    static const char *const GOOD[] = {"a", "a/b.jpg", "Stra\303\237e/\xe6\x97\xa5.png", "..a", "a b"};
    static const char *const BAD[] = {"", "/a", "a//b", "a/", "..", "a/../b", "./a", "..\\b", "a\\", "a\nb", "\xff"};
    for (size_t i = 0; i < sizeof GOOD / sizeof *GOOD; i++) assert_true(name_is_safe_path(GOOD[i]));
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) assert_false(name_is_safe_path(BAD[i]));
    assert_string_equal(name_join(&t.arena, "/a/b/", "c.jpg"), "a/b/c.jpg");
    assert_string_equal(name_join(&t.arena, "/", "c.jpg"), "c.jpg");
    assert_string_equal(name_folder(&t.arena, "a/b/c.jpg"), "/a/b");
    assert_string_equal(name_without_extension(&t.arena, "a.b/c.tar.gz"), "a.b/c.tar");
    assert_string_equal(name_split_of_path("x/Validation/y.jpg"), "val");
    assert_null(name_split_of_path("trains/test.jpg"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(voc_with_splits_and_slips, set_up, tear_down),
        cmocka_unit_test_setup_teardown(voc_beside_the_images, set_up, tear_down),
        cmocka_unit_test_setup_teardown(yolo_with_its_oddities, set_up, tear_down),
        cmocka_unit_test_setup_teardown(yolo_without_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(yolo_sizes_that_the_caller_knows, set_up, tear_down),
        cmocka_unit_test_setup_teardown(yolo_says_which_texts_are_no_labels, set_up, tear_down),
        cmocka_unit_test_setup_teardown(yolo_labels_of_which_nothing_is_left_label_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(yolo_of_skeletons_gives_their_boxes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(images_of_one_name_keep_the_folders_that_tell_them_apart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(other_formats_in_the_folder_are_said, set_up, tear_down),
        cmocka_unit_test_setup_teardown(labels_alone_find_images_that_are_elsewhere, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_passed_over_is_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(folders_that_cannot_be_opened_are_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(labels_for_another_size_are_doubted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_datasets_download_wrote, set_up, tear_down),
        cmocka_unit_test_setup_teardown(cvat_with_its_oddities, set_up, tear_down),
        cmocka_unit_test_setup_teardown(shapes_outside_their_image_are_left_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(files_of_one_image_are_put_together, set_up, tear_down),
        cmocka_unit_test_setup_teardown(cvat_that_breaks_off, set_up, tear_down),
        cmocka_unit_test_setup_teardown(labelme_with_its_oddities, set_up, tear_down),
        cmocka_unit_test_setup_teardown(texts_may_be_utf16, set_up, tear_down),
        cmocka_unit_test_setup_teardown(long_texts_are_read_in_pieces, set_up, tear_down),
        cmocka_unit_test_setup_teardown(csv_with_its_oddities, set_up, tear_down),
        cmocka_unit_test_setup_teardown(images_with_two_extensions, set_up, tear_down),
        cmocka_unit_test_setup_teardown(equal_names_in_two_folders, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_composed_and_not, set_up, tear_down),
        cmocka_unit_test_setup_teardown(images_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(yaml_as_people_write_it, set_up, tear_down),
        cmocka_unit_test(sizes_from_headers),
        cmocka_unit_test_setup_teardown(names_that_are_safe, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
