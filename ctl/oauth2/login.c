/* login.c - post365 login: a user lets post365 send for him
 *
 * By a device code: the user logs in at Microsoft's, in any browser, and enters the code that is
 * shown here. What comes of it post365-tokend keeps; it is never seen here. The login ends with the
 * connection, so that whatever ends this program ends it, too. */
#include "common/clock.h"
#include "ctl/command.h"
#include "ctl/oauth2/asking.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sysexits.h>
#include <unistd.h>

#define TICK     CLOCK_SECOND /* between two pictures of how long it is valid */
#define GRACE    60           /* seconds behind its end, in which tokend says that it has ended */
#define NEW_LINE "\r\033[K"   /* the line anew */

struct login {
    const struct screen *screen;
    const struct settings *settings;
    const char *account;
    struct token_client *client;
    int signals;     /* where they are read */
    int64_t expires; /* the code, in seconds since the epoch */
    bool is_live;    /* on a terminal, where a line is drawn again and again */
};

static int64_t now(void)
{
    return clock_now(clock_system()) / CLOCK_SECOND;
}

/* --- what is shown ------------------------------------------------------------------------ */

static void print_wrapped(const struct login *login, const char *before, const char *after)
{
    struct buffer line = {0};
    buffer_append_string(&line, before);
    screen_text(&line, login->account);
    buffer_append_string(&line, after);
    screen_wrap(login->screen, line.data, 0);
    buffer_free(&line);
}

static void print_large(const struct login *login, const char *text)
{
    struct buffer shown = {0}, line = {0};
    screen_text(&shown, text);
    screen_paint(login->screen, &line, SCREEN_BOLD, shown.data);
    printf("\n    %s\n\n", line.data);
    buffer_free(&shown);
    buffer_free(&line);
}

static void show_code(const struct login *login, const struct token_reply *reply)
{
    print_wrapped(login, "Open this page in any browser and log in as ", ":");
    print_large(login, reply->verification_uri);
    puts("There, enter the code:");
    print_large(login, reply->user_code);
}

static void show_waiting(const struct login *login)
{
    int left = (int)(login->expires - now());
    if (login->is_live)
        printf(NEW_LINE);
    if (left > 0)
        printf("Waiting, %d:%02d left; Ctrl-C ends it.", left / 60, left % 60);
    else
        printf("The code has ended.");
    printf(login->is_live ? "" : "\n");
    fflush(stdout);
}

/* What is said next begins a line. */
static void end_waiting(const struct login *login)
{
    if (login->is_live)
        printf(NEW_LINE);
    fflush(stdout);
}

static int explain_failure(const struct login *login, const struct token_reply *reply)
{
    if (reply->result == TOKEN_REPLY_NONE)
        return command_fail(COMMAND_USAGE, "%s cannot log in: %s", login->account,
                            reply->reason[0] != '\0' ? reply->reason
                                                     : "post365_oauth2_maps has no registration "
                                                       "with `grant = user` for it");
    asking_explain(login->screen, login->settings, login->account, reply);
    return command_fail(COMMAND_ATTENTION,
                        "the login of %s has failed; `post365 token %s` shows "
                        "what there is",
                        login->account, login->account);
}

/* --- waiting --------------------------------------------------------------------------------- */

/* The end of a login that tokend has told. */
static int finish(const struct login *login, const struct token_reply *reply)
{
    int status = COMMAND_FINE;
    struct buffer line = {0};
    end_waiting(login);
    if (!asking_accept(reply, &status))
        return status;
    if (reply->result != TOKEN_REPLY_DONE)
        return explain_failure(login, reply);
    screen_text(&line, reply->user);
    buffer_append_string(&line, " has logged in. post365-tokend has stored it and got a first "
                                "token with it; mail that waits for it goes by itself. `post365 "
                                "token ");
    screen_text(&line, login->account);
    buffer_append_string(&line, "` shows how it stands.");
    screen_wrap(login->screen, line.data, 0);
    buffer_free(&line);
    return COMMAND_FINE;
}

