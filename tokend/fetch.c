/* fetch.c - HTTPS requests in the event loop
 *
 * Security: forms hold client secrets and refresh tokens. libcurl sends them from where they are
 * and copies them into buffers of its own, which our allocator wipes when they are released.
 */
#include "tokend/fetch.h"

#include "common/clock.h"
#include "common/harmless.h"
#include "common/log.h"
#include "common/memory.h"
#include "tokend/answer.h"

#include <curl/curl.h>
#include <malloc.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>

#define HEADERS_MAX ((size_t)64 * 1024) /* bytes of all headers of an answer */
#define ISSUER_SIZE 200
/* Steps of one request. libcurl reads a proxy's answer byte by byte, each a step, and as long as
 * more is there at once it does nothing else: no time-out, and nobody else's requests. */
#define STEPS_MAX 131072U

struct fetcher {
    struct event_base *base;
    const struct settings *settings;
    CURLM *multi;
    struct event *timer;
    struct fetch *first;
};

struct fetch {
    struct fetch *next, *previous;
    struct fetcher *fetcher;
    CURL *easy;
    struct curl_slist *headers;
    bool is_metadata, has_proxy;
    size_t header_bytes;
    unsigned steps;
    long verify_error; /* of OpenSSL, of the first certificate that is wrong */
    char issuer[ISSUER_SIZE];
    char curl_reason[CURL_ERROR_SIZE];
    struct fetch_reply reply;
    fetch_done *done;
    void *context;
};

/* --- memory that is wiped ---------------------------------------------------- */

static void wipe_and_free(void *block)
{
    if (block == NULL)
        return;
    explicit_bzero(block, malloc_usable_size(block));
    free(block);
}

static void *grow(void *block, size_t size)
{
    size_t room = block != NULL ? malloc_usable_size(block) : 0;
    if (block != NULL && size <= room && size >= room / 2)
        return block;
    void *larger = malloc(size);
    if (larger == NULL || block == NULL)
        return larger;
    memcpy(larger, block, size < room ? size : room);
    wipe_and_free(block);
    return larger;
}

static void *openssl_malloc(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return malloc(size);
}

static void *openssl_realloc(void *block, size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    if (size == 0) {
        wipe_and_free(block);
        return NULL;
    }
    return grow(block, size);
}

static void openssl_free(void *block, const char *file, int line)
{
    (void)file;
    (void)line;
    wipe_and_free(block);
}

void fetch_prepare(void)
{
    /* libcurl would write the keys of its connections to a file for whoever sets this. */
    unsetenv("SSLKEYLOGFILE");
    if (CRYPTO_set_mem_functions(openssl_malloc, openssl_realloc, openssl_free) != 1 ||
        curl_global_init_mem(CURL_GLOBAL_DEFAULT, malloc, wipe_and_free, grow, strdup, calloc) !=
            CURLE_OK)
        log_fatal(EX_OSERR, "libcurl cannot be used");
}

/* --- libevent and libcurl ---------------------------------------------------- */

static void finish_all(struct fetcher *fetcher);

static void act(struct fetcher *fetcher, curl_socket_t descriptor, int what)
{
    int running;
    curl_multi_socket_action(fetcher->multi, descriptor, what, &running);
    finish_all(fetcher);
}

static void socket_ready(evutil_socket_t descriptor, short what, void *argument)
{
    act(argument, descriptor,
        ((what & EV_READ) != 0 ? CURL_CSELECT_IN : 0) |
            ((what & EV_WRITE) != 0 ? CURL_CSELECT_OUT : 0));
}

static void timer_ready(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    act(argument, CURL_SOCKET_TIMEOUT, 0);
}

