#include "server/jobs/exchange.h"

#include <poll.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "worker/channel.h"
#include "base/banned.h"

enum { TICK_MS = 250 };
#define CANCEL_SECONDS 1.0 /* for the answer to a cancellation */

static void send_cancel(const Exchange *exchange) {
    char message[48];
    const char *text = log_format(message, sizeof message, "{\"cancel\": %lld}", (long long)exchange->id);
    channel_send(exchange->fd, text, strlen(text), NULL);
}

/* One message of the worker, or STATUS_TIMEOUT after a tick without one. */
static Status receive_message(const Exchange *exchange, double deadline, Buffer *message, Error *err) {
    struct pollfd p = {.fd = exchange->fd, .events = POLLIN};
    double left = deadline - clock_monotonic();
    int wait = left <= 0 ? 0 : left * 1000 < TICK_MS ? (int)(left * 1000) + 1 : TICK_MS;
    if (poll(&p, 1, wait) <= 0) return STATUS_TIMEOUT;
    Status status = channel_receive(exchange->fd, left > 0.1 ? left : 0.1, message, err);
    return status == STATUS_TIMEOUT ? STATUS_IO : status; /* half a message: the rest has no beginning */
}

/* *out stays NULL for a message that is no answer yet (progress). */
static Status read_answer(yyjson_doc **out, const Buffer *message, int64_t id, Error *err) {
    yyjson_doc *doc = json_parse(buffer_text(message), message->size, err);
    if (!doc) return error_prefix(err, "the worker sent no JSON");
    yyjson_val *root = yyjson_doc_get_root(doc);
    bool ours = json_get_int(root, "id", -1) == id;
    bool answers = ours && (yyjson_obj_get(root, "result") || yyjson_is_obj(yyjson_obj_get(root, "error")));
    bool progress = ours && yyjson_obj_get(root, "progress");
    if (answers) *out = doc;
    else yyjson_doc_free(doc);
    return answers || progress ? STATUS_OK : error_set(err, STATUS_IO, "the worker sent something that is no answer");
}

Status exchange_receive(const Exchange *exchange, yyjson_doc **out, bool *out_broken, Error *err) {
    double deadline = clock_monotonic() + exchange->timeout;
    bool cancelled = false;
    Status status = STATUS_OK;
    Buffer message;
    buffer_init(&message, CHANNEL_MAXIMUM);
    *out = NULL;
    while (status == STATUS_OK && !*out) {
        if (!cancelled && exchange->stop && exchange->stop(exchange->context)) {
            cancelled = true;
            send_cancel(exchange);
            deadline = clock_monotonic() + CANCEL_SECONDS;
        }
        status = receive_message(exchange, deadline, &message, err);
        if (status == STATUS_OK) status = read_answer(out, &message, exchange->id, err);
        else if (status == STATUS_TIMEOUT && clock_monotonic() < deadline) status = STATUS_OK;
        else if (status == STATUS_TIMEOUT) error_set(err, STATUS_TIMEOUT, "no answer within %g s", exchange->timeout);
    }
    buffer_clear(&message);
    *out_broken = status != STATUS_OK;
    if (!cancelled) return status;
    yyjson_doc_free(*out);
    *out = NULL;
    return error_set(err, STATUS_CANCELLED, "Cancelled");
}
