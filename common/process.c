/* process.c - run another program and read what it says
 *
 * One poll(2) loop feeds stdin and collects stdout and stderr, so that no side can block the other.
 *
 * Security: the program gets our environment, but none of our descriptors: those of libraries are
 * not all close-on-exec, and a child that outlives us must not hold our sockets. What it says may
 * be a secret and is wiped.
 */
#include "common/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Milliseconds between two looks at whether the program has ended: while it may still say
 * something, and while it may not. */
#define TICK_TALKING 50
#define TICK_SILENT  1

enum stream { STREAM_INPUT, STREAM_OUTPUT, STREAM_ERRORS, STREAMS };

struct run {
    const char *program;
    pid_t pid;
    bool ended; /* and was waited for: then `status` is as waitpid(2) has it */
    int status;
    struct pollfd streams[STREAMS]; /* our ends; fd -1 once closed */
    const char *input;
    size_t input_length;
    size_t limit;
    int64_t deadline; /* milliseconds, monotonic */
    struct process_result *result;
};

static int64_t monotonic_milliseconds(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static void close_stream(struct run *run, enum stream stream)
{
    if (run->streams[stream].fd >= 0)
        close(run->streams[stream].fd);
    run->streams[stream].fd = -1;
}

/* The caller's PATH is not to be trusted by a program that may run as root. */
static bool find_program(const char *name, char *path, size_t size)
{
    static const char *const directories[] = {"/usr/sbin", "/usr/bin", "/usr/local/sbin", "/sbin",
                                              "/bin"};
    if (strchr(name, '/') != NULL)
        return snprintf(path, size, "%s", name) < (int)size && access(path, X_OK) == 0;
    for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++) {
        snprintf(path, size, "%s/%s", directories[i], name);
        if (access(path, X_OK) == 0)
            return true;
    }
    return false;
}

/* An own process group, so that what the program starts can be ended with it. */
static int set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    int failure = posix_spawnattr_setsigmask(attributes, &none);
    if (failure == 0)
        failure = posix_spawnattr_setsigdefault(attributes, &all);
    if (failure == 0)
        failure = posix_spawnattr_setpgroup(attributes, 0);
    if (failure == 0)
        failure = posix_spawnattr_setflags(
            attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    return failure;
}

static int set_descriptors(posix_spawn_file_actions_t *actions, const int theirs[STREAMS])
{
    int failure = 0;
    for (int i = 0; failure == 0 && i < STREAMS; i++)
        failure = posix_spawn_file_actions_adddup2(actions, theirs[i], i);
    return failure == 0 ? posix_spawn_file_actions_addclosefrom_np(actions, STREAMS) : failure;
}