static int watch_socket(CURL *easy, curl_socket_t descriptor, int what, void *context,
                        void *assigned)
{
    struct fetcher *fetcher = context;
    struct event *event = assigned;
    (void)easy;
    if (event != NULL)
        event_free(event);
    event = NULL;
    if (what != CURL_POLL_REMOVE) {
        short wanted = (short)(EV_PERSIST | ((what & CURL_POLL_IN) != 0 ? EV_READ : 0) |
                               ((what & CURL_POLL_OUT) != 0 ? EV_WRITE : 0));
        event = event_new(fetcher->base, descriptor, wanted, socket_ready, fetcher);
        if (event == NULL || event_add(event, NULL) != 0)
            log_fatal(EX_OSERR, "cannot set up the event loop");
    }
    curl_multi_assign(fetcher->multi, descriptor, event);
    return 0;
}

static int set_timer(CURLM *multi, long milliseconds, void *context)
{
    struct fetcher *fetcher = context;
    (void)multi;
    if (milliseconds < 0) {
        event_del(fetcher->timer);
        return 0;
    }
    const struct timeval wait = {.tv_sec = milliseconds / 1000,
                                 .tv_usec = milliseconds % 1000 * 1000};
    return event_add(fetcher->timer, &wait);
}

struct fetcher *fetcher_new(struct event_base *base, const struct settings *settings)
{
    struct fetcher *fetcher = memory_zero(1, sizeof(*fetcher));
    fetcher->base = base;
    fetcher->settings = settings;
    fetcher->multi = curl_multi_init();
    fetcher->timer = event_new(base, -1, 0, timer_ready, fetcher);
    if (fetcher->multi == NULL || fetcher->timer == NULL)
        log_fatal(EX_OSERR, "cannot set up the event loop");
    curl_multi_setopt(fetcher->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
    curl_multi_setopt(fetcher->multi, CURLMOPT_SOCKETDATA, fetcher);
    curl_multi_setopt(fetcher->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl_multi_setopt(fetcher->multi, CURLMOPT_TIMERDATA, fetcher);
    return fetcher;
}

void fetcher_configure(struct fetcher *fetcher, const struct settings *settings)
{
    fetcher->settings = settings;
}

/* --- what arrives ------------------------------------------------------------ */

static size_t take_body(char *bytes, size_t size, size_t count, void *context)
{
    struct fetch *fetch = context;
    struct fetch_reply *reply = &fetch->reply;
    size_t room = ANSWER_BODY_MAX - secret_length(reply->body), length = size * count;
    secret_append(reply->body, bytes, length < room ? length : room);
    reply->is_cut = reply->is_cut || length > room;
    return reply->is_cut ? 0 : length; /* 0 ends the transfer */
}

static int take_step(void *context, curl_off_t to_come, curl_off_t came, curl_off_t to_go,
                     curl_off_t gone)
{
    struct fetch *fetch = context;
    (void)to_come;
    (void)came;
    (void)to_go;
    (void)gone;
    return ++fetch->steps > STEPS_MAX; /* true ends the transfer */
}

/* The value of a header, if the line is that header's. */
static void take_header(const char *line, size_t length, const char *name, char *value)
{
    size_t begin = strlen(name);
    if (length <= begin || strncasecmp(line, name, begin) != 0)
        return;
    while (begin < length && (line[begin] == ' ' || line[begin] == '\t'))
        begin++;
    while (length > begin && strchr(" \t\r\n", line[length - 1]) != NULL)
        length--;
    if (length - begin >= FETCH_HEADER_SIZE || memchr(line + begin, '\0', length - begin) != NULL)
        return;
    memcpy(value, line + begin, length - begin);
    value[length - begin] = '\0';
}

static size_t take_line(char *line, size_t size, size_t count, void *context)
{
    struct fetch *fetch = context;
    struct fetch_reply *reply = &fetch->reply;
    size_t length = size * count;
    fetch->header_bytes += length;
    if (fetch->header_bytes > HEADERS_MAX)
        return 0;
    take_header(line, length, "retry-after:", reply->retry_after);
    take_header(line, length, "date:", reply->date);
    take_header(line, length, "www-authenticate:", reply->challenge);
    return length;
}

/* Whose signature it is that nobody vouches for: a proxy that looks into TLS signs by itself. */
static int notice_certificate(int is_fine, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct fetch *fetch = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    X509 *certificate = X509_STORE_CTX_get_current_cert(store);
    if (is_fine || fetch->verify_error != 0)
        return is_fine;
    fetch->verify_error = X509_STORE_CTX_get_error(store);
    if (certificate != NULL)
        X509_NAME_oneline(X509_get_issuer_name(certificate), fetch->issuer,
                          (int)sizeof(fetch->issuer));
    harmless_make(fetch->issuer, '?');
    return is_fine;
}

static CURLcode prepare_tls(CURL *easy, void *context, void *argument)
{
    (void)easy;
    SSL_CTX_set_app_data(context, argument);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, notice_certificate);
    return CURLE_OK;
}

/* --- what went wrong --------------------------------------------------------- */

__attribute__((format(printf, 3, 4))) static void set_trouble(struct fetch *fetch, const char *name,
                                                              const char *format, ...)
{
    struct fetch_reply *reply = &fetch->reply;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reply->reason, sizeof(reply->reason), format, arguments);
    va_end(arguments);
    harmless_make(reply->reason, '?');
    reply->trouble = entra_named(name);
}

