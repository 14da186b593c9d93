/* Units of the annotation document: what is filled in, what is refused and in which words, text that survives a round trip. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include "annotation/annotation.h"
#include "base/clock.h"
#include "base/banned.h"

static Arena arena;
static FieldErrors errors;
static AnnotationList list;
static Buffer out;

static int set_up(void **state) {
    (void)state;
    arena_init(&arena, (size_t)1 << 30);
    buffer_init(&out, (size_t)1 << 30);
    field_errors_init(&errors, &arena);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    arena_clear(&arena);
    buffer_clear(&out);
    return 0;
}

static bool knows_stop(void *context, const char *name) {
    (void)context;
    return strcmp(name, "stop") == 0;
}

static bool read_with(const char *text, const AnnotationRules *rules) {
    yyjson_doc *doc = json_parse(text, strlen(text), NULL);
    assert_non_null(doc);
    FieldPath body = FIELD_ROOT("body"), path = FIELD_IN(&body, "annotations");
    bool ok = annotation_list_read(&arena, yyjson_doc_get_root(doc), &path, rules, &errors, &list);
    yyjson_doc_free(doc);
    return ok;
}

static const char *written(void) {
    JsonWriter w;
    buffer_reset(&out);
    json_writer_init(&w, &out);
    annotation_list_write(&list, &w);
    return buffer_text(&out);
}

/* "0.id missing; 0.polygon.paths.0 too_short" */
static const char *told(void) {
    buffer_reset(&out);
    for (size_t i = 0; i < errors.count; i++) {
        if (i) buffer_append_text(&out, "; ");
        assert_string_equal(errors.items[i].loc[0].name, "body");
        for (size_t s = 2; s < errors.items[i].loc_count; s++) {
            const FieldStep *step = &errors.items[i].loc[s];
            if (s > 2) buffer_append_byte(&out, '.');
            if (step->name) buffer_append_text(&out, step->name);
            else buffer_printf(&out, "%zu", step->index);
        }
        buffer_printf(&out, " %s", errors.items[i].type);
    }
    return buffer_text(&out);
}

static void every_kind_survives(void **state) {
    (void)state;
    static const char TEXT[] =
        "[{\"id\":\"b1\",\"name\":\"forklift\",\"type\":\"bbox\",\"bounding_box\":{\"x\":12.5,\"y\":40,\"w\":96,\"h\":33.25},"
        "\"confidence\":0.5,\"created_by\":\"u\",\"attributes\":[1.0,{\"a\":null},\"\\u0000\"]},"
        "{\"id\":\"b2\",\"name\":\"tyre\",\"type\":\"polygon\",\"bounding_box\":{\"x\":5,\"y\":5,\"w\":80,\"h\":60},\"polygon\":{\"paths\":"
        "[[{\"x\":5,\"y\":5},{\"x\":85,\"y\":5},{\"x\":85,\"y\":65}],[{\"x\":35,\"y\":25},{\"x\":55,\"y\":25},{\"x\":45,\"y\":45}]]},"
        "\"confidence\":1,\"created_by\":null,\"attributes\":[]},"
        "{\"id\":\"b3\",\"name\":\"kerb\",\"type\":\"polyline\",\"bounding_box\":{\"x\":3,\"y\":15,\"w\":74,\"h\":75},\"polyline\":{\"path\":"
        "[{\"x\":3,\"y\":90},{\"x\":77,\"y\":15}]},\"confidence\":1,\"created_by\":null,\"attributes\":[]},"
        "{\"id\":\"b4\",\"name\":\"Schn\xc3\xa4""bel\",\"type\":\"keypoint\",\"keypoint\":{\"x\":64.5,\"y\":-31},\"confidence\":1,\"created_by\":null,"
        "\"attributes\":[]}]";
    assert_true(read_with(TEXT, NULL));
    assert_string_equal(written(), TEXT);
    assert_string_equal(list.items[0].attributes, "[1.0,{\"a\":null},\"\\u0000\"]");
}

