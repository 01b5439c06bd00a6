/* bdb.c - the ledger's store in Berkeley DB
 *
 * Three B-trees in one environment: accounts.db, turns.db, reservations.db; record.h says
 * what is in them. Sequences grow, so that turns are written at one end of their tree and expire at
 * the other: a batch touches one or two pages.
 *
 * One process has the environment, in its private memory; no other can attach, so that a killed
 * process never leaves a region that somebody would hang on. Recovery runs at every start.
 *
 * Bugs: after a crash of the machine in the middle of a page write Berkeley DB finds the torn page
 * by its checksum and refuses to go on. Pages are as large as a file system's block to make that
 * unlikely.
 */
#include "policyd/store/bdb.h"

#include "common/log.h"
#include "common/memory.h"
#include "policyd/store/directory.h"
#include "policyd/store/log_end.h"
#include "policyd/store/record.h"

#include <db.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

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
    bool sync;        /* post365_ledger_sync */
    size_t volume;    /* written since the last checkpoint, about */
    uint64_t useless; /* turns up to this sequence are older than anybody asks for */
    bool running;     /* was read whole: from now on a panic ends the program */
    int panic;        /* why Berkeley DB first panicked before that */
    struct distribution checkpoint_times;
    time_t message_minute;
    unsigned messages;
};

static bool open_environment(struct store_bdb *bdb, bool sync, struct error *error);
static bool open_database(struct store_bdb *bdb, DB **database, const char *name,
                          struct error *error);
static bool has_sound_log(const struct store_bdb *bdb, struct error *error);
static bool has_records(DB *database, bool *any, struct store_bdb *bdb, struct error *error);
static bool open_databases(struct store_bdb *bdb, struct error *error);
static void close_all(struct store_bdb *bdb);
__attribute__((noreturn)) static void end_program(const struct store_bdb *bdb);
static bool failed(struct store_bdb *bdb, int code, const char *what, struct error *error);
static bool unusable(const struct store_bdb *bdb, int code, const char *what, struct error *error);

static struct store_bdb *bdb_of(struct store *store)
{
    return (struct store_bdb *)(void *)store;
}

static DBT dbt(void *bytes, size_t size)
{
    DBT thing;
    memset(&thing, 0, sizeof(thing));
    thing.data = bytes;
    thing.size = (u_int32_t)size;
    return thing;
}

