/* judging.c - what post365-tokend is told of a login with its token, and says to a refusal */
#include "transport/submission/judging.h"

#include "common/log.h"
#include "common/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

/* It asks nobody for that. */
#define PATIENCE 5 /* seconds */

struct judging {
    struct submission_end end;
    struct reply reply; /* whose copies these are */
    char *host;
    struct token_call *call;
    struct event *deadline;
    judging_done *done;
    void *context;
};

static struct token_call *tell(const struct judging_login *login, const char *reply,
                               token_channel_done *done, void *context)
{
    const struct token_command command = {.kind = TOKEN_COMMAND_VERDICT,
                                          .account = login->account,
                                          .id = login->token_id,
                                          .reply = reply};
    return token_channel_ask(login->channel, &command, done, context, NULL);
}

void judging_tell_accepted(const struct judging_login *login)
{
    tell(login, NULL, NULL, NULL);
}

static void release(struct judging *judging)
{
    event_free(judging->deadline);
    free(judging->host);
    free(judging);
}

static void finish(struct judging *judging, bool again)
{
    judging->done(judging->context, again, &judging->end);
    release(judging);
}

static void judged(void *context, struct token_reply *reply, const struct error *error)
{
    (void)error;
    struct judging *judging = context;
    judging->call = NULL;
    finish(judging, reply != NULL && reply->result == TOKEN_REPLY_DONE && reply->again);
}

static void patience_ends(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    struct judging *judging = argument;
    token_channel_cancel(judging->call);
    finish(judging, false);
}

/* As the server sent it, but on one line. */
static char *write_reply(const struct reply *reply)
{
    const struct reply_enhanced *enhanced = &reply->enhanced;
    if (enhanced->class == 0)
        return memory_format("%u %s", reply->code, reply->text);
    return memory_format("%u %u.%u.%u %s", reply->code, enhanced->class, enhanced->subject,
                         enhanced->detail, reply->text);
}

struct judging *judging_begin(const struct judging_login *login, const struct submission_end *end,
                              judging_done *done, void *context)
{
    const struct timeval patience = {.tv_sec = PATIENCE};
    struct judging *judging = memory_zero(1, sizeof(*judging));
    judging->reply = *end->reply;
    judging->host = memory_copy(end->host);
    judging->end = *end;
    judging->end.reply = &judging->reply;
    judging->end.host = judging->host;
    judging->done = done;
    judging->context = context;
    judging->deadline = evtimer_new(login->base, patience_ends, judging);
    if (judging->deadline == NULL || event_add(judging->deadline, &patience) != 0)
        log_fatal(EX_OSERR, "cannot set up the event loop");
    char *text = write_reply(end->reply);
    judging->call = tell(login, text, judged, judging);
    free(text);
    if (judging->call != NULL)
        return judging;
    release(judging);
    return NULL;
}

void judging_cancel(struct judging *judging)
{
    if (judging == NULL)
        return;
    token_channel_cancel(judging->call);
    release(judging);
}
