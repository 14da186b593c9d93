/* Durable saves: how many single-row upserts a second the store acknowledges, and how long one waits, beside the bare rate of fsync of the
 * same disk.    store_bench DIRECTORY [THREADS] [SECONDS] [BYTES OF A ROW] */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "server/store/db.h"
#include "base/banned.h"

enum { ROWS = 1000, SAMPLES = 1 << 18 };

typedef struct Client {
    Store *store;
    const char *document;
    double until;
    int number;
    int saved;
    int failed;
    float *waits; /* seconds */
} Client;

typedef struct Save {
    char name[32];
    const char *document;
} Save;

static Status save(DbSession *tx, void *context, Error *err) {
    const Save *s = context;
    return db_exec(tx, err, "INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                   DB_TEXT(s->name), DB_TEXT(s->document));
}

static void *run_client(void *context) {
    Client *c = context;
    for (double start = clock_monotonic(); start < c->until && c->saved < SAMPLES; start = clock_monotonic()) {
        Save s = {.document = c->document};
        snprintf(s.name, sizeof s.name, "%d-%d", c->number, c->saved % ROWS);
        if (db_write(c->store, save, &s, NULL) != STATUS_OK) c->failed++;
        c->waits[c->saved++] = (float)(clock_monotonic() - start);
    }
    return NULL;
}

static double fsyncs_per_second(const char *directory) {
    char path[4096];
    snprintf(path, sizeof path, "%s/fsync.bin", directory);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    char page[4096] = {0};
    double start = clock_monotonic();
    int n = 0;
    for (; clock_monotonic() - start < 1; n++)
        if (pwrite(fd, page, sizeof page, (off_t)n * (off_t)sizeof page) < 0 || fdatasync(fd) != 0) break;
    double rate = n / (clock_monotonic() - start);
    close(fd);
    unlink(path);
    return rate;
}

static int compare_floats(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv) {
    if (argc < 2) return fprintf(stderr, "store_bench DIRECTORY [THREADS] [SECONDS] [BYTES OF A ROW]\n"), 2;
    int threads = argc > 2 ? atoi(argv[2]) : 32;
    double seconds = argc > 3 ? atof(argv[3]) : 5;
    size_t bytes = argc > 4 ? (size_t)atol(argv[4]) : 200;
    char path[4096];
    snprintf(path, sizeof path, "%s/store_bench.db", argv[1]);
    Error err = {0};
    Store *store;
    if (file_make_directories(argv[1], 0700, &err) != STATUS_OK || store_open(&store, path, &err) != STATUS_OK)
        return fprintf(stderr, "%s\n", err.message), 1;
    double bare = fsyncs_per_second(argv[1]);

    char *document = memset(xcalloc(1, bytes + 1), 'x', bytes);
    Client *clients = xcalloc((size_t)threads, sizeof *clients);
    pthread_t *ids = xcalloc((size_t)threads, sizeof *ids);
    double start = clock_monotonic();
    for (int i = 0; i < threads; i++) {
        clients[i] = (Client){.store = store, .document = document, .until = start + seconds, .number = i, .waits = xcalloc(SAMPLES, sizeof(float))};
        if (pthread_create(&ids[i], NULL, run_client, &clients[i]) != 0) return 1;
    }
    int saved = 0, failed = 0;
    float *waits = xcalloc((size_t)threads * SAMPLES, sizeof *waits);
    for (int i = 0; i < threads; i++) {
        pthread_join(ids[i], NULL);
        memcpy(waits + saved, clients[i].waits, (size_t)clients[i].saved * sizeof *waits);
        saved += clients[i].saved;
        failed += clients[i].failed;
    }
    double took = clock_monotonic() - start;
    qsort(waits, (size_t)saved, sizeof *waits, compare_floats);
    printf("%d threads, rows of %zu bytes: %.0f durable saves/s (%d failed), p50 %.1f ms, p99 %.1f ms, max %.1f ms; bare fdatasync %.0f/s\n", threads,
           bytes, saved / took, failed, saved ? waits[saved / 2] * 1e3 : 0, saved ? waits[saved * 99LL / 100] * 1e3 : 0,
           saved ? waits[saved - 1] * 1e3 : 0, bare);
    store_close(store);
    return failed > 0;
}
