/* doctor.h - what the checks share
 *
 * Each doctor_check_*() reports what it finds and goes on as far as it can; the order in which they
 * run is doctor.c's.
 */
#ifndef POST365_CTL_DOCTOR_DOCTOR_H
#define POST365_CTL_DOCTOR_DOCTOR_H

#include "common/destination.h"
#include "common/ledger_message.h"
#include "common/reply.h"
#include "common/settings.h"
#include "ctl/command.h"
#include "ctl/doctor/finding.h"
#include "ctl/doctor/way.h"
#include "ctl/relay/config.h"
#include "ctl/relay/judge.h"

#include <stdbool.h>
#include <stddef.h>

#define DOCTOR_PASSWORD_MAPS "post365_password_maps"

struct doctor {
    struct settings *settings;
    struct config config;
    struct report report;
    struct way way;                    /* to relayhost's server */
    struct way ways[DESTINATIONS_MAX]; /* to those that accounts have in its place */
    size_t way_count;
    char *main_cf;   /* "/etc/postfix/main.cf", for remedies */
    char *master_cf; /* likewise */
    char *upn;       /* the account of mail that no map claims; NULL: there is none */
    char **accounts; /* those to be checked, folded, in the order of the alphabet */
    size_t account_count;
    bool are_named;        /* by the command line */
    bool force;            /* log in although the last time was a moment ago */
    bool needs_setup;      /* main.cf or master.cf is wrong, and setup would change something */
    struct oauth2 *oauth2; /* who logs in with OAuth2 (oauth2.h); NULL: nobody can */
    bool is_ledger_mute;   /* it could not be asked: who asks again waits as long */
};

/* An account to be checked, once; what is no UPN is none. */
void doctor_add_account(struct doctor *doctor, const char *upn);

/* main.cf and master.cf */
void doctor_check_milters(struct doctor *doctor);
void doctor_check_rewriting(struct doctor *doctor);
/* Behind doctor_check_credentials(). */
void doctor_check_rewritten(struct doctor *doctor);
void doctor_check_routing(struct doctor *doctor);
void doctor_check_client(struct doctor *doctor);
void doctor_check_smtp(struct doctor *doctor);
/* Finds the accounts as well. */
void doctor_check_credentials(struct doctor *doctor);
void doctor_check_tables(struct doctor *doctor);

/* What waits, who may send, and which addresses are this host's. */
void doctor_check_house(struct doctor *doctor);
/* Whether `post365 setup` would change something, and is not told otherwise. */
void doctor_check_setup(struct doctor *doctor);

/* VERDICT_OK, VERDICT_WARNING or VERDICT_WRONG. */
enum verdict doctor_verdict(struct judged judged);

/* The rest. */
void doctor_check_sockets(struct doctor *doctor);
void doctor_check_accounts(struct doctor *doctor);
void doctor_check_ledger(struct doctor *doctor);

/* What the ledger says of an account. False if it cannot be asked, see doctor_check_ledger(). */
bool doctor_ask_ledger(struct doctor *doctor, const char *account, struct ledger_reply *reply);

/* Sends a message from the account through the relay, and follows it to its end. */
void doctor_follow(struct doctor *doctor, const char *account, const char *recipient);

#endif
