#include "base/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/banned.h"

enum { TEXT_MAXIMUM = 64 << 20 };

/* So few brackets cannot nest too deep, and are soon counted: rows of label files have no more. */
static bool has_few(const char *text, size_t size, char bracket, int *left) {
    for (const char *end = text + size; *left > 0 && text < end && (text = memchr(text, bracket, (size_t)(end - text))); text++) --*left;
    return *left > 0;
}

/* Depth by one pass over the bytes, before anything recursive sees them. Brackets come too irregularly for branches: only strings have one. */
static bool depth_within(const char *text, size_t size, int limit) {
    static const signed char STEPS[256] = {['['] = 1, ['{'] = 1, [']'] = -1, ['}'] = -1};
    int64_t depth = 0, deepest = 0;
    int left = limit;
    if (has_few(text, size, '[', &left) && has_few(text, size, '{', &left)) return true;
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '"')
            for (i++; i < size && text[i] != '"'; i++) i += text[i] == '\\';
        depth += i < size ? STEPS[(unsigned char)text[i]] : 0;
        deepest = depth > deepest ? depth : deepest;
    }
    return deepest <= limit;
}

/* Where people look: lines and columns count from 1, columns in characters. */
static Status not_valid(const char *text, size_t size, const yyjson_read_err *why, Error *err) {
    size_t line = 1, column = 1, end = why->pos < size ? why->pos : size;
    for (size_t i = 0; i < end; i++) {
        column += (text[i] & 0xC0) != 0x80;
        if (text[i] == '\n') line++, column = 1;
    }
    const char *reason = why->msg ? why->msg : "empty";
    if (size - end >= 3 && (memcmp(text + end, "NaN", 3) == 0 || memcmp(text + end, "Inf", 3) == 0)) reason = "NaN and Infinity are no JSON";
    return error_set(err, STATUS_MALFORMED_JSON, "Not valid JSON at line %zu, column %zu: %s", line, column, reason);
}

static yyjson_doc *parse(const char *text, size_t size, yyjson_read_flag flags, const yyjson_alc *memory, Error *err) {
    if (!depth_within(text, size, JSON_MAX_DEPTH)) {
        error_set(err, STATUS_MALFORMED_JSON, "JSON is nested deeper than %d levels", JSON_MAX_DEPTH);
        return NULL;
    }
    yyjson_read_err why = {0};
    yyjson_doc *doc = yyjson_read_opts((char *)(uintptr_t)text, size, flags, memory, &why);
    if (!doc && memory && why.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION)
        error_set(err, STATUS_PAYLOAD_TOO_LARGE, "JSON takes too much memory");
    else if (!doc)
        not_valid(text, size, &why, err);
    return doc;
}

yyjson_doc *json_parse(const char *text, size_t size, Error *err) { return parse(text, size, YYJSON_READ_NOFLAG, NULL, err); }

/* yyjson's allocator over an arena: a block that grows is copied, nothing is given back singly. */
static void *arena_malloc(void *context, size_t size) {
    Arena *arena = context;
    bool fits = arena->used <= arena->limit && size <= arena->limit - arena->used;
    return fits ? arena_alloc(arena, size) : NULL;
}

static void *arena_realloc(void *context, void *old, size_t old_size, size_t size) {
    if (size <= old_size) return old;
    void *grown = arena_malloc(context, size);
    return grown ? memcpy(grown, old, old_size) : NULL;
}

static void arena_free(void *context, void *pointer) {
    (void)context;
    (void)pointer;
}

yyjson_doc *json_parse_in(Arena *arena, const char *text, size_t size, Error *err) {
    return parse(text, size, YYJSON_READ_NOFLAG, &(yyjson_alc){arena_malloc, arena_realloc, arena_free, arena}, err);
}

yyjson_doc *json_parse_loosely(Arena *arena, const char *text, size_t size, Error *err) {
    yyjson_alc memory = {arena_malloc, arena_realloc, arena_free, arena};
    return parse(text, size, YYJSON_READ_ALLOW_INF_AND_NAN, arena ? &memory : NULL, err);
}

yyjson_doc *json_parse_file(const char *path, size_t maximum, Error *err) {
    Buffer text;
    buffer_init(&text, maximum);
    yyjson_doc *doc = NULL;
    if (file_read(path, &text, err) == STATUS_OK) {
        doc = json_parse(buffer_text(&text), text.size, err);
        if (!doc) error_prefix(err, "%s", path);
    }
    buffer_clear(&text);
    return doc;
}

const char *json_get_string(yyjson_val *object, const char *key, const char *otherwise) {
    yyjson_val *v = yyjson_obj_get(object, key);
    return yyjson_is_str(v) ? yyjson_get_str(v) : otherwise;
}

