/* keeper.c - somebody always works
 *
 * Security: stays what it was started as, root in most cases, so that the next worker can read the
 * tables. So it reads nothing but single bytes of its own worker, knows no secret, and has no
 * descriptor but the listening socket. A signal would need a capability to reach a worker that is
 * somebody else's by then; a byte in a socket needs none.
 */
#include "milter/keeper.h"

#include "common/log.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#define READY    'y' /* from the worker: it works */
#define LIFE_MIN 1   /* seconds; one that ended sooner is followed by the next after so long */

enum { WAIT_SIGNALS, WAIT_WORKER, WAITS };

struct state {
    const struct service *service;
    pid_t worker;
    int channel; /* to the worker */
    time_t begun;
    bool was_short; /* the life of the one before */
    int signals;    /* signalfd(2) */
};

static time_t seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

static void set_of_signals(sigset_t *set)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGCHLD};
    sigemptyset(set);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        sigaddset(set, numbers[i]);
}

/* Returns 0 in the worker. */
static pid_t make_worker(struct state *state)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        log_fatal(EX_OSERR, "cannot make a socket for the worker: %s", strerror(errno));
    pid_t pid = fork();
    if (pid < 0)
        log_fatal(EX_OSERR, "cannot make a process for the worker: %s", strerror(errno));
    close(pair[pid == 0 ? 0 : 1]);
    state->worker = pid;
    state->channel = pair[pid == 0 ? 1 : 0];
    state->begun = seconds();
    return pid;
}

/* A worker is as if it had been started so. Who is ready is for the keeper to tell. */
static void become_worker(const struct state *state)
{
    sigset_t none;
    sigemptyset(&none);
    close(state->signals);
    sigprocmask(SIG_SETMASK, &none, NULL);
    unsetenv("NOTIFY_SOCKET");
}

/* The worker sees that its socket has no other end any more. */
__attribute__((noreturn)) static void end(const struct state *state, int status)
{
    if (status == EX_OK)
        service_stopping(state->service);
    exit(status);
}

/* False once the worker is gone, or about to be. */
static bool hear_worker(const struct state *state)
{
    char word = '\0';
    ssize_t length = read(state->channel, &word, 1);
    if (length == 1 && word == READY)
        sd_notify(0, "READY=1");
    return length == 1;
}

/* Obeys and returns false, or true for a worker that may have ended. */
static bool obey_signal(const struct state *state)
{
    struct signalfd_siginfo signal;
    static const char reload = KEEPER_RELOAD;
    if (read(state->signals, &signal, sizeof(signal)) != sizeof(signal))
        return false;
    if (signal.ssi_signo == SIGCHLD)
        return true;
    if (signal.ssi_signo != SIGUSR1)
        end(state, EX_OK);
    if (state->channel >= 0 && send(state->channel, &reload, 1, MSG_NOSIGNAL | MSG_DONTWAIT) != 1)
        log_warning("the worker cannot be told to read its settings again: %s", strerror(errno));
    return false;
}

/* Waits for the end of the worker. Returns its status. */
static int watch_worker(const struct state *state)
{
    struct pollfd waits[WAITS] = {[WAIT_SIGNALS] = {.fd = state->signals, .events = POLLIN},
                                  [WAIT_WORKER] = {.fd = state->channel, .events = POLLIN}};
    int status = 0;
    for (;;) {
        poll(waits, WAITS, -1);
        if (waits[WAIT_WORKER].revents != 0 && !hear_worker(state))
            waits[WAIT_WORKER].fd = -1;
        if ((waits[WAIT_SIGNALS].revents & POLLIN) != 0 && obey_signal(state) &&
            waitpid(state->worker, &status, WNOHANG) == state->worker)
            return status;
    }
}

/* Whether there is no use in another: the configuration is wrong, and the worker has said so. */
static void judge_end(const struct state *state, int status)
{
    if (WIFEXITED(status) && (WEXITSTATUS(status) == EX_CONFIG || WEXITSTATUS(status) == EX_USAGE))
        end(state, WEXITSTATUS(status));
    if (WIFEXITED(status))
        log_warning("the worker, process %d, ended with status %d; another one begins",
                    (int)state->worker, WEXITSTATUS(status));
    else
        log_warning("the worker, process %d, was ended by signal %d; another one begins",
                    (int)state->worker, WTERMSIG(status));
}

/* Workers that cannot live must not keep us busy. A signal to end is obeyed meanwhile. */
static void take_a_breath(struct state *state)
{
    struct pollfd wait = {.fd = state->signals, .events = POLLIN};
    bool is_second = state->was_short;
    state->was_short = seconds() - state->begun <= LIFE_MIN;
    if (is_second && state->was_short && poll(&wait, 1, LIFE_MIN * 1000) > 0)
        obey_signal(state);
}

int keeper_start(const struct service *service, bool *is_first)
{
    struct state state = {.service = service};
    sigset_t set;
    set_of_signals(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
    state.signals = signalfd(-1, &set, SFD_CLOEXEC);
    if (state.signals < 0)
        log_fatal(EX_OSERR, "cannot wait for signals: %s", strerror(errno));
    for (*is_first = true;; *is_first = false) {
        if (make_worker(&state) == 0) {
            become_worker(&state);
            return state.channel;
        }
        judge_end(&state, watch_worker(&state));
        close(state.channel);
        state.channel = -1;
        take_a_breath(&state);
    }
}

void keeper_tell_ready(int channel)
{
    static const char ready = READY;
    if (send(channel, &ready, 1, MSG_NOSIGNAL) != 1)
        log_debug("the keeper has gone");
}
