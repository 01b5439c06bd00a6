/* table_file.c - a table whose file is read into memory, and read again when it changes
 *
 * Every look-up begins with one stat(2), for all its keys. A changed file is read when it has been
 * left alone for a moment, so that half of it is not taken for the whole, and a second change
 * cannot hide behind the same time stamp; a look-up waits that moment. The old contents answer
 * until new ones are read: a file that is missing, locked by postmap(1), or no longer readable
 * since root was dropped is reported once and tried again when there is reason to hope.
 */
#include "common/closed_directory.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/table_backend.h"
#include "common/table_helper.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WARNINGS_MAX 20
/* How long a file must have been left alone. More than a tick of the kernel's clock, by which file
 * systems stamp. */
#define QUIET_NANOS 50000000L
/* At the start, how many such moments to wait for a lock or the end of a change. */
#define PATIENCE 20

/* What the admin was told last about a file that cannot be read again. */
enum complaint {
    COMPLAINT_NONE,
    COMPLAINT_MISSING,
    COMPLAINT_LATER,
    COMPLAINT_REFUSED,
};

struct file_table {
    struct table table;
    char *path;
    pthread_mutex_t mutex; /* protects what follows */
    struct table_contents contents;
    uint64_t changes; /* how often the contents were replaced */
    enum complaint complaint;
    struct file_state refused; /* with COMPLAINT_REFUSED: reading this state again is no use */
};

/* --- what the readers use --- */

void table_warn(struct table_warnings *warnings, const char *format, ...)
{
    char text[ERROR_TEXT_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (++warnings->count <= WARNINGS_MAX)
        log_warning("%s: %s", warnings->path, text);
}

void table_warn_rest(const struct table_warnings *warnings)
{
    if (warnings->count > WARNINGS_MAX)
        log_warning("%s: %u more warnings not shown", warnings->path,
                    warnings->count - WARNINGS_MAX);
}

/* What a daemon is told that is nowhere root has no secrets in it. */
static bool error_not_open(const char *path, struct error *error)
{
    const char *suffix = strrchr(path, '.');
    char *directory = closed_directory(path);
    if (directory != NULL)
        error_set(error, "%s: %s; no secret stands in it; run: chmod a+x %s", path,
                  strerror(EACCES), directory);
    else if (suffix != NULL && strcmp(suffix, ".db") == 0)
        error_set(error, "%s: %s; no secret stands in it; run: chmod a+r %.*s %s", path,
                  strerror(EACCES), (int)(suffix - path), path, path);
    else
        error_set(error, "%s: %s; no secret stands in it; run: chmod a+r %s", path,
                  strerror(EACCES), path);
    free(directory);
    return false;
}

static bool error_denied(const char *path, struct error *error)
{
    if (!table_helper_is_possible())
        return error_not_open(path, error);
    return error_set(error, "%s: %s; (re)start %s as root, who may read it", path, strerror(EACCES),
                     program_invocation_short_name);
}

int table_open_descriptor(const char *path, const char *missing_remedy, struct stat *status,
                          enum table_trouble *trouble, struct error *error)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    *trouble = TABLE_TROUBLE_WRONG;
    if (descriptor < 0) {
        if (errno == EACCES) {
            *trouble = TABLE_TROUBLE_DENIED;
            error_denied(path, error);
        } else {
            error_set(error, "%s: %s; %s", path, strerror(errno),
                      errno == ENOENT ? missing_remedy : "check the path and the file system");
        }
        return -1;
    }
    if (fstat(descriptor, status) != 0)
        error_set(error, "%s: %s; check the file system", path, strerror(errno));
    else if (!S_ISREG(status->st_mode))
        error_set(error, "%s: not a regular file; name a file", path);
    else if (status->st_size > (off_t)TABLE_FILE_MAX)
        error_set(error,
                  "%s: larger than %u MB; use a type that is asked through postmap, cdb:", path,
                  TABLE_FILE_MAX >> 20);
    else
        *trouble = TABLE_TROUBLE_NONE;
    if (*trouble == TABLE_TROUBLE_NONE)
        return descriptor;
    close(descriptor);
    return -1;
}

/* --- noticing changes --- */

/* How long until the file will have been left alone; 0 if it has. A time stamp in the future is an
 * old one of another clock. */
static long nanoseconds_to_wait(const struct stat *status)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t age = ((int64_t)now.tv_sec - status->st_mtim.tv_sec) * 1000000000 +
                  (now.tv_nsec - status->st_mtim.tv_nsec);
    return age > -QUIET_NANOS && age < QUIET_NANOS ? (long)(QUIET_NANOS - age) : 0;
}

/* Waits, at most twice QUIET_NANOS, until the file has been left alone. False: it has not. */
static bool await_quiet(const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0)
        return true;
    struct timespec pause = {.tv_nsec = nanoseconds_to_wait(&status)};
    if (pause.tv_nsec == 0)
        return true;
    while (nanosleep(&pause, &pause) != 0 && errno == EINTR)
        ;
    return stat(path, &status) != 0 || nanoseconds_to_wait(&status) == 0;
}

enum table_trouble table_file_read(const struct table_source *source,
                                   struct table_contents *contents, struct error *error)
{
    enum table_trouble trouble = TABLE_TROUBLE_LATER;
    char *path = table_file_behind(source);
    table_reader *reader =
        strcmp(source->type, "texthash") == 0 ? table_read_text : table_read_database;
    if (await_quiet(path))
        trouble = reader(source, path, contents, error);
    else
        error_set(error, "%s: changes all the time; leave it alone for a moment", path);
    free(path);
    return trouble;
}

