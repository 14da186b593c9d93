#include "media/sniff.h"

#include <string.h>

#include "base/banned.h"

static const MediaType JPEG = {"image/jpeg", ".jpg", MEDIA_VIPS, "jpegload", "JPEG"};
static const MediaType PNG = {"image/png", ".png", MEDIA_VIPS, "pngload", "PNG"};
static const MediaType WEBP = {"image/webp", ".webp", MEDIA_VIPS, "webpload", "WebP"};
static const MediaType BMP = {"image/bmp", ".bmp", MEDIA_BMP, NULL, "BMP"};
static const MediaType TIFF = {"image/tiff", ".tiff", MEDIA_VIPS, "tiffload", "TIFF"};
static const MediaType GIF = {"image/gif", ".gif", MEDIA_VIPS, "gifload", "GIF"};
static const MediaType HEIC = {"image/heic", ".heic", MEDIA_VIPS, "heifload", "HEIC"};

/* A row matches when its bytes stand at its offset and, where given, more bytes at a second offset. */
typedef struct Magic {
    const MediaType *type;
    unsigned char offset, size;
    const char *bytes;
    unsigned char second_offset, second_size;
    const char *second;
} Magic;

static const Magic MAGIC[] = {
    {&JPEG, 0, 3, "\xFF\xD8\xFF", 0, 0, NULL},
    {&PNG, 0, 8, "\x89PNG\r\n\x1A\n", 0, 0, NULL},
    {&WEBP, 0, 4, "RIFF", 8, 4, "WEBP"},
    {&GIF, 0, 6, "GIF87a", 0, 0, NULL},
    {&GIF, 0, 6, "GIF89a", 0, 0, NULL},
    {&TIFF, 0, 4, "II\x2A\x00", 0, 0, NULL},
    {&TIFF, 0, 4, "MM\x00\x2A", 0, 0, NULL},
    {&TIFF, 0, 4, "II\x2B\x00", 0, 0, NULL}, /* BigTIFF */
    {&TIFF, 0, 4, "MM\x00\x2B", 0, 0, NULL},
    {&HEIC, 4, 8, "ftypheic", 0, 0, NULL},
    {&HEIC, 4, 8, "ftypheix", 0, 0, NULL},
    {&HEIC, 4, 8, "ftypheim", 0, 0, NULL},
    {&HEIC, 4, 8, "ftypheis", 0, 0, NULL},
    {&HEIC, 4, 8, "ftyphevc", 0, 0, NULL},
    {&HEIC, 4, 8, "ftyphevx", 0, 0, NULL},
    {&HEIC, 4, 8, "ftypmif1", 0, 0, NULL},
    {&HEIC, 4, 8, "ftypmsf1", 0, 0, NULL},
    {&BMP, 0, 2, "BM", 0, 0, NULL}, /* last: the shortest */
};

static int stands_at(const unsigned char *bytes, size_t size, unsigned offset, unsigned length, const char *wanted) {
    return size >= (size_t)offset + length && (length == 0 || memcmp(bytes + offset, wanted, length) == 0);
}

const MediaType *media_sniff(const unsigned char *bytes, size_t size) {
    for (size_t i = 0; i < sizeof MAGIC / sizeof *MAGIC; i++) {
        const Magic *m = &MAGIC[i];
        if (stands_at(bytes, size, m->offset, m->size, m->bytes) &&
            stands_at(bytes, size, m->second_offset, m->second_size, m->second))
            return m->type;
    }
    return NULL;
}
