/* table_postmap.c - any other type of table, asked through postmap(1)
 *
 * regexp:, pcre:, cidr:, ldap:, mysql:, lmdb: and whatever else Postfix supports on this host. One
 * process for each question, a bounded number at a time; answers are kept for a minute, failures
 * never. Where the type has a file, a change of the file makes all answers void.
 *
 * The key goes to postmap's standard input, where it can neither be taken for an option nor be seen
 * in the process list. postmap ends with status 0 and "key<TAB>value", or with status 1 and silence
 * for "not found". Trouble is status 1, too, with a `fatal:` on stderr; warnings alone (of main.cf,
 * of one line of a table) do not change the answer.
 */
#include "common/log.h"
#include "common/memory.h"
#include "common/process.h"
#include "common/table_backend.h"
#include "common/table_cache.h"
#include "common/table_helper.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TIMEOUT        10                /* seconds */
#define CACHE_CAPACITY ((size_t)4 << 20) /* bytes */
#define CACHE_LIFETIME ((int64_t)60 * 1000000)
#define PROCESSES_MAX  8
/* Seconds that a question waits for its turn: with TIMEOUT less than Postfix waits for a milter
 * (milter_command_timeout, 30 s) or a policy service. */
#define PATIENCE   10
#define OUTPUT_MAX (TABLE_KEY_MAX + TABLE_VALUE_MAX + 4096)
/* A question that no table answers by accident, to see whether it can be asked. */
#define PROBE_KEY      "probe@post365.invalid"
#define WARNING_PREFIX "postmap: warning: "
/* A key, which a stranger may have chosen, is shown so that there is room for the rest. It is never
 * part of a command to be tried: a sender's address may hold quotes and backquotes. */
#define SHOWN_KEY "\"%.256s\""

struct postmap_table {
    struct table table;
    char *specification;   /* "ldap:/etc/postfix/x.cf" */
    char *path;            /* the table's file, or NULL */
    atomic_bool is_roots;  /* only the helper may read it */
    pthread_mutex_t mutex; /* protects what follows */
    pthread_cond_t process_ended;
    unsigned processes;
    struct table_cache *cache;
    struct file_state state;
    uint64_t generation; /* counts the changes of `state` */
};

static int64_t monotonic_now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

/* --- the file --- */

char *table_file_behind(const struct table_source *source)
{
    static const struct {
        const char *type, *suffix;
    } suffixes[] = {{"hash", ".db"},   {"btree", ".db"}, {"cdb", ".cdb"},
                    {"lmdb", ".lmdb"}, {"sdbm", ".pag"}, {"dbm", ".pag"}};
    if (source->name[0] != '/')
        return NULL;
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++)
        if (strcmp(source->type, suffixes[i].type) == 0)
            return memory_format("%s%s", source->name, suffixes[i].suffix);
    return memory_copy(source->name);
}

/* --- one question --- */

/* The first line on stderr that is more than a warning, without its end, or NULL. */
static char *find_trouble(char *errors)
{
    char *line;
    while ((line = strsep(&errors, "\n")) != NULL)
        if (line[0] != '\0' && strncmp(line, WARNING_PREFIX, strlen(WARNING_PREFIX)) != 0)
            return line;
    return NULL;
}

static enum table_answer read_value(const struct table_source *source, const char *key,
                                    const struct buffer *output, struct table_value *value,
                                    struct error *error)
{
    size_t key_length = strlen(key);
    if (output->length < key_length + 2 || memcmp(output->data, key, key_length) != 0 ||
        output->data[key_length] != '\t' || output->data[output->length - 1] != '\n') {
        error_set(error,
                  "postmap gives no \"key value\" for key " SHOWN_KEY
                  "; try: postmap -q KEY '%s:%s'",
                  key, source->type, source->name);
        return TABLE_FAILED;
    }
    size_t length = output->length - key_length - 2;
    if (length == 0) {
        error_set(error, "an empty value for key " SHOWN_KEY "; give it a value or take it out",
                  key);
        return TABLE_FAILED;
    }
    *value = table_keep(source->content, output->data + key_length + 1, length);
    return TABLE_FOUND;
}