/* Whether a signal has come that ends programs: then this one is ended by it as soon as it is let
 * through. */
static bool take_signal(const struct login *login)
{
    struct signalfd_siginfo signal;
    if (read(login->signals, &signal, sizeof(signal)) != sizeof(signal))
        return false;
    end_waiting(login);
    command_fail(0, "ended; the code is of no use any more, and nothing is stored unless it was "
                    "entered already");
    raise((int)signal.ssi_signo);
    return true;
}

static int wait_for_user(struct login *login)
{
    struct token_reply reply;
    struct error error;
    show_waiting(login);
    while (now() < login->expires + GRACE) {
        enum token_client_next next =
            token_client_next(login->client, TICK, login->signals, &reply, &error);
        if (next == TOKEN_CLIENT_FAILED) {
            end_waiting(login);
            return command_fail(EX_UNAVAILABLE,
                                "%s; nothing is stored unless the code was entered "
                                "already: run this again",
                                error.text);
        }
        if (next == TOKEN_CLIENT_NOTHING && take_signal(login))
            return COMMAND_ATTENTION;
        if (next == TOKEN_CLIENT_REPLY && reply.result != TOKEN_REPLY_WAITING) {
            int status = finish(login, &reply);
            token_reply_release(&reply);
            return status;
        }
        if (next == TOKEN_CLIENT_REPLY)
            login->expires = reply.expires;
        if (login->is_live)
            show_waiting(login);
    }
    end_waiting(login);
    return command_fail(EX_UNAVAILABLE, "post365-tokend says nothing any more; see its log: "
                                        "journalctl -u post365-tokend");
}

/* From here on signals are taken from a descriptor, so that none comes in the middle of a line. */
static int wait_with_signals(struct login *login)
{
    sigset_t signals, before;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGHUP);
    sigprocmask(SIG_BLOCK, &signals, &before);
    login->signals = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    int status = wait_for_user(login);
    if (login->signals >= 0)
        close(login->signals);
    token_client_close(login->client);
    login->client = NULL;
    sigprocmask(SIG_SETMASK, &before, NULL);
    return status;
}

/* --- all of it ---------------------------------------------------------------------------------
 */

static bool is_live(void)
{
    const char *terminal = getenv("TERM");
    return isatty(STDOUT_FILENO) && terminal != NULL && strcmp(terminal, "dumb") != 0;
}

static int log_in(struct login *login)
{
    const struct token_command command = {.kind = TOKEN_COMMAND_LOGIN, .account = login->account};
    struct token_reply reply;
    int status = COMMAND_FINE;
    if (!asking_ask(login->client, &command, &reply, &status))
        return status;
    bool has_code = reply.result == TOKEN_REPLY_CODE;
    if (has_code) {
        login->expires = reply.expires;
        show_code(login, &reply);
    } else {
        status = explain_failure(login, &reply);
    }
    token_reply_release(&reply);
    return has_code ? wait_with_signals(login) : status;
}

int login_run(struct command_call *call, int argc, char *argv[])
{
    static const struct option options[] = {{0}};
    struct asking asking;
    int status = COMMAND_FINE;
    if (command_option(argc, argv, options) != -1)
        return COMMAND_USAGE;
    if (argc - optind != 1)
        return command_fail(COMMAND_USAGE, "usage: post365 login ACCOUNT");
    if (command_check_accounts(argv + optind, 1) != COMMAND_FINE)
        return COMMAND_USAGE;
    if (!asking_open(call, &asking, &status))
        return status;
    if (asking.client == NULL) {
        status = command_fail(EX_CONFIG, "no account logs in with OAuth2: post365_oauth2_maps is "
                                         "empty");
    } else {
        struct login login = {.screen = &call->screen,
                              .settings = asking.settings,
                              .account = argv[optind],
                              .client = asking.client,
                              .is_live = is_live()};
        status = log_in(&login);
        asking.client = login.client;
    }
    asking_close(&asking);
    return status;
}
