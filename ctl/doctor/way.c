/* way.c - the way to Microsoft's server, step by step, up to the login */
#include "ctl/doctor/way.h"

#include "common/memory.h"
#include "common/office365.h"
#include "common/upstream/lookup.h"
#include "common/upstream/verify.h"

#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define OTHER_TIMEOUT 5  /* seconds for a family that the way does not need */
#define SOON          14 /* days until a certificate expires */
#define DAY           ((int64_t)86400)
#define NAMES_SHOWN   300

/* One walk along the way. */
struct walk {
    struct way *way;
    const struct settings *settings;
    struct dialogue *dialogue;
    struct buffer seen;  /* by the step */
    struct error error;  /* of a step that is WRONG */
    struct error belief; /* what the handshake said of the certificate; "" if it was believed */
    bool is_thorough;    /* both families are tried */
};

struct step {
    const char *check;
    const char *tried; /* <host> and <port> are those of the server */
    enum verdict (*go)(struct walk *walk);
    const char *meaning, *remedy; /* where it does not say ok */
};

/* --- names and addresses ---------------------------------------------------------------- */

/* What the event loop has found out; it ends when this is complete. */
struct finding_out {
    struct event_base *base;
    struct way *way;
    unsigned awaited;             /* families */
    int result[ADDRESS_FAMILIES]; /* of the look-up */
    evutil_socket_t descriptor;   /* of the connection; -1: there is none */
    struct address address;
    struct error error;
};

