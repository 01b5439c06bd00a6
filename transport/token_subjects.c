/* token_subjects.c - what post365-tokend tells of its access tokens */
#include "transport/token_subjects.h"

#include "common/clock.h"
#include "common/dictionary.h"
#include "common/memory.h"
#include "common/metrics/exposition.h"

#include <stdlib.h>
#include <string.h>

struct known {
    bool is_told; /* else all but `id` and `grant_since` is of no use */
    bool is_failing;
    bool is_lost; /* tokend was away, and has told no token since */
    enum token_state state;
    int64_t expires, credential_ends, failed_since; /* microseconds since the epoch; 0: never */
    int64_t grant_since;
    uint64_t requests, refused;
    char id[TOKEN_ID_LENGTH + 1];
    char *account; /* behind the registration's path */
    char registration[];
};

struct token_subjects {
    struct dictionary *all;
};

struct token_subjects *token_subjects_new(void)
{
    struct token_subjects *subjects = memory_zero(1, sizeof(*subjects));
    subjects->all = dictionary_new(free);
    return subjects;
}

void token_subjects_free(struct token_subjects *subjects)
{
    if (subjects == NULL)
        return;
    dictionary_free(subjects->all);
    free(subjects);
}

/* A path has no line end, or would not have come over the socket. The caller's to free(). */
static char *key_of(const char *registration, const char *account)
{
    return memory_format("%s\n%s", registration, account);
}

static struct known *new_known(const struct token_subject *told)
{
    size_t path = strlen(told->registration) + 1, account = strlen(told->account) + 1;
    struct known *known = memory_zero(1, sizeof(*known) + path + account);
    memcpy(known->registration, told->registration, path);
    known->account = known->registration + path;
    memcpy(known->account, told->account, account);
    return known;
}

/* NULL: there are too many. */
static struct known *find_or_add(struct token_subjects *subjects, const struct token_subject *told)
{
    char *key = key_of(told->registration, told->account);
    struct known *known = dictionary_find(subjects->all, key);
    if (known == NULL && dictionary_count(subjects->all) < METRICS_ACCOUNTS_MAX) {
        known = new_known(told);
        dictionary_put(subjects->all, key, known);
    }
    free(key);
    return known;
}

static bool is_failing(const struct token_subject *told)
{
    return told->cause[0] != '\0' || told->state == TOKEN_STATE_WAITING ||
           told->state == TOKEN_STATE_STOPPED;
}

/* A token that comes for another in the ordinary course is no news for whom that did not help. */
static bool is_another(const struct known *known, const struct token_subject *told)
{
    bool was_lost = known->is_lost && known->id[0] != '\0';
    return strcmp(known->id, told->id) != 0 &&
           (known->is_failing || was_lost || known->grant_since != told->grant_since);
}

static void keep(struct known *known, const struct token_subject *told, int64_t now)
{
    bool works = told->state == TOKEN_STATE_FRESH && told->cause[0] == '\0';
    known->is_told = true;
    known->is_failing = is_failing(told) || (known->is_failing && !works);
    known->state = told->state;
    known->expires = told->has_token ? now + told->left * CLOCK_SECOND : 0;
    known->credential_ends = told->credential_ends * CLOCK_SECOND;
    known->failed_since = told->failed_since * CLOCK_SECOND;
    known->requests = told->requests;
    known->refused = told->refused;
    if (!told->has_token)
        return;
    known->is_lost = false;
    known->grant_since = told->grant_since;
    memcpy(known->id, told->id, sizeof(known->id));
}

enum token_news token_subjects_note(struct token_subjects *subjects,
                                    const struct token_subject *told, int64_t now)
{
    struct known *known = find_or_add(subjects, told);
    bool is_fresh = told->has_token && told->left > 0;
    bool is_new = is_fresh && known != NULL && is_another(known, told);
    if (known != NULL)
        keep(known, told, now);
    if (!is_fresh)
        return TOKEN_NEWS_NONE;
    return is_new ? TOKEN_NEWS_ANOTHER : TOKEN_NEWS_FRESH;
}

