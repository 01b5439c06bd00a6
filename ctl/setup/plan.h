/* plan.h - what must change so that the relay sends through post365, and why
 *
 * The state that README.md describes in "Adding it to your relayhost", made of what the relay has.
 */
#ifndef POST365_CTL_SETUP_PLAN_H
#define POST365_CTL_SETUP_PLAN_H

#include "common/error.h"
#include "ctl/relay/judge.h"
#include "ctl/setup/edits.h"
#include "ctl/setup/relay.h"
#include "ctl/setup/takeover.h"

#include <stdbool.h>
#include <stddef.h>

struct change {
    enum relay_file file;
    const char *path; /* of a file that is to be made, in place of `file`; else NULL */
    char *name;       /* of the parameter, or the service */
    char *why;        /* a sentence or two */
};

struct plan {
    const struct relay *relay;
    const struct takeover *takeover;
    struct edits edits[RELAY_FILES];
    struct change *changes;
    size_t change_count;
    char **remarks; /* what is left alone, and what the admin should know of it */
    size_t remark_count;
    char **duties; /* what is wrong, and the admin's to mend */
    size_t duty_count;
};

/* Makes the plan. The relay, which is as it will be with the takeover, and that must outlive it.
 * False with the reason; plan_free() releases what is there in both cases. */
bool plan_make(const struct relay *relay, const struct takeover *takeover, struct plan *plan,
               struct error *error);
void plan_free(struct plan *plan);

/* --- for the parts of a plan --- */

__attribute__((format(printf, 4, 5))) void plan_change(struct plan *plan, enum relay_file file,
                                                       const char *name, const char *why, ...);
__attribute__((format(printf, 2, 3))) void plan_remark(struct plan *plan, const char *format, ...);
__attribute__((format(printf, 2, 3))) void plan_duty(struct plan *plan, const char *format, ...);
/* A duty of what is wrong, a remark of what is doubtful, nothing of what is right: `subject`, and
 * what the judgement means. */
void plan_judged(struct plan *plan, struct judged judged, const char *subject, const char *remedy);

/* Gives a parameter of main.cf a value: in place of the definition that counts, or at the end.
 * `value` may have several lines. */
void plan_set(struct plan *plan, const char *name, const char *value);
/* Puts other lines in place of the definition that counts, and takes earlier ones out. Takes
 * `lines` over. */
void plan_replace(struct plan *plan, const struct text_entry *entry, char *lines);
/* Appends an inline: table with these lines to the tables that a parameter of main.cf lists. */
void plan_add_table(struct plan *plan, const char *name, const char *lines);
/* Takes all its definitions out. */
void plan_remove(struct plan *plan, const char *name);
/* Whether that was done. */
bool plan_removes(const struct plan *plan, const char *name);

/* The parts. False with the reason. */
void plan_oauth2(struct plan *plan);
bool plan_milters(struct plan *plan, struct error *error);
bool plan_transport(struct plan *plan, struct error *error);
bool plan_services(struct plan *plan, struct error *error);
bool plan_relayhost(struct plan *plan, struct error *error);
/* In place of all others, where relayhost is a tenant's mail exchanger. */
void plan_direct_send(struct plan *plan);
bool plan_recipes(struct plan *plan, struct error *error);
bool plan_smtp(struct plan *plan, struct error *error);
void plan_limits(struct plan *plan);
bool plan_remains(struct plan *plan, struct error *error);

#endif
