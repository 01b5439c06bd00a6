/* owners.c - whose is a message in the queue? */
#include "ctl/queue/owners.h"

#include "common/address.h"
#include "common/dictionary.h"
#include "common/identity.h"
#include "common/memory.h"
#include "common/reason.h"

#include <stdlib.h>

struct owners {
    const struct settings *settings;
    struct identities *identities; /* NULL: they are guessed */
    struct error complaint;        /* "": none */
    struct dictionary *by_sender;  /* the accounts' names below */
    struct dictionary *accounts;   /* to themselves */
};

struct owners *owners_new(const struct settings *settings)
{
    struct owners *owners = memory_zero(1, sizeof(*owners));
    owners->settings = settings;
    owners->identities = identities_open(settings, &owners->complaint);
    if (owners->identities == NULL)
        error_prefix(&owners->complaint, "the senders are taken for the accounts");
    owners->by_sender = dictionary_new(NULL);
    owners->accounts = dictionary_new(free);
    return owners;
}

void owners_free(struct owners *owners)
{
    if (owners == NULL)
        return;
    dictionary_free(owners->by_sender);
    dictionary_free(owners->accounts);
    identities_close(owners->identities);
    free(owners);
}

const char *owners_complaint(const struct owners *owners)
{
    return owners->complaint.text[0] != '\0' ? owners->complaint.text : NULL;
}

/* The caller's to free(). */
static char *account_of(struct owners *owners, const char *sender)
{
    struct identity identity;
    struct error error;
    if (owners->identities == NULL)
        return address_fold(sender[0] != '\0' ? sender : owners->settings->upn);
    enum table_answer answer = identity_find(owners->identities, "", sender, &identity, &error);
    if (answer == TABLE_FAILED && owners_complaint(owners) == NULL)
        error_set(&owners->complaint, "some accounts cannot be told: %s", error.text);
    if (answer != TABLE_FOUND)
        return memory_copy("");
    char *account =
        identity.source == IDENTITY_ELSEWHERE ? memory_copy("") : address_fold(identity.upn);
    free(identity.upn);
    return account;
}

/* The accounts' own string for this name, which is the caller's no more. */
static const char *keep(struct owners *owners, char *account)
{
    char *known = dictionary_find(owners->accounts, account);
    if (known != NULL) {
        free(account);
        return known;
    }
    dictionary_put(owners->accounts, account, account);
    return account;
}

static const char *find_by_sender(struct owners *owners, const char *sender)
{
    const char *known = dictionary_find(owners->by_sender, sender);
    if (known != NULL)
        return known;
    known = keep(owners, account_of(owners, sender));
    dictionary_put(owners->by_sender, sender, (char *)known);
    return known;
}

const char *owners_find(struct owners *owners, const struct listing_message *message)
{
    for (size_t i = 0; i < message->recipient_count; i++) {
        char *account = reason_account(message->recipients[i].reason);
        if (account != NULL)
            return keep(owners, account);
    }
    return find_by_sender(owners, message->sender);
}
