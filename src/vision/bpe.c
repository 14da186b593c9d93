#include "vision/bpe.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/map.h"
#include "base/text.h"
#include "vision/letters.h"
#include "base/banned.h"

#define END_OF_WORD "</w>"
enum { TOKEN_BYTES_MAX = 512, MERGES_MAX = BPE_TOKENS_MAX, NO_TOKEN = -1 };

/* Two tokens that become one; the lower the rank, the earlier. */
typedef struct Merge {
    uint64_t pair;
    uint32_t rank;
    int32_t whole;
} Merge;

struct Bpe {
    int32_t bytes[2][256]; /* the token of a byte inside a word, and of one that ends it; NO_TOKEN: the vocabulary has none */
    int32_t start, end;
    Merge *merges; /* by pair */
    size_t merge_count;
};

static uint64_t pair_of(int32_t left, int32_t right) { return (uint64_t)(uint32_t)left << 32 | (uint32_t)right; }

static int compare_pairs(const void *a, const void *b) {
    const Merge *x = a, *y = b;
    if (x->pair != y->pair) return x->pair < y->pair ? -1 : 1;
    return x->rank < y->rank ? -1 : x->rank > y->rank;
}

/* ---- reading ---- */

static Status refuse(Error *err, const char *what) { return error_set(err, STATUS_MODEL_UNAVAILABLE, "%s", what); }

static Status read_vocabulary(StringMap *map, yyjson_val *vocabulary, Error *err) {
    yyjson_val *key, *number;
    size_t i, count;
    if (!yyjson_is_obj(vocabulary) || yyjson_obj_size(vocabulary) > BPE_TOKENS_MAX) return refuse(err, "'model.vocab' must be an object of at most 1048576 tokens");
    yyjson_obj_foreach(vocabulary, i, count, key, number) {
        if (!yyjson_is_uint(number) || yyjson_get_uint(number) >= BPE_TOKENS_MAX) return refuse(err, "'model.vocab' has a token whose number is out of bounds");
        if (yyjson_get_len(key) <= TOKEN_BYTES_MAX) string_map_set(map, yyjson_get_str(key), yyjson_get_uint(number));
    }
    return STATUS_OK;
}

static int32_t token_of(const StringMap *map, const char *text) {
    size_t found = string_map_get(map, text);
    return found == STRING_MAP_NONE ? NO_TOKEN : (int32_t)found;
}

/* Every byte has a printable stand-in: itself, or where it has no shape a code point from 256 on. */
static uint32_t stand_in(int byte) {
    uint32_t next = 256;
    for (int b = 0; b <= byte; b++) {
        bool printable = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
        if (b == byte) return printable ? (uint32_t)b : next;
        next += !printable;
    }
    return next;
}

static void read_bytes(Bpe *bpe, const StringMap *map) {
    for (int b = 0; b < 256; b++) {
        char text[sizeof END_OF_WORD + 4];
        int length = text_put_letter(stand_in(b), text);
        text[length] = '\0';
        bpe->bytes[0][b] = token_of(map, text);
        memcpy(text + length, END_OF_WORD, sizeof END_OF_WORD);
        bpe->bytes[1][b] = token_of(map, text);
    }
}

/* "left right", or ["left", "right"]. */
static bool split_merge(yyjson_val *value, char left[TOKEN_BYTES_MAX + 1], char right[TOKEN_BYTES_MAX + 1]) {
    const char *a = yyjson_get_str(yyjson_arr_get(value, 0)), *b = yyjson_get_str(yyjson_arr_get(value, 1)), *text = yyjson_get_str(value);
    size_t length = a ? strlen(a) : 0;
    if (text && (b = strchr(text, ' '))) {
        a = text;
        length = (size_t)(b++ - text);
    }
    if (!a || !b || length > TOKEN_BYTES_MAX || strlen(b) > TOKEN_BYTES_MAX - length) return false;
    memcpy(left, a, length);
    left[length] = '\0';
    memcpy(right, b, strlen(b) + 1);
    return true;
}

