/* One request by libcurl, under the transport rules of decisions.md (c). */
#include "client/exchange.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "client/backoff.h"
#include "client/failure.h"
#include "client/handle.h"
#include "client/result.h"

#include "base/banned.h"

#define API_PREFIX "/api/v1/developer/"
enum { URL_MAXIMUM = 1 << 16, UPLOAD_BUFFER = 256 << 10 };

/* ---- describing ---- */

static bool has_body(const char *method) {
    return text_equal(method, "POST") || text_equal(method, "PUT") || text_equal(method, "PATCH");
}

void exchange_init(Exchange *exchange, PictographClient *client, const char *method) {
    *exchange = (Exchange){.client = client, .method = method, .keyed = true, .silence = client->timeout};
    buffer_init(&exchange->url, URL_MAXIMUM);
    buffer_init(&exchange->body, EXCHANGE_ANSWER_MAXIMUM);
    buffer_init(&exchange->answer, EXCHANGE_ANSWER_MAXIMUM);
    if (has_body(method)) {
        unsigned char random[16];
        random_bytes(random, sizeof random);
        hash_hex(random, sizeof random, exchange->idempotency_key);
    }
}

void exchange_clear(Exchange *exchange) {
    if (!exchange->client) return;
    if (exchange->easy) client_return(exchange->client, exchange->easy);
    curl_slist_free_all(exchange->headers);
    buffer_clear(&exchange->url);
    buffer_clear(&exchange->body);
    buffer_clear(&exchange->answer);
    *exchange = (Exchange){0};
}

void exchange_set_path(Exchange *exchange, const char *pattern, const char *const *names) {
    Buffer *url = &exchange->url;
    buffer_reset(url);
    buffer_append_text(url, exchange->client->base_url);
    buffer_append_text(url, API_PREFIX);
    for (const char *at; (at = strstr(pattern, "{}")); pattern = at + 2) {
        buffer_append(url, pattern, (size_t)(at - pattern));
        buffer_append_escaped(url, *names++);
    }
    buffer_append_text(url, pattern);
}

void exchange_add_query(Exchange *exchange, const char *key, const char *value) {
    if (!value) return;
    buffer_append_byte(&exchange->url, strchr(buffer_text(&exchange->url), '?') ? '&' : '?');
    buffer_append_text(&exchange->url, key);
    buffer_append_byte(&exchange->url, '=');
    buffer_append_escaped(&exchange->url, value);
}

void exchange_set_signed_url(Exchange *exchange, const char *url) {
    buffer_reset(&exchange->url);
    buffer_append_text(&exchange->url, url);
    exchange->keyed = false;
    exchange->idempotency_key[0] = '\0';
}

/* ---- curl's callbacks ---- */

static size_t receive(char *bytes, size_t one, size_t size, void *context) {
    Exchange *exchange = context;
    (void)one;
    long status = 0;
    curl_easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, &status);
    if (!exchange->sink || status < 200 || status > 299) return buffer_append(&exchange->answer, bytes, size) ? size : 0;
    if (fwrite(bytes, 1, size, exchange->sink) != size) {
        exchange->sink_failed = true;
        return 0;
    }
    if (exchange->hasher) hasher_update(exchange->hasher, bytes, size);
    return size;
}

static size_t send_source(char *out, size_t one, size_t size, void *context) {
    Exchange *exchange = context;
    size_t got = fread(out, one, size, exchange->source);
    return got == 0 && ferror(exchange->source) ? CURL_READFUNC_ABORT : got;
}

static int watch(void *context, curl_off_t down_total, curl_off_t down, curl_off_t up_total, curl_off_t up) {
    Exchange *exchange = context;
    if (client_is_cancelled(exchange->client)) return 1;
    if (exchange->progress && exchange->source && up > 0) exchange->progress(exchange->progress_context, up, up_total, NULL);
    if (exchange->progress && exchange->sink && down > 0)
        exchange->progress(exchange->progress_context, down, down_total > 0 ? down_total : -1, NULL);
    return 0;
}

/* ---- one try ---- */

static void add_raw(Exchange *exchange, const char *line) {
    struct curl_slist *longer = curl_slist_append(exchange->headers, line);
    if (longer) exchange->headers = longer;
}