static bool is_denied(const char *trouble)
{
    return trouble != NULL && strstr(trouble, strerror(EACCES)) != NULL;
}

static enum table_answer interpret(const struct table_source *source, const char *key,
                                   struct process_result *result, struct table_value *value,
                                   struct error *error)
{
    if (result->status == 0)
        return read_value(source, key, &result->output, value, error);
    const char *trouble = result->errors.data != NULL ? find_trouble(result->errors.data) : NULL;
    if (result->status == 1 && trouble == NULL)
        return TABLE_NONE;
    if (is_denied(trouble) && !table_helper_is_possible())
        error_set(error,
                  "%s (status %d) for key " SHOWN_KEY
                  "; no secret stands in it, let everybody read "
                  "it (chmod a+r)",
                  trouble, result->status, key);
    else if (is_denied(trouble))
        error_set(error,
                  "%s (status %d) for key " SHOWN_KEY "; (re)start %s as root, who may read it",
                  trouble, result->status, key, program_invocation_short_name);
    else
        error_set(error, "%s (status %d) for key " SHOWN_KEY "; try: postmap -q KEY '%s:%s'",
                  trouble != NULL ? trouble : "postmap failed", result->status, key, source->type,
                  source->name);
    return TABLE_FAILED;
}

enum table_answer table_ask_postmap(const struct table_source *source, const char *key,
                                    struct table_value *value, struct error *error)
{
    char *specification = memory_format("%s:%s", source->type, source->name);
    const char *const arguments[] = {"postmap",     "-q", "-", "-c", source->config_directory,
                                     specification, NULL};
    struct process_result result;
    char *line = memory_format("%s\n", key);
    enum table_answer answer = TABLE_FAILED;
    if (process_run(arguments, line, strlen(line), TIMEOUT, OUTPUT_MAX, &result, error))
        answer = interpret(source, key, &result, value, error);
    process_result_free(&result);
    free(line);
    free(specification);
    return answer;
}

/* What this user may not read the helper does, from then on. */
static enum table_answer ask(struct postmap_table *postmap, const char *key,
                             struct table_value *value, struct error *error)
{
    const struct table_source *source = postmap->table.source;
    bool asked = false;
    enum table_answer answer = TABLE_FAILED;
    if (!atomic_load(&postmap->is_roots))
        answer = table_ask_postmap(source, key, value, error);
    if (answer != TABLE_FAILED || geteuid() == 0)
        return answer;
    struct error reason = {.text = ""};
    answer = table_helper_find(source, key, value, &asked, &reason);
    if (asked && answer != TABLE_FAILED)
        atomic_store(&postmap->is_roots, true);
    else if (asked)
        *error = reason;
    else if (atomic_exchange(&postmap->is_roots, false))
        return table_ask_postmap(source, key, value, error);
    return asked ? answer : TABLE_FAILED;
}

/* --- the cache --- */

/* The following three are called with the mutex held. */

static void notice_change(struct postmap_table *postmap)
{
    struct stat status;
    struct file_state state = {0};
    if (postmap->path == NULL)
        return;
    if (stat(postmap->path, &status) == 0 ||
        (errno == EACCES && table_helper_stat(postmap->table.source, &status)))
        state = file_state_of(&status);
    if (file_state_equal(&state, &postmap->state))
        return;
    table_cache_clear(postmap->cache);
    postmap->state = state;
    postmap->generation++;
}

static bool find_cached(struct postmap_table *postmap, const char *key, enum table_answer *answer,
                        struct table_value *value)
{
    notice_change(postmap);
    return table_cache_find(postmap->cache, key, monotonic_now(), answer, &value->text);
}

/* Asks with the mutex released. What was read while the file changed is not kept, nor is a secret.
 */
