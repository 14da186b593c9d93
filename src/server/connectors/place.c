/* Names and folders; see the header. */
#include "server/connectors/place.h"

#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "formats/names.h"
#include "server/images/images.h"
#include "base/banned.h"

enum { NAME_CHARACTERS = 200, FOLDER_CHARACTERS = 1000, ID_CHARACTERS = 36 };

/* At most so many characters of well-formed UTF-8. */
static char *cut(char *text, size_t characters) {
    for (char *p = text; *p; p++) {
        if (((unsigned char)*p & 0xC0) == 0x80) continue;
        if (characters-- > 0) continue;
        *p = '\0';
        break;
    }
    return text;
}

static const char *extension_of_type(const char *content_type) {
    static const char *const TYPES[][2] = {{"image/jpeg", ".jpg"}, {"image/jpg", ".jpg"}, {"image/png", ".png"}, {"image/webp", ".webp"}, {"image/bmp", ".bmp"},
                                           {"image/tiff", ".tif"}, {"image/gif", ".gif"}, {"image/heic", ".heic"}, {"image/heif", ".heif"}};
    for (size_t i = 0; i < sizeof TYPES / sizeof *TYPES; i++)
        if (text_starts_with(content_type, TYPES[i][0])) return TYPES[i][1];
    return NULL;
}

const char *place_filename(Arena *arena, const char *name, const char *content_type) {
    char *base = arena_strdup(arena, name);
    for (char *p = base; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == '/' || *p == '\\') *p = '_';
    bool known = name_is_image(base);
    const char *extension = known ? arena_strdup(arena, file_extension(base)) : extension_of_type(content_type);
    if (!extension) return NULL;
    if (known) base[strlen(base) - strlen(extension)] = '\0';
    base = cut(base, NAME_CHARACTERS);
    return arena_printf(arena, "%s%s", *base ? base : "image", extension);
}

const char *place_other_filename(Arena *arena, const char *filename, const char *remote_id) {
    const char *extension = file_extension(filename);
    char *id = cut(arena_strdup(arena, remote_id), ID_CHARACTERS);
    for (char *p = id; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == '/' || *p == '\\') *p = '_';
    return arena_printf(arena, "%.*s-%s%s", (int)(extension - filename), filename, id, extension);
}

const char *place_folder(Arena *arena, const char *path) {
    char *copy = cut(arena_strdup(arena, path), FOLDER_CHARACTERS), *rest = copy, *part;
    const char *folder = "";
    while ((part = strsep(&rest, "/")) != NULL) {
        for (char *p = part; *p; p++)
            if ((unsigned char)*p < 0x20) *p = '_';
        if (*part && strcmp(part, ".") != 0 && strcmp(part, "..") != 0) folder = arena_printf(arena, "%s/%s", folder, part);
    }
    return *folder ? folder : "/";
}