int64_t json_get_int(yyjson_val *object, const char *key, int64_t otherwise) {
    yyjson_val *v = yyjson_obj_get(object, key);
    return yyjson_is_int(v) ? yyjson_get_sint(v) : otherwise;
}

double json_get_number(yyjson_val *object, const char *key, double otherwise) {
    yyjson_val *v = yyjson_obj_get(object, key);
    return yyjson_is_num(v) ? yyjson_get_num(v) : otherwise;
}

bool json_get_bool(yyjson_val *object, const char *key, bool otherwise) {
    yyjson_val *v = yyjson_obj_get(object, key);
    return yyjson_is_bool(v) ? yyjson_get_bool(v) : otherwise;
}

void json_writer_init(JsonWriter *w, Buffer *out) { *w = (JsonWriter){.out = out, .first = true}; }

static void new_line(JsonWriter *w) {
    if (!w->indent) return;
    buffer_append_byte(w->out, '\n');
    for (int i = 0; i < w->depth * w->indent; i++) buffer_append_byte(w->out, ' ');
}

/* What stands before any value or key: nothing after a key, else a comma unless it is the first. */
static void separate(JsonWriter *w) {
    if (w->after_key) {
        w->after_key = false;
        return;
    }
    if (!w->first) buffer_append_byte(w->out, ',');
    if (w->depth) new_line(w);
    w->first = false;
}

static void begin(JsonWriter *w, char bracket) {
    separate(w);
    buffer_append_byte(w->out, bracket);
    w->depth++;
    w->first = true;
}

static void end(JsonWriter *w, char bracket) {
    w->depth--;
    if (!w->first) new_line(w);
    buffer_append_byte(w->out, bracket);
    w->first = false;
}

void json_begin_object(JsonWriter *w) { begin(w, '{'); }
void json_end_object(JsonWriter *w) { end(w, '}'); }
void json_begin_array(JsonWriter *w) { begin(w, '['); }
void json_end_array(JsonWriter *w) { end(w, ']'); }

static void quoted(Buffer *out, const char *text, size_t length) {
    static const char HEX[] = "0123456789abcdef";
    buffer_append_byte(out, '"');
    size_t run = 0;
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c >= 0x20 && c != '"' && c != '\\') continue;
        buffer_append(out, text + run, i - run);
        run = i + 1;
        const char *shorthand = c == '"' ? "\\\"" : c == '\\' ? "\\\\" : c == '\n' ? "\\n" : c == '\t' ? "\\t" : c == '\r' ? "\\r" : NULL;
        if (shorthand) {
            buffer_append(out, shorthand, 2);
        } else {
            char code[6] = {'\\', 'u', '0', '0', HEX[c >> 4], HEX[c & 15]};
            buffer_append(out, code, sizeof code);
        }
    }
    buffer_append(out, text + run, length - run);
    buffer_append_byte(out, '"');
}

static void key_n(JsonWriter *w, const char *key, size_t length) {
    separate(w);
    quoted(w->out, key, length);
    buffer_append(w->out, ": ", w->indent ? 2 : 1);
    w->after_key = true;
}

void json_key(JsonWriter *w, const char *key) { key_n(w, key, strlen(key)); }

void json_string_n(JsonWriter *w, const char *text, size_t length) {
    separate(w);
    quoted(w->out, text, length);
}

void json_string(JsonWriter *w, const char *text) {
    if (text) json_string_n(w, text, strlen(text));
    else json_null(w);
}

enum { DIGITS_MAX = 20 };

/* Decimal digits of value at the end of out; returns the first. */
static char *digits_of(uint64_t value, char out[DIGITS_MAX]) {
    char *p = out + DIGITS_MAX;
    do *--p = (char)('0' + value % 10);
    while (value /= 10);
    return p;
}

static void append_digits(Buffer *out, bool negative, uint64_t value) {
    char digits[1 + DIGITS_MAX], *first = digits_of(value, digits + 1);
    if (negative) *--first = '-';
    buffer_append(out, first, (size_t)(digits + sizeof digits - first));
}

static void integer(JsonWriter *w, bool negative, uint64_t value) {
    separate(w);
    append_digits(w->out, negative, value);
}

void json_int(JsonWriter *w, int64_t value) { integer(w, value < 0, value < 0 ? 0 - (uint64_t)value : (uint64_t)value); }

/* yyjson's writer finds the shortest digits without trying; it needs a little memory, which lies on the stack. */
static bool append_shortest(Buffer *out, double value) {
    char memory[512];
    yyjson_alc allocator;
    yyjson_val number = {0};
    size_t size;
    yyjson_set_real(&number, value);
    if (!yyjson_alc_pool_init(&allocator, memory, sizeof memory)) return false;
    char *text = yyjson_val_write_opts(&number, YYJSON_WRITE_NOFLAG, &allocator, &size, NULL);
    return text && buffer_append(out, text, size);
}

