/* A folder's state follows every change; a model's identity follows what its files hold, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include "base/file.h"
#include "worker/model_folder.h"
#include "base/banned.h"

static char folder[] = "/tmp/model_folder_XXXXXX";

static const char *at(const char *name) {
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void put(const char *name, const char *text) { assert_int_equal(file_write_atomic(at(name), text, strlen(text), 0644, NULL), STATUS_OK); }

static void identity(const char *name, char out[MODEL_IDENTITY_SIZE]) { assert_int_equal(model_folder_identity(at(name), out, NULL), STATUS_OK); }

static int set_up(void **state) {
    (void)state;
    if (!mkdtemp(folder)) return 1;
    return mkdir(at("a"), 0755) || mkdir(at("b"), 0755);
}

static int tear_down(void **state) {
    (void)state;
    return file_remove_tree(folder, NULL) != STATUS_OK;
}

static void state_follows_every_change(void **unused) {
    (void)unused;
    uint64_t empty = model_folder_state(folder);
    assert_int_equal(empty, model_folder_state(folder));
    assert_false(model_folder_has_models(folder));
    put("a/weights.onnx", "1234");
    uint64_t one = model_folder_state(folder);
    assert_true(one != empty);
    assert_false(model_folder_has_models(folder));
    put("a/manifest.json", "{}");
    assert_true(model_folder_has_models(folder));
    uint64_t two = model_folder_state(folder);
    assert_true(two != one);
    put("a/weights.onnx", "4321");
    uint64_t three = model_folder_state(folder);
    assert_true(three != two);
    unlink(at("a/manifest.json"));
    assert_true(model_folder_state(folder) != three);
    assert_true(model_folder_state("/nonexistent") == model_folder_state("/nonexistent either")); /* there is nothing in both */
}

static void identity_follows_what_files_hold(void **unused) {
    (void)unused;
    char a[MODEL_IDENTITY_SIZE], b[MODEL_IDENTITY_SIZE], other[MODEL_IDENTITY_SIZE];
    put("a/weights.onnx", "1234"), put("a/manifest.json", "{}");
    put("b/manifest.json", "{}"), put("b/weights.onnx", "1234");
    identity("a", a), identity("b", b);
    assert_string_equal(a, b); /* written at another time, in another order */
    assert_int_equal(strlen(a), MODEL_IDENTITY_SIZE - 1);
    put("b/.hidden", "x");
    assert_int_equal(mkdir(at("b/more"), 0755), 0);
    identity("b", other);
    assert_string_equal(a, other);
    put("b/weights.onnx", "1235");
    identity("b", other);
    assert_string_not_equal(a, other);
    put("b/weights.onnx", "1234"), put("b/weights.onnx.data", "");
    identity("b", other);
    assert_string_not_equal(a, other);
}

static void lists_are_sorted_and_bounded(void **unused) {
    (void)unused;
    Arena arena;
    const char *names[2];
    arena_init(&arena, 1 << 16);
    assert_int_equal(model_folder_list(&arena, folder, names, 2), 2);
    assert_string_equal(names[0], "a");
    assert_string_equal(names[1], "b");
    assert_int_equal(model_folder_list(&arena, folder, names, 1), 1);
    assert_int_equal(model_folder_list(&arena, "/nonexistent", names, 2), 0);
    arena_clear(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(state_follows_every_change), cmocka_unit_test(identity_follows_what_files_hold),
                                       cmocka_unit_test(lists_are_sorted_and_bounded)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
