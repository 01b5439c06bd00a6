/* dial.c - a connection to whichever address of a server answers first */
#include "common/upstream/dial.h"

#include "common/log.h"
#include "common/memory.h"
#include "common/upstream/lookup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/util.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

/* Of RFC 8305, section 8. */
#define RESOLUTION_DELAY 50000  /* microseconds */
#define ATTEMPT_DELAY    250000 /* microseconds */

#define SEPARATORS ", \t\r\n"
#define TEXT_SIZE  256

enum dial_state {
    DIAL_RESOLVING,  /* no address yet that it could begin with */
    DIAL_DELAYED,    /* there is one; that of the family to begin with may come in time */
    DIAL_CONNECTING, /* attempts are under way */
};

struct attempt {
    struct dial *dial;
    struct address address;
    enum address_family family;
    int descriptor;      /* -1: it has ended */
    struct event *event; /* NULL: likewise */
};

/* How a family fares. */
struct fate {
    bool is_awaited;   /* the look-up has not answered */
    int unresolved;    /* why there is no address: of evutil_gai_strerror(), or 0 */
    int reason;        /* errno of the last attempt that failed, or 0 */
    bool is_unsourced; /* it failed for its source address */
};

struct dial {
    struct event_base *base;
    struct dial_settings *settings;
    const struct dial_handler *handler;
    void *context;
    enum dial_state state;
    enum address_family first;
    struct lookup *lookup;
    struct addresses addresses;
    struct fate fates[ADDRESS_FAMILIES];
    struct attempt attempts[ADDRESS_FAMILIES * ADDRESSES_MAX];
    size_t begun, open;
    struct event *pace; /* when to go on */
    struct event *deadline;
};

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

/* --- where connections come from ---------------------------------------------------- */

static void parse_source(const char *text, enum address_family family, struct address *source)
{
    struct sockaddr_in *ipv4 = (struct sockaddr_in *)&source->socket;
    struct sockaddr_in6 *ipv6 = (struct sockaddr_in6 *)&source->socket;
    *source = (struct address){.length = 0};
    void *bytes = family == ADDRESS_IPV6 ? (void *)&ipv6->sin6_addr : (void *)&ipv4->sin_addr;
    if (inet_pton(address_family_number(family), text, bytes) != 1)
        return;
    source->socket.ss_family = (sa_family_t)address_family_number(family);
    source->length = family == ADDRESS_IPV6 ? sizeof(*ipv6) : sizeof(*ipv4);
}

static bool is_loopback(const struct address *address)
{
    if (address->socket.ss_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)&address->socket)->sin6_addr);
    return (ntohl(((const struct sockaddr_in *)&address->socket)->sin_addr.s_addr) >> 24) == 127;
}

/* Adds what a word of inet_interfaces stands for: an address, or a name that has some. */
static void add_interface(struct addresses *interfaces, const char *word)
{
    static const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    char name[NI_MAXHOST];
    bool is_bracketed = word[0] == '[';
    word += is_bracketed;
    if (strncasecmp(word, "ipv6:", 5) == 0)
        word += 5;
    snprintf(name, sizeof(name), "%.*s", (int)strcspn(word, is_bracketed ? "]" : ""), word);
    if (getaddrinfo(name, NULL, &hints, &found) != 0)
        return;
    for (const struct addrinfo *each = found; each != NULL; each = each->ai_next)
        addresses_add(interfaces, each->ai_addr, each->ai_addrlen);
    freeaddrinfo(found);
}

/* Of a machine that serves at one address only, mail comes from there (postconf(5),
 * smtp_bind_address). `all` and `loopback-only` say nothing. */
static void read_interfaces(const char *value, struct dial_settings *settings)
{
    struct addresses interfaces;
    char *list = memory_copy(value), *rest = list, *word;
    bool is_list = true;
    addresses_begin(&interfaces, ADDRESS_IPV4);
    while (is_list && (word = strsep(&rest, SEPARATORS)) != NULL) {
        is_list = strcasecmp(word, "all") != 0 && strcasecmp(word, "loopback-only") != 0;
        if (is_list && word[0] != '\0')
            add_interface(&interfaces, word);
    }
    free(list);
    for (size_t i = 0; i < ADDRESS_FAMILIES; i++) {
        if (!is_list || settings->source[i].length > 0 || interfaces.count[i] != 1 ||
            is_loopback(&interfaces.list[i][0]))
            continue;
        settings->source[i] = interfaces.list[i][0];
        settings->source_parameter[i] = "inet_interfaces";
    }
}

void dial_settings_read(const struct smtp_settings *smtp, struct dial_settings *settings)
{
    *settings = (struct dial_settings){
        .families = {[ADDRESS_IPV4] = smtp->ipv4, [ADDRESS_IPV6] = smtp->ipv6},
        .source_parameter =
            {[ADDRESS_IPV4] = "smtp_bind_address", [ADDRESS_IPV6] = "smtp_bind_address6"},
        .source_is_enforced = smtp->bind_is_enforced,
        .preference = smtp->preference,
        .timeout = smtp->timeouts.connect};
    parse_source(smtp->bind_address, ADDRESS_IPV4, &settings->source[ADDRESS_IPV4]);
    parse_source(smtp->bind_address6, ADDRESS_IPV6, &settings->source[ADDRESS_IPV6]);
    read_interfaces(smtp->interfaces, settings);
}

