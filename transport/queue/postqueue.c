/* postqueue.c - runs Postfix's postqueue(1), one at a time */
#include "transport/queue/postqueue.h"

#include "common/log.h"
#include "common/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#define READ_SIZE 65536

struct postqueue {
    struct event_base *base;
    char *program, *config_directory;
    struct event *ended, *deadline;
    const struct postqueue_handler *handler;
    void *context;
    pid_t child; /* 0: none */
    int output;  /* -1: at its end */
    struct event *readable;
    struct evbuffer *bytes;
};

static void close_output(struct postqueue *postqueue)
{
    if (postqueue->output < 0)
        return;
    event_free(postqueue->readable);
    close(postqueue->output);
    postqueue->output = -1;
}

/* Returns whether there may be more. */
static bool read_some(struct postqueue *postqueue)
{
    int length = evbuffer_read(postqueue->bytes, postqueue->output, READ_SIZE);
    if (length == 0)
        close_output(postqueue);
    if (length <= 0)
        return false;
    if (postqueue->handler->output != NULL)
        postqueue->handler->output(postqueue->context, postqueue->bytes);
    else
        evbuffer_drain(postqueue->bytes, evbuffer_get_length(postqueue->bytes));
    return true;
}

static void output_readable(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    read_some(argument);
}

/* It may have ended with output that is still to be read; somebody who has inherited the pipe may
 * hold it open. */
static void child_ended(evutil_socket_t signal, short what, void *argument)
{
    (void)signal;
    (void)what;
    struct postqueue *postqueue = argument;
    int status = 0;
    pid_t pid;
    bool is_ours = false;
    while (!is_ours && (pid = waitpid(-1, &status, WNOHANG)) > 0)
        is_ours = pid == postqueue->child;
    if (!is_ours)
        return;
    while (postqueue->output >= 0 && read_some(postqueue))
        ;
    close_output(postqueue);
    evbuffer_drain(postqueue->bytes, evbuffer_get_length(postqueue->bytes));
    event_del(postqueue->deadline);
    postqueue->child = 0;
    postqueue->handler->ended(postqueue->context, status == 0);
}

static void deadline_passed(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    const struct postqueue *postqueue = argument;
    log_warning("%s has not ended within %d s and is killed", postqueue->program,
                POSTQUEUE_TIMEOUT);
    kill(postqueue->child, SIGKILL);
}

/* With its stdout into `pipe`, if it has one. Returns 0, or the reason as errno has it. */
static int spawn(struct postqueue *postqueue, const char *option, const char *argument, int output)
{
    static char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
    char *const environment[] = {path, NULL};
    char *words[2] = {memory_copy(option), memory_copy(argument)};
    char *const arguments[] = {postqueue->program, (char[]){"-c"}, postqueue->config_directory,
                               words[0],           words[1],       NULL};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    int code =
        posix_spawn(&postqueue->child, postqueue->program, &actions, NULL, arguments, environment);
    posix_spawn_file_actions_destroy(&actions);
    free(words[0]);
    free(words[1]);
    return code;
}

static void watch(struct postqueue *postqueue, int output)
{
    const struct timeval timeout = {.tv_sec = POSTQUEUE_TIMEOUT};
    fcntl(output, F_SETFL, O_NONBLOCK);
    postqueue->output = output;
    postqueue->readable =
        event_new(postqueue->base, output, EV_READ | EV_PERSIST, output_readable, postqueue);
    if (postqueue->readable == NULL || event_add(postqueue->readable, NULL) != 0 ||
        event_add(postqueue->deadline, &timeout) != 0)
        log_fatal(EX_OSERR, "cannot set up the event loop");
}

bool postqueue_run(struct postqueue *postqueue, const char *option, const char *argument,
                   const struct postqueue_handler *handler, void *context)
{
    int pipe[2];
    int code = pipe2(pipe, O_CLOEXEC) == 0 ? 0 : errno;
    if (code == 0) {
        code = spawn(postqueue, option, argument, pipe[1]);
        close(pipe[1]);
        if (code != 0)
            close(pipe[0]);
    }
    if (code != 0) {
        postqueue->child = 0;
        log_warning("%s cannot be run: %s; mail waits for Postfix's next attempt",
                    postqueue->program, strerror(code));
        return false;
    }
    postqueue->handler = handler;
    postqueue->context = context;
    watch(postqueue, pipe[0]);
    return true;
}

bool postqueue_is_running(const struct postqueue *postqueue)
{
    return postqueue->child != 0;
}

struct postqueue *postqueue_new(struct event_base *base, const char *program,
                                const char *config_directory)
{
    struct postqueue *postqueue = memory_zero(1, sizeof(*postqueue));
    postqueue->base = base;
    postqueue->program = memory_copy(program);
    postqueue->config_directory = memory_copy(config_directory);
    postqueue->output = -1;
    postqueue->bytes = evbuffer_new();
    postqueue->ended = evsignal_new(base, SIGCHLD, child_ended, postqueue);
    postqueue->deadline = evtimer_new(base, deadline_passed, postqueue);
    if (postqueue->bytes == NULL || postqueue->deadline == NULL || postqueue->ended == NULL ||
        event_add(postqueue->ended, NULL) != 0)
        log_fatal(EX_OSERR, "cannot set up the event loop");
    return postqueue;
}

void postqueue_free(struct postqueue *postqueue)
{
    if (postqueue == NULL)
        return;
    if (postqueue->child != 0)
        kill(postqueue->child, SIGKILL);
    close_output(postqueue);
    event_free(postqueue->ended);
    event_free(postqueue->deadline);
    evbuffer_free(postqueue->bytes);
    free(postqueue->program);
    free(postqueue->config_directory);
    free(postqueue);
}