static void explain_certificate(struct fetch *fetch)
{
    switch (fetch->verify_error) {
    case X509_V_OK:
        set_trouble(fetch, ENTRA_ENDPOINT_NAME, "the certificate is for another name");
        break;
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        set_trouble(fetch, ENTRA_ENDPOINT_EXPIRED, "%s (issued by %s)",
                    X509_verify_cert_error_string(fetch->verify_error), fetch->issuer);
        break;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        set_trouble(fetch, ENTRA_ENDPOINT_UNTRUSTED, "the certificate is issued by %s: %s",
                    fetch->issuer, X509_verify_cert_error_string(fetch->verify_error));
        break;
    default:
        set_trouble(fetch, ENTRA_ENDPOINT_TLS, "%s",
                    X509_verify_cert_error_string(fetch->verify_error));
    }
}

static const char *curl_words(const struct fetch *fetch, CURLcode code)
{
    return fetch->curl_reason[0] != '\0' ? fetch->curl_reason : curl_easy_strerror(code);
}

/* The proxy has answered CONNECT by something else than 200. */
static bool explain_proxy(struct fetch *fetch)
{
    long status = 0;
    if (!fetch->has_proxy ||
        curl_easy_getinfo(fetch->easy, CURLINFO_HTTP_CONNECTCODE, &status) != CURLE_OK ||
        status == 0 || status / 100 == 2)
        return false;
    set_trouble(fetch, ENTRA_PROXY_REFUSED, "the proxy answers %ld", status);
    return true;
}

static void explain(struct fetch *fetch, CURLcode code)
{
    const char *words = curl_words(fetch, code);
    if (code == CURLE_OK || (code == CURLE_WRITE_ERROR && fetch->reply.is_cut))
        return;
    if (explain_proxy(fetch))
        return;
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
        set_trouble(fetch, ENTRA_ENDPOINT_UNRESOLVED, "%s", words);
        break;
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_PROXY:
        set_trouble(fetch, ENTRA_PROXY_UNREACHABLE, "%s", words);
        break;
    case CURLE_COULDNT_CONNECT:
        set_trouble(fetch, fetch->has_proxy ? ENTRA_PROXY_UNREACHABLE : ENTRA_ENDPOINT_UNREACHABLE,
                    "%s", words);
        break;
    case CURLE_OPERATION_TIMEDOUT:
        set_trouble(fetch, ENTRA_ENDPOINT_TIMEOUT, "%s", words);
        break;
    case CURLE_PEER_FAILED_VERIFICATION:
        explain_certificate(fetch);
        break;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_CRL_BADFILE:
        set_trouble(fetch, ENTRA_ENDPOINT_TLS, "%s", words);
        break;
    case CURLE_PARTIAL_FILE:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_HTTP2:
        set_trouble(fetch, ENTRA_ANSWER_UNINTELLIGIBLE, "%s", words);
        break;
    case CURLE_WRITE_ERROR:
#if LIBCURL_VERSION_NUM >= 0x080600
    case CURLE_TOO_LARGE:
#else
    case CURLE_OUT_OF_MEMORY: /* what it says of a line that is too long */
#endif
        set_trouble(fetch, ENTRA_ANSWER_UNINTELLIGIBLE, "the headers are longer than any");
        break;
    case CURLE_ABORTED_BY_CALLBACK:
        set_trouble(fetch, fetch->has_proxy ? ENTRA_PROXY_REFUSED : ENTRA_ANSWER_UNINTELLIGIBLE,
                    "the answer has no end");
        break;
    default:
        set_trouble(fetch, ENTRA_ENDPOINT_UNREACHABLE, "%s", words);
    }
}