static enum table_answer ask_and_keep(struct postmap_table *postmap, const char *key,
                                      struct table_value *value, struct error *error)
{
    uint64_t generation = postmap->generation;
    postmap->processes++;
    pthread_mutex_unlock(&postmap->mutex);
    enum table_answer answer = ask(postmap, key, value, error);
    pthread_mutex_lock(&postmap->mutex);
    postmap->processes--;
    /* All of them: one that finds its answer in the cache would not wake the next. */
    pthread_cond_broadcast(&postmap->process_ended);
    notice_change(postmap);
    if (answer != TABLE_FAILED && generation == postmap->generation && value->secret == NULL)
        table_cache_store(postmap->cache, key, monotonic_now(), value->text);
    return answer;
}

static bool refresh(struct table *table, uint64_t *changes)
{
    struct postmap_table *postmap = (struct postmap_table *)table;
    pthread_mutex_lock(&postmap->mutex);
    notice_change(postmap);
    *changes = postmap->generation;
    pthread_mutex_unlock(&postmap->mutex);
    return false;
}

static enum table_answer find(struct table *table, const char *key, struct table_value *value,
                              struct error *error)
{
    struct postmap_table *postmap = (struct postmap_table *)table;
    enum table_answer answer = TABLE_FAILED;
    struct timespec deadline;
    *value = (struct table_value){0};
    clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_sec += PATIENCE;
    pthread_mutex_lock(&postmap->mutex);
    bool known = find_cached(postmap, key, &answer, value), in_time = true;
    while (!known && in_time && postmap->processes >= PROCESSES_MAX) {
        in_time = pthread_cond_timedwait(&postmap->process_ended, &postmap->mutex, &deadline) !=
                  ETIMEDOUT;
        known = find_cached(postmap, key, &answer, value);
    }
    if (!known && in_time)
        answer = ask_and_keep(postmap, key, value, error);
    else if (!known)
        error_set(error,
                  "%d other questions were not answered within %d seconds; find out why this is "
                  "slow: postmap -q KEY '%s'",
                  PROCESSES_MAX, PATIENCE, postmap->specification);
    pthread_mutex_unlock(&postmap->mutex);
    return answer;
}

/* --- open and close --- */

/* A server that does not answer now may answer later: that concerns single look-ups. */
static bool may_pass(const char *reason)
{
    return strstr(reason, "query error") != NULL || strstr(reason, "no answer within") != NULL;
}

static bool check(struct table *table, struct error *error)
{
    struct postmap_table *postmap = (struct postmap_table *)table;
    struct table_value value = {0};
    if (ask(postmap, PROBE_KEY, &value, error) != TABLE_FAILED) {
        table_release(&value);
        return true;
    }
    if (may_pass(error->text)) {
        log_warning("%s: %s", table->source->place, error->text);
        return true;
    }
    if (strstr(error->text, "unsupported dictionary type") != NULL)
        return error_set(error,
                         "Postfix does not support tables of type %s here; choose one that "
                         "postconf -m lists, or install the package that has it (postfix-%s)",
                         table->source->type, table->source->type);
    return false;
}

/* Its deadlines are times of CLOCK_MONOTONIC. */
static void init_condition(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

static void close_postmap(struct table *table)
{
    struct postmap_table *postmap = (struct postmap_table *)table;
    table_cache_free(postmap->cache);
    pthread_cond_destroy(&postmap->process_ended);
    pthread_mutex_destroy(&postmap->mutex);
    free(postmap->specification);
    free(postmap->path);
    free(postmap);
}

struct table *table_open_postmap(const struct table_source *source, enum table_trouble *trouble,
                                 struct error *error)
{
    static const struct table_operations operations = {
        .refresh = refresh, .find = find, .check = check, .close = close_postmap};
    struct postmap_table *postmap = memory_zero(1, sizeof(*postmap));
    postmap->table = (struct table){.operations = &operations, .source = source};
    postmap->specification = memory_format("%s:%s", source->type, source->name);
    postmap->path = table_file_behind(source);
    postmap->cache = table_cache_new(CACHE_CAPACITY, CACHE_LIFETIME);
    pthread_mutex_init(&postmap->mutex, NULL);
    init_condition(&postmap->process_ended);
    if (check(&postmap->table, error))
        return &postmap->table;
    *trouble = TABLE_TROUBLE_WRONG;
    close_postmap(&postmap->table);
    return NULL;
}
