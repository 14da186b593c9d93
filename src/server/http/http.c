/* Sockets, event loops, and their orderly end. */
#include "server/http/http.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/http/exchange.h"

#include "base/banned.h"

typedef struct Loop {
    HttpThread thread;
    HttpServer *http;
    pthread_t id;
    bool started;
    int listen_fd;
    int epoll_fd;
} Loop;

struct HttpServer {
    HandlerPool *pool;
    int port;
    atomic_bool stopping;
    int loop_count;
    Loop loops[];
};

/* --- sockets --- */

/* A listening socket on an address, or -1 with errno. */
static int listen_on(const struct addrinfo *address, bool shared) {
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return -1;
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (shared) setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    if (bind(fd, address->ai_addr, address->ai_addrlen) == 0 && (!shared || listen(fd, SOMAXCONN) == 0)) return fd;
    int reason = errno;
    close(fd);
    errno = reason;
    return -1;
}

static int bound_port(int fd) {
    struct sockaddr_storage name;
    socklen_t size = sizeof name;
    if (getsockname(fd, (struct sockaddr *)&name, &size) != 0) return 0;
    return ntohs(name.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)(void *)&name)->sin6_port : ((struct sockaddr_in *)(void *)&name)->sin_port);
}

static void set_port(struct addrinfo *address, int port) {
    if (address->ai_family == AF_INET6) ((struct sockaddr_in6 *)(void *)address->ai_addr)->sin6_port = htons((uint16_t)port);
    else ((struct sockaddr_in *)(void *)address->ai_addr)->sin_port = htons((uint16_t)port);
}

/* One listening socket a loop. A port that another program (or another pictographd) has must be noticed, which SO_REUSEPORT would hide: so a socket
 * without it tries first. */
static Status open_sockets(HttpServer *http, const Config *config, Error *err) {
    char service[16];
    snprintf(service, sizeof service, "%d", config->listen_port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *address = NULL;
    int failed = getaddrinfo(config->listen_host, service, &hints, &address);
    if (failed) return error_set(err, STATUS_CONFIGURATION, "Cannot listen on '%s': %s", config->listen_host, gai_strerror(failed));
    Status status = STATUS_OK;
    int probe = listen_on(address, false);
    if (probe < 0) {
        status = error_set(err, STATUS_CONFIGURATION, "Cannot listen on %s port %d: %s", config->listen_host, config->listen_port, strerror(errno));
    } else {
        http->port = bound_port(probe);
        close(probe);
        set_port(address, http->port);
    }
    for (int i = 0; i < http->loop_count && status == STATUS_OK; i++) {
        http->loops[i].listen_fd = listen_on(address, true);
        if (http->loops[i].listen_fd < 0)
            status = error_set(err, STATUS_CONFIGURATION, "Cannot listen on %s port %d: %s", config->listen_host, http->port, strerror(errno));
    }
    freeaddrinfo(address);
    return status;
}

/* --- a loop --- */

/* Paths and queries stay as they were sent; the pipeline decodes what it needs. */
static size_t keep_escapes(void *cls, struct MHD_Connection *connection, char *text) {
    (void)cls, (void)connection;
    return strlen(text);
}

static Status open_daemon(Loop *loop, Error *err) {
    HttpThread *thread = &loop->thread;
    /* No MHD_USE_INTERNAL_POLLING_THREAD: see http.h. */
    thread->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_TURBO, 0, NULL, NULL, exchange_on_request, thread,
        MHD_OPTION_LISTEN_SOCKET, loop->listen_fd,
        MHD_OPTION_URI_LOG_CALLBACK, exchange_on_line, thread,
        MHD_OPTION_NOTIFY_COMPLETED, exchange_on_end, thread,
        MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_CONNECTION_BUFFER,
        MHD_OPTION_CONNECTION_MEMORY_INCREMENT, (size_t)HTTP_CONNECTION_BUFFER / 2,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_CONNECTIONS_MAXIMUM,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)HTTP_IDLE_TIMEOUT,
        MHD_OPTION_STRICT_FOR_CLIENT, 1,
        MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, /* main ignores it; without this the library avoids sendfile */
        MHD_OPTION_END);
    if (!thread->daemon) return error_set(err, STATUS_INTERNAL_ERROR, "The HTTP library did not start");
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(thread->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    loop->epoll_fd = info ? info->epoll_fd : -1;
    return loop->epoll_fd >= 0 ? STATUS_OK : error_set(err, STATUS_INTERNAL_ERROR, "The HTTP library was built without epoll");
}

/* Reads refused bodies to their end; forgets those that are done. */
static void serve_lingering(HttpThread *thread, double now) {
    char sink[16384];
    for (int i = 0; i < thread->lingering_count;) {
        Lingering *l = &thread->lingering[i];
        ssize_t got = recv(l->fd, sink, sizeof sink, MSG_DONTWAIT);
        bool done = got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR) || now > l->deadline;
        if (!done) {
            i++;
            continue;
        }
        close(l->fd);
        *l = thread->lingering[--thread->lingering_count];
    }
}