/* What this user may not read the helper does. */
static enum table_trouble read_quiet_file(const struct file_table *file,
                                          struct table_contents *contents, struct error *error)
{
    enum table_trouble trouble = table_file_read(file->table.source, contents, error);
    return trouble == TABLE_TROUBLE_DENIED ? table_helper_read(file->table.source, contents, error)
                                           : trouble;
}

/* stat(2), also where only root may look. */
static bool look_at(const struct file_table *file, struct stat *status)
{
    return stat(file->path, status) == 0 ||
           (errno == EACCES && table_helper_stat(file->table.source, status));
}

/* Says it once for every change of what there is to say. */
static void complain(struct file_table *file, enum complaint complaint, const char *reason)
{
    if (file->complaint != complaint)
        log_warning("%s: %s; the old contents stay in use", file->table.source->place, reason);
    file->complaint = complaint;
}

static void complain_about_stat(struct file_table *file, int reason)
{
    struct error error;
    if (reason == EACCES)
        error_denied(file->path, &error);
    else
        error_set(&error, "%s: %s; put the file back", file->path, strerror(reason));
    complain(file, COMPLAINT_MISSING, error.text);
}

static void read_again(struct file_table *file, const struct file_state *state)
{
    struct error error;
    struct table_contents contents = {0};
    switch (read_quiet_file(file, &contents, &error)) {
    case TABLE_TROUBLE_NONE:
        log_info("%s: %s changed, read again: %zu entries", file->table.source->place, file->path,
                 dictionary_count(contents.entries));
        dictionary_free(file->contents.entries);
        file->contents = contents;
        file->changes++;
        file->complaint = COMPLAINT_NONE;
        return;
    case TABLE_TROUBLE_LATER:
        complain(file, COMPLAINT_LATER, error.text);
        return;
    case TABLE_TROUBLE_DENIED:
    case TABLE_TROUBLE_WRONG:
        break;
    }
    file->complaint = COMPLAINT_NONE;
    complain(file, COMPLAINT_REFUSED, error.text);
    file->refused = *state;
}

static void notice_change(struct file_table *file)
{
    struct stat status;
    if (!look_at(file, &status)) {
        complain_about_stat(file, errno);
        return;
    }
    const struct file_state state = file_state_of(&status);
    if (file_state_equal(&state, &file->contents.state)) {
        file->complaint = COMPLAINT_NONE;
        return;
    }
    if (file->complaint != COMPLAINT_REFUSED || !file_state_equal(&state, &file->refused))
        read_again(file, &state);
}

static bool refresh(struct table *table, uint64_t *changes)
{
    struct file_table *file = (struct file_table *)table;
    pthread_mutex_lock(&file->mutex);
    notice_change(file);
    *changes = file->changes;
    pthread_mutex_unlock(&file->mutex);
    return true;
}

static enum table_answer find(struct table *table, const char *key, struct table_value *value,
                              struct error *error)
{
    (void)error;
    struct file_table *file = (struct file_table *)table;
    pthread_mutex_lock(&file->mutex);
    enum table_answer answer =
        table_get(file->contents.entries, table->source->content, key, value);
    pthread_mutex_unlock(&file->mutex);
    return answer;
}

static void each(struct table *table, table_visit *visit, void *context)
{
    struct file_table *file = (struct file_table *)table;
    pthread_mutex_lock(&file->mutex);
    table_each(file->contents.entries, table->source->content, visit, context);
    pthread_mutex_unlock(&file->mutex);
}

static bool is_current(struct table *table)
{
    struct file_table *file = (struct file_table *)table;
    struct stat status;
    if (!look_at(file, &status))
        return false;
    const struct file_state state = file_state_of(&status);
    pthread_mutex_lock(&file->mutex);
    bool current = file_state_equal(&state, &file->contents.state);
    pthread_mutex_unlock(&file->mutex);
    return current;
}

/* --- open and close --- */

static void close_file(struct table *table)
{
    struct file_table *file = (struct file_table *)table;
    dictionary_free(file->contents.entries);
    pthread_mutex_destroy(&file->mutex);
    free(file->path);
    free(file);
}

static bool read_patiently(struct file_table *file, enum table_trouble *trouble,
                           struct error *error)
{
    const struct timespec pause = {.tv_nsec = QUIET_NANOS};
    *trouble = read_quiet_file(file, &file->contents, error);
    for (unsigned i = 1; *trouble == TABLE_TROUBLE_LATER && i < PATIENCE; i++) {
        nanosleep(&pause, NULL);
        *trouble = read_quiet_file(file, &file->contents, error);
    }
    return *trouble == TABLE_TROUBLE_NONE;
}

struct table *table_open_file(const struct table_source *source, enum table_trouble *trouble,
                              struct error *error)
{
    static const struct table_operations operations = {.refresh = refresh,
                                                       .find = find,
                                                       .each = each,
                                                       .is_current = is_current,
                                                       .close = close_file};
    if (source->name[0] != '/') {
        error_set(error, "write an absolute path");
        *trouble = TABLE_TROUBLE_WRONG;
        return NULL;
    }
    struct file_table *file = memory_zero(1, sizeof(*file));
    file->table = (struct table){.operations = &operations, .source = source};
    file->path = table_file_behind(source);
    pthread_mutex_init(&file->mutex, NULL);
    if (read_patiently(file, trouble, error))
        return &file->table;
    close_file(&file->table);
    return NULL;
}
