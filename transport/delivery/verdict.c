/* verdict.c - what Postfix is told about a message, and what happens to its account */
#include "transport/delivery/verdict.h"

#include "common/harmless.h"
#include "common/judgement.h"
#include "common/silence.h"

#include <stdio.h>
#include <string.h>

#define WORDS_MAX  420 /* of Microsoft's */
#define REMEDY_MAX 300

/* "5.7.139 ", or nothing. */
static const char *enhanced_text(const struct reply_enhanced *enhanced, char *text, size_t size)
{
    text[0] = '\0';
    if (enhanced->class != 0)
        snprintf(text, size, "%u.%u.%u ", enhanced->class, enhanced->subject, enhanced->detail);
    return text;
}

/* So many bytes of a remedy are whole sentences, REMEDY_MAX at most. */
static int whole_sentences(const char *remedy)
{
    int length = 0;
    for (int i = 0; i < REMEDY_MAX && remedy[i] != '\0'; i++)
        if (remedy[i] == '.' && (remedy[i + 1] == '\0' || remedy[i + 1] == ' '))
            length = i + 1;
    return length;
}

static void judge_reply(const struct reply *reply, enum reply_stage stage, bool is_token,
                        const char *host, struct verdict *verdict)
{
    char said[32], told[32];
    struct judgement judgement;
    judgement_of_reply(reply, stage, &judgement);
    if (is_token)
        judgement_take_row(&judgement, office365_of_token(judgement.row));
    const struct office365_row *row = judgement.row;
    verdict->row = row;
    verdict->name = row->name;
    verdict->account = row->account;
    if (stage == REPLY_STAGE_AUTH && row->account == OFFICE365_ACCOUNT_NOTHING)
        verdict->account = OFFICE365_ACCOUNT_PAUSE_UNTIL_FIXED;
    verdict->end =
        stage == REPLY_STAGE_AUTH ? VERDICT_ENDS_WITH_CREDENTIALS : VERDICT_ENDS_WITH_TIME;
    verdict->is_temporary = judgement.code / 100 == 4;
    enhanced_text(&judgement.enhanced, told, sizeof(told));
    int length = snprintf(verdict->reply, sizeof(verdict->reply),
                          "%u %shost %s said: %u %s%.*s (in reply to %s)", judgement.code, told,
                          host, reply->code, enhanced_text(&reply->enhanced, said, sizeof(said)),
                          WORDS_MAX, reply->text, office365_stage_words(stage));
    verdict->said = strlen(verdict->reply);
    if ((row->needs_admin || verdict->account != OFFICE365_ACCOUNT_NOTHING) && length > 0 &&
        (size_t)length < sizeof(verdict->reply))
        snprintf(verdict->reply + length, sizeof(verdict->reply) - (size_t)length, "; %s: %.*s",
                 row->name, whole_sentences(row->remedy), row->remedy);
}

static void judge_silence(const struct submission_end *end, struct verdict *verdict)
{
    verdict->is_temporary = true;
    verdict->account = end->silence == SILENCE_LOGIN ? OFFICE365_ACCOUNT_PAUSE_UNTIL_FIXED
                                                     : OFFICE365_ACCOUNT_NOTHING;
    verdict->end =
        end->silence == SILENCE_LOGIN ? VERDICT_ENDS_WITH_CREDENTIALS : VERDICT_ENDS_WITH_TIME;
    verdict->name = end->silence != SILENCE_NONE ? silence_name(end->silence) : NULL;
    if (end->is_unknown)
        snprintf(verdict->reply, sizeof(verdict->reply),
                 "451 4.4.2 %.*s; between the final dot and the reply: " SILENCE_DOUBT_WORDS,
                 WORDS_MAX, end->text);
    else
        snprintf(verdict->reply, sizeof(verdict->reply), "451 4.4.1 %.*s (%s)", WORDS_MAX,
                 end->text, office365_stage_words(end->stage));
    verdict->said = strlen(verdict->reply);
}

