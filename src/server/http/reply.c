/* From a Response to bytes on the wire: by the library, or in the middle of a body past it. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "server/http/exchange.h"

#include "base/banned.h"

static struct MHD_Response *make_response(Response *r) {
    if (r->file_fd >= 0) {
        struct MHD_Response *response = MHD_create_response_from_fd_at_offset64((uint64_t)r->file_length, r->file_fd, (uint64_t)r->file_offset);
        if (response) r->file_fd = -1; /* the library closes it */
        return response;
    }
    size_t size = r->body.size;
    if (size == 0) return MHD_create_response_from_buffer(0, (void *)"", MHD_RESPMEM_PERSISTENT);
    char *data = buffer_take(&r->body);
    struct MHD_Response *response = MHD_create_response_from_buffer(size, data, MHD_RESPMEM_MUST_FREE);
    if (!response) free(data);
    return response;
}

/* 204 and 304 have neither body nor type. */
static bool is_bare(const Response *r) { return r->status == 204 || r->status == 304; }

enum MHD_Result reply_queue(Exchange *x) {
    Response *r = &x->rq.response;
    struct MHD_Response *response = make_response(r);
    if (!response) return MHD_NO;
    if (!is_bare(r)) MHD_add_response_header(response, "Content-Type", r->content_type);
    for (int i = 0; i < r->header_count; i++) MHD_add_response_header(response, r->headers[i].name, r->headers[i].value);
    if (x->thread->draining) MHD_add_response_header(response, "Connection", "close");
    enum MHD_Result queued = MHD_queue_response(x->connection, (unsigned)r->status, response);
    MHD_destroy_response(response);
    x->phase = PHASE_REPLYING;
    return queued;
}

/* As much as the socket takes within a moment: the peer of a refused body gets no more patience than that. */
static void send_all(int fd, const char *data, size_t size) {
    double deadline = clock_monotonic() + 0.2;
    while (size > 0) {
        ssize_t sent = send(fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0) {
            data += sent;
            size -= (size_t)sent;
        } else if (errno == EAGAIN && clock_monotonic() < deadline) {
            poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, 50);
        } else if (errno != EINTR) {
            return;
        }
    }
}

void reply_write_raw(Exchange *x) {
    const Response *r = &x->rq.response;
    Buffer text;
    buffer_init(&text, 1 << 20);
    buffer_printf(&text, "HTTP/1.1 %d %s\r\nConnection: close\r\nContent-Type: %s\r\nContent-Length: %zu\r\n", r->status,
                  MHD_get_reason_phrase_for((unsigned)r->status), r->content_type, r->body.size);
    for (int i = 0; i < r->header_count; i++) buffer_printf(&text, "%s: %s\r\n", r->headers[i].name, r->headers[i].value);
    buffer_append_text(&text, "\r\n");
    buffer_append(&text, r->body.data, r->body.size);
    send_all(exchange_socket(x), text.data, text.size);
    buffer_clear(&text);
}
