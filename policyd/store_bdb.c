/* store_bdb.c - the ledger's store in Berkeley DB
 *
 * Three B-trees in one environment. Numbers are big-endian, so that keys sort by value and the
 * files can be read on another machine.
 *
 *   accounts.db      key: number (4 bytes)
 *                    value: version 1 (1), retention (8), pause: since (8), until (8),
 *                    failures (4), length of the name (2), name, cause of the pause (the rest)
 *   turns.db         key: sequence (8)
 *                    value: version 1 (1), time (8), for each account (up to the end) its
 *                    number, recipients, messages; compact: seven bits a byte, the highest bit
 *                    is set in all but the last
 *   reservations.db  key: id (8)
 *                    value: version 1 (1), account (4), time (8), recipients (4), messages (4)
 *
 * Sequences grow, so that turns are written at one end of their tree and expire at the other: a
 * batch touches one or two pages.
 *
 * One process has the environment, in its private memory; no other can attach, so that a killed
 * process never leaves a region that somebody would hang on. Recovery runs at every start.
 *
 * Bugs: after a crash of the machine in the middle of a page write Berkeley DB finds the torn page
 * by its checksum and refuses to go on. Pages are as large as a file system's block to make that
 * unlikely.
 */
#include "policyd/store_bdb.h"

#include "common/log.h"
#include "common/memory.h"
#include "common/user.h"

#include <db.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define ACCOUNTS     "accounts.db"
#define TURNS        "turns.db"
#define RESERVATIONS "reservations.db"
#define LOCK         "lock"
#define LOG_PREFIX   "log."

#define RECORD_VERSION 1

#define ACCOUNT_KEY_SIZE     4
#define ACCOUNT_HEAD_SIZE    31
#define TURN_KEY_SIZE        8
#define TURN_HEAD_SIZE       9
#define SENT_SIZE_MAX        15
#define RESERVATION_KEY_SIZE 8
#define RESERVATION_SIZE     21

#define PAGE_SIZE          4096
#define CACHE_SIZE         (16U << 20)
#define LOG_BUFFER_SIZE    (256U << 10)
#define LOG_FILE_SIZE      (2U << 20)
#define CHECKPOINT_KBYTES  2048
#define CHECKPOINT_MINUTES 1

/* What a record takes in the log besides itself, about. */
#define LOG_OVERHEAD 256

#define MESSAGES_PER_MINUTE 10

struct store_bdb {
    struct store store;
    char *directory;
    int lock; /* the descriptor that holds the lock */
    DB_ENV *environment;
    DB *accounts;
    DB *turns;
    DB *reservations;
    size_t volume;    /* written since the last checkpoint, about */
    uint64_t useless; /* turns up to this sequence are older than anybody asks for */
    bool running;     /* was read whole: from now on a panic ends the program */
    int panic;        /* why Berkeley DB first panicked before that */
    time_t message_minute;
    unsigned messages;
};

static bool check_directory(const struct settings *settings, uid_t owner, struct error *error);
static bool check_files(const struct settings *settings, uid_t owner, struct error *error);
static bool take_lock(struct store_bdb *bdb, const struct settings *settings, struct error *error);
static bool open_environment(struct store_bdb *bdb, bool sync, struct error *error);
static bool open_database(struct store_bdb *bdb, DB **database, const char *name,
                          struct error *error);
static bool has_its_log(const struct store_bdb *bdb, struct error *error);
static bool open_databases(struct store_bdb *bdb, struct error *error);
static void close_all(struct store_bdb *bdb);
static bool failed(struct store_bdb *bdb, int code, const char *what, struct error *error);
static bool unusable(const struct store_bdb *bdb, int code, const char *what, struct error *error);

static struct store_bdb *bdb_of(struct store *store)
{
    return (struct store_bdb *)(void *)store;
}

/* --- records ----------------------------------------------------------------- */

static unsigned char *put_number(unsigned char *place, uint64_t number, int size)
{
    for (int i = size - 1; i >= 0; i--) {
        place[i] = (unsigned char)number;
        number >>= 8;
    }
    return place + size;
}

static const unsigned char *get_number(const unsigned char *place, uint64_t *number, int size)
{
    *number = 0;
    for (int i = 0; i < size; i++)
        *number = *number << 8 | place[i];
    return place + size;
}

static unsigned char *put_compact(unsigned char *place, uint32_t number)
{
    int shift = 28;
    while (shift > 0 && number >> shift == 0)
        shift -= 7;
    for (; shift > 0; shift -= 7)
        *place++ = (unsigned char)(0x80 | (number >> shift & 0x7f));
    *place++ = number & 0x7f;
    return place;
}

