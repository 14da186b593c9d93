#pragma once
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

/* A byte of the first file in a zip becomes another one. */
static inline void test_damage_zip(const char *path) {
    unsigned char header[30] = {0}, byte = 0;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    off_t at = 0;
    bool done = fd >= 0 && pread(fd, header, sizeof header, 0) == sizeof header;
    if (done) at = (off_t)sizeof header + header[26] + header[28] + 9; /* behind its name and its extra field */
    done = done && pread(fd, &byte, 1, at) == 1;
    byte ^= 1;
    if (!done || pwrite(fd, &byte, 1, at) != 1 || close(fd) != 0) abort();
}
