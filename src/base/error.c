/* The one table of failures, and the few functions that fill an Error. */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "base/banned.h"

static const StatusInfo TABLE[STATUS_COUNT] = {
    [STATUS_OK] = {"ok", 200, "", 0},
    [STATUS_BAD_REQUEST] = {"bad_request", 400, "ValidationError", 1},
    [STATUS_MALFORMED_JSON] = {"malformed_json", 400, "ValidationError", 1},
    [STATUS_MISSING_API_KEY] = {"missing_api_key", 401, "AuthError", 1},
    [STATUS_INVALID_API_KEY] = {"invalid_api_key", 401, "AuthError", 1},
    [STATUS_EXPIRED_API_KEY] = {"expired_api_key", 401, "AuthError", 1},
    [STATUS_REVOKED_API_KEY] = {"revoked_api_key", 401, "AuthError", 1},
    [STATUS_PROVIDER_AUTH_FAILED] = {"provider_auth_failed", 401, "AuthError", 1},
    [STATUS_INSUFFICIENT_CREDITS] = {"insufficient_credits", 402, "PaymentRequiredError", 1},
    [STATUS_TIER_LIMIT_EXCEEDED] = {"tier_limit_exceeded", 402, "PaymentRequiredError", 1},
    [STATUS_INSUFFICIENT_ROLE] = {"insufficient_role", 403, "ForbiddenError", 1},
    [STATUS_NOT_OWNER] = {"not_owner", 403, "ForbiddenError", 1},
    [STATUS_SIGNATURE_INVALID] = {"signature_invalid", 403, "ForbiddenError", 1},
    [STATUS_SIGNATURE_EXPIRED] = {"signature_expired", 403, "ForbiddenError", 1},
    [STATUS_NOT_FOUND] = {"not_found", 404, "NotFoundError", 1},
    [STATUS_METHOD_NOT_ALLOWED] = {"method_not_allowed", 405, "ApiError", 1},
    [STATUS_REQUEST_TIMEOUT] = {"request_timeout", 408, "ApiError", 1},
    [STATUS_ALREADY_EXISTS] = {"already_exists", 409, "ConflictError", 1},
    [STATUS_CONFLICT] = {"conflict", 409, "ConflictError", 1},
    [STATUS_IDEMPOTENCY_CONFLICT] = {"idempotency_conflict", 409, "ConflictError", 1},
    [STATUS_MODEL_NOT_READY] = {"model_not_ready", 409, "ConflictError", 1},
    [STATUS_AMBIGUOUS_FILENAME] = {"ambiguous_filename", 409, "ConflictError", 1},
    [STATUS_ALREADY_MEMBER] = {"already_member", 409, "ConflictError", 1},
    [STATUS_INVITE_CLOSED] = {"invite_closed", 410, "ApiError", 1},
    [STATUS_PAYLOAD_TOO_LARGE] = {"payload_too_large", 413, "ApiError", 1},
    [STATUS_IMAGE_TOO_LARGE] = {"payload_too_large", 413, "ApiError", 1},
    [STATUS_UNSUPPORTED_MEDIA_TYPE] = {"unsupported_media_type", 415, "ValidationError", 1},
    [STATUS_RANGE_NOT_SATISFIABLE] = {"range_not_satisfiable", 416, "ApiError", 1},
    [STATUS_VALIDATION_ERROR] = {"validation_error", 422, "ValidationError", 1},
    [STATUS_UNKNOWN_CLASS] = {"unknown_class", 422, "ValidationError", 1},
    [STATUS_DUPLICATE_CLASS] = {"duplicate_class", 422, "ValidationError", 1},
    [STATUS_DUPLICATE_ANNOTATION_ID] = {"duplicate_annotation_id", 422, "ValidationError", 1},
    [STATUS_EMPTY_UPDATE] = {"empty_update", 422, "ValidationError", 1},
    [STATUS_EMPTY_FILTER] = {"empty_filter", 422, "ValidationError", 1},
    [STATUS_UNKNOWN_OPERATION] = {"unknown_operation", 422, "ValidationError", 1},
    [STATUS_DATASET_TOO_SMALL] = {"dataset_too_small", 422, "ValidationError", 1},
    [STATUS_EXPORT_NOT_READY] = {"export_not_ready", 409, "ConflictError", 1},
    [STATUS_LAST_OWNER] = {"last_owner", 422, "ValidationError", 1},
    [STATUS_INVITE_NOT_PENDING] = {"invite_not_pending", 422, "ValidationError", 1},
    [STATUS_UNDECODABLE_MEDIA] = {"undecodable_media", 422, "ValidationError", 1},
    [STATUS_RATE_LIMITED] = {"rate_limited", 429, "RateLimitError", 1},
    [STATUS_INTERNAL_ERROR] = {"internal_error", 500, "ServerError", 1},
    [STATUS_UPSTREAM_ERROR] = {"upstream_error", 502, "ServerError", 1},
    [STATUS_UPSTREAM_TIMEOUT] = {"upstream_timeout", 504, "ServerError", 1},
    [STATUS_SERVICE_UNAVAILABLE] = {"service_unavailable", 503, "ServerError", 1},
    [STATUS_MODEL_UNAVAILABLE] = {"model_unavailable", 503, "ServerError", 1},
    [STATUS_IDEMPOTENCY_IN_PROGRESS] = {"idempotency_in_progress", 503, "ServerError", 1},
    [STATUS_STORAGE_FULL] = {"service_unavailable", 507, "ServerError", 1},
    [STATUS_IO] = {"internal_error", 500, "PictographError", 1},
    [STATUS_OUT_OF_MEMORY] = {"internal_error", 500, "PictographError", 1},
    [STATUS_CANCELLED] = {"internal_error", 500, "PictographError", 1},
    [STATUS_CONFIGURATION] = {"internal_error", 500, "ConfigurationError", 2},
    [STATUS_NETWORK] = {"internal_error", 500, "NetworkError", 1},
    [STATUS_TIMEOUT] = {"internal_error", 500, "RequestTimeoutError", 1},
};

