/* token_subjects.h - what post365-tokend tells of its access tokens
 *
 * Whatever has a token of its own, a registration or a user's grant of one, is a subject
 * (common/oauth2/tokens.h). They are kept for the metrics, and to see when an account is worth
 * another try. There are as many as the settings name, METRICS_ACCOUNTS_MAX at most.
 */
#ifndef POST365_TRANSPORT_TOKEN_SUBJECTS_H
#define POST365_TRANSPORT_TOKEN_SUBJECTS_H

#include "common/buffer.h"
#include "common/oauth2/token_message.h"

#include <stdbool.h>
#include <stdint.h>

struct token_subjects;

struct token_subjects *token_subjects_new(void);
void token_subjects_free(struct token_subjects *subjects);

/* What is new of a subject. */
enum token_news {
    TOKEN_NEWS_NONE,    /* nothing that helps anybody */
    TOKEN_NEWS_FRESH,   /* there is a token: who waits for one can have it */
    TOKEN_NEWS_ANOTHER, /* the same, and it is no mere successor of the one before: something was
                           mended, somebody has logged in, or tokend was started anew */
};

/* `now`: microseconds since the epoch by the system's clock. */
enum token_news token_subjects_note(struct token_subjects *subjects,
                                    const struct token_subject *told, int64_t now);

/* There is no such subject any more; `account` is "" but for one of a user's grant. */
void token_subjects_forget(struct token_subjects *subjects, const char *registration,
                           const char *account);

/* tokend does not tell any more: nothing of them is known, until each is told anew. */
void token_subjects_lose(struct token_subjects *subjects);

/* The samples of those that are known. */
void token_subjects_write(const struct token_subjects *subjects, struct buffer *text);

#endif
