/* BMP variants, written out byte by byte, and the type of a file by its bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include "media/bmp.h"
#include "media/sniff.h"
#include "base/banned.h"

/* A bitmap under construction. */
typedef struct Bitmap {
    unsigned char bytes[4096];
    size_t size;
} Bitmap;

static void add(Bitmap *b, const void *bytes, size_t size) {
    memcpy(b->bytes + b->size, bytes, size);
    b->size += size;
}
static void add16(Bitmap *b, unsigned v) { add(b, (unsigned char[]){(unsigned char)v, (unsigned char)(v >> 8)}, 2); }
static void add32(Bitmap *b, uint32_t v) {
    add16(b, v & 0xFFFF);
    add16(b, v >> 16);
}

/* File header and an info header of info_size bytes; the caller adds masks, palette and pixels, then calls pixels_start. */
static Bitmap begin(unsigned info_size, int width, int height, unsigned bits, unsigned compression, unsigned colours) {
    Bitmap b = {0};
    add(&b, "BM", 2);
    add32(&b, 0), add32(&b, 0), add32(&b, 0), add32(&b, info_size);
    if (info_size == 12) {
        add16(&b, (unsigned)width), add16(&b, (unsigned)height), add16(&b, 1), add16(&b, bits);
        return b;
    }
    add32(&b, (uint32_t)width), add32(&b, (uint32_t)height), add16(&b, 1), add16(&b, bits), add32(&b, compression);
    add32(&b, 0), add32(&b, 0), add32(&b, 0), add32(&b, colours), add32(&b, 0);
    return b;
}

static void pixels_start(Bitmap *b) { b->bytes[10] = (unsigned char)b->size; }

static void palette(Bitmap *b, unsigned count, unsigned entry) {
    for (unsigned i = 0; i < count; i++) add(b, (unsigned char[]){(unsigned char)(3 * i), (unsigned char)(2 * i), (unsigned char)i, 0}, entry);
}

static Status decode(const Bitmap *b, BmpHeader *header, unsigned char *out, size_t room) {
    Status status = bmp_read_header(b->bytes, b->size, header, NULL);
    if (status != STATUS_OK) return status;
    assert_true((size_t)header->width * header->height * (size_t)header->channels <= room);
    memset(out, 0, room);
    return bmp_decode(b->bytes, b->size, header, out, NULL);
}

static void expect(const Bitmap *b, int width, int height, int channels, const char *pixels) {
    unsigned char out[1024];
    BmpHeader header;
    assert_int_equal(decode(b, &header, out, sizeof out), STATUS_OK);
    assert_int_equal(header.width, width);
    assert_int_equal(header.height, height);
    assert_int_equal(header.channels, channels);
    assert_memory_equal(out, pixels, (size_t)(width * height * channels));
    for (size_t size = 0; size < b->size; size++) { /* every shorter file is refused or decodes without looking past its end */
        unsigned char *exact = malloc(size ? size : 1);
        memcpy(exact, b->bytes, size);
        if (bmp_read_header(exact, size, &header, NULL) == STATUS_OK) bmp_decode(exact, size, &header, out, NULL);
        free(exact);
    }
}

static void plain_24_bits_both_ways(void **state) {
    (void)state;
    Bitmap up = begin(40, 1, 2, 24, 0, 0), down = begin(40, 1, -2, 24, 0, 0);
    pixels_start(&up), pixels_start(&down);
    add(&up, "\x01\x02\x03\x00\x04\x05\x06\x00", 8);
    add(&down, "\x01\x02\x03\x00\x04\x05\x06", 7); /* the last padding may be missing */
    expect(&up, 1, 2, 3, "\x06\x05\x04\x03\x02\x01");
    expect(&down, 1, 2, 3, "\x03\x02\x01\x06\x05\x04");
}

static void palettes_of_every_depth(void **state) {
    (void)state;
    Bitmap one = begin(40, 10, 1, 1, 0, 0), two = begin(40, 3, 1, 2, 0, 0), four = begin(40, 3, 1, 4, 0, 0), eight = begin(12, 2, 1, 8, 0, 0);
    palette(&one, 2, 4), pixels_start(&one), add(&one, "\xA0\x40\x00\x00", 4);
    expect(&one, 10, 1, 3, "\1\2\3\0\0\0\1\2\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\2\3");
    palette(&two, 4, 4), pixels_start(&two), add(&two, "\xD8\x00\x00\x00", 4);
    expect(&two, 3, 1, 3, "\3\6\11\1\2\3\2\4\6");
    palette(&four, 16, 4), pixels_start(&four), add(&four, "\x12\xF0\x00\x00", 4);
    expect(&four, 3, 1, 3, "\1\2\3\2\4\6\17\36\55");
    palette(&eight, 3, 3), pixels_start(&eight), add(&eight, "\x02\x09\x00\x00", 4); /* an index past the palette is black */
    expect(&eight, 2, 1, 3, "\2\4\6\0\0\0");
}

