/* http.c - what a program answers over HTTP, over libevent's HTTP server
 *
 * Security: whoever may connect may send anything, as slowly as he likes. libevent bounds the size
 * of a request; how long a connection takes, and how many there are, is bounded here: each is
 * followed from its bufferevent's creation to the moment when libevent lets go of it. To end one,
 * its socket is shut down, which libevent takes for the client's doing.
 */
#include "common/metrics/http.h"

#include "common/log.h"
#include "common/memory.h"
#include "common/metrics/exposition.h"
#include "common/socket.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define HEADERS_MAX     8192
#define BODY_MAX        1024
#define CONNECTIONS_MAX 16
#define IDLE_SECONDS    5  /* without a byte in either direction */
#define LIFE_SECONDS    10 /* of a connection in all */
#define SILENCE_SECONDS 10 /* without a new page: something is stuck */
#define NICE            10 /* of our thread: decisions go first, also on one processor */
#define SWEEP_INTERVAL                                                                             \
    {                                                                                              \
        .tv_usec = 50000                                                                           \
    }

/* What was published; several connections may still be sending an old one. */
struct page {
    atomic_uint references;
    char *text;
    size_t length;
    char *trouble;
    time_t published;
};

struct connection {
    struct bufferevent *bufferevent; /* one reference is ours */
    time_t begun;
    bool is_ended;
};

struct http {
    const char *program;
    pthread_t thread;
    pthread_mutex_t lock;
    struct page *page; /* under the lock */
    int stop;          /* eventfd(2) */
    struct event_base *base;
    struct evhttp *server;
    struct evconnlistener *listener;
    struct event *stop_event, *sweep_timer;
    struct connection connections[CONNECTIONS_MAX]; /* oldest first */
    size_t connection_count;
};

static time_t seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return now.tv_sec;
}

/* --- pages ------------------------------------------------------------------- */

static struct page *take_page(struct http *http)
{
    pthread_mutex_lock(&http->lock);
    struct page *page = http->page;
    atomic_fetch_add(&page->references, 1);
    pthread_mutex_unlock(&http->lock);
    return page;
}

static void drop_page(struct page *page)
{
    if (atomic_fetch_sub(&page->references, 1) != 1)
        return;
    free(page->text);
    free(page->trouble);
    free(page);
}

static struct page *new_page(struct buffer *figures, const char *trouble)
{
    struct page *page = memory_alloc(sizeof(*page));
    size_t length = figures->length;
    *page = (struct page){.references = 1,
                          .text = buffer_take(figures),
                          .length = length,
                          .trouble = memory_copy(trouble),
                          .published = seconds()};
    return page;
}

/* The other thread has less priority: it may hold the lock for as long as it does not run. */
void http_publish(struct http *http, struct buffer *figures, const char *trouble)
{
    struct page *old = new_page(figures, trouble);
    if (pthread_mutex_trylock(&http->lock) == 0) {
        struct page *page = old;
        old = http->page;
        http->page = page;
        pthread_mutex_unlock(&http->lock);
    }
    drop_page(old);
}

static void page_sent(const void *text, size_t length, void *page)
{
    (void)text;
    (void)length;
    drop_page(page);
}

/* --- answers ----------------------------------------------------------------- */

/* HEAD gets the headers of GET. Every connection has one request: a client that says nothing more
 * is not waited for. */
static void answer(struct evhttp_request *request, int code, const char *reason, const char *type,
                   struct evbuffer *body)
{
    struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
    char length[32];
    snprintf(length, sizeof(length), "%zu", evbuffer_get_length(body));
    evhttp_add_header(headers, "Content-Type", type);
    evhttp_add_header(headers, "Content-Length", length);
    evhttp_add_header(headers, "Cache-Control", "no-store");
    evhttp_add_header(headers, "X-Content-Type-Options", "nosniff");
    evhttp_add_header(headers, "Connection", "close");
    if (evhttp_request_get_command(request) == EVHTTP_REQ_HEAD)
        evbuffer_drain(body, evbuffer_get_length(body));
    evhttp_send_reply(request, code, reason, body);
    evbuffer_free(body);
}

static struct evbuffer *new_body(void)
{
    struct evbuffer *body = evbuffer_new();
    if (body == NULL)
        log_fatal(EX_OSERR, "out of memory");
    return body;
}

