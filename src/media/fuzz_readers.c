/* Fuzz target: the type by content, and the BMP reader. Built with -Dfuzz=true; its corpus is replayed by the unit tests. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "media/bmp.h"
#include "media/sniff.h"
#include "base/banned.h"

enum { MAX_PIXELS = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    BmpHeader header;
    const MediaType *type = media_sniff(data, size);
    if ((!type || type->reader == MEDIA_BMP) && bmp_read_header(data, size, &header, NULL) == STATUS_OK &&
        (uint64_t)header.width * header.height <= MAX_PIXELS) {
        unsigned char *out = calloc((size_t)header.width * header.height, (size_t)header.channels);
        if (out) bmp_decode(data, size, &header, out, NULL);
        free(out);
    }
    return 0;
}
