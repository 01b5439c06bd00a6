/* policy.c - what Postfix's smtpd is told about a message
 *
 * Security: sender, login and everything else in a request were chosen by an SMTP client. They are
 * bounded before they are looked up, and never part of an action: a client learns the account's
 * name, its use and its limit, no file name and no parameter's value.
 */
#include "policyd/policy.h"

#include "common/address.h"
#include "common/attr.h"
#include "common/buffer.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/room.h"
#include "policyd/instances.h"
#include "policyd/payers.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Messages between DATA and the end of END-OF-MESSAGE; thousands of smtpd processes have one each.
 */
#define COUNTED_INSTANCES INSTANCES_MAX
/* RCPT requests about that many messages, and none about a later stage: the service counts nothing.
 */
#define SUSPICIOUS_INSTANCES 128
#define SUSPICIOUS_MESSAGES  100

#define CONTEXT_MAX 255
/* Of one kind. Under a flood the first tell the story; Postfix logs every refusal, too. */
#define LINES_PER_MINUTE 60
#define QUEUE_ID_SHOWN   64
#define CLIENT_SHOWN     64
#define SENDER_SHOWN     320
/* An SMTP reply has 512 bytes, Postfix's own words included. */
#define ACCOUNT_SHOWN 128

#define DUNNO             "DUNNO"
#define NO_ACCOUNT        "451 4.3.0 No Microsoft 365 account is known for this sender"
#define LOOKUP_FAILED     "451 4.3.0 Temporary lookup failure"
#define VALUE_IS_TOO_LONG "451 4.3.0 A value in the policy request is too long"

enum stage {
    STAGE_OTHER = POLICY_STAGE_OTHER,
    STAGE_RCPT = POLICY_STAGE_RCPT,
    STAGE_DATA = POLICY_STAGE_DATA,
    STAGE_END_OF_MESSAGE = POLICY_STAGE_END_OF_MESSAGE,
};

/* What we need of a request. */
struct question {
    bool is_policy_request;
    bool is_malformed;
    bool is_too_long;
    enum stage stage;
    uint32_t recipients;
    char sender[ADDRESS_MAX + 1];
    char login[ADDRESS_MAX + 1];
    char instance[INSTANCE_MAX + 1];
    char context[CONTEXT_MAX + 1];
    struct attr queue_id, client; /* for the log; in the request itself */
};

/* Log lines since a minute began. */
struct ration {
    int64_t begin;
    unsigned lines;
};

struct policy {
    struct policy_parts parts;
    struct payers *payers;
    struct buffer text;          /* of the action that is not constant */
    struct instances *counted;   /* messages that were counted */
    struct instances *undecided; /* messages seen at RCPT, until one is seen later */
    bool seen_later;             /* DATA or END-OF-MESSAGE was seen, or we have warned */
    struct ration refusals, failures;
    struct policy_counts counts;
};

static void read_question(const char *request, size_t length, struct question *question);
static void watch_stages(struct policy *policy, const struct question *question);
static const char *look_ahead(struct policy *policy, const struct question *question);
static const char *count_message(struct policy *policy, const struct question *question,
                                 bool *counted);
static const char *check_size(struct policy *policy, const struct question *question);
static const char *find_payer(struct policy *policy, const struct question *question,
                              struct payer *payer);
static const char *refuse(struct policy *policy, const struct question *question,
                          const struct payer *payer, const struct ledger_request *request,
                          const struct ledger_answer *answer);

/* --- one request ------------------------------------------------------------- */

static const char *decide_submission(struct policy *policy, const struct question *question,
                                     bool *counted)
{
    watch_stages(policy, question);
    switch (question->stage) {
    case STAGE_RCPT:
        return look_ahead(policy, question);
    case STAGE_DATA:
    case STAGE_END_OF_MESSAGE:
        return count_message(policy, question, counted);
    case STAGE_OTHER:
        break;
    }
    return DUNNO;
}