/* NULL if it does not end before `end`, or is larger than a number can be, or `place` is NULL. */
static const unsigned char *get_compact(const unsigned char *place, const unsigned char *end,
                                        uint32_t *number)
{
    uint64_t value = 0;
    unsigned char byte = 0x80;
    while (place != NULL && place < end && (byte & 0x80) != 0 && value <= UINT32_MAX >> 7) {
        byte = *place++;
        value = value << 7 | (byte & 0x7f);
    }
    *number = (uint32_t)value;
    return (byte & 0x80) == 0 ? place : NULL;
}

static DBT dbt(void *bytes, size_t size)
{
    DBT thing;
    memset(&thing, 0, sizeof(thing));
    thing.data = bytes;
    thing.size = (u_int32_t)size;
    return thing;
}

/* Twice: sooner or later the page that becomes full goes into the log, too. */
static int put(struct store_bdb *bdb, DB *database, DB_TXN *transaction, DBT key, DBT value)
{
    bdb->volume += 2 * (size_t)value.size + LOG_OVERHEAD;
    return database->put(database, transaction, &key, &value, 0);
}

static int put_account(struct store_bdb *bdb, DB_TXN *transaction,
                       const struct store_account *account)
{
    unsigned char key[ACCOUNT_KEY_SIZE];
    unsigned char bytes[ACCOUNT_HEAD_SIZE + STORE_NAME_MAX + STORE_CAUSE_MAX];
    const struct store_pause *pause = &account->pause;
    size_t name_length = strlen(account->name);
    size_t cause_length = pause->cause != NULL ? strlen(pause->cause) : 0;
    if (name_length > STORE_NAME_MAX || cause_length > STORE_CAUSE_MAX)
        return EINVAL;
    put_number(key, account->number, 4);
    unsigned char *place = put_number(bytes, RECORD_VERSION, 1);
    place = put_number(place, (uint64_t)account->retention, 8);
    place = put_number(place, (uint64_t)pause->since, 8);
    place = put_number(place, (uint64_t)pause->until, 8);
    place = put_number(place, pause->failures, 4);
    place = put_number(place, name_length, 2);
    memcpy(place, account->name, name_length);
    if (cause_length > 0)
        memcpy(place + name_length, pause->cause, cause_length);
    return put(bdb, bdb->accounts, transaction, dbt(key, sizeof(key)),
               dbt(bytes, ACCOUNT_HEAD_SIZE + name_length + cause_length));
}

/* What an account's strings are read into. */
struct strings {
    char name[STORE_NAME_MAX + 1];
    char cause[STORE_CAUSE_MAX + 1];
};

/* False if it is none: longer than it may be, or with a NUL in it. */
static bool get_string(const unsigned char *place, size_t length, char *string, size_t size)
{
    if (length >= size || memchr(place, '\0', length) != NULL)
        return false;
    memcpy(string, place, length);
    string[length] = '\0';
    return true;
}

static bool get_account(const DBT *key, const DBT *value, struct store_account *account,
                        struct strings *strings)
{
    const unsigned char *place = value->data;
    if (key->size != ACCOUNT_KEY_SIZE || value->size <= ACCOUNT_HEAD_SIZE ||
        place[0] != RECORD_VERSION)
        return false;
    uint64_t number, retention, since, until, failures, length;
    get_number(key->data, &number, 4);
    place = get_number(place + 1, &retention, 8);
    place = get_number(place, &since, 8);
    place = get_number(place, &until, 8);
    place = get_number(place, &failures, 4);
    place = get_number(place, &length, 2);
    size_t rest = value->size - ACCOUNT_HEAD_SIZE;
    if (length == 0 || length > rest ||
        !get_string(place, length, strings->name, sizeof(strings->name)) ||
        !get_string(place + length, rest - length, strings->cause, sizeof(strings->cause)))
        return false;
    bool is_paused = since != 0 || until != 0 || failures != 0 || rest > length;
    *account = (struct store_account){.number = (uint32_t)number,
                                      .retention = (int64_t)retention,
                                      .name = strings->name,
                                      .pause = {(int64_t)since, (int64_t)until, (uint32_t)failures,
                                                is_paused ? strings->cause : NULL}};
    return account->retention >= 0 && account->pause.since >= 0 && account->pause.until >= 0;
}

static int put_turn(struct store_bdb *bdb, DB_TXN *transaction, const struct store_turn *turn)
{
    unsigned char key[TURN_KEY_SIZE];
    unsigned char bytes[TURN_HEAD_SIZE + STORE_TURN_MAX * SENT_SIZE_MAX];
    if (turn->count > STORE_TURN_MAX)
        return EINVAL;
    put_number(key, turn->sequence, 8);
    unsigned char *place = put_number(bytes, RECORD_VERSION, 1);
    place = put_number(place, (uint64_t)turn->time, 8);
    for (size_t i = 0; i < turn->count; i++) {
        place = put_compact(place, turn->sent[i].account);
        place = put_compact(place, turn->sent[i].recipients);
        place = put_compact(place, turn->sent[i].messages);
    }
    return put(bdb, bdb->turns, transaction, dbt(key, sizeof(key)),
               dbt(bytes, (size_t)(place - bytes)));
}

