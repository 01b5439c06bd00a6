/* plan_services.c - master.cf: how Postfix delivers to the transport, and what services set apart
 */
#include "ctl/setup/milters.h"
#include "ctl/setup/plan.h"

#include "common/buffer.h"
#include "common/memory.h"

#include <stdlib.h>
#include <string.h>

#define BLANKS         " \t\r\n"
#define FIELDS         7 /* before the command, see master(5) */
#define OPTION         "smtpd_milters"
#define OVERRIDES      "receive_override_options"
#define REWRITTEN_ONCE "no_milters"

/* conf/master.cf says why. */
static const char service[] = "post365   unix  -       -       n       -       500     lmtp\n"
                              "  -o syslog_name=postfix/post365\n"
                              "  -o lmtp_send_xforward_command=yes\n"
                              "  -o lmtp_data_init_timeout=300s\n"
                              "  -o lmtp_connection_cache_on_demand=no\n";

/* --- services as they are written --- */

/* A service with what it overrides. */
struct service {
    const struct text_entry *entry;
    char *type;
    char *command;
    struct text_span milters; /* the value of the last -o smtpd_milters */
    bool sets_milters;
    bool is_braced; /* -o { name = value }, in which blanks are allowed */
    bool skips_milters;
};

/* Takes "name=value" or "{ name = value }" apart. */
static void read_option(const struct text *text, struct text_span option, struct service *found)
{
    bool is_braced = text->data[option.begin] == '{';
    if (is_braced) {
        option.begin++;
        option.end--;
    }
    const char *end = memchr(text->data + option.begin, '=', option.end - option.begin);
    if (end == NULL)
        return;
    struct text_span value = {(size_t)(end - text->data) + 1, option.end}, name = option, rest;
    rest = (struct text_span){option.begin, value.begin - 1};
    if (!text_next(text, BLANKS, &rest, &name))
        return;
    while (value.end > value.begin && strchr(BLANKS, text->data[value.end - 1]) != NULL)
        value.end--;
    char *word = text_copy(text, name), *content = text_copy(text, value);
    if (strcmp(word, OPTION) == 0) {
        found->milters = value;
        found->is_braced = is_braced;
        found->sets_milters = true;
    } else if (strcmp(word, OVERRIDES) == 0) {
        found->skips_milters = strstr(content, REWRITTEN_ONCE) != NULL;
    }
    free(word);
    free(content);
}

static void read_service(const struct text *text, const struct text_entry *entry,
                         struct service *found)
{
    struct text_span rest = entry->span, piece;
    bool is_option = false;
    *found = (struct service){.entry = entry};
    for (size_t i = 0; text_next(text, BLANKS, &rest, &piece); i++) {
        if (i == 1)
            found->type = text_copy(text, piece);
        else if (i == FIELDS)
            found->command = text_copy(text, piece);
        else if (is_option)
            read_option(text, piece, found);
        is_option = i > FIELDS && !is_option && piece.end - piece.begin == 2 &&
                    memcmp(text->data + piece.begin, "-o", 2) == 0;
    }
}

static void release(struct service *found)
{
    free(found->type);
    free(found->command);
}

/* --- smtpd(8) with milters of its own --- */

static bool plan_override(struct plan *plan, const struct service *found, struct error *error)
{
    const struct text *master = &plan->relay->text[RELAY_MASTER];
    struct milters milters;
    if (!milters_read(plan->relay, master, found->milters, &milters, error))
        return false;
    /* An item that follows main.cf's list has what is added there. */
    char *value = text_copy(master, found->milters);
    bool follows =
        strstr(value, "$smtpd_milters") != NULL || strstr(value, "{smtpd_milters}") != NULL;
    free(value);
    if (milters.has_ours || follows)
        return true;
    char *name = memory_format("%s/%s", found->entry->name, found->type);
    char *ours = milters_ours(plan->relay, milters.has_others ||
                                               plan->relay->value[RELAY_SMTPD_MILTERS][0] != '\0');
    plan_change(plan, RELAY_MASTER, name,
                "This service has %s (-o " OPTION "), so that its mail would reach Office 365 with "
                "a foreign sender. It gets post365's.",
                milters.has_others ? "milters of its own" : "no milters");
    edits_add(&plan->edits[RELAY_MASTER], found->entry->span, found->entry->name,
              milters_insert(master, found->entry->span, &milters, ours, ",", ""));
    free(ours);
    free(name);
    return true;
}

static bool plan_smtpd(struct plan *plan, const struct text_entry *entry, struct error *error)
{
    const struct text *master = &plan->relay->text[RELAY_MASTER];
    struct service found;
    bool fine = true;
    read_service(master, entry, &found);
    if (found.command != NULL && strcmp(found.command, "smtpd") == 0) {
        if (found.skips_milters)
            plan_remark(plan,
                        "%s: the service %s has " OVERRIDES "=" REWRITTEN_ONCE
                        ". Mail that comes in "
                        "there is not rewritten, unless it passed another service before.",
                        plan->relay->path[RELAY_MASTER], entry->name);
        else if (found.sets_milters)
            fine = plan_override(plan, &found, error);
    }
    release(&found);
    return fine;
}

/* --- the transport's own service --- */

/* Without layout, to compare by. */
static char *words_of(const struct text *text, const struct text_entry *entry)
{
    struct text_span rest = entry->span, piece;
    struct buffer words = {0};
    while (text_next(text, BLANKS, &rest, &piece)) {
        buffer_append(&words, text->data + piece.begin, piece.end - piece.begin);
        buffer_append_char(&words, ' ');
    }
    return buffer_take(&words);
}

static void plan_own(struct plan *plan)
{
    const struct text *master = &plan->relay->text[RELAY_MASTER];
    const struct text_entry *entry = text_find(master, "post365");
    if (entry == NULL) {
        plan_change(plan, RELAY_MASTER, "post365/unix",
                    "How Postfix hands mail to post365-transport: over LMTP, with time for "
                    "a message to wait for room in the quota.");
        edits_add(&plan->edits[RELAY_MASTER], (struct text_span){master->length, master->length},
                  "post365", memory_copy(service));
        return;
    }
    struct text ours;
    text_read(&ours, service, strlen(service));
    char *have = words_of(master, entry), *want = words_of(&ours, &ours.entries[0]);
    if (strcmp(have, want) != 0)
        plan_remark(plan,
                    "%s: the service post365 is not what post365 comes with. It is left as it "
                    "is; compare it with /usr/share/post365/master.cf.",
                    plan->relay->path[RELAY_MASTER]);
    free(have);
    free(want);
    text_free(&ours);
}

bool plan_services(struct plan *plan, struct error *error)
{
    const struct text *master = &plan->relay->text[RELAY_MASTER];
    for (size_t i = 0; i < master->count; i++)
        if (!plan_smtpd(plan, &master->entries[i], error))
            return false;
    plan_own(plan);
    return true;
}
