/* libcurl behind remote.h: one handle, its connections kept open between calls. */
#include "server/connectors/remote.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "server/connectors/keys.h"
#include "base/banned.h"

enum {
    ANSWER_MAXIMUM = 64 << 20, MESSAGE_MAXIMUM = 200, CALL_TRIES = 7, DOWNLOAD_TRIES = 4, REDIRECTS = 5,
    CONNECT_SECONDS = 10, CALL_SECONDS = 60, DOWNLOAD_SECONDS = 1800, STALLED_SECONDS = 30, LONGEST_PAUSE_SECONDS = 120,
};

struct Remote {
    RemoteOptions options;
    char *key, *escaped_key; /* as sent, and as it stands in a query */
    struct curl_slist *headers; /* of API calls; one of them may hold the key */
    CURL *curl;
};

/* One exchange. Exactly one of answer and the sinks is set. */
typedef struct Call {
    Remote *remote;
    const char *url, *body;
    bool keyed;
    Buffer *answer;
    ObjectWriter *writer;
    int fd; /* -1: none */
    int64_t left; /* bytes that a sink still takes */
    bool refused_address, too_large, unresolved;
    Error sink_error;
    long http;
    double retry_after; /* seconds; -1: not said */
} Call;

/* --- addresses ------------------------------------------------------------------------------------------------------------- */

/* To be freed by curl_free; NULL where the address has none. */
static char *host_of(const char *address) {
    CURLU *url = curl_url();
    char *host = NULL;
    if (curl_url_set(url, CURLUPART_URL, address, 0) == CURLUE_OK) curl_url_get(url, CURLUPART_HOST, &host, 0);
    curl_url_cleanup(url);
    return host;
}

static bool host_is_private(const char *base_url) {
    char *host = host_of(base_url);
    size_t length = host ? strlen(host) : 0;
    bool private = false, bracketed = length > 2 && host[0] == '[';
    struct addrinfo *list = NULL;
    if (bracketed) host[length - 1] = '\0';
    if (host && getaddrinfo(bracketed ? host + 1 : host, NULL, &(struct addrinfo){.ai_socktype = SOCK_STREAM}, &list) == 0) {
        for (struct addrinfo *a = list; a; a = a->ai_next) private |= !address_is_public(a->ai_addr);
        freeaddrinfo(list);
    }
    curl_free(host);
    return private;
}

static bool same_part(CURLU *a, CURLU *b, CURLUPart part) {
    char *x = NULL, *y = NULL;
    bool same = curl_url_get(a, part, &x, CURLU_DEFAULT_PORT) == CURLUE_OK && curl_url_get(b, part, &y, CURLU_DEFAULT_PORT) == CURLUE_OK &&
                text_equal_ignoring_case(x, y);
    curl_free(x);
    curl_free(y);
    return same;
}

/* Scheme, host and port of both are the same. */
static bool same_origin(const char *a, const char *b) {
    CURLU *x = curl_url(), *y = curl_url();
    bool same = curl_url_set(x, CURLUPART_URL, a, 0) == CURLUE_OK && curl_url_set(y, CURLUPART_URL, b, 0) == CURLUE_OK &&
                same_part(x, y, CURLUPART_SCHEME) && same_part(x, y, CURLUPART_HOST) && same_part(x, y, CURLUPART_PORT);
    curl_url_cleanup(x);
    curl_url_cleanup(y);
    return same;
}

static curl_socket_t open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address) {
    Call *call = context;
    (void)purpose;
    const char *base = call->remote->options.base_url;
    if (!address_is_public(&address->addr) && !same_origin(call->url, base) && !host_is_private(base)) {
        call->refused_address = true;
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* --- one exchange ---------------------------------------------------------------------------------------------------------- */

static size_t take_bytes(char *data, size_t one, size_t count, void *context) {
    Call *call = context;
    size_t size = one * count;
    long http = 0;
    if (call->answer) return buffer_append(call->answer, data, size) ? size : (call->too_large = true, 0);
    curl_easy_getinfo(call->remote->curl, CURLINFO_RESPONSE_CODE, &http);
    if (http != 200) return size; /* the text of a failure is of no use here */
    if ((int64_t)size > call->left) return call->too_large = true, 0;
    call->left -= (int64_t)size;
    Status status = call->writer ? object_writer_write(call->writer, data, size, &call->sink_error) : file_write_all(call->fd, data, size, &call->sink_error);
    return status == STATUS_OK ? size : 0;
}

static bool stop_asked(const Remote *remote) { return remote->options.stop && remote->options.stop(remote->options.context); }

static int watch(void *context, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d) {
    (void)a, (void)b, (void)c, (void)d;
    return stop_asked(((Call *)context)->remote);
}

static double seconds_left(const Remote *remote) { return remote->options.deadline > 0 ? remote->options.deadline - clock_monotonic() : 1e9; }

static void prepare(Call *call) {
    Remote *remote = call->remote;
    CURL *curl = remote->curl;
    double most = call->answer ? CALL_SECONDS : DOWNLOAD_SECONDS, left = seconds_left(remote);
    if (left < most) most = left > 0.001 ? left : 0.001;
    curl_easy_reset(curl);
    curl_easy_setopt(curl, CURLOPT_URL, call->url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(curl, CURLOPT_ACCEPT_ENCODING, call->answer ? "" : NULL);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "pictographd");
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)(most * 1000));
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)STALLED_SECONDS);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, call);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_bytes);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, watch);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, call);
    if (call->keyed) curl_easy_setopt(curl, CURLOPT_HTTPHEADER, remote->headers);
    if (call->body) curl_easy_setopt(curl, CURLOPT_POSTFIELDS, call->body);
    if (!call->answer) curl_easy_setopt(curl, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)call->left);
}

