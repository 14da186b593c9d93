/* Words become tokens as CLIP's tokenizer makes them, and a file that is none is refused by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include "vision/bpe.h"
#include "base/text.h"
#include "vision/letters.h"
#include "base/banned.h"

#define HEAD "{\"model\": {\"type\": \"BPE\", \"end_of_word_suffix\": \"</w>\", \"vocab\": {\"<|startoftext|>\": 90, \"<|endoftext|>\": 91, "
static const char TINY[] =
    HEAD "\"a\": 1, \"b\": 2, \"c\": 3, \"t\": 4, \"'\": 5, \"s\": 6, \"a</w>\": 11, \"b</w>\": 12, \"c</w>\": 13, \"t</w>\": 14, \"s</w>\": 16, \"1</w>\": 17, \"!</w>\": 18, "
         "\"!\": 19, \"Ã\": 20, \"©</w>\": 21, \"at</w>\": 30, \"cat</w>\": 31, \"ab\": 32, \"'s</w>\": 33, \"é</w>\": 34, \"Ã©</w>\": 35}, "
         "\"merges\": [\"a t</w>\", [\"c\", \"at</w>\"], \"a b\", \"' s</w>\", \"Ã ©</w>\"]}}";

static Bpe *tiny(void) {
    Bpe *bpe = NULL;
    Error err = {0};
    if (bpe_parse(&bpe, TINY, strlen(TINY), &err) != STATUS_OK) fail_msg("%s", err.message);
    return bpe;
}

static void phrases_become_tokens(void **state) {
    (void)state;
    static const struct {
        const char *phrase;
        int32_t tokens[10]; /* between start and end; ended by 0 */
    } CASES[] = {
        {"", {0}}, {"   ", {0}}, {"cat", {31}}, {"CAT", {31}}, {" cat\tcat\n", {31, 31}}, {"cats", {3, 1, 4, 16}}, {"cat's", {31, 33}}, {"bat", {2, 30}},
        {"abc", {32, 13}}, {"11", {17, 17}}, {"a1b", {11, 17, 12}}, {"cat!!", {31, 19, 18}}, {"!'s", {19, 91, 16}}, {"\xC3\x89", {35}}, {"\xC3\xA9", {35}},
        {"\xE2\x80\x83" "a", {11}}, {"z", {91}}, {"\xFF", {91, 91, 91}}, {"<|endoftext|>", {91, 91, 91, 91, 91, 91}},
    };
    Bpe *bpe = tiny();
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        int32_t tokens[32];
        size_t count = bpe_encode(bpe, CASES[i].phrase, tokens, 32), wanted = 0;
        while (CASES[i].tokens[wanted]) wanted++;
        if (i + 1 == sizeof CASES / sizeof *CASES) { /* the marks of a text are no words in it */
            assert_true(count > 3);
            continue;
        }
        if (count != wanted + 2 || memcmp(tokens + 1, CASES[i].tokens, wanted * sizeof *tokens) != 0) fail_msg("'%s': %zu tokens", CASES[i].phrase, count);
        assert_int_equal(tokens[0], 90);
        assert_int_equal(tokens[count - 1], 91);
    }
    bpe_free(bpe);
}

static void long_phrases_are_cut_off(void **state) {
    (void)state;
    int32_t tokens[5];
    Bpe *bpe = tiny();
    char *phrase = malloc(100001);
    memset(phrase, 'b', 100000);
    phrase[100000] = '\0';
    assert_int_equal(bpe_encode(bpe, phrase, tokens, 5), 5);
    assert_int_equal(tokens[3], 2);
    assert_int_equal(tokens[4], 91);
    assert_int_equal(bpe_encode(bpe, "cat cat cat cat", tokens, 5), 5);
    assert_int_equal(tokens[4], 91);
    assert_int_equal(bpe_encode(bpe, "cat", tokens, 2), 2);
    free(phrase);
    bpe_free(bpe);
}