static bool prepare_loop(struct way *way)
{
    if (way->base == NULL)
        way->base = event_base_new();
    if (way->base != NULL && way->dns == NULL) {
        way->dns = evdns_base_new(way->base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
        if (way->dns != NULL)
            lookup_read_system(way->dns);
    }
    return way->dns != NULL;
}

static void family_answered(void *context, enum address_family family, int result,
                            const struct evutil_addrinfo *addresses)
{
    struct finding_out *finding = context;
    finding->result[family] = result;
    for (const struct evutil_addrinfo *each = addresses; each != NULL; each = each->ai_next)
        addresses_add(&finding->way->addresses, each->ai_addr, (socklen_t)each->ai_addrlen);
    if (--finding->awaited == 0)
        event_base_loopbreak(finding->base);
}

static void end_waiting(evutil_socket_t descriptor, short what, void *base)
{
    (void)descriptor;
    (void)what;
    event_base_loopbreak(base);
}

/* Both families, by the transport's own way. */
static bool look_up(struct way *way, struct error *error)
{
    const struct timeval patience = {.tv_sec = DIALOGUE_TIMEOUT};
    struct finding_out finding = {.base = way->base, .way = way};
    for (size_t i = 0; i < ADDRESS_FAMILIES; i++)
        finding.awaited += way->dialling.families[i];
    addresses_begin(&way->addresses, ADDRESS_IPV4);
    struct lookup *lookup = lookup_begin(way->base, way->dns, way->host, way->port,
                                         way->dialling.families, family_answered, &finding);
    struct event *end = evtimer_new(way->base, end_waiting, way->base);
    if (end != NULL)
        event_add(end, &patience);
    event_base_dispatch(way->base);
    lookup_end(lookup);
    if (end != NULL)
        event_free(end);
    if (addresses_count(&way->addresses) > 0)
        return true;
    if (finding.awaited > 0)
        return error_set(error, "no answer within %d s", DIALOGUE_TIMEOUT);
    bool has_ipv4 = way->dialling.families[ADDRESS_IPV4];
    bool has_both = has_ipv4 && way->dialling.families[ADDRESS_IPV6];
    return error_set(error, "%s%s",
                     evutil_gai_strerror(finding.result[has_ipv4 ? ADDRESS_IPV4 : ADDRESS_IPV6]),
                     has_both   ? ""
                     : has_ipv4 ? " (inet_protocols allows IPv4 alone)"
                                : " (inet_protocols allows IPv6 alone)");
}

static void connected(void *context, evutil_socket_t descriptor, const struct address *address)
{
    struct finding_out *finding = context;
    finding->descriptor = descriptor;
    finding->address = *address;
    event_base_loopbreak(finding->base);
}

static void not_connected(void *context, const char *text)
{
    struct finding_out *finding = context;
    error_set(&finding->error, "%s", text);
    event_base_loopbreak(finding->base);
}

/* Connects to one of the addresses that are known. */
static void dial_known(struct way *way, const struct addresses *known,
                       struct dial_settings *dialling, struct finding_out *finding)
{
    static const struct dial_handler handler = {.connected = connected, .failed = not_connected};
    *finding = (struct finding_out){.base = way->base, .way = way, .descriptor = -1};
    dial_begin(way->base, way->dns, way->host, way->port, known, dialling, &handler, finding);
    event_base_dispatch(way->base);
}

static enum verdict resolve(struct walk *walk)
{
    struct way *way = walk->way;
    if (addresses_count(&way->addresses) == 0 && !look_up(way, &walk->error))
        return VERDICT_WRONG;
    for (size_t family = 0; family < ADDRESS_FAMILIES; family++)
        for (size_t i = 0; i < way->addresses.count[family]; i++) {
            char text[ADDRESS_TEXT_SIZE];
            buffer_format(&walk->seen, "%s%s", walk->seen.length > 0 ? ", " : "",
                          address_text(&way->addresses.list[family][i], text));
        }
    return VERDICT_OK;
}

/* What the family that has not answered first would have done. */
static void try_other_family(struct walk *walk, enum address_family family)
{
    struct way *way = walk->way;
    struct addresses known = way->addresses;
    struct dial_settings dialling = way->dialling;
    struct finding_out finding;
    char text[ADDRESS_TEXT_SIZE];
    size_t count = known.count[family];
    if (count == 0)
        return;
    known.count[family == ADDRESS_IPV6 ? ADDRESS_IPV4 : ADDRESS_IPV6] = 0;
    dialling.timeout = OTHER_TIMEOUT;
    dial_known(way, &known, &dialling, &finding);
    if (finding.descriptor >= 0) {
        buffer_format(&walk->seen, "; over %s %s answers", address_family_name(family),
                      address_text(&finding.address, text));
        evutil_closesocket(finding.descriptor);
        return;
    }
    buffer_format(&walk->seen, "; over %s (%zu) %s", address_family_name(family), count,
                  finding.error.text);
}

static enum verdict reach(struct walk *walk)
{
    struct way *way = walk->way;
    char text[ADDRESS_TEXT_SIZE];
    struct timespec start, end;
    struct finding_out finding;
    clock_gettime(CLOCK_MONOTONIC, &start);
    dial_known(way, &way->addresses, &way->dialling, &finding);
    clock_gettime(CLOCK_MONOTONIC, &end);
    if (finding.descriptor < 0) {
        walk->error = finding.error;
        return VERDICT_WRONG;
    }
    walk->dialogue->descriptor = finding.descriptor;
    buffer_format(&walk->seen, "%s answers, in %ld ms", address_text(&finding.address, text),
                  (end.tv_sec - start.tv_sec) * 1000 + (end.tv_nsec - start.tv_nsec) / 1000000);
    if (walk->is_thorough)
        try_other_family(walk, finding.address.socket.ss_family == AF_INET6 ? ADDRESS_IPV4
                                                                            : ADDRESS_IPV6);
    return VERDICT_OK;
}

/* --- the dialogue ------------------------------------------------------------------------ */

/* A reply that must be of class 2. */
static enum verdict judge(struct walk *walk, bool was_heard, const struct reply *reply)
{
    if (!was_heard)
        return VERDICT_WRONG;
    dialogue_write_reply(&walk->seen, reply);
    if (reply->code / 100 == 2)
        return VERDICT_OK;
    error_set(&walk->error, "%s", walk->seen.data);
    return VERDICT_WRONG;
}

static enum verdict greet(struct walk *walk)
{
    struct reply reply;
    return judge(walk, dialogue_hear(walk->dialogue, &reply, &walk->error), &reply);
}

static void note_keyword(struct way *way, char *line)
{
    const char *keyword = strsep(&line, " =");
    if (strcasecmp(keyword, "STARTTLS") == 0)
        way->offers_starttls = true;
    if (strcasecmp(keyword, "AUTH") != 0)
        return;
    for (const char *word; (word = strsep(&line, " =")) != NULL;) {
        way->offers_login = way->offers_login || strcasecmp(word, "LOGIN") == 0;
        way->offers_xoauth2 = way->offers_xoauth2 || strcasecmp(word, "XOAUTH2") == 0;
    }
}

static enum verdict say_ehlo(struct walk *walk)
{
    struct way *way = walk->way;
    struct reply reply;
    bool heard = dialogue_ask(walk->dialogue, &reply, &walk->error, "EHLO %s",
                              walk->settings->smtp.helo_name);
    enum verdict verdict = judge(walk, heard, &reply);
    way->offers_starttls = way->offers_login = way->offers_xoauth2 = false;
    char *rest = walk->dialogue->lines.data;
    for (char *line; heard && (line = strsep(&rest, "\n")) != NULL;)
        note_keyword(way, line);
    return verdict;
}

/* What came in plain text behind the reply is nobody's (RFC 3207, section 4.2). */
static enum verdict start_tls(struct walk *walk)
{
    struct reply reply;
    if (!walk->way->offers_starttls) {
        error_set(&walk->error, "not offered");
        return VERDICT_WRONG;
    }
    bool heard = dialogue_ask(walk->dialogue, &reply, &walk->error, "STARTTLS");
    enum verdict verdict = judge(walk, heard, &reply);
    size_t injected = dialogue_pending(walk->dialogue);
    if (verdict != VERDICT_OK || injected == 0)
        return verdict;
    error_set(&walk->error, "%zu octets in plain text behind the reply", injected);
    return VERDICT_WRONG;
}

static enum verdict encrypt(struct walk *walk)
{
    const struct way *way = walk->way;
    struct dialogue *dialogue = walk->dialogue;
    walk->belief.text[0] = '\0';
    if (!dialogue_encrypt(dialogue, way->context, way->host, &walk->error)) {
        if (dialogue->ssl == NULL || SSL_get_verify_result(dialogue->ssl) == X509_V_OK)
            return VERDICT_WRONG;
        walk->belief = walk->error; /* the next step tells */
    }
    buffer_format(&walk->seen, "%s", SSL_get_version(dialogue->ssl));
    return VERDICT_OK;
}

static void show_certificate(struct walk *walk, X509 *certificate, const struct tm *end)
{
    char names[NAMES_SHOWN], issuer[NAMES_SHOWN], day[32];
    verify_names(certificate, names, sizeof(names));
    X509_NAME_oneline(X509_get_issuer_name(certificate), issuer, sizeof(issuer));
    strftime(day, sizeof(day), "%Y-%m-%d", end);
    buffer_format(&walk->seen, "for %s; issued by %s; valid until %s",
                  names[0] != '\0' ? names : "no name", issuer, day);
}

static enum verdict believe(struct walk *walk)
{
    X509 *certificate = verify_certificate(walk->dialogue->ssl);
    struct tm end = {0};
    bool has_end =
        certificate != NULL && ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &end) == 1;
    if (certificate != NULL)
        show_certificate(walk, certificate, &end);
    if (walk->belief.text[0] != '\0') {
        error_set(&walk->error, "%s (%s)", walk->belief.text,
                  walk->seen.data != NULL ? walk->seen.data : "none was shown");
        return VERDICT_WRONG;
    }
    int64_t left = has_end ? timegm(&end) - time(NULL) : SOON * DAY;
    if (left >= SOON * DAY)
        return VERDICT_OK;
    buffer_format(&walk->seen, ", in %lld days", (long long)(left / DAY));
    return VERDICT_WARNING;
}