/* All but what was sent. */
static bool get_turn_head(const DBT *key, const DBT *value, struct store_turn *turn)
{
    const unsigned char *place = value->data;
    uint64_t time;
    if (key->size != TURN_KEY_SIZE || value->size < TURN_HEAD_SIZE || place[0] != RECORD_VERSION)
        return false;
    *turn = (struct store_turn){0};
    get_number(key->data, &turn->sequence, 8);
    get_number(place + 1, &time, 8);
    turn->time = (int64_t)time;
    return turn->time >= 0;
}

/* `sent` has room for STORE_TURN_MAX. */
static bool get_turn(const DBT *key, const DBT *value, struct store_turn *turn,
                     struct store_sent *sent)
{
    if (!get_turn_head(key, value, turn))
        return false;
    const unsigned char *place = (const unsigned char *)value->data + TURN_HEAD_SIZE;
    const unsigned char *end = (const unsigned char *)value->data + value->size;
    for (; place < end && turn->count < STORE_TURN_MAX; turn->count++) {
        struct store_sent *one = &sent[turn->count];
        place = get_compact(place, end, &one->account);
        place = get_compact(place, end, &one->recipients);
        place = get_compact(place, end, &one->messages);
        if (place == NULL)
            return false;
    }
    turn->sent = sent;
    return place == end;
}

static int put_reservation(struct store_bdb *bdb, DB_TXN *transaction,
                           const struct store_reservation *reservation)
{
    unsigned char key[RESERVATION_KEY_SIZE];
    unsigned char bytes[RESERVATION_SIZE];
    put_number(key, reservation->id, 8);
    unsigned char *place = put_number(bytes, RECORD_VERSION, 1);
    place = put_number(place, reservation->account, 4);
    place = put_number(place, (uint64_t)reservation->time, 8);
    place = put_number(place, reservation->recipients, 4);
    put_number(place, reservation->messages, 4);
    return put(bdb, bdb->reservations, transaction, dbt(key, sizeof(key)),
               dbt(bytes, sizeof(bytes)));
}

static bool get_reservation(const DBT *key, const DBT *value, struct store_reservation *reservation)
{
    const unsigned char *place = value->data;
    if (key->size != RESERVATION_KEY_SIZE || value->size != RESERVATION_SIZE ||
        place[0] != RECORD_VERSION)
        return false;
    uint64_t account, time, recipients, messages;
    get_number(key->data, &reservation->id, 8);
    place = get_number(place + 1, &account, 4);
    place = get_number(place, &time, 8);
    place = get_number(place, &recipients, 4);
    get_number(place, &messages, 4);
    reservation->account = (uint32_t)account;
    reservation->time = (int64_t)time;
    reservation->recipients = (uint32_t)recipients;
    reservation->messages = (uint32_t)messages;
    return reservation->time >= 0;
}

/* --- reading ----------------------------------------------------------------- */

/* The turns that could not be read. */
struct skipped {
    size_t count;
    uint64_t first, last; /* sequences */
};

struct reading {
    struct store_bdb *bdb;
    const struct store_reader *reader;
    int64_t horizon;
    struct skipped skipped;
};

/* Hands one record to the ledger. */
typedef bool (*record_function)(struct reading *reading, const DBT *key, const DBT *value,
                                struct error *error);

static bool unreadable(const struct store_bdb *bdb, const char *file, struct error *error)
{
    return error_set(error,
                     "the ledger %s has a record in %s that this version does not understand; "
                     "run the version that wrote it, or move the directory away to start with "
                     "empty counts",
                     bdb->directory, file);
}

/* The reader has refused, with the reason. */
static bool senseless(const struct store_bdb *bdb, struct error *error)
{
    struct error reason = *error;
    return error_set(error,
                     "the ledger %s: %s; it is left as it is: restore it, or move it away to start "
                     "with empty counts",
                     bdb->directory, reason.text);
}

static bool read_account(struct reading *reading, const DBT *key, const DBT *value,
                         struct error *error)
{
    const struct store_reader *reader = reading->reader;
    struct strings strings;
    struct store_account account;
    if (!get_account(key, value, &account, &strings))
        return unreadable(reading->bdb, ACCOUNTS, error);
    return reader->account(reader->context, &account, error) || senseless(reading->bdb, error);
}

static void skip_turn(struct skipped *skipped, const DBT *key)
{
    get_number(key->data, &skipped->last, TURN_KEY_SIZE);
    if (skipped->count++ == 0)
        skipped->first = skipped->last;
}