void token_subjects_forget(struct token_subjects *subjects, const char *registration,
                           const char *account)
{
    char *key = key_of(registration, account);
    dictionary_remove(subjects->all, key);
    free(key);
}

static void lose(void *context, const char *key, void *value)
{
    struct known *known = value;
    (void)context;
    (void)key;
    known->is_told = false;
    known->is_lost = true;
}

void token_subjects_lose(struct token_subjects *subjects)
{
    dictionary_each(subjects->all, lose, NULL);
}

/* --- metrics ------------------------------------------------------------------- */

struct writing {
    struct buffer *text;
    const char *name;
    void (*write)(const struct writing *writing, const struct known *known,
                  const struct exposition_label labels[2]);
};

static void write_state(const struct writing *writing, const struct known *known,
                        const struct exposition_label labels[2])
{
    const struct exposition_label all[] = {
        labels[0], labels[1], {"state", token_state_name(known->state)}};
    exposition_integer(writing->text, writing->name, all, 3, 1);
}

static void write_time(const struct writing *writing, const struct exposition_label labels[2],
                       int64_t time)
{
    if (time > 0)
        exposition_seconds(writing->text, writing->name, labels, 2, time);
}

static void write_expires(const struct writing *writing, const struct known *known,
                          const struct exposition_label labels[2])
{
    write_time(writing, labels, known->expires);
}

static void write_credential_ends(const struct writing *writing, const struct known *known,
                                  const struct exposition_label labels[2])
{
    write_time(writing, labels, known->credential_ends);
}

static void write_failed_since(const struct writing *writing, const struct known *known,
                               const struct exposition_label labels[2])
{
    write_time(writing, labels, known->failed_since);
}

static void write_requests(const struct writing *writing, const struct known *known,
                           const struct exposition_label labels[2])
{
    exposition_integer(writing->text, writing->name, labels, 2, known->requests);
}

static void write_refused(const struct writing *writing, const struct known *known,
                          const struct exposition_label labels[2])
{
    exposition_integer(writing->text, writing->name, labels, 2, known->refused);
}

static void write_known(void *context, const char *key, void *value)
{
    const struct writing *writing = context;
    const struct known *known = value;
    const struct exposition_label labels[] = {{"registration", known->registration},
                                              {"account", known->account}};
    (void)key;
    if (known->is_told)
        writing->write(writing, known, labels);
}

static void count_told(void *context, const char *key, void *value)
{
    const struct known *known = value;
    (void)key;
    *(size_t *)context += known->is_told;
}

/* A family without samples is none. */
static bool is_any_told(const struct token_subjects *subjects)
{
    size_t count = 0;
    dictionary_each(subjects->all, count_told, &count);
    return count > 0;
}

void token_subjects_write(const struct token_subjects *subjects, struct buffer *text)
{
    static const struct {
        const char *name;
        enum exposition_type type;
        const char *help;
        void (*write)(const struct writing *writing, const struct known *known,
                      const struct exposition_label labels[2]);
    } families[] = {
        {"oauth2_state", EXPOSITION_GAUGE,
         "1 for the state that the token of a registration, or of an account's grant, is in.",
         write_state},
        {"oauth2_token_expiry_time_seconds", EXPOSITION_GAUGE,
         "Until when the token is used, since the epoch.", write_expires},
        {"oauth2_credential_expiry_time_seconds", EXPOSITION_GAUGE,
         "When the secret or certificate ends, since the epoch, as far as that is known.",
         write_credential_ends},
        {"oauth2_failing_since_time_seconds", EXPOSITION_GAUGE,
         "Since when no token could be got, since the epoch; absent: the last attempt worked.",
         write_failed_since},
        {"oauth2_requests_total", EXPOSITION_COUNTER,
         "Requests to the token endpoint since post365-tokend's start.", write_requests},
        {"oauth2_requests_refused_total", EXPOSITION_COUNTER, "Those that brought no token.",
         write_refused},
    };
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]) && is_any_told(subjects); i++) {
        struct writing writing = {text, families[i].name, families[i].write};
        exposition_family(text, families[i].name, families[i].type, families[i].help);
        dictionary_each(subjects->all, write_known, &writing);
    }
}
