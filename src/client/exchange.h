/* Exchange: one HTTP request with its repeated tries, described first and then performed.
 *
 * exchange_perform runs it on the calling thread. transfer.h runs many at once by the same three functions: exchange_start sets up one
 * try, curl moves the bytes, exchange_finish judges the end. An exchange that streams a file is tried once.
 */
#pragma once
#include <curl/curl.h>
#include <pictograph/client.h>
#include <stdio.h>

#include "base/buffer.h"
#include "base/hash.h"

enum { EXCHANGE_KEY_SIZE = 257, EXCHANGE_ANSWER_MAXIMUM = 256 << 20 };

typedef struct Exchange {
    PictographClient *client;
    /* what to send */
    const char *method;
    Buffer url;
    Buffer body;              /* text of a POST or PATCH */
    const char *content_type; /* of body or source; NULL: none */
    char idempotency_key[EXCHANGE_KEY_SIZE]; /* "" sends none */
    bool keyed;               /* send the API key: never to addresses that the server signed */
    FILE *source;             /* streamed body of a PUT; borrowed, open at its start */
    int64_t source_size;
    FILE *sink;               /* where the body of a success goes; borrowed */
    Hasher *hasher;           /* sees what the sink sees; borrowed, may be NULL */
    double silence;           /* seconds without a byte that end a try */
    PictographProgress progress;
    void *progress_context;
    /* the present try */
    CURL *easy;
    struct curl_slist *headers;
    Buffer answer;
    int attempt;
    int http_status;          /* 0: no answer */
    bool sink_failed;
} Exchange;

typedef enum ExchangeEnd { EXCHANGE_DONE, EXCHANGE_AGAIN, EXCHANGE_FAILED } ExchangeEnd;

/* A GET, PUT … with the key and, for POST, PUT and PATCH, a fresh idempotency key; the url is still empty. */
void exchange_init(Exchange *exchange, PictographClient *client, const char *method);
/* Gives memory and connection back. */
void exchange_clear(Exchange *exchange);

/* Sets the address: base URL, prefix of the API, and the pattern, whose "{}" are replaced by names[0], names[1], percent-encoded. */
void exchange_set_path(Exchange *exchange, const char *pattern, const char *const *names);
/* Adds ?key=value or &key=value, percent-encoded; value NULL adds nothing. */
void exchange_add_query(Exchange *exchange, const char *key, const char *value);
/* Sets an absolute address that the server signed; it is sent no key. */
void exchange_set_signed_url(Exchange *exchange, const char *url);

/* Sets curl up for one try. */
void exchange_start(Exchange *exchange);
/* Judges a try that curl ended with code: EXCHANGE_DONE is a 2xx; EXCHANGE_AGAIN asks for a further try after *out_wait seconds. */
ExchangeEnd exchange_finish(Exchange *exchange, CURLcode code, double *out_wait, PictographError *error);
/* All of it, waiting included. */
PictographStatus exchange_perform(Exchange *exchange, PictographError *error);

/* The body as a result that starts at member `envelope` (NULL: the whole). An empty body gives an empty result. NULL with
 * PICTOGRAPH_SERVER when it is no JSON or lacks the member. */
PictographResult *exchange_result(Exchange *exchange, const char *envelope, PictographError *error);