/* Whether an unreadable turn mattered shows when later ones are read. */
static bool read_turn(struct reading *reading, const DBT *key, const DBT *value,
                      struct error *error)
{
    const struct store_reader *reader = reading->reader;
    struct store_sent sent[STORE_TURN_MAX];
    struct store_turn turn;
    if (key->size != TURN_KEY_SIZE)
        return unreadable(reading->bdb, TURNS, error);
    if (!get_turn(key, value, &turn, sent)) {
        skip_turn(&reading->skipped, key);
        return true;
    }
    if (turn.time < reading->horizon)
        reading->bdb->useless = turn.sequence;
    return reader->turn(reader->context, &turn, error) || senseless(reading->bdb, error);
}

static bool read_reservation(struct reading *reading, const DBT *key, const DBT *value,
                             struct error *error)
{
    const struct store_reader *reader = reading->reader;
    struct store_reservation reservation;
    if (!get_reservation(key, value, &reservation))
        return unreadable(reading->bdb, RESERVATIONS, error);
    return reader->reservation(reader->context, &reservation, error) ||
           senseless(reading->bdb, error);
}

static bool read_database(struct reading *reading, DB *database, record_function take,
                          struct error *error)
{
    DBC *cursor;
    int code = database->cursor(database, NULL, &cursor, 0);
    if (code != 0)
        return unusable(reading->bdb, code, "cannot be read", error);
    DBT key = dbt(NULL, 0);
    DBT value = dbt(NULL, 0);
    bool taken = true;
    while (taken && (code = cursor->get(cursor, &key, &value, DB_NEXT)) == 0)
        taken = take(reading, &key, &value, error);
    cursor->close(cursor);
    if (taken && code != DB_NOTFOUND)
        return unusable(reading->bdb, code, "cannot be read", error);
    return taken;
}

static bool read_turns(struct reading *reading, struct error *error)
{
    struct store_bdb *bdb = reading->bdb;
    const struct skipped *skipped = &reading->skipped;
    reading->horizon = reading->reader->horizon(reading->reader->context);
    bdb->useless = 0;
    if (!read_database(reading, bdb->turns, read_turn, error))
        return false;
    if (skipped->count > 0 && skipped->last > bdb->useless)
        return unreadable(bdb, TURNS, error);
    if (skipped->count > 0)
        log_warning("the ledger %s: %zu records in " TURNS ", from %" PRIu64
                    " on, cannot be read; they are older than any period and left out",
                    bdb->directory, skipped->count, skipped->first);
    return true;
}

static bool bdb_read(struct store *store, const struct store_reader *reader, struct error *error)
{
    struct store_bdb *bdb = bdb_of(store);
    struct reading reading = {.bdb = bdb, .reader = reader};
    bdb->running = read_database(&reading, bdb->accounts, read_account, error) &&
                   read_turns(&reading, error) &&
                   read_database(&reading, bdb->reservations, read_reservation, error);
    return bdb->running;
}

/* --- writing ----------------------------------------------------------------- */

static int remove_key(DB *database, DB_TXN *transaction, uint64_t number, int size)
{
    unsigned char bytes[8];
    put_number(bytes, number, size);
    DBT key = dbt(bytes, (size_t)size);
    int code = database->del(database, transaction, &key, 0);
    return code != DB_NOTFOUND ? code : 0;
}

static int make_change(struct store_bdb *bdb, DB_TXN *transaction,
                       const struct store_change *change)
{
    switch (change->kind) {
    case STORE_PUT_ACCOUNT:
        return put_account(bdb, transaction, &change->account);
    case STORE_REMOVE_ACCOUNT:
        return remove_key(bdb->accounts, transaction, change->account.number, ACCOUNT_KEY_SIZE);
    case STORE_PUT_TURN:
        return put_turn(bdb, transaction, &change->turn);
    case STORE_PUT_RESERVATION:
        return put_reservation(bdb, transaction, &change->reservation);
    case STORE_REMOVE_RESERVATION:
        return remove_key(bdb->reservations, transaction, change->reservation.id,
                          RESERVATION_KEY_SIZE);
    }
    return EINVAL;
}

/* The cost of a checkpoint grows with what was written since the last one, and everybody waits for
 * it. A busy minute gets many small ones, each a few milliseconds. Whether it worked is of no
 * interest to whoever writes; bdb_maintain() will try again, and tell. */
static void checkpoint_volume(struct store_bdb *bdb)
{
    if (bdb->volume < (size_t)CHECKPOINT_KBYTES * 1024)
        return;
    bdb->volume = 0;
    bdb->environment->txn_checkpoint(bdb->environment, 0, 0, 0);
}

static bool bdb_write(struct store *store, const struct store_change *changes, size_t count,
                      struct error *error)
{
    struct store_bdb *bdb = bdb_of(store);
    DB_TXN *transaction;
    int code = bdb->environment->txn_begin(bdb->environment, NULL, &transaction, 0);
    if (code != 0)
        return failed(bdb, code, "cannot be written", error);
    for (size_t i = 0; i < count && code == 0; i++)
        code = make_change(bdb, transaction, &changes[i]);
    if (code != 0)
        transaction->abort(transaction);
    else
        code = transaction->commit(transaction, 0);
    if (code == 0)
        checkpoint_volume(bdb);
    return code == 0 || failed(bdb, code, "cannot be written", error);
}

