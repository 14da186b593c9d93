/* Preloaded into pictographd (faults.py): a share of the calls that change regular files fails with EIO or ENOSPC, and so does opening one below
 * FAULTS_FOLDER to write. FAULTS_FILE is a shared page, which the test may change while the server runs: see struct Shared. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static struct Shared {
    _Atomic uint64_t faults; /* so far */
    _Atomic uint64_t rate;   /* calls of a million that fail */
    _Atomic uint64_t full;   /* faults of a million that are ENOSPC; the others are EIO */
} *shared;
static const char *folder;

__attribute__((constructor)) static void start(void) {
    const char *path = getenv("FAULTS_FILE");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0) return;
    void *page = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    folder = getenv("FAULTS_FOLDER");
    if (page != MAP_FAILED) shared = page;
}

static uint64_t draw(void) {
    static _Thread_local uint64_t seed;
    if (!seed) seed = (uint64_t)(uintptr_t)&seed ^ (uint64_t)clock();
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (seed >> 33) % 1000000;
}

static int fails(void) {
    if (!shared || !shared->rate || draw() >= shared->rate) return 0;
    shared->faults++;
    errno = draw() < shared->full ? ENOSPC : EIO;
    return 1;
}

static int file_fails(int fd) {
    struct stat st;
    int before = errno;
    int hit = fd > 2 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && fails();
    if (!hit) errno = before;
    return hit;
}

static int open_fails(const char *path, int flags) {
    return folder && (flags & (O_WRONLY | O_RDWR | O_CREAT)) && strncmp(path, folder, strlen(folder)) == 0 && fails();
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define OPEN(name)                                                 \
    int name(const char *path, int flags, ...) {                   \
        va_list arguments;                                         \
        va_start(arguments, flags);                                \
        mode_t mode = va_arg(arguments, mode_t);                   \
        va_end(arguments);                                         \
        return open_fails(path, flags) ? -1 : NEXT(name)(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)
ssize_t write(int fd, const void *data, size_t size) { return file_fails(fd) ? -1 : NEXT(write)(fd, data, size); }
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) { return file_fails(fd) ? -1 : NEXT(pwrite)(fd, data, size, at); }
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) { return file_fails(fd) ? -1 : NEXT(pwrite64)(fd, data, size, at); }
int fsync(int fd) { return file_fails(fd) ? -1 : NEXT(fsync)(fd); }
int syncfs(int fd) { return fails() ? -1 : NEXT(syncfs)(fd); }
int fdatasync(int fd) { return file_fails(fd) ? -1 : NEXT(fdatasync)(fd); }
int rename(const char *from, const char *to) { return fails() ? -1 : NEXT(rename)(from, to); }