/* The words of the source about its refusal, without the key, or NULL. */
static const char *words_of(const Remote *remote, const Buffer *answer, char out[MESSAGE_MAXIMUM]) {
    yyjson_doc *doc = answer && answer->size && answer->size < 65536 ? json_parse(answer->data, answer->size, NULL) : NULL;
    yyjson_val *root = yyjson_doc_get_root(doc), *error = yyjson_obj_get(root, "error");
    const char *text = json_get_string(root, "message", yyjson_is_str(error) ? yyjson_get_str(error) : NULL);
    if (!text && yyjson_is_obj(error)) text = json_get_string(error, "message", NULL);
    if (!text) text = json_get_string(yyjson_obj_get(root, "errors"), "message", json_get_string(yyjson_obj_get(root, "errors"), "detail", NULL));
    Error cut = {0};
    bool usable = text && !text_is_blank(text) && !strstr(text, remote->key) && !strstr(text, remote->escaped_key);
    if (usable) {
        error_set(&cut, STATUS_UPSTREAM_ERROR, "%.*s", MESSAGE_MAXIMUM - 1, text);
        size_t length = strlen(cut.message);
        while (length && !text_is_utf8(cut.message, length)) length--; /* the cut may have split a character */
        snprintf(out, MESSAGE_MAXIMUM, "%.*s", (int)length, cut.message);
        for (char *p = out; *p; p++)
            if ((unsigned char)*p < 0x20) *p = ' ';
    }
    yyjson_doc_free(doc);
    return usable ? out : NULL;
}

static Status describe_answer(Call *call, Error *err) {
    const Remote *remote = call->remote;
    char buffer[MESSAGE_MAXIMUM];
    const char *service = remote->options.service, *words = words_of(remote, call->answer, buffer);
    if (call->http == 200 || call->http == 201 || call->http == 202) return STATUS_OK;
    if (call->answer && (call->http == 401 || call->http == 403))
        return error_set(err, STATUS_PROVIDER_AUTH_FAILED, "%s rejected the key%s%s", service, words ? ": " : "", words ? words : "");
    if (call->http == 404) return error_set(err, STATUS_NOT_FOUND, "%s does not have this", service);
    if (call->http >= 300 && call->http < 400 && !call->answer) return STATUS_OK; /* the caller follows */
    return error_set(err, STATUS_UPSTREAM_ERROR, "%s answered %ld%s%s", service, call->http, words ? ": " : "", words ? words : "");
}

static Status describe_broken(Call *call, CURLcode code, Error *err) {
    const char *service = call->remote->options.service;
    if (stop_asked(call->remote)) return error_set(err, STATUS_CANCELLED, "Cancelled");
    if (call->sink_error.status != STATUS_OK) return error_set(err, call->sink_error.status, "%s", call->sink_error.message);
    if (call->refused_address) return error_set(err, STATUS_BAD_REQUEST, "The address that %s names is not on the public internet", service);
    if (call->too_large || code == CURLE_FILESIZE_EXCEEDED) return error_set(err, STATUS_PAYLOAD_TOO_LARGE, "%s sent too many bytes", service);
    if (code == CURLE_OPERATION_TIMEDOUT) return error_set(err, STATUS_UPSTREAM_TIMEOUT, "%s did not answer in time", service);
    if (code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_URL_MALFORMAT) return error_set(err, STATUS_BAD_REQUEST, "%s names an address that is not http or https", service);
    if (code == CURLE_COULDNT_RESOLVE_HOST) {
        char *host = host_of(call->url);
        call->unresolved = true;
        error_set(err, STATUS_UPSTREAM_ERROR, "%s cannot be reached: no address is known for its host %s", service, host ? host : "");
        curl_free(host);
        return STATUS_UPSTREAM_ERROR;
    }
    return error_set(err, STATUS_UPSTREAM_ERROR, "%s cannot be reached: %s", service, curl_easy_strerror(code));
}

