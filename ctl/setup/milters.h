/* milters.h - lists of milters, in main.cf and behind -o in master.cf */
#ifndef POST365_CTL_SETUP_MILTERS_H
#define POST365_CTL_SETUP_MILTERS_H

#include "common/error.h"
#include "ctl/relay/text.h"
#include "ctl/setup/relay.h"

#include <stdbool.h>
#include <stddef.h>

struct milters {
    struct text_span value; /* the list */
    bool has_ours;
    bool has_others;
    bool has_signer;
    bool is_ours_alone;    /* the piece that is ours holds nothing else */
    struct text_span ours; /* that piece */
    char action[16];       /* its own default_action; "": none */
    char protocol[8];      /* likewise */
    size_t signer;         /* where the first one begins that signs */
    size_t end;            /* behind the last piece, or where the first would begin */
};

/* Looks at the list in a span of a text. False with the reason. */
bool milters_read(const struct relay *relay, const struct text *text, struct text_span value,
                  struct milters *milters, struct error *error);

/* How post365's milter is written into a list. What it needs, and main.cf does not have for all
 * milters, is said of it alone. The caller's to free(). */
char *milters_ours(const struct relay *relay);

/* Whether the piece that is ours must be written anew: what it does while the milter is down, or
 * the protocol that it speaks. Why, as a sentence; NULL: it need not. */
const char *milters_faulty(const struct relay *relay, const struct milters *milters);

/* A copy of `whole` with `ours` in the place of the piece that is ours, but for the references to
 * parameters at its end, and with `behind` at the list's end. The caller's to free(). */
char *milters_replace(const struct text *text, struct text_span whole,
                      const struct milters *milters, const char *ours, const char *behind);

/* A copy of `whole`, which holds the list, with `ours` (unless it is "") behind those that filter
 * and before those that sign, and with `behind` at the list's end. The caller's to free(). */
char *milters_insert(const struct text *text, struct text_span whole, const struct milters *milters,
                     const char *ours, const char *separator, const char *behind);

#endif