static void read_figures(struct fetch *fetch)
{
    struct fetch_reply *reply = &fetch->reply;
    curl_off_t resolved = 0, connected = 0, secured = 0;
    long status = 0;
    curl_easy_getinfo(fetch->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(fetch->easy, CURLINFO_NAMELOOKUP_TIME_T, &resolved);
    curl_easy_getinfo(fetch->easy, CURLINFO_CONNECT_TIME_T, &connected);
    curl_easy_getinfo(fetch->easy, CURLINFO_APPCONNECT_TIME_T, &secured);
    reply->status = status > 0 ? (unsigned)status : 0;
    reply->is_resolved = resolved > 0;
    reply->is_connected = connected > 0;
    reply->is_secured = secured > 0;
}

/* --- a request's life -------------------------------------------------------- */

static void release(struct fetch *fetch)
{
    curl_multi_remove_handle(fetch->fetcher->multi, fetch->easy);
    curl_easy_cleanup(fetch->easy);
    curl_slist_free_all(fetch->headers);
    secret_free(fetch->reply.body);
    *(fetch->previous != NULL ? &fetch->previous->next : &fetch->fetcher->first) = fetch->next;
    if (fetch->next != NULL)
        fetch->next->previous = fetch->previous;
    free(fetch);
}

static void finish(struct fetch *fetch, CURLcode code)
{
    read_figures(fetch);
    explain(fetch, code);
    curl_multi_remove_handle(fetch->fetcher->multi, fetch->easy);
    fetch->done(fetch->context, &fetch->reply);
    release(fetch);
}

static void finish_all(struct fetcher *fetcher)
{
    int left;
    const CURLMsg *message;
    while ((message = curl_multi_info_read(fetcher->multi, &left)) != NULL) {
        void *fetch = NULL;
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode code = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &fetch);
        finish(fetch, code);
    }
}

void fetch_cancel(struct fetch *fetch)
{
    if (fetch != NULL)
        release(fetch);
}

void fetcher_free(struct fetcher *fetcher)
{
    if (fetcher == NULL)
        return;
    /* clang's analyzer does not see that a request leaves the list before it is released. */
    while (fetcher->first != NULL)
        release(fetcher->first); // NOLINT(clang-analyzer-unix.Malloc)
    curl_multi_cleanup(fetcher->multi);
    event_free(fetcher->timer);
    free(fetcher);
}

/* A random UUID (RFC 9562, version 4). */
static void make_id(char id[FETCH_ID_SIZE])
{
    unsigned char random[16];
    if (RAND_bytes(random, sizeof(random)) != 1)
        log_fatal(EX_OSERR, "no randomness");
    random[6] = (unsigned char)((random[6] & 0x0f) | 0x40);
    random[8] = (unsigned char)((random[8] & 0x3f) | 0x80);
    for (size_t i = 0, at = 0; i < sizeof(random); i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            id[at++] = '-';
        snprintf(id + at, 3, "%02x", random[i]);
        at += 2;
    }
}

