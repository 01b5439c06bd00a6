/* way.c - the way to Microsoft's server, step by step, up to the login */
#include "ctl/doctor/way.h"

#include "common/memory.h"
#include "common/office365.h"
#include "common/upstream/verify.h"

#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SOON        14 /* days until a certificate expires */
#define DAY         ((int64_t)86400)
#define NAMES_SHOWN 300

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

/* --- the steps ------------------------------------------------------------------------ */

static enum verdict resolve(struct walk *walk)
{
    struct way *way = walk->way;
    const struct addresses *addresses = &way->reach.addresses;
    if (!reach_resolve(&way->reach, way->host, way->port, &walk->error))
        return VERDICT_WRONG;
    for (size_t family = 0; family < ADDRESS_FAMILIES; family++)
        for (size_t i = 0; i < addresses->count[family]; i++) {
            char text[ADDRESS_TEXT_SIZE];
            buffer_format(&walk->seen, "%s%s", walk->seen.length > 0 ? ", " : "",
                          address_text(&addresses->list[family][i], text));
        }
    return VERDICT_OK;
}

/* What the family would have done that has not answered first. */
static void try_other_family(struct walk *walk, enum address_family family)
{
    const struct way *way = walk->way;
    size_t count = way->reach.addresses.count[family];
    struct address address;
    struct error error;
    char text[ADDRESS_TEXT_SIZE];
    if (count == 0)
        return;
    if (reach_try(&way->reach, way->host, way->port, family, &address, &error))
        buffer_format(&walk->seen, "; over %s %s answers", address_family_name(family),
                      address_text(&address, text));
    else
        buffer_format(&walk->seen, "; over %s (%zu) %s", address_family_name(family), count,
                      error.text);
}

static enum verdict connect_to_server(struct walk *walk)
{
    struct way *way = walk->way;
    char text[ADDRESS_TEXT_SIZE];
    struct timespec start, end;
    struct address address;
    clock_gettime(CLOCK_MONOTONIC, &start);
    walk->dialogue->descriptor =
        reach_connect(&way->reach, way->host, way->port, &address, &walk->error);
    clock_gettime(CLOCK_MONOTONIC, &end);
    if (walk->dialogue->descriptor < 0)
        return VERDICT_WRONG;
    buffer_format(&walk->seen, "%s answers, in %ld ms", address_text(&address, text),
                  (end.tv_sec - start.tv_sec) * 1000 + (end.tv_nsec - start.tv_nsec) / 1000000);
    if (walk->is_thorough)
        try_other_family(walk, address.socket.ss_family == AF_INET6 ? ADDRESS_IPV4 : ADDRESS_IPV6);
    return VERDICT_OK;
}

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
    {"connect", "connection to <host>, port <port>", connect_to_server, "No mail can leave.",
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
    return way->context != NULL && reach_prepare(&way->reach, settings, error);
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
    reach_free(&way->reach);
    SSL_CTX_free(way->context);
}
