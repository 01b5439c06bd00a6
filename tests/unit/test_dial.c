/* test_dial.c - real sockets: whichever address answers first, names of a DNS server of our own */
#include "common/upstream/dial.h"

#include <arpa/inet.h>
#include <event2/dns.h>
#include <event2/dns_struct.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define NAME       "mail.upstream.example"
#define SILENT_MAX 20

/* --- the other side --- */

/* What the name server does with the questions of a family. */
enum manner {
    ANSWERS,
    ANSWERS_LATE, /* with its address, after a while */
    HAS_NONE,
    IS_SILENT,
};

struct upstream {
    struct event_base *base;
    struct evdns_base *dns;
    struct evdns_server_port *server;
    int server_socket;
    enum manner manner[ADDRESS_FAMILIES];
    const char *ipv4; /* what NAME has */
    struct evdns_server_request *late;
    unsigned asked[ADDRESS_FAMILIES];
    int listening;
    char port[8];
    int silent[SILENT_MAX]; /* listeners whose queue is full, and what fills it */
    size_t silent_count;
    /* what came of it */
    int descriptor;
    struct address address;
    char text[256];
    unsigned ends;
};

static struct upstream upstream;

static void answer(struct evdns_server_request *request, void *context);

static void answer_late(evutil_socket_t descriptor, short what, void *context)
{
    (void)descriptor;
    (void)what;
    upstream.manner[ADDRESS_IPV6] = ANSWERS;
    upstream.asked[ADDRESS_IPV6]--;
    answer(upstream.late, context);
    upstream.late = NULL;
}

static void answer(struct evdns_server_request *request, void *context)
{
    (void)context;
    const struct evdns_server_question *question = request->questions[0];
    bool is_ipv6 = question->type == EVDNS_TYPE_AAAA;
    enum address_family family = is_ipv6 ? ADDRESS_IPV6 : ADDRESS_IPV4;
    unsigned char bytes[16];
    upstream.asked[family]++;
    if (upstream.manner[family] == ANSWERS_LATE) {
        const struct timeval later = {.tv_usec = 400000};
        upstream.late = request;
        event_base_once(upstream.base, -1, EV_TIMEOUT, answer_late, NULL, &later);
        return;
    }
    if (upstream.manner[family] == IS_SILENT) {
        evdns_server_request_drop(request);
        return;
    }
    if (upstream.manner[family] == ANSWERS && is_ipv6) {
        inet_pton(AF_INET6, "::1", bytes);
        evdns_server_request_add_aaaa_reply(request, question->name, 1, bytes, 60);
    } else if (upstream.manner[family] == ANSWERS) {
        inet_pton(AF_INET, upstream.ipv4, bytes);
        evdns_server_request_add_a_reply(request, question->name, 1, bytes, 60);
    }
    evdns_server_request_respond(request, 0);
}

static int bound_socket(const char *address, int type, unsigned *port)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons((uint16_t)*port)};
    socklen_t size = sizeof(name);
    int one = 1, descriptor = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    inet_pton(AF_INET, address, &name.sin_addr);
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    assert_int_equal(bind(descriptor, (const struct sockaddr *)&name, sizeof(name)), 0);
    getsockname(descriptor, (struct sockaddr *)&name, &size);
    *port = ntohs(name.sin_port);
    return descriptor;
}

static int set_up(void **state)
{
    (void)state;
    unsigned port = 0, dns_port = 0;
    char server[32];
    upstream = (struct upstream){.descriptor = -1, .ipv4 = "127.0.0.1"};
    upstream.base = event_base_new();
    upstream.dns = evdns_base_new(upstream.base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
    upstream.server_socket = bound_socket("127.0.0.1", SOCK_DGRAM, &dns_port);
    upstream.server =
        evdns_add_server_port_with_base(upstream.base, upstream.server_socket, 0, answer, NULL);
    snprintf(server, sizeof(server), "127.0.0.1:%u", dns_port);
    evdns_base_nameserver_ip_add(upstream.dns, server);
    upstream.listening = bound_socket("127.0.0.1", SOCK_STREAM, &port);
    assert_int_equal(listen(upstream.listening, 16), 0);
    snprintf(upstream.port, sizeof(upstream.port), "%u", port);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (upstream.descriptor >= 0)
        close(upstream.descriptor);
    for (size_t i = 0; i < upstream.silent_count; i++)
        close(upstream.silent[i]);
    if (upstream.listening >= 0)
        close(upstream.listening);
    event_base_loop(upstream.base, EVLOOP_NONBLOCK); /* libevent releases what was cancelled */
    evdns_close_server_port(upstream.server);
    evdns_base_free(upstream.dns, 0);
    event_base_free(upstream.base);
    close(upstream.server_socket);
    return 0;
}

/* An address of this machine where packets are swallowed: its queue of connections is full. */
static void add_silent(struct addresses *addresses, const char *text)
{
    unsigned port = (unsigned)atoi(upstream.port);
    int listener = bound_socket(text, SOCK_STREAM, &port);
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, text, &name.sin_addr);
    assert_int_equal(listen(listener, 0), 0);
    upstream.silent[upstream.silent_count++] = listener;
    for (int i = 0; i < 2; i++) {
        int filler = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (i == 0)
            connect(filler, (const struct sockaddr *)&name, sizeof(name));
        upstream.silent[upstream.silent_count++] = filler;
    }
    addresses_add(addresses, (const struct sockaddr *)&name, sizeof(name));
}