static int bind_source(int descriptor, const struct address *source)
{
    return source->length == 0 ||
                   bind(descriptor, (const struct sockaddr *)&source->socket, source->length) == 0
               ? 0
               : errno;
}

bool dial_source_works(const struct dial_settings *settings, enum address_family family,
                       struct error *error)
{
    const struct address *source = &settings->source[family];
    char text[ADDRESS_TEXT_SIZE];
    if (source->length == 0 || !settings->families[family])
        return true;
    int descriptor = socket(address_family_number(family), SOCK_STREAM | SOCK_CLOEXEC, 0);
    int reason = descriptor < 0 ? errno : bind_source(descriptor, source);
    if (descriptor >= 0)
        close(descriptor);
    return reason == 0 ||
           error_set(error, "%s: %s: %s; %s", settings->source_parameter[family],
                     address_text(source, text), strerror(reason),
                     settings->source_is_enforced
                         ? "smtp_bind_address_enforce = yes: no connection is made over this family"
                         : "connections come from another address");
}

/* --- the end ------------------------------------------------------------------------- */

static void end_attempt(struct attempt *attempt)
{
    if (attempt->event == NULL)
        return;
    event_free(attempt->event);
    attempt->event = NULL;
    if (attempt->descriptor >= 0)
        close(attempt->descriptor);
    attempt->descriptor = -1;
    attempt->dial->open--;
}

void dial_end(struct dial *dial)
{
    for (size_t i = 0; i < dial->begun; i++)
        end_attempt(&dial->attempts[i]);
    lookup_end(dial->lookup);
    event_free(dial->pace);
    event_free(dial->deadline);
    free(dial);
}

static const char *reason_of(const struct fate *fate)
{
    if (fate->is_unsourced)
        return "the address of smtp_bind_address is not this machine's";
    return strerror(fate->reason);
}

/* Each family with its reason; one alone needs no name. */
static void write_reasons(const struct dial *dial, char *text, size_t size)
{
    const struct fate *ipv4 = &dial->fates[ADDRESS_IPV4], *ipv6 = &dial->fates[ADDRESS_IPV6];
    if (ipv4->reason != 0 && ipv6->reason != 0)
        snprintf(text, size, "no address answers: IPv6: %s; IPv4: %s", reason_of(ipv6),
                 reason_of(ipv4));
    else
        snprintf(text, size, "no address answers: %s", reason_of(ipv4->reason != 0 ? ipv4 : ipv6));
}

static void fail(struct dial *dial)
{
    const struct fate *fates = dial->fates;
    const struct dial_handler *handler = dial->handler;
    void *context = dial->context;
    char text[TEXT_SIZE];
    if (dial->begun > 0) {
        write_reasons(dial, text, sizeof(text));
    } else {
        bool was_asked =
            dial->settings->families[ADDRESS_IPV4] && fates[ADDRESS_IPV4].unresolved != 0;
        int result = fates[was_asked ? ADDRESS_IPV4 : ADDRESS_IPV6].unresolved;
        bool is_narrowed =
            !dial->settings->families[ADDRESS_IPV4] || !dial->settings->families[ADDRESS_IPV6];
        snprintf(text, sizeof(text), "the name cannot be resolved: %s; check relayhost%s and DNS",
                 result != 0 ? evutil_gai_strerror(result) : "no answer in time",
                 is_narrowed ? ", inet_protocols" : "");
    }
    dial_end(dial);
    handler->failed(context, text);
}

/* --- attempts ------------------------------------------------------------------------ */

static void go_on(struct dial *dial);

static void win(struct attempt *attempt)
{
    struct dial *dial = attempt->dial;
    const struct dial_handler *handler = dial->handler;
    void *context = dial->context;
    const struct address address = attempt->address;
    int descriptor = attempt->descriptor;
    attempt->descriptor = -1;
    dial->settings->memory =
        (struct address_memory){.family = attempt->family, .until = now() + ADDRESS_MEMORY_PERIOD};
    dial_end(dial);
    handler->connected(context, descriptor, &address);
}

static void settled(evutil_socket_t descriptor, short what, void *argument)
{
    (void)what;
    struct attempt *attempt = argument;
    struct dial *dial = attempt->dial;
    int reason = 0;
    socklen_t size = sizeof(reason);
    if (getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &reason, &size) != 0)
        reason = errno;
    if (reason == 0) {
        win(attempt);
        return;
    }
    dial->fates[attempt->family].reason = reason;
    end_attempt(attempt);
    go_on(dial);
}

/* The last octets of a message leave at once: the kernel would have them wait for the answer to
 * those before, which is a round trip for nothing. */