static void what_may_be_left_out_is_filled(void **state) {
    (void)state;
    AnnotationRules rules = {.created_by = "user-7"};
    assert_true(read_with("[{\"type\":\"polyline\",\"polyline\":{\"path\":[{\"x\":3,\"y\":9},{\"x\":7,\"y\":9}]},\"name\":\"a\",\"id\":\"1\",\"bounding_box\":null},"
                          "{\"type\":\"polygon\",\"polygon\":{\"paths\":[[{\"x\":0,\"y\":0},{\"x\":4,\"y\":0},{\"x\":0,\"y\":3}]]},\"name\":\"a\",\"id\":\"2\","
                          "\"created_by\":null},{\"type\":\"keypoint\",\"keypoint\":{\"x\":1,\"y\":2},\"id\":\"3\",\"name\":\"a\",\"created_by\":\"me\"}]",
                          &rules));
    assert_string_equal(written(),
                        "[{\"id\":\"1\",\"name\":\"a\",\"type\":\"polyline\",\"bounding_box\":{\"x\":3,\"y\":9,\"w\":4,\"h\":1},\"polyline\":{\"path\":"
                        "[{\"x\":3,\"y\":9},{\"x\":7,\"y\":9}]},\"confidence\":1,\"created_by\":\"user-7\",\"attributes\":[]},"
                        "{\"id\":\"2\",\"name\":\"a\",\"type\":\"polygon\",\"bounding_box\":{\"x\":0,\"y\":0,\"w\":4,\"h\":3},\"polygon\":{\"paths\":"
                        "[[{\"x\":0,\"y\":0},{\"x\":4,\"y\":0},{\"x\":0,\"y\":3}]]},\"confidence\":1,\"created_by\":\"user-7\",\"attributes\":[]},"
                        "{\"id\":\"3\",\"name\":\"a\",\"type\":\"keypoint\",\"keypoint\":{\"x\":1,\"y\":2},\"confidence\":1,\"created_by\":\"me\",\"attributes\":[]}]");
}

static void absurd_coordinates_stay_numbers(void **state) {
    (void)state;
    assert_true(read_with("[{\"type\":\"polyline\",\"polyline\":{\"path\":[{\"x\":-1.7e308,\"y\":9},{\"x\":1.7e308,\"y\":9}]},\"name\":\"a\",\"id\":\"1\"}]", NULL));
    AnnotationList again;
    const char *text = written();
    assert_int_equal(annotation_list_parse(&arena, text, strlen(text), &again, NULL), STATUS_OK);
}

static void every_wrong_field_is_told(void **state) {
    (void)state;
    static const struct {
        const char *text, *told;
    } CASES[] = {
        {"{}", " list_type"},
        {"[7]", "0 dict_type"},
        {"[{}]", "0.id missing; 0.name missing; 0.type missing"},
        {"[{\"id\":\"1\",\"class\":\"stop\",\"type\":\"bbox\",\"bbox\":[1,2,3,4]}]",
         "0.class extra_forbidden; 0.bbox extra_forbidden; 0.name missing; 0.bounding_box missing"},
        {"[{\"id\":\"1\",\"name\":\"stop\",\"type\":\"box\",\"bounding_box\":{\"x\":1,\"y\":2,\"w\":3,\"h\":4}}]", "0.type enum"},
        {"[{\"id\":1,\"name\":\" \",\"type\":\"bbox\",\"bounding_box\":{\"x\":\"1\",\"y\":true,\"w\":0,\"q\":4}}]",
         "0.id string_type; 0.name string_pattern_mismatch; 0.bounding_box.x float_type; 0.bounding_box.y float_type; "
         "0.bounding_box.q extra_forbidden; 0.bounding_box.h missing"},
        {"[{\"id\":\"\",\"name\":\"go\",\"type\":\"bbox\",\"bounding_box\":{\"x\":1,\"y\":2,\"w\":0,\"h\":-4},\"confidence\":1.5}]",
         "0.id string_too_short; 0.name unknown_class; 0.bounding_box.w greater_than; 0.bounding_box.h greater_than; 0.confidence less_than_equal"},
        {"[{\"id\":\"1\",\"name\":\"stop\",\"type\":\"bbox\",\"bounding_box\":null}]", "0.bounding_box dict_type"},
        {"[{\"id\":\"1\",\"name\":\"stop\",\"type\":\"polygon\",\"polygon\":{\"paths\":[[{\"x\":1,\"y\":1},{\"x\":1}],[]]}}]",
         "0.polygon.paths.0.1.y missing; 0.polygon.paths.0 too_short; 0.polygon.paths.1 too_short"},
        {"[{\"id\":\"1\",\"name\":\"stop\",\"type\":\"polygon\",\"polygon\":{\"paths\":[],\"z\":1}}]", "0.polygon.z extra_forbidden; 0.polygon.paths too_short"},
        {"[{\"id\":\"1\",\"name\":\"stop\",\"type\":\"polygon\",\"polygon\":{\"paths\":[[[1,2],[3,4],[5,6]]]}}]",
         "0.polygon.paths.0.0 dict_type; 0.polygon.paths.0.1 dict_type; 0.polygon.paths.0.2 dict_type"},
        {"[{\"id\":\"1\",\"name\":\"stop\",\"type\":\"polyline\",\"polyline\":{\"path\":[{\"x\":1,\"y\":1}]}}]", "0.polyline.path too_short"},
        {"[{\"id\":\"1\",\"name\":\"stop\",\"type\":\"polyline\",\"polyline\":{}}]", "0.polyline.path missing"},
        {"[{\"id\":\"1\",\"name\":\"stop\",\"type\":\"keypoint\",\"keypoint\":[1,2],\"bounding_box\":{\"x\":1,\"y\":2,\"w\":3,\"h\":4}}]",
         "0.keypoint dict_type; 0.bounding_box extra_forbidden"},
        {"[{\"id\":\"1\",\"name\":\"st\\u0000op\",\"type\":\"keypoint\",\"keypoint\":{\"x\":1,\"y\":1},\"attributes\":null,\"confidence\":-1,\"created_by\":3}]",
         "0.name value_error; 0.attributes list_type; 0.confidence greater_than_equal; 0.created_by string_type"},
        {"[{\"id\":\"1\",\"name\":\"stop\",\"type\":\"keypoint\",\"keypoint\":{\"x\":1,\"y\":1}},"
         "{\"id\":\"1\",\"name\":\"stop\",\"type\":\"keypoint\",\"keypoint\":{\"x\":1,\"y\":1}}]", "1.id duplicate_annotation_id"},
    };
    AnnotationRules rules = {.class_is_known = knows_stop};
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        field_errors_init(&errors, &arena);
        assert_false(read_with(CASES[i].text, &rules));
        assert_string_equal(told(), CASES[i].told);
    }
    assert_int_equal(field_errors_status(&errors), STATUS_DUPLICATE_ANNOTATION_ID);
}

