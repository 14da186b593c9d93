/* The bare limit beside which the server is measured: libmicrohttpd in the same arrangement (external epoll, one daemon a thread on
 * SO_REUSEPORT), answering every GET with the same bytes from memory.
 *
 *     bare_http PORT THREADS FILE
 */
#include <microhttpd.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/file.h"
#include "base/banned.h"

static Buffer body;

static enum MHD_Result answer(void *context, struct MHD_Connection *connection, const char *url, const char *method, const char *version,
                              const char *data, size_t *size, void **state) {
    (void)context, (void)url, (void)method, (void)version, (void)data;
    static int first;
    if (*state != &first) { /* the head; the answer is queued at the second call, as a handler with a body would */
        *state = &first;
        return MHD_YES;
    }
    *size = 0;
    struct MHD_Response *response = MHD_create_response_from_buffer(body.size, body.data, MHD_RESPMEM_PERSISTENT);
    MHD_add_response_header(response, "Content-Type", "application/json");
    enum MHD_Result result = MHD_queue_response(connection, 200, response);
    MHD_destroy_response(response);
    return result;
}

static void *serve(void *context) {
    struct MHD_Daemon *daemon = context;
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD);
    struct pollfd ready = {.fd = info->epoll_fd, .events = POLLIN};
    for (;;) {
        poll(&ready, 1, 1000);
        MHD_run(daemon);
    }
    return NULL;
}

int main(int argc, char **argv) {
    buffer_init(&body, 64 << 20);
    Error err = {0};
    if (argc != 4 || file_read(argv[3], &body, &err) != STATUS_OK) {
        fprintf(stderr, "usage: bare_http PORT THREADS FILE\n%s\n", err.message);
        return 2;
    }
    pthread_t thread = 0;
    for (int i = 0; i < atoi(argv[2]); i++) {
        struct MHD_Daemon *daemon = MHD_start_daemon(MHD_USE_EPOLL, (uint16_t)atoi(argv[1]), NULL, NULL, answer, NULL,
                                                     MHD_OPTION_LISTENING_ADDRESS_REUSE, 1u, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)65536, MHD_OPTION_END);
        if (!daemon || pthread_create(&thread, NULL, serve, daemon) != 0) return 1;
    }
    pthread_join(thread, NULL);
    return 0;
}