/* Nobody was asked, for want of a token. Of one that does not come for want of tokend alone nothing
 * follows for the account. */
static void judge_token(const struct submission_end *end, struct verdict *verdict)
{
    const struct entra_row *row = end->token_cause;
    verdict->is_temporary = true;
    verdict->entra = row;
    verdict->name = row->name;
    verdict->end = VERDICT_ENDS_WITH_TOKEN;
    verdict->until = end->is_stopped ? 0 : end->until;
    verdict->account = OFFICE365_ACCOUNT_NOTHING;
    if (end->is_stopped)
        verdict->account = OFFICE365_ACCOUNT_PAUSE_UNTIL_FIXED;
    else if (end->until > 0)
        verdict->account = OFFICE365_ACCOUNT_PAUSE_SHORT;
    int length =
        snprintf(verdict->reply, sizeof(verdict->reply), "451 4.7.0 %.*s", WORDS_MAX, end->text);
    verdict->said = (size_t)length;
    snprintf(verdict->reply + length, sizeof(verdict->reply) - (size_t)length, "; %s: %.*s",
             row->name, whole_sentences(row->remedy), row->remedy);
}

/* What a server says may be anything. */
static void make_harmless(struct verdict *verdict)
{
    char end = verdict->reply[verdict->said];
    verdict->reply[verdict->said] = '\0';
    size_t said = harmless_make(verdict->reply, '?');
    verdict->reply[verdict->said] = end;
    memmove(verdict->reply + said, verdict->reply + verdict->said,
            strlen(verdict->reply + verdict->said) + 1);
    verdict->said = said;
}

void verdict_of_end(const struct submission_end *end, const char *host, struct verdict *verdict)
{
    *verdict = (struct verdict){.is_accepted = false};
    const struct reply *reply = end->reply;
    verdict->is_accepted =
        reply != NULL && end->stage == REPLY_STAGE_END_OF_DATA && reply->code / 100 == 2;
    if (verdict->is_accepted)
        snprintf(verdict->reply, sizeof(verdict->reply), "250 2.0.0 host %s said: %u %.*s", host,
                 reply->code, WORDS_MAX, reply->text);
    else if (reply != NULL)
        judge_reply(reply, end->stage, end->is_token, host, verdict);
    else if (end->token_cause != NULL)
        judge_token(end, verdict);
    else
        judge_silence(end, verdict);
    if (verdict->is_accepted)
        verdict->said = strlen(verdict->reply);
    make_harmless(verdict);
}

void verdict_of_recipient(const struct reply *reply, const char *host, struct verdict *verdict)
{
    *verdict = (struct verdict){.is_accepted = false};
    judge_reply(reply, REPLY_STAGE_RCPT, false, host, verdict);
    make_harmless(verdict);
}

static bool is_name_of_reply(const char *name)
{
    size_t count;
    const struct office365_row *rows = office365_rows(&count);
    for (size_t i = 0; i < count; i++)
        if (strcmp(rows[i].name, name) == 0)
            return true;
    return false;
}

enum verdict_end verdict_end_of_cause(const char *cause)
{
    char name[64], stage[64];
    const char *colon = strstr(cause, ": ");
    size_t length = colon != NULL ? (size_t)(colon - cause) : 0;
    snprintf(name, sizeof(name), "%.*s", (int)(length < sizeof(name) ? length : 0), cause);
    snprintf(stage, sizeof(stage), "(in reply to %s)", office365_stage_words(REPLY_STAGE_AUTH));
    if (entra_named(name) != NULL)
        return VERDICT_ENDS_WITH_TOKEN;
    if (strcmp(name, silence_name(SILENCE_LOGIN)) == 0 ||
        (is_name_of_reply(name) && strstr(cause, stage) != NULL))
        return VERDICT_ENDS_WITH_CREDENTIALS;
    return VERDICT_ENDS_WITH_TIME;
}
