/* http.c - what a program answers over HTTP, by libmicrohttpd
 *
 * One thread does all of it: it accepts, and lets libmicrohttpd (which makes no thread of its own)
 * read, parse and answer.
 *
 * Security: whoever may connect may send anything, as slowly as he likes. libmicrohttpd bounds the
 * size of a request and a client's silence; how many connections there are, and how long one takes
 * in all, is bounded here. To end one its socket is shut down, which libmicrohttpd takes for the
 * client's doing; it tells of each before it closes the descriptor.
 */
#include "common/metrics/http.h"

#include "common/log.h"
#include "common/memory.h"
#include "common/metrics/exposition.h"
#include "common/socket.h"

#include <errno.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define REQUEST_MAX     8192 /* bytes of memory for a connection: request line, headers, reply's */
#define CONNECTIONS_MAX 16
#define IDLE_SECONDS    5   /* without a byte in either direction */
#define LIFE_SECONDS    10  /* of a connection in all */
#define SILENCE_SECONDS 10  /* without a new page: something is stuck */
#define TICK            500 /* milliseconds between two looks at those that take too long */
#define PAUSE           50  /* milliseconds until accept(2) is tried again, where it failed */
#define NICE            10  /* of our thread: decisions go first, also on one processor */

struct connection {
    int descriptor; /* libmicrohttpd's */
    time_t begun;
};

struct http {
    const char *program;
    pthread_t thread;
    pthread_mutex_t lock;
    struct buffer figures; /* under the lock, as are the next two */
    char *trouble;
    time_t published;
    sem_t may_begin; /* there is a page, or it is all over */
    bool has_begun;  /* the publisher's */
    int stop;        /* eventfd(2) */
    int listening;
    bool cannot_accept;
    struct MHD_Daemon *daemon;
    int ready; /* readable when the daemon has something to do */
    struct connection connections[CONNECTIONS_MAX]; /* oldest first */
    size_t connection_count;
};

static time_t seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return now.tv_sec;
}

/* --- the page ---------------------------------------------------------------- */

/* The first page always gets in: nobody else takes the lock before. */
static void begin(struct http *http)
{
    if (!http->has_begun)
        sem_post(&http->may_begin);
    http->has_begun = true;
}

/* The other thread has less priority: it may hold the lock for as long as it does not run. */
void http_publish(struct http *http, struct buffer *figures, const char *trouble)
{
    if (pthread_mutex_trylock(&http->lock) == 0) {
        struct buffer old = http->figures;
        http->figures = *figures;
        *figures = old;
        free(http->trouble);
        http->trouble = memory_copy(trouble);
        http->published = seconds();
        pthread_mutex_unlock(&http->lock);
    }
    buffer_free(figures);
    begin(http);
}

/* Why the service is not well, "" if it is. */
static void find_trouble(struct http *http, char *text, size_t size)
{
    pthread_mutex_lock(&http->lock);
    time_t silence = seconds() - http->published;
    if (silence > SILENCE_SECONDS)
        snprintf(text, size, "nothing has been done for %" PRIdMAX " s: the service hangs",
                 (intmax_t)silence);
    else
        snprintf(text, size, "%s", http->trouble);
    pthread_mutex_unlock(&http->lock);
}

/* --- answers ----------------------------------------------------------------- */

#define PLAIN "text/plain; charset=utf-8"

