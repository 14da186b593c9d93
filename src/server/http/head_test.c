/* Header fields that decide how bytes travel, and the settings file. */
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

#include "base/file.h"
#include "server/api/conditional.h"
#include "server/api/key_secret.h"
#include "server/config.h"
#include "server/http/client_address.h"
#include "server/http/head.h"
#include "base/banned.h"

static void ranges(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t size;
        ByteRange wanted;
    } CASES[] = {
        {NULL, 100, {RANGE_WHOLE, 0, 100}},
        {"bytes=0-9", 100, {RANGE_PART, 0, 10}},
        {"bytes=90-", 100, {RANGE_PART, 90, 10}},
        {"bytes=90-1000", 100, {RANGE_PART, 90, 10}},
        {"bytes=-10", 100, {RANGE_PART, 90, 10}},
        {"bytes=-1000", 100, {RANGE_PART, 0, 100}},
        {"bytes=99-99", 100, {RANGE_PART, 99, 1}},
        {"bytes=100-", 100, {RANGE_OUTSIDE, 0, 0}},
        {"bytes=-0", 100, {RANGE_OUTSIDE, 0, 0}},
        {"bytes=0-", 0, {RANGE_OUTSIDE, 0, 0}},
        {"bytes=9-3", 100, {RANGE_WHOLE, 0, 100}},
        {"bytes=0-1,5-6", 100, {RANGE_WHOLE, 0, 100}},
        {"bytes=", 100, {RANGE_WHOLE, 0, 100}},
        {"bytes=-", 100, {RANGE_WHOLE, 0, 100}},
        {"bytes=a-b", 100, {RANGE_WHOLE, 0, 100}},
        {"items=0-9", 100, {RANGE_WHOLE, 0, 100}},
        {"bytes=0-99999999999999999999999", 100, {RANGE_WHOLE, 0, 100}},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        ByteRange got = conditional_range(CASES[i].text, CASES[i].size);
        assert_int_equal(got.kind, CASES[i].wanted.kind);
        assert_int_equal(got.first, CASES[i].wanted.first);
        assert_int_equal(got.length, CASES[i].wanted.length);
    }
}

static void entity_tags(void **state) {
    (void)state;
    assert_true(conditional_matches("\"a\"", "\"a\""));
    assert_true(conditional_matches("\"b\", W/\"a\"", "\"a\""));
    assert_true(conditional_matches(" * ", "\"a\""));
    assert_false(conditional_matches("\"aa\"", "\"a\""));
    assert_false(conditional_matches("\"b\",", "\"a\""));
    assert_false(conditional_matches("", "\"a\""));
    assert_false(conditional_matches(NULL, "\"a\""));
    assert_false(conditional_matches("\"a\"", NULL));
}

static void lengths_and_hosts(void **state) {
    (void)state;
    assert_true(head_field_is_sound("X-A.b~1", 7, "a\tb \xc3\xa9", 6));
    assert_true(head_field_is_sound("Range", 5, "6\x04\x7f", 3));
    assert_false(head_field_is_sound("X", 1, "a\nb", 3));
    assert_true(head_field_is_sound("Content-Length", 14, "", 0));
    assert_false(head_field_is_sound("Content-Length ", 15, "5", 1));
    assert_false(head_field_is_sound("content-length5", 15, "", 0));
    assert_false(head_field_is_sound("X", 1, "a\rTransfer-Encoding: chunked", 28));
    assert_false(head_field_is_sound("", 0, "a", 1));
    assert_int_equal(head_content_length("0"), 0);
    assert_int_equal(head_content_length("123"), 123);
    assert_int_equal(head_content_length("+1"), -1);
    assert_int_equal(head_content_length(" 1"), -1);
    assert_int_equal(head_content_length("1,1"), -1);
    assert_int_equal(head_content_length(""), -1);
    assert_int_equal(head_content_length("99999999999999999999"), -1);
    assert_true(head_host_is_plain("localhost:8080"));
    assert_true(head_host_is_plain("[::1]:80"));
    assert_false(head_host_is_plain("a/b"));
    assert_false(head_host_is_plain("a\"b"));
    assert_false(head_host_is_plain(""));
    assert_false(head_host_is_plain(NULL));
}

static void key_form(void **state) {
    (void)state;
    KeySecret secret;
    assert_int_equal(key_secret_make(&secret, NULL), STATUS_OK);
    assert_true(key_secret_is_plausible(secret.text));
    assert_int_equal(strlen(secret.prefix), 12);
    assert_memory_equal(secret.hash, "$2b$12$", 7);
    assert_true(key_secret_matches(secret.text, secret.hash));
    secret.text[20] = secret.text[20] == 'x' ? 'y' : 'x';
    assert_false(key_secret_matches(secret.text, secret.hash));
    assert_false(key_secret_is_plausible("pk_live_short"));
    assert_false(key_secret_is_plausible("sk_live_0123456789012345678901234567890123456789012"));
}

static char directory[] = "/tmp/config_test_XXXXXX";

