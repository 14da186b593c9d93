/* Which addresses are public, where images go, what the list of keys holds, and hostile shapes. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <string.h>

#include "server/connectors/convert.h"
#include "server/connectors/keys.h"
#include "server/connectors/place.h"
#include "server/connectors/remote.h"
#include "base/banned.h"

static bool is_public(const char *text) {
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1) return address_is_public((struct sockaddr *)&v4);
    assert_int_equal(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
    return address_is_public((struct sockaddr *)&v6);
}

static void test_addresses(void **state) {
    static const char *const PUBLIC[] = {"1.1.1.1", "8.8.8.8", "172.15.255.255", "172.32.0.1", "100.63.0.1", "100.128.0.1", "192.169.0.1", "223.255.255.1", "2606:4700::1111",
                                         "2a00:1450::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"};
    static const char *const OTHERS[] = {"0.0.0.0", "10.1.2.3", "127.0.0.1", "127.255.0.9", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1",
                                         "198.18.0.1", "224.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "fc00::1", "fd12::1", "ff02::1", "2001:db8::1",
                                         "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::127.0.0.1", "::127.0.0.1", "2002:7f00:1::1"};
    (void)state;
    for (size_t i = 0; i < sizeof PUBLIC / sizeof *PUBLIC; i++)
        if (!is_public(PUBLIC[i])) fail_msg("%s is public", PUBLIC[i]);
    for (size_t i = 0; i < sizeof OTHERS / sizeof *OTHERS; i++)
        if (is_public(OTHERS[i])) fail_msg("%s is not public", OTHERS[i]);
    assert_false(address_is_public(&(struct sockaddr){.sa_family = AF_UNIX}));
}

static void test_places(void **state) {
    Arena arena;
    (void)state;
    arena_init(&arena, SIZE_MAX);
    assert_string_equal(place_filename(&arena, "a.JPG", ""), "a.JPG");
    assert_string_equal(place_filename(&arena, "../x\\y\n.png", ""), ".._x_y_.png");
    assert_string_equal(place_filename(&arena, "no extension", "image/png; q=1"), "no extension.png");
    assert_string_equal(place_filename(&arena, "scan.dcm", "image/jpeg"), "scan.dcm.jpg");
    assert_string_equal(place_filename(&arena, ".hidden", "image/gif"), ".hidden.gif");
    assert_null(place_filename(&arena, "page.html", "text/html"));
    char *longest = arena_alloc(&arena, 1000);
    memset(longest, 'x', 900);
    memcpy(longest + 900, ".jpg", 5);
    assert_int_equal(strlen(place_filename(&arena, longest, "")), 204);
    assert_string_equal(place_other_filename(&arena, "a.jpg", "12/34"), "a-12_34.jpg");
    assert_string_equal(place_folder(&arena, "/"), "/");
    assert_string_equal(place_folder(&arena, ""), "/");
    assert_string_equal(place_folder(&arena, "a//b/../c/./"), "/a/b/c");
    assert_string_equal(place_folder(&arena, "/tab\there"), "/tab_here");
    arena_clear(&arena);
}

static void test_keys(void **state) {
    static const char ONE[] = "00000000-0000-4000-8000-000000000001", TWO[] = "00000000-0000-4000-8000-000000000002";
    Connectors *connectors = connectors_open();
    (void)state;
    keys_put(connectors, ONE, "first");
    keys_put(connectors, TWO, "second");
    char *copy = keys_get(connectors, ONE);
    assert_string_equal(copy, "first");
    key_wipe(copy);
    keys_drop(connectors, ONE);
    assert_null(keys_get(connectors, ONE));
    connectors_close(connectors);
}

static size_t convert_text(Arena *arena, const char *text, bool v7, Conversion *out) {
    yyjson_doc *doc = json_parse(text, strlen(text), NULL);
    assert_non_null(doc);
    conversion_init(out, arena, "me");
    if (v7) v7_convert(out, yyjson_doc_get_root(doc));
    else roboflow_convert(out, yyjson_doc_get_root(doc));
    yyjson_doc_free(doc);
    return out->list.count;
}

static void test_hostile_shapes(void **state) {
    Arena arena;
    Conversion c;
    (void)state;
    arena_init(&arena, SIZE_MAX);
    assert_int_equal(convert_text(&arena, "[1, null, \"x\", {}, {\"polygon\": 5}, {\"polygon\": {\"paths\": []}}, {\"polygon\": {\"paths\": [[]]}}]", true, &c), 0);
    assert_int_equal(convert_text(&arena, "[{\"bounding_box\": {\"x\": 1e300, \"y\": 0, \"w\": 1, \"h\": 1}}, {\"line\": {\"path\": [{\"x\": 1, \"y\": 1}]}}]", true, &c), 0);
    assert_int_equal(convert_text(&arena, "{\"polygon\": {}}", true, &c), 0);
    assert_int_equal(convert_text(&arena, "[{\"id\": \"same\", \"keypoint\": {\"x\": 1, \"y\": 1}}, {\"id\": \"same\", \"keypoint\": {\"x\": 2, \"y\": 2}}]", true, &c), 2);
    assert_string_not_equal(c.list.items[0].id, c.list.items[1].id);
    assert_string_equal(c.list.items[0].name, "unnamed");
    assert_int_equal(convert_text(&arena, "{\"width\": 0, \"boxes\": [{\"points\": [[1, 2], [3]]}, {\"x\": 1, \"y\": 1, \"width\": -1, \"height\": 1}, 7]}", false, &c), 0);
    assert_int_equal(c.left_out[0].count, 3);
    assert_string_equal(c.left_out[0].kind, "broken");
    assert_string_equal(label_of(&arena, "a\tb"), "a b");
    assert_string_equal(label_of(&arena, "\ta b\xC2\xA0"), "a b");
    arena_clear(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_addresses), cmocka_unit_test(test_places), cmocka_unit_test(test_keys), cmocka_unit_test(test_hostile_shapes)};
    return cmocka_run_group_tests_name("connectors", tests, NULL, NULL);
}