const StatusInfo *status_info(Status status) {
    bool known = status >= 0 && status < STATUS_COUNT && TABLE[status].slug;
    return &TABLE[known ? status : STATUS_INTERNAL_ERROR];
}

Status status_from_slug(const char *slug) {
    for (int i = 1; slug && i < STATUS_COUNT; i++)
        if (strcmp(TABLE[i].slug, slug) == 0) return (Status)i;
    return STATUS_INTERNAL_ERROR;
}

/* Takes an incomplete UTF-8 sequence off the end of a text that was cut. */
static void trim_partial_utf8(char *text, size_t length) {
    size_t start = length;
    while (start > 0 && ((unsigned char)text[start - 1] & 0xC0) == 0x80) start--;
    if (start == 0) return;
    unsigned char lead = (unsigned char)text[start - 1];
    size_t need = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
    if (length - (start - 1) < need) text[start - 1] = '\0';
}

/* By way of a copy, since an argument may be the present text. */
static void format_message(Error *err, const char *format, va_list args) {
    char text[sizeof err->message];
    int n = vsnprintf(text, sizeof text, format, args);
    if (n >= (int)sizeof text) trim_partial_utf8(text, sizeof text - 1);
    memcpy(err->message, text_mend_utf8(text), sizeof text);
}

Status error_set(Error *err, Status status, const char *format, ...) {
    if (!err) return status;
    err->status = status;
    va_list args;
    va_start(args, format);
    format_message(err, format, args);
    va_end(args);
    return status;
}

Status error_set_errno(Error *err, int errno_value, const char *format, ...) {
    Status status = errno_value == ENOSPC || errno_value == EDQUOT ? STATUS_STORAGE_FULL : STATUS_IO;
    if (!err) return status;
    err->status = status;
    va_list args;
    va_start(args, format);
    format_message(err, format, args);
    va_end(args);
    size_t length = strlen(err->message);
    snprintf(err->message + length, sizeof err->message - length, ": %s", strerror(errno_value));
    return status;
}

Status error_prefix(Error *err, const char *format, ...) {
    if (!err) return STATUS_INTERNAL_ERROR;
    Error old = *err;
    va_list args;
    va_start(args, format);
    format_message(err, format, args);
    va_end(args);
    size_t length = strlen(err->message);
    int n = snprintf(err->message + length, sizeof err->message - length, ": %s", old.message);
    if (length + (size_t)n >= sizeof err->message) trim_partial_utf8(err->message, sizeof err->message - 1);
    return err->status;
}

static void strip(char *text, const char *folder) {
    size_t length = folder ? strlen(folder) : 0;
    for (char *at = text; length && (at = strstr(at, folder));)
        if (at[length] == '/') memmove(at, at + length + 1, strlen(at + length + 1) + 1);
        else at += length;
}

void error_outward(Error *err, const char *data_folder, const char *program_folder) {
    if (err->status == STATUS_IO) error_set(err, STATUS_IO, "The server could not read or write one of its files; its log says which");
    if (err->status == STATUS_STORAGE_FULL) error_set(err, STATUS_STORAGE_FULL, "The server's disk is full");
    strip(err->message, data_folder);
    strip(err->message, program_folder);
}
