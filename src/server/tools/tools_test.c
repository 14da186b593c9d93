/* The validator of tool arguments, and that the registry uses no keyword beyond it and has a call for every tool. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "server/tools/tools.h"

#include "base/banned.h"

typedef struct Checked {
    Arena arena;
    FieldErrors errors;
    yyjson_val *arguments;
} Checked;

static void check(Checked *c, const char *tool, const char *arguments) {
    arena_init(&c->arena, 1 << 22);
    field_errors_init(&c->errors, &c->arena);
    yyjson_val *found = tools_find(tools_registry(&c->arena), tool);
    assert_non_null(found);
    yyjson_val *sent = arguments ? yyjson_doc_get_root(json_parse_in(&c->arena, arguments, strlen(arguments), NULL)) : NULL;
    c->arguments = tool_arguments(yyjson_obj_get(found, "input_schema"), sent, &c->errors, &c->arena);
}

/* "arguments.classes.0.name missing" for each error */
static void assert_errors(const Checked *c, const char *const *expected) {
    size_t count = 0;
    for (; expected[count]; count++) {
        char text[300] = "";
        size_t used = 0;
        assert_true(count < c->errors.count);
        const FieldError *error = &c->errors.items[count];
        for (size_t i = 0; i < error->loc_count; i++) {
            const FieldStep *step = &error->loc[i];
            used += (size_t)(step->name ? snprintf(text + used, sizeof text - used, "%s%s", i ? "." : "", step->name)
                                        : snprintf(text + used, sizeof text - used, ".%zu", step->index));
        }
        snprintf(text + used, sizeof text - used, " %s", error->type);
        assert_string_equal(text, expected[count]);
    }
    assert_int_equal(c->errors.total, count);
}

static void defaults_are_filled_in(void **state) {
    Checked c;
    (void)state;
    check(&c, "auto_annotate_dataset", "{\"dataset_name\": \"cells\", \"classes\": [{\"name\": \"cell\"}], \"max_images\": null}");
    assert_int_equal(c.errors.total, 0);
    assert_string_equal(json_get_string(c.arguments, "mode", ""), "batch");
    assert_true(json_get_number(c.arguments, "confidence_threshold", 0) == 0.5);
    assert_string_equal(json_get_string(yyjson_arr_get_first(yyjson_obj_get(c.arguments, "classes")), "output_type", ""), "polygon");
    assert_null(yyjson_obj_get(c.arguments, "max_images"));
    arena_clear(&c.arena);
    check(&c, "get_credit_balance", NULL);
    assert_int_equal(c.errors.total, 0);
    arena_clear(&c.arena);
}

static void a_whole_number_may_have_a_fraction_of_zero(void **state) {
    Checked c;
    (void)state;
    check(&c, "search_by_similarity", "{\"image_id\": \"a\", \"limit\": 5.0, \"threshold\": 0.5}");
    assert_int_equal(c.errors.total, 0);
    assert_int_equal(json_get_int(c.arguments, "limit", 0), 5); /* as an integer: it may go into a query */
    assert_true(json_get_number(c.arguments, "threshold", 0) == 0.5);
    arena_clear(&c.arena);
}

static void open_objects_keep_their_members(void **state) {
    Checked c;
    (void)state;
    check(&c, "train_pipeline", "{\"dataset_name\": \"cells\", \"pipeline\": \"yolox\", \"config\": {\"epochs\": 3, \"deep\": {\"er\": [1]}}}");
    assert_int_equal(c.errors.total, 0);
    assert_int_equal(json_get_int(yyjson_obj_get(c.arguments, "config"), "epochs", 0), 3);
    assert_non_null(yyjson_obj_get(yyjson_obj_get(c.arguments, "config"), "deep"));
    arena_clear(&c.arena);
}

static void every_wrong_argument_is_named(void **state) {
    Checked c;
    (void)state;
    check(&c, "auto_annotate_dataset", "{\"dataset_name\": \"\", \"classes\": [{\"name\": 3}, {\"output_type\": \"cube\", \"x\": 1}], \"mode\": \"slow\", \"confidence_threshold\": 1.5, \"more\": 0}");
    assert_errors(&c, (const char *const[]){"arguments.dataset_name string_too_short", "arguments.classes.0.name string_type", "arguments.classes.1.output_type enum",
                                            "arguments.classes.1.x extra_forbidden", "arguments.classes.1.name missing", "arguments.mode enum",
                                            "arguments.confidence_threshold less_than_equal", "arguments.more extra_forbidden", NULL});
    arena_clear(&c.arena);
    check(&c, "auto_annotate_box", "{\"dataset_name\": \"a\", \"image_filename\": \"b\", \"name\": \"c\", \"box\": {\"x\": 0, \"y\": 0, \"w\": 0, \"h\": 1}}");
    assert_errors(&c, (const char *const[]){"arguments.box.w greater_than", NULL});
    arena_clear(&c.arena);
    check(&c, "auto_annotate_point", "{\"dataset_name\": \"a\", \"image_filename\": \"b\", \"x\": 1.5, \"y\": 2, \"positive_points\": [[1, 2, 3], [1]]}");
    assert_errors(&c, (const char *const[]){"arguments.x int_type", "arguments.positive_points.0 too_long", "arguments.positive_points.1 too_short", NULL});
    arena_clear(&c.arena);
    check(&c, "list_datasets", "[]");
    assert_errors(&c, (const char *const[]){"arguments dict_type", NULL});
    arena_clear(&c.arena);
    check(&c, "list_datasets", "{\"limit\": 0}");
    assert_errors(&c, (const char *const[]){"arguments.limit greater_than_equal", NULL});
    arena_clear(&c.arena);
    check(&c, "delete_dataset", "{\"name\": \"cells\\u0000 of last year\"}");
    assert_errors(&c, (const char *const[]){"arguments.name value_error", NULL});
    arena_clear(&c.arena);
}

static bool is_known_keyword(const char *name) {
    static const char *const KNOWN[] = {"type", "properties", "required", "additionalProperties", "items", "enum", "minimum", "maximum", "exclusiveMinimum",
                                        "minLength", "maxLength", "minItems", "maxItems", "default", "description"};
    for (size_t i = 0; i < sizeof KNOWN / sizeof KNOWN[0]; i++)
        if (text_equal(KNOWN[i], name)) return true;
    return false;
}

static void assert_known_keywords(yyjson_val *schema) {
    size_t index, count;
    yyjson_val *key, *value;
    if (!yyjson_is_obj(schema)) return;
    yyjson_obj_foreach(schema, index, count, key, value)
        if (!is_known_keyword(yyjson_get_str(key))) fail_msg("keyword '%s' is not checked", yyjson_get_str(key));
    assert_known_keywords(yyjson_obj_get(schema, "items"));
    yyjson_obj_foreach(yyjson_obj_get(schema, "properties"), index, count, key, value) assert_known_keywords(value);
}

static void the_registry_uses_known_keywords(void **state) {
    Arena arena;
    size_t index, count;
    yyjson_val *tool;
    (void)state;
    arena_init(&arena, 1 << 22);
    yyjson_val *registry = tools_registry(&arena);
    assert_int_equal(yyjson_arr_size(registry), 28);
    yyjson_arr_foreach(registry, index, count, tool) assert_known_keywords(yyjson_obj_get(tool, "input_schema"));
    arena_clear(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_filled_in),
        cmocka_unit_test(a_whole_number_may_have_a_fraction_of_zero), cmocka_unit_test(open_objects_keep_their_members),
        cmocka_unit_test(every_wrong_argument_is_named),
        cmocka_unit_test(the_registry_uses_known_keywords),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
