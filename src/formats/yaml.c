/* See the header. Line by line; a flow collection may go on over several lines. */
#include "formats/yaml.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "base/banned.h"

typedef struct Scanner {
    Arena *arena;
    const char *at;
    Yaml *out;
    YamlEntry *open; /* key whose block items may follow; NULL: none */
} Scanner;

static YamlEntry *add_entry(Scanner *s, const char *key) {
    Yaml *yaml = s->out;
    if (yaml->count == yaml->capacity) {
        yaml->capacity = yaml->capacity ? 2 * yaml->capacity : 16;
        YamlEntry *entries = arena_new_array(s->arena, YamlEntry, yaml->capacity);
        if (yaml->count) memcpy(entries, yaml->entries, yaml->count * sizeof *entries);
        yaml->entries = entries;
    }
    yaml->entries[yaml->count] = (YamlEntry){.key = key};
    return &yaml->entries[yaml->count++];
}

static void add_item(Scanner *s, YamlEntry *entry, const char *key, const char *value) {
    if (entry->count == entry->capacity) {
        entry->capacity = entry->capacity ? 2 * entry->capacity : 8;
        YamlItem *items = arena_new_array(s->arena, YamlItem, entry->capacity);
        if (entry->count) memcpy(items, entry->items, entry->count * sizeof *items);
        entry->items = items;
    }
    entry->items[entry->count++] = (YamlItem){key, value};
}

static const char *skip_blanks(const char *p) {
    while (*p == ' ' || *p == '\t') p++;
    return p;
}

/* Blanks, line ends and comments: what may stand between the parts of a flow collection. */
static const char *skip_space(const char *p) {
    for (;;) {
        while (isspace((unsigned char)*p)) p++;
        if (*p != '#') return p;
        p += strcspn(p, "\n");
    }
}

/* False when there are not so many digits, or they make no character. */
static bool hexadecimal(const char *p, size_t digits, uint32_t *code) {
    char text[9] = "";
    if (strspn(p, "0123456789abcdefABCDEF") < digits) return false;
    memcpy(text, p, digits);
    *code = (uint32_t)strtoul(text, NULL, 16);
    return *code && *code <= 0x10ffff;
}

/* The character that JSON or YAML writes so, p at the letter behind its backslash; false for any other letter, which stands for itself. */
static bool unescaped(const char *p, uint32_t *code, size_t *length) {
    static const char LETTERS[] = "ntrbfaveN_LP";
    static const uint32_t CODES[] = {'\n', '\t', '\r', '\b', '\f', '\a', '\v', 27, 0x85, 0xa0, 0x2028, 0x2029};
    size_t digits = *p == 'x' ? 2 : *p == 'u' ? 4 : *p == 'U' ? 8 : 0;
    const char *letter = strchr(LETTERS, *p);
    uint32_t half;
    *length = 1 + digits;
    if (letter) *code = CODES[letter - LETTERS];
    if (!digits || !hexadecimal(p + 1, digits, code)) return letter;
    if (*code >> 11 != 0xd800 >> 11) return true;
    if (*code >= 0xdc00 || p[5] != '\\' || p[6] != 'u' || !hexadecimal(p + 7, 4, &half) || half >> 10 != 0xdc00 >> 10) return false;
    *code = 0x10000 + ((*code & 0x3ff) << 10 | (half & 0x3ff));
    *length = 11;
    return true;
}

/* After the opening quote; *end is set behind the closing one. */
static const char *quoted(Arena *arena, const char *p, char quote, const char **end) {
    char *text = arena_alloc(arena, 2 * strcspn(p, "\n") + 1), *out = text; /* two bytes, "\\L", are three */
    while (*p && *p != '\n') {
        if (*p == quote) {
            if (quote != '\'' || p[1] != '\'') break;
            p++;
        } else if (quote == '"' && *p == '\\' && p[1] && p[1] != '\n') {
            size_t length;
            uint32_t code = 0;
            if (unescaped(++p, &code, &length)) {
                out += text_put_letter(code, out);
                p += length;
                continue;
            }
        }
        *out++ = *p++;
    }
    *end = *p == quote ? p + 1 : p;
    return text;
}