void http_thread_wake(HttpThread *thread) { (void)!write(thread->wake_fd, &(uint64_t){1}, sizeof(uint64_t)); }

static void wait_for_events(Loop *loop) {
    HttpThread *thread = &loop->thread;
    struct pollfd watched[2 + LINGERING_MAXIMUM] = {{.fd = loop->epoll_fd, .events = POLLIN}, {.fd = loop->thread.wake_fd, .events = POLLIN}};
    for (int i = 0; i < thread->lingering_count; i++) watched[2 + i] = (struct pollfd){.fd = thread->lingering[i].fd, .events = POLLIN};
    MHD_UNSIGNED_LONG_LONG library_ms;
    int timeout = thread->active || thread->lingering_count ? 1000 : -1; /* nothing under way: no deadline to watch */
    if (MHD_get_timeout(thread->daemon, &library_ms) == MHD_YES && (timeout < 0 || library_ms < (unsigned)timeout))
        timeout = library_ms > 60000 ? 60000 : (int)library_ms;
    poll(watched, (nfds_t)(2 + thread->lingering_count), timeout);
    if (watched[1].revents) { /* emptied before the daemon runs: what is resumed later sets it again */
        uint64_t count;
        (void)!read(loop->thread.wake_fd, &count, sizeof count);
    }
}

static void *serve(void *argument) {
    Loop *loop = argument;
    HttpThread *thread = &loop->thread;
    double next_sweep = 0, drained_by = 0;
    while (!thread->draining || thread->suspended > 0 || (thread->active && clock_monotonic() < drained_by)) {
        wait_for_events(loop);
        MHD_run(thread->daemon);
        double now = clock_monotonic();
        if (thread->lingering_count) serve_lingering(thread, now);
        if (now >= next_sweep) {
            exchange_sweep(thread, now);
            next_sweep = now + 1;
        }
        if (thread->draining && now >= drained_by) server_hurry(thread->server);
        if (!thread->draining && atomic_load(&loop->http->stopping)) {
            thread->draining = true;
            drained_by = now + HTTP_DRAIN_TIMEOUT;
            MHD_quiesce_daemon(thread->daemon);
            close(loop->listen_fd);
            loop->listen_fd = -1;
        }
    }
    return NULL;
}

static void allow_many_descriptors(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

Status http_open(HttpServer **out, Server *server, Error *err) {
    allow_many_descriptors();
    int count = server->config.http_threads;
    HttpServer *http = *out = xcalloc(1, sizeof *http + (size_t)count * sizeof http->loops[0]); /* requests look for it as soon as a loop runs */
    http->loop_count = count;
    for (int i = 0; i < count; i++) http->loops[i].listen_fd = http->loops[i].thread.wake_fd = -1;
    http->pool = handler_pool_new(server->config.handler_threads);
    Status status = open_sockets(http, &server->config, err);
    for (int i = 0; i < count && status == STATUS_OK; i++) {
        Loop *loop = &http->loops[i];
        loop->http = http;
        loop->thread.server = server;
        loop->thread.pool = http->pool;
        loop->thread.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        status = loop->thread.wake_fd >= 0 ? open_daemon(loop, err) : error_set_errno(err, errno, "eventfd");
    }
    for (int i = 0; i < count && status == STATUS_OK; i++) {
        Loop *loop = &http->loops[i];
        loop->started = pthread_create(&loop->id, NULL, serve, loop) == 0;
        if (!loop->started) status = error_set(err, STATUS_INTERNAL_ERROR, "Cannot start a thread");
    }
    if (status == STATUS_OK) return status;
    http_close(http);
    *out = NULL;
    return status;
}

size_t http_waiting(const HttpServer *http) { return http ? handler_pool_waiting(http->pool) : 0; }

int http_port(const HttpServer *http) { return http->port; }

static void close_loop(Loop *loop) {
    HttpThread *thread = &loop->thread;
    if (thread->daemon) {
        MHD_stop_daemon(thread->daemon);
        loop->listen_fd = -1; /* the library closed it, or serve() did */
    }
    for (int i = 0; i < thread->lingering_count; i++) close(thread->lingering[i].fd);
    exchange_free_spares(thread);
    if (loop->listen_fd >= 0) close(loop->listen_fd);
    if (loop->thread.wake_fd >= 0) close(loop->thread.wake_fd);
}

void http_close(HttpServer *http) {
    if (!http) return;
    atomic_store(&http->stopping, true);
    for (int i = 0; i < http->loop_count; i++)
        if (http->loops[i].started) http_thread_wake(&http->loops[i].thread);
    for (int i = 0; i < http->loop_count; i++)
        if (http->loops[i].started) pthread_join(http->loops[i].id, NULL);
    handler_pool_free(http->pool); /* a handler thread wakes its loop after it let the last request go on, when the loop may have ended already */
    for (int i = 0; i < http->loop_count; i++) close_loop(&http->loops[i]);
    free(http);
}
