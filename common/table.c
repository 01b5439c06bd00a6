/* table.c - Postfix lookup tables
 *
 * Reads a parameter's list of tables, gives each type to the file that knows it, and asks them in
 * Postfix's order. An open table is counted, so that a reload can go on with one that it may no
 * longer read.
 */
#include "common/table.h"

#include "common/address.h"
#include "common/buffer.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/table_backend.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* user+ext@domain, user@domain, user+ext, user: each as it is and without quotes; @domain. */
#define KEYS_MAX 9

struct open_table {
    atomic_uint references;
    struct table_source source;
    struct table *table;
    bool patterns; /* not to be asked for parts of an address */
};

struct tables {
    struct open_table **list;
    size_t count;
};

struct key {
    char *text;
    bool whole; /* not just a part of the address */
};

struct keys {
    struct key list[KEYS_MAX];
    size_t count;
};

typedef struct table *opener(const struct table_source *source, enum table_trouble *trouble,
                             struct error *error);

static const struct {
    const char *type;
    opener *open;
} kinds[] = {
    {"hash", table_open_file},      {"btree", table_open_file},     {"texthash", table_open_file},
    {"inline", table_open_literal}, {"static", table_open_literal},
};

/* --- open and close --- */

static opener *opener_of(const char *type)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strcmp(kinds[i].type, type) == 0)
            return kinds[i].open;
    return table_open_postmap;
}

/* Whether the table matches patterns. Of a table that is made of tables the first one decides, as
 * in Postfix. */
static bool has_patterns(const struct table_source *source)
{
    static const char *const types[] = {
        "regexp:", "pcre:", "cidr:", "tcp:", "socketmap:", "fail:", "randmap:"};
    char *first = NULL;
    if (strcmp(source->type, "pipemap") == 0 || strcmp(source->type, "unionmap") == 0)
        first = memory_copy(source->name + strspn(source->name, "{ ,\t"));
    else
        first = memory_format("%s:", source->type);
    bool patterns = false;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        patterns = patterns || strncmp(first, types[i], strlen(types[i])) == 0;
    free(first);
    return patterns;
}

static const char *skip_proxies(const char *specification)
{
    while (strncmp(specification, "proxy:", 6) == 0)
        specification += 6;
    return specification;
}

/* A table as it may be shown: a password that stands in main.cf, behind inline: or static:, in any
 * braces, or where a table should be named, is not. So a name is shown where it is a file's. */
static char *shown(const char *specification, enum table_content content)
{
    if (content == TABLE_VALUES)
        return memory_copy(specification);
    specification = skip_proxies(specification);
    size_t end = strcspn(specification, ":{");
    if (specification[end] == ':')
        end = specification[end + 1] == '/' ? strcspn(specification, "{") : end + 1;
    return memory_format("%.*s%s", (int)end, specification,
                         specification[end] != '\0' ? "..." : "");
}

/* "/etc/postfix/main.cf: name = hash:/etc/postfix/x" */
static char *describe(const char *parameter, const char *specification,
                      const char *config_directory, enum table_content content)
{
    char *table = shown(specification, content);
    char *place = memory_format("%s/main.cf: %s = %s", config_directory, parameter, table);
    free(table);
    return place;
}

char *tables_shown(const char *value, enum table_content content)
{
    struct buffer text = {0};
    char *copy = memory_copy(value), *rest = copy, *piece;
    while ((piece = table_next_piece(&rest)) != NULL) {
        char *table = shown(piece, content);
        buffer_append_string(&text, text.length > 0 ? ", " : "");
        buffer_append_string(&text, table);
        free(table);
    }
    free(copy);
    return buffer_take(&text);
}

static void release(struct open_table *open)
{
    if (atomic_fetch_sub(&open->references, 1) > 1)
        return;
    if (open->table != NULL)
        open->table->operations->close(open->table);
    free(open->source.place);
    free(open->source.type);
    free(open->source.name);
    free(open->source.config_directory);
    free(open);
}