/* Every connection has one request: a client that says nothing more is not waited for. */
static enum MHD_Result answer(struct MHD_Connection *connection, unsigned code, const char *type,
                              const char *text, size_t length)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(length, (void *)(uintptr_t)text, MHD_RESPMEM_MUST_COPY);
    if (response == NULL)
        return MHD_NO;
    enum MHD_Result result =
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type) == MHD_YES &&
                MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store") ==
                    MHD_YES &&
                MHD_add_response_header(response, "X-Content-Type-Options", "nosniff") == MHD_YES &&
                MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close") == MHD_YES &&
                (code != MHD_HTTP_METHOD_NOT_ALLOWED ||
                 MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD") == MHD_YES)
            ? MHD_queue_response(connection, code, response)
            : MHD_NO;
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result answer_line(struct MHD_Connection *connection, unsigned code,
                                   const char *text)
{
    char line[ERROR_TEXT_SIZE + 1];
    int length = snprintf(line, sizeof(line), "%s\n", text);
    return answer(connection, code, PLAIN, line, (size_t)length);
}

/* To a scraper an empty page would be one on which every series has ended. */
static enum MHD_Result answer_metrics(struct http *http, struct MHD_Connection *connection)
{
    pthread_mutex_lock(&http->lock);
    enum MHD_Result result =
        http->figures.length > 0
            ? answer(connection, MHD_HTTP_OK, EXPOSITION_TYPE, http->figures.data,
                     http->figures.length)
            : answer_line(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "there are no figures now");
    pthread_mutex_unlock(&http->lock);
    return result;
}

static enum MHD_Result answer_health(struct http *http, struct MHD_Connection *connection)
{
    char trouble[ERROR_TEXT_SIZE];
    find_trouble(http, trouble, sizeof(trouble));
    if (trouble[0] == '\0')
        return answer_line(connection, MHD_HTTP_OK, "ok");
    return answer_line(connection, MHD_HTTP_SERVICE_UNAVAILABLE, trouble);
}

/* The reason is not repeated here, so that nothing needs escaping. */
static enum MHD_Result answer_status(struct http *http, struct MHD_Connection *connection)
{
    char trouble[ERROR_TEXT_SIZE];
    find_trouble(http, trouble, sizeof(trouble));
    struct buffer page = {0};
    buffer_format(&page,
                  "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                  "<title>%s</title></head>\n<body><h1>%s %s</h1>\n<p>%s</p>\n<ul><li><a "
                  "href=\"/metrics\">Metrics</a></li>"
                  "<li><a href=\"/healthz\">Health</a></li></ul></body></html>\n",
                  http->program, http->program, POST365_VERSION,
                  trouble[0] == '\0' ? "The service is well." : "The service is not well.");
    enum MHD_Result result =
        answer(connection, MHD_HTTP_OK, "text/html; charset=utf-8", page.data, page.length);
    buffer_free(&page);
    return result;
}

/* As soon as the headers are there: of what comes behind them nothing is read. */
static enum MHD_Result answer_request(void *context, struct MHD_Connection *connection,
                                      const char *path, const char *method, const char *version,
                                      const char *upload, size_t *upload_length, void **request)
{
    (void)version;
    (void)upload;
    (void)upload_length;
    (void)request;
    struct http *http = context;
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return answer_line(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "use GET or HEAD");
    if (strcmp(path, "/metrics") == 0)
        return answer_metrics(http, connection);
    if (strcmp(path, "/healthz") == 0)
        return answer_health(http, connection);
    if (strcmp(path, "/") == 0)
        return answer_status(http, connection);
    return answer_line(connection, MHD_HTTP_NOT_FOUND, "there is /metrics, /healthz and /");
}

/* The paths have nothing that needs an escape; a zero byte would end one. */
static size_t leave_escaped(void *context, struct MHD_Connection *connection, char *text)
{
    (void)context;
    (void)connection;
    return strlen(text);
}

/* --- connections ------------------------------------------------------------- */

static void connection_changed(void *context, struct MHD_Connection *connection, void **state,
                               enum MHD_ConnectionNotificationCode code)
{
    (void)state;
    struct http *http = context;
    int descriptor =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        http->connections[http->connection_count++] =
            (struct connection){.descriptor = descriptor, .begun = seconds()};
        return;
    }
    size_t kept = 0;
    for (size_t i = 0; i < http->connection_count; i++)
        if (http->connections[i].descriptor != descriptor)
            http->connections[kept++] = http->connections[i];
    http->connection_count = kept;
}

static void end_connection(const struct connection *connection)
{
    shutdown(connection->descriptor, SHUT_RDWR);
}

/* When the last place is taken the one that began first has to go, and nobody is accepted before it
 * is gone: whoever holds many connections holds up nobody else. */
static void accept_connection(struct http *http)
{
    struct sockaddr_storage peer;
    socklen_t length = sizeof(peer);
    int descriptor =
        accept4(http->listening, (struct sockaddr *)&peer, &length, SOCK_CLOEXEC | SOCK_NONBLOCK);
    http->cannot_accept = descriptor < 0 && errno != EAGAIN && errno != EINTR;
    if (descriptor < 0)
        return;
    /* Closes the descriptor itself where it cannot go on. */
    MHD_add_connection(http->daemon, descriptor, (struct sockaddr *)&peer, length);
    if (http->connection_count == CONNECTIONS_MAX)
        end_connection(&http->connections[0]);
}

