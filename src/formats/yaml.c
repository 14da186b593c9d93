/* See the header. Line by line; a flow collection may go on over several lines. */
#include "formats/yaml.h"

#include <ctype.h>
#include <stdio.h>
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

/* What JSON writes for a character, p at the letter behind its backslash; false for any other letter, which stands for itself. */
static bool unescaped(const char *p, char *out, size_t *length) {
    static const char LETTERS[] = "ntrbf", CHARACTERS[] = "\n\t\r\b\f";
    const char *letter = strchr(LETTERS, *p);
    unsigned code;
    bool is_code = *p == 'u' && strspn(p + 1, "0123456789abcdefABCDEF") >= 4 && sscanf(p + 1, "%4x", &code) == 1 && code > 0 && code < 0x80;
    if (letter) *out = CHARACTERS[letter - LETTERS];
    else if (is_code) *out = (char)code;
    *length = is_code ? 5 : 1;
    return letter || is_code;
}

/* After the opening quote; *end is set behind the closing one. */
static const char *quoted(Arena *arena, const char *p, char quote, const char **end) {
    char *text = arena_alloc(arena, strcspn(p, "\n") + 1), *out = text;
    while (*p && *p != '\n') {
        if (*p == quote) {
            if (quote != '\'' || p[1] != '\'') break;
            p++;
        } else if (quote == '"' && *p == '\\' && p[1] && p[1] != '\n') {
            size_t length;
            if (unescaped(++p, out, &length)) {
                out++;
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
