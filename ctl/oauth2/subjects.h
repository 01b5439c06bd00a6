/* subjects.h - all that post365-tokend knows of tokens */
#ifndef POST365_CTL_OAUTH2_SUBJECTS_H
#define POST365_CTL_OAUTH2_SUBJECTS_H

#include "common/error.h"
#include "common/oauth2/token_client.h"
#include "ctl/oauth2/subject.h"

#include <stdbool.h>
#include <stddef.h>

struct subjects {
    struct subject *list;
    size_t count;
};

/* Finds out all subjects, in tokend's order, and behind them registrations that have none yet;
 * without claims. False with the reason, and nothing is to be released. */
bool subjects_find(struct subjects *subjects, struct token_client *client, struct error *error);

/* Asks for the claims of one, and how it stands now; what is gone meanwhile, or is none yet, stays
 * as it was. False with the reason: tokend could not be asked. */
bool subjects_look(struct subject *subject, struct token_client *client, struct error *error);

void subjects_free(struct subjects *subjects);

#endif
