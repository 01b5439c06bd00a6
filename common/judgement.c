/* judgement.c - what comes of a reply: its cause, what Postfix is told, whether somebody must act
 */
#include "common/judgement.h"

#include "common/blanks.h"
#include "common/buffer.h"

#include <string.h>

/* Replies that are quoted in one reply. */
#define QUOTES_MAX 4

/* Whether a permanent code at this stage says nothing about the message itself. */
static bool is_before_message(enum reply_stage stage)
{
    return stage == REPLY_STAGE_CONNECT || stage == REPLY_STAGE_STARTTLS ||
           stage == REPLY_STAGE_AUTH;
}

/* Whether the cause is one of a login, other than that nothing is known about it. */
static bool is_about_login(const struct office365_row *row)
{
    return (row->patterns[0].stages & OFFICE365_AT(REPLY_STAGE_AUTH)) != 0 && !row->may_quote_login;
}

/* The row for the reply to a login that `reply` quotes, or NULL. Office 365 answers MAIL behind a
 * login that failed with "530 5.7.57 Client not authenticated to send mail. Error: 535 5.7.139
 * ...". */
static const struct office365_row *row_quoted(const struct reply *reply)
{
    struct reply quoted[2];
    for (int i = 0; i < QUOTES_MAX; i++) {
        struct reply *next = &quoted[i % 2];
        if (!reply_find(next, reply->text, reply->length, NULL))
            return NULL;
        const struct office365_row *row = office365_explain(next, REPLY_STAGE_AUTH);
        if (is_about_login(row))
            return row;
        reply = next;
    }
    return NULL;
}

/* Of the codes alone: whatever it means, the message was not taken. */
static void take_as_failure(struct judgement *judgement)
{
    if (judgement->code == 421)
        judgement->code = 451;
    if (judgement->code != 0 && judgement->code / 100 != 4 && judgement->code / 100 != 5) {
        judgement->code = 451;
        judgement->enhanced = (struct reply_enhanced){4, 5, 0};
    }
    if (judgement->enhanced.class == 0)
        judgement->enhanced = (struct reply_enhanced){judgement->code / 100, 0, 0};
}

static bool says_temporary(const struct judgement *judgement)
{
    return judgement->code != 0 ? judgement->code / 100 == 4 : judgement->enhanced.class == 4;
}

void judgement_of_reply(const struct reply *reply, enum reply_stage stage,
                        struct judgement *judgement)
{
    unsigned class = reply->code != 0 ? reply->code / 100 : reply->enhanced.class;
    *judgement = (struct judgement){.row = office365_explain(reply, stage),
                                    .stage = stage != REPLY_STAGE_UNKNOWN ? stage : reply->stage,
                                    .code = reply->code,
                                    .enhanced = reply->enhanced,
                                    .is_accepted = class == 2 || class == 3};
    if (judgement->row->told == OFFICE365_TEMPORARY || is_before_message(judgement->stage))
        reply_make_temporary(&judgement->code, &judgement->enhanced);
    take_as_failure(judgement);
    judgement->is_temporary = says_temporary(judgement) && !judgement->is_accepted;
    const struct office365_row *row = judgement->row->may_quote_login ? row_quoted(reply) : NULL;
    if (row != NULL)
        judgement->row = row;
}

void judgement_take_row(struct judgement *judgement, const struct office365_row *row)
{
    judgement->row = row;
    if (row->told == OFFICE365_TEMPORARY)
        reply_make_temporary(&judgement->code, &judgement->enhanced);
    judgement->is_temporary = says_temporary(judgement) && !judgement->is_accepted;
}

/* --- in text ------------------------------------------------------------------------------ */

/* The stage whose words these begin with, "AUTH) ...". */
static enum reply_stage stage_written(const char *words)
{
    for (int stage = REPLY_STAGE_CONNECT; stage < REPLY_STAGES; stage++) {
        const char *name = office365_stage_words((enum reply_stage)stage);
        if (strncmp(words, name, strlen(name)) == 0 && words[strlen(name)] == ')')
            return (enum reply_stage)stage;
    }
    return REPLY_STAGE_UNKNOWN;
}

/* The last "(in reply to STAGE)": the transport writes it behind what the server has said, which
 * may be anything. */
static enum reply_stage last_stage(const char *text)
{
    static const char at[] = "(in reply to ";
    enum reply_stage last = REPLY_STAGE_UNKNOWN;
    while ((text = strstr(text, at)) != NULL) {
        text += strlen(at);
        enum reply_stage stage = stage_written(text);
        last = stage != REPLY_STAGE_UNKNOWN ? stage : last;
    }
    return last;
}

/* "435 4.7.3 host H said: 535 5.7.3 text (in reply to AUTH); name: remedy": the transport's words
 * around a server's. Leaves `reply` as it is where it is none of these. */
static void take_inner(struct reply *reply)
{
    static const char host[] = "host ", said[] = " said: ";
    const char *inner = strstr(reply->text, said);
    if (strncmp(reply->text, host, strlen(host)) != 0 || inner == NULL)
        return;
    inner += strlen(said);
    if (inner[0] < '2' || inner[0] > '5')
        return;
    struct reply found;
    enum reply_stage stage = last_stage(inner);
    if (!reply_find(&found, inner, strlen(inner), NULL) || found.code == 0)
        return;
    found.stage = stage != REPLY_STAGE_UNKNOWN ? stage : reply->stage;
    *reply = found;
}

bool judgement_of_text(const char *text, size_t length, struct reply *reply,
                       struct judgement *judgement, struct error *error)
{
    struct buffer folded = {0};
    blanks_fold(&folded, text, length);
    bool found = reply_find(reply, folded.data, folded.length, error);
    if (found) {
        take_inner(reply);
        judgement_of_reply(reply, REPLY_STAGE_UNKNOWN, judgement);
    }
    buffer_free(&folded);
    return found;
}
