/* advice.c - what has to be done beside the two files, and what becomes of mail that waits */
#include "ctl/setup/advice.h"

#include "common/memory.h"
#include "common/socket.h"
#include "ctl/relay/backlog.h"
#include "ctl/relay/judge.h"
#include "ctl/setup/show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define START "systemctl enable --now post365-policyd post365-milter post365-transport"

void advice_backlog(const struct setup_call *call, const char *queue_directory, bool comes)
{
    const struct screen *screen = &call->command->screen;
    size_t count;
    if (!backlog_count(queue_directory, &count) || count == 0)
        return;
    const char *wait = count == 1 ? " waits" : "s wait";
    if (comes)
        show_text(screen, call->as_json, "backlog",
                  "%zu message%s in the queue. Nothing is to be done for that: post365-transport "
                  "makes sender and From: right of what passed no milter.",
                  count, wait);
    else
        show_text(screen, call->as_json, "backlog",
                  "%zu message%s in the queue, and will leave by what main.cf says then. What came "
                  "through post365's milter has the mailbox as its sender already; what did not "
                  "(bounces, mail from before) meets Microsoft's refusals again, as it did before "
                  "post365. `post365 queue` shows it; to send it first, wait until it is empty.",
                  count, wait);
}

/* Whether somebody listens there. True where that is no UNIX socket, which may be on another host.
 */
static bool answers(const struct settings *settings)
{
    struct socket_place place;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!socket_parse(settings->milter_socket, settings->queue_directory, &place, NULL) ||
        place.family != SOCKET_UNIX || strlen(place.path) >= sizeof(address.sun_path))
        return true;
    memcpy(address.sun_path, place.path, strlen(place.path) + 1);
    int connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool answers =
        connection >= 0 && connect(connection, (struct sockaddr *)&address, sizeof(address)) == 0;
    if (connection >= 0)
        close(connection);
    return answers;
}

void advice_before(const struct setup_call *call, const struct relay *relay)
{
    if (answers(relay->settings))
        return;
    const char *meanwhile =
        judge_logins_decide(relay->settings)
            ? "Until it does Postfix tells clients to come again (451), since logins decide who "
              "sends"
            : "Until it does who logs in stays unknown, and mail waits for the transport";
    show_text(&call->command->screen, call->as_json, "first",
              "post365-milter does not answer at %s. %s. Better start the daemons first: " START,
              relay->settings->milter_socket, meanwhile);
}

static void tell_commands(const struct setup_call *call, const char *const commands[], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!call->as_json)
            printf("    %s\n", commands[i]);
        else
            show_text(&call->command->screen, true, "next", "%s", commands[i]);
    }
}

/* Tokens first: Postfix hands the mail over that needs them when it is reloaded. */
static void tell_oauth2(const struct setup_call *call, const struct takeover *takeover)
{
    /* It may run already, without what is new. */
    static const char *const start[] = {"post365-tokend -t", "systemctl enable post365-tokend",
                                        "systemctl restart post365-tokend"};
    if (takeover->account_count > 0)
        tell_commands(call, start, sizeof(start) / sizeof(start[0]));
    for (size_t i = 0; i < takeover->account_count; i++)
        if (takeover->accounts[i].is_user) {
            char *login = memory_format("post365 login %s", takeover->accounts[i].account);
            tell_commands(call, (const char *const[]){login}, 1);
            free(login);
        }
}

void advice_after(const struct setup_call *call, const struct relay *relay,
                  const struct takeover *takeover)
{
    static const char *const start[] = {
        "post365-milter -t && post365-policyd -t && post365-transport -t",
        "systemctl enable post365-policyd post365-milter post365-transport",
        /* They may run already, without what is new. */
        "systemctl restart post365-policyd post365-milter post365-transport",
    };
    /* They read main.cf at their start: what setup names in smtpd_milters may be new to them. */
    static const char *const reread[] = {
        "systemctl reload post365-policyd post365-milter post365-transport",
    };
    static const char *const end[] = {"postfix reload", "post365 queue flush"};
    size_t waiting;
    show_text(&call->command->screen, call->as_json, "done",
              "Done; what was there is kept in %s/post365-setup, and post365 setup --undo puts it "
              "back. What comes next:",
              call->config_directory);
    tell_oauth2(call, takeover);
    if (relay->settings->meter == METER_SUBMISSION || !answers(relay->settings))
        tell_commands(call, start, sizeof(start) / sizeof(start[0]));
    else
        tell_commands(call, reread, sizeof(reread) / sizeof(reread[0]));
    bool flushes = backlog_count(relay->settings->queue_directory, &waiting) && waiting > 0;
    tell_commands(call, end, flushes ? 2 : 1);
}