/* One that cannot be read goes if it was of no use at the start already. */
static bool is_expired(const struct store_bdb *bdb, const DBT *key, const DBT *value,
                       int64_t before, uint64_t *sequence)
{
    struct store_turn turn;
    get_number(key->data, sequence, TURN_KEY_SIZE);
    return get_turn_head(key, value, &turn) ? turn.time < before : *sequence <= bdb->useless;
}

/* Removes from the cursor's position on what may go. */
static int remove_expired(const struct store_bdb *bdb, DBC *cursor, int64_t before, size_t most,
                          struct store_rest *rest)
{
    DBT key = dbt(NULL, 0);
    DBT value = dbt(NULL, 0);
    int code;
    size_t removed = 0;
    *rest = (struct store_rest){.first = UINT64_MAX};
    while ((code = cursor->get(cursor, &key, &value, DB_NEXT)) == 0) {
        uint64_t sequence;
        bool goes = is_expired(bdb, &key, &value, before, &sequence);
        rest->more = goes && removed == most;
        if (!goes || rest->more) {
            rest->first = sequence;
            return 0;
        }
        if ((code = cursor->del(cursor, 0)) != 0)
            return code;
        removed++;
    }
    return code == DB_NOTFOUND ? 0 : code;
}

/* Not flushed to the disk: a turn that comes back after a crash expires again. */
static bool bdb_expire(struct store *store, int64_t before, size_t most, struct store_rest *rest,
                       struct error *error)
{
    struct store_bdb *bdb = bdb_of(store);
    DB_TXN *transaction;
    DBC *cursor;
    int code = bdb->environment->txn_begin(bdb->environment, NULL, &transaction, 0);
    if (code != 0)
        return failed(bdb, code, "cannot be tidied", error);
    code = bdb->turns->cursor(bdb->turns, transaction, &cursor, 0);
    if (code == 0) {
        code = remove_expired(bdb, cursor, before, most, rest);
        int closed = cursor->close(cursor);
        code = code != 0 ? code : closed;
    }
    if (code != 0)
        transaction->abort(transaction);
    else
        code = transaction->commit(transaction, DB_TXN_WRITE_NOSYNC);
    return code == 0 || failed(bdb, code, "cannot be tidied", error);
}

/* A checkpoint also removes the log files that are needed no more (DB_LOG_AUTO_REMOVE). */
static bool bdb_maintain(struct store *store, struct error *error)
{
    struct store_bdb *bdb = bdb_of(store);
    int code = bdb->environment->txn_checkpoint(bdb->environment, CHECKPOINT_KBYTES,
                                                CHECKPOINT_MINUTES, 0);
    return code == 0 || failed(bdb, code, "cannot be checkpointed", error);
}

/* --- trouble ----------------------------------------------------------------- */

static void end_program(const struct store_bdb *bdb)
{
    log_fatal(EX_SOFTWARE,
              "the ledger %s: Berkeley DB cannot go on; the next start recovers what was written",
              bdb->directory);
}

/* At the start: Berkeley DB's own lines have said what is wrong. */
static bool unusable(const struct store_bdb *bdb, int code, const char *what, struct error *error)
{
    return error_set(
        error,
        "the ledger %s %s: %s; it is left as it is: give it space, restore it, or move "
        "it away to start with empty counts",
        bdb->directory, what,
        db_strerror(code == DB_RUNRECOVERY && bdb->panic != 0 ? bdb->panic : code));
}

static bool failed(struct store_bdb *bdb, int code, const char *what, struct error *error)
{
    if (code == DB_RUNRECOVERY && bdb->running)
        end_program(bdb);
    return error_set(error, "the ledger %s %s: %s", bdb->directory, what, db_strerror(code));
}

/* A full disk makes a message per page and second: the first few of a minute tell the story. */
static void take_message(const DB_ENV *environment, const char *prefix, const char *message)
{
    (void)prefix;
    struct store_bdb *bdb = environment->app_private;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    if (now.tv_sec >= bdb->message_minute + 60 || bdb->message_minute == 0) {
        bdb->message_minute = now.tv_sec;
        bdb->messages = 0;
    }
    if (++bdb->messages <= MESSAGES_PER_MINUTE)
        log_error("Berkeley DB: %s", message);
    if (bdb->messages == MESSAGES_PER_MINUTE)
        log_error("Berkeley DB: further messages of this minute are left out");
}

static void take_event(DB_ENV *environment, u_int32_t event, void *information)
{
    struct store_bdb *bdb = environment->app_private;
    if (event != DB_EVENT_PANIC)
        return;
    if (bdb->running)
        end_program(bdb);
    if (bdb->panic == 0 && information != NULL)
        bdb->panic = *(const int *)information;
}