static const char *decide_delivery(struct policy *policy, const struct question *question)
{
    bool is_whole = question->stage == STAGE_DATA || question->stage == STAGE_END_OF_MESSAGE;
    return is_whole && question->recipients > 0 ? check_size(policy, question) : DUNNO;
}

/* By its first letters: DUNNO, DEFER, REJECT, 451. */
static enum policy_outcome outcome_of(const struct policy_decision *decision)
{
    const char *action = decision->action;
    if (decision->malformed)
        return POLICY_SENSELESS;
    if (decision->counted)
        return POLICY_COUNTED;
    if (action[0] == 'D')
        return action[1] == 'U' ? POLICY_PASSED : POLICY_DEFERRED;
    return action[0] == 'R' ? POLICY_REJECTED : POLICY_FAILED;
}

void policy_decide(struct policy *policy, const char *request, size_t length,
                   struct policy_decision *decision)
{
    struct question question;
    read_question(request, length, &question);
    *decision = (struct policy_decision){0};
    if (!question.is_policy_request || question.is_malformed) {
        decision->malformed = true;
        decision->action = POLICY_MALFORMED;
    } else if (question.is_too_long) {
        decision->action = VALUE_IS_TOO_LONG;
    } else if (policy->parts.settings->meter == METER_SUBMISSION) {
        decision->action = decide_submission(policy, &question, &decision->counted);
    } else {
        decision->action = decide_delivery(policy, &question);
    }
    policy->counts.decisions[question.stage][outcome_of(decision)]++;
}

const struct policy_counts *policy_counts(const struct policy *policy)
{
    return &policy->counts;
}

bool policy_commit(struct policy *policy, struct error *error)
{
    payers_end_batch(policy->payers);
    bool written = ledger_commit(policy->parts.ledger, error);
    if (written)
        instances_keep(policy->counted);
    else
        instances_undo(policy->counted);
    return written;
}

/* --- reading ----------------------------------------------------------------- */

static void copy_value(const struct attr *attr, char *copy, size_t most, bool *is_too_long)
{
    if (attr->value_length > most) {
        *is_too_long = true;
        return;
    }
    memcpy(copy, attr->value, attr->value_length);
    copy[attr->value_length] = '\0';
}

static enum stage read_stage(const struct attr *attr)
{
    if (attr_has_value(attr, "RCPT"))
        return STAGE_RCPT;
    if (attr_has_value(attr, "DATA"))
        return STAGE_DATA;
    return attr_has_value(attr, "END-OF-MESSAGE") ? STAGE_END_OF_MESSAGE : STAGE_OTHER;
}

/* smtpd sends some thirty attributes: the first letter tells most of them from the nine here. */
static void read_attribute(const struct attr_line *line, struct question *question)
{
    bool *is_too_long = &question->is_too_long;
    struct attr attr;
    switch (line->text[0]) {
    case 'c':
        if (attr_named(line, "client_address", &attr))
            question->client = attr;
        break;
    case 'i':
        if (attr_named(line, "instance", &attr))
            copy_value(&attr, question->instance, INSTANCE_MAX, is_too_long);
        break;
    case 'p':
        if (attr_named(line, "protocol_state", &attr))
            question->stage = read_stage(&attr);
        else if (attr_named(line, "policy_context", &attr))
            copy_value(&attr, question->context, CONTEXT_MAX, is_too_long);
        break;
    case 'q':
        if (attr_named(line, "queue_id", &attr))
            question->queue_id = attr;
        break;
    case 'r':
        if (attr_named(line, "request", &attr))
            question->is_policy_request = attr_has_value(&attr, "smtpd_access_policy");
        else if (attr_named(line, "recipient_count", &attr))
            question->is_malformed |= !attr_number(&attr, &question->recipients);
        break;
    case 's':
        if (attr_named(line, "sender", &attr))
            copy_value(&attr, question->sender, ADDRESS_MAX, is_too_long);
        else if (attr_named(line, "sasl_username", &attr))
            copy_value(&attr, question->login, ADDRESS_MAX, is_too_long);
        break;
    }
}

