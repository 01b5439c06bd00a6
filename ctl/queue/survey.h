/* survey.h - the whole queue at one glance: who waits for what, and until when
 *
 * Every message takes part, since those of an account go one behind the other; those that a filter
 * takes are what is shown. Each message becomes an entry for each cause among its recipients, and
 * the entries of one account and cause are a group. An entry has a fixed size, so that the memory
 * is that of the queue's length, not of its messages.
 */
#ifndef POST365_CTL_QUEUE_SURVEY_H
#define POST365_CTL_QUEUE_SURVEY_H

#include "common/dictionary.h"
#include "common/ledger_client.h"
#include "common/settings.h"
#include "ctl/cause.h"
#include "ctl/oauth2/applications.h"
#include "ctl/queue/filter.h"
#include "ctl/queue/listing.h"
#include "ctl/queue/owners.h"
#include "ctl/queue/schedule.h"
#include "ctl/queue/standing.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is known about when a message goes. */
enum survey_when {
    SURVEY_UNKNOWN,  /* nothing */
    SURVEY_GOES,     /* there is room at that time */
    SURVEY_TRIED,    /* Postfix tries it at that time, or the pause is over then */
    SURVEY_MENDED,   /* when somebody has done something; tried at that time all the same */
    SURVEY_RESUMED,  /* when somebody resumes the account */
    SURVEY_RELEASED, /* when somebody releases it from hold */
    SURVEY_NEVER,    /* it is more than the quota itself */
    SURVEY_WHENS,
};

struct survey_entry {
    uint64_t key; /* of the queue id */
    int64_t arrival;
    int64_t time; /* as `when` says; 0: not known. Microseconds since the epoch, like all times */
    uint32_t recipients;
    uint32_t group;
    enum survey_when when;
    enum listing_queue queue;
    bool is_chosen; /* by the filter */
    char *label; /* the queue id, and behind its NUL the first recipient; NULL if not asked for */
};

/* What is chosen of one account and cause, and, of mail that goes elsewhere, server. */
struct survey_group {
    const char *account; /* folded UPN, "": not known */
    const struct cause *cause;
    char *server; /* as the reason has it, the group's; "": Microsoft's, or none */
    size_t messages, recipients, held, active;
    int64_t oldest;        /* arrival; 0: nothing is chosen */
    enum survey_when when; /* of the entry that goes last */
    int64_t first, last;   /* times of those that have one; 0 */
};

struct survey {
    const struct settings *settings;
    const struct filter *filter;
    bool keeps_labels;
    int64_t now;
    struct owners *owners;
    struct applications *applications;
    struct schedule *schedule;
    struct standing *standing;
    struct dictionary *numbers; /* of groups, by account, cause and server */
    struct survey_group *groups;
    size_t group_count;
    struct survey_entry *entries; /* in the order in which they go, group by group of an account */
    size_t count, capacity;
    size_t chosen;                /* messages; one in two groups is one */
    uint32_t *by_key;             /* the entries, in the order of their keys */
    struct survey_part *parts;    /* of one message: survey_divide() */
    const struct cause *maildrop; /* why mail stays in the maildrop, NULL: nothing holds it there */
};

/* The recipients of one message that wait for one cause. */
struct survey_part {
    const struct cause *cause;
    size_t recipients, chosen;
    const char *first;  /* the first chosen address, else the first one */
    const char *reason; /* of the first */
};

/* Begins an empty survey; all that is pointed to must outlive it. Release with survey_free(). */
void survey_begin(struct survey *survey, const struct settings *settings,
                  const struct filter *filter, bool keeps_labels);
void survey_free(struct survey *survey);

/* Takes the whole queue. False with the reason; what was taken until then stays. */
bool survey_take(struct survey *survey, struct error *error);

/* Why a recipient of the message waits: the cause in its reason, or, where Postfix is working on
 * the message and there is none, what holds up the account; in the maildrop, a milter that is not
 * there. */
const struct cause *survey_cause(struct survey *survey, const struct listing_message *message,
                                 const char *reason);

/* Divides a message's recipients by cause. Returns how many parts; they are the survey's, until the
 * next call. */
size_t survey_divide(struct survey *survey, const struct listing_message *message);

/* Finds out when all of it goes: with the ledger, or, if `client` is NULL, by Postfix's schedule
 * alone. `error` says why the ledger cannot tell about the first account about which it cannot; its
 * text is "" where there is none. */
void survey_estimate(struct survey *survey, struct ledger_client *client, struct error *error);

/* The entry of a message and a cause, or NULL: it was not there then. After survey_estimate(). */
const struct survey_entry *survey_find(const struct survey *survey, const char *queue_id,
                                       const struct cause *cause);

#endif
