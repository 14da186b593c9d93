#include "media/bmp.h"

#include <stdbool.h>
#include <string.h>

#include "base/banned.h"

enum { FILE_HEADER = 14, RGB = 0, RLE8 = 1, RLE4 = 2, BITFIELDS = 3, ALPHABITFIELDS = 6 };

static uint32_t get16(const unsigned char *p) { return (uint32_t)p[0] | (uint32_t)p[1] << 8; }
static uint32_t get32(const unsigned char *p) { return get16(p) | get16(p + 2) << 16; }

static Status bad(Error *err, const char *why) { return error_set(err, STATUS_UNDECODABLE_MEDIA, "BMP: %s", why); }

/* ---- header ---- */

static Status read_core_size(const unsigned char *info, BmpHeader *h, Error *err) {
    h->width = get16(info + 4);
    h->height = get16(info + 6);
    h->bits = (int)get16(info + 10);
    h->palette_entry = 3;
    return h->width && h->height ? STATUS_OK : bad(err, "a side is zero");
}

static Status read_info_size(const unsigned char *info, BmpHeader *h, Error *err) {
    int32_t width = (int32_t)get32(info + 4), height = (int32_t)get32(info + 8);
    if (width <= 0 || height == 0 || height == INT32_MIN) return bad(err, "a side is zero or negative");
    h->width = (uint32_t)width;
    h->top_down = height < 0;
    h->height = (uint32_t)(height < 0 ? -height : height);
    h->bits = (int)get16(info + 14);
    h->compression = get32(info + 16);
    h->palette_count = get32(info + 32);
    h->palette_entry = 4;
    return STATUS_OK;
}

/* Which compressions go with which depths: bit n of a row stands for n bits a pixel. */
static bool depth_fits(const BmpHeader *h) {
    static const struct {
        uint32_t compression;
        uint64_t depths;
    } FITTING[] = {
        {RGB, 1ULL << 1 | 1ULL << 2 | 1ULL << 4 | 1ULL << 8 | 1ULL << 16 | 1ULL << 24 | 1ULL << 32},
        {RLE8, 1ULL << 8}, {RLE4, 1ULL << 4}, {BITFIELDS, 1ULL << 16 | 1ULL << 32}, {ALPHABITFIELDS, 1ULL << 16 | 1ULL << 32},
    };
    for (size_t i = 0; i < sizeof FITTING / sizeof *FITTING; i++)
        if (FITTING[i].compression == h->compression) return h->bits > 0 && h->bits <= 32 && (FITTING[i].depths >> h->bits & 1);
    return false;
}

/* Masks stand in the header from its version 2 on, and behind a header of version 1. Returns the bytes behind the header. */
static size_t read_masks(const unsigned char *info, size_t left, uint32_t info_size, BmpHeader *h) {
    static const uint32_t PLAIN[2][4] = {{0x7C00, 0x03E0, 0x001F, 0}, {0xFF0000, 0xFF00, 0xFF, 0}};
    bool fields = h->compression == BITFIELDS || h->compression == ALPHABITFIELDS;
    if (!fields) {
        memcpy(h->masks, PLAIN[h->bits == 32], sizeof h->masks);
        return 0;
    }
    bool alpha = info_size >= 56 || (info_size == 40 && h->compression == ALPHABITFIELDS);
    size_t count = alpha ? 4 : 3;
    for (size_t i = 0; i < count && 40 + 4 * i + 4 <= left; i++) h->masks[i] = get32(info + 40 + 4 * i);
    return info_size == 40 ? 4 * count : 0;
}

static Status read_palette(size_t size, size_t at, BmpHeader *h, Error *err) {
    if (h->bits > 8) {
        h->palette_count = 0;
        return STATUS_OK;
    }
    uint32_t most = 1u << h->bits;
    if (h->palette_count == 0 || h->palette_count > most) h->palette_count = most;
    size_t end = h->pixels_at > at && h->pixels_at < size ? h->pixels_at : size;
    if (at >= end) return bad(err, "the palette is missing");
    /* short palettes occur: what lies before the pixels counts, the rest is black */
    size_t fit = (end - at) / (size_t)h->palette_entry;
    if (fit < h->palette_count) h->palette_count = (uint32_t)fit;
    h->palette_at = at;
    return STATUS_OK;
}

