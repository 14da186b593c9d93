/* Fills PictographError: one table maps HTTP statuses to the library's statuses, another gives names and advice. */
#include "client/failure.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "client/result.h"

#include "base/banned.h"

static const struct {
    const char *name, *fix;
} kinds[] = {
    [PICTOGRAPH_OK] = {"", ""},
    [PICTOGRAPH_CONFIGURATION] = {"ConfigurationError", ""},
    [PICTOGRAPH_NETWORK] = {"NetworkError", "Check that the server runs and that the base URL is right."},
    [PICTOGRAPH_REQUEST_TIMEOUT] = {"RequestTimeoutError", "Raise the timeout (PICTOGRAPH_TIMEOUT) or look at the load of the server."},
    [PICTOGRAPH_POLL_TIMEOUT] = {"PollTimeoutError", "The job goes on at the server: ask for it again later, or raise the timeout."},
    [PICTOGRAPH_AUTH] = {"AuthError", "Check the API key: PICTOGRAPH_API_KEY, --api-key or `pictograph login`."},
    [PICTOGRAPH_PAYMENT_REQUIRED] = {"PaymentRequiredError", "Top up the credits or the plan of the organization."},
    [PICTOGRAPH_FORBIDDEN] = {"ForbiddenError", "Use a key with a higher role."},
    [PICTOGRAPH_NOT_FOUND] = {"NotFoundError", "Check the name; names are case-sensitive."},
    [PICTOGRAPH_CONFLICT] = {"ConflictError", ""},
    [PICTOGRAPH_VALIDATION] = {"ValidationError", ""},
    [PICTOGRAPH_RATE_LIMITED] = {"RateLimitError", "Wait for the time named, or spread the requests."},
    [PICTOGRAPH_SERVER] = {"ServerError", "Look at the server's log for the request id."},
    [PICTOGRAPH_API_ERROR] = {"ApiError", ""},
    [PICTOGRAPH_FILE] = {"OSError", ""},
    [PICTOGRAPH_CANCELLED] = {"Cancelled", ""},
};

static const struct {
    int http;
    PictographStatus status;
} http_statuses[] = {
    {400, PICTOGRAPH_VALIDATION}, {401, PICTOGRAPH_AUTH},     {402, PICTOGRAPH_PAYMENT_REQUIRED}, {403, PICTOGRAPH_FORBIDDEN},
    {404, PICTOGRAPH_NOT_FOUND},  {409, PICTOGRAPH_CONFLICT}, {415, PICTOGRAPH_VALIDATION},       {422, PICTOGRAPH_VALIDATION},
    {429, PICTOGRAPH_RATE_LIMITED},
};

const char *pictograph_status_name(PictographStatus status) {
    return (size_t)status < sizeof kinds / sizeof *kinds ? kinds[status].name : "";
}

void failure_reset(PictographError *error) {
    if (!error) return;
    pictograph_result_free(error->response);
    *error = (PictographError){.credits_required = -1, .credits_remaining = -1};
}

void pictograph_error_clear(PictographError *error) {
    failure_reset(error);
}

/* Copies at most size - 1 bytes and never cuts a UTF-8 character in two. */
static void copy_text(char *out, size_t size, const char *text) {
    size_t length = strlen(text ? text : "");
    if (length >= size) {
        length = size - 1;
        while (length > 0 && ((unsigned char)text[length] & 0xC0) == 0x80) length--;
    }
    memcpy(out, text ? text : "", length);
    out[length] = '\0';
}

static void set_status(PictographError *error, PictographStatus status) {
    failure_reset(error);
    error->status = status;
    copy_text(error->fix, sizeof error->fix, kinds[status].fix);
}

PictographStatus failure_set(PictographError *error, PictographStatus status, const char *format, ...) {
    if (!error) return status;
    char text[2048]; /* the arguments may point into the error itself */
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    set_status(error, status);
    copy_text(error->message, sizeof error->message, text);
    return status;
}

PictographStatus failure_prefix(PictographError *error, const char *format, ...) {
    if (!error) return PICTOGRAPH_API_ERROR;
    char prefix[512], text[1100];
    va_list args;
    va_start(args, format);
    vsnprintf(prefix, sizeof prefix, format, args);
    va_end(args);
    snprintf(text, sizeof text, "%s: %s", prefix, error->message);
    copy_text(error->message, sizeof error->message, text);
    return error->status;
}

PictographStatus failure_from_base(PictographError *error, const Error *base) {
    switch (base->status) {
        case STATUS_CANCELLED: return failure_set(error, PICTOGRAPH_CANCELLED, "%s", base->message);
        case STATUS_NETWORK: return failure_set(error, PICTOGRAPH_NETWORK, "%s", base->message);
        case STATUS_TIMEOUT: return failure_set(error, PICTOGRAPH_REQUEST_TIMEOUT, "%s", base->message);
        case STATUS_CONFIGURATION: return failure_set(error, PICTOGRAPH_CONFIGURATION, "%s", base->message);
        case STATUS_MALFORMED_JSON:
        case STATUS_VALIDATION_ERROR: return failure_set(error, PICTOGRAPH_VALIDATION, "%s", base->message);
        default: return failure_set(error, PICTOGRAPH_FILE, "%s", base->message);
    }
}