/* The table in `old` that is the same as `source`, or NULL. */
static struct open_table *find_same(const struct tables *old, const struct table_source *source)
{
    for (size_t i = 0; old != NULL && i < old->count; i++) {
        struct open_table *open = old->list[i];
        if (open->source.content == source->content &&
            strcmp(open->source.place, source->place) == 0)
            return open;
    }
    return NULL;
}

static bool is_current(const struct open_table *open)
{
    return open->table->operations->is_current != NULL &&
           open->table->operations->is_current(open->table);
}

/* Opens the table of `fresh`, or puts what `old` has of it in its place. */
static struct open_table *open_source(struct open_table *fresh, const struct tables *old,
                                      struct error *error)
{
    enum table_trouble trouble = TABLE_TROUBLE_NONE;
    struct open_table *same = find_same(old, &fresh->source);
    if (same == NULL || !is_current(same)) {
        fresh->table = opener_of(fresh->source.type)(&fresh->source, &trouble, error);
        if (fresh->table != NULL)
            return fresh;
        error_prefix(error, "%s", fresh->source.place);
        if (trouble != TABLE_TROUBLE_DENIED)
            same = NULL;
        if (same != NULL)
            log_warning("%s; the contents that were read earlier stay in use", error->text);
    }
    release(fresh);
    if (same != NULL)
        atomic_fetch_add(&same->references, 1);
    return same;
}

static struct open_table *open_one(const char *parameter, const char *specification,
                                   const char *config_directory, enum table_content content,
                                   const struct tables *old, struct error *error)
{
    char *place = describe(parameter, specification, config_directory, content);
    specification = skip_proxies(specification);
    size_t type_length = strspn(specification, "abcdefghijklmnopqrstuvwxyz0123456789_");
    if (type_length == 0 || specification[type_length] != ':') {
        error_set(error, "%s: not a table; write type:name, such as hash:/etc/postfix/name", place);
        free(place);
        return NULL;
    }
    struct open_table *open = memory_zero(1, sizeof(*open));
    atomic_init(&open->references, 1);
    open->source = (struct table_source){.place = place,
                                         .type = memory_copy_bytes(specification, type_length),
                                         .name = memory_copy(specification + type_length + 1),
                                         .config_directory = memory_copy(config_directory),
                                         .content = content};
    open->patterns = has_patterns(&open->source);
    return open_source(open, old, error);
}

struct tables *tables_reopen(struct tables *old, const char *parameter, const char *value,
                             const char *config_directory, enum table_content content,
                             struct error *error)
{
    struct tables *tables = memory_zero(1, sizeof(*tables));
    char *copy = memory_copy(value), *rest = copy, *piece;
    bool fine = true;
    while (fine && (piece = table_next_piece(&rest)) != NULL) {
        struct open_table *open = open_one(parameter, piece, config_directory, content, old, error);
        fine = open != NULL;
        if (fine) {
            tables->list =
                memory_grow(tables->list, (tables->count + 1) * sizeof(struct open_table *));
            tables->list[tables->count++] = open;
        }
    }
    explicit_bzero(copy, strlen(value));
    free(copy);
    if (fine)
        return tables;
    tables_close(tables);
    return NULL;
}

struct tables *tables_open(const char *parameter, const char *value, const char *config_directory,
                           enum table_content content, struct error *error)
{
    return tables_reopen(NULL, parameter, value, config_directory, content, error);
}

bool tables_check(struct tables *tables, struct error *error)
{
    for (size_t i = 0; i < tables->count; i++) {
        struct table *table = tables->list[i]->table;
        if (table->operations->check != NULL && !table->operations->check(table, error))
            return error_prefix(error, "%s", table->source->place);
    }
    return true;
}

void tables_close(struct tables *tables)
{
    if (tables == NULL)
        return;
    for (size_t i = 0; i < tables->count; i++)
        release(tables->list[i]);
    free(tables->list);
    free(tables);
}

/* --- look-ups --- */

bool tables_refresh(struct tables *tables, uint64_t *version)
{
    bool can_tell = true;
    *version = 0;
    for (size_t i = 0; i < tables->count; i++) {
        struct table *table = tables->list[i]->table;
        uint64_t changes;
        can_tell = table->operations->refresh(table, &changes) && can_tell;
        *version += changes;
    }
    return can_tell;
}