Status bmp_read_header(const unsigned char *data, size_t size, BmpHeader *out, Error *err) {
    BmpHeader h = {0};
    if (size < FILE_HEADER + 12 || data[0] != 'B' || data[1] != 'M') return bad(err, "the header is cut off");
    const unsigned char *info = data + FILE_HEADER;
    size_t left = size - FILE_HEADER;
    uint32_t info_size = get32(info);
    if (info_size != 12 && (info_size < 40 || info_size > 124)) return bad(err, "unknown header length");
    if (info_size > left) return bad(err, "the header is cut off");
    h.pixels_at = get32(data + 10);
    Status status = info_size == 12 ? read_core_size(info, &h, err) : read_info_size(info, &h, err);
    if (status != STATUS_OK) return status;
    /* In OS/2's header 3 and 4 mean Huffman and RLE24, which nobody wrote. */
    if (!depth_fits(&h) || (info_size == 64 && h.compression > RLE4)) return bad(err, "unsupported depth or compression");
    if (h.top_down && (h.compression == RLE8 || h.compression == RLE4)) return bad(err, "a compressed bitmap cannot be top-down");
    size_t behind = read_masks(info, left, info_size, &h);
    status = read_palette(size, FILE_HEADER + info_size + behind, &h, err);
    if (status != STATUS_OK) return status;
    if (h.pixels_at < FILE_HEADER + info_size || h.pixels_at >= size) return bad(err, "the pixels are missing");
    h.channels = h.masks[3] && h.bits > 8 ? 4 : 3;
    *out = h;
    return STATUS_OK;
}

/* ---- pixels ---- */

typedef struct Palette {
    unsigned char rgb[256][3];
} Palette;

static void load_palette(const unsigned char *data, const BmpHeader *h, Palette *out) {
    memset(out, 0, sizeof *out);
    for (uint32_t i = 0; i < h->palette_count; i++) {
        const unsigned char *p = data + h->palette_at + (size_t)i * (size_t)h->palette_entry;
        out->rgb[i][0] = p[2];
        out->rgb[i][1] = p[1];
        out->rgb[i][2] = p[0];
    }
}

/* One colour of a masked pixel, widened to 8 bits. */
typedef struct Field {
    uint32_t mask, top; /* top: the largest value */
    int shift;
} Field;

static Field field_of(uint32_t mask) {
    Field f = {.mask = mask};
    if (mask) f.shift = __builtin_ctz(mask);
    f.top = mask >> f.shift;
    return f;
}

static unsigned char field_get(const Field *f, uint32_t pixel) {
    if (!f->top) return 0;
    return (unsigned char)(((uint64_t)((pixel & f->mask) >> f->shift) * 255 + f->top / 2) / f->top);
}

static void row_indexed(const unsigned char *row, const BmpHeader *h, const Palette *palette, unsigned char *out) {
    unsigned per_byte = 8u / (unsigned)h->bits, mask = (1u << h->bits) - 1;
    for (uint32_t x = 0; x < h->width; x++) {
        unsigned shift = 8 - (unsigned)h->bits * (x % per_byte + 1);
        memcpy(out + (size_t)x * 3, palette->rgb[row[x / per_byte] >> shift & mask], 3);
    }
}

static void row_masked(const unsigned char *row, const BmpHeader *h, const Field fields[4], unsigned char *out) {
    for (uint32_t x = 0; x < h->width; x++) {
        uint32_t pixel = h->bits == 16 ? get16(row + (size_t)x * 2) : get32(row + (size_t)x * 4);
        for (int c = 0; c < h->channels; c++) *out++ = field_get(&fields[c], pixel);
    }
}

static void row_bgr(const unsigned char *row, const BmpHeader *h, unsigned char *out) {
    for (uint32_t x = 0; x < h->width; x++, row += 3, out += 3) {
        out[0] = row[2];
        out[1] = row[1];
        out[2] = row[0];
    }
}