static Status read_merges(Bpe *bpe, const StringMap *map, yyjson_val *merges, Error *err) {
    char left[TOKEN_BYTES_MAX + 1], right[TOKEN_BYTES_MAX + 1], whole[2 * TOKEN_BYTES_MAX + 1];
    yyjson_val *value;
    size_t i, count;
    if (!yyjson_is_arr(merges) || yyjson_arr_size(merges) > MERGES_MAX) return refuse(err, "'model.merges' must be a list of at most 1048576 merges");
    bpe->merges = xcalloc(yyjson_arr_size(merges) + 1, sizeof *bpe->merges);
    yyjson_arr_foreach(merges, i, count, value) {
        if (!split_merge(value, left, right)) return error_set(err, STATUS_MODEL_UNAVAILABLE, "'model.merges' has at %zu what is no pair of tokens", i);
        memcpy(whole, left, strlen(left));
        memcpy(whole + strlen(left), right, strlen(right) + 1);
        int32_t a = token_of(map, left), b = token_of(map, right), both = token_of(map, whole);
        if (a == NO_TOKEN || b == NO_TOKEN || both == NO_TOKEN)
            return error_set(err, STATUS_MODEL_UNAVAILABLE, "'model.merges' has at %zu tokens that 'model.vocab' lacks", i);
        bpe->merges[bpe->merge_count++] = (Merge){pair_of(a, b), (uint32_t)i, both};
    }
    qsort(bpe->merges, bpe->merge_count, sizeof *bpe->merges, compare_pairs);
    return STATUS_OK;
}

static Status read_model(Bpe *bpe, StringMap *map, yyjson_val *model, Error *err) {
    if (!text_equal(json_get_string(model, "type", NULL), "BPE") || !text_equal(json_get_string(model, "end_of_word_suffix", NULL), END_OF_WORD) ||
        *json_get_string(model, "continuing_subword_prefix", ""))
        return refuse(err, "it is no tokenizer of CLIP's kind: 'model' must have the type BPE and the end_of_word_suffix \"" END_OF_WORD "\"");
    Status status = read_vocabulary(map, yyjson_obj_get(model, "vocab"), err);
    if (status != STATUS_OK) return status;
    bpe->start = token_of(map, "<|startoftext|>");
    bpe->end = token_of(map, "<|endoftext|>");
    if (bpe->start == NO_TOKEN || bpe->end == NO_TOKEN) return refuse(err, "'model.vocab' lacks <|startoftext|> or <|endoftext|>");
    read_bytes(bpe, map);
    return read_merges(bpe, map, yyjson_obj_get(model, "merges"), err);
}

Status bpe_parse(Bpe **out, const char *text, size_t size, Error *err) {
    Error failure;
    if (size > BPE_FILE_BYTES_MAX) return error_set(err, STATUS_MODEL_UNAVAILABLE, "the file has more than %d bytes", BPE_FILE_BYTES_MAX);
    yyjson_doc *doc = json_parse(text, size, &failure);
    if (!doc) return error_set(err, STATUS_MODEL_UNAVAILABLE, "it is no JSON: %s", failure.message);
    Bpe *bpe = xcalloc(1, sizeof *bpe);
    StringMap map;
    Arena arena;
    arena_init(&arena, SIZE_MAX);
    string_map_init(&map, &arena);
    Status status = read_model(bpe, &map, yyjson_obj_get(yyjson_doc_get_root(doc), "model"), err);
    arena_clear(&arena);
    yyjson_doc_free(doc);
    if (status == STATUS_OK) *out = bpe;
    else bpe_free(bpe);
    return status;
}