void json_number(JsonWriter *w, double value) {
    if (!isfinite(value)) {
        json_null(w);
        return;
    }
    if (value == floor(value) && fabs(value) < 9007199254740992.0) {
        json_int(w, (int64_t)value);
        return;
    }
    separate(w);
    /* Four decimals cover pixels. r and 10000 are exact, so r / 10000 is the double nearest to that decimal: equality proves it. */
    double scaled = nearbyint(value * 10000.0);
    if (fabs(scaled) < 1e15 && scaled / 10000.0 == value) {
        uint64_t all = (uint64_t)fabs(scaled), rest = all % 10000;
        append_digits(w->out, value < 0, all / 10000);
        char tail[5] = {'.', (char)('0' + rest / 1000), (char)('0' + rest / 100 % 10), (char)('0' + rest / 10 % 10), (char)('0' + rest % 10)};
        size_t size = sizeof tail;
        while (tail[size - 1] == '0') size--;
        buffer_append(w->out, tail, size);
        return;
    }
    if (!append_shortest(w->out, value)) buffer_printf(w->out, "%.17g", value);
}

void json_bool(JsonWriter *w, bool value) {
    separate(w);
    buffer_append_text(w->out, value ? "true" : "false");
}

void json_null(JsonWriter *w) {
    separate(w);
    buffer_append_text(w->out, "null");
}

void json_raw(JsonWriter *w, const char *json, size_t size) {
    separate(w);
    buffer_append(w->out, json, size);
}

static void write_container(JsonWriter *w, yyjson_val *value) {
    size_t index, count;
    yyjson_val *key, *item;
    if (yyjson_is_arr(value)) {
        json_begin_array(w);
        yyjson_arr_foreach(value, index, count, item) json_value(w, item);
        json_end_array(w);
        return;
    }
    json_begin_object(w);
    yyjson_obj_foreach(value, index, count, key, item) {
        key_n(w, yyjson_get_str(key), yyjson_get_len(key));
        json_value(w, item);
    }
    json_end_object(w);
}

void json_value(JsonWriter *w, yyjson_val *value) {
    if (yyjson_is_ctn(value)) write_container(w, value);
    else if (yyjson_is_str(value)) json_string_n(w, yyjson_get_str(value), yyjson_get_len(value));
    else if (yyjson_is_bool(value)) json_bool(w, yyjson_get_bool(value));
    else if (yyjson_is_sint(value)) json_int(w, yyjson_get_sint(value));
    else if (yyjson_is_uint(value)) integer(w, false, yyjson_get_uint(value));
    else if (yyjson_is_num(value)) json_number(w, yyjson_get_num(value));
    else json_null(w);
}

void json_value_without_nulls(JsonWriter *w, yyjson_val *value) {
    size_t index, count;
    yyjson_val *key, *item;
    if (yyjson_is_obj(value)) {
        json_begin_object(w);
        yyjson_obj_foreach(value, index, count, key, item) {
            if (yyjson_is_null(item)) continue;
            json_key(w, yyjson_get_str(key));
            json_value_without_nulls(w, item);
        }
        json_end_object(w);
    } else if (yyjson_is_arr(value)) {
        json_begin_array(w);
        yyjson_arr_foreach(value, index, count, item) json_value_without_nulls(w, item);
        json_end_array(w);
    } else {
        json_value(w, value);
    }
}

void json_field_string(JsonWriter *w, const char *key, const char *text) {
    json_key(w, key);
    json_string(w, text);
}

void json_field_int(JsonWriter *w, const char *key, int64_t value) {
    json_key(w, key);
    json_int(w, value);
}

void json_field_number(JsonWriter *w, const char *key, double value) {
    json_key(w, key);
    json_number(w, value);
}

void json_field_bool(JsonWriter *w, const char *key, bool value) {
    json_key(w, key);
    json_bool(w, value);
}

static char *take_text(Arena *arena, Buffer *text) {
    char *copy = arena_strndup(arena, buffer_text(text), text->size);
    buffer_clear(text);
    return copy;
}

char *json_text(Arena *arena, yyjson_val *value) {
    Buffer text;
    JsonWriter w;
    buffer_init(&text, TEXT_MAXIMUM);
    json_writer_init(&w, &text);
    json_value(&w, value);
    return take_text(arena, &text);
}

char *json_list_text(Arena *arena, const char *const *items, size_t count) {
    Buffer text;
    JsonWriter w;
    buffer_init(&text, TEXT_MAXIMUM);
    json_writer_init(&w, &text);
    json_begin_array(&w);
    for (size_t i = 0; i < count; i++) json_string(&w, items[i]);
    json_end_array(&w);
    return take_text(arena, &text);
}
