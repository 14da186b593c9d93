/* Units of base: memory that is bounded, text that survives, hashes against published vectors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include "base/arena.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/css_color.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/map.h"
#include "base/text.h"
#include "base/banned.h"

static void arena_is_aligned_zeroed_and_limited(void **state) {
    (void)state;
    Arena arena;
    arena_init(&arena, 10000);
    for (size_t size = 1; size < 100; size++) {
        char *p = arena_alloc(&arena, size);
        assert_int_equal((uintptr_t)p % 16, 0);
        for (size_t i = 0; i < size; i++) assert_int_equal(p[i], 0);
        memset(p, 0xFF, size);
    }
    assert_false(arena_exceeded(&arena));
    arena_alloc(&arena, 10000);
    assert_true(arena_exceeded(&arena));
    arena_reset(&arena);
    assert_false(arena_exceeded(&arena));
    char *again = arena_alloc(&arena, 64);
    assert_int_equal(again[63], 0);
    assert_string_equal(arena_printf(&arena, "%s-%d", "a", 7), "a-7");
    arena_clear(&arena);
}

static void buffer_refuses_past_its_maximum(void **state) {
    (void)state;
    Buffer buffer;
    buffer_init(&buffer, 10);
    assert_non_null(buffer_reserve(&buffer, 5));
    assert_string_equal(buffer_text(&buffer), ""); /* reserved is not written, yet it is terminated */
    assert_true(buffer_append_text(&buffer, "12345"));
    assert_true(buffer_printf(&buffer, "%d", 67890));
    assert_false(buffer_append_byte(&buffer, 'x'));
    assert_true(buffer.failed);
    assert_string_equal(buffer_text(&buffer), "1234567890");
    buffer_clear(&buffer);
}

static void error_texts_are_cut_between_characters(void **state) {
    (void)state;
    Error err = {0};
    char name[600];
    for (int i = 0; i < 299; i++) memcpy(name + 2 * i, "\xC3\xA9", 3);
    error_set(&err, STATUS_NOT_FOUND, "x%s", name);
    assert_true(text_is_utf8(err.message, strlen(err.message)));
    error_prefix(&err, "file %s", "a.jpg");
    assert_true(text_starts_with(err.message, "file a.jpg: x"));
    assert_true(text_is_utf8(err.message, strlen(err.message)));
    error_set(&err, STATUS_NOT_FOUND, "'%.4s' is no id", "abc\xC3\xA9");
    assert_string_equal(err.message, "'abc?' is no id");
    assert_int_equal(status_info(STATUS_UNKNOWN_CLASS)->http, 422);
    assert_int_equal(status_from_slug("rate_limited"), STATUS_RATE_LIMITED);
    for (int s = 0; s < STATUS_COUNT; s++) assert_non_null(status_info((Status)s)->slug);
}

static void json_written_reads_back(void **state) {
    (void)state;
    Buffer out;
    JsonWriter w;
    buffer_init(&out, 1000);
    json_writer_init(&w, &out);
    json_begin_object(&w);
    json_field_string(&w, "na\"me", "a\nb\x01\\");
    json_field_number(&w, "third", 1.0 / 3);
    json_field_number(&w, "whole", 42.0);
    json_key(&w, "list");
    json_begin_array(&w);
    json_null(&w);
    json_bool(&w, true);
    json_begin_object(&w);
    json_end_object(&w);
    json_end_array(&w);
    json_end_object(&w);
    assert_string_equal(out.data, "{\"na\\\"me\":\"a\\nb\\u0001\\\\\",\"third\":0.3333333333333333,\"whole\":42,\"list\":[null,true,{}]}");
    Error err = {0};
    yyjson_doc *doc = json_parse(out.data, out.size, &err);
    assert_non_null(doc);
    Arena arena;
    arena_init(&arena, 10000);
    assert_string_equal(json_text(&arena, yyjson_doc_get_root(doc)), out.data);
    yyjson_doc_free(doc);
    static const char INTEGERS[] = "[9007199254740993,18446744073709551615,9223372036854775807,-9223372036854775808,-9007199254740993,0]";
    doc = json_parse(INTEGERS, sizeof INTEGERS - 1, &err);
    assert_string_equal(json_text(&arena, yyjson_doc_get_root(doc)), INTEGERS);
    yyjson_doc_free(doc);
    buffer_clear(&out);

    assert_string_equal(json_list_text(&arena, (const char *const[]){"a\"", "b"}, 2), "[\"a\\\"\",\"b\"]");
    assert_string_equal(json_list_text(&arena, NULL, 0), "[]");
    static const char NULLS[] = "{\"a\":null,\"b\":[null,{\"c\":null,\"d\":1}]}";
    doc = json_parse(NULLS, sizeof NULLS - 1, &err);
    json_writer_init(&w, &out);
    json_value_without_nulls(&w, yyjson_doc_get_root(doc));
    assert_string_equal(out.data, "{\"b\":[null,{\"d\":1}]}");
    yyjson_doc_free(doc);
    buffer_clear(&out);
    arena_clear(&arena);
}

