/* Errors: a status is returned, its text is carried in an Error that the caller owns.
 *
 * Every code of the wire contract is one row of the table in error.c, which maps it to the slug of the contract, the
 * HTTP status, the exception of the Python package and the exit code of the command line. Nothing is global.
 *
 *     Status f(Error *err) { return error_set(err, STATUS_NOT_FOUND, "Image '%s' not found", name); }
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

typedef enum Status {
    STATUS_OK = 0,
    /* the contract's error codes, in its order */
    STATUS_BAD_REQUEST,
    STATUS_MALFORMED_JSON,
    STATUS_MISSING_API_KEY,
    STATUS_INVALID_API_KEY,
    STATUS_EXPIRED_API_KEY,
    STATUS_REVOKED_API_KEY,
    STATUS_PROVIDER_AUTH_FAILED,
    STATUS_INSUFFICIENT_CREDITS,
    STATUS_TIER_LIMIT_EXCEEDED,
    STATUS_INSUFFICIENT_ROLE,
    STATUS_NOT_OWNER,
    STATUS_SIGNATURE_INVALID,
    STATUS_SIGNATURE_EXPIRED,
    STATUS_NOT_FOUND,
    STATUS_METHOD_NOT_ALLOWED,
    STATUS_REQUEST_TIMEOUT,
    STATUS_ALREADY_EXISTS,
    STATUS_CONFLICT,
    STATUS_IDEMPOTENCY_CONFLICT,
    STATUS_MODEL_NOT_READY,
    STATUS_AMBIGUOUS_FILENAME,
    STATUS_ALREADY_MEMBER,
    STATUS_INVITE_CLOSED,
    STATUS_PAYLOAD_TOO_LARGE,
    STATUS_IMAGE_TOO_LARGE,
    STATUS_UNSUPPORTED_MEDIA_TYPE,
    STATUS_RANGE_NOT_SATISFIABLE,
    STATUS_VALIDATION_ERROR,
    STATUS_UNKNOWN_CLASS,
    STATUS_DUPLICATE_CLASS,
    STATUS_DUPLICATE_ANNOTATION_ID,
    STATUS_EMPTY_UPDATE,
    STATUS_EMPTY_FILTER,
    STATUS_UNKNOWN_OPERATION,
    STATUS_DATASET_TOO_SMALL,
    STATUS_EXPORT_NOT_READY,
    STATUS_LAST_OWNER,
    STATUS_INVITE_NOT_PENDING,
    STATUS_UNDECODABLE_MEDIA,
    STATUS_RATE_LIMITED,
    STATUS_INTERNAL_ERROR,
    STATUS_UPSTREAM_ERROR,
    STATUS_UPSTREAM_TIMEOUT,
    STATUS_SERVICE_UNAVAILABLE,
    STATUS_MODEL_UNAVAILABLE,
    STATUS_IDEMPOTENCY_IN_PROGRESS,
    STATUS_STORAGE_FULL,
    /* local failures, which never travel on the wire under these names */
    STATUS_IO,            /* a system call failed; the text names the file and the reason */
    STATUS_OUT_OF_MEMORY, /* a limit of an arena or buffer was reached */
    STATUS_CANCELLED,     /* the caller asked to stop */
    STATUS_CONFIGURATION, /* a setting is missing or wrong: no key, no such option */
    STATUS_NETWORK,       /* a peer could not be reached */
    STATUS_TIMEOUT,       /* a peer or a job did not end in time */
    STATUS_COUNT
} Status;

/* Text of the last failure. Owned by the caller, plain data, no clean-up. Start it as {0}. */
typedef struct Error {
    Status status;
    char message[500];
} Error;

typedef struct StatusInfo {
    const char *slug;      /* the contract's error_code */
    int http;              /* HTTP status */
    const char *exception; /* class of the Python package */
    int exit_code;         /* of the command line */
} StatusInfo;

/* Row of the table for a status; never NULL. */
const StatusInfo *status_info(Status status);

/* Status for a slug of the contract; STATUS_INTERNAL_ERROR when unknown. */
Status status_from_slug(const char *slug);

/* Writes status and text (cut at the size of the field, UTF-8 kept whole); err may be NULL. Returns status. */
Status error_set(Error *err, Status status, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Leaves of the text what a stranger may read: a constant for that of a system call, which names a file of ours; no path leads through these two
 * folders (NULL for none), only from there on. */
void error_outward(Error *err, const char *data_folder, const char *program_folder);

/* As error_set with ": " and the text of errno_value appended; ENOSPC and EDQUOT become STATUS_STORAGE_FULL. */
Status error_set_errno(Error *err, int errno_value, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Puts "prefix: " before the present text, so that callers add what they know (a file, an image). Returns the status. */
Status error_prefix(Error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
