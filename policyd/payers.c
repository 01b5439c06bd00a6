/* payers.c - who pays for a message, and under which quota?
 *
 * The memory has a fixed number of slots of a fixed size. A hash names a few of them, in which an
 * answer may be; it is the answer only if the whole question is the same, byte for byte. Slots of
 * an era that is over are empty, so that forgetting everything costs nothing.
 *
 * Security: a stranger who names a new sender with every message takes slots away from others. They
 * are then looked up as without a memory.
 */
#include "policyd/payers.h"

#include "common/address.h"
#include "common/address_standard.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/quotas.h"
#include "common/siphash.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* 1 MB; a relay has some dozens of accounts and some hundreds of senders. */
#define SLOTS     4096
#define SLOT_SIZE 256
#define WAYS      4 /* in so many slots a question's answer may be */

#define WARNING_INTERVAL (60 * CLOCK_SECOND)

struct answer {
    struct payer payer;
    bool is_context_unknown;
};

/* Longer questions and accounts are not remembered. */
#define TEXT_SIZE (SLOT_SIZE - sizeof(struct answer) - 2 * sizeof(uint64_t) - sizeof(size_t))

/* Login, sender and context, each with its NUL. */
struct key {
    uint64_t hash;
    size_t length;
    char text[TEXT_SIZE];
};

struct slot {
    uint64_t era; /* in which it was filled */
    struct answer answer;
    struct key key; /* its text has the account behind it */
};
_Static_assert(sizeof(struct slot) == SLOT_SIZE, "a slot's size");

struct payers {
    struct payers_parts parts;
    int64_t next_context_warning;
    char *account; /* of the last answer that was looked up */
    /* the memory */
    struct siphash_secret secret;
    struct slot *slots;
    uint64_t era;     /* never 0 */
    unsigned victim;  /* the way that goes when all are taken */
    bool is_checked;  /* in this batch the tables are known to be of `version` */
    bool is_reliable; /* they tell when they change */
    uint64_t version;
};

/* --- looking up -------------------------------------------------------------- */

/* The account's quota, or that of the profile that policy_context names. False with the reason. */
static bool find_quota(const struct payers_parts *parts, const char *context, struct answer *answer,
                       struct error *error)
{
    struct payer *payer = &answer->payer;
    if (strcmp(context, "hve") == 0) {
        payer->quota = parts->settings->quota;
        payer->is_overridden = true;
        return quota_override(&payer->quota, "hve", error);
    }
    enum table_answer found = TABLE_NONE;
    if (context[0] != '\0') {
        found = quotas_find(parts->settings, parts->quota_maps, context, &payer->quota, error);
        answer->is_context_unknown = found == TABLE_NONE;
    }
    if (found == TABLE_NONE)
        found =
            quotas_find(parts->settings, parts->quota_maps, payer->account, &payer->quota, error);
    payer->is_overridden = found == TABLE_FOUND;
    return found != TABLE_FAILED;
}

static enum table_answer look_up(struct payers *payers, const struct payers_question *question,
                                 struct answer *answer, struct error *error)
{
    struct identity identity = {.upn = NULL};
    char *sender = address_quoted(question->sender); /* quotes do not reach a policy service */
    enum table_answer found =
        identity_find(payers->parts.identities, question->login, sender, &identity, error);
    free(sender);
    if (found != TABLE_FOUND)
        return found;
    free(payers->account);
    payers->account = address_fold(identity.upn);
    free(identity.upn);
    *answer = (struct answer){.payer.account = payers->account,
                              .payer.is_nobody = identity.source == IDENTITY_ELSEWHERE};
    if (answer->payer.is_nobody)
        return TABLE_FOUND;
    return find_quota(&payers->parts, question->context, answer, error) ? TABLE_FOUND
                                                                        : TABLE_FAILED;
}

static void warn_context(struct payers *payers, const char *context)
{
    int64_t now = clock_now(payers->parts.clock);
    if (now < payers->next_context_warning)
        return;
    payers->next_context_warning = now + WARNING_INTERVAL;
    log_warning("policy_context \"%s\" is neither hve nor in post365_quota_maps: the account's own "
                "quota applies",
                context);
}