static void masks_of_16_and_32_bits(void **state) {
    (void)state;
    Bitmap rgb555 = begin(40, 2, 1, 16, 0, 0), rgb565 = begin(40, 1, 1, 16, 3, 0), rgb32 = begin(40, 1, 1, 32, 0, 0);
    Bitmap rgba = begin(56, 1, 1, 32, 3, 0), alpha40 = begin(40, 1, 1, 32, 6, 0);
    pixels_start(&rgb555), add16(&rgb555, 0x7C00), add16(&rgb555, 0x801F);
    expect(&rgb555, 2, 1, 3, "\xFF\x00\x00\x00\x00\xFF");
    add32(&rgb565, 0xF800), add32(&rgb565, 0x07E0), add32(&rgb565, 0x001F), pixels_start(&rgb565), add16(&rgb565, 0x07E0), add16(&rgb565, 0);
    expect(&rgb565, 1, 1, 3, "\x00\xFF\x00");
    pixels_start(&rgb32), add32(&rgb32, 0x80123456);
    expect(&rgb32, 1, 1, 3, "\x12\x34\x56");
    add32(&rgba, 0xFF), add32(&rgba, 0xFF00), add32(&rgba, 0xFF0000), add32(&rgba, 0xFF000000), pixels_start(&rgba), add32(&rgba, 0x80123456);
    expect(&rgba, 1, 1, 4, "\x56\x34\x12\x80");
    add32(&alpha40, 0xFF), add32(&alpha40, 0xFF00), add32(&alpha40, 0xFF0000), add32(&alpha40, 0xFF000000);
    pixels_start(&alpha40), add32(&alpha40, 0x01020304);
    expect(&alpha40, 1, 1, 4, "\x04\x03\x02\x01");
}

static void run_lengths(void **state) {
    (void)state;
    Bitmap eight = begin(40, 4, 3, 8, 1, 4), four = begin(40, 5, 1, 4, 2, 4), endless = begin(40, 2, 1, 8, 1, 2), cut = begin(40, 4, 2, 8, 1, 2);
    palette(&eight, 4, 4), pixels_start(&eight);
    /* bottom row: 3 × 1, end of row; then a jump of 1,1 and three literals (odd, so padded); end */
    add(&eight, "\x03\x01\x00\x00\x00\x02\x01\x01\x00\x03\x02\x03\x01\x00\x00\x01", 16);
    expect(&eight, 4, 3, 3, "\0\0\0\2\4\6\3\6\11\1\2\3" "\0\0\0\0\0\0\0\0\0\0\0\0" "\1\2\3\1\2\3\1\2\3\0\0\0");
    palette(&four, 4, 4), pixels_start(&four), add(&four, "\x03\x12\x00\x03\x30\x10\x00\x01", 8);
    /* the third literal falls off the row */
    expect(&four, 5, 1, 3, "\1\2\3\2\4\6\1\2\3\3\6\11\0\0\0");
    palette(&endless, 2, 4), pixels_start(&endless), add(&endless, "\x02\x01", 2); /* full, though without a mark */
    expect(&endless, 2, 1, 3, "\1\2\3\1\2\3");
    unsigned char out[64];
    BmpHeader header;
    palette(&cut, 2, 4), pixels_start(&cut), add(&cut, "\x04\x01\x00\x00\x02\x01", 6);
    assert_int_equal(decode(&cut, &header, out, sizeof out), STATUS_UNDECODABLE_MEDIA);
}

static void nonsense_is_refused(void **state) {
    (void)state;
    BmpHeader header;
    const Bitmap nonsense[] = {
        begin(40, 0, 1, 24, 0, 0),  begin(40, -1, 1, 24, 0, 0), begin(40, 1, 0, 24, 0, 0),          begin(40, 1, INT32_MIN, 24, 0, 0),
        begin(40, 1, 1, 7, 0, 0),   begin(40, 1, 1, 0, 0, 0),   begin(40, 1, 1, 24, 4, 0),          begin(40, 1, 1, 4, 1, 0),
        begin(40, 1, -1, 8, 1, 0),  begin(41, 1, 1, 24, 0, 0),  begin(4000000000u, 1, 1, 24, 0, 0), begin(12, 0, 1, 24, 0, 0),
        begin(40, 1, 1, 8, 0, 0),   begin(40, 1, 1, 65535, 0, 0),
    };
    for (size_t i = 0; i < sizeof nonsense / sizeof *nonsense; i++) {
        Bitmap b = nonsense[i];
        pixels_start(&b);
        if (i != 12) add(&b, "\0\0\0\0", 4);
        assert_int_equal(bmp_read_header(b.bytes, b.size, &header, NULL), STATUS_UNDECODABLE_MEDIA);
    }
}

static void bytes_tell_the_type(void **state) {
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
        const char *mime;
    } CASES[] = {
        {"\xFF\xD8\xFF\xE0", 4, "image/jpeg"}, {"\x89PNG\r\n\x1A\n", 8, "image/png"}, {"RIFF\0\0\0\0WEBPVP8 ", 16, "image/webp"},
        {"RIFF\0\0\0\0WAVEfmt ", 16, NULL},     {"GIF87a", 6, "image/gif"},            {"GIF88a", 6, NULL},
        {"II\x2A\0", 4, "image/tiff"},          {"MM\0\x2B", 4, "image/tiff"},         {"\0\0\0\x18" "ftypheic", 12, "image/heic"},
        {"\0\0\0\x18" "ftypmif1", 12, "image/heic"}, {"\0\0\0\x18" "ftypmp42", 12, NULL}, {"BM", 2, "image/bmp"}, {"B", 1, NULL}, {"", 0, NULL},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        const MediaType *type = media_sniff((const unsigned char *)CASES[i].bytes, CASES[i].size);
        if (CASES[i].mime) assert_string_equal(type ? type->mime_type : "none", CASES[i].mime);
        else assert_null(type);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_24_bits_both_ways), cmocka_unit_test(palettes_of_every_depth), cmocka_unit_test(masks_of_16_and_32_bits),
        cmocka_unit_test(run_lengths),             cmocka_unit_test(nonsense_is_refused),     cmocka_unit_test(bytes_tell_the_type),
    };
    return cmocka_run_group_tests_name("media readers", tests, NULL, NULL);
}
