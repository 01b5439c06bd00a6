/* widening.c - limits that have become wider while mail waits for them
 *
 * Who was told when there will be room is woken up then. policyd may have read other settings or
 * tables meanwhile: so the ledger is asked now and then what the limits of such an account are, and
 * where one is wider its mail is tried at once.
 */
#include "common/clock.h"
#include "common/dictionary.h"
#include "common/log.h"
#include "common/memory.h"
#include "transport/delivery/parts.h"

#include <stdlib.h>
#include <string.h>

/* What is known of an account of which mail waits for room. */
struct limits {
    struct quota_rate recipients, messages; /* a period of 0: not known yet */
    int64_t until;                          /* when the last that waits has room */
};

/* What a request to the ledger is about. */
struct question {
    struct deliveries *all;
    char account[];
};

static bool is_known(const struct quota_rate *rate)
{
    return rate->limit == QUOTA_UNLIMITED || rate->period > 0;
}

static bool is_wider(const struct quota_rate *now, const struct quota_rate *before)
{
    if (!is_known(before) || before->limit == QUOTA_UNLIMITED)
        return false;
    return now->limit == QUOTA_UNLIMITED || now->limit > before->limit ||
           (now->limit == before->limit && now->period < before->period);
}

void delivery_note_waiting(const struct delivery *delivery, const struct ledger_reply *answer)
{
    struct dictionary *waiting = delivery->all->waiting;
    struct limits *limits = dictionary_find(waiting, delivery->account);
    if (limits == NULL) {
        limits = memory_zero(1, sizeof(*limits));
        dictionary_put(waiting, delivery->account, limits);
    }
    if (answer->earliest > limits->until)
        limits->until = answer->earliest;
    if (answer->measure == LEDGER_REPLY_RECIPIENTS && !is_known(&limits->recipients))
        limits->recipients = answer->rate;
    if (answer->measure == LEDGER_REPLY_MESSAGES && !is_known(&limits->messages))
        limits->messages = answer->rate;
}

static void compare(struct deliveries *all, const char *account, struct limits *limits,
                    const struct ledger_reply *status)
{
    bool has_widened = is_wider(&status->recipients.rate, &limits->recipients) ||
                       is_wider(&status->messages.rate, &limits->messages);
    limits->recipients = status->recipients.rate;
    limits->messages = status->messages.rate;
    if (has_widened) {
        log_info("the limits of account <%s> are wider now: its mail is tried", account);
        wakeup_hasten_account(all->parts.wakeup, account);
    } else if (status->now > limits->until) {
        dictionary_remove(all->waiting, account);
    }
}

static void status_told(void *context, const struct ledger_reply *reply, const struct error *error)
{
    (void)error;
    struct question *question = context;
    struct limits *limits = dictionary_find(question->all->waiting, question->account);
    if (limits != NULL && reply != NULL && reply->result == LEDGER_REPLY_DONE)
        compare(question->all, question->account, limits, reply);
    free(question);
}

static void ask(void *context, const char *account, void *value)
{
    (void)value;
    struct deliveries *all = context;
    const struct ledger_command command = {.kind = LEDGER_COMMAND_STATUS, .account = account};
    size_t length = strlen(account) + 1;
    struct question *question = memory_zero(1, sizeof(*question) + length);
    question->all = all;
    memcpy(question->account, account, length);
    if (ledger_channel_ask(all->parts.channel, &command, status_told, question, NULL) == NULL)
        free(question);
}

void delivery_look_for_width(struct deliveries *all)
{
    dictionary_each(all->waiting, ask, all);
}