static void end_old_connections(const struct http *http)
{
    time_t now = seconds();
    for (size_t i = 0; i < http->connection_count; i++)
        if (now - http->connections[i].begun > LIFE_SECONDS)
            end_connection(&http->connections[i]);
}

/* --- life -------------------------------------------------------------------- */

/* Milliseconds that nothing needs to be done for, -1: whatever comes first. */
static int patience(const struct http *http)
{
    MHD_UNSIGNED_LONG_LONG left = 0;
    int most = http->cannot_accept ? PAUSE : http->connection_count > 0 ? TICK : -1;
    if (MHD_get_timeout(http->daemon, &left) != MHD_YES)
        return most;
    return most >= 0 && left > (MHD_UNSIGNED_LONG_LONG)most ? most : (int)left;
}

static void *run(void *argument)
{
    struct http *http = argument;
    if (setpriority(PRIO_PROCESS, (id_t)gettid(), NICE) != 0)
        log_warning("cannot lower the priority of the HTTP server: %s", strerror(errno));
    while (sem_wait(&http->may_begin) != 0)
        continue; /* interrupted */
    for (;;) {
        bool may_accept = !http->cannot_accept && http->connection_count < CONNECTIONS_MAX;
        struct pollfd waits[] = {{.fd = http->stop, .events = POLLIN},
                                 {.fd = http->ready, .events = POLLIN},
                                 {.fd = may_accept ? http->listening : -1, .events = POLLIN}};
        poll(waits, sizeof(waits) / sizeof(waits[0]), patience(http));
        http->cannot_accept = false;
        if ((waits[0].revents & POLLIN) != 0)
            return NULL;
        if ((waits[2].revents & POLLIN) != 0)
            accept_connection(http);
        end_old_connections(http);
        MHD_run(http->daemon);
    }
}

/* Signals are the main thread's. */
static int start_thread(struct http *http)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = pthread_create(&http->thread, NULL, run, http);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code;
}

static bool set_up(struct http *http)
{
    http->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    http->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET, 0, NULL, NULL, answer_request, http,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)IDLE_SECONDS, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)REQUEST_MAX,
        MHD_OPTION_NOTIFY_CONNECTION, connection_changed, http, MHD_OPTION_UNESCAPE_CALLBACK,
        leave_escaped, http, MHD_OPTION_END);
    if (http->daemon == NULL || http->stop < 0)
        return false;
    http->ready = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    return true;
}

static void release(struct http *http)
{
    if (http->daemon != NULL)
        MHD_stop_daemon(http->daemon);
    if (http->stop >= 0)
        close(http->stop);
    close(http->listening);
    buffer_free(&http->figures);
    free(http->trouble);
    sem_destroy(&http->may_begin);
    pthread_mutex_destroy(&http->lock);
    free(http);
}

bool http_check(const char *parameter, const char *where, const struct settings *settings,
                struct error *error)
{
    return where[0] == '\0' || socket_check_address(parameter, where, settings, error);
}

bool http_listen(const char *parameter, const char *where, const struct settings *settings,
                 int *descriptor, struct error *error)
{
    *descriptor = -1;
    if (where[0] == '\0')
        return true;
    *descriptor = socket_listen_address(parameter, where, settings, error);
    return *descriptor >= 0;
}

struct http *http_start(int listening, const char *program, struct error *error)
{
    struct http *http = memory_zero(1, sizeof(*http));
    http->program = program;
    http->listening = listening;
    http->trouble = memory_copy("");
    http->published = seconds();
    pthread_mutex_init(&http->lock, NULL);
    sem_init(&http->may_begin, 0, 0);
    int code = 0;
    if (!set_up(http))
        error_set(error, "cannot set up the HTTP server");
    else if ((code = start_thread(http)) != 0)
        error_set(error, "cannot start a thread for the HTTP server: %s", strerror(code));
    else
        return http;
    release(http);
    return NULL;
}

void http_stop(struct http *http)
{
    if (http == NULL)
        return;
    const uint64_t one = 1;
    if (write(http->stop, &one, sizeof(one)) != sizeof(one))
        log_warning("cannot end the HTTP server's thread: %s", strerror(errno));
    begin(http);
    pthread_join(http->thread, NULL);
    release(http);
}
