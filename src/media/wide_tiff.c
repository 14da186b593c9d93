#include "media/wide_tiff.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

enum { BLOCK_MAX = 1 << 28 };

static bool read_head(WideTiff *t) {
    uint16_t photometric = PHOTOMETRIC_MINISBLACK, planes = PLANARCONFIG_CONTIG;
    if (!TIFFGetField(t->tiff, TIFFTAG_IMAGEWIDTH, &t->width) || !TIFFGetField(t->tiff, TIFFTAG_IMAGELENGTH, &t->height)) return false;
    TIFFGetFieldDefaulted(t->tiff, TIFFTAG_BITSPERSAMPLE, &t->bits);
    TIFFGetFieldDefaulted(t->tiff, TIFFTAG_SAMPLEFORMAT, &t->format);
    TIFFGetFieldDefaulted(t->tiff, TIFFTAG_SAMPLESPERPIXEL, &t->samples);
    TIFFGetFieldDefaulted(t->tiff, TIFFTAG_ORIENTATION, &t->orientation);
    TIFFGetFieldDefaulted(t->tiff, TIFFTAG_PLANARCONFIG, &planes);
    TIFFGetField(t->tiff, TIFFTAG_PHOTOMETRIC, &photometric);
    bool is_number = t->format == SAMPLEFORMAT_IEEEFP || t->format == SAMPLEFORMAT_INT || t->format == SAMPLEFORMAT_UINT;
    if (!(t->bits == 64 && is_number) && !(t->bits == 16 && t->format == SAMPLEFORMAT_IEEEFP)) return false;
    t->block_width = t->width, t->block_height = 1;
    if (TIFFIsTiled(t->tiff) && (!TIFFGetField(t->tiff, TIFFTAG_TILEWIDTH, &t->block_width) || !TIFFGetField(t->tiff, TIFFTAG_TILELENGTH, &t->block_height))) return false;
    t->is_inverted = photometric == PHOTOMETRIC_MINISWHITE;
    t->is_separate = planes == PLANARCONFIG_SEPARATE;
    t->bands = t->samples < 3 ? 1 : 3;
    t->pages = (int)TIFFNumberOfDirectories(t->tiff);
    return t->width && t->height && t->samples && t->block_width && t->block_height;
}

bool wide_tiff_open(const char *path, WideTiff *out) {
    *out = (WideTiff){.tiff = TIFFOpen(path, "rm")}; /* m: a file that is shortened meanwhile must not kill the process */
    bool is = out->tiff && read_head(out);
    if (!is) wide_tiff_close(out);
    return is;
}

void wide_tiff_close(WideTiff *t) {
    if (t->tiff) TIFFClose(t->tiff);
    *t = (WideTiff){0};
}

static double half(uint16_t bits) {
    int exponent = bits >> 10 & 31, fraction = bits & 1023;
    double value = exponent == 31 ? (fraction ? NAN : INFINITY) : exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
    return bits >> 15 ? -value : value;
}

static double sample_at(const WideTiff *t, const unsigned char *block, size_t index) {
    uint64_t bits = 0;
    double value;
    memcpy(&bits, block + index * (t->bits / 8), t->bits / 8);
    if (t->bits == 16) return half((uint16_t)bits);
    if (t->format == SAMPLEFORMAT_UINT) return (double)bits;
    if (t->format == SAMPLEFORMAT_INT) return (double)(int64_t)bits;
    memcpy(&value, &bits, sizeof value);
    return value;
}

typedef struct Spread {
    double low, high; /* of the finite samples */
    unsigned char *pixels; /* NULL: the range is only looked for */
} Spread;

static void take(const WideTiff *t, Spread *spread, size_t at, double value) {
    if (!spread->pixels) {
        if (!isfinite(value)) return;
        spread->low = fmin(spread->low, value);
        spread->high = fmax(spread->high, value);
        return;
    }
    bool is_unit = spread->low >= 0 && spread->high <= 1;
    double low = is_unit ? 0 : spread->low, range = is_unit ? 1 : spread->high - spread->low;
    double part = isnan(value) || !(range > 0) ? 0 : fmax(0, fmin(1, (value - low) / range));
    spread->pixels[at] = (unsigned char)(255 * (t->is_inverted ? 1 - part : part));
}

static void take_block(const WideTiff *t, Spread *spread, const unsigned char *block, uint32_t left, uint32_t top, int plane) {
    size_t inside = t->is_separate ? 1 : t->samples;
    int bands = t->is_separate ? 1 : t->bands;
    for (uint32_t y = 0; y < t->block_height && y < t->height - top; y++)
        for (uint32_t x = 0; x < t->block_width && x < t->width - left; x++)
            for (int band = 0; band < bands; band++)
                take(t, spread, ((size_t)(top + y) * t->width + left + x) * (size_t)t->bands + (size_t)(plane + band), sample_at(t, block, ((size_t)y * t->block_width + x) * inside + (size_t)band));
}

static bool pass(const WideTiff *t, Spread *spread, unsigned char *block) {
    for (int plane = 0; plane < (t->is_separate ? t->bands : 1); plane++) {
        for (uint32_t top = 0; top < t->height; top += t->block_height) {
            for (uint32_t left = 0; left < t->width; left += t->block_width) {
                bool read = TIFFIsTiled(t->tiff) ? TIFFReadTile(t->tiff, block, left, top, 0, (uint16_t)plane) >= 0 : TIFFReadScanline(t->tiff, block, top, (uint16_t)plane) >= 0;
                if (!read) return false;
                take_block(t, spread, block, left, top, plane);
            }
        }
    }
    return true;
}

bool wide_tiff_decode(const WideTiff *t, unsigned char *pixels) {
    tmsize_t size = TIFFIsTiled(t->tiff) ? TIFFTileSize(t->tiff) : TIFFScanlineSize(t->tiff);
    size_t needed = (size_t)t->block_width * t->block_height * (t->is_separate ? 1 : t->samples) * (t->bits / 8u);
    Spread spread = {.low = INFINITY, .high = -INFINITY};
    unsigned char *block = size > 0 && size <= BLOCK_MAX && (size_t)size >= needed ? calloc((size_t)size, 1) : NULL;
    bool good = block && pass(t, &spread, block);
    spread.pixels = pixels;
    good = good && pass(t, &spread, block);
    free(block);
    return good;
}
