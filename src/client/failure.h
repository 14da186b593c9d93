/* Failure: how the library fills the caller's PictographError.
 *
 * Every public call starts with failure_reset, so that error->status tells about that call alone. All take error NULL.
 */
#pragma once
#include <pictograph/client.h>

#include "base/error.h"

void failure_reset(PictographError *error);
/* Writes status and text and returns the status. What the error held before is freed. */
PictographStatus failure_set(PictographError *error, PictographStatus status, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* A failure of base/ (files, JSON) in the library's terms. */
PictographStatus failure_from_base(PictographError *error, const Error *base);
/* "prefix: " before the text. */
PictographStatus failure_prefix(PictographError *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* An HTTP answer that is no success. body is its parsed text or NULL, and is taken over. retry_after < 0: none was named. */
PictographStatus failure_from_answer(PictographError *error, int http_status, const char *request_id, double retry_after,
                                     PictographResult *body);
/* A job that ended badly; its last state is taken over. */
PictographStatus failure_from_job(PictographError *error, const char *kind, const char *id, PictographResult *job);
/* Moves a failure from one error to another. */
void failure_move(PictographError *to, PictographError *from);
