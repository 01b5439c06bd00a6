/*
 * bearer.h - what Exchange Online makes of an access token of Entra ID
 *
 * A token is a JWT (RFC 7519) signed RS256 by the stand-in for the token endpoint. Who may do what
 * with it is Exchange's own knowledge: the service principals that New-ServicePrincipal made known,
 * the mailboxes in the scope of their role, and those they have full access to.
 */
#ifndef OFFICE365_BEARER_H
#define OFFICE365_BEARER_H

#include "list.h"
#include "mailbox.h"
#include "problem.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* a service principal as Exchange knows it */
struct principal {
    char *app;               /* client id */
    char *object;            /* the object id that somebody typed: it may be the wrong one */
    struct list scope;       /* addresses and @domains of its role Application SMTP.SendAsApp */
    struct list full_access; /* mailboxes that it may open, for the role in the token */
};

struct bearer_rules {
    struct list keys;      /* PEM: public keys of the token endpoint; none: no JWT is taken */
    struct list audiences; /* what aud may be; none: the names of Exchange Online */
    struct list revoked;   /* uti of tokens, and oid of whom nothing is taken from */
    char *tenant;          /* tid; NULL: any */
    struct principal *principals;
    size_t principal_count;
};

enum bearer_objection {
    BEARER_FINE,
    BEARER_MALFORMED, /* no JWT at all: it may be a token that a mailbox simply lists */
    BEARER_SIGNATURE,
    BEARER_EARLY,
    BEARER_EXPIRED,
    BEARER_AUDIENCE,
    BEARER_TENANT,
    BEARER_REVOKED,
    BEARER_PRINCIPAL,  /* unknown to Exchange, or under another object id */
    BEARER_PERMISSION, /* nothing in the token allows SMTP */
    BEARER_SCOPE,      /* the mailbox is not the principal's */
    BEARER_USER        /* a delegated token of somebody else */
};

struct bearer_verdict {
    enum bearer_objection objection;
    bool locked_out; /* AUTH is fine, but the mailbox cannot be opened: 430 4.2.0 later */
    char token[64];  /* its uti, "" if it has none */
    int64_t left;    /* seconds of its life */
};

/* bearer_judge - a token shown for this mailbox at the time now (seconds since 1970) */
struct bearer_verdict bearer_judge(const struct bearer_rules *rules, const struct mailbox *mailbox,
                                   const char *token, int64_t now);

/* bearer_objection_name - as the journal writes it */
const char *bearer_objection_name(enum bearer_objection objection);

/*
 * bearer_read_principals - replace all principals by {client id: {"object_id": ..., "scope": [...],
 * "full_access": [...]}}. On failure nothing has changed.
 */
bool bearer_read_principals(struct bearer_rules *rules, const json_t *value,
                            struct problem *problem);

/* bearer_forget_principals - the rest of the rules are ordinary settings */
void bearer_forget_principals(struct bearer_rules *rules);

#endif
