#include "worker/channel.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/banned.h"

static Status send_all(int fd, const void *data, size_t size, Error *err) {
    const char *at = data;
    while (size) {
        ssize_t n = send(fd, at, size, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return error_set_errno(err, errno, "worker channel");
        at += n;
        size -= (size_t)n;
    }
    return STATUS_OK;
}

Status channel_send(int fd, const char *json, size_t size, Error *err) {
    if (size > CHANNEL_MAXIMUM) return error_set(err, STATUS_OUT_OF_MEMORY, "Message of %zu bytes is too large", size);
    unsigned char head[4] = {(unsigned char)size, (unsigned char)(size >> 8), (unsigned char)(size >> 16), (unsigned char)(size >> 24)};
    Status status = send_all(fd, head, sizeof head, err);
    return status == STATUS_OK ? send_all(fd, json, size, err) : status;
}

Status channel_request(int fd, int64_t id, const char *method, const char *params, Error *err) {
    Buffer message;
    JsonWriter w;
    buffer_init(&message, CHANNEL_MAXIMUM);
    json_writer_init(&w, &message);
    json_begin_object(&w);
    json_field_int(&w, "id", id);
    json_field_string(&w, "method", method);
    json_key(&w, "params");
    json_raw(&w, params, strlen(params));
    json_end_object(&w);
    Status status = message.failed ? error_set(err, STATUS_OUT_OF_MEMORY, "The request to the worker is too large")
                                   : channel_send(fd, buffer_text(&message), message.size, err);
    buffer_clear(&message);
    return status;
}

static Status receive_exactly(int fd, char *out, size_t size, double deadline, Error *err) {
    while (size) {
        if (deadline >= 0) {
            double left = deadline - clock_monotonic();
            struct pollfd p = {.fd = fd, .events = POLLIN};
            int ready = left <= 0 ? 0 : poll(&p, 1, (int)(left * 1000) + 1);
            if (ready < 0 && errno == EINTR) continue;
            if (ready == 0) return error_set(err, STATUS_TIMEOUT, "The worker did not answer in time");
        }
        ssize_t n = recv(fd, out, size, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return error_set_errno(err, errno, "worker channel");
        if (n == 0) return error_set(err, STATUS_IO, "The other end of the worker channel is closed");
        out += n;
        size -= (size_t)n;
    }
    return STATUS_OK;
}

Status channel_receive(int fd, double timeout_seconds, Buffer *out, Error *err) {
    double deadline = timeout_seconds < 0 ? -1 : clock_monotonic() + timeout_seconds;
    unsigned char head[4];
    Status status = receive_exactly(fd, (char *)head, sizeof head, deadline, err);
    if (status != STATUS_OK) return status;
    size_t size = (size_t)head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16 | (size_t)head[3] << 24;
    buffer_reset(out);
    char *room = size > CHANNEL_MAXIMUM ? NULL : buffer_reserve(out, size);
    if (!room) return error_set(err, STATUS_IO, "Worker message of %zu bytes is too large", size);
    status = receive_exactly(fd, room, size, deadline, err);
    if (status != STATUS_OK) return status;
    out->size = size;
    out->data[size] = '\0';
    return STATUS_OK;
}

Status channel_failure(yyjson_val *error, Error *err) {
    int64_t number = json_get_int(error, "status", STATUS_OK);
    bool usable = number > STATUS_OK && number < STATUS_COUNT && number != STATUS_CANCELLED;
    Status status = usable ? (Status)number : status_from_slug(json_get_string(error, "code", ""));
    return error_set(err, status, "%s", json_get_string(error, "message", "The worker failed"));
}

bool worker_progress(WorkerCall *call, const char *json) {
    Buffer message;
    JsonWriter w;
    buffer_init(&message, CHANNEL_MAXIMUM);
    json_writer_init(&w, &message);
    json_begin_object(&w);
    json_field_int(&w, "id", call->id);
    json_key(&w, "progress");
    json_raw(&w, json, strlen(json));
    json_end_object(&w);
    bool alive = channel_send(call->fd, buffer_text(&message), message.size, NULL) == STATUS_OK;
    struct pollfd p = {.fd = call->fd, .events = POLLIN};
    /* During a call the only thing that arrives is its cancellation, or the end of the peer. */
    if (alive && poll(&p, 1, 0) > 0) alive = false;
    buffer_clear(&message);
    return alive;
}

static Status run_method(const WorkerMethod *methods, WorkerCall *call, void *context, Error *err) {
    for (const WorkerMethod *m = methods; m->name; m++)
        if (call->method && strcmp(m->name, call->method) == 0) return m->run(call, context, err);
    return error_set(err, STATUS_INTERNAL_ERROR, "The worker has no method '%s'", call->method ? call->method : "");
}

static Status serve_message(int fd, const Buffer *message, const WorkerMethod *methods, void *context) {
    Error err = {0};
    yyjson_doc *doc = json_parse(buffer_text(message), message->size, &err);
    if (!doc) return STATUS_IO;
    yyjson_val *root = yyjson_doc_get_root(doc);
    Status status = STATUS_OK;
    if (!yyjson_obj_get(root, "cancel")) { /* a cancellation that arrives after its call ended is nothing */
        Buffer reply;
        JsonWriter w;
        buffer_init(&reply, CHANNEL_MAXIMUM);
        json_writer_init(&w, &reply);
        WorkerCall call = {.fd = fd, .id = json_get_int(root, "id", 0), .method = json_get_string(root, "method", NULL),
                           .params = yyjson_obj_get(root, "params"), .result = &w};
        json_begin_object(&w);
        json_field_int(&w, "id", call.id);
        json_key(&w, "result");
        Status outcome = run_method(methods, &call, context, &err);
        json_end_object(&w);
        if (outcome == STATUS_OK && reply.failed) outcome = error_set(&err, STATUS_INTERNAL_ERROR, "The worker's answer is too large");
        if (outcome != STATUS_OK) {
            buffer_reset(&reply);
            json_writer_init(&w, &reply);
            json_begin_object(&w);
            json_field_int(&w, "id", call.id);
            json_key(&w, "error");
            json_begin_object(&w);
            json_field_int(&w, "status", outcome);
            json_field_string(&w, "code", status_info(outcome)->slug);
            json_field_string(&w, "message", err.message);
            json_end_object(&w);
            json_end_object(&w);
        }
        status = channel_send(fd, buffer_text(&reply), reply.size, &err);
        buffer_clear(&reply);
    }
    yyjson_doc_free(doc);
    return status;
}

int worker_serve(int fd, const WorkerMethod *methods, void *context) {
    Buffer message;
    buffer_init(&message, CHANNEL_MAXIMUM);
    while (channel_receive(fd, -1, &message, NULL) == STATUS_OK && serve_message(fd, &message, methods, context) == STATUS_OK) {}
    buffer_clear(&message);
    return 0;
}