static enum verdict find_mechanisms(struct walk *walk)
{
    const struct way *way = walk->way;
    if (say_ehlo(walk) != VERDICT_OK)
        return VERDICT_WRONG;
    if (!way->offers_login && !way->offers_xoauth2) {
        error_set(&walk->error, "neither LOGIN nor XOAUTH2 is offered");
        return VERDICT_WRONG;
    }
    buffer_clear(&walk->seen);
    buffer_format(&walk->seen, "%s%s%s", way->offers_login ? "LOGIN" : "",
                  way->offers_login && way->offers_xoauth2 ? ", " : "",
                  way->offers_xoauth2 ? "XOAUTH2" : "");
    return VERDICT_OK;
}

#define BETWEEN                                                                                    \
    "See who answers there: `openssl s_client -starttls smtp -connect <host>:<port>`; a firewall " \
    "or a virus scanner may stand between."

static const struct step steps[] = {
    {"dns", "addresses of <host>", resolve, "No mail can leave: nobody knows where the server is.",
     "Check the spelling of relayhost; `getent ahosts <host>` must give addresses, else "
     "/etc/resolv.conf or the firewall (port 53) is wrong."},
    {"connect", "connection to <host>, port <port>", reach, "No mail can leave.",
     "The firewall must let TCP port <port> out to the internet: `timeout 9 bash -c "
     "'</dev/tcp/<host>/<port>'` must "
     "succeed on this machine."},
    {"banner", "greeting", greet, "What answers there is not ready to take mail.", BETWEEN},
    {"ehlo", "EHLO", say_ehlo, "The server does not take this machine's name.",
     "See that smtp_helo_name in main.cf (by default myhostname) is a name with a "
     "domain. " BETWEEN},
    {"starttls", "STARTTLS", start_tls,
     "Without encryption no password is sent, and Microsoft takes no mail.", BETWEEN},
    {"tls", "TLS", encrypt, "The connection cannot be encrypted.", BETWEEN},
    {"certificate", "certificate", believe,
     "Who answers there does not prove to be <host>, or soon will not; no password is sent to him.",
     "The authorities are those of post365_tls_CAfile and post365_tls_CApath (in main.cf): "
     "/etc/ssl/certs/ca-certificates.crt, of the package ca-certificates, is right for Microsoft. "
     "`date` must tell the right time. " BETWEEN},
    {"mechanisms", "ways to log in", find_mechanisms, "Nobody can log in.", BETWEEN},
};
#define STEPS (sizeof(steps) / sizeof(steps[0]))

