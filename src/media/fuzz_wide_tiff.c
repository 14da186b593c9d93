/* Fuzz target: a TIFF of samples of 64 bits or half floats. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "media/wide_tiff.h"
#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    enum { PIXELS_MAX = 1 << 16 };
    char path[64];
    WideTiff tiff;
    int fd = memfd_create("tiff", 0);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size) abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    TIFFSetErrorHandler(NULL);
    TIFFSetWarningHandler(NULL);
    if (wide_tiff_open(path, &tiff)) {
        uint64_t pixels = (uint64_t)tiff.width * tiff.height;
        unsigned char *out = pixels <= PIXELS_MAX ? malloc(pixels * (size_t)tiff.bands) : NULL;
        if (out) wide_tiff_decode(&tiff, out);
        free(out);
        wide_tiff_close(&tiff);
    }
    close(fd);
    return 0;
}