/* --- remembering ------------------------------------------------------------- */

static void forget_all(struct payers *payers)
{
    payers->era++;
}

static void check_tables(struct payers *payers)
{
    uint64_t version, of_quotas;
    payers->is_reliable = identities_refresh(payers->parts.identities, &version);
    payers->is_reliable &= tables_refresh(payers->parts.quota_maps, &of_quotas);
    payers->is_checked = true;
    version += of_quotas;
    if (version != payers->version)
        forget_all(payers);
    payers->version = version;
}

/* False: it is too long to be remembered. */
static bool make_key(const struct payers *payers, const struct payers_question *question,
                     struct key *key)
{
    const char *const parts[] = {question->login, question->sender, question->context};
    key->length = 0;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        size_t size = strlen(parts[i]) + 1;
        if (size > TEXT_SIZE - key->length)
            return false;
        memcpy(key->text + key->length, parts[i], size);
        key->length += size;
    }
    key->hash = siphash(&payers->secret, key->text, key->length);
    return true;
}

/* The first of the slots where the answer may be. */
static struct slot *slots_of(const struct payers *payers, const struct key *key)
{
    return &payers->slots[key->hash % (SLOTS / WAYS) * WAYS];
}

static const struct answer *recall(const struct payers *payers, const struct key *key)
{
    const struct slot *slots = slots_of(payers, key);
    for (size_t i = 0; i < WAYS; i++)
        if (slots[i].era == payers->era && slots[i].key.hash == key->hash &&
            slots[i].key.length == key->length &&
            memcmp(slots[i].key.text, key->text, key->length) == 0)
            return &slots[i].answer;
    return NULL;
}

static void remember(struct payers *payers, const struct key *key, const struct answer *answer)
{
    size_t size = strlen(answer->payer.account) + 1;
    if (size > TEXT_SIZE - key->length)
        return;
    struct slot *slot = slots_of(payers, key);
    size_t way = 0;
    while (way < WAYS && slot[way].era == payers->era)
        way++;
    slot += way < WAYS ? way : payers->victim++ % WAYS;
    slot->era = payers->era;
    slot->answer = *answer;
    slot->key.hash = key->hash;
    slot->key.length = key->length;
    memcpy(slot->key.text, key->text, key->length);
    slot->answer.payer.account = memcpy(slot->key.text + key->length, answer->payer.account, size);
}

enum table_answer payers_find(struct payers *payers, const struct payers_question *question,
                              struct payer *payer, struct error *error)
{
    struct key key;
    struct answer fresh;
    if (!payers->is_checked)
        check_tables(payers);
    bool is_memorable = payers->is_reliable && make_key(payers, question, &key);
    const struct answer *answer = is_memorable ? recall(payers, &key) : NULL;
    if (answer == NULL) {
        enum table_answer found = look_up(payers, question, &fresh, error);
        if (found != TABLE_FOUND)
            return found;
        if (is_memorable)
            remember(payers, &key, &fresh);
        answer = &fresh;
    }
    if (answer->is_context_unknown)
        warn_context(payers, question->context);
    *payer = answer->payer;
    return TABLE_FOUND;
}

void payers_end_batch(struct payers *payers)
{
    payers->is_checked = false;
}

/* --- life -------------------------------------------------------------------- */

struct payers *payers_new(const struct payers_parts *parts)
{
    struct payers *payers = memory_zero(1, sizeof(*payers));
    payers->secret = siphash_make_secret();
    payers->slots = memory_zero(SLOTS, sizeof(payers->slots[0]));
    payers_configure(payers, parts);
    return payers;
}

void payers_configure(struct payers *payers, const struct payers_parts *parts)
{
    payers->parts = *parts;
    payers->is_checked = false;
    forget_all(payers);
}

void payers_free(struct payers *payers)
{
    if (payers == NULL)
        return;
    free(payers->account);
    free(payers->slots);
    free(payers);
}
