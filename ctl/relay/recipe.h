/* recipe.h - older recipes that rewrite senders
 *
 * The usual ones make every sender and From: the account with lookup tables; the person is lost by
 * that, also for the milter behind. The tables are asked as Postfix would ask them, about a sender
 * that nobody has. Sources: ADDRESS_REWRITING_README, header_checks(5), canonical(5), generic(5).
 */
#ifndef POST365_CTL_RELAY_RECIPE_H
#define POST365_CTL_RELAY_RECIPE_H

#include "common/error.h"
#include "common/settings.h"
#include "common/table.h"

#include <stddef.h>

#define RECIPE_NOBODY "post365.doctor@nowhere.invalid"

struct recipe {
    const char *check; /* the doctor's name for it */
    const char *parameter;
    const char *const *questions;
    const char *answer; /* what a harmful one begins with */
    bool unused_in_delivery, unused_in_submission;
    const char *meaning;
};

extern const struct recipe recipes[];
extern const size_t recipe_count;

/* The recipe that a parameter may hold; NULL: none. */
const struct recipe *recipe_of(const char *parameter);

/* Whether tables, `value` expanded, rewrite a sender that nobody has. TABLE_FOUND: `*harmful` is
 * what they make of it, the caller's to free(). */
enum table_answer recipe_ask(const struct recipe *recipe, const struct settings *settings,
                             const char *value, char **harmful, struct error *error);

#endif
