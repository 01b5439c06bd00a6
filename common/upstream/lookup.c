/* lookup.c - the addresses that a name has, a family at a time */
#include "common/upstream/lookup.h"

#include "common/log.h"
#include "common/memory.h"

#include <arpa/inet.h>
#include <event2/util.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sysexits.h>

enum question_state {
    QUESTION_NONE,     /* not asked for */
    QUESTION_ASKED,    /* no answer yet */
    QUESTION_ANSWERED, /* not told yet */
    QUESTION_TOLD,
};

struct question {
    struct lookup *lookup;
    enum question_state state;
    struct evdns_getaddrinfo_request *request;
    int result;
    struct evutil_addrinfo *addresses;
};

struct lookup {
    struct question questions[ADDRESS_FAMILIES];
    struct event *tell;
    lookup_answered *answered;
    void *context;
    bool is_telling, has_ended;
};

bool lookup_read_system(struct evdns_base *dns)
{
    evdns_base_clear_nameservers_and_suspend(dns);
    evdns_base_clear_host_addresses(dns);
    bool fine = evdns_base_resolv_conf_parse(dns, DNS_OPTIONS_ALL, "/etc/resolv.conf") == 0;
    evdns_base_resume(dns);
    return fine;
}

static void release(struct lookup *lookup)
{
    for (size_t i = 0; i < ADDRESS_FAMILIES; i++)
        if (lookup->questions[i].addresses != NULL)
            evutil_freeaddrinfo(lookup->questions[i].addresses);
    event_free(lookup->tell);
    free(lookup);
}

static void tell(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    struct lookup *lookup = argument;
    lookup->is_telling = true;
    for (size_t i = 0; i < ADDRESS_FAMILIES && !lookup->has_ended; i++) {
        struct question *question = &lookup->questions[i];
        if (question->state != QUESTION_ANSWERED)
            continue;
        question->state = QUESTION_TOLD;
        lookup->answered(lookup->context, (enum address_family)i, question->result,
                         question->addresses);
    }
    lookup->is_telling = false;
    if (lookup->has_ended)
        release(lookup);
}

/* One that was cancelled may have been released with its lookup. */
static void answered(int result, struct evutil_addrinfo *addresses, void *argument)
{
    struct question *question = argument;
    if (result == EVUTIL_EAI_CANCEL)
        return;
    question->request = NULL;
    question->state = QUESTION_ANSWERED;
    question->result = result;
    question->addresses = addresses;
    event_active(question->lookup->tell, 0, 0);
}

static void ask(struct lookup *lookup, struct evdns_base *dns, const char *host, const char *port,
                enum address_family family)
{
    struct question *question = &lookup->questions[family];
    const struct evutil_addrinfo hints = {.ai_family = address_family_number(family),
                                          .ai_socktype = SOCK_STREAM,
                                          .ai_protocol = IPPROTO_TCP};
    question->state = QUESTION_ASKED;
    struct evdns_getaddrinfo_request *request =
        evdns_getaddrinfo(dns, host, port, &hints, answered, question);
    if (question->state == QUESTION_ASKED)
        question->request = request;
}

static void forget(struct question *question)
{
    if (question->request != NULL)
        evdns_getaddrinfo_cancel(question->request);
    question->request = NULL;
}

/* What answers at once stands in /etc/hosts: the other family is not asked of DNS then. */
static void settle_for_hosts(struct lookup *lookup)
{
    for (size_t i = 0; i < ADDRESS_FAMILIES; i++) {
        struct question *question = &lookup->questions[i];
        const struct question *other = &lookup->questions[ADDRESS_FAMILIES - 1 - i];
        if (question->state != QUESTION_ASKED || other->state != QUESTION_ANSWERED ||
            other->result != 0)
            continue;
        forget(question);
        question->state = QUESTION_ANSWERED;
        question->result = EVUTIL_EAI_NODATA;
    }
}

/* Which family an address in numbers is of; ADDRESS_FAMILIES: it is a name. */
static enum address_family family_of(const char *host)
{
    unsigned char bytes[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, host, bytes) == 1    ? ADDRESS_IPV4
           : inet_pton(AF_INET6, host, bytes) == 1 ? ADDRESS_IPV6
                                                   : ADDRESS_FAMILIES;
}

struct lookup *lookup_begin(struct event_base *base, struct evdns_base *dns, const char *host,
                            const char *port, const bool families[ADDRESS_FAMILIES],
                            lookup_answered *callback, void *context)
{
    struct lookup *lookup = memory_zero(1, sizeof(*lookup));
    enum address_family own = family_of(host);
    lookup->answered = callback;
    lookup->context = context;
    lookup->tell = event_new(base, -1, 0, tell, lookup);
    if (lookup->tell == NULL)
        log_fatal(EX_OSERR, "cannot set up the event loop");
    for (size_t i = 0; i < ADDRESS_FAMILIES; i++) {
        struct question *question = &lookup->questions[i];
        question->lookup = lookup;
        if (!families[i])
            continue;
        if (own == ADDRESS_FAMILIES || own == (enum address_family)i) {
            ask(lookup, dns, host, port, (enum address_family)i);
            continue;
        }
        question->state = QUESTION_ANSWERED;
        question->result = EVUTIL_EAI_NODATA;
    }
    settle_for_hosts(lookup);
    event_active(lookup->tell, 0, 0);
    return lookup;
}

void lookup_end(struct lookup *lookup)
{
    if (lookup == NULL)
        return;
    for (size_t i = 0; i < ADDRESS_FAMILIES; i++)
        forget(&lookup->questions[i]);
    lookup->has_ended = true;
    if (!lookup->is_telling)
        release(lookup);
}