static void add_address(struct addresses *addresses, const char *text, const char *port)
{
    struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)atoi(port))};
    if (inet_pton(AF_INET, text, &ipv4.sin_addr) == 1)
        addresses_add(addresses, (const struct sockaddr *)&ipv4, sizeof(ipv4));
    else if (inet_pton(AF_INET6, text, &ipv6.sin6_addr) == 1)
        addresses_add(addresses, (const struct sockaddr *)&ipv6, sizeof(ipv6));
}

/* --- this side --- */

static void connected(void *context, evutil_socket_t descriptor, const struct address *address)
{
    (void)context;
    upstream.descriptor = descriptor;
    upstream.address = *address;
    upstream.ends++;
    event_base_loopbreak(upstream.base);
}

static void failed(void *context, const char *text)
{
    (void)context;
    snprintf(upstream.text, sizeof(upstream.text), "%s", text);
    upstream.ends++;
    event_base_loopbreak(upstream.base);
}

static const struct dial_handler handler = {.connected = connected, .failed = failed};

static struct dial_settings any_settings(void)
{
    return (struct dial_settings){.families = {true, true},
                                  .source_parameter = {"smtp_bind_address", "smtp_bind_address6"},
                                  .timeout = 20};
}

/* Milliseconds until it has ended. */
static long dial(const char *host, const struct addresses *known, struct dial_settings *settings)
{
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    dial_begin(upstream.base, upstream.dns, host, upstream.port, known, settings, &handler, NULL);
    event_base_dispatch(upstream.base);
    clock_gettime(CLOCK_MONOTONIC, &end);
    assert_int_equal(upstream.ends, 1);
    return (end.tv_sec - start.tv_sec) * 1000 + (end.tv_nsec - start.tv_nsec) / 1000000;
}

static void expect_peer(const char *text)
{
    char peer[ADDRESS_TEXT_SIZE];
    assert_true(upstream.descriptor >= 0);
    assert_string_equal(address_text(&upstream.address, peer), text);
}

/* --- names --- */

static void a_family_whose_name_is_not_answered_holds_up_nothing(void **state)
{
    (void)state;
    struct dial_settings settings = any_settings();
    upstream.manner[ADDRESS_IPV6] = IS_SILENT;
    long took = dial(NAME, NULL, &settings);
    expect_peer("127.0.0.1");
    assert_in_range(took, 40, 2000); /* the resolution delay */
    assert_true(upstream.asked[ADDRESS_IPV6] > 0);
}

static void the_other_family_goes_at_once_if_the_first_has_no_address(void **state)
{
    (void)state;
    struct dial_settings settings = any_settings();
    upstream.manner[ADDRESS_IPV6] = HAS_NONE;
    dial(NAME, NULL, &settings);
    expect_peer("127.0.0.1");
}

static void an_address_that_refuses_gives_way_at_once(void **state)
{
    (void)state;
    struct dial_settings settings = any_settings();
    long took = dial(NAME, NULL, &settings); /* nobody listens at ::1 */
    expect_peer("127.0.0.1");
    assert_in_range(took, 0, 2000);
}

static void a_family_that_is_not_allowed_is_not_asked_for(void **state)
{
    (void)state;
    struct dial_settings settings = any_settings();
    settings.families[ADDRESS_IPV6] = false;
    dial(NAME, NULL, &settings);
    expect_peer("127.0.0.1");
    assert_int_equal(upstream.asked[ADDRESS_IPV6], 0);
    assert_int_equal(upstream.asked[ADDRESS_IPV4], 1);
}

