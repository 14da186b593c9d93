/* Units of the field error collector: places, words, bounds, the code of the whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include "base/field_errors.h"
#include "base/banned.h"

static Arena arena;
static FieldErrors errors;

static int set_up(void **state) {
    (void)state;
    arena_init(&arena, 1 << 20);
    field_errors_init(&errors, &arena);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    arena_clear(&arena);
    return 0;
}

static void assert_written(const char *wanted) {
    Buffer out;
    JsonWriter w;
    buffer_init(&out, 1 << 20);
    json_writer_init(&w, &out);
    field_errors_write(&errors, &w);
    assert_string_equal(buffer_text(&out), wanted);
    buffer_clear(&out);
}

static void places_and_words(void **state) {
    (void)state;
    static const char TEXT[] = "{\"class\":\"a\",\"n\":{\"x\":1}}";
    yyjson_doc *doc = json_parse(TEXT, sizeof TEXT - 1, NULL);
    yyjson_val *root = yyjson_doc_get_root(doc);
    FieldPath body = FIELD_ROOT("body"), list = FIELD_IN(&body, "annotations"), item = FIELD_AT(&list, 2), field = FIELD_IN(&item, "class");
    field_extra(&errors, &field, yyjson_obj_get(root, "class"));
    field_wrong_type(&errors, &item, yyjson_obj_get(root, "n"), FIELD_STRING);
    field_missing(&errors, NULL);
    yyjson_doc_free(doc);
    assert_written("[{\"loc\":[\"body\",\"annotations\",2,\"class\"],\"msg\":\"Extra inputs are not permitted\",\"type\":\"extra_forbidden\","
                   "\"input\":\"a\"},{\"loc\":[\"body\",\"annotations\",2],\"msg\":\"Input should be a valid string\",\"type\":\"string_type\"},"
                   "{\"loc\":[],\"msg\":\"Field required\",\"type\":\"missing\"}]");
    assert_int_equal(field_errors_status(&errors), STATUS_VALIDATION_ERROR);
    assert_string_equal(field_errors_summary(&errors), "3 fields failed validation");
    Error err = {0};
    assert_int_equal(field_errors_to_error(&errors, &err), STATUS_VALIDATION_ERROR);
    assert_string_equal(err.message, "body.annotations.2.class: Extra inputs are not permitted (and 2 more)");
}

static void one_code_names_the_whole(void **state) {
    (void)state;
    assert_int_equal(field_errors_status(&errors), STATUS_OK);
    FieldPath query = FIELD_ROOT("query"), name = FIELD_IN(&query, "name");
    field_error_text(&errors, &name, "a\"b", "unknown_class", "No class '%s'", "a");
    field_error_text(&errors, &name, NULL, "unknown_class", "No class '%s'", "b");
    assert_int_equal(field_errors_status(&errors), STATUS_UNKNOWN_CLASS);
    assert_string_equal(errors.items[0].input, "\"a\\\"b\"");
    assert_null(errors.items[1].input);
    field_missing(&errors, &name);
    assert_int_equal(field_errors_status(&errors), STATUS_VALIDATION_ERROR);
}

static void a_code_that_is_no_422_does_not_leak(void **state) {
    (void)state;
    field_error(&errors, NULL, NULL, "not_found", "gone");
    assert_int_equal(field_errors_status(&errors), STATUS_VALIDATION_ERROR);
}

static void many_are_counted_and_large_input_is_left_out(void **state) {
    (void)state;
    char large[FIELD_INPUT_MAX + 2];
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    for (size_t i = 0; i < 1000; i++) {
        FieldPath at = FIELD_AT(NULL, i);
        field_error_text(&errors, &at, large, "value_error", "bad");
    }
    assert_int_equal(errors.count, FIELD_ERRORS_MAX);
    assert_int_equal(errors.total, 1000);
    assert_null(errors.items[0].input);
    assert_int_equal(errors.items[99].loc[0].index, 99);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(places_and_words, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_code_names_the_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_code_that_is_no_422_does_not_leak, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_are_counted_and_large_input_is_left_out, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
