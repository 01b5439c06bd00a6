/* registrations.c - which application registration an account logs in with */
#include "common/oauth2/registrations.h"

#include "common/address.h"
#include "common/dictionary.h"
#include "common/memory.h"
#include "common/watched_files.h"

#include <stdlib.h>
#include <string.h>

#define PARAMETER "post365_oauth2_maps"

struct registrations {
    const struct settings *settings;
    struct tables *tables;
    struct watched_files *files; /* those that were given out */
};

bool registrations_in_use(const struct settings *settings)
{
    const char *maps = settings->oauth2_maps;
    return maps != NULL && maps[strspn(maps, ", \t\r\n")] != '\0';
}

/* --- open and close --- */

struct registrations *registrations_reopen(struct registrations *old,
                                           const struct settings *settings, struct error *error)
{
    struct tables *tables =
        tables_reopen(old != NULL ? old->tables : NULL, PARAMETER, settings->oauth2_maps,
                      settings->config_directory, TABLE_VALUES, error);
    if (tables == NULL)
        return NULL;
    struct registrations *registrations = memory_zero(1, sizeof(*registrations));
    registrations->settings = settings;
    registrations->tables = tables;
    registrations->files = watched_files_new();
    return registrations;
}

bool registrations_check(struct registrations *registrations, struct error *error)
{
    return tables_check(registrations->tables, error);
}

void registrations_close(struct registrations *registrations)
{
    if (registrations == NULL)
        return;
    tables_close(registrations->tables);
    watched_files_free(registrations->files);
    free(registrations);
}

uint64_t registrations_version(struct registrations *registrations)
{
    uint64_t version;
    tables_refresh(registrations->tables, &version);
    return version + watched_files_version(registrations->files);
}

/* --- look-ups --- */

static enum table_answer refuse(const struct registrations *registrations, const char *upn,
                                const char *value, struct error *error)
{
    error_set(error,
              "%s/main.cf: " PARAMETER " = " ERROR_SHOWN ": for key " ERROR_SHOWN ": \"" ERROR_SHOWN
              "\" is no absolute path; write that of the registration file",
              registrations->settings->config_directory, registrations->settings->oauth2_maps, upn,
              value);
    return TABLE_FAILED;
}

/* Takes an answer as a path. */
static enum table_answer take(struct registrations *registrations, const char *upn,
                              enum table_answer answer, char **path, struct error *error)
{
    if (answer != TABLE_FOUND)
        return answer;
    if ((*path)[0] == '/') {
        watched_files_add(registrations->files, *path);
        return TABLE_FOUND;
    }
    answer = refuse(registrations, upn, *path, error);
    free(*path);
    *path = NULL;
    return answer;
}

enum table_answer registrations_find_exact(struct registrations *registrations, const char *upn,
                                           char **path, struct error *error)
{
    *path = NULL;
    enum table_answer answer = tables_find_exact(registrations->tables, upn, path, error);
    return take(registrations, upn, answer, path, error);
}

enum table_answer registrations_find(struct registrations *registrations, const char *upn,
                                     char **path, struct error *error)
{
    const char *domain = address_domain(upn);
    enum table_answer answer = registrations_find_exact(registrations, upn, path, error);
    if (answer == TABLE_NONE && domain != NULL && domain > upn)
        answer = registrations_find_exact(registrations, domain - 1, path, error);
    if (answer != TABLE_NONE)
        return answer;
    answer = tables_find(registrations->tables, upn, path, error);
    return take(registrations, upn, answer, path, error);
}

/* --- enumeration --- */

struct upn_visit {
    void (*visit)(void *context, const char *upn);
    void *context;
};

static void visit_upn(void *context, const char *key)
{
    const struct upn_visit *upns = context;
    if (address_is_upn(key))
        upns->visit(upns->context, key);
}

bool registrations_each(struct registrations *registrations,
                        void (*visit)(void *context, const char *upn), void *context)
{
    struct upn_visit upns = {.visit = visit, .context = context};
    tables_each_key(registrations->tables, visit_upn, &upns);
    return tables_can_list(registrations->tables);
}

static void add_file(void *context, const char *key, const char *value)
{
    (void)key;
    if (value[0] == '/')
        dictionary_put(context, value, memory_copy(value));
}

static void add_static(void *context, const char *value)
{
    add_file(context, NULL, value);
}

struct file_visit {
    struct registrations *registrations;
    void (*visit)(void *context, const char *path);
    void *context;
};

static void visit_file(void *context, const char *path, void *value)
{
    const struct file_visit *files = context;
    (void)value;
    watched_files_add(files->registrations->files, path);
    files->visit(files->context, path);
}

void registrations_each_file(struct registrations *registrations,
                             void (*visit)(void *context, const char *path), void *context)
{
    struct file_visit files = {registrations, visit, context};
    struct dictionary *all = dictionary_new(free);
    tables_each_value(registrations->tables, add_file, all);
    tables_each_static(registrations->tables, add_static, all);
    dictionary_each(all, visit_file, &files);
    dictionary_free(all);
}

struct wrong_visit {
    const struct registrations *registrations;
    void (*visit)(void *context, const struct error *error);
    void *context;
};

static void judge_value(void *context, const char *key, const char *value)
{
    const struct wrong_visit *wrong = context;
    struct error error;
    if (value[0] == '/')
        return;
    refuse(wrong->registrations, key, value, &error);
    wrong->visit(wrong->context, &error);
}

static void judge_static(void *context, const char *value)
{
    judge_value(context, "static", value);
}

void registrations_each_wrong(struct registrations *registrations,
                              void (*visit)(void *context, const struct error *error),
                              void *context)
{
    struct wrong_visit wrong = {registrations, visit, context};
    tables_each_value(registrations->tables, judge_value, &wrong);
    tables_each_static(registrations->tables, judge_static, &wrong);
}
