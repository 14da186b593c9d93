/* Header readers, one per format, over the first bytes of the file. Every offset is checked against the size. */
#include "formats/image_size.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/banned.h"

enum { HEAD_SIZE = 1 << 20 }; /* EXIF previews and colour profiles of a JPEG lie before its size */

typedef struct Bytes {
    const unsigned char *at;
    size_t size;
} Bytes;

typedef struct Size {
    uint32_t width, height;
    bool turned; /* EXIF says that rows are columns */
} Size;

static uint32_t big(Bytes b, size_t offset, size_t count) {
    uint32_t value = 0;
    for (size_t i = 0; i < count; i++) value = value << 8 | (offset + i < b.size ? b.at[offset + i] : 0);
    return value;
}

static uint32_t little(Bytes b, size_t offset, size_t count) {
    uint32_t value = 0;
    for (size_t i = count; i-- > 0;) value = value << 8 | (offset + i < b.size ? b.at[offset + i] : 0);
    return value;
}

static bool starts(Bytes b, size_t offset, const char *with, size_t size) {
    return offset <= b.size && size <= b.size - offset && memcmp(b.at + offset, with, size) == 0;
}

/* First directory of a TIFF structure, which EXIF is too. */
static bool read_tiff(Bytes b, Size *out) {
    bool little_endian = starts(b, 0, "II*\0", 4);
    if (!little_endian && !starts(b, 0, "MM\0*", 4)) return false;
    uint32_t (*number)(Bytes, size_t, size_t) = little_endian ? little : big;
    size_t directory = number(b, 4, 4);
    if (directory > b.size || b.size - directory < 2) return false;
    size_t count = number(b, directory, 2);
    for (size_t i = 0; i < count && directory + 2 + 12 * (i + 1) <= b.size; i++) {
        size_t entry = directory + 2 + 12 * i;
        uint32_t value = number(b, entry + 8, number(b, entry + 2, 2) == 3 ? 2 : 4);
        switch (number(b, entry, 2)) {
        case 256: out->width = value; break;
        case 257: out->height = value; break;
        case 274: out->turned = value >= 5 && value <= 8; break;
        default: break;
        }
    }
    return true;
}

static bool read_jpeg(Bytes b, Size *out) {
    if (!starts(b, 0, "\xff\xd8\xff", 3)) return false;
    for (size_t at = 2; at + 4 <= b.size;) {
        if (b.at[at] != 0xff) return false;
        unsigned marker = b.at[at + 1];
        if (marker == 0xff) { /* padding */
            at++;
            continue;
        }
        size_t length = big(b, at + 2, 2);
        if (length < 2) return false;
        bool is_frame = marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
        if (is_frame) {
            out->height = big(b, at + 5, 2);
            out->width = big(b, at + 7, 2);
            return at + 9 <= b.size;
        }
        if (marker == 0xe1 && starts(b, at + 4, "Exif\0\0", 6) && length > 8 && at + 2 + length <= b.size) {
            Size exif = {0};
            read_tiff((Bytes){b.at + at + 10, length - 8}, &exif);
            out->turned = exif.turned;
        }
        at += 2 + length;
    }
    return false;
}

static bool read_png(Bytes b, Size *out) {
    if (!starts(b, 0, "\x89PNG\r\n\x1a\n", 8) || b.size < 24) return false;
    *out = (Size){big(b, 16, 4), big(b, 20, 4), false};
    return true;
}

static bool read_gif(Bytes b, Size *out) {
    if (!starts(b, 0, "GIF8", 4) || b.size < 10) return false;
    *out = (Size){little(b, 6, 2), little(b, 8, 2), false};
    return true;
}

static bool read_bmp(Bytes b, Size *out) {
    if (!starts(b, 0, "BM", 2) || b.size < 26) return false;
    if (little(b, 14, 4) == 12) *out = (Size){little(b, 18, 2), little(b, 20, 2), false};
    else *out = (Size){little(b, 18, 4), (uint32_t)labs((long)(int32_t)little(b, 22, 4)), false}; /* negative: rows run down */
    return true;
}

static bool read_webp(Bytes b, Size *out) {
    if (!starts(b, 0, "RIFF", 4) || !starts(b, 8, "WEBP", 4) || b.size < 30) return false;
    if (starts(b, 12, "VP8X", 4)) {
        *out = (Size){little(b, 24, 3) + 1, little(b, 27, 3) + 1, false};
    } else if (starts(b, 12, "VP8L", 4)) {
        uint32_t bits = little(b, 21, 4);
        *out = (Size){(bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1, false};
    } else {
        *out = (Size){little(b, 26, 2) & 0x3fff, little(b, 28, 2) & 0x3fff, false};
    }
    return true;
}

bool image_size_of_bytes(const unsigned char *bytes, size_t size, uint32_t *width, uint32_t *height) {
    static bool (*const READERS[])(Bytes, Size *) = {read_jpeg, read_png, read_gif, read_bmp, read_webp, read_tiff};
    for (size_t i = 0; i < sizeof READERS / sizeof *READERS; i++) {
        Size found = {0};
        if (!READERS[i]((Bytes){bytes, size}, &found)) continue;
        *width = found.turned ? found.height : found.width;
        *height = found.turned ? found.width : found.height;
        return found.width && found.height;
    }
    return false;
}

/* The directory of a TIFF may lie at the end of the file: then its part is read instead of the head. */
static bool tiff_directory_far(int fd, const unsigned char *head, size_t size, unsigned char *chunk, size_t *out) {
    Bytes b = {head, size};
    bool little_endian = starts(b, 0, "II*\0", 4);
    if (!little_endian && !starts(b, 0, "MM\0*", 4)) return false;
    uint32_t directory = little_endian ? little(b, 4, 4) : big(b, 4, 4);
    if (directory + (size_t)2 <= size) return false;
    memcpy(chunk, head, 8); /* a small file of its own: the header, then the directory right after it */
    ssize_t n = pread(fd, chunk + 8, 4096, (off_t)directory);
    if (n <= 0) return false;
    for (size_t i = 0; i < 4; i++) chunk[4 + i] = (little_endian && i == 0) || (!little_endian && i == 3) ? 8 : 0;
    *out = 8 + (size_t)n;
    return true;
}

bool image_size_of_file(const char *path, uint32_t *width, uint32_t *height) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    unsigned char *head = xmalloc(HEAD_SIZE), far[8 + 4096];
    ssize_t n = pread(fd, head, 4096, 0); /* enough for most */
    size_t far_size = 0;
    bool ok = n > 0 && image_size_of_bytes(head, (size_t)n, width, height);
    if (!ok && n > 0 && tiff_directory_far(fd, head, (size_t)n, far, &far_size)) {
        ok = image_size_of_bytes(far, far_size, width, height);
    } else if (!ok && n == 4096) {
        n = pread(fd, head, HEAD_SIZE, 0);
        ok = n > 0 && image_size_of_bytes(head, (size_t)n, width, height);
    }
    free(head);
    close(fd);
    return ok;
}