static void json_is_strict_and_shallow(void **state) {
    (void)state;
    static const char *const BAD[] = {"", "{", "{\"a\":NaN}", "[1,]", "{\"a\":\"\xff\"}", "[1] x", "// c\n1"};
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) assert_null(json_parse(BAD[i], strlen(BAD[i]), NULL));
    static const struct {
        const char *text, *place;
    } PLACED[] = {{"", "line 1, column 1: "}, {"{\"a\": 1,\n  \"\xc3\xa4\": 2,\n}", "line 2, column 9: trailing comma"}, {"[1,\n \"\xc3\xa4\" 2]", "line 2, column 6: "},
                  {"[1, NaN]", "line 1, column 5: NaN and Infinity are no JSON"}, {"[-Infinity]", "line 1, column 3: NaN and Infinity"}, {"[1", "line 1, column 3: unexpected end"}};
    for (size_t i = 0; i < sizeof PLACED / sizeof *PLACED; i++) {
        Error told = {0};
        assert_null(json_parse(PLACED[i].text, strlen(PLACED[i].text), &told));
        if (!strstr(told.message, PLACED[i].place)) fail_msg("%s: %s", PLACED[i].text, told.message);
    }
    char deep[200];
    memset(deep, '[', 100);
    memset(deep + 100, ']', 100);
    Error err = {0};
    assert_null(json_parse(deep, 200, &err));
    assert_int_equal(err.status, STATUS_MALFORMED_JSON);
}

static void time_has_one_spelling(void **state) {
    (void)state;
    char text[CLOCK_TEXT_SIZE];
    int64_t ms;
    assert_true(clock_parse("2026-04-19T10:15:30Z", &ms));
    assert_string_equal(clock_format(ms, text), "2026-04-19T10:15:30.000Z");
    assert_true(clock_parse("2026-04-19T12:15:30.5+02:00", &ms));
    assert_string_equal(clock_format(ms, text), "2026-04-19T10:15:30.500Z");
    assert_false(clock_parse("2026-02-30T00:00:00Z", &ms));
    assert_false(clock_parse("2026-04-19", &ms));
    assert_false(clock_parse("2026-04-19T10:15:30", &ms));
    assert_true(clock_parse("2016-12-31 23:59:60z", &ms));
    assert_string_equal(clock_format(ms, text), "2017-01-01T00:00:00.000Z");
    static const char *const BAD[] = {"2026-01-01T20:-3:-1Z", "2026-01-01T 5: 3: 1Z",      "2026-1-01T00:00:00Z",      "+026-01-01T00:00:00Z", "2026-01-01T00:00:00+-1:05",
                                      "2026-01-01T00:00:00+1:05", "2026-01-01T00:00:00+ 1:05", "2026-02-30T23:59:60Z", "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00+24:00"};
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++)
        if (clock_parse(BAD[i], &ms)) fail_msg("%s is no time", BAD[i]);
}