static void answer_text(struct evhttp_request *request, int code, const char *reason,
                        const char *text)
{
    struct evbuffer *body = new_body();
    evbuffer_add_printf(body, "%s\n", text);
    answer(request, code, reason, "text/plain; charset=utf-8", body);
}

static void answer_metrics(struct http *http, struct evhttp_request *request)
{
    struct page *page = take_page(http);
    struct evbuffer *body = new_body();
    if (page->length == 0 ||
        evbuffer_add_reference(body, page->text, page->length, page_sent, page) != 0)
        drop_page(page);
    answer(request, HTTP_OK, "OK", EXPOSITION_TYPE, body);
}

/* Why the service is not well, "" if it is. */
static void find_trouble(struct http *http, char *text, size_t size)
{
    struct page *page = take_page(http);
    time_t silence = seconds() - page->published;
    if (silence > SILENCE_SECONDS)
        snprintf(text, size, "nothing has been done for %" PRIdMAX " s: the service hangs",
                 (intmax_t)silence);
    else
        snprintf(text, size, "%s", page->trouble);
    drop_page(page);
}

static void answer_health(struct http *http, struct evhttp_request *request)
{
    char trouble[ERROR_TEXT_SIZE];
    find_trouble(http, trouble, sizeof(trouble));
    if (trouble[0] == '\0')
        answer_text(request, HTTP_OK, "OK", "ok");
    else
        answer_text(request, HTTP_SERVUNAVAIL, "Service Unavailable", trouble);
}

/* The reason is not repeated here, so that nothing needs escaping. */
static void answer_status(struct http *http, struct evhttp_request *request)
{
    char trouble[ERROR_TEXT_SIZE];
    find_trouble(http, trouble, sizeof(trouble));
    struct evbuffer *body = new_body();
    evbuffer_add_printf(body,
                        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                        "<title>%s</title></head>\n<body><h1>%s %s</h1>\n<p>%s</p>\n<ul><li><a "
                        "href=\"/metrics\">Metrics</a></li>"
                        "<li><a href=\"/healthz\">Health</a></li></ul></body></html>\n",
                        http->program, http->program, POST365_VERSION,
                        trouble[0] == '\0' ? "The service is well." : "The service is not well.");
    answer(request, HTTP_OK, "OK", "text/html; charset=utf-8", body);
}

static void answer_request(struct evhttp_request *request, void *argument)
{
    struct http *http = argument;
    const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(request));
    enum evhttp_cmd_type method = evhttp_request_get_command(request);
    if (path == NULL)
        path = "";
    if (method != EVHTTP_REQ_GET && method != EVHTTP_REQ_HEAD) {
        evhttp_add_header(evhttp_request_get_output_headers(request), "Allow", "GET, HEAD");
        answer_text(request, HTTP_BADMETHOD, "Method Not Allowed", "use GET or HEAD");
    } else if (strcmp(path, "/metrics") == 0) {
        answer_metrics(http, request);
    } else if (strcmp(path, "/healthz") == 0) {
        answer_health(http, request);
    } else if (strcmp(path, "/") == 0) {
        answer_status(http, request);
    } else {
        answer_text(request, HTTP_NOTFOUND, "Not Found", "there is /metrics, /healthz and /");
    }
}

/* --- connections ------------------------------------------------------------- */

/* libevent takes its callbacks away when it frees a bufferevent. */
static bool is_free(struct bufferevent *bufferevent)
{
    bufferevent_event_cb callback = NULL;
    bufferevent_getcb(bufferevent, NULL, NULL, &callback, NULL);
    return callback == NULL;
}

/* A freed one's descriptor may be somebody else's by now. */
static void end_connection(struct connection *connection)
{
    if (connection->is_ended || is_free(connection->bufferevent))
        return;
    connection->is_ended = true;
    shutdown(bufferevent_getfd(connection->bufferevent), SHUT_RDWR);
}

/* Lets go of those that libevent has freed, and ends those that take too long. */
static void sweep(struct http *http)
{
    size_t kept = 0;
    time_t now = seconds();
    for (size_t i = 0; i < http->connection_count; i++) {
        struct connection *connection = &http->connections[i];
        if (is_free(connection->bufferevent)) {
            bufferevent_decref(connection->bufferevent);
            continue;
        }
        if (now - connection->begun > LIFE_SECONDS)
            end_connection(connection);
        http->connections[kept++] = *connection;
    }
    http->connection_count = kept;
}

