/* Report: rows of what failed, shared by the reports of downloads and workflows. */
#pragma once
#include <pictograph/datasets.h>

/* Adds a row with copies of the texts; kind may be NULL. */
void report_failure(PictographFailure **failures, size_t *count, const char *path, const char *kind, const char *reason);
void report_clear(PictographFailure **failures, size_t *count);