static struct record_view view_of(const DBT *key, const DBT *value)
{
    return (struct record_view){key->data, key->size, value->data, value->size};
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
typedef bool (*record_function)(struct reading *reading, const struct record_view *view,
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

static bool read_account(struct reading *reading, const struct record_view *view,
                         struct error *error)
{
    const struct store_reader *reader = reading->reader;
    struct record_strings strings;
    struct store_account account;
    if (record_number(view) == RECORD_CLOCK_NUMBER)
        return true;
    if (!record_read_account(view, &account, &strings))
        return unreadable(reading->bdb, STORE_ACCOUNTS, error);
    return reader->account(reader->context, &account, error) || senseless(reading->bdb, error);
}

static bool bdb_read_clock(struct store *store, struct store_clock *clock, enum store_time *time,
                           struct error *error)
{
    struct store_bdb *bdb = bdb_of(store);
    bool has_accounts;
    struct record record;
    record_key(&record, RECORD_CLOCK_NUMBER, RECORD_ACCOUNT_KEY);
    DBT key = dbt(record.key, record.key_size);
    DBT value = dbt(NULL, 0);
    int code = bdb->accounts->get(bdb->accounts, NULL, &key, &value, 0);
    if (code == DB_NOTFOUND) {
        bool read = has_records(bdb->accounts, &has_accounts, bdb, error);
        *time = read && has_accounts ? STORE_TIME_UNKNOWN : STORE_TIME_EMPTY;
        return read;
    }
    if (code != 0)
        return unusable(bdb, code, "cannot be read", error);
    const struct record_view view = view_of(&key, &value);
    *time = STORE_TIME_KEPT;
    return record_read_clock(&view, clock) || unreadable(bdb, STORE_ACCOUNTS, error);
}

static void skip_turn(struct skipped *skipped, uint64_t sequence)
{
    skipped->last = sequence;
    if (skipped->count++ == 0)
        skipped->first = skipped->last;
}

/* Whether an unreadable turn mattered shows when later ones are read. */
static bool read_turn(struct reading *reading, const struct record_view *view, struct error *error)
{
    const struct store_reader *reader = reading->reader;
    struct store_sent sent[STORE_TURN_MAX];
    struct store_turn turn;
    if (view->key_size != RECORD_TURN_KEY)
        return unreadable(reading->bdb, STORE_TURNS, error);
    if (!record_read_turn(view, &turn, sent)) {
        skip_turn(&reading->skipped, record_number(view));
        return true;
    }
    if (turn.time < reading->horizon)
        reading->bdb->useless = turn.sequence;
    return reader->turn(reader->context, &turn, error) || senseless(reading->bdb, error);
}

static bool read_reservation(struct reading *reading, const struct record_view *view,
                             struct error *error)
{
    const struct store_reader *reader = reading->reader;
    struct store_reservation reservation;
    if (!record_read_reservation(view, &reservation))
        return unreadable(reading->bdb, STORE_RESERVATIONS, error);
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
    while (taken && (code = cursor->get(cursor, &key, &value, DB_NEXT)) == 0) {
        const struct record_view view = view_of(&key, &value);
        taken = take(reading, &view, error);
    }
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
        return unreadable(bdb, STORE_TURNS, error);
    if (skipped->count > 0)
        log_warning("the ledger %s: %zu records in " STORE_TURNS ", from %" PRIu64
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

/* Twice: sooner or later the page that becomes full goes into the log, too. */
static int put(struct store_bdb *bdb, DB *database, DB_TXN *transaction, struct record *record)
{
    DBT key = dbt(record->key, record->key_size);
    DBT value = dbt(record->value, record->value_size);
    bdb->volume += 2 * record->value_size + LOG_OVERHEAD;
    return database->put(database, transaction, &key, &value, 0);
}

static int take_out(DB *database, DB_TXN *transaction, struct record *record)
{
    DBT key = dbt(record->key, record->key_size);
    int code = database->del(database, transaction, &key, 0);
    return code != DB_NOTFOUND ? code : 0;
}

static int make_change(struct store_bdb *bdb, DB_TXN *transaction,
                       const struct store_change *change)
{
    struct record record;
    switch (change->kind) {
    case STORE_PUT_ACCOUNT:
        return record_of_account(&record, &change->account)
                   ? put(bdb, bdb->accounts, transaction, &record)
                   : EINVAL;
    case STORE_REMOVE_ACCOUNT:
        record_key(&record, change->account.number, RECORD_ACCOUNT_KEY);
        return take_out(bdb->accounts, transaction, &record);
    case STORE_PUT_TURN:
        return record_of_turn(&record, &change->turn) ? put(bdb, bdb->turns, transaction, &record)
                                                      : EINVAL;
    case STORE_PUT_RESERVATION:
        record_of_reservation(&record, &change->reservation);
        return put(bdb, bdb->reservations, transaction, &record);
    case STORE_REMOVE_RESERVATION:
        record_key(&record, change->reservation.id, RECORD_RESERVATION_KEY);
        return take_out(bdb->reservations, transaction, &record);
    case STORE_PUT_CLOCK:
        record_of_clock(&record, &change->clock);
        return put(bdb, bdb->accounts, transaction, &record);
    }
    return EINVAL;
}

/* If so much was written, or a minute has passed, since the last one; 0, 0: always. */
static int checkpoint(struct store_bdb *bdb, uint32_t kbytes, uint32_t minutes)
{
    uint64_t begin = distribution_clock();
    int code = bdb->environment->txn_checkpoint(bdb->environment, kbytes, minutes, 0);
    distribution_add(&bdb->checkpoint_times, distribution_clock() - begin);
    return code;
}

/* The cost of a checkpoint grows with what was written since the last one, and everybody waits for
 * it. A busy minute gets many small ones, each a few milliseconds. Whether it worked is of no
 * interest to whoever writes; bdb_maintain() will try again, and tell. */
static void checkpoint_volume(struct store_bdb *bdb)
{
    if (bdb->volume < (size_t)CHECKPOINT_KBYTES * 1024)
        return;
    bdb->volume = 0;
    checkpoint(bdb, 0, 0);
}

/* Written is written: a commit that flushed by itself would not tell of a log file that could not
 * be made, and after a flush that failed Linux takes the pages for clean, so that what is written
 * behind them would be lost with the machine. */
static void flush(struct store_bdb *bdb)
{
    if (bdb->sync && bdb->environment->log_flush(bdb->environment, NULL) != 0)
        end_program(bdb);
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
        code = transaction->commit(transaction, DB_TXN_WRITE_NOSYNC);
    if (code != 0)
        return failed(bdb, code, "cannot be written", error);
    flush(bdb);
    checkpoint_volume(bdb);
    return true;
}

/* One that cannot be read goes if it was of no use at the start already. */
static bool is_expired(const struct store_bdb *bdb, const struct record_view *view, int64_t before)
{
    struct store_turn turn;
    return record_read_turn(view, &turn, NULL) ? turn.time < before
                                               : record_number(view) <= bdb->useless;
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
        const struct record_view view = view_of(&key, &value);
        bool goes = is_expired(bdb, &view, before);
        rest->more = goes && removed == most;
        if (!goes || rest->more) {
            rest->first = record_number(&view);
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
    int code = checkpoint(bdb, CHECKPOINT_KBYTES, CHECKPOINT_MINUTES);
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
    int code = environment->log_set_config(environment, DB_LOG_ZERO, sync ? 1 : 0);
    bdb->sync = sync;
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
    if ((code = opened->set_pagesize(opened, STORE_PAGE_SIZE)) == 0 &&
        (code = opened->set_flags(opened, DB_CHKSUM)) == 0)
        code = opened->open(opened, NULL, name, NULL, DB_BTREE, DB_CREATE | DB_AUTO_COMMIT, 0600);
    return code == 0 || unusable(bdb, code, "cannot be opened", error);
}

static bool incomplete(const struct store_bdb *bdb, const char *name, struct error *error)
{
    return error_set(error,
                     "the ledger %s lacks %s; it is left as it is: restore the file, or move the "
                     "directory away to start with empty counts",
                     bdb->directory, name);
}

/* Without its log a database works until the first crash, and cannot be recovered then. */
static bool has_sound_log(const struct store_bdb *bdb, struct error *error)
{
    bool has_databases = store_directory_has(bdb->directory, STORE_ACCOUNTS) ||
                         store_directory_has(bdb->directory, STORE_TURNS);
    if (has_databases && !store_directory_has_log(bdb->directory))
        return incomplete(bdb, "its log files (" STORE_LOG_PREFIX "*)", error);
    return store_log_make_sound(bdb->directory, error);
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
    bool has_turns = store_directory_has(bdb->directory, STORE_TURNS);
    bool has_reservations = store_directory_has(bdb->directory, STORE_RESERVATIONS);
    if ((has_turns || has_reservations) && !store_directory_has(bdb->directory, STORE_ACCOUNTS))
        return incomplete(bdb, STORE_ACCOUNTS, error);
    bool has_accounts = false;
    if (!open_database(bdb, &bdb->accounts, STORE_ACCOUNTS, error) ||
        !has_records(bdb->accounts, &has_accounts, bdb, error))
        return false;
    if ((has_accounts || has_reservations) && !has_turns)
        return incomplete(bdb, STORE_TURNS, error);
    if (has_accounts && !has_reservations)
        return incomplete(bdb, STORE_RESERVATIONS, error);
    return open_database(bdb, &bdb->turns, STORE_TURNS, error) &&
           open_database(bdb, &bdb->reservations, STORE_RESERVATIONS, error);
}

const struct distribution *store_bdb_checkpoint_times(const struct store *store)
{
    return &((const struct store_bdb *)(const void *)store)->checkpoint_times;
}

bool store_bdb_size(const struct store *store, struct store_bdb_size *size)
{
    const struct store_bdb *bdb = (const struct store_bdb *)(const void *)store;
    return store_directory_size(bdb->directory, &size->data, &size->logs);
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
    static const struct store_operations operations = {.read_clock = bdb_read_clock,
                                                       .read = bdb_read,
                                                       .write = bdb_write,
                                                       .expire = bdb_expire,
                                                       .maintain = bdb_maintain,
                                                       .close = bdb_close};
    struct store_bdb *bdb = memory_zero(1, sizeof(*bdb));
    bdb->store.operations = &operations;
    bdb->checkpoint_times.scale = &distribution_times;
    bdb->directory = memory_copy(settings->ledger);
    bdb->lock = check_version(error) ? store_directory_lock(settings, error) : -1;
    if (bdb->lock < 0 || !has_sound_log(bdb, error) ||
        !open_environment(bdb, settings->ledger_sync, error) || !open_databases(bdb, error)) {
        close_all(bdb);
        return NULL;
    }
    return &bdb->store;
}
