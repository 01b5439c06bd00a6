/*
 * faults.h - things that go wrong on demand
 *
 * A fault names a stage, narrows it down by who is involved and by counting, and says what happens
 * instead of the ordinary answer. The first fault in the order of their setting that fires wins.
 */
#ifndef OFFICE365_FAULTS_H
#define OFFICE365_FAULTS_H

#include "problem.h"
#include "replies.h"
#include "stage.h"
#include "tls.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum fault_action {
    FAULT_NONE,        /* nothing but the delay */
    FAULT_DROP,        /* close the connection without a word */
    FAULT_RESET,       /* the same with a TCP RST */
    FAULT_REPLY,       /* a literal text */
    FAULT_ROW,         /* a row of the table of replies */
    FAULT_GARBAGE,     /* random bytes */
    FAULT_ENDLESS,     /* a reply that has no last line */
    FAULT_TRICKLE,     /* the ordinary reply, one byte at a time */
    FAULT_CERTIFICATE, /* another certificate in the handshake */
    FAULT_INJECT       /* plain text behind the reply to STARTTLS */
};

/* whether a message at whose end the fault fires is accepted */
enum fault_commit {
    COMMIT_BEFORE, /* at once, before delay and action */
    COMMIT_AFTER,  /* after the delay, if the client is still there */
    COMMIT_NEVER
};

struct fault {
    int64_t id;
    enum stage stage;
    char *mailbox, *sender, *recipient; /* fnmatch(3) patterns, any case; NULL: anybody */
    int secure;                         /* 1: only within TLS, 0: only without, -1: both */
    int64_t skip, every, times;         /* of the occasions that match; times 0: no end */
    double probability;
    int64_t after; /* STAGE_BODY: bytes received */

    double delay; /* seconds before the action */
    enum fault_action action;
    char *text; /* FAULT_REPLY, FAULT_INJECT */
    enum reply_row row;
    enum tls_identity certificate;
    int closes;      /* close after the reply: 1 yes, 0 no, -1 if it is a 421 */
    int64_t bytes;   /* FAULT_GARBAGE: how many; FAULT_ENDLESS: end there (0: never) */
    double interval; /* FAULT_TRICKLE: seconds between bytes */
    enum fault_commit commit;

    int64_t seen; /* occasions that matched */
    int64_t hits; /* those at which it fired */
    unsigned references;
    struct fault *next;
};

/* who is involved; NULL where nobody is yet */
struct fault_occasion {
    enum stage stage;
    bool secure;
    const char *mailbox;
    const char *sender;
    char *const *recipients; /* one of them has to match */
    size_t recipient_count;
};

struct faults;

/* faults_create - none yet; the seed makes every choice repeatable */
struct faults *faults_create(uint64_t seed);
void faults_free(struct faults *faults);

/* faults_add - add the fault that a JSON object describes; its number, or 0 with the problem */
int64_t faults_add(struct faults *faults, const json_t *value, struct problem *problem);

/* faults_remove - remove one by its number; false if there is none. Pending actions go on. */
bool faults_remove(struct faults *faults, int64_t id);

void faults_clear(struct faults *faults);

/* faults_describe - all of them with what they have seen, as a JSON array; new reference */
json_t *faults_describe(const struct faults *faults);

/* faults_match - the fault that fires at this occasion, to be released; or NULL */
struct fault *faults_match(struct faults *faults, const struct fault_occasion *occasion);

void fault_release(struct fault *fault);

/* fault_action_name - as the configuration and the journal write it */
const char *fault_action_name(enum fault_action action);

/* faults_random - random bytes of the seeded generator */
void faults_random(struct faults *faults, void *buffer, size_t length);

#endif
