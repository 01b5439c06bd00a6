/* notes.c - what is wrong with accounts that are not paused */
#include "policyd/notes.h"

#include "common/dictionary.h"
#include "common/memory.h"

#include <stdlib.h>
#include <string.h>

struct notes {
    struct dictionary *by_account;
};

struct notes *notes_new(void)
{
    struct notes *notes = memory_zero(1, sizeof(*notes));
    notes->by_account = dictionary_new(free);
    return notes;
}

void notes_free(struct notes *notes)
{
    if (notes == NULL)
        return;
    dictionary_free(notes->by_account);
    free(notes);
}

void notes_put(struct notes *notes, const char *account, const char *cause, int64_t now,
               const void *owner)
{
    const struct note *old = dictionary_find(notes->by_account, account);
    if (old == NULL && dictionary_count(notes->by_account) >= NOTES_MAX)
        return;
    size_t length = strlen(cause);
    struct note *note = memory_zero(1, sizeof(*note) + length + 1);
    note->owner = owner;
    note->since = old != NULL && strcmp(old->cause, cause) == 0 ? old->since : now;
    memcpy(note->cause, cause, length + 1);
    dictionary_put(notes->by_account, account, note);
}

void notes_remove(struct notes *notes, const char *account)
{
    dictionary_remove(notes->by_account, account);
}

/* A note of this owner's. */
struct search {
    const void *owner;
    const char *account; /* found */
};

static void look(void *context, const char *account, void *value)
{
    struct search *search = context;
    const struct note *note = value;
    if (note->owner == search->owner)
        search->account = account;
}

static const char *find_of(const struct notes *notes, const void *owner)
{
    struct search search = {.owner = owner};
    if (dictionary_count(notes->by_account) > 0)
        dictionary_each(notes->by_account, look, &search);
    return search.account;
}

void notes_forget(struct notes *notes, const void *owner)
{
    const char *account;
    while ((account = find_of(notes, owner)) != NULL) {
        char *copy = memory_copy(account);
        dictionary_remove(notes->by_account, copy);
        free(copy);
    }
}

const struct note *notes_find(const struct notes *notes, const char *account)
{
    return dictionary_find(notes->by_account, account);
}