/* A scalar that ends at a line end, a comment or one of stop. */
static const char *scalar(Arena *arena, const char *p, const char *stop, const char **end) {
    p = skip_blanks(p);
    if (*p == '"' || *p == '\'') return quoted(arena, p + 1, *p, end);
    const char *q = p;
    while (*q && *q != '\n' && !strchr(stop, *q) && !(*q == '#' && (q == p || q[-1] == ' ' || q[-1] == '\t'))) q++;
    *end = q;
    while (q > p && isspace((unsigned char)q[-1])) q--;
    return arena_strndup(arena, p, (size_t)(q - p));
}

/* "[a, b]" or "{0: a}", p at its bracket; returns the place behind it. */
static const char *flow(Scanner *s, YamlEntry *entry, const char *p) {
    bool is_map = *p == '{';
    char close = is_map ? '}' : ']';
    for (p = skip_space(p + 1); *p && *p != close; p = skip_space(p)) {
        const char *key = NULL, *before = p;
        if (is_map) {
            key = scalar(s->arena, p, ":,}", &p);
            if (*(p = skip_space(p)) == ':') p = skip_space(p + 1);
        }
        const char *value = scalar(s->arena, p, is_map ? ",}" : ",]", &p);
        if (*value || key) add_item(s, entry, key, value);
        p = skip_space(p);
        if (*p == ',' || p == before) p += *p != '\0' && *p != close;
    }
    return *p ? p + 1 : p;
}

static const char *line_end(const char *p) {
    p += strcspn(p, "\n");
    return *p ? p + 1 : p;
}

/* "- value" or "key: value" below a key. */
static void block_item(Scanner *s, const char *p) {
    const char *end;
    if (!s->open) return;
    if (*p == '-' && (p[1] == ' ' || p[1] == '\t')) {
        add_item(s, s->open, NULL, scalar(s->arena, p + 2, "", &end));
        return;
    }
    const char *key = scalar(s->arena, p, ":", &end);
    if (*skip_blanks(end) == ':') add_item(s, s->open, key, scalar(s->arena, skip_blanks(end) + 1, "", &end));
}

static void top_line(Scanner *s, const char *p) {
    const char *end, *key = scalar(s->arena, p, ":", &end);
    s->open = NULL;
    s->at = line_end(p);
    end = skip_blanks(end);
    if (*end != ':' || !*key) return;
    YamlEntry *entry = add_entry(s, key);
    const char *value = skip_blanks(end + 1);
    if (*value == '[' || *value == '{') {
        s->at = line_end(flow(s, entry, value));
    } else if (*value == '|' || *value == '>') {
        return; /* a text block; its lines are indented and find no open key */
    } else {
        const char *text = scalar(s->arena, value, "", &end);
        if (*text || *value == '"' || *value == '\'') {
            entry->is_scalar = true;
            add_item(s, entry, NULL, text);
        } else {
            s->open = entry;
        }
    }
}

void yaml_read(Arena *arena, const char *text, Yaml *out) {
    Scanner s = {.arena = arena, .at = text, .out = out};
    *out = (Yaml){0};
    if (text_starts_with(text, "\xef\xbb\xbf")) s.at += 3;
    while (*s.at) {
        const char *line = s.at, *p = skip_blanks(line);
        s.at = line_end(line);
        if (*p == '\n' || *p == '\r' || *p == '#' || !*p || text_starts_with(p, "---")) continue;
        if (p > line || (*p == '-' && (p[1] == ' ' || p[1] == '\t'))) block_item(&s, p);
        else top_line(&s, p);
    }
}

const YamlEntry *yaml_get(const Yaml *yaml, const char *key) {
    for (size_t i = 0; i < yaml->count; i++) {
        if (text_equal(yaml->entries[i].key, key)) return &yaml->entries[i];
    }
    return NULL;
}