static void set_trust(CURL *easy, const struct settings *settings)
{
    bool has_file = settings->oauth2_ca_file[0] != '\0';
    bool has_path = settings->oauth2_ca_path[0] != '\0';
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    /* Without either it is Debian's own bundle, which libcurl was built with. */
    if (has_file || has_path) {
        curl_easy_setopt(easy, CURLOPT_CAINFO, has_file ? settings->oauth2_ca_file : NULL);
        curl_easy_setopt(easy, CURLOPT_CAPATH, has_path ? settings->oauth2_ca_path : NULL);
    }
}

static void set_limits(struct fetch *fetch, const struct settings *settings)
{
    CURL *easy = fetch->easy;
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, fetch->is_metadata ? "http" : "https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    /* Who gives up does not wait for the resolver's thread, which asks silent name servers for as
     * long as resolv.conf(5) says: nothing else would be answered meanwhile. */
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)(settings->oauth2_timeout / 1000));
    curl_easy_setopt(easy, CURLOPT_PROXY, fetch->has_proxy ? settings->oauth2_proxy : "");
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "");
    curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_SESSIONID_CACHE, 0L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "post365/" POST365_VERSION);
}

static void set_callbacks(struct fetch *fetch)
{
    CURL *easy = fetch->easy;
    curl_easy_setopt(easy, CURLOPT_PRIVATE, fetch);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, fetch->curl_reason);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, fetch);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_line);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, fetch);
    curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, take_step);
    curl_easy_setopt(easy, CURLOPT_XFERINFODATA, fetch);
    curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
    if (fetch->is_metadata)
        return;
    curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, prepare_tls);
    curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, fetch);
}

static void add_header(struct fetch *fetch, const char *text)
{
    struct curl_slist *headers = curl_slist_append(fetch->headers, text);
    if (headers == NULL)
        log_fatal(EX_OSERR, "out of memory");
    fetch->headers = headers;
}

static void set_request(struct fetch *fetch, const struct fetch_request *request)
{
    char line[80];
    curl_easy_setopt(fetch->easy, CURLOPT_URL, request->url);
    add_header(fetch, "Accept: application/json");
    if (!request->is_metadata) {
        snprintf(line, sizeof(line), "client-request-id: %s", fetch->reply.id);
        add_header(fetch, line);
        add_header(fetch, "return-client-request-id: true");
    }
    if (request->form != NULL) {
        add_header(fetch, "Expect:"); /* the form follows at once */
        curl_easy_setopt(fetch->easy, CURLOPT_POSTFIELDS, secret_reveal(request->form));
        curl_easy_setopt(fetch->easy, CURLOPT_POSTFIELDSIZE, (long)secret_length(request->form));
    }
    if (request->header != NULL)
        add_header(fetch, secret_reveal(request->header));
    if (request->plain_header != NULL)
        add_header(fetch, request->plain_header);
    curl_easy_setopt(fetch->easy, CURLOPT_HTTPHEADER, fetch->headers);
}

struct fetch *fetch_begin(struct fetcher *fetcher, const struct fetch_request *request,
                          fetch_done *done, void *context)
{
    struct fetch *fetch = memory_zero(1, sizeof(*fetch));
    fetch->fetcher = fetcher;
    fetch->easy = curl_easy_init();
    if (fetch->easy == NULL)
        log_fatal(EX_OSERR, "out of memory");
    fetch->done = done;
    fetch->context = context;
    fetch->is_metadata = request->is_metadata;
    fetch->has_proxy = !request->is_metadata && fetcher->settings->oauth2_proxy[0] != '\0';
    fetch->reply.body = secret_new(ANSWER_BODY_MAX);
    make_id(fetch->reply.id);
    set_limits(fetch, fetcher->settings);
    set_trust(fetch->easy, fetcher->settings);
    set_callbacks(fetch);
    set_request(fetch, request);
    fetch->next = fetcher->first;
    if (fetch->next != NULL)
        fetch->next->previous = fetch;
    fetcher->first = fetch;
    if (curl_multi_add_handle(fetcher->multi, fetch->easy) != CURLM_OK)
        log_fatal(EX_OSERR, "out of memory");
    return fetch;
}
