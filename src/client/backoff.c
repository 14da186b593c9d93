/* The retry rules of decisions.md (c). */
#include "client/backoff.h"

#include <curl/curl.h>
#include <stddef.h>

#include "base/text.h"

#include "base/banned.h"

static const int repeatable_statuses[] = {0, 408, 429, 500, 502, 503, 504};
static const char *const safe_methods[] = {"GET", "HEAD", "OPTIONS", "PUT", "DELETE"};

bool backoff_may_repeat(const char *method, bool has_idempotency_key, int http_status) {
    bool passing = false;
    for (size_t i = 0; i < sizeof repeatable_statuses / sizeof *repeatable_statuses; i++) passing |= repeatable_statuses[i] == http_status;
    bool safe = has_idempotency_key || http_status == 429;
    for (size_t i = 0; i < sizeof safe_methods / sizeof *safe_methods; i++) safe |= text_equal(safe_methods[i], method);
    return passing && safe;
}

double backoff_delay(int attempt, double chance) {
    double base = attempt < 5 ? (double)(1 << attempt) : 30;
    double delay = base * (0.75 + 0.5 * chance);
    return delay < 30 ? delay : 30;
}

bool backoff_retry_after(const char *text, int64_t now_ms, double *out_seconds) {
    if (text_to_number(text, out_seconds)) return *out_seconds >= 0;
    time_t when = curl_getdate(text, NULL);
    if (when == (time_t)-1) return false;
    double seconds = (double)when - (double)now_ms / 1000;
    *out_seconds = seconds > 0 ? seconds : 0;
    return true;
}
