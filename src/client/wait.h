/* Wait: polls a job until it ends. Polls at once, then at every interval; the deadline is by the monotonic clock, and one poll follows
 * the last sleep. */
#pragma once
#include <pictograph/client.h>

typedef struct WaitPlan {
    const char *kind;    /* "export", for messages */
    const char *id;      /* goes into error->job_id */
    double interval, timeout; /* defaults of limits.yaml client.polling */
    bool cancelled_is_fine;   /* an import that was cancelled is a result, not an error */
    PictographResult *(*get)(PictographClient *client, const void *key, PictographError *error);
    const void *key;
} WaitPlan;

/* The job's last state when it completed; otherwise NULL with PICTOGRAPH_API_ERROR (the state is in the error), PICTOGRAPH_POLL_TIMEOUT
 * or the failure of a poll. wait may be NULL. */
PictographResult *wait_for(PictographClient *client, const WaitPlan *plan, const PictographWait *wait, PictographError *error);
