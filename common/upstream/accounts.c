/* accounts.c - which accounts there are */
#include "common/upstream/accounts.h"

#include "common/address.h"
#include "common/dictionary.h"
#include "common/memory.h"

#include <stdlib.h>

struct visit {
    struct credentials *credentials;
    void (*visit)(void *context, const char *upn);
    void *context;
};

static void note(void *context, const char *upn)
{
    dictionary_put(context, upn, memory_copy(upn));
}

/* It may have no credentials yet: its mail waits where it shall wait. */
static void note_default(struct identities *identities, struct dictionary *all)
{
    struct identity identity;
    struct error error;
    if (identity_find_default(identities, &identity, &error) != TABLE_FOUND)
        return;
    char *folded = address_fold(identity.upn);
    note(all, folded);
    free(folded);
    free(identity.upn);
}

static void visit_ours(void *context, const char *upn, void *value)
{
    const struct visit *visit = context;
    (void)value;
    if (credentials_is_ours(visit->credentials, upn))
        visit->visit(visit->context, upn);
}

void accounts_each(struct credentials *credentials, struct identities *identities,
                   void (*visit)(void *context, const char *upn), void *context)
{
    struct visit ours = {.credentials = credentials, .visit = visit, .context = context};
    struct dictionary *all = dictionary_new(free);
    if (!credentials_each(credentials, note, all))
        identities_each(identities, note, all);
    note_default(identities, all);
    dictionary_each(all, visit_ours, &ours);
    dictionary_free(all);
}