/* At ::1. */
static int listen_at_ipv6(void)
{
    int ipv6 = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    struct sockaddr_in6 name = {.sin6_family = AF_INET6,
                                .sin6_addr = IN6ADDR_LOOPBACK_INIT,
                                .sin6_port = htons((uint16_t)atoi(upstream.port))};
    setsockopt(ipv6, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
    if (ipv6 < 0 || bind(ipv6, (const struct sockaddr *)&name, sizeof(name)) != 0) {
        close(ipv6);
        skip(); /* a machine without IPv6 */
    }
    assert_int_equal(listen(ipv6, 4), 0);
    return ipv6;
}

static void an_address_that_comes_late_is_tried_beside_one_that_hangs(void **state)
{
    (void)state;
    struct dial_settings settings = any_settings();
    struct addresses silent;
    addresses_begin(&silent, ADDRESS_IPV4);
    add_silent(&silent, "127.0.0.2");
    upstream.ipv4 = "127.0.0.2";
    upstream.manner[ADDRESS_IPV6] = ANSWERS_LATE;
    int ipv6 = listen_at_ipv6();
    long took = dial(NAME, NULL, &settings);
    close(ipv6);
    expect_peer("::1");
    assert_in_range(took, 390, 3000);
}

static void an_address_in_numbers_is_asked_nowhere(void **state)
{
    (void)state;
    struct dial_settings settings = any_settings();
    dial("127.0.0.1", NULL, &settings);
    expect_peer("127.0.0.1");
    assert_int_equal(upstream.asked[ADDRESS_IPV4] + upstream.asked[ADDRESS_IPV6], 0);
}

static void a_name_without_addresses_and_a_family_that_is_not_allowed_are_told(void **state)
{
    (void)state;
    struct dial_settings settings = any_settings();
    settings.families[ADDRESS_IPV6] = false;
    upstream.manner[ADDRESS_IPV4] = HAS_NONE;
    dial(NAME, NULL, &settings);
    assert_non_null(strstr(upstream.text, "the name cannot be resolved: "));
    assert_non_null(strstr(upstream.text, "inet_protocols"));
}

static void a_silent_name_server_has_an_end(void **state)
{
    (void)state;
    struct dial_settings settings = any_settings();
    settings.timeout = 1;
    upstream.manner[ADDRESS_IPV4] = upstream.manner[ADDRESS_IPV6] = IS_SILENT;
    long took = dial(NAME, NULL, &settings);
    assert_in_range(took, 900, 4000);
    assert_non_null(strstr(upstream.text, "the name cannot be resolved: no answer in time"));
}

/* --- attempts --- */

static void attempts_begin_a_quarter_of_a_second_apart(void **state)
{
    (void)state;
    struct dial_settings settings = any_settings();
    struct addresses known;
    addresses_begin(&known, ADDRESS_IPV4);
    add_silent(&known, "127.0.0.2");
    add_silent(&known, "127.0.0.3");
    add_address(&known, "127.0.0.1", upstream.port);
    long took = dial(NAME, &known, &settings);
    expect_peer("127.0.0.1");
    assert_in_range(took, 480, 3000);
}

static void a_family_of_dead_addresses_costs_one_attempt(void **state)
{
    (void)state;
    struct dial_settings settings = any_settings();
    struct addresses known;
    addresses_begin(&known, ADDRESS_IPV4);
    settings.preference = SMTP_PREFER_IPV4;
    for (int i = 2; i < 7; i++) {
        char text[16];
        snprintf(text, sizeof(text), "127.0.0.%d", i);
        add_silent(&known, text);
    }
    add_address(&known, "::1", upstream.port);
    int ipv6 = listen_at_ipv6();
    long took = dial(NAME, &known, &settings);
    close(ipv6);
    expect_peer("::1");
    assert_in_range(took, 240, 1000);
    assert_int_equal(settings.memory.family, ADDRESS_IPV6);
}

static void all_that_fail_are_told_each_family_with_its_reason(void **state)
{
    (void)state;
    struct dial_settings settings = any_settings();
    struct addresses known;
    settings.timeout = 1;
    close(upstream.listening);
    upstream.listening = -1;
    addresses_begin(&known, ADDRESS_IPV4);
    add_silent(&known, "127.0.0.2");
    add_address(&known, "::1", upstream.port);
    dial(NAME, &known, &settings);
    assert_non_null(strstr(upstream.text, "no address answers: IPv6: "));
    assert_non_null(strstr(upstream.text, "; IPv4: Connection timed out"));
}

static void a_lone_refusal_needs_no_more_words(void **state)
{
    (void)state;
    struct dial_settings settings = any_settings();
    struct addresses known;
    addresses_begin(&known, ADDRESS_IPV4);
    add_address(&known, "127.0.0.9", upstream.port);
    dial(NAME, &known, &settings);
    assert_string_equal(upstream.text, "no address answers: Connection refused");
}

static void who_is_not_wanted_any_more_is_not_called(void **state)
{
    (void)state;
    struct dial_settings settings = any_settings();
    struct addresses known;
    const struct timeval soon = {.tv_usec = 300000};
    addresses_begin(&known, ADDRESS_IPV4);
    add_silent(&known, "127.0.0.2");
    add_address(&known, "127.0.0.1", upstream.port);
    dial_end(dial_begin(upstream.base, upstream.dns, NAME, upstream.port, NULL, &settings, &handler,
                        NULL));
    struct dial *dial = dial_begin(upstream.base, upstream.dns, NAME, upstream.port, &known,
                                   &settings, &handler, NULL);
    event_base_loop(upstream.base, EVLOOP_ONCE);
    dial_end(dial);
    event_base_loopexit(upstream.base, &soon);
    event_base_dispatch(upstream.base);
    assert_int_equal(upstream.ends, 0);
}

/* --- where they come from --- */

static void read_settings(const char *bind_address, bool is_enforced, const char *interfaces,
                          struct dial_settings *settings)
{
    const struct smtp_settings smtp = {.ipv4 = true,
                                       .ipv6 = true,
                                       .interfaces = (char *)interfaces,
                                       .bind_address = (char *)bind_address,
                                       .bind_address6 = (char *)"",
                                       .bind_is_enforced = is_enforced,
                                       .timeouts = {.connect = 5}};
    dial_settings_read(&smtp, settings);
}

static void expect_source(const char *text)
{
    struct sockaddr_in name;
    socklen_t size = sizeof(name);
    char source[INET_ADDRSTRLEN];
    getsockname(upstream.descriptor, (struct sockaddr *)&name, &size);
    assert_string_equal(inet_ntop(AF_INET, &name.sin_addr, source, sizeof(source)), text);
}

static void connections_come_from_the_address_that_main_cf_names(void **state)
{
    (void)state;
    struct dial_settings settings;
    struct error error;
    read_settings("127.0.0.5", true, "all", &settings);
    assert_true(dial_source_works(&settings, ADDRESS_IPV4, &error));
    dial("127.0.0.1", NULL, &settings);
    expect_source("127.0.0.5");
}

static void an_address_that_is_not_this_machines_is_told(void **state)
{
    (void)state;
    struct dial_settings settings;
    struct error error;
    read_settings("192.0.2.77", false, "all", &settings);
    assert_false(dial_source_works(&settings, ADDRESS_IPV4, &error));
    assert_non_null(strstr(error.text, "smtp_bind_address: 192.0.2.77: "));
    dial("127.0.0.1", NULL, &settings);
    expect_source("127.0.0.1");
}

static void and_with_enforce_there_is_no_connection(void **state)
{
    (void)state;
    struct dial_settings settings;
    read_settings("192.0.2.77", true, "all", &settings);
    dial("127.0.0.1", NULL, &settings);
    assert_int_equal(upstream.descriptor, -1);
    assert_non_null(strstr(upstream.text, "smtp_bind_address"));
}

static void one_address_in_inet_interfaces_is_where_they_come_from(void **state)
{
    (void)state;
    static const struct {
        const char *value, *source; /* "": any */
    } cases[] = {
        {"all", ""},
        {"loopback-only", ""},
        {"127.0.0.1", ""},
        {"192.0.2.77", "192.0.2.77"},
        {"[192.0.2.77], [ipv6:::1]", "192.0.2.77"},
        {"192.0.2.77, 192.0.2.78", ""},
        {"192.0.2.77, 127.0.0.1", ""},
        {"no-such-host.invalid", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct dial_settings settings;
        char text[ADDRESS_TEXT_SIZE] = "";
        read_settings("", false, cases[i].value, &settings);
        if (settings.source[ADDRESS_IPV4].length > 0)
            address_text(&settings.source[ADDRESS_IPV4], text);
        if (strcmp(text, cases[i].source) != 0)
            fail_msg("inet_interfaces = %s: from \"%s\"", cases[i].value, text);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_family_whose_name_is_not_answered_holds_up_nothing),
        TEST(the_other_family_goes_at_once_if_the_first_has_no_address),
        TEST(an_address_that_refuses_gives_way_at_once),
        TEST(a_family_that_is_not_allowed_is_not_asked_for),
        TEST(an_address_that_comes_late_is_tried_beside_one_that_hangs),
        TEST(an_address_in_numbers_is_asked_nowhere),
        TEST(a_name_without_addresses_and_a_family_that_is_not_allowed_are_told),
        TEST(a_silent_name_server_has_an_end),
        TEST(attempts_begin_a_quarter_of_a_second_apart),
        TEST(a_family_of_dead_addresses_costs_one_attempt),
        TEST(all_that_fail_are_told_each_family_with_its_reason),
        TEST(a_lone_refusal_needs_no_more_words),
        TEST(who_is_not_wanted_any_more_is_not_called),
        TEST(connections_come_from_the_address_that_main_cf_names),
        TEST(an_address_that_is_not_this_machines_is_told),
        TEST(and_with_enforce_there_is_no_connection),
        TEST(one_address_in_inet_interfaces_is_where_they_come_from),
    };
    return cmocka_run_group_tests_name("dial", tests, NULL, NULL);
}