static bool can_be_asked(const char *key)
{
    return key[0] != '\0' && strlen(key) <= TABLE_KEY_MAX && strpbrk(key, "\r\n") == NULL;
}

static enum table_answer find_in(struct table *table, const char *key, struct table_value *value,
                                 struct error *error)
{
    *value = (struct table_value){0};
    enum table_answer result = table->operations->find(table, key, value, error);
    if (result == TABLE_FOUND && table_value_empty(value)) {
        table_release(value);
        error_set(error, "nothing usable for key \"" ERROR_SHOWN "\"; write %s", key,
                  table->source->content == TABLE_VALUES ? "a value" : "user:password");
        result = TABLE_FAILED;
    }
    return result;
}

static enum table_answer find_folded(struct tables *tables, const struct key *key,
                                     struct table_value *value, struct error *error)
{
    if (!can_be_asked(key->text))
        return TABLE_NONE;
    for (size_t i = 0; i < tables->count; i++) {
        struct table *table = tables->list[i]->table;
        if (!key->whole && tables->list[i]->patterns)
            continue;
        enum table_answer result = find_in(table, key->text, value, error);
        if (result == TABLE_FAILED)
            error_prefix(error, "%s", table->source->place);
        if (result != TABLE_NONE)
            return result;
    }
    return TABLE_NONE;
}

static enum table_answer find_key(struct tables *tables, const char *key, struct table_value *value,
                                  struct error *error)
{
    if (tables->count == 0)
        return TABLE_NONE;
    uint64_t version;
    tables_refresh(tables, &version);
    struct key folded = {.text = address_fold(key), .whole = true};
    enum table_answer result = find_folded(tables, &folded, value, error);
    free(folded.text);
    return result;
}

enum table_answer tables_find(struct tables *tables, const char *key, char **answer,
                              struct error *error)
{
    struct table_value value = {0};
    enum table_answer result = find_key(tables, key, &value, error);
    *answer = value.text;
    return result;
}

enum table_answer tables_find_secret(struct tables *tables, const char *key, struct secret **answer,
                                     struct error *error)
{
    struct table_value value = {0};
    enum table_answer result = find_key(tables, key, &value, error);
    *answer = value.secret;
    return result;
}

/* Whether the table says the same to every key. */
static bool is_static(const struct open_table *open)
{
    return strcmp(open->source.type, "static") == 0;
}

enum table_answer tables_find_exact(struct tables *tables, const char *key, char **answer,
                                    struct error *error)
{
    *answer = NULL;
    for (size_t i = 0; i < tables->count; i++) {
        if (is_static(tables->list[i]) || tables->list[i]->patterns)
            continue;
        struct tables one = {.list = &tables->list[i], .count = 1};
        enum table_answer result = tables_find(&one, key, answer, error);
        if (result != TABLE_NONE)
            return result;
    }
    return TABLE_NONE;
}

bool tables_can_list(const struct tables *tables)
{
    for (size_t i = 0; i < tables->count; i++)
        if (tables->list[i]->table->operations->each == NULL || is_static(tables->list[i]))
            return false;
    return true;
}

struct visits {
    void (*key)(void *context, const char *key);
    void (*value)(void *context, const char *key, const char *value);
    void (*secret)(void *context, const char *key, const struct secret *secret);
    void *context;
};

static void visit_key(void *context, const char *key, const struct table_value *value)
{
    const struct visits *visits = context;
    (void)value;
    visits->key(visits->context, key);
}

static void visit_value(void *context, const char *key, const struct table_value *value)
{
    const struct visits *visits = context;
    visits->value(visits->context, key, value->text);
}

static void visit_secret(void *context, const char *key, const struct table_value *value)
{
    const struct visits *visits = context;
    visits->secret(visits->context, key, value->secret);
}