static void add_header(Exchange *exchange, const char *name, const char *value) {
    Buffer line;
    buffer_init(&line, 4096);
    if (buffer_printf(&line, "%s: %s", name, value)) add_raw(exchange, line.data);
    buffer_clear(&line);
}

static void set_headers(Exchange *exchange) {
    curl_slist_free_all(exchange->headers);
    exchange->headers = NULL;
    add_raw(exchange, "Expect:"); /* a whole round trip for nothing */
    add_header(exchange, "Accept", exchange->sink ? "*/*" : "application/json");
    if (exchange->keyed) add_header(exchange, "X-API-Key", exchange->client->api_key);
    if (exchange->idempotency_key[0]) add_header(exchange, "Idempotency-Key", exchange->idempotency_key);
    if (exchange->content_type)
        add_header(exchange, "Content-Type", exchange->content_type);
    else
        add_raw(exchange, "Content-Type:"); /* or curl would claim a form */
    curl_easy_setopt(exchange->easy, CURLOPT_HTTPHEADER, exchange->headers);
}

static void set_body(Exchange *exchange) {
    CURL *easy = exchange->easy;
    if (exchange->source) {
        curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)exchange->source_size);
        curl_easy_setopt(easy, CURLOPT_READFUNCTION, send_source);
        curl_easy_setopt(easy, CURLOPT_READDATA, exchange);
        curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, (long)UPLOAD_BUFFER);
    } else if (has_body(exchange->method) || exchange->body.size > 0) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)exchange->body.size);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, buffer_text(&exchange->body));
    }
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, exchange->method);
}

static void set_limits(Exchange *exchange) {
    CURL *easy = exchange->easy;
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)(exchange->client->timeout * 1000));
    /* The limit is on silence, not on the whole: a large file may take its time. curl counts silence in whole seconds. */
    if (exchange->silence >= 1) {
        curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
        curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, (long)exchange->silence);
    } else {
        curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)(exchange->silence * 1000));
    }
}

void exchange_start(Exchange *exchange) {
    if (!exchange->easy) exchange->easy = client_lease(exchange->client);
    if (!exchange->easy) return;
    CURL *easy = exchange->easy;
    curl_easy_reset(easy);
    buffer_reset(&exchange->answer);
    exchange->http_status = 0;
    curl_easy_setopt(easy, CURLOPT_URL, buffer_text(&exchange->url));
    curl_easy_setopt(easy, CURLOPT_USERAGENT, exchange->client->user_agent);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, receive);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, exchange);
    curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, watch);
    curl_easy_setopt(easy, CURLOPT_XFERINFODATA, exchange);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, exchange);
    set_limits(exchange);
    set_headers(exchange);
    set_body(exchange);
}

static const char *header_value(Exchange *exchange, const char *name) {
    struct curl_header *header = NULL;
    return curl_easy_header(exchange->easy, name, 0, CURLH_HEADER, -1, &header) == CURLHE_OK ? header->value : NULL;
}

static double chance(void) {
    unsigned random;
    random_bytes(&random, sizeof random);
    return random / 4294967296.0;
}

/* A failure without a usable answer. */
static PictographStatus describe_broken(Exchange *exchange, CURLcode code, PictographError *error) {
    if (exchange->sink_failed) return failure_set(error, PICTOGRAPH_FILE, "The file could not be written; is the disk full?");
    switch (code) {
        case CURLE_ABORTED_BY_CALLBACK:
            if (exchange->source && ferror(exchange->source)) return failure_set(error, PICTOGRAPH_FILE, "The file could not be read");
            return failure_set(error, PICTOGRAPH_CANCELLED, "Cancelled");
        case CURLE_OPERATION_TIMEDOUT:
            return failure_set(error, PICTOGRAPH_REQUEST_TIMEOUT, "No answer from %s in %g s", exchange->client->base_url, exchange->silence);
        case CURLE_URL_MALFORMAT:
        case CURLE_UNSUPPORTED_PROTOCOL:
            return failure_set(error, PICTOGRAPH_SERVER, "The server gave an address that is no http(s) URL");
        case CURLE_WRITE_ERROR: return failure_set(error, PICTOGRAPH_SERVER, "The answer is larger than %d MB", EXCHANGE_ANSWER_MAXIMUM >> 20);
        default: return failure_set(error, PICTOGRAPH_NETWORK, "%s: %s", exchange->client->base_url, curl_easy_strerror(code));
    }
}

