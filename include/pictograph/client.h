/* What every call of libpictograph shares: the client, errors, results, pagers and waiting.
 *
 * Ownership: a call that returns a pointer without const gives it to the caller, who frees it with the function named beside the type;
 * const pointers are borrowed. Strings passed in are copied or used only during the call. Freeing NULL is fine.
 * Failure: such a call returns NULL, the others a status; the caller's PictographError then says what happened. `error` may be NULL.
 * Threads: one client may be used by many threads at once; results, pagers and errors belong to one thread at a time.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define PICTOGRAPH_API __attribute__((visibility("default")))
#else
#define PICTOGRAPH_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- errors ---- */

typedef enum PictographStatus {
    PICTOGRAPH_OK = 0,
    PICTOGRAPH_CONFIGURATION,    /* no key, a blank setting, an impossible option; no request was made */
    PICTOGRAPH_NETWORK,          /* the server could not be reached, or the connection broke */
    PICTOGRAPH_REQUEST_TIMEOUT,  /* the server did not answer in time */
    PICTOGRAPH_POLL_TIMEOUT,     /* a job did not end in time; it goes on at the server, its id is in job_id */
    PICTOGRAPH_AUTH,             /* 401 */
    PICTOGRAPH_PAYMENT_REQUIRED, /* 402: see credits_required, credits_remaining, upgrade_url */
    PICTOGRAPH_FORBIDDEN,        /* 403 */
    PICTOGRAPH_NOT_FOUND,        /* 404 */
    PICTOGRAPH_CONFLICT,         /* 409 */
    PICTOGRAPH_VALIDATION,       /* 400, 415, 422, or refused by the library before any request: see pictograph_error_field */
    PICTOGRAPH_RATE_LIMITED,     /* 429 that asked for a longer wait than is slept: see retry_after */
    PICTOGRAPH_SERVER,           /* 5xx, or an answer that is not what the contract promises */
    PICTOGRAPH_API_ERROR,        /* any other refusal, and a job that failed or was cancelled (its last state is in response) */
    PICTOGRAPH_FILE,             /* a local file could not be read or written */
    PICTOGRAPH_CANCELLED         /* the cancel callback said so */
} PictographStatus;

typedef struct PictographResult PictographResult;

/* Start it as {0}. Every call that is given one sets it anew; clear it at the end, since it may own the server's answer. */
typedef struct PictographError {
    PictographStatus status;
    int http_status;           /* 0 when the failure is local; 408 for a poll timeout */
    char message[512];         /* one line, for people */
    char fix[256];             /* what to do about it, "" when nothing is known */
    char error_code[64];       /* the contract's reason, such as insufficient_role; "" when none came */
    char request_id[96];       /* of the server's log line; "" when none came */
    char job_id[64];           /* run, export or job that was waited for */
    double retry_after;        /* seconds, of a 429; 0 when the server named none */
    int64_t credits_required;  /* of a 402; -1 unknown */
    int64_t credits_remaining; /* of a 402; -1 unknown */
    char upgrade_url[256];     /* of a 402 */
    PictographResult *response; /* the answer's body, or the last state of a job; NULL when there was none */
} PictographError;

/* One refused field of a 422. */
typedef struct PictographFieldError {
    char location[256]; /* "body.annotations.2.polygon" */
    const char *message; /* borrowed from the error */
    const char *kind;    /* "missing", "extra_forbidden" …; borrowed */
} PictographFieldError;

PICTOGRAPH_API void pictograph_error_clear(PictographError *error);
/* Field number `index` of the failure; false past the last one. */
PICTOGRAPH_API bool pictograph_error_field(const PictographError *error, size_t index, PictographFieldError *out);
/* "message (status=…, request_id=…)", then lines for fix and documentation. Free with free(). */
PICTOGRAPH_API char *pictograph_error_text(const PictographError *error);
/* Name of a status as the Python package calls its class, such as "NotFoundError". */
PICTOGRAPH_API const char *pictograph_status_name(PictographStatus status);

/* ---- the client ---- */