static void each(struct tables *tables, table_visit *visit, struct visits *visits)
{
    uint64_t version;
    tables_refresh(tables, &version);
    for (size_t i = 0; i < tables->count; i++) {
        struct table *table = tables->list[i]->table;
        if (table->operations->each != NULL)
            table->operations->each(table, visit, visits);
    }
}

void tables_each_key(struct tables *tables, void (*visit)(void *context, const char *key),
                     void *context)
{
    struct visits visits = {.key = visit, .context = context};
    each(tables, visit_key, &visits);
}

void tables_each_value(struct tables *tables,
                       void (*visit)(void *context, const char *key, const char *value),
                       void *context)
{
    struct visits visits = {.value = visit, .context = context};
    each(tables, visit_value, &visits);
}

void tables_each_static(struct tables *tables, void (*visit)(void *context, const char *value),
                        void *context)
{
    for (size_t i = 0; i < tables->count; i++) {
        struct table_value value;
        if (!is_static(tables->list[i]) ||
            find_in(tables->list[i]->table, "any", &value, NULL) != TABLE_FOUND)
            continue;
        visit(context, value.text);
        table_release(&value);
    }
}

void tables_each_secret(struct tables *tables,
                        void (*visit)(void *context, const char *key, const struct secret *secret),
                        void *context)
{
    struct visits visits = {.secret = visit, .context = context};
    each(tables, visit_secret, &visits);
}

/* --- the keys of an address --- */

static void add_key(struct keys *keys, char *text, bool whole)
{
    keys->list[keys->count++] = (struct key){.text = text, .whole = whole};
}

static void add_address(struct keys *keys, const char *address, bool whole)
{
    add_key(keys, memory_copy(address), whole);
    char *unquoted = address_unquoted(address);
    if (unquoted != NULL)
        add_key(keys, unquoted, whole);
}

/* The local parts of the addresses that are in `keys`. One with an '@' in it would pass for
 * somebody else's address. */
static void add_local_parts(struct keys *keys, size_t domain_length)
{
    size_t addresses = keys->count;
    for (size_t i = 0; i < addresses; i++) {
        const char *address = keys->list[i].text;
        size_t length = strlen(address) - domain_length - 1;
        if (memchr(address, '@', length) == NULL)
            add_key(keys, memory_copy_bytes(address, length), false);
    }
}

static void make_keys(struct keys *keys, const char *address, const char *delimiters,
                      const struct domains *local_domains)
{
    const char *domain = address_domain(address);
    if (domain == NULL) {
        add_key(keys, memory_copy(address), true);
        return;
    }
    add_address(keys, address, true);
    char *bare = address_without_extension(address, delimiters);
    if (bare != NULL)
        add_address(keys, bare, false);
    free(bare);
    if (domains_have(local_domains, domain))
        add_local_parts(keys, strlen(domain));
    add_key(keys, memory_copy(domain - 1), false);
}

enum table_answer tables_find_address(struct tables *tables, const char *address,
                                      const char *delimiters, const struct domains *local_domains,
                                      char **answer, struct error *error)
{
    char *key = NULL;
    enum table_answer result =
        tables_find_address_key(tables, address, delimiters, local_domains, &key, answer, error);
    free(key);
    return result;
}

enum table_answer tables_find_address_key(struct tables *tables, const char *address,
                                          const char *delimiters,
                                          const struct domains *local_domains, char **key,
                                          char **answer, struct error *error)
{
    *key = *answer = NULL;
    if (tables->count == 0 || address[0] == '\0' || strlen(address) > TABLE_KEY_MAX)
        return TABLE_NONE;
    uint64_t version;
    tables_refresh(tables, &version);
    struct keys keys = {.count = 0};
    struct table_value value = {0};
    enum table_answer result = TABLE_NONE;
    char *folded = address_fold(address);
    make_keys(&keys, folded, delimiters, local_domains);
    for (size_t i = 0; i < keys.count; i++) {
        if (result == TABLE_NONE) {
            result = find_folded(tables, &keys.list[i], &value, error);
            if (result == TABLE_FOUND)
                *key = memory_copy(keys.list[i].text);
        }
        free(keys.list[i].text);
    }
    free(folded);
    *answer = value.text;
    return result;
}