static void what_is_none_is_refused(void **state) {
    (void)state;
    static const struct {
        const char *text, *words;
    } CASES[] = {
        {"", "no JSON"}, {"[]", "CLIP's kind"}, {"{\"model\": {\"type\": \"Unigram\"}}", "CLIP's kind"}, {"{\"model\": {\"type\": \"BPE\"}}", "CLIP's kind"},
        {"{\"model\": {\"type\": \"BPE\", \"end_of_word_suffix\": \"</w>\", \"vocab\": []}}", "'model.vocab'"},
        {"{\"model\": {\"type\": \"BPE\", \"end_of_word_suffix\": \"</w>\", \"vocab\": {\"a\": 1}}}", "<|startoftext|>"},
        {HEAD "\"a\": -1}, \"merges\": []}}", "out of bounds"}, {HEAD "\"a\": 1048576}, \"merges\": []}}", "out of bounds"}, {HEAD "\"a\": \"b\"}, \"merges\": []}}", "out of bounds"},
        {HEAD "\"a\": 1}}}", "'model.merges'"}, {HEAD "\"a\": 1}, \"merges\": [5]}}", "no pair"}, {HEAD "\"a\": 1}, \"merges\": [\"a\"]}}", "no pair"},
        {HEAD "\"a\": 1}, \"merges\": [[\"a\"]]}}", "no pair"}, {HEAD "\"a\": 1}, \"merges\": [\"a a\"]}}", "lacks"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        Bpe *bpe = NULL;
        Error err = {0};
        assert_int_equal(bpe_parse(&bpe, CASES[i].text, strlen(CASES[i].text), &err), STATUS_MODEL_UNAVAILABLE);
        if (!strstr(err.message, CASES[i].words)) fail_msg("%zu: %s", i, err.message);
        assert_null(bpe);
    }
}

static void letters_are_what_unicode_says(void **state) {
    (void)state;
    static const struct {
        uint32_t code;
        LetterKind kind;
        uint32_t small;
    } CASES[] = {
        {'a', LETTER_LETTER, 'a'}, {'Z', LETTER_LETTER, 'z'}, {'7', LETTER_DIGIT, '7'}, {'-', LETTER_OTHER, '-'}, {'\n', LETTER_SPACE, '\n'}, {0xC4, LETTER_LETTER, 0xE4},
        {0xD7, LETTER_OTHER, 0xD7}, {0xDF, LETTER_LETTER, 0xDF}, {0x141, LETTER_LETTER, 0x142}, {0x142, LETTER_LETTER, 0x142}, {0x178, LETTER_LETTER, 0xFF},
        {0x3A9, LETTER_LETTER, 0x3C9}, {0x416, LETTER_LETTER, 0x436}, {0x401, LETTER_LETTER, 0x451}, {0x4E2D, LETTER_LETTER, 0x4E2D}, {0x3000, LETTER_SPACE, 0x3000},
        {0x20AC, LETTER_OTHER, 0x20AC}, {0x1F600, LETTER_OTHER, 0x1F600}, {0xB2, LETTER_DIGIT, 0xB2}, {0x301, LETTER_OTHER, 0x301}, {0x10FFFF, LETTER_OTHER, 0x10FFFF},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        char text[5] = "";
        const char *p = text;
        assert_int_equal(letter_kind(CASES[i].code), CASES[i].kind);
        assert_int_equal(letter_small(CASES[i].code), CASES[i].small);
        text[text_put_letter(CASES[i].code, text)] = '\0';
        assert_int_equal(letter_next(&p), CASES[i].code);
        assert_int_equal(*p, '\0');
    }
    for (const char *bad[] = {"\x80", "\xC3", "\xE2\x82", "\xF0\x9F\x98", "\xC0\xAF", "\xFF", NULL}, **b = bad; *b; b++) {
        const char *p = *b;
        assert_int_equal(letter_next(&p), 0xFFFD);
        assert_ptr_equal(p, *b + 1);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(phrases_become_tokens), cmocka_unit_test(long_phrases_are_cut_off), cmocka_unit_test(what_is_none_is_refused),
                                       cmocka_unit_test(letters_are_what_unicode_says)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