static PictographStatus status_of_http(int http_status) {
    for (size_t i = 0; i < sizeof http_statuses / sizeof *http_statuses; i++)
        if (http_statuses[i].http == http_status) return http_statuses[i].status;
    return http_status >= 500 ? PICTOGRAPH_SERVER : PICTOGRAPH_API_ERROR;
}

/* The text of an answer: `detail` if it is text, else `message`, else the first field's, else "HTTP <status>". */
static void describe(PictographError *error, const PictographResult *body, int http_status) {
    const char *text = pictograph_text(body, "/detail");
    if (!text) text = pictograph_text(body, "/message");
    if (!text) text = pictograph_text(body, "/detail/message");
    PictographFieldError field;
    if (pictograph_error_field(error, 0, &field)) {
        /* A list of refused fields says more than "1 field failed validation". */
        size_t more = pictograph_count(body, "/detail") - 1;
        snprintf(error->message, sizeof error->message, more ? "%s: %s (and %zu more)" : "%s: %s", field.location, field.message, more);
    } else if (text && !text_is_blank(text)) {
        copy_text(error->message, sizeof error->message, text);
    } else {
        snprintf(error->message, sizeof error->message, "HTTP %d", http_status);
    }
}

PictographStatus failure_from_answer(PictographError *error, int http_status, const char *request_id, double retry_after,
                                     PictographResult *body) {
    PictographStatus status = status_of_http(http_status);
    if (!error) {
        pictograph_result_free(body);
        return status;
    }
    set_status(error, status);
    error->http_status = http_status;
    error->response = body;
    error->retry_after = retry_after > 0 ? retry_after : 0;
    if (text_is_blank(request_id ? request_id : "")) request_id = pictograph_text(body, "/request_id");
    copy_text(error->request_id, sizeof error->request_id, request_id);
    copy_text(error->error_code, sizeof error->error_code, pictograph_text(body, "/error_code"));
    error->credits_required = pictograph_integer(body, "/detail/required", -1);
    error->credits_remaining = pictograph_integer(body, "/detail/remaining", -1);
    copy_text(error->upgrade_url, sizeof error->upgrade_url, pictograph_text(body, "/detail/upgrade_url"));
    describe(error, body, http_status);
    return status;
}

PictographStatus failure_from_job(PictographError *error, const char *kind, const char *id, PictographResult *job) {
    const char *state = pictograph_text(job, "/status"), *why = pictograph_text(job, "/error_message");
    PictographStatus status = failure_set(error, PICTOGRAPH_API_ERROR, "The %s %s%s%s", kind, state ? state : "ended badly", why ? ": " : "",
                                          why ? why : "");
    if (error) {
        copy_text(error->job_id, sizeof error->job_id, id);
        error->response = job;
    } else {
        pictograph_result_free(job);
    }
    return status;
}

void failure_move(PictographError *to, PictographError *from) {
    if (to) {
        failure_reset(to);
        *to = *from;
        from->response = NULL;
    }
    failure_reset(from);
}

bool pictograph_error_field(const PictographError *error, size_t index, PictographFieldError *out) {
    if (!error || !error->response || index >= pictograph_count(error->response, "/detail")) return false;
    yyjson_val *row = yyjson_arr_get(yyjson_ptr_get(error->response->root, "/detail"), index);
    if (!yyjson_is_obj(row)) return false;
    out->message = json_get_string(row, "msg", "");
    out->kind = json_get_string(row, "type", "");
    size_t used = 0, i, count;
    yyjson_val *part;
    out->location[0] = '\0';
    yyjson_arr_foreach(yyjson_obj_get(row, "loc"), i, count, part)
    {
        char number[24];
        snprintf(number, sizeof number, "%lld", (long long)yyjson_get_sint(part));
        int wrote = snprintf(out->location + used, sizeof out->location - used, "%s%s", used ? "." : "",
                             yyjson_is_str(part) ? yyjson_get_str(part) : number);
        if (wrote < 0 || (size_t)wrote >= sizeof out->location - used) break;
        used += (size_t)wrote;
    }
    return true;
}

char *pictograph_error_text(const PictographError *error) {
    Buffer text;
    buffer_init(&text, 4096);
    buffer_append_text(&text, error->message);
    if (error->http_status) buffer_printf(&text, " (status=%d", error->http_status);
    if (error->request_id[0]) buffer_printf(&text, "%srequest_id=%s", error->http_status ? ", " : " (", error->request_id);
    if (error->http_status || error->request_id[0]) buffer_append_byte(&text, ')');
    if (error->fix[0]) buffer_printf(&text, "\nFix: %s", error->fix);
    return buffer_take(&text);
}
