/* See the header. */
#include "formats/names.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "base/text.h"
#include "base/banned.h"

void name_list_add(NameList *list, const char *name) {
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? 2 * list->capacity : 256;
        const char **items = arena_new_array(list->arena, const char *, list->capacity);
        if (list->count) memcpy(items, list->items, list->count * sizeof *items);
        list->items = items;
    }
    list->items[list->count++] = arena_strdup(list->arena, name);
}

bool name_is_safe_path(const char *path) {
    if (!*path || !text_is_utf8(path, strlen(path))) return false;
    for (const char *p = path; *p; p++) {
        if ((unsigned char)*p < 0x20) return false;
    }
    for (const char *part = path;;) {
        size_t length = strcspn(part, "/\\");
        if (length == 0 || (length == 1 && part[0] == '.') || (length == 2 && part[0] == '.' && part[1] == '.')) return false;
        if (!part[length]) return true;
        part += length + 1;
    }
}

bool name_leads_out(const char *path) {
    if (*path == '/' || *path == '\\') return true;
    for (const char *part = path;; part++) {
        size_t length = strcspn(part, "/\\");
        if (length == 2 && part[0] == '.' && part[1] == '.') return true;
        part += length;
        if (!*part) return false;
    }
}

enum { PART_MAX = 240, PATH_BYTES_MAX = 1800 }; /* of 255 and 4096: room for ".json", "_jpeg" and the folder where it is unpacked */

/* Up to a backslash, which some take for a slash, or U+FFFE or U+FFFF, which XML cannot hold. */
static size_t portable_length(const char *part) {
    size_t length = strcspn(part, "\\");
    for (const char *p = part; (p = strstr(p, "\xef\xbf")); p++)
        if ((unsigned char)p[2] >= 0xbe && (size_t)(p - part) < length) length = (size_t)(p - part);
    return length;
}

/* "Long nam~0123456789abcdef.jpg" */
static char *portable(Arena *arena, const char *part) {
    size_t length = strlen(part), keep = portable_length(part);
    if (keep == length && length <= PART_MAX && !text_equal(part, "__MACOSX")) return arena_strdup(arena, part); /* which unpackers pass over */
    const char *extension = file_extension(part);
    if (strlen(extension) > 16 || portable_length(extension) < strlen(extension)) extension = "";
    size_t most = PART_MAX - 17 - strlen(extension);
    if (keep > most) keep = most;
    while (keep && ((unsigned char)part[keep] & 0xc0) == 0x80) keep--; /* not within a character */
    return arena_printf(arena, "%.*s~%016llx%s", (int)keep, part, (unsigned long long)text_hash(part, length), extension);
}

const char *name_in_archive(Arena *arena, const char *folder, const char *filename) {
    char *path = name_join(arena, folder, filename);
    if (strlen(path) > PATH_BYTES_MAX) path = arena_printf(arena, "~%016llx/%s", (unsigned long long)text_hash(folder, strlen(folder)), filename);
    char *result = NULL;
    for (char *rest = path, *part; (part = strsep(&rest, "/"));) {
        char *cut = portable(arena, part);
        result = result ? arena_printf(arena, "%s/%s", result, cut) : cut;
    }
    return name_is_safe_path(result) ? result : NULL;
}

bool name_is_image(const char *name) {
    static const char *const EXTENSIONS[] = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".heic", ".heif"};
    const char *extension = file_extension(name);
    for (size_t i = 0; i < sizeof EXTENSIONS / sizeof *EXTENSIONS; i++) {
        if (text_equal_ignoring_case(extension, EXTENSIONS[i])) return true;
    }
    return false;
}

char *name_join(Arena *arena, const char *folder, const char *filename) {
    if (!folder) folder = "/";
    while (*folder == '/') folder++;
    size_t length = strlen(folder);
    while (length && folder[length - 1] == '/') length--;
    return length ? arena_printf(arena, "%.*s/%s", (int)length, folder, filename) : arena_strdup(arena, filename);
}

char *name_folder(Arena *arena, const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? arena_printf(arena, "/%.*s", (int)(slash - path), path) : arena_strdup(arena, "/");
}

char *name_without_extension(Arena *arena, const char *path) {
    return arena_strndup(arena, path, strlen(path) - strlen(file_extension(path)));
}

const char *name_split(const char *word, size_t length) {
    static const struct {
        const char *word, *split;
    } WORDS[] = {{"train", "train"}, {"training", "train"}, {"val", "val"},       {"valid", "val"}, {"validation", "val"},
                 {"test", "test"},   {"testing", "test"},   {"train2017", "train"}, {"val2017", "val"}, {"test2017", "test"}};
    for (size_t i = 0; i < sizeof WORDS / sizeof *WORDS; i++) {
        if (strlen(WORDS[i].word) == length && strncasecmp(WORDS[i].word, word, length) == 0) return WORDS[i].split;
    }
    return NULL;
}

const char *name_split_of_path(const char *path) {
    for (const char *slash; (slash = strchr(path, '/')); path = slash + 1) {
        const char *split = name_split(path, (size_t)(slash - path));
        if (split) return split;
    }
    return NULL;
}