static void sweep_soon(struct http *http)
{
    const struct timeval interval = SWEEP_INTERVAL;
    if (event_add(http->sweep_timer, &interval) != 0)
        log_fatal(EX_OSERR, "cannot set up the event loop");
}

static void sweep_now(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    struct http *http = argument;
    sweep(http);
    if (http->connection_count < CONNECTIONS_MAX)
        evconnlistener_enable(http->listener);
    if (http->connection_count > 0)
        sweep_soon(http);
}

/* For a new connection. When the last place is taken the one that began first has to go, and
 * nobody is accepted before it is gone: whoever holds many connections holds up nobody else. */
static struct bufferevent *add_connection(struct event_base *base, void *argument)
{
    struct http *http = argument;
    struct bufferevent *bufferevent = bufferevent_socket_new(base, -1, 0);
    if (bufferevent == NULL)
        log_fatal(EX_OSERR, "out of memory");
    bufferevent_incref(bufferevent);
    sweep(http);
    sweep_soon(http);
    http->connections[http->connection_count++] =
        (struct connection){.bufferevent = bufferevent, .begun = seconds()};
    if (http->connection_count == CONNECTIONS_MAX) {
        evconnlistener_disable(http->listener);
        end_connection(&http->connections[0]);
    }
    return bufferevent;
}

/* No descriptor is left, most likely; the sweep tries again. */
static void accept_failed(struct evconnlistener *listener, void *argument)
{
    evconnlistener_disable(listener);
    sweep_soon(argument);
}

/* --- life -------------------------------------------------------------------- */

static void stop_now(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    struct http *http = argument;
    event_base_loopbreak(http->base);
}

static void *run(void *argument)
{
    struct http *http = argument;
    if (setpriority(PRIO_PROCESS, (id_t)gettid(), NICE) != 0)
        log_warning("cannot lower the priority of the HTTP server: %s", strerror(errno));
    event_base_dispatch(http->base);
    return NULL;
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

static void set_bounds(struct http *http)
{
    evhttp_set_max_headers_size(http->server, HEADERS_MAX);
    evhttp_set_max_body_size(http->server, BODY_MAX);
    evhttp_set_timeout(http->server, IDLE_SECONDS);
    /* The others come to answer_request(), which says which there are. */
    evhttp_set_allowed_methods(http->server, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD | EVHTTP_REQ_POST |
                                                 EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE |
                                                 EVHTTP_REQ_OPTIONS | EVHTTP_REQ_PATCH);
    evhttp_set_default_content_type(http->server, NULL);
    evhttp_set_gencb(http->server, answer_request, http);
    evhttp_set_bevcb(http->server, add_connection, http);
}

static bool set_up(struct http *http, int listening)
{
    http->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    http->base = event_base_new();
    http->server = http->base != NULL ? evhttp_new(http->base) : NULL;
    struct evhttp_bound_socket *bound =
        http->server != NULL ? evhttp_accept_socket_with_handle(http->server, listening) : NULL;
    if (bound == NULL || http->stop < 0)
        return false;
    http->listener = evhttp_bound_socket_get_listener(bound);
    evconnlistener_set_error_cb(http->listener, accept_failed);
    set_bounds(http);
    http->stop_event = event_new(http->base, http->stop, EV_READ, stop_now, http);
    http->sweep_timer = event_new(http->base, -1, 0, sweep_now, http);
    return http->stop_event != NULL && http->sweep_timer != NULL &&
           event_add(http->stop_event, NULL) == 0;
}

static void release(struct http *http)
{
    if (http->server != NULL)
        evhttp_free(http->server);
    for (size_t i = 0; i < http->connection_count; i++)
        bufferevent_decref(http->connections[i].bufferevent);
    if (http->stop_event != NULL)
        event_free(http->stop_event);
    if (http->sweep_timer != NULL)
        event_free(http->sweep_timer);
    if (http->base != NULL)
        event_base_free(http->base);
    if (http->stop >= 0)
        close(http->stop);
    drop_page(http->page);
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
    struct buffer nothing = {0};
    pthread_mutex_init(&http->lock, NULL);
    http->page = new_page(&nothing, "");
    if (!set_up(http, listening)) {
        error_set(error, "cannot set up the HTTP server");
        release(http);
        return NULL;
    }
    int code = start_thread(http);
    if (code == 0)
        return http;
    error_set(error, "cannot start a thread for the HTTP server: %s", strerror(code));
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
    pthread_join(http->thread, NULL);
    release(http);
}
