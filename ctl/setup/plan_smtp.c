/* plan_smtp.c - what main.cf and master.cf say to smtp(8), and the transport does not do
 *
 * Nothing is changed: smtp(8) may still deliver what transport_maps send elsewhere.
 */
#include "ctl/setup/plan.h"
#include "ctl/smtp_check.h"

#include "common/buffer.h"
#include "common/memory.h"
#include "common/upstream/dial.h"
#include "common/upstream/verify.h"

#include <stdlib.h>
#include <string.h>

#define VALUE_SHOWN "%.80s"

/* Parameters of which the same is to be said. */
struct group {
    const char *text;
    struct buffer names;
};

struct groups {
    struct group *list;
    size_t count;
};

static void note(void *context, const struct smtp_finding *finding)
{
    struct groups *groups = context;
    size_t at = 0;
    if (finding->kind == SMTP_PARAMETER_OWN && finding->service == NULL)
        return;
    while (at < groups->count && strcmp(groups->list[at].text, finding->text) != 0)
        at++;
    if (at == groups->count) {
        groups->list = memory_grow(groups->list, (groups->count + 1) * sizeof(groups->list[0]));
        groups->list[groups->count++] = (struct group){.text = finding->text};
    }
    struct buffer *names = &groups->list[at].names;
    buffer_format(names, "%s%s = " VALUE_SHOWN, names->length > 0 ? ", " : "", finding->name,
                  finding->value);
    if (finding->service != NULL)
        buffer_format(names, " (-o of %s in master.cf)", finding->service);
}

/* What is read, and cannot be kept. */
static void remark_notes(struct plan *plan)
{
    const struct settings *settings = plan->relay->settings;
    struct dial_settings dialling;
    struct error error;
    for (size_t i = 0; i < settings->smtp.note_count; i++)
        plan_remark(plan, "%s.", settings->smtp.notes[i]);
    dial_settings_read(&settings->smtp, &dialling);
    for (size_t i = 0; i < ADDRESS_FAMILIES; i++)
        if (!dial_source_works(&dialling, (enum address_family)i, &error))
            plan_remark(plan, "%s.", error.text);
    if (!verify_ciphers(settings, &error))
        plan_remark(plan, "%s.", error.text);
}

bool plan_smtp(struct plan *plan, struct error *error)
{
    const struct postconf postconf = {.directory = plan->relay->settings->config_directory};
    struct groups groups = {.count = 0};
    remark_notes(plan);
    bool fine = smtp_check(&postconf, note, &groups, error);
    for (size_t i = 0; i < groups.count; i++) {
        if (fine)
            plan_remark(plan, "Without effect on mail through the transport: %s. %s",
                        groups.list[i].names.data, groups.list[i].text);
        buffer_free(&groups.list[i].names);
    }
    free(groups.list);
    return fine;
}
