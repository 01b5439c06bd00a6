/* notes.h - what is wrong with accounts that are not paused
 *
 * Who sends sees it first: connections that stall, say. He leaves a note for those who ask for the
 * account's status. In memory only; bounded: NOTES_MAX notes, causes of CONTROL_CAUSE_MAX bytes.
 */
#ifndef POST365_POLICYD_NOTES_H
#define POST365_POLICYD_NOTES_H

#include <stdint.h>

#define NOTES_MAX 1000

struct notes;

struct note {
    const void *owner;
    int64_t since;
    char cause[];
};

/* Release with notes_free(). */
struct notes *notes_new(void);
void notes_free(struct notes *notes);

/* Leaves a note of `owner`'s in place of the one that the account (folded) has; one that says the
 * same keeps its time. What is too much is not kept. */
void notes_put(struct notes *notes, const char *account, const char *cause, int64_t now,
               const void *owner);
void notes_remove(struct notes *notes, const char *account);

/* The owner is gone, and his notes with him. */
void notes_forget(struct notes *notes, const void *owner);

/* The account's, or NULL. */
const struct note *notes_find(const struct notes *notes, const char *account);

#endif
