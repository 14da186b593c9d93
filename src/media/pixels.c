#include "media/pixels.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/banned.h"

static const char MAGIC[8] = "PGPIXEL1";

static void put32(unsigned char *p, uint32_t v) {
    for (int i = 0; i < 4; i++) p[i] = (unsigned char)(v >> 8 * i);
}

static uint32_t get32(const unsigned char *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

void pixels_header(uint32_t width, uint32_t height, unsigned char out[PIXELS_HEADER]) {
    memcpy(out, MAGIC, sizeof MAGIC);
    put32(out + 8, width);
    put32(out + 12, height);
}

static bool read_exactly(int fd, unsigned char *out, size_t size) {
    while (size) {
        ssize_t n = read(fd, out, size);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        out += n;
        size -= (size_t)n;
    }
    return true;
}

static Status read_body(int fd, const char *path, int64_t max_pixels, Pixels *p, Error *err) {
    unsigned char head[PIXELS_HEADER], extra;
    if (!read_exactly(fd, head, sizeof head) || memcmp(head, MAGIC, sizeof MAGIC) != 0)
        return error_set(err, STATUS_UNDECODABLE_MEDIA, "%s is no file of pixels", path);
    p->width = get32(head + 8);
    p->height = get32(head + 12);
    uint64_t count = (uint64_t)p->width * p->height;
    if (count == 0 || count > (uint64_t)max_pixels)
        return error_set(err, STATUS_IMAGE_TOO_LARGE, "%s holds %u x %u pixels", path, p->width, p->height);
    p->rgb = malloc(count * 3);
    if (!p->rgb) return error_set(err, STATUS_OUT_OF_MEMORY, "No memory for %u x %u pixels", p->width, p->height);
    if (!read_exactly(fd, p->rgb, count * 3) || read(fd, &extra, 1) != 0)
        return error_set(err, STATUS_UNDECODABLE_MEDIA, "%s does not have the length that its header says", path);
    return STATUS_OK;
}

Status pixels_read(const char *path, int64_t max_pixels, Pixels *out, Error *err) {
    *out = (Pixels){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return error_set_errno(err, errno, "%s", path);
    Status status = read_body(fd, path, max_pixels, out, err);
    close(fd);
    if (status != STATUS_OK) pixels_clear(out);
    return status;
}

void pixels_clear(Pixels *pixels) {
    free(pixels->rgb);
    *pixels = (Pixels){0};
}