static Status decode_plain(const unsigned char *data, size_t size, const BmpHeader *h, unsigned char *out, Error *err) {
    uint64_t used = ((uint64_t)h->width * (unsigned)h->bits + 7) / 8, stride = (used + 3) & ~(uint64_t)3;
    uint64_t left = size - h->pixels_at;
    /* the padding of the last row may be missing */
    if (left < used || (left - used) / stride < h->height - 1) return bad(err, "the pixels are cut off");
    Palette palette;
    load_palette(data, h, &palette);
    Field fields[4];
    for (int c = 0; c < 4; c++) fields[c] = field_of(h->masks[c]);
    size_t out_stride = (size_t)h->width * (size_t)h->channels;
    for (uint32_t y = 0; y < h->height; y++) {
        const unsigned char *row = data + h->pixels_at + (size_t)(h->top_down ? y : h->height - 1 - y) * stride;
        unsigned char *to = out + (size_t)y * out_stride;
        if (h->bits <= 8) row_indexed(row, h, &palette, to);
        else if (h->bits == 24) row_bgr(row, h, to);
        else row_masked(row, h, fields, to);
    }
    return STATUS_OK;
}

/* Where run-length decoding stands: y counts from the bottom. */
typedef struct RleState {
    const BmpHeader *header;
    const Palette *palette;
    unsigned char *out;
    uint32_t x, y;
} RleState;

/* Pixels past the end of a row are dropped, as every reader does. */
static void rle_put(RleState *s, unsigned index) {
    if (s->x < s->header->width && s->y < s->header->height)
        memcpy(s->out + ((size_t)(s->header->height - 1 - s->y) * s->header->width + s->x) * 3, s->palette->rgb[index], 3);
    if (s->x < s->header->width) s->x++;
}

static unsigned nibble(unsigned byte, unsigned i) { return i % 2 ? byte & 15 : byte >> 4; }

static void rle_run(RleState *s, unsigned count, unsigned byte) {
    for (unsigned i = 0; i < count; i++) rle_put(s, s->header->bits == 4 ? nibble(byte, i) : byte);
}

/* Literal pixels, padded to an even number of bytes. Returns the bytes taken, 0 when they are cut off. */
static size_t rle_literal(RleState *s, const unsigned char *p, size_t left, unsigned count) {
    size_t bytes = s->header->bits == 4 ? (count + 1) / 2 : count;
    if (bytes > left) return 0;
    for (unsigned i = 0; i < count; i++) rle_put(s, s->header->bits == 4 ? nibble(p[i / 2], i) : p[i]);
    return bytes + (bytes & 1 && bytes < left);
}

static Status decode_rle(const unsigned char *data, size_t size, const BmpHeader *h, unsigned char *out, Error *err) {
    Palette palette;
    load_palette(data, h, &palette);
    RleState s = {.header = h, .palette = &palette, .out = out};
    const unsigned char *p = data + h->pixels_at, *end = data + size;
    while (end - p >= 2 && s.y < h->height) {
        unsigned count = p[0], value = p[1];
        p += 2;
        if (count) rle_run(&s, count, value);
        else if (value == 0) s.x = 0, s.y++; /* end of the row */
        else if (value == 1) return STATUS_OK; /* end of the bitmap */
        else if (value == 2) {                 /* a jump */
            if (end - p < 2) break;
            s.x = s.x + p[0] < h->width ? s.x + p[0] : h->width;
            s.y += p[1];
            p += 2;
        } else {
            size_t taken = rle_literal(&s, p, (size_t)(end - p), value);
            if (!taken) break;
            p += taken;
        }
    }
    /* Some writers leave out the mark at the end: all rows, or the last row in full, will do. */
    if (s.y >= h->height || (s.y == h->height - 1 && s.x >= h->width)) return STATUS_OK;
    return bad(err, "the pixels are cut off");
}

Status bmp_decode(const unsigned char *data, size_t size, const BmpHeader *header, unsigned char *out, Error *err) {
    if (header->compression == RLE8 || header->compression == RLE4) return decode_rle(data, size, header, out, err);
    return decode_plain(data, size, header, out, err);
}
