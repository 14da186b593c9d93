/* Rows of what failed. */
#include "client/report.h"

#include <stdlib.h>

#include "base/arena.h"

#include "base/banned.h"

void report_failure(PictographFailure **failures, size_t *count, const char *path, const char *kind, const char *reason) {
    /* Grows by doubling: the row count is a power of two whenever the array is full. */
    if ((*count & (*count - 1)) == 0) *failures = xrealloc(*failures, (*count ? 2 * *count : 1) * sizeof **failures);
    (*failures)[(*count)++] = (PictographFailure){xstrdup(path), kind ? xstrdup(kind) : NULL, xstrdup(reason)};
}

void report_clear(PictographFailure **failures, size_t *count) {
    for (size_t i = 0; i < *count; i++) {
        free((*failures)[i].path);
        free((*failures)[i].kind);
        free((*failures)[i].reason);
    }
    free(*failures);
    *failures = NULL;
    *count = 0;
}
