/* Sniff: the type of an image by its first bytes. Names and declared types are never asked. */
#pragma once
#include <stddef.h>

/* How a type is read. */
typedef enum MediaReader {
    MEDIA_VIPS, /* libvips, by the loader that `loader` names */
    MEDIA_BMP,  /* our own reader, bmp.h: libvips would hand it to ImageMagick */
} MediaReader;

typedef struct MediaType {
    const char *mime_type;
    const char *extension; /* with its dot */
    MediaReader reader;
    const char *loader; /* libvips operation */
    const char *name;   /* for people: "JPEG" */
} MediaType;

enum { SNIFF_SIZE = 16 }; /* bytes that decide; fewer are looked at as far as they go */

/* Row for the bytes at the start of a file, static; NULL when it is none of the accepted types. */
const MediaType *media_sniff(const unsigned char *bytes, size_t size);