Status bpe_open(Bpe **out, const char *path, Error *err) {
    Buffer text;
    Error failure;
    buffer_init(&text, BPE_FILE_BYTES_MAX);
    Status status = file_read(path, &text, &failure);
    if (status == STATUS_NOT_FOUND) status = refuse(err, "the file is missing");
    else if (status != STATUS_OK) status = error_set(err, STATUS_MODEL_UNAVAILABLE, "it cannot be read, or has more than %d bytes", BPE_FILE_BYTES_MAX);
    else status = bpe_parse(out, buffer_text(&text), text.size, err);
    buffer_clear(&text);
    return status;
}

void bpe_free(Bpe *bpe) {
    if (!bpe) return;
    free(bpe->merges);
    free(bpe);
}

int32_t bpe_end(const Bpe *bpe) { return bpe->end; }

/* ---- a word ---- */

static const Merge *find_merge(const Bpe *bpe, int32_t left, int32_t right) {
    uint64_t pair = pair_of(left, right);
    size_t low = 0, high = bpe->merge_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (bpe->merges[middle].pair < pair) low = middle + 1;
        else high = middle;
    }
    return low < bpe->merge_count && bpe->merges[low].pair == pair ? &bpe->merges[low] : NULL;
}

/* The earliest merge of neighbours again and again. A byte without a token is the end's, as in the reference, and takes part in no merge. */
static size_t encode_word(const Bpe *bpe, const char *word, size_t length, int32_t *tokens) {
    for (size_t i = 0; i < length; i++) tokens[i] = bpe->bytes[i + 1 == length][(unsigned char)word[i]];
    for (;;) {
        const Merge *best = NULL;
        size_t at = 0;
        for (size_t i = 0; i + 1 < length; i++) {
            const Merge *merge = find_merge(bpe, tokens[i], tokens[i + 1]);
            if (merge && (!best || merge->rank < best->rank)) best = merge, at = i;
        }
        if (!best) break;
        tokens[at] = best->whole;
        memmove(tokens + at + 1, tokens + at + 2, (length - at - 2) * sizeof *tokens);
        length--;
    }
    for (size_t i = 0; i < length; i++)
        if (tokens[i] == NO_TOKEN) tokens[i] = bpe->end;
    return length;
}

/* ---- a phrase ---- */

/* In small letters. Returns the length. */
static size_t lower(const char *phrase, char *out, size_t room) {
    size_t length = 0;
    while (*phrase && length + 4 < room) length += (size_t)text_put_letter(letter_small(letter_next(&phrase)), out + length);
    out[length] = '\0';
    return length;
}

/* An English ending after an apostrophe is a word: 's, 't, 're … */
static size_t ending_at(const char *p) {
    static const char *const ENDINGS[] = {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"};
    for (size_t i = 0; i < sizeof ENDINGS / sizeof *ENDINGS; i++)
        if (text_starts_with(p, ENDINGS[i])) return strlen(ENDINGS[i]);
    return 0;
}

/* Bytes of the word at p, which is no space: an ending, a run of letters, one digit, or a run of neither. */
static size_t word_at(const char *p) {
    const char *end = p;
    size_t ending = ending_at(p);
    LetterKind kind = letter_kind(letter_next(&end));
    if (ending || kind == LETTER_DIGIT) return ending ? ending : (size_t)(end - p);
    for (const char *next = end; *next && letter_kind(letter_next(&next)) == kind;) end = next;
    return (size_t)(end - p);
}

size_t bpe_encode(const Bpe *bpe, const char *phrase, int32_t *tokens, size_t most) {
    char text[BPE_TEXT_BYTES_MAX];
    int32_t word[BPE_TEXT_BYTES_MAX];
    size_t count = 0;
    lower(phrase, text, sizeof text);
    tokens[count++] = bpe->start;
    for (const char *p = text, *next = text; *p && count < most - 1; p = next) {
        if (letter_kind(letter_next(&next)) == LETTER_SPACE) continue;
        size_t length = word_at(p), made = encode_word(bpe, p, length, word);
        for (size_t i = 0; i < made && count < most - 1; i++) tokens[count++] = word[i];
        next = p + length;
    }
    tokens[count++] = bpe->end;
    return count;
}
