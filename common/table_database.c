/* table_database.c - read a hash: or btree: file (Berkeley DB) that postmap(1) wrote
 *
 * The file is copied into anonymous memory under the lock that Postfix takes (flock(2) on Linux),
 * and Berkeley DB reads the copy: the lock is held for the time of the copy only, and nobody who
 * writes over the file without a lock can pull the pages away from under Berkeley DB.
 *
 * Security: may hold passwords. Each entry comes into a buffer of ours, which is wiped, and so are
 * the pages in Berkeley DB's cache, which is large enough to drop none before. A private
 * environment with "/" as its home keeps it from reading a DB_CONFIG out of the current directory.
 */
#include "common/log.h"
#include "common/memory.h"
#include "common/table_backend.h"

#include <db.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <time.h>
#include <unistd.h>

/* Postfix's: postmap may be at work as long as this after the source file was written. */
#define SOURCE_GRACE_SECONDS 100

/* What Berkeley DB needs in its cache besides pages. */
#define CACHE_EXTRA (256U * 1024)

struct scan {
    const struct table_source *source;
    struct dictionary *entries;
    struct table_warnings warnings;
    size_t limit; /* more records than this cannot be in the file */
    char *key;
    char *value;
};

/* --- the copy --- */

static char *postmap_remedy(const struct table_source *source)
{
    return memory_format("run: postmap %s:%s", source->type, source->name);
}

static bool is_current(const char *path, const struct stat *opened)
{
    struct stat now;
    return stat(path, &now) == 0 && now.st_ino == opened->st_ino && now.st_dev == opened->st_dev;
}

/* A locked descriptor of the file that is at `path` while the lock is held, or -1. */
static int open_locked(const struct table_source *source, const char *path, struct stat *status,
                       enum table_trouble *trouble, struct error *error)
{
    char *remedy = postmap_remedy(source);
    int descriptor = table_open_descriptor(path, remedy, status, trouble, error);
    free(remedy);
    if (descriptor < 0)
        return -1;
    if (flock(descriptor, LOCK_SH | LOCK_NB) != 0) {
        bool busy = errno == EWOULDBLOCK;
        *trouble = busy ? TABLE_TROUBLE_LATER : TABLE_TROUBLE_WRONG;
        error_set(error, "%s: cannot lock: %s; %s", path, strerror(errno),
                  busy ? "wait for postmap to end, or find who holds the lock (fuser)"
                       : "put the file on a file system with locks");
    } else if (fstat(descriptor, status) != 0 || !is_current(path, status) ||
               status->st_size == 0) {
        *trouble = TABLE_TROUBLE_LATER;
        error_set(error, "%s: empty, or just being written; run: postmap %s:%s", path, source->type,
                  source->name);
    } else {
        return descriptor;
    }
    close(descriptor);
    return -1;
}

/* A copy in anonymous memory, which goes with its descriptor. */
static int copy_file(int descriptor, off_t size, const char *path, struct error *error)
{
    int copy = memfd_create("post365-table", MFD_CLOEXEC);
    off_t copied = 0;
    while (copy >= 0 && copied < size) {
        ssize_t sent = sendfile(copy, descriptor, NULL, (size_t)(size - copied));
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            break;
        copied += sent;
    }
    if (copy >= 0 && copied == size)
        return copy;
    error_set(error, "%s: cannot read: %s; check the file system and the memory", path,
              strerror(errno));
    if (copy >= 0)
        close(copy);
    return -1;
}

/* Once the file is to be had, `contents->state` is what was copied. */
static int open_copy(const struct table_source *source, const char *path,
                     struct table_contents *contents, enum table_trouble *trouble,
                     struct error *error)
{
    struct stat status;
    int descriptor = open_locked(source, path, &status, trouble, error);
    if (descriptor < 0)
        return -1;
    contents->state = file_state_of(&status);
    int copy = copy_file(descriptor, status.st_size, path, error);
    if (copy < 0)
        *trouble = TABLE_TROUBLE_WRONG;
    close(descriptor);
    return copy;
}

/* --- its records --- */

/* Berkeley DB's own words go into the error; there is no reader of a log that they would reach. */
static void note_message(const DB_ENV *environment, const char *prefix, const char *message)
{
    (void)prefix;
    error_set(environment->app_private, "%s", message);
}

/* With a cache for the whole file of `size` bytes. */
static DB_ENV *open_environment(off_t size, struct error *message)
{
    DB_ENV *environment = NULL;
    if (db_env_create(&environment, 0) != 0)
        return NULL;
    environment->app_private = message;
    environment->set_errcall(environment, note_message);
    uint32_t cache_size = (uint32_t)(size + size / 2) + CACHE_EXTRA;
    if (environment->set_cachesize(environment, 0, cache_size, 1) == 0 &&
        environment->open(environment, "/", DB_CREATE | DB_INIT_MPOOL | DB_PRIVATE, 0) == 0)
        return environment;
    environment->close(environment, 0);
    return NULL;
}

/* Postfix ends keys and values in a NUL byte or does not, as other programs may. */
static size_t without_nul(const DBT *data)
{
    size_t length = data->size;
    return length > 0 && ((const char *)data->data)[length - 1] == '\0' ? length - 1 : length;
}

