/* log_end.c - does the ledger's log go as far as its databases, and no further than it says?
 *
 * Source: Berkeley DB (log/log.c, dbinc/log.h, dbinc/db_page.h), in the machine's byte order: a
 * page begins with the sequence number (DB_LSN) of the log record that changed it last; a log file
 * with 28 bytes about itself; a log record with the offset of the one before it and its own length.
 */
#include "policyd/store/log_end.h"

#include "common/log.h"
#include "common/memory.h"
#include "policyd/store/directory.h"

#include <db.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGES_AT_A_TIME 256
#define FILE_HEADER     28

static void take_message(const DB_ENV *environment, const char *prefix, const char *message)
{
    (void)environment;
    (void)prefix;
    log_error("Berkeley DB: %s", message);
}

static int last_record(DB_ENV *environment, DB_LSN *end)
{
    DB_LOGC *cursor;
    DBT record;
    memset(&record, 0, sizeof(record));
    int code = environment->log_cursor(environment, &cursor, 0);
    if (code != 0)
        return code;
    code = cursor->get(cursor, end, &record, DB_LAST);
    int closed = cursor->close(cursor, 0);
    return code != 0 ? code : closed;
}

/* Where the log's last record begins. It is looked at without recovery, which would change it. */
static int find_end(const char *directory, DB_LSN *end)
{
    DB_ENV *environment;
    int code = db_env_create(&environment, 0);
    if (code != 0)
        return code;
    environment->set_errcall(environment, take_message);
    code =
        environment->open(environment, directory,
                          DB_CREATE | DB_PRIVATE | DB_INIT_LOG | DB_INIT_MPOOL | DB_INIT_TXN, 0600);
    if (code == 0)
        code = last_record(environment, end);
    int closed = environment->close(environment, 0);
    return code != 0 ? code : closed;
}

/* Whether no page of these was changed by a later record. */
static bool are_covered(const char *pages, size_t size, const DB_LSN *end)
{
    for (size_t i = 0; i + sizeof(DB_LSN) <= size; i += STORE_PAGE_SIZE) {
        DB_LSN changed;
        memcpy(&changed, pages + i, sizeof(changed));
        if (log_compare(&changed, end) > 0)
            return false;
    }
    return true;
}

/* --- behind the end ----------------------------------------------------------- */

/* Overwrites with zeros what is not zero from `start` on, page by page: what is a hole in the file
 * stays one, so that it takes no space. False with errno. */
static bool wipe(int descriptor, off_t start)
{
    static const char zeros[STORE_PAGE_SIZE];
    char bytes[STORE_PAGE_SIZE];
    ssize_t length;
    bool is_dirty = false;
    for (off_t at = start;; at += length) {
        size_t wanted = (size_t)(STORE_PAGE_SIZE - at % STORE_PAGE_SIZE);
        length = pread(descriptor, bytes, wanted, at);
        if (length <= 0)
            break;
        if (memcmp(bytes, zeros, (size_t)length) == 0)
            continue;
        is_dirty = true;
        errno = ENOSPC; /* unless a short write says otherwise */
        if (pwrite(descriptor, zeros, (size_t)length, at) != length)
            return false;
    }
    return length == 0 && (!is_dirty || fdatasync(descriptor) == 0);
}

static int open_log(const char *directory, u_int32_t number, struct error *error)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/" STORE_LOG_PREFIX "%010u", directory, number);
    int descriptor = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (descriptor < 0 && errno != ENOENT)
        error_set(error, "the ledger's %s cannot be opened: %s", path, strerror(errno));
    return descriptor;
}

/* Where the record ends that begins at `offset`. False with errno if that cannot be read. */
static bool find_record_end(int descriptor, u_int32_t offset, off_t *end)
{
    u_int32_t header[2];
    struct stat status;
    errno = EIO; /* unless it is something else */
    if (pread(descriptor, header, sizeof(header), (off_t)offset) != (ssize_t)sizeof(header) ||
        fstat(descriptor, &status) != 0)
        return false;
    *end = (off_t)offset + header[1];
    return header[1] > sizeof(header) && *end <= status.st_size;
}

/* What a crash left of a record that was not written whole. Berkeley DB would write over its
 * beginning and find the rest at the next start; its checksum is too weak to tell that from a
 * record. */
static bool wipe_file(const char *directory, u_int32_t number, u_int32_t last_record,
                      struct error *error)
{
    int descriptor = open_log(directory, number, error);
    if (descriptor < 0)
        return errno == ENOENT;
    off_t start = FILE_HEADER;
    bool wiped = (last_record == 0 || find_record_end(descriptor, last_record, &start)) &&
                 wipe(descriptor, start);
    int reason = errno;
    close(descriptor);
    return wiped || error_set(error, "the ledger's log file %u in %s cannot be written: %s", number,
                              directory, strerror(reason));
}

static bool wipe_tail(const char *directory, const DB_LSN *end, struct error *error)
{
    return wipe_file(directory, end->file, end->offset, error) &&
           wipe_file(directory, end->file + 1, 0, error);
}

/* --- the databases ------------------------------------------------------------ */

static bool is_covered(const char *directory, const char *name, const DB_LSN *end,
                       struct error *error)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (descriptor < 0)
        return errno == ENOENT ||
               error_set(error, "the ledger's %s cannot be read: %s", path, strerror(errno));
    char *pages = memory_alloc((size_t)PAGES_AT_A_TIME * STORE_PAGE_SIZE);
    ssize_t size = 0;
    bool covered = true;
    while (covered &&
           (size = read(descriptor, pages, (size_t)PAGES_AT_A_TIME * STORE_PAGE_SIZE)) > 0)
        covered = are_covered(pages, (size_t)size, end);
    int reason = errno;
    free(pages);
    close(descriptor);
    if (size < 0)
        return error_set(error, "the ledger's %s cannot be read: %s", path, strerror(reason));
    return covered || error_set(error,
                                "the ledger %s has a log that ends before its %s; it is left as it "
                                "is: restore the log files, or move it away to start with empty "
                                "counts",
                                directory, name);
}

bool store_log_make_sound(const char *directory, struct error *error)
{
    static const char *const names[] = {STORE_ACCOUNTS, STORE_TURNS, STORE_RESERVATIONS};
    DB_LSN end;
    bool has_some = false;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        has_some = has_some || store_directory_has(directory, names[i]);
    if (!has_some)
        return true;
    int code = find_end(directory, &end);
    if (code != 0)
        return error_set(error,
                         "the ledger %s has a log that cannot be read: %s; it is left as it is: "
                         "restore the log files, or move it away to start with empty counts",
                         directory, code == DB_NOTFOUND ? "it is empty" : db_strerror(code));
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (!is_covered(directory, names[i], &end, error))
            return false;
    return wipe_tail(directory, &end, error);
}