static Status load(const char *text, Config *out, Arena *arena, Error *err) {
    const char *path = arena_printf(arena, "%s/config.toml", directory);
    assert_int_equal(file_write_atomic(path, text, strlen(text), 0600, NULL), STATUS_OK);
    *err = (Error){0};
    return config_load(out, directory, NULL, 0, arena, err);
}

static void settings(void **state) {
    (void)state;
    Arena arena;
    Config config;
    Error err;
    arena_init(&arena, 1 << 20);
    assert_non_null(mkdtemp(directory));
    assert_int_equal(load("# mine\n\nlisten = \"0.0.0.0:81\" # all\nhttp_threads=3\naccess_log = false\r\npublic_url = 'x'", &config, &arena, &err), STATUS_CONFIGURATION);
    assert_non_null(strstr(err.message, "config.toml:6: public_url: an http address"));
    assert_int_equal(load("listen = \"[::]:81\"\nhttp_threads = 3\naccess_log = false\npublic_url = \"https://x.example/\"\n", &config, &arena, &err), STATUS_OK);
    assert_string_equal(config.listen_host, "::");
    assert_int_equal(config.listen_port, 81);
    assert_int_equal(config.http_threads, 3);
    assert_false(config.access_log);
    assert_string_equal(config.public_url, "https://x.example");

    static const struct {
        const char *text, *wanted;
    } BAD[] = {
        {"a = 1\n", ":1: unknown setting 'a'"}, {"\nlisten\n", ":2: 'name = value'"},       {"listen = \"x", ":1: a quote is missing"},
        {"listen = \"x\" y", ":1: 'y' does"},   {"http_threads = 0", "a number from 1"},  {"http_threads =", ":1: a value is missing"},
        {"listen = \"a:b\"", "an address such"}, {"access_log = yes", "true or false"},
    };
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        assert_int_equal(load(BAD[i].text, &config, &arena, &err), STATUS_CONFIGURATION);
        if (!strstr(err.message, BAD[i].wanted)) fail_msg("%s, wanted %s", err.message, BAD[i].wanted);
    }

    /* flags > environment > file */
    setenv("PICTOGRAPHD_HTTP_THREADS", "5", 1);
    assert_int_equal(load("http_threads = 3\nhandler_threads = 4\n", &config, &arena, &err), STATUS_OK);
    assert_int_equal(config.http_threads, 5);
    assert_int_equal(config.handler_threads, 4);
    ConfigFlag flag = {"http-threads", "6"};
    assert_int_equal(config_load(&config, directory, &flag, 1, &arena, &err), STATUS_OK);
    assert_int_equal(config.http_threads, 6);
    unsetenv("PICTOGRAPHD_HTTP_THREADS");
    file_remove_tree(directory, NULL);
    arena_clear(&arena);
}

static void forwarded_addresses(void **state) {
    (void)state;
    Arena arena;
    Error err = {0};
    const ProxyList *proxies;
    arena_init(&arena, 1 << 16);
    assert_int_equal(proxy_list_parse(&proxies, "127.0.0.1, 10.0.0.0/8,fd00::/9", &arena, &err), STATUS_OK);
    static const struct {
        const char *peer, *forwarded, *client;
    } CASES[] = {
        {"127.0.0.1", NULL, "127.0.0.1"},
        {"127.0.0.1", "", "127.0.0.1"},
        {"127.0.0.1", "203.0.113.9", "203.0.113.9"},
        {"127.0.0.1", "1.1.1.1, 203.0.113.9", "203.0.113.9"},       /* what the client itself wrote is in front */
        {"127.0.0.1", "1.1.1.1, 203.0.113.9 ,10.2.3.4", "203.0.113.9"},
        {"127.0.0.1", "10.1.1.1,10.2.3.4", "10.1.1.1"},             /* proxies all the way */
        {"127.0.0.1", "203.0.113.9, nonsense", "127.0.0.1"},
        {"127.0.0.1", "203.0.113.9, , 10.2.3.4", "10.2.3.4"},
        {"192.0.2.1", "203.0.113.9", "192.0.2.1"},                  /* nobody's word is taken */
        {"11.0.0.1", "203.0.113.9", "11.0.0.1"},
        {"fd7f::1", "2001:db8::5", "2001:db8::5"},
        {"fd80::1", "2001:db8::5", "fd80::1"},
        {"not an address", "203.0.113.9", "not an address"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++)
        assert_string_equal(client_address(proxies, CASES[i].peer, CASES[i].forwarded, &arena), CASES[i].client);
    assert_string_equal(client_address(NULL, "127.0.0.1", "203.0.113.9", &arena), "127.0.0.1");
    static const char *const BAD[] = {"localhost", "10.0.0.0/33", "10.0.0.0/", "::1/129", "10.0.0.0/-1", "1.2.3"};
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        assert_int_equal(proxy_list_parse(&proxies, BAD[i], &arena, &err), STATUS_CONFIGURATION);
        assert_non_null(strstr(err.message, BAD[i]));
    }
    arena_clear(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges), cmocka_unit_test(entity_tags), cmocka_unit_test(lengths_and_hosts), cmocka_unit_test(key_form), cmocka_unit_test(settings),
        cmocka_unit_test(forwarded_addresses),
    };
    return cmocka_run_group_tests_name("head", tests, NULL, NULL);
}