static void read_question(const char *request, size_t length, struct question *question)
{
    question->is_policy_request = question->is_malformed = question->is_too_long = false;
    question->stage = STAGE_OTHER;
    question->recipients = 0;
    question->sender[0] = question->login[0] = '\0';
    question->instance[0] = question->context[0] = '\0';
    question->queue_id = question->client = (struct attr){.value = ""};
    struct attr_walk walk = {.request = request, .length = length};
    struct attr_line line;
    while (attr_next_line(&walk, &line))
        read_attribute(&line, question);
}

/* --- logging ----------------------------------------------------------------- */

/* Whether one more line of this kind may be logged. */
static bool may_log(struct policy *policy, struct ration *ration, const char *kind)
{
    int64_t now = clock_now(policy->parts.clock);
    if (now >= ration->begin + 60 * CLOCK_SECOND || now < ration->begin)
        *ration = (struct ration){.begin = now};
    if (ration->lines < LINES_PER_MINUTE) {
        ration->lines++;
        return true;
    }
    if (ration->lines == LINES_PER_MINUTE) {
        ration->lines++;
        log_warning("further %s of this minute are left out here; Postfix logs each", kind);
    }
    return false;
}

/* How much of a value is shown, for printf. */
static int shown(const struct attr *attr, size_t most)
{
    return (int)(attr->value_length < most ? attr->value_length : most);
}

/* --- deciding ---------------------------------------------------------------- */

/* A service that is asked about recipients only, never about a whole message, counts nothing. Its
 * administrator would find out from Microsoft. */
static void watch_stages(struct policy *policy, const struct question *question)
{
    if (policy->seen_later || question->stage == STAGE_OTHER)
        return;
    if (question->stage != STAGE_RCPT) {
        policy->seen_later = true;
        return;
    }
    if (question->instance[0] != '\0')
        instances_add(policy->undecided, question->instance);
    if (instances_count(policy->undecided) < SUSPICIOUS_MESSAGES)
        return;
    policy->seen_later = true;
    log_warning(
        "asked about the recipients of %d messages and never about a whole message: nothing "
        "is counted; with post365_meter = submission the service belongs into "
        "smtpd_end_of_data_restrictions",
        SUSPICIOUS_MESSAGES);
}

static const char *look_ahead(struct policy *policy, const struct question *question)
{
    struct payer payer;
    const char *action = find_payer(policy, question, &payer);
    if (action != NULL)
        return action;
    const struct ledger_request request = {payer.account, &payer.quota, 1, 1};
    struct ledger_answer answer;
    ledger_ask(policy->parts.ledger, &request, &answer);
    return refuse(policy, question, &payer, &request, &answer);
}

/* How many messages Microsoft will see: Postfix splits at its own limit for the transport, and
 * where Microsoft's limit for a message is lower, there. */
static uint32_t deliveries(const struct settings *settings, const struct quota *quota,
                           uint32_t recipients)
{
    uint32_t most = quota->recipients_per_message;
    if (settings->recipients_per_delivery > 0 && settings->recipients_per_delivery < most)
        most = settings->recipients_per_delivery;
    return most > 0 ? recipients / most + (recipients % most > 0) : 1;
}

static const char *count_message(struct policy *policy, const struct question *question,
                                 bool *counted)
{
    if (question->recipients == 0)
        return DUNNO;
    /* Another restriction list named the service, too. */
    *counted = question->instance[0] != '\0' && instances_has(policy->counted, question->instance);
    if (*counted)
        return DUNNO;
    struct payer payer;
    const char *action = find_payer(policy, question, &payer);
    if (action != NULL)
        return action;
    const struct ledger_request request = {
        payer.account, &payer.quota, question->recipients,
        deliveries(policy->parts.settings, &payer.quota, question->recipients)};
    struct ledger_answer answer;
    ledger_count(policy->parts.ledger, &request, &answer);
    action = refuse(policy, question, &payer, &request, &answer);
    if (answer.verdict == LEDGER_GRANTED) {
        if (question->instance[0] != '\0')
            instances_add(policy->counted, question->instance);
        *counted = true;
    }
    log_debug("%s: %" PRIu32 " recipients, %" PRIu32 " messages: %s", payer.account,
              request.recipients, request.messages, action);
    return action;
}

