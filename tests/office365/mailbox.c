/* mailbox.c - the tenant's mailboxes: credentials, rights, state, and what each has sent */
#include "mailbox.h"

#include "allocate.h"
#include "encoding.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

struct mailboxes {
    void *tree; /* of tsearch(3), by UPN */
    struct mailbox *first;
    struct mailbox **end;
};

static int compare(const void *left, const void *right)
{
    const struct mailbox *a = left, *b = right;

    return strcasecmp(a->upn, b->upn);
}

struct mailboxes *mailboxes_create(void)
{
    struct mailboxes *mailboxes = allocate(sizeof *mailboxes);

    mailboxes->end = &mailboxes->first;
    return mailboxes;
}

static void mailbox_free(struct mailbox *mailbox)
{
    free(mailbox->upn);
    free(mailbox->password);
    list_clear(&mailbox->tokens);
    list_clear(&mailbox->send_as);
    window_clear(&mailbox->recipients);
    window_clear(&mailbox->messages);
    tally_clear(&mailbox->tally);
    free(mailbox);
}

void mailboxes_free(struct mailboxes *mailboxes)
{
    struct mailbox *mailbox, *next;

    if (mailboxes == NULL)
        return;
    for (mailbox = mailboxes->first; mailbox != NULL; mailbox = next) {
        next = mailbox->next;
        tdelete(mailbox, &mailboxes->tree, compare);
        mailbox_free(mailbox);
    }
    free(mailboxes);
}

struct mailbox *mailboxes_find(const struct mailboxes *mailboxes, const char *upn)
{
    const struct mailbox wanted = {.upn = (char *)upn};
    struct mailbox **found = tfind(&wanted, &mailboxes->tree, compare);

    return found != NULL ? *found : NULL;
}

struct mailbox *mailboxes_first(const struct mailboxes *mailboxes)
{
    return mailboxes->first;
}

static struct mailbox *add(struct mailboxes *mailboxes, const char *upn)
{
    struct mailbox *mailbox = allocate(sizeof *mailbox);

    mailbox->upn = duplicate(upn);
    if (tsearch(mailbox, &mailboxes->tree, compare) == NULL)
        abort();
    *mailboxes->end = mailbox;
    mailboxes->end = &mailbox->next;
    return mailbox;
}

static bool read_password(struct mailbox *mailbox, const json_t *value, struct problem *problem)
{
    if (!json_is_string(value) && !json_is_null(value))
        return problem_set(problem, "\"password\" must be a string or null");
    free(mailbox->password);
    mailbox->password = duplicate(json_string_value(value));
    return true;
}

static bool read_switch(struct mailbox *mailbox, const json_t *value, struct problem *problem)
{
    if (!json_is_boolean(value) && !json_is_null(value))
        return problem_set(problem, "\"smtp_auth\" must be true, false, or null (as the tenant)");
    mailbox->smtp_auth = json_is_null(value)   ? SWITCH_TENANT
                         : json_is_true(value) ? SWITCH_ENABLED
                                               : SWITCH_DISABLED;
    return true;
}

static bool read_state(struct mailbox *mailbox, const json_t *value, struct problem *problem)
{
    const char *name = json_string_value(value);

    if (name == NULL || !reply_find(name, &mailbox->state))
        return problem_set(problem, "\"state\" must be \"ok\" or the name of a reply");
    return true;
}

static bool read_field(struct mailbox *mailbox, const char *name, const json_t *value,
                       struct problem *problem)
{
    if (strcmp(name, "password") == 0)
        return read_password(mailbox, value, problem);
    if (strcmp(name, "tokens") == 0)
        return list_read(&mailbox->tokens, name, value, problem);
    if (strcmp(name, "send_as") == 0)
        return list_read(&mailbox->send_as, name, value, problem);
    if (strcmp(name, "smtp_auth") == 0)
        return read_switch(mailbox, value, problem);
    if (strcmp(name, "state") == 0)
        return read_state(mailbox, value, problem);
    if (strcmp(name, "limits") == 0) {
        if (!json_is_null(value))
            return limits_read(&mailbox->own, value, problem);
        mailbox->own.set = 0;
        return true;
    }
    return problem_set(problem, "a mailbox has no \"%s\"", name);
}