static Status exchange(Call *call, Error *err) {
    CURL *curl = call->remote->curl;
    curl_off_t retry_after = 0;
    prepare(call);
    CURLcode code = curl_easy_perform(curl);
    call->http = 0;
    call->unresolved = false;
    call->retry_after = -1;
    if (code != CURLE_OK) return describe_broken(call, code, err);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &call->http);
    if (curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &retry_after) == CURLE_OK && retry_after > 0) call->retry_after = (double)retry_after;
    return describe_answer(call, err);
}

static bool worth_another_try(const Call *call, Status status) {
    if (status == STATUS_UPSTREAM_TIMEOUT) return true;
    return status == STATUS_UPSTREAM_ERROR && (call->http == 0 || call->http == 408 || call->http == 429 || call->http >= 500);
}

/* Sleeps before the next try; false when there is to be none. */
static bool pause_before(const Call *call, int attempt) {
    const Remote *remote = call->remote;
    double pause = call->retry_after >= 0 ? call->retry_after : 0.5 * (1 << attempt);
    if (call->unresolved && remote->options.deadline > 0) return false; /* somebody waits, most likely with a typing error */
    if (attempt + 1 >= (call->answer ? CALL_TRIES : DOWNLOAD_TRIES) || pause > LONGEST_PAUSE_SECONDS || pause >= seconds_left(remote)) return false;
    for (double until = clock_monotonic() + pause; clock_monotonic() < until; clock_sleep(0.1))
        if (stop_asked(remote)) return false;
    return true;
}

static bool try_again(const Call *call, int attempt, Status *status, Error *err) {
    if (worth_another_try(call, *status) && pause_before(call, attempt)) return true;
    if (*status != STATUS_OK && stop_asked(call->remote)) *status = error_set(err, STATUS_CANCELLED, "Cancelled");
    return false;
}

/* --- calls ----------------------------------------------------------------------------------------------------------------- */

const char *remote_escape(Arena *arena, const char *text) {
    static const char SAFE[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~", HEX[] = "0123456789ABCDEF";
    char *out = arena_alloc(arena, 3 * strlen(text) + 1), *to = out;
    bool dots = strcmp(text, ".") == 0 || strcmp(text, "..") == 0; /* would be taken for a step in the path */
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (strchr(SAFE, *p) && !dots) {
            *to++ = (char)*p;
        } else {
            *to++ = '%';
            *to++ = HEX[*p >> 4];
            *to++ = HEX[*p & 15];
        }
    }
    return out;
}

Status remote_open(Remote **out, const RemoteOptions *options, Error *err) {
    *out = NULL;
    for (const unsigned char *p = (const unsigned char *)options->key; *p; p++)
        if (*p < 0x21 || *p == 0x7f) return error_set(err, STATUS_PROVIDER_AUTH_FAILED, "This is no key of %s", options->service);
    Remote *remote = xcalloc(1, sizeof *remote);
    Arena arena;
    arena_init(&arena, 1 << 20);
    remote->options = *options;
    remote->options.key = NULL;
    remote->key = xstrdup(options->key);
    remote->escaped_key = xstrdup(remote_escape(&arena, options->key));
    remote->curl = curl_easy_init();
    remote->headers = curl_slist_append(NULL, "Accept: application/json");
    remote->headers = curl_slist_append(remote->headers, "Content-Type: application/json");
    remote->headers = curl_slist_append(remote->headers, "Expect:");
    if (options->key_place == REMOTE_KEY_IN_HEADER)
        remote->headers = curl_slist_append(remote->headers, arena_printf(&arena, "Authorization: ApiKey %s", options->key));
    arena_clear(&arena);
    if (!remote->curl) {
        remote_close(remote);
        return error_set(err, STATUS_OUT_OF_MEMORY, "libcurl has no handle");
    }
    *out = remote;
    return STATUS_OK;
}

void remote_close(Remote *remote) {
    if (!remote) return;
    curl_easy_cleanup(remote->curl);
    for (struct curl_slist *header = remote->headers; header; header = header->next) explicit_bzero(header->data, strlen(header->data));
    curl_slist_free_all(remote->headers);
    key_wipe(remote->key);
    key_wipe(remote->escaped_key);
    free(remote);
}

