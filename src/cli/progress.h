/* Progress: how far something is, on standard error. A bar that redraws itself on a terminal; elsewhere a line now and then. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

typedef struct Progress {
    const char *label;
    const char *unit; /* "images"; "B" shows sizes; "%" a percentage without a rate */
    bool terminal, quiet;
    double start, shown; /* monotonic */
    int64_t first;       /* done at the start, which the rate leaves out */
    int64_t done, total;
    int quarter;   /* last quarter that a line was printed for */
    char note[96]; /* shown behind the figures; the owner may change it at any time */
} Progress;

void progress_begin(Progress *progress, const char *label, const char *unit);
/* Fits PictographProgress: context is the Progress. total -1: unknown. The name is not shown: it may hold anything. */
void progress_update(void *context, int64_t done, int64_t total, const char *name);
/* Ends the line; seconds since begin. */
double progress_end(Progress *progress);