static int spawn(const char *path, const char *const arguments[], const int theirs[STREAMS],
                 pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int failure = posix_spawn_file_actions_init(&actions);
    if (failure != 0)
        return failure;
    failure = posix_spawnattr_init(&attributes);
    if (failure == 0) {
        failure = set_attributes(&attributes);
        if (failure == 0)
            failure = set_descriptors(&actions, theirs);
        if (failure == 0)
            failure = posix_spawn(pid, path, &actions, &attributes,
                                  (char *const *)(void *)arguments, environ);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return failure;
}

/* Descriptors above 2 on both sides, so that the dup2() calls in the child cannot clobber one
 * another. */
static bool open_streams(int ours[STREAMS], int theirs[STREAMS])
{
    for (int i = 0; i < STREAMS; i++) {
        int pair[2];
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
            return false;
        ours[i] = fcntl(pair[0], F_DUPFD_CLOEXEC, 3);
        theirs[i] = fcntl(pair[1], F_DUPFD_CLOEXEC, 3);
        close(pair[0]);
        close(pair[1]);
        if (ours[i] < 0 || theirs[i] < 0 || fcntl(ours[i], F_SETFL, O_NONBLOCK) != 0)
            return false;
    }
    return true;
}

static void close_all(int descriptors[STREAMS])
{
    for (int i = 0; i < STREAMS; i++)
        if (descriptors[i] >= 0)
            close(descriptors[i]);
}

static bool start(struct run *run, const char *const arguments[], struct error *error)
{
    char path[512];
    if (!find_program(arguments[0], path, sizeof(path)))
        return error_set(error, "%s: not found or not executable; is Postfix installed?",
                         arguments[0]);
    int ours[STREAMS] = {-1, -1, -1}, theirs[STREAMS] = {-1, -1, -1};
    if (!open_streams(ours, theirs)) {
        int reason = errno;
        close_all(ours);
        close_all(theirs);
        return error_set(error, "%s: %s", path, strerror(reason));
    }
    int failure = spawn(path, arguments, theirs, &run->pid);
    close_all(theirs);
    if (failure != 0) {
        close_all(ours);
        return error_set(error, "%s: %s", path, strerror(failure));
    }
    for (int i = 0; i < STREAMS; i++)
        run->streams[i] =
            (struct pollfd){.fd = ours[i], .events = i == STREAM_INPUT ? POLLOUT : POLLIN};
    return true;
}

static void feed_input(struct run *run)
{
    ssize_t sent = send(run->streams[STREAM_INPUT].fd, run->input, run->input_length, MSG_NOSIGNAL);
    if (sent > 0) {
        run->input += sent;
        run->input_length -= (size_t)sent;
    }
    if (run->input_length == 0 || (sent < 0 && errno != EAGAIN && errno != EINTR))
        close_stream(run, STREAM_INPUT);
}

static bool collect(struct run *run, enum stream stream, struct error *error)
{
    struct buffer *buffer = stream == STREAM_OUTPUT ? &run->result->output : &run->result->errors;
    char bytes[8192];
    ssize_t length = read(run->streams[stream].fd, bytes, sizeof(bytes));
    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (length <= 0) {
        close_stream(run, stream);
        return true;
    }
    bool fits = buffer->length + (size_t)length <= run->limit;
    if (fits)
        buffer_append(buffer, bytes, (size_t)length);
    explicit_bzero(bytes, sizeof(bytes));
    return fits || error_set(error, "%s: more than %zu bytes of output", run->program, run->limit);
}

/* Does what can be done without waiting. */
static bool serve_streams(struct run *run, struct error *error)
{
    if (run->streams[STREAM_INPUT].revents != 0 && run->streams[STREAM_INPUT].fd >= 0)
        feed_input(run);
    for (enum stream stream = STREAM_OUTPUT; stream <= STREAM_ERRORS; stream++)
        if (run->streams[stream].revents != 0 && run->streams[stream].fd >= 0 &&
            !collect(run, stream, error))
            return false;
    return true;
}

static bool may_talk(const struct run *run)
{
    return run->streams[STREAM_OUTPUT].fd >= 0 || run->streams[STREAM_ERRORS].fd >= 0;
}

/* Looks whether the program has ended. */
static bool look_for_end(struct run *run, struct error *error)
{
    if (run->ended)
        return true;
    pid_t pid = waitpid(run->pid, &run->status, WNOHANG);
    if (pid < 0 && errno != EINTR) {
        run->ended = true;
        return error_set(error, "%s: its exit status is lost: %s", run->program, strerror(errno));
    }
    run->ended = pid > 0;
    return true;
}

/* Until the program has ended and all that it said is there. What it leaves running behind may keep
 * the streams open, and is not waited for. */
static bool converse(struct run *run, int timeout, struct error *error)
{
    if (run->input_length == 0)
        close_stream(run, STREAM_INPUT);
    for (;;) {
        if (!look_for_end(run, error))
            return false;
        int64_t left = run->deadline - monotonic_milliseconds();
        int64_t tick = may_talk(run) ? TICK_TALKING : TICK_SILENT;
        if (left <= 0 && !run->ended)
            return error_set(error, "%s: no answer within %d seconds", run->program, timeout);
        int wait = run->ended ? 0 : (int)(tick < left ? tick : left);
        int ready = poll(run->streams, STREAMS, wait);
        if (ready < 0 && errno != EINTR)
            return error_set(error, "%s: poll: %s", run->program, strerror(errno));
        if (ready > 0 && !serve_streams(run, error))
            return false;
        if (run->ended && (ready == 0 || !may_talk(run)))
            return true;
    }
}

/* Ends a program that did not end by itself, and whatever it started. */
static void end_program(struct run *run)
{
    if (run->ended)
        return;
    kill(-run->pid, SIGKILL);
    kill(run->pid, SIGKILL); /* it may have left its group */
    while (waitpid(run->pid, &run->status, 0) < 0 && errno == EINTR)
        ;
    run->ended = true;
}

bool process_run(const char *const arguments[], const char *input, size_t input_length, int timeout,
                 size_t limit, struct process_result *result, struct error *error)
{
    *result = (struct process_result){0};
    struct run run = {.program = arguments[0],
                      .input = input,
                      .input_length = input_length,
                      .limit = limit,
                      .deadline = monotonic_milliseconds() + (int64_t)timeout * 1000,
                      .result = result};
    if (!start(&run, arguments, error))
        return false;
    bool complete = converse(&run, timeout, error);
    for (enum stream stream = STREAM_INPUT; stream < STREAMS; stream++)
        close_stream(&run, stream);
    end_program(&run);
    result->status = WIFEXITED(run.status) ? WEXITSTATUS(run.status) : 128 + WTERMSIG(run.status);
    return complete;
}

static void wipe(struct buffer *buffer)
{
    if (buffer->data != NULL)
        explicit_bzero(buffer->data, buffer->capacity);
    buffer_free(buffer);
}

void process_result_free(struct process_result *result)
{
    wipe(&result->output);
    wipe(&result->errors);
}