/* The address of an API call. With the key in the query it is a secret: it stays on this heap and is wiped. */
static char *address_of(const Remote *remote, const char *path) {
    const char *base = remote->options.base_url;
    size_t size = strlen(base) + strlen(path) + strlen(remote->escaped_key) + 12;
    char *url = xmalloc(size);
    if (remote->options.key_place == REMOTE_KEY_IN_QUERY) snprintf(url, size, "%s%s%sapi_key=%s", base, path, strchr(path, '?') ? "&" : "?", remote->escaped_key);
    else snprintf(url, size, "%s%s", base, path);
    return url;
}

Status remote_call(Remote *remote, Arena *arena, const char *path, const char *body, yyjson_doc **out, Error *err) {
    char *url = address_of(remote, path);
    Buffer answer;
    Call call = {.remote = remote, .url = url, .body = body, .keyed = true, .answer = &answer, .fd = -1};
    buffer_init(&answer, ANSWER_MAXIMUM);
    Status status;
    *out = NULL;
    int attempt = 0;
    do {
        buffer_reset(&answer);
        status = exchange(&call, err);
    } while (try_again(&call, attempt++, &status, err));
    key_wipe(url);
    if (status == STATUS_OK) {
        *out = json_parse_in(arena, answer.data ? answer.data : "", answer.size, NULL);
        if (!*out) status = error_set(err, STATUS_UPSTREAM_ERROR, "%s answered with something that is not JSON", remote->options.service);
    }
    buffer_clear(&answer);
    return status;
}

/* Follows redirects; writes what a 200 holds into the sink of the call. */
static Status follow(Call *call, const char *url, Arena *arena, char content_type[80], Error *err) {
    Remote *remote = call->remote;
    const char *base = remote->options.base_url, *type = NULL;
    for (int hop = 0; hop <= REDIRECTS; hop++) {
        call->url = url;
        call->keyed = remote->options.key_place == REMOTE_KEY_IN_HEADER && same_origin(url, base);
        Status status = exchange(call, err);
        if (status != STATUS_OK) return status;
        if (call->http == 200) {
            if (curl_easy_getinfo(remote->curl, CURLINFO_CONTENT_TYPE, &type) == CURLE_OK && type) snprintf(content_type, 80, "%.79s", type);
            return STATUS_OK;
        }
        const char *next = NULL;
        curl_easy_getinfo(remote->curl, CURLINFO_REDIRECT_URL, &next);
        if (!next || (text_starts_with(url, "https:") && !text_starts_with(next, "https:")))
            return error_set(err, STATUS_BAD_REQUEST, "%s redirects a download to an address that is not to be followed", remote->options.service);
        url = arena_strdup(arena, next);
    }
    return error_set(err, STATUS_BAD_REQUEST, "%s redirects a download too often", remote->options.service);
}

/* An address as an item names it: absolute, or a path of the API. */
static const char *absolute(const Remote *remote, Arena *arena, const char *url) {
    return url[0] == '/' ? arena_printf(arena, "%s%s", remote->options.base_url, url) : url;
}

Status remote_download(Remote *remote, Objects *objects, const char *url, int64_t maximum, RemoteFile *out, Error *err) {
    Arena arena;
    Call call;
    Status status;
    arena_init(&arena, 1 << 20);
    *out = (RemoteFile){0};
    url = absolute(remote, &arena, url);
    int attempt = 0;
    do {
        call = (Call){.remote = remote, .fd = -1, .left = maximum};
        status = object_writer_begin(&call.writer, objects, maximum, err);
        if (status == STATUS_OK) status = follow(&call, url, &arena, out->content_type, err);
        if (status == STATUS_OK) status = object_writer_commit(call.writer, &out->object, err);
        else if (call.writer) object_writer_abort(call.writer);
    } while (try_again(&call, attempt++, &status, err));
    arena_clear(&arena);
    return status;
}

Status remote_download_to(Remote *remote, const char *url, int64_t maximum, const char *path, Error *err) {
    Arena arena;
    char content_type[80];
    Call call;
    Status status;
    arena_init(&arena, 1 << 20);
    url = absolute(remote, &arena, url);
    int attempt = 0;
    do {
        call = (Call){.remote = remote, .fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), .left = maximum};
        status = call.fd < 0 ? error_set_errno(err, errno, "Cannot make %s", file_base_name(path)) : follow(&call, url, &arena, content_type, err);
        if (call.fd >= 0) close(call.fd);
    } while (try_again(&call, attempt++, &status, err));
    arena_clear(&arena);
    return status;
}