typedef struct PictographClient PictographClient;

typedef struct PictographOptions {
    const char *api_key;     /* NULL or blank: PICTOGRAPH_API_KEY, then the file when read_config_file is set */
    const char *base_url;    /* NULL or blank: PICTOGRAPH_BASE_URL, then the file, then http://localhost:8080 */
    double timeout_seconds;  /* of silence; 0: PICTOGRAPH_TIMEOUT, then 30 */
    int max_retries;         /* further tries after the first; negative: PICTOGRAPH_MAX_RETRIES, then 3 */
    bool read_config_file;   /* the command line alone reads ~/.pictograph/config.toml */
    const char *user_agent;  /* put before the library's own; NULL for none */
    /* Asked several times a second while anything is under way; true ends the call with PICTOGRAPH_CANCELLED. NULL: never. */
    bool (*cancelled)(void *context);
    void *cancel_context;
} PictographOptions;

#define PICTOGRAPH_OPTIONS_DEFAULTS {.max_retries = -1}

/* options NULL takes the defaults. PICTOGRAPH_CONFIGURATION when no key is found or a setting is impossible. */
PICTOGRAPH_API PictographClient *pictograph_new(const PictographOptions *options, PictographError *error);
PICTOGRAPH_API void pictograph_free(PictographClient *client);
PICTOGRAPH_API const char *pictograph_base_url(const PictographClient *client);
PICTOGRAPH_API const char *pictograph_version(void);

/* ---- results: an answer of the server, read by JSON Pointer (RFC 6901): "/classes/0/name"; "" is the whole ---- */

PICTOGRAPH_API void pictograph_result_free(PictographResult *result);
/* Borrowed from the result; NULL when there is no such text. */
PICTOGRAPH_API const char *pictograph_text(const PictographResult *result, const char *pointer);
PICTOGRAPH_API int64_t pictograph_integer(const PictographResult *result, const char *pointer, int64_t otherwise);
PICTOGRAPH_API double pictograph_number(const PictographResult *result, const char *pointer, double otherwise);
PICTOGRAPH_API bool pictograph_flag(const PictographResult *result, const char *pointer, bool otherwise);
/* Elements of an array or members of an object; 0 for anything else. */
PICTOGRAPH_API size_t pictograph_count(const PictographResult *result, const char *pointer);
/* The value as JSON text, indented by two blanks when `pretty`. Free with free(). */
PICTOGRAPH_API char *pictograph_json(const PictographResult *result, const char *pointer, bool pretty);

/* ---- pagers: all items of a list, page by page as they are asked for ---- */

typedef struct PictographPager PictographPager;

typedef struct PictographList {
    int64_t page_size; /* 0: the default of the list; negative is refused */
    int64_t max_total; /* stop after so many items; 0: all; negative is refused */
    int64_t offset;    /* items to skip at the start */
    const char *dataset_name, *status, *model_type; /* filters where the list has them; NULL: none */
} PictographList;

/* The next item, borrowed until the next call; NULL at the end and on failure (error->status tells which). */
PICTOGRAPH_API const PictographResult *pictograph_pager_next(PictographPager *pager, PictographError *error);
/* Everything that is left, as one array. */
PICTOGRAPH_API PictographResult *pictograph_pager_all(PictographPager *pager, PictographError *error);
PICTOGRAPH_API void pictograph_pager_free(PictographPager *pager);

/* ---- progress and waiting ---- */

/* Files or bytes done of total (-1: unknown); name is the file just done, or the state of the job. Called on the calling thread. */
typedef void (*PictographProgress)(void *context, int64_t done, int64_t total, const char *name);
/* Sees a job's state after each poll. */
typedef void (*PictographPoll)(void *context, const PictographResult *job);

typedef struct PictographWait {
    double interval; /* seconds between polls; 0: the job kind's default */
    double timeout;  /* seconds until PICTOGRAPH_POLL_TIMEOUT; 0: the default */
    PictographPoll on_poll;
    void *context;
} PictographWait;

#ifdef __cplusplus
}
#endif
