/* listing.c - what is in Postfix's queue, message by message as postqueue(1) tells it */
#include "ctl/queue/listing.h"

#include "common/clock.h"
#include "common/memory.h"
#include "ctl/queue/queue_id.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* Seconds since the epoch that stand in a time of four digits for the year. */
#define ARRIVAL_MAX INT64_C(253402300799)

/* postqueue(1) shows the null sender so. */
#define NULL_SENDER "MAILER-DAEMON"

static const char *const queue_names[LISTING_QUEUES] = {
    [LISTING_DEFERRED] = "deferred", [LISTING_ACTIVE] = "active",     [LISTING_HOLD] = "hold",
    [LISTING_INCOMING] = "incoming", [LISTING_MAILDROP] = "maildrop",
};

const char *listing_queue_name(enum listing_queue queue)
{
    return queue_names[queue];
}

enum listing_queue listing_queue_named(const char *name)
{
    enum listing_queue queue = 0;
    while (queue < LISTING_QUEUES && (name == NULL || strcmp(name, queue_names[queue]) != 0))
        queue++;
    return queue;
}

/* --- a message -------------------------------------------------------------------- */

struct reading {
    struct listing_recipient *recipients;
    size_t capacity;
    bool (*tell)(void *context, const struct listing_message *message);
    void *context;
};

static bool read_recipients(struct reading *reading, const json_t *list,
                            struct listing_message *message)
{
    size_t count = json_array_size(list);
    if (count > reading->capacity) {
        reading->recipients =
            memory_grow(reading->recipients, count * sizeof(*message->recipients));
        reading->capacity = count;
    }
    for (size_t i = 0; i < count; i++) {
        const json_t *recipient = json_array_get(list, i);
        reading->recipients[i] = (struct listing_recipient){
            .address = json_string_value(json_object_get(recipient, "address")),
            .reason = json_string_value(json_object_get(recipient, "delay_reason"))};
        if (reading->recipients[i].address == NULL)
            return false;
    }
    message->recipients = reading->recipients;
    message->recipient_count = count;
    return true;
}

static bool read_message(struct reading *reading, const json_t *object,
                         struct listing_message *message)
{
    *message = (struct listing_message){
        .id = json_string_value(json_object_get(object, "queue_id")),
        .queue = listing_queue_named(json_string_value(json_object_get(object, "queue_name"))),
        .size = json_integer_value(json_object_get(object, "message_size")),
        .sender = json_string_value(json_object_get(object, "sender"))};
    json_int_t arrival = json_integer_value(json_object_get(object, "arrival_time"));
    if (message->id == NULL || !queue_id_is_valid(message->id) ||
        message->queue == LISTING_QUEUES || message->sender == NULL || arrival < 0 ||
        arrival > ARRIVAL_MAX)
        return false;
    message->arrival = arrival * (int64_t)CLOCK_SECOND + queue_id_microseconds(message->id);
    if (strcmp(message->sender, NULL_SENDER) == 0)
        message->sender = "";
    return read_recipients(reading, json_object_get(object, "recipients"), message);
}

/* Returns whether more is wanted. Postfix escapes what JSON cannot hold, but not what is no UTF-8:
 * such a line is passed over, and `*odd` counts it. */
static bool take_line(struct reading *reading, const char *line, size_t length, size_t *odd)
{
    struct listing_message message;
    json_t *object = json_loadb(line, length, JSON_ALLOW_NUL, NULL);
    bool is_fine = object != NULL && read_message(reading, object, &message);
    bool wants_more = !is_fine || reading->tell(reading->context, &message);
    if (!is_fine)
        (*odd)++;
    json_decref(object);
    return wants_more;
}

/* --- the program ------------------------------------------------------------------ */

/* Returns its output, or NULL with the reason. */
static FILE *start(const struct settings *settings, pid_t *child, struct error *error)
{
    int ends[2];
    char *program = memory_format("%s/postqueue", settings->command_directory);
    char *const words[] = {program, (char[]){"-c"}, settings->config_directory, (char[]){"-j"},
                           NULL};
    posix_spawn_file_actions_t actions;
    int code = pipe2(ends, O_CLOEXEC) == 0 ? 0 : errno;
    if (code == 0) {
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
        code = posix_spawn(child, program, &actions, NULL, words, environ);
        posix_spawn_file_actions_destroy(&actions);
        close(ends[1]);
        if (code != 0)
            close(ends[0]);
    }
    if (code != 0)
        error_set(error, "%s: %s; is Postfix installed here?", program, strerror(code));
    free(program);
    return code == 0 ? fdopen(ends[0], "r") : NULL;
}

/* Told no more than it wanted it is ended. */
static bool finish(pid_t child, bool is_cut, struct error *error)
{
    int status = 0;
    if (is_cut)
        kill(child, SIGTERM);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (is_cut || (WIFEXITED(status) && WEXITSTATUS(status) == 0))
        return true;
    if (WIFEXITED(status))
        return error_set(error,
                         "postqueue ended with status %d, what it says is not the whole queue; "
                         "see what it complained of above",
                         WEXITSTATUS(status));
    return error_set(error, "postqueue was ended by signal %d", WTERMSIG(status));
}

bool listing_each(const struct settings *settings,
                  bool (*tell)(void *context, const struct listing_message *message), void *context,
                  struct error *error)
{
    struct reading reading = {.tell = tell, .context = context};
    pid_t child;
    FILE *output = start(settings, &child, error);
    if (output == NULL)
        return false;
    char *line = NULL;
    size_t size = 0, odd = 0;
    ssize_t length;
    bool wants_more = true;
    while (wants_more && (length = getline(&line, &size, output)) >= 0)
        wants_more = take_line(&reading, line, (size_t)length, &odd);
    fclose(output);
    free(line);
    free(reading.recipients);
    bool fine = finish(child, !wants_more, error);
    if (fine && odd > 0)
        fine = error_set(error, "postqueue told %zu messages in a way that makes no sense", odd);
    return fine;
}