static bool is_network_trouble(PictographStatus status) {
    return status == PICTOGRAPH_NETWORK || status == PICTOGRAPH_REQUEST_TIMEOUT;
}

static PictographStatus describe_refusal(Exchange *exchange, double retry_after, PictographError *error) {
    const char *type = header_value(exchange, "Content-Type");
    PictographResult *body = NULL;
    if (type && text_starts_with(type, "application/json") && exchange->answer.size > 0)
        body = result_parse(exchange->answer.data, exchange->answer.size, NULL);
    return failure_from_answer(error, exchange->http_status, header_value(exchange, "X-Request-Id"), retry_after, body);
}

ExchangeEnd exchange_finish(Exchange *exchange, CURLcode code, double *out_wait, PictographError *error) {
    long http = 0;
    curl_easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, &http);
    exchange->http_status = code == CURLE_OK ? (int)http : 0;
    if (http >= 200 && http <= 299 && code == CURLE_OK) return EXCHANGE_DONE;

    double retry_after = -1;
    bool repeatable = true;
    if (code != CURLE_OK) {
        repeatable = is_network_trouble(describe_broken(exchange, code, error));
    } else {
        const char *header = header_value(exchange, "Retry-After");
        if (http == 429 && header && !backoff_retry_after(header, clock_now_ms(), &retry_after)) retry_after = -1;
        describe_refusal(exchange, retry_after, error);
    }
    bool streaming = exchange->source || exchange->sink;
    if (!repeatable || streaming || exchange->attempt >= exchange->client->max_retries ||
        !backoff_may_repeat(exchange->method, exchange->idempotency_key[0], exchange->http_status) || retry_after > BACKOFF_RETRY_AFTER_MAX)
        return EXCHANGE_FAILED;
    *out_wait = retry_after >= 0 ? retry_after : backoff_delay(exchange->attempt, chance());
    exchange->attempt++;
    return EXCHANGE_AGAIN;
}

PictographStatus exchange_perform(Exchange *exchange, PictographError *error) {
    PictographError own = {0};
    ExchangeEnd end;
    PictographStatus status = PICTOGRAPH_OK;
    failure_reset(error);
    if (exchange->url.failed || exchange->body.failed) return failure_set(error, PICTOGRAPH_VALIDATION, "The request is too large");
    do {
        double wait = 0;
        exchange_start(exchange);
        if (!exchange->easy) return failure_set(error, PICTOGRAPH_NETWORK, "libcurl has no memory");
        client_enter(exchange->client);
        CURLcode code = curl_easy_perform(exchange->easy);
        client_leave(exchange->client);
        end = exchange_finish(exchange, code, &wait, &own);
        if (end == EXCHANGE_AGAIN && !client_sleep(exchange->client, wait)) {
            failure_set(&own, PICTOGRAPH_CANCELLED, "Cancelled");
            end = EXCHANGE_FAILED;
        }
    } while (end == EXCHANGE_AGAIN);
    if (end == EXCHANGE_FAILED) {
        status = own.status;
        failure_move(error, &own);
    }
    failure_reset(&own);
    return status;
}

PictographResult *exchange_result(Exchange *exchange, const char *envelope, PictographError *error) {
    if (exchange->answer.size == 0 && !envelope) return result_new(NULL, NULL);
    Error base = {0};
    yyjson_doc *doc = exchange->answer.size ? json_parse(exchange->answer.data, exchange->answer.size, &base) : NULL;
    yyjson_val *root = yyjson_doc_get_root(doc);
    if (root && envelope) root = yyjson_obj_get(root, envelope);
    if (root) return result_new(doc, root);
    yyjson_doc_free(doc);
    const char *id = header_value(exchange, "X-Request-Id");
    failure_set(error, PICTOGRAPH_SERVER, "The server's answer to %s %s is not what the API promises%s%s", exchange->method,
                buffer_text(&exchange->url), id ? "; request " : "", id ? id : "");
    if (error) error->http_status = exchange->http_status;
    return NULL;
}