/* --- walking --------------------------------------------------------------------------- */

static const char *replace(struct report *report, const char *text, const char *word,
                           const char *with)
{
    struct buffer result = {0};
    const char *place;
    while ((place = strstr(text, word)) != NULL) {
        buffer_append(&result, text, (size_t)(place - text));
        buffer_append_string(&result, with);
        text = place + strlen(word);
    }
    const char *whole = report_format(report, "%s%s", result.data != NULL ? result.data : "", text);
    buffer_free(&result);
    return whole;
}

static const char *fill_in(struct report *report, const struct way *way, const char *text)
{
    return replace(report, replace(report, text, "<host>", way->host), "<port>", way->port);
}

static void report_step(struct report *report, const struct step *step, enum verdict verdict,
                        const struct walk *walk, const char *seen)
{
    report_finding(report, &(struct finding){.check = step->check,
                                             .verdict = verdict,
                                             .tried = fill_in(report, walk->way, step->tried),
                                             .seen = seen != NULL ? seen : "",
                                             .meaning = fill_in(report, walk->way, step->meaning),
                                             .remedy = fill_in(report, walk->way, step->remedy)});
}

/* `report` may be NULL. Whether no step was wrong; else `failed` is the one that was. */
static bool go(struct walk *walk, struct report *report, const struct step **failed)
{
    *failed = NULL;
    for (size_t i = 0; i < STEPS; i++) {
        enum verdict verdict = VERDICT_UNTRIED;
        buffer_clear(&walk->seen);
        if (*failed == NULL)
            verdict = steps[i].go(walk);
        if (verdict == VERDICT_WRONG)
            *failed = &steps[i];
        if (report != NULL)
            report_step(report, &steps[i], verdict, walk,
                        verdict == VERDICT_UNTRIED ? "the step before failed"
                        : verdict == VERDICT_WRONG ? walk->error.text
                                                   : walk->seen.data);
    }
    buffer_free(&walk->seen);
    return *failed == NULL;
}

static bool prepare(struct way *way, const struct settings *settings, struct error *error)
{
    if (way->context == NULL)
        way->context = verify_context(settings, error);
    dial_settings_read(&settings->smtp, &way->dialling);
    if (way->dialling.timeout > DIALOGUE_TIMEOUT)
        way->dialling.timeout = DIALOGUE_TIMEOUT;
    return way->context != NULL &&
           (prepare_loop(way) || error_set(error, "cannot set up the event loop"));
}

void way_check(struct way *way, const struct settings *settings, struct report *report)
{
    struct dialogue dialogue;
    struct walk walk = {
        .way = way, .settings = settings, .dialogue = &dialogue, .is_thorough = true};
    const struct step *failed;
    bool is_ready = prepare(way, settings, &walk.error);
    if (!way->is_known || !is_ready) {
        report_finding(report,
                       &(struct finding){.check = "server",
                                         .verdict = is_ready ? VERDICT_UNTRIED : VERDICT_WRONG,
                                         .tried = "the way to the server",
                                         .seen = is_ready ? "relayhost is wrong" : walk.error.text,
                                         .meaning = "No connection can be made."});
        return;
    }
    dialogue_init(&dialogue);
    way->is_fine = go(&walk, report, &failed);
    if (way->is_fine)
        dialogue_quit(&dialogue);
    dialogue_close(&dialogue);
}

bool way_dial(struct way *way, const struct settings *settings, struct dialogue *dialogue,
              struct error *error)
{
    struct walk walk = {.way = way, .settings = settings, .dialogue = dialogue};
    const struct step *failed;
    dialogue_init(dialogue);
    return go(&walk, NULL, &failed) || error_set(error, "%s: %s", failed->check, walk.error.text);
}

void way_free(struct way *way)
{
    if (way->base != NULL) /* libevent releases what was cancelled */
        event_base_loop(way->base, EVLOOP_NONBLOCK);
    if (way->dns != NULL)
        evdns_base_free(way->dns, 0);
    if (way->base != NULL)
        event_base_free(way->base);
    SSL_CTX_free(way->context);
}