static int open_socket(struct dial *dial, enum address_family family)
{
    int one = 1;
    int descriptor = socket(address_family_number(family),
                            SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
    if (descriptor < 0) {
        dial->fates[family].reason = errno;
        return -1;
    }
    (void)setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    int reason = bind_source(descriptor, &dial->settings->source[family]);
    if (reason == 0 || !dial->settings->source_is_enforced)
        return descriptor;
    dial->fates[family].reason = reason;
    dial->fates[family].is_unsourced = true;
    close(descriptor);
    return -1;
}

/* False: it has failed already. */
static bool attempt_begin(struct dial *dial, const struct address *address)
{
    struct attempt *attempt = &dial->attempts[dial->begun++];
    enum address_family family =
        address->socket.ss_family == AF_INET6 ? ADDRESS_IPV6 : ADDRESS_IPV4;
    *attempt = (struct attempt){.dial = dial, .address = *address, .family = family};
    attempt->descriptor = open_socket(dial, family);
    if (attempt->descriptor < 0)
        return false;
    if (connect(attempt->descriptor, (const struct sockaddr *)&address->socket, address->length) !=
            0 &&
        errno != EINPROGRESS) {
        dial->fates[family].reason = errno;
        close(attempt->descriptor);
        attempt->descriptor = -1;
        return false;
    }
    attempt->event = event_new(dial->base, attempt->descriptor, EV_WRITE, settled, attempt);
    if (attempt->event == NULL || event_add(attempt->event, NULL) != 0)
        log_fatal(EX_OSERR, "cannot set up the event loop");
    dial->open++;
    return true;
}

static void wait_for(struct event *event, time_t seconds, suseconds_t microseconds)
{
    const struct timeval timeout = {.tv_sec = seconds, .tv_usec = microseconds};
    event_add(event, &timeout);
}

/* Begins the next attempt, or ends where there is nothing to wait for. */
static void go_on(struct dial *dial)
{
    const struct address *address;
    dial->state = DIAL_CONNECTING;
    while ((address = addresses_next(&dial->addresses)) != NULL)
        if (attempt_begin(dial, address)) {
            wait_for(dial->pace, 0, ATTEMPT_DELAY);
            return;
        }
    event_del(dial->pace);
    if (dial->open == 0 && !dial->fates[ADDRESS_IPV4].is_awaited &&
        !dial->fates[ADDRESS_IPV6].is_awaited)
        fail(dial);
}

static void pace_came(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    go_on(argument);
}

static void deadline_passed(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    struct dial *dial = argument;
    for (size_t i = 0; i < dial->begun; i++)
        if (dial->attempts[i].event != NULL)
            dial->fates[dial->attempts[i].family].reason = ETIMEDOUT;
    fail(dial);
}

/* --- names --------------------------------------------------------------------------- */

static void family_answered(void *context, enum address_family family, int result,
                            const struct evutil_addrinfo *list)
{
    struct dial *dial = context;
    struct fate *fate = &dial->fates[family];
    const struct fate *other = &dial->fates[family == ADDRESS_IPV6 ? ADDRESS_IPV4 : ADDRESS_IPV6];
    fate->is_awaited = false;
    fate->unresolved = result;
    for (const struct evutil_addrinfo *each = list; each != NULL; each = each->ai_next)
        addresses_add(&dial->addresses, each->ai_addr, (socklen_t)each->ai_addrlen);
    bool has_some = addresses_count(&dial->addresses) > 0;
    if (dial->state == DIAL_CONNECTING) {
        if (dial->open == 0 || !evtimer_pending(dial->pace, NULL)) /* nothing is due otherwise */
            go_on(dial);
    } else if (!other->is_awaited || (has_some && family == dial->first) ||
               dial->state == DIAL_DELAYED) {
        go_on(dial);
    } else if (has_some) {
        dial->state = DIAL_DELAYED;
        wait_for(dial->pace, 0, RESOLUTION_DELAY);
    }
}

/* --- the beginning ------------------------------------------------------------------- */

struct dial *dial_begin(struct event_base *base, struct evdns_base *dns, const char *host,
                        const char *port, const struct addresses *known,
                        struct dial_settings *settings, const struct dial_handler *handler,
                        void *context)
{
    struct dial *dial = memory_zero(1, sizeof(*dial));
    dial->base = base;
    dial->settings = settings;
    dial->handler = handler;
    dial->context = context;
    dial->first =
        addresses_first(settings->families, settings->preference, &settings->memory, now());
    dial->pace = evtimer_new(base, pace_came, dial);
    dial->deadline = evtimer_new(base, deadline_passed, dial);
    if (dial->pace == NULL || dial->deadline == NULL)
        log_fatal(EX_OSERR, "cannot set up the event loop");
    wait_for(dial->deadline, (time_t)settings->timeout, 0);
    addresses_begin(&dial->addresses, dial->first);
    if (known != NULL) {
        dial->addresses = *known;
        dial->addresses.turn = dial->first;
        wait_for(dial->pace, 0, 0);
        return dial;
    }
    for (size_t i = 0; i < ADDRESS_FAMILIES; i++)
        dial->fates[i].is_awaited = settings->families[i];
    dial->lookup = lookup_begin(base, dns, host, port, settings->families, family_answered, dial);
    return dial;
}