static void add_record(struct scan *scan, const DBT *key, const DBT *value)
{
    size_t key_length = without_nul(key), value_length = without_nul(value);
    if (memchr(scan->key, '\0', key_length) != NULL ||
        memchr(scan->value, '\0', value_length) != NULL) {
        table_warn(&scan->warnings, "an entry holds a NUL byte; entry ignored");
        return;
    }
    scan->key[key_length] = '\0';
    if (key_length > 0)
        table_add(scan->entries, scan->source->content, scan->key, scan->value, value_length);
}

static int next_record(struct scan *scan, DBC *cursor)
{
    DBT key = {.data = scan->key, .ulen = TABLE_KEY_MAX + 1, .flags = DB_DBT_USERMEM};
    DBT value = {.data = scan->value, .ulen = TABLE_VALUE_MAX + 1, .flags = DB_DBT_USERMEM};
    int status = cursor->get(cursor, &key, &value, DB_NEXT);
    if (status == DB_BUFFER_SMALL) {
        table_warn(&scan->warnings, "an entry is longer than it may be; entry ignored");
        key.flags |= DB_DBT_PARTIAL;
        value.flags |= DB_DBT_PARTIAL;
        return cursor->get(cursor, &key, &value, DB_NEXT);
    }
    if (status == 0)
        add_record(scan, &key, &value);
    return status;
}

static int read_records(struct scan *scan, DB *database)
{
    DBC *cursor = NULL;
    int status = database->cursor(database, NULL, &cursor, 0);
    if (status != 0)
        return status;
    for (size_t count = 0; status == 0; count++)
        status = count < scan->limit ? next_record(scan, cursor) : EINVAL;
    cursor->close(cursor);
    return status == DB_NOTFOUND ? 0 : status;
}

/* Clears the pages of a copy that held passwords, in the cache. */
static int wipe_pages(DB *database, size_t size)
{
    uint32_t page_size = 0;
    int status = database->get_pagesize(database, &page_size);
    if (status != 0 || page_size == 0)
        return status;
    DB_MPOOLFILE *file = database->get_mpf(database);
    for (db_pgno_t number = 0; status == 0 && number < size / page_size; number++) {
        void *page = NULL;
        status = file->get(file, &number, NULL, DB_MPOOL_DIRTY, &page);
        if (status != 0)
            break;
        explicit_bzero(page, page_size);
        status = file->put(file, page, DB_PRIORITY_UNCHANGED, 0);
    }
    return status;
}

/* The copy is ours to write to, as wipe_pages() wants it. */
static int scan_copy(struct scan *scan, DB_ENV *environment, int copy)
{
    char path[64];
    DB *database = NULL;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", copy);
    int status = db_create(&database, environment, 0);
    if (status != 0)
        return status;
    DBTYPE type = strcmp(scan->source->type, "btree") == 0 ? DB_BTREE : DB_HASH;
    status = database->open(database, NULL, path, NULL, type, 0, 0);
    if (status == 0) {
        status = read_records(scan, database);
        int wiped = scan->source->content != TABLE_VALUES ? wipe_pages(database, scan->limit) : 0;
        status = status != 0 ? status : wiped;
    }
    database->close(database, DB_NOSYNC);
    return status;
}

static bool read_copy(struct scan *scan, int copy, off_t size, struct error *error)
{
    struct error message = {.text = ""};
    DB_ENV *environment = open_environment(size, &message);
    if (environment == NULL)
        return error_set(error, "%s: Berkeley DB does not start: %s", scan->warnings.path,
                         message.text);
    int status = scan_copy(scan, environment, copy);
    environment->close(environment, 0);
    return status == 0 ||
           error_set(error, "%s: not a sound Berkeley DB %s file: %s; run: postmap %s:%s",
                     scan->warnings.path, scan->source->type, db_strerror(status),
                     scan->source->type, scan->source->name);
}

/* --- the whole --- */

static void warn_if_source_is_newer(const struct table_source *source, const char *path,
                                    const struct file_state *state)
{
    struct stat text;
    if (stat(source->name, &text) == 0 && text.st_mtime > state->modified.tv_sec &&
        text.st_mtime < time(NULL) - SOURCE_GRACE_SECONDS)
        log_warning("database %s is older than source file %s; run: postmap %s:%s", path,
                    source->name, source->type, source->name);
}

enum table_trouble table_read_database(const struct table_source *source, const char *path,
                                       struct table_contents *contents, struct error *error)
{
    enum table_trouble trouble = TABLE_TROUBLE_NONE;
    int copy = open_copy(source, path, contents, &trouble, error);
    if (copy < 0)
        return trouble;
    struct scan scan = {.source = source,
                        .entries = table_entries_new(source->content),
                        .warnings = {.path = path},
                        .limit = (size_t)contents->state.size,
                        .key = memory_alloc(TABLE_KEY_MAX + 2),
                        .value = memory_alloc(TABLE_VALUE_MAX + 1)};
    if (read_copy(&scan, copy, contents->state.size, error)) {
        contents->entries = scan.entries;
        table_warn_rest(&scan.warnings);
        warn_if_source_is_newer(source, path, &contents->state);
    } else {
        dictionary_free(scan.entries);
        trouble = TABLE_TROUBLE_WRONG;
    }
    free(scan.key);
    explicit_bzero(scan.value, TABLE_VALUE_MAX + 1);
    free(scan.value);
    close(copy);
    return trouble;
}