/* In delivery meter the transport decides when; what can never go is better refused here, where its
 * sender is told at once. */
static const char *check_size(struct policy *policy, const struct question *question)
{
    struct payer payer;
    const char *action = find_payer(policy, question, &payer);
    if (action == NULL) {
        const struct ledger_request request = {payer.account, &payer.quota, question->recipients,
                                               1};
        struct ledger_answer answer = {.verdict = LEDGER_GRANTED,
                                       .measure = LEDGER_RECIPIENTS,
                                       .rate = payer.quota.recipients};
        if (payer.quota.recipients.limit != QUOTA_UNLIMITED &&
            question->recipients > payer.quota.recipients.limit)
            answer.verdict = LEDGER_NEVER;
        action = refuse(policy, question, &payer, &request, &answer);
    }
    return action;
}

/* --- who pays ---------------------------------------------------------------- */

/* NULL, with `payer` filled in, or the action that says why not. */
static const char *find_payer(struct policy *policy, const struct question *question,
                              struct payer *payer)
{
    struct error error;
    const struct payers_question known = {question->login, question->sender, question->context};
    enum table_answer found = payers_find(policy->payers, &known, payer, &error);
    if (found == TABLE_FOUND)
        return payer->is_nobody ? DUNNO : NULL;
    if (found == TABLE_NONE && policy->parts.settings->meter == METER_DELIVERY)
        return DUNNO; /* it may be mail that never goes to Microsoft */
    if (may_log(policy, &policy->failures, "failures"))
        log_warning("sender=<%.*s> login=<%.*s>: %s", SENDER_SHOWN, question->sender, SENDER_SHOWN,
                    question->login, error.text);
    return found == TABLE_NONE ? NO_ACCOUNT : LOOKUP_FAILED;
}

/* --- what the client reads --------------------------------------------------- */

static void write_later(struct policy *policy, const struct payer *payer, uint32_t wanted,
                        const struct ledger_answer *answer)
{
    struct buffer *text = &policy->text;
    const struct ledger *ledger = policy->parts.ledger;
    int64_t now = ledger_shown(ledger, answer->now);
    int64_t earliest = ledger_shown(ledger, answer->earliest);
    buffer_append_string(text, "DEFER 4.7.1 ");
    switch (answer->obstacle) {
    case LEDGER_QUOTA:
        room_write_used(text, payer->account, answer->used, &answer->rate,
                        answer->measure == LEDGER_RECIPIENTS ? "recipients" : "messages", wanted,
                        earliest, now);
        break;
    case LEDGER_PAUSE:
        room_write_paused(text, payer->account, answer->cause, earliest, now);
        break;
    case LEDGER_ORDER:
        room_write_turn(text, payer->account, earliest, now);
        break;
    }
}

static void write_too_many_recipients(struct policy *policy, const struct payer *payer,
                                      const struct ledger_request *request,
                                      const struct ledger_answer *answer, const char *period)
{
    buffer_format(&policy->text,
                  "REJECT 5.5.3 %" PRIu32 " recipients are more than %.*s may send to: the limit "
                  "is %" PRIu32 " recipients per %s (%s)",
                  request->recipients, ACCOUNT_SHOWN, payer->account, answer->rate.limit, period,
                  payer->is_overridden ? "post365_quota_maps" : "post365_recipient_quota");
}