static bool read_all(struct mailbox *mailbox, const json_t *value, struct problem *problem)
{
    const char *name;
    json_t *item;

    json_object_foreach((json_t *)value, name, item)
    {
        if (!read_field(mailbox, name, item, problem))
            return false;
    }
    return true;
}

bool mailboxes_apply(struct mailboxes *mailboxes, const char *upn, const json_t *value,
                     struct problem *problem)
{
    struct mailbox *trial, *mailbox;
    bool sound;

    if (strchr(upn, '@') == NULL || !json_is_object(value))
        return problem_set(problem, "mailbox \"%s\": needs a UPN (name@domain) and an object", upn);
    trial = allocate(sizeof *trial); /* a rehearsal, so that a mistake changes nothing */
    sound = read_all(trial, value, problem);
    mailbox_free(trial);
    if (!sound)
        return false;
    mailbox = mailboxes_find(mailboxes, upn);
    return read_all(mailbox != NULL ? mailbox : add(mailboxes, upn), value, problem);
}

bool mailbox_may_send_as(const struct mailbox *mailbox, const char *address)
{
    return strcasecmp(mailbox->upn, address) == 0 || list_covers(&mailbox->send_as, address);
}

void mailbox_accept(struct mailbox *mailbox, const struct limits *limits, int64_t now,
                    int64_t recipients)
{
    window_add(&mailbox->recipients, now, limits->value[LIMIT_RECIPIENTS_PERIOD], recipients);
    window_add(&mailbox->messages, now, limits->value[LIMIT_MESSAGES_PERIOD], 1);
    mailbox->tally.accepted++;
    mailbox->tally.recipients_accepted += recipients;
}

void mailbox_reset(struct mailbox *mailbox)
{
    window_clear(&mailbox->recipients);
    window_clear(&mailbox->messages);
    tally_clear(&mailbox->tally);
    mailbox->connections.most = mailbox->connections.now;
    mailbox->sending.most = mailbox->sending.now;
}

static json_t *describe_window(struct window *window, int64_t now, int64_t period)
{
    json_t *description = json_object();

    encoding_set(description, "used", json_integer(window_used(window, now, period)));
    encoding_set(description, "max", json_integer(window->most));
    return description;
}

static json_t *describe_gauge(const struct gauge *gauge)
{
    json_t *description = json_object();

    encoding_set(description, "now", json_integer(gauge->now));
    encoding_set(description, "max", json_integer(gauge->most));
    return description;
}

json_t *mailbox_describe(struct mailbox *mailbox, const struct limits *limits, int64_t now)
{
    json_t *description = tally_describe(&mailbox->tally);

    encoding_set(
        description, "recipients",
        describe_window(&mailbox->recipients, now, limits->value[LIMIT_RECIPIENTS_PERIOD]));
    encoding_set(description, "messages",
                 describe_window(&mailbox->messages, now, limits->value[LIMIT_MESSAGES_PERIOD]));
    encoding_set(description, "connections", describe_gauge(&mailbox->connections));
    encoding_set(description, "sending", describe_gauge(&mailbox->sending));
    encoding_set(description, "state", json_string(reply_name(mailbox->state)));
    encoding_set(description, "limits", limits_describe(limits));
    return description;
}

void gauge_up(struct gauge *gauge)
{
    if (++gauge->now > gauge->most)
        gauge->most = gauge->now;
}

void gauge_down(struct gauge *gauge)
{
    gauge->now--;
}

void tally_refuse(struct tally *tally, const char *text)
{
    char *key = reply_key(text);
    json_int_t before;

    if (tally->replies == NULL)
        tally->replies = json_object();
    before = json_integer_value(json_object_get(tally->replies, key));
    encoding_set(tally->replies, key, json_integer(before + 1));
    free(key);
}

json_t *tally_describe(const struct tally *tally)
{
    json_t *description = json_object();

    encoding_set(description, "accepted", json_integer(tally->accepted));
    encoding_set(description, "recipients_accepted", json_integer(tally->recipients_accepted));
    encoding_set(description, "refused", json_integer(tally->refused));
    encoding_set(description, "replies",
                 tally->replies != NULL ? json_deep_copy(tally->replies) : json_object());
    return description;
}

void tally_clear(struct tally *tally)
{
    json_decref(tally->replies);
    *tally = (struct tally){.replies = NULL};
}