static void many_ids_are_compared_fast(void **state) {
    (void)state;
    Buffer text;
    buffer_init(&text, (size_t)1 << 30);
    for (int i = 0; i < 100000; i++) {
        buffer_printf(&text, "%c{\"id\":\"id-%d\",\"name\":\"n%d\",\"type\":\"keypoint\",\"keypoint\":{\"x\":1,\"y\":1}}", i ? ',' : '[', i, i % 7);
    }
    buffer_append_byte(&text, ']');
    assert_true(read_with(buffer_text(&text), NULL));
    ClassCount *classes;
    assert_int_equal(annotation_count_classes(&arena, &list, &classes), 7);
    assert_string_equal(classes[1].name, "n1");
    assert_int_equal(classes[1].count, 14286);
    buffer_clear(&text);
}

static void types_have_names(void **state) {
    (void)state;
    AnnotationType type = ANNOTATION_KEYPOINT;
    assert_true(annotation_type_from_name("box", &type));
    assert_int_equal(type, ANNOTATION_BBOX);
    assert_true(annotation_type_from_name("polyline", &type));
    assert_string_equal(annotation_type_name(type), "polyline");
    assert_false(annotation_type_from_name("tag", &type));
    assert_false(annotation_type_from_name(NULL, &type));
}

/* Not an assertion: `annotation_test bench` prints MB/s of reading and writing 100 annotations of an image. */
static int bench(void) {
    set_up(NULL);
    AnnotationList hundred = {0};
    for (int i = 0; i < 100; i++) {
        Annotation a = {.id = arena_printf(&arena, "0b8f7c1e-5d3a-4c2b-9e1f-%012d", i), .name = i % 3 ? "RBC" : "Platelets", .confidence = 0.87 + i / 1e4,
                        .type = i % 4 ? ANNOTATION_BBOX : ANNOTATION_POLYGON, .created_by = "3f0e8d52-9f1c-4a41-8a1d-2f9b6d1f0c11",
                        .bounding_box = {i * 3.25, i * 2.5, 40.75, 33.125}};
        if (a.type == ANNOTATION_POLYGON) {
            Point *points = arena_new_array(&arena, Point, 24);
            for (int p = 0; p < 24; p++) points[p] = (Point){i + p * 1.5, i * 2 + p * 0.25};
            a.polygon = (Polygon){arena_new(&arena, Ring), 1};
            a.polygon.rings[0] = (Ring){points, 24};
        }
        annotation_list_append(&arena, &hundred, &a);
    }
    list = hundred;
    char *text = arena_strdup(&arena, written());
    size_t size = strlen(text);
    enum { ROUNDS = 5000 };
    Arena scratch;
    arena_init(&scratch, (size_t)1 << 30);
    double start = clock_monotonic();
    for (int i = 0; i < ROUNDS; i++) {
        AnnotationList read;
        if (annotation_list_parse(&scratch, text, size, &read, NULL) != STATUS_OK) return 1;
        arena_reset(&scratch);
    }
    double middle = clock_monotonic();
    for (int i = 0; i < ROUNDS; i++) written();
    double end = clock_monotonic(), megabytes = (double)size * ROUNDS / 1e6;
    printf("%zu bytes; read %.0f MB/s, write %.0f MB/s\n", size, megabytes / (middle - start), megabytes / (end - middle));
    arena_clear(&scratch);
    tear_down(NULL);
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "bench") == 0) return bench();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_kind_survives, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_may_be_left_out_is_filled, set_up, tear_down),
        cmocka_unit_test_setup_teardown(absurd_coordinates_stay_numbers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_wrong_field_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_ids_are_compared_fast, set_up, tear_down),
        cmocka_unit_test(types_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
