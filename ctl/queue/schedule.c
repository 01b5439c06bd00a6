/* schedule.c - when Postfix tries a deferred message again */
#include "ctl/queue/schedule.h"

#include "common/buffer.h"
#include "common/clock.h"
#include "common/memory.h"
#include "common/postconf.h"
#include "ctl/queue/queue_id.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define DEPTH_MAX 5

struct schedule {
    char *directory; /* of the deferred queue; NULL: it is not known how it is laid out */
    size_t depth;    /* of the directories below it */
};

/* hash_queue_names and hash_queue_depth: whether the deferred queue has directories below it. */
static void read_layout(struct schedule *schedule, const char *names, const char *depth)
{
    char *list = memory_copy(names), *rest = list, *name;
    while ((name = strsep(&rest, ", \t")) != NULL)
        if (strcasecmp(name, "deferred") == 0)
            schedule->depth = strtoul(depth, NULL, 10);
    if (schedule->depth > DEPTH_MAX)
        schedule->depth = DEPTH_MAX;
    free(list);
}

struct schedule *schedule_new(const struct settings *settings)
{
    static const char *const expressions[] = {"$hash_queue_names", "$hash_queue_depth"};
    const struct postconf postconf = {.directory = settings->config_directory};
    struct schedule *schedule = memory_zero(1, sizeof(*schedule));
    char *values[2] = {0};
    struct error error;
    if (postconf_expand(&postconf, expressions, 2, values, &error)) {
        read_layout(schedule, values[0], values[1]);
        schedule->directory = memory_format("%s/deferred", settings->queue_directory);
    }
    free(values[0]);
    free(values[1]);
    return schedule;
}

void schedule_free(struct schedule *schedule)
{
    free(schedule->directory);
    free(schedule);
}

/* Short ids begin with the digits that name the directories, long ones have them as microseconds.
 */
int64_t schedule_next(const struct schedule *schedule, const char *queue_id)
{
    char names[DEPTH_MAX + 1];
    struct stat file;
    struct buffer path = {0};
    if (schedule->directory == NULL)
        return 0;
    snprintf(names, sizeof(names), "%05X", queue_id_microseconds(queue_id));
    buffer_append_string(&path, schedule->directory);
    for (size_t i = 0; i < schedule->depth; i++)
        buffer_format(&path, "/%c", names[i]);
    buffer_format(&path, "/%s", queue_id);
    bool is_there = stat(path.data, &file) == 0;
    buffer_free(&path);
    return is_there ? file.st_mtim.tv_sec * (int64_t)CLOCK_SECOND : 0;
}
