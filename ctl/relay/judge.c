/* judge.c - what a setting means for mail, said once for `post365 setup` and `post365 doctor` */
#include "ctl/relay/judge.h"

#include "common/address.h"
#include "common/domains.h"
#include "common/memory.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define SEPARATORS ", \t\r\n"
/* What CHGFROM needs (milter_protocol in postconf(5)). */
#define PROTOCOL 6
#define DAY      86400L /* seconds */

static const struct judged right = {JUDGED_RIGHT, NULL};

static bool is_in_list(const char *list, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = list; *(at += strspn(at, SEPARATORS)) != '\0';
         at += strcspn(at, SEPARATORS))
        if (strcspn(at, SEPARATORS) == length && strncasecmp(at, word, length) == 0)
            return true;
    return false;
}

/* --- milters --- */

static bool mends(const struct settings *settings)
{
    return settings->meter == METER_DELIVERY;
}

bool judge_logins_decide(const struct settings *settings)
{
    return settings->login_only || settings->login_upn_maps[0] != '\0';
}

const char *judge_action_wanted(const struct settings *settings)
{
    return judge_logins_decide(settings) ? "tempfail" : "accept";
}

struct judged judge_action(const struct settings *settings, const char *action)
{
    if (strcmp(action, "tempfail") == 0)
        return right;
    if (strcmp(action, "accept") != 0)
        return (struct judged){JUDGED_DOUBTFUL,
                               "While the milter is down mail is refused for good, or put aside."};
    if (!mends(settings))
        return (struct judged){JUDGED_WRONG,
                               "While the milter is down mail passes with the sender it came with, "
                               "and Microsoft refuses it."};
    if (judge_logins_decide(settings))
        return (struct judged){JUDGED_DOUBTFUL,
                               "While the milter is down mail leaves without its login being "
                               "known: by the account of its sender, or by the default one."};
    return right;
}

struct judged judge_protocol(const struct settings *settings, const char *protocol)
{
    if (strtoul(protocol, NULL, 10) >= PROTOCOL)
        return right;
    return (struct judged){mends(settings) ? JUDGED_DOUBTFUL : JUDGED_WRONG,
                           "The milter cannot change the sender: that takes version 6 of the "
                           "protocol."};
}

struct judged judge_past(const struct settings *settings, bool takes_logins)
{
    if (!mends(settings))
        return (struct judged){JUDGED_WRONG,
                               "Mail that comes in there keeps its sender, and Microsoft refuses "
                               "it."};
    if (takes_logins)
        return (struct judged){JUDGED_DOUBTFUL,
                               "Mail that comes in there passes no milter, and who logged in stays "
                               "unknown: post365-transport makes sender and From: right, but the "
                               "account is that of the sender, or the default one, not that of the "
                               "login."};
    return right;
}

struct judged judge_classes(const struct settings *settings, const char *classes,
                            struct buffer *missing)
{
    static const char *const wanted[] = {"bounce", "notify"};
    size_t before = missing->length;
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
        if (!is_in_list(classes, wanted[i]))
            buffer_format(missing, "%s%s", missing->length > before ? ", " : "", wanted[i]);
    if (missing->length == before)
        return right;
    if (mends(settings))
        return (struct judged){JUDGED_DOUBTFUL,
                               "What Postfix itself writes (bounces; notices to the postmaster) "
                               "passes no milter: post365-transport alone makes its sender right."};
    return (struct judged){JUDGED_WRONG,
                           "What Postfix itself writes (bounces; notices to the postmaster) passes "
                           "no milter; Microsoft refuses its sender, and it is lost."};
}

/* --- the queue --- */

long judge_seconds(const char *text, char unit)
{
    static const struct {
        char name;
        long seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', DAY}, {'w', 7 * DAY}};
    char *end;
    long number = strtol(text, &end, 10);
    if (end == text || number < 0 || number > 1000L * 1000 * 1000)
        return -1;
    char name = *end != '\0' ? (char)tolower((unsigned char)*end++) : unit;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (units[i].name == name && *end == '\0')
            return number * units[i].seconds;
    return -1;
}

struct judged judge_lifetime(const char *lifetime, bool of_bounces)
{
    long seconds = judge_seconds(lifetime, 'd');
    if (seconds < 0 || seconds >= 2 * DAY)
        return right;
    if (of_bounces)
        return (struct judged){
            JUDGED_DOUBTFUL, "A bounce that has waited for so long is lost: a day's limit that is "
                             "used up takes a day, and a pause of an account as long as nobody "
                             "mends its cause."};
    return (struct judged){
        seconds < DAY ? JUDGED_WRONG : JUDGED_DOUBTFUL,
        "Mail that has waited for so long goes back to its sender: a day's limit "
        "that is used up takes a day, and a pause of an account as long as "
        "nobody mends its cause."};
}

struct judged judge_deferred(const char *transports, const char *name)
{
    if (!is_in_list(transports, name))
        return right;
    return (struct judged){JUDGED_WRONG,
                           "Postfix hands nothing to post365-transport: all mail stays in the "
                           "queue until somebody flushes it."};
}

/* --- where mail goes --- */

struct judged judge_port(const char *port)
{
    if (strcmp(port, "465") == 0)
        return (struct judged){JUDGED_WRONG, "Microsoft does not answer on port 465."};
    if (strcmp(port, "25") == 0)
        return (struct judged){JUDGED_DOUBTFUL,
                               "Many providers close port 25; 587 is the one for this."};
    return right;
}

struct judged judge_domain(const char *list, const char *account)
{
    const char *at = strrchr(account, '@');
    if (at == NULL)
        return right;
    struct domains *domains = domains_new(list);
    char *domain = address_fold(at + 1);
    bool has = domains_have(domains, domain);
    free(domain);
    domains_free(domains);
    if (!has)
        return right;
    return (struct judged){JUDGED_DOUBTFUL,
                           "Mail to this domain is delivered on this host: colleagues who have "
                           "their mailbox at Microsoft's alone are unknown here, and refused."};
}

struct judged judge_recipients(const struct settings *settings, unsigned long limit, bool is_set)
{
    unsigned long most = settings->quota.recipients_per_message;
    if (limit == 0 || limit > most)
        return (struct judged){JUDGED_DOUBTFUL,
                               "Messages have more recipients than Microsoft takes at once: those "
                               "beyond that wait for another attempt."};
    if (!is_set && limit < most)
        return (struct judged){JUDGED_DOUBTFUL,
                               "A newsletter is cut into more messages than it must be, and a "
                               "minute's limit counts messages."};
    return right;
}