static void write_too_many_messages(struct policy *policy, const struct payer *payer,
                                    const struct ledger_request *request,
                                    const struct ledger_answer *answer, const char *period)
{
    buffer_format(&policy->text,
                  "REJECT 5.5.3 %" PRIu32 " recipients make %" PRIu32 " messages, more than %.*s "
                  "may send: the limit is %" PRIu32 " messages per %s (%s)",
                  request->recipients, request->messages, ACCOUNT_SHOWN, payer->account,
                  answer->rate.limit, period,
                  payer->is_overridden ? "post365_quota_maps" : "post365_message_quota");
    if (may_log(policy, &policy->failures, "failures"))
        log_warning(
            "a message to %" PRIu32 " recipients makes %" PRIu32 " deliveries and is refused "
            "for good; Postfix makes fewer with a larger default_destination_recipient_limit",
            request->recipients, request->messages);
}

static void write_never(struct policy *policy, const struct payer *payer,
                        const struct ledger_request *request, const struct ledger_answer *answer)
{
    char period[32];
    quota_format_period(answer->rate.period, period, sizeof(period));
    if (answer->measure == LEDGER_RECIPIENTS)
        write_too_many_recipients(policy, payer, request, answer, period);
    else
        write_too_many_messages(policy, payer, request, answer, period);
}

/* Sender and login are a stranger's and may be long: they come last. */
static void log_refusal(struct policy *policy, const struct question *question)
{
    static const char *const stages[] = {[STAGE_OTHER] = "",
                                         [STAGE_RCPT] = "RCPT",
                                         [STAGE_DATA] = "DATA",
                                         [STAGE_END_OF_MESSAGE] = "END-OF-MESSAGE"};
    if (!may_log(policy, &policy->refusals, "refusals"))
        return;
    bool has_queue_id = question->queue_id.value_length > 0;
    log_info("%.*s: %s from client %.*s: %s; sender=<%s> login=<%s>",
             has_queue_id ? shown(&question->queue_id, QUEUE_ID_SHOWN) : QUEUE_ID_SHOWN,
             has_queue_id ? question->queue_id.value : "NOQUEUE", stages[question->stage],
             shown(&question->client, CLIENT_SHOWN), question->client.value, policy->text.data,
             question->sender, question->login);
}

/* The action for the ledger's answer; DUNNO if it is granted. */
static const char *refuse(struct policy *policy, const struct question *question,
                          const struct payer *payer, const struct ledger_request *request,
                          const struct ledger_answer *answer)
{
    buffer_clear(&policy->text);
    switch (answer->verdict) {
    case LEDGER_GRANTED:
        return DUNNO;
    case LEDGER_WAITING:
    case LEDGER_LATER:
        write_later(policy, payer,
                    answer->measure == LEDGER_RECIPIENTS ? request->recipients : request->messages,
                    answer);
        break;
    case LEDGER_NEVER:
        write_never(policy, payer, request, answer);
        break;
    }
    log_refusal(policy, question);
    return policy->text.data;
}

/* --- life -------------------------------------------------------------------- */

static struct payers_parts payers_parts_of(const struct policy_parts *parts)
{
    return (struct payers_parts){.settings = parts->settings,
                                 .identities = parts->identities,
                                 .quota_maps = parts->quota_maps,
                                 .clock = parts->clock};
}

struct policy *policy_new(const struct policy_parts *parts)
{
    const struct payers_parts payers_parts = payers_parts_of(parts);
    struct policy *policy = memory_zero(1, sizeof(*policy));
    policy->counted = instances_new(COUNTED_INSTANCES);
    policy->undecided = instances_new(SUSPICIOUS_INSTANCES);
    policy->parts = *parts;
    policy->payers = payers_new(&payers_parts);
    return policy;
}

void policy_configure(struct policy *policy, const struct policy_parts *parts)
{
    const struct payers_parts payers_parts = payers_parts_of(parts);
    policy->parts = *parts;
    payers_configure(policy->payers, &payers_parts);
}

void policy_free(struct policy *policy)
{
    if (policy == NULL)
        return;
    payers_free(policy->payers);
    buffer_free(&policy->text);
    instances_free(policy->counted);
    instances_free(policy->undecided);
    free(policy);
}
