/* Polling. */
#include "client/wait.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/text.h"
#include "client/failure.h"
#include "client/handle.h"

#include "base/banned.h"

typedef enum JobEnd { JOB_GOES_ON, JOB_DONE, JOB_FAILED } JobEnd;

static JobEnd end_of(const PictographResult *job, const WaitPlan *plan) {
    const char *status = pictograph_text(job, "/status");
    if (text_equal(status, "completed") || text_equal(status, "complete")) return JOB_DONE;
    if (text_equal(status, "cancelled")) return plan->cancelled_is_fine ? JOB_DONE : JOB_FAILED;
    return text_equal(status, "failed") || text_equal(status, "error") ? JOB_FAILED : JOB_GOES_ON;
}

PictographResult *wait_for(PictographClient *client, const WaitPlan *plan, const PictographWait *wait, PictographError *error) {
    static const PictographWait defaults = {0};
    wait = wait ? wait : &defaults;
    double interval = wait->interval > 0 ? wait->interval : plan->interval;
    double timeout = wait->timeout > 0 ? wait->timeout : plan->timeout;
    double deadline = clock_monotonic() + timeout;
    for (bool last = false;;) {
        PictographResult *job = plan->get(client, plan->key, error);
        if (!job) return NULL;
        if (wait->on_poll) wait->on_poll(wait->context, job);
        JobEnd end = end_of(job, plan);
        if (end == JOB_DONE) return job;
        if (end == JOB_FAILED) {
            failure_from_job(error, plan->kind, plan->id, job);
            return NULL;
        }
        pictograph_result_free(job);
        if (last) break;
        double left = deadline - clock_monotonic();
        last = left <= interval;
        if (!client_sleep(client, last ? left : interval)) {
            failure_set(error, PICTOGRAPH_CANCELLED, "Cancelled while waiting for the %s", plan->kind);
            return NULL;
        }
    }
    failure_set(error, PICTOGRAPH_POLL_TIMEOUT, "The %s did not end in %g s", plan->kind, timeout);
    if (error) {
        error->http_status = 408;
        snprintf(error->job_id, sizeof error->job_id, "%s", plan->id);
    }
    return NULL;
}