/* --- the directory ----------------------------------------------------------- */

__attribute__((format(printf, 3, 4))) static bool
directory_error(const struct settings *settings, struct error *error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (error != NULL)
        vsnprintf(error->text, sizeof(error->text), format, arguments);
    va_end(arguments);
    return error_prefix(error, "%s/main.cf: post365_ledger = %s", settings->config_directory,
                        settings->ledger);
}

/* Gives a directory that root has just made to its user. The descriptor is what was checked, so
 * that nobody can exchange the name underneath. */
static bool give_away(const struct settings *settings, const struct user *user, struct error *error)
{
    int descriptor = open(settings->ledger, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat status;
    bool given = descriptor >= 0 && fstat(descriptor, &status) == 0 && status.st_uid == 0 &&
                 fchown(descriptor, user->id, user->group) == 0;
    if (descriptor >= 0)
        close(descriptor);
    return given || directory_error(settings, error, "cannot be given to %s", settings->user);
}

static bool make_directory(const struct settings *settings, const struct user *user,
                           struct error *error)
{
    if (mkdir(settings->ledger, 0700) == 0)
        return geteuid() != 0 || give_away(settings, user, error);
    return errno == EEXIST ||
           directory_error(settings, error,
                           "cannot be created: %s; run: install -d -o %s -m 700 %s",
                           strerror(errno), settings->user, settings->ledger);
}

bool store_bdb_prepare(const struct settings *settings, bool only_check, struct error *error)
{
    struct user user;
    struct stat status;
    if (!user_find(settings, &user, error))
        return false;
    bool missing = lstat(settings->ledger, &status) != 0 && errno == ENOENT;
    if (missing && only_check)
        return true;
    if (missing && !make_directory(settings, &user, error))
        return false;
    return check_directory(settings, user.id, error);
}

static bool is_ours(const char *name)
{
    return strcmp(name, LOCK) == 0 || strcmp(name, ACCOUNTS) == 0 || strcmp(name, TURNS) == 0 ||
           strcmp(name, RESERVATIONS) == 0 || strncmp(name, LOG_PREFIX, strlen(LOG_PREFIX)) == 0;
}

/* Berkeley DB's own tools, run by root, leave files that the daemon cannot open. */
static bool check_files(const struct settings *settings, uid_t owner, struct error *error)
{
    DIR *directory = opendir(settings->ledger);
    if (directory == NULL)
        return directory_error(settings, error, "cannot be read: %s", strerror(errno));
    bool sound = true;
    const struct dirent *entry;
    while (sound && (entry = readdir(directory)) != NULL) {
        struct stat status;
        if (!is_ours(entry->d_name) ||
            fstatat(dirfd(directory), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        sound = status.st_uid == owner ||
                directory_error(settings, error,
                                "its file %s belongs to user id %u, where %u must own it; "
                                "run: chown -R %u %s",
                                entry->d_name, (unsigned)status.st_uid, (unsigned)owner,
                                (unsigned)owner, settings->ledger);
    }
    closedir(directory);
    return sound;
}

bool store_bdb_size(const struct store *store, struct store_bdb_size *size)
{
    *size = (struct store_bdb_size){0};
    DIR *directory = opendir(((const struct store_bdb *)(const void *)store)->directory);
    if (directory == NULL)
        return false;
    const struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        struct stat status;
        if (!is_ours(entry->d_name) ||
            fstatat(dirfd(directory), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        bool is_log = strncmp(entry->d_name, LOG_PREFIX, strlen(LOG_PREFIX)) == 0;
        *(is_log ? &size->logs : &size->data) += (uint64_t)status.st_blocks * 512;
    }
    closedir(directory);
    return true;
}

static bool check_directory(const struct settings *settings, uid_t owner, struct error *error)
{
    struct stat status;
    if (lstat(settings->ledger, &status) != 0)
        return directory_error(settings, error, "%s", strerror(errno));
    if (!S_ISDIR(status.st_mode))
        return directory_error(settings, error,
                               "is not a directory; remove it, or name another one");
    if (status.st_uid != owner)
        return directory_error(
            settings, error, "belongs to user id %u, where %u must own it; run: chown -R %u %s",
            (unsigned)status.st_uid, (unsigned)owner, (unsigned)owner, settings->ledger);
    if ((status.st_mode & 0777) != 0700)
        return directory_error(settings, error,
                               "has mode %04o and must be closed to others; run: chmod 700 %s",
                               (unsigned)status.st_mode & 0777U, settings->ledger);
    return check_files(settings, owner, error);
}

bool store_bdb_check(const struct settings *settings, struct error *error)
{
    struct stat status;
    if (lstat(settings->ledger, &status) != 0 && errno == ENOENT)
        return true;
    return check_directory(settings, geteuid(), error) &&
           (access(settings->ledger, R_OK | W_OK | X_OK) == 0 ||
            directory_error(settings, error, "cannot be used: %s", strerror(errno)));
}

/* Writes into the lock file who holds it, for whoever looks at it. */
static void sign_lock(int descriptor)
{
    char text[64];
    int length = snprintf(text, sizeof(text), "%d post365-policyd\n", (int)getpid());
    if (ftruncate(descriptor, 0) != 0 || pwrite(descriptor, text, (size_t)length, 0) != length)
        log_warning("cannot write into the ledger's lock file: %s", strerror(errno));
}

/* Why it could not be locked. */
static void explain_lock(const struct settings *settings, const char *path, int descriptor,
                         struct error *error)
{
    int reason = errno;
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (reason != EACCES && reason != EAGAIN) {
        directory_error(settings, error, "lock file %s cannot be locked: %s", path,
                        strerror(reason));
        return;
    }
    if (fcntl(descriptor, F_GETLK, &lock) != 0 || lock.l_type == F_UNLCK)
        lock.l_pid = 0;
    directory_error(settings, error,
                    "is in use by process %d, which has locked %s; stop it, or name another "
                    "directory",
                    (int)lock.l_pid, path);
}

/* The lock is the process's: it goes when any descriptor of the file is closed. -1 with the
 * reason. */
static int lock_directory(const struct settings *settings, struct error *error)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/" LOCK, settings->ledger);
    int descriptor = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (descriptor < 0) {
        directory_error(settings, error, "lock file %s: %s", path, strerror(errno));
        return -1;
    }
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(descriptor, F_SETLK, &lock) == 0)
        return descriptor;
    explain_lock(settings, path, descriptor, error);
    close(descriptor);
    return -1;
}

bool store_bdb_is_free(const struct settings *settings, struct error *error)
{
    int descriptor =
        check_directory(settings, geteuid(), error) ? lock_directory(settings, error) : -1;
    if (descriptor >= 0)
        close(descriptor);
    return descriptor >= 0;
}

static bool take_lock(struct store_bdb *bdb, const struct settings *settings, struct error *error)
{
    bdb->lock = lock_directory(settings, error);
    if (bdb->lock >= 0)
        sign_lock(bdb->lock);
    return bdb->lock >= 0;
}

/* --- opening and closing ----------------------------------------------------- */

static bool check_version(struct error *error)
{
    int major, minor, patch;
    const char *version = db_version(&major, &minor, &patch);
    if (major == DB_VERSION_MAJOR && minor == DB_VERSION_MINOR)
        return true;
    return error_set(error, "built for Berkeley DB %d.%d, but running with %s", DB_VERSION_MAJOR,
                     DB_VERSION_MINOR, version);
}

/* A log file that is full of zeros from the beginning does not grow, so that fdatasync(2) has data
 * to write and no metadata. */
bool store_bdb_set_sync(struct store *store, bool sync, struct error *error)
{
    struct store_bdb *bdb = bdb_of(store);
    DB_ENV *environment = bdb->environment;
    int code = environment->set_flags(environment, DB_TXN_WRITE_NOSYNC, sync ? 0 : 1);
    if (code == 0)
        code = environment->log_set_config(environment, DB_LOG_ZERO, sync ? 1 : 0);
    return code == 0 || failed(bdb, code, "does not take post365_ledger_sync", error);
}

static bool open_environment(struct store_bdb *bdb, bool sync, struct error *error)
{
    int code = db_env_create(&bdb->environment, 0);
    if (code != 0)
        return unusable(bdb, code, "cannot be opened", error);
    DB_ENV *environment = bdb->environment;
    environment->app_private = bdb;
    environment->set_errcall(environment, take_message);
    if ((code = environment->set_event_notify(environment, take_event)) != 0 ||
        (code = environment->set_cachesize(environment, 0, CACHE_SIZE, 1)) != 0 ||
        (code = environment->set_lg_bsize(environment, LOG_BUFFER_SIZE)) != 0 ||
        (code = environment->set_lg_max(environment, LOG_FILE_SIZE)) != 0 ||
        (code = environment->log_set_config(environment, DB_LOG_AUTO_REMOVE, 1)) != 0 ||
        (code = environment->open(environment, bdb->directory,
                                  DB_CREATE | DB_PRIVATE | DB_INIT_LOG | DB_INIT_MPOOL |
                                      DB_INIT_TXN | DB_RECOVER,
                                  0600)) != 0)
        return unusable(bdb, code, "cannot be opened", error);
    return store_bdb_set_sync(&bdb->store, sync, error);
}

static bool open_database(struct store_bdb *bdb, DB **database, const char *name,
                          struct error *error)
{
    int code = db_create(database, bdb->environment, 0);
    if (code != 0)
        return unusable(bdb, code, "cannot be opened", error);
    DB *opened = *database;
    if ((code = opened->set_pagesize(opened, PAGE_SIZE)) == 0 &&
        (code = opened->set_flags(opened, DB_CHKSUM)) == 0)
        code = opened->open(opened, NULL, name, NULL, DB_BTREE, DB_CREATE | DB_AUTO_COMMIT, 0600);
    return code == 0 || unusable(bdb, code, "cannot be opened", error);
}

static bool has_file(const struct store_bdb *bdb, const char *name)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/%s", bdb->directory, name);
    return access(path, F_OK) == 0;
}

static bool incomplete(const struct store_bdb *bdb, const char *name, struct error *error)
{
    return error_set(error,
                     "the ledger %s lacks %s; it is left as it is: restore the file, or move the "
                     "directory away to start with empty counts",
                     bdb->directory, name);
}

/* Without its log a database works until the first crash, and cannot be recovered then. */
static bool has_its_log(const struct store_bdb *bdb, struct error *error)
{
    if (!has_file(bdb, ACCOUNTS) && !has_file(bdb, TURNS) && !has_file(bdb, RESERVATIONS))
        return true;
    DIR *directory = opendir(bdb->directory);
    bool found = false;
    const struct dirent *entry;
    while (directory != NULL && !found && (entry = readdir(directory)) != NULL)
        found = strncmp(entry->d_name, LOG_PREFIX, strlen(LOG_PREFIX)) == 0;
    if (directory != NULL)
        closedir(directory);
    return found || incomplete(bdb, "its log files (" LOG_PREFIX "*)", error);
}

static bool has_records(DB *database, bool *any, struct store_bdb *bdb, struct error *error)
{
    DBC *cursor;
    DBT key = dbt(NULL, 0);
    DBT value = dbt(NULL, 0);
    int code = database->cursor(database, NULL, &cursor, 0);
    if (code == 0) {
        code = cursor->get(cursor, &key, &value, DB_FIRST);
        cursor->close(cursor);
    }
    *any = code == 0;
    return code == 0 || code == DB_NOTFOUND || unusable(bdb, code, "cannot be read", error);
}

/* After recovery. A ledger is made in the order accounts, turns, reservations, first account: what
 * is missing out of this order was lost, and making it anew would be to forget what was counted. */
static bool open_databases(struct store_bdb *bdb, struct error *error)
{
    bool has_turns = has_file(bdb, TURNS);
    bool has_reservations = has_file(bdb, RESERVATIONS);
    if ((has_turns || has_reservations) && !has_file(bdb, ACCOUNTS))
        return incomplete(bdb, ACCOUNTS, error);
    bool has_accounts = false;
    if (!open_database(bdb, &bdb->accounts, ACCOUNTS, error) ||
        !has_records(bdb->accounts, &has_accounts, bdb, error))
        return false;
    if ((has_accounts || has_reservations) && !has_turns)
        return incomplete(bdb, TURNS, error);
    if (has_accounts && !has_reservations)
        return incomplete(bdb, RESERVATIONS, error);
    return open_database(bdb, &bdb->turns, TURNS, error) &&
           open_database(bdb, &bdb->reservations, RESERVATIONS, error);
}

static void bdb_close(struct store *store)
{
    struct store_bdb *bdb = bdb_of(store);
    int code = bdb->environment->txn_checkpoint(bdb->environment, 0, 0, 0);
    if (code != 0)
        log_warning("the ledger %s: last checkpoint: %s; the next start recovers", bdb->directory,
                    db_strerror(code));
    close_all(bdb);
}

/* Whatever is open. */
static void close_all(struct store_bdb *bdb)
{
    if (bdb->reservations != NULL)
        bdb->reservations->close(bdb->reservations, 0);
    if (bdb->turns != NULL)
        bdb->turns->close(bdb->turns, 0);
    if (bdb->accounts != NULL)
        bdb->accounts->close(bdb->accounts, 0);
    if (bdb->environment != NULL)
        bdb->environment->close(bdb->environment, 0);
    if (bdb->lock >= 0)
        close(bdb->lock);
    free(bdb->directory);
    free(bdb);
}

struct store *store_bdb_open(const struct settings *settings, struct error *error)
{
    static const struct store_operations operations = {.read = bdb_read,
                                                       .write = bdb_write,
                                                       .expire = bdb_expire,
                                                       .maintain = bdb_maintain,
                                                       .close = bdb_close};
    struct store_bdb *bdb = memory_zero(1, sizeof(*bdb));
    bdb->store.operations = &operations;
    bdb->directory = memory_copy(settings->ledger);
    bdb->lock = -1;
    if (!check_version(error) || !check_directory(settings, geteuid(), error) ||
        !take_lock(bdb, settings, error) || !has_its_log(bdb, error) ||
        !open_environment(bdb, settings->ledger_sync, error) || !open_databases(bdb, error)) {
        close_all(bdb);
        return NULL;
    }
    return &bdb->store;
}