static void hashes_match_published_vectors(void **state) {
    (void)state;
    char sha[SHA256_HEX_SIZE], md5[MD5_HEX_SIZE];
    Hasher *hasher = hasher_new();
    hasher_update(hasher, "a", 1);
    hasher_update(hasher, "bc", 2);
    hasher_finish(hasher, sha, md5);
    hasher_free(hasher);
    assert_string_equal(sha, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_string_equal(md5, "900150983cd24fb0d6963f7d28e17f72");
    unsigned char bytes[40];
    char text[HASH_BASE64_SIZE(40)];
    for (size_t n = 0; n <= sizeof bytes; n++) {
        unsigned char back[40];
        random_bytes(bytes, n);
        hash_base64url(bytes, n, text);
        assert_int_equal(strlen(text), (n * 4 + 2) / 3);
        assert_int_equal(hash_from_base64url(text, back, sizeof back), (long)n);
        assert_memory_equal(back, bytes, n);
    }
    char id[UUID_SIZE], other[UUID_SIZE];
    int64_t before = clock_now_ms();
    assert_true(uuid_is_valid(uuid_new(id)));
    assert_string_not_equal(id, uuid_new(other));
    int64_t made = strtoll((char[]){id[0], id[1], id[2], id[3], id[4], id[5], id[6], id[7], id[9], id[10], id[11], id[12], 0}, NULL, 16);
    assert_true(before <= made && made <= clock_now_ms() && id[14] == '7');
    assert_false(uuid_is_valid("5f0c2c6e-8f0b-4d29-9d4b-1f8a6d1f0a1g"));
}

static void text_knows_utf8(void **state) {
    (void)state;
    assert_true(text_is_utf8("\xF0\x9F\x90\x88 caf\xC3\xA9", 10));
    assert_int_equal(text_length("\xF0\x9F\x90\x88 caf\xC3\xA9"), 6);
    assert_false(text_is_utf8("\xC0\x80", 2));         /* overlong */
    assert_false(text_is_utf8("\xED\xA0\x80", 3));     /* surrogate */
    assert_false(text_is_utf8("\xF4\x90\x80\x80", 4)); /* past the last code point */
    int64_t n;
    double d;
    assert_true(text_to_int("-12", &n) && n == -12);
    assert_false(text_to_int("12x", &n) || text_to_int("99999999999999999999", &n) || text_to_int(" 1", &n));
    assert_true(text_to_number("1e-3", &d) && d == 1e-3);
    assert_false(text_to_number("nan", &d) || text_to_number("inf", &d) || text_to_number("", &d) || text_to_number("0x1p3", &d));
}

static void files_appear_whole(void **state) {
    (void)state;
    char folder[] = "/tmp/base_test.XXXXXX", path[100];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/a/b", folder);
    Error err = {0};
    assert_int_equal(file_make_directories(path, 0700, &err), STATUS_OK);
    snprintf(path, sizeof path, "%s/a/b/file.txt", folder);
    assert_int_equal(file_write_atomic(path, "hello", 5, 0600, &err), STATUS_OK);
    assert_int_equal(file_size(path), 5);
    Buffer text;
    buffer_init(&text, 5);
    assert_int_equal(file_read(path, &text, &err), STATUS_OK);
    assert_string_equal(buffer_text(&text), "hello");
    buffer_clear(&text);
    buffer_init(&text, 4);
    assert_int_equal(file_read(path, &text, &err), STATUS_PAYLOAD_TOO_LARGE);
    buffer_clear(&text);
    snprintf(path, sizeof path, "%s/a", folder); /* is in the way: the text names it once, the status needs no text */
    assert_int_equal(file_write_atomic(path, "hello", 5, 0600, NULL), STATUS_IO);
    assert_int_equal(file_write_atomic(path, "hello", 5, 0600, &err), STATUS_IO);
    assert_memory_equal(err.message, path, strlen(path));
    assert_null(strstr(err.message + strlen(path), path));
    assert_string_equal(file_extension("/x.y/name.JPG"), ".JPG");
    assert_string_equal(file_extension("/x.y/name"), "");
    assert_int_equal(file_remove_tree(folder, &err), STATUS_OK);
    assert_false(file_exists(folder));
}

/* RFC 4231, cases 2 and 6: a short key, and one that is longer than a block. */
static void hmac_is_the_published_one(void **state) {
    (void)state;
    unsigned char out[SHA256_SIZE], long_key[131];
    char hex[SHA256_HEX_SIZE];
    static const char DATA[] = "what do ya want for nothing?", LONG_DATA[] = "Test Using Larger Than Block-Size Key - Hash Key First";
    hash_hmac_sha256("Jefe", 4, DATA, sizeof DATA - 1, out);
    hash_hex(out, sizeof out, hex);
    assert_string_equal(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(long_key, 0xaa, sizeof long_key);
    hash_hmac_sha256(long_key, sizeof long_key, LONG_DATA, sizeof LONG_DATA - 1, out);
    hash_hex(out, sizeof out, hex);
    assert_string_equal(hex, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

static void maps_grow_and_replace(void **state) {
    (void)state;
    Arena arena;
    StringMap map;
    arena_init(&arena, 1 << 24);
    string_map_init(&map, &arena);
    assert_true(string_map_get(&map, "a") == STRING_MAP_NONE);
    for (size_t i = 0; i < 5000; i++) assert_int_equal(string_map_get_or_set(&map, arena_printf(&arena, "key %zu", i), i), i);
    for (size_t i = 0; i < 5000; i++) assert_int_equal(string_map_get_or_set(&map, arena_printf(&arena, "key %zu", i), 7), i);
    string_map_set(&map, "key 3", 99);
    assert_int_equal(string_map_get(&map, "key 3"), 99);
    assert_int_equal(map.count, 5000);
    arena_clear(&arena);
}

static void colours_are_those_of_css(void **state) {
    (void)state;
    static const char *const GOOD[] = {"#0af", "#00AAFF", "#00aaff80", "Teal", "aliceblue", "yellowgreen", "transparent", "rgb(0,170,255)", "RGBA(0, 170, 255, 1.0)",
                                       "rgb(0 170 255 / 50%)", "hsl(120deg, 100%, 50%)", "hsl(-120 100% 50%)", "oklch(none 0.1 .5turn)", "color(display-p3 1 0 0)"};
    static const char *const BAD[] = {"", " ", "#", "#12345", "#00aafg", "0af", "banana", "alice blue", "red ", " red", "e", "rgb", "rgb()", "rgb(1,2)", "rgb(1,2,3,4,5)",
                                      "rgb(1,2,x)", "rgb(1,2,3", "rgb(1,2,3) ", "rgb(1,2,.)", "rgb(1,2,3xx)", "url(1,2,3)", "javascript:alert(1)", "color(", "rgb(1,2,+", "#0af\n"};
    for (size_t i = 0; i < sizeof GOOD / sizeof *GOOD; i++) assert_true(css_color_is_valid(GOOD[i]));
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) assert_false(css_color_is_valid(BAD[i]));
    assert_false(css_color_is_valid(NULL));
}

static void text_is_trimmed_of_white_space_of_any_script(void **state) {
    (void)state;
    size_t size;
    assert_string_equal(text_trimmed("\t\xC2\xA0 a b\xE3\x80\x80\n", &size), "a b\xE3\x80\x80\n");
    assert_int_equal(size, 3);
    assert_string_equal(text_trimmed("\xE2\x80\xA8 \xEF\xBB\xBF", &size), "");
    assert_int_equal(size, 0);
    text_trimmed("\xE2\x80\xA6", &size); /* an ellipsis is none, though it begins as some do */
    assert_int_equal(size, 3);
    assert_true(text_is_blank("\xC2\xA0"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hmac_is_the_published_one),
        cmocka_unit_test(arena_is_aligned_zeroed_and_limited), cmocka_unit_test(buffer_refuses_past_its_maximum), cmocka_unit_test(maps_grow_and_replace),
        cmocka_unit_test(error_texts_are_cut_between_characters), cmocka_unit_test(json_written_reads_back),
        cmocka_unit_test(json_is_strict_and_shallow), cmocka_unit_test(time_has_one_spelling),
        cmocka_unit_test(hashes_match_published_vectors), cmocka_unit_test(text_knows_utf8), cmocka_unit_test(files_appear_whole),
        cmocka_unit_test(colours_are_those_of_css), cmocka_unit_test(text_is_trimmed_of_white_space_of_any_script),
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
