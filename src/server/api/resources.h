/* Resources: does what a path names exist for the caller? Asked only when a request fails anyhow, so that a key without the role, or with a bad
 * body, gets 404 for what is another organization's (decisions.md 34). */
#pragma once
#include "server/api/request.h"

/* True when the path names something that is not there: rq->error then holds the 404. */
bool resource_is_missing(Request *rq);
