/* test_store_bdb.c - the ledger's store in Berkeley DB, on real files */
#include "common/buffer.h"
#include "common/clock.h"
#include "common/memory.h"
#include "policyd/ledger/ledger.h"
#include "policyd/store/bdb.h"
#include "policyd/store/directory.h"

#include <db.h>
#include <ftw.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define LONGEST 64

struct fixture {
    char directory[LONGEST];
    char config_directory[LONGEST];
    char user[LONGEST];
    struct settings settings;
};

static int set_up(void **state)
{
    struct fixture *fixture = memory_zero(1, sizeof(*fixture));
    strcpy(fixture->directory, "/tmp/post365-store-XXXXXX");
    strcpy(fixture->config_directory, "/etc/relay");
    strcpy(fixture->user, "daemon");
    fixture->settings = (struct settings){.config_directory = fixture->config_directory,
                                          .ledger = fixture->directory,
                                          .user = fixture->user,
                                          .ledger_sync = true};
    *state = fixture;
    return mkdtemp(fixture->directory) != NULL ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    nftw(fixture->directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(fixture);
    return 0;
}

static struct store *open_store(const struct fixture *fixture)
{
    struct error error = {""};
    struct store *store = store_bdb_open(&fixture->settings, &error);
    if (store == NULL)
        fail_msg("the store does not open: %s", error.text);
    return store;
}

/* What a store holds, as text. */
static bool print_account(void *context, const struct store_account *account, struct error *error)
{
    (void)error;
    const struct store_pause *pause = &account->pause;
    buffer_format(context, "%" PRIu32 ":%s:%" PRId64 " ", account->number, account->name,
                  account->retention);
    if (pause->cause != NULL)
        buffer_format(context, "P%" PRId64 "-%" PRId64 "/%" PRIu32 "(%s) ", pause->since,
                      pause->until, pause->failures, pause->cause);
    return true;
}

static bool print_turn(void *context, const struct store_turn *turn, struct error *error)
{
    (void)error;
    buffer_format(context, "%" PRIu64 "@%" PRId64, turn->sequence, turn->time);
    for (size_t i = 0; i < turn->count; i++)
        buffer_format(context, "%c%" PRIu32 "=%" PRIu32 "/%" PRIu32, i == 0 ? ':' : ',',
                      turn->sent[i].account, turn->sent[i].recipients, turn->sent[i].messages);
    buffer_append_string(context, " ");
    return true;
}

static bool print_reservation(void *context, const struct store_reservation *reservation,
                              struct error *error)
{
    (void)error;
    buffer_format(context, "R%" PRIu64 "@%" PRId64 ":%" PRIu32 "=%" PRIu32 "/%" PRIu32 " ",
                  reservation->id, reservation->time, reservation->account, reservation->recipients,
                  reservation->messages);
    return true;
}

#define HORIZON 1000

static int64_t horizon(void *context)
{
    (void)context;
    return HORIZON;
}

static struct store_reader printer(struct buffer *buffer)
{
    return (struct store_reader){horizon, print_account, print_turn, print_reservation, buffer};
}

static void expect_contents(struct store *store, const char *want)
{
    struct buffer got = {0};
    struct error error = {""};
    const struct store_reader reader = printer(&got);
    if (!store->operations->read(store, &reader, &error))
        fail_msg("reading: %s", error.text);
    buffer_append_string(&got, "");
    assert_string_equal(got.data != NULL ? got.data : "", want);
    buffer_free(&got);
}

/* The reason why it cannot be read. */
static struct error expect_unreadable(struct store *store)
{
    struct buffer got = {0};
    struct error error = {""};
    const struct store_reader reader = printer(&got);
    assert_false(store->operations->read(store, &reader, &error));
    buffer_free(&got);
    return error;
}

static void write_changes(struct store *store, const struct store_change *changes, size_t count)
{
    struct error error = {""};
    if (!store->operations->write(store, changes, count, &error))
        fail_msg("writing: %s", error.text);
}

static struct store_change account_change(uint32_t number, const char *name)
{
    return (struct store_change){.kind = STORE_PUT_ACCOUNT,
                                 .account = {number, INT64_C(86400000000), name, {0}}};
}

static struct store_change turn_change(uint64_t sequence, int64_t time)
{
    static const struct store_sent sent = {7, 3, 1};
    return (struct store_change){.kind = STORE_PUT_TURN, .turn = {sequence, time, &sent, 1}};
}

static struct store_change reservation_change(uint64_t id)
{
    return (struct store_change){.kind = STORE_PUT_RESERVATION, .reservation = {id, 7, 4, 3, 1}};
}

static void what_was_written_is_read_in_order(void **state)
{
    const struct fixture *fixture = *state;
    struct store *store = open_store(fixture);
    expect_contents(store, "");
    const struct store_change changes[] = {
        account_change(300, "b@contoso.com"),
        account_change(7, "a@contoso.com"),
        turn_change(UINT64_C(1) << 40, 5),
        turn_change(255, 3),
        reservation_change(258),
        turn_change(256, 4),
        reservation_change(257),
    };
    write_changes(store, changes, 7);
    static const char want[] = "7:a@contoso.com:86400000000 300:b@contoso.com:86400000000 "
                               "255@3:7=3/1 256@4:7=3/1 1099511627776@5:7=3/1 "
                               "R257@4:7=3/1 R258@4:7=3/1 ";
    expect_contents(store, want);
    store->operations->close(store);
    store = open_store(fixture);
    expect_contents(store, want);
    static const struct store_sent sent[] = {{7, 9, 2}, {8, 1, 1}};
    const struct store_change removals[] = {
        {.kind = STORE_REMOVE_ACCOUNT, .account.number = 300},
        {.kind = STORE_REMOVE_RESERVATION, .reservation.id = 257},
        {.kind = STORE_REMOVE_RESERVATION, .reservation.id = 9999},
        {.kind = STORE_PUT_TURN, .turn = {255, 2, sent, 2}},
    };
    write_changes(store, removals, 4);
    expect_contents(store, "7:a@contoso.com:86400000000 255@2:7=9/2,8=1/1 256@4:7=3/1 "
                           "1099511627776@5:7=3/1 R258@4:7=3/1 ");
    store->operations->close(store);
}

static void extreme_values_survive(void **state)
{
    const struct fixture *fixture = *state;
    struct store *store = open_store(fixture);
    const struct store_sent sent = {UINT32_MAX, UINT32_MAX, UINT32_MAX};
    const struct store_change changes[] = {
        {.kind = STORE_PUT_ACCOUNT, .account = {UINT32_MAX, INT64_MAX, "x", {0}}},
        {.kind = STORE_PUT_TURN, .turn = {UINT64_MAX - 1, INT64_MAX, &sent, 1}},
        {.kind = STORE_PUT_RESERVATION,
         .reservation = {UINT64_MAX, UINT32_MAX, INT64_MAX, UINT32_MAX, UINT32_MAX}},
    };
    write_changes(store, changes, 3);
    expect_contents(store, "4294967295:x:9223372036854775807 "
                           "18446744073709551614@9223372036854775807:"
                           "4294967295=4294967295/4294967295 "
                           "R18446744073709551615@9223372036854775807:"
                           "4294967295=4294967295/4294967295 ");
    store->operations->close(store);
}

static enum store_time time_of(struct store *store, struct store_clock *clock)
{
    enum store_time time;
    struct error error = {""};
    if (!store->operations->read_clock(store, clock, &time, &error))
        fail_msg("the time cannot be read: %s", error.text);
    return time;
}

/* It stands among the accounts and is none. */
static void what_time_it_was_survives(void **state)
{
    const struct fixture *fixture = *state;
    const struct store_change account = {.kind = STORE_PUT_ACCOUNT,
                                         .account = {.number = 1, .name = "a@contoso.com"}};
    struct store_change clock = {
        .kind = STORE_PUT_CLOCK,
        .clock = {"3b8b6a5e-91ab-4c11-8f1c-62e6fd4e77aa", 17, INT64_MAX, 1700000000000000}};
    struct store_clock kept;
    struct store *store = open_store(fixture);
    assert_int_equal(time_of(store, &kept), STORE_TIME_EMPTY);
    expect_contents(store, "");
    write_changes(store, &account, 1);
    assert_int_equal(time_of(store, &kept), STORE_TIME_UNKNOWN);
    write_changes(store, &clock, 1);
    clock.clock.boottime++;
    write_changes(store, &clock, 1);
    store->operations->close(store);
    store = open_store(fixture);
    assert_int_equal(time_of(store, &kept), STORE_TIME_KEPT);
    assert_memory_equal(&kept, &clock.clock, sizeof(kept));
    expect_contents(store, "1:a@contoso.com:0 ");
    store->operations->close(store);
}

static void a_pause_survives_with_its_cause(void **state)
{
    const struct fixture *fixture = *state;
    struct store *store = open_store(fixture);
    struct store_change changes[] = {account_change(1, "a"), account_change(2, "b"),
                                     account_change(3, "c")};
    changes[0].account.pause = (struct store_pause){5, INT64_MAX, 0, "by hand"};
    changes[1].account.pause = (struct store_pause){5, 6, UINT32_MAX, ""};
    write_changes(store, changes, 3);
    store->operations->close(store);
    store = open_store(fixture);
    expect_contents(store, "1:a:86400000000 P5-9223372036854775807/0(by hand) "
                           "2:b:86400000000 P5-6/4294967295() 3:c:86400000000 ");
    changes[0].account.pause = (struct store_pause){0};
    write_changes(store, changes, 2);
    expect_contents(store, "1:a:86400000000 2:b:86400000000 P5-6/4294967295() 3:c:86400000000 ");
    store->operations->close(store);
}

static void the_longest_strings_survive_and_longer_ones_are_refused(void **state)
{
    const struct fixture *fixture = *state;
    struct store *store = open_store(fixture);
    char name[STORE_NAME_MAX + 2] = "", cause[STORE_CAUSE_MAX + 2] = "", want[2000];
    struct error error;
    memset(name, 'n', STORE_NAME_MAX);
    memset(cause, 'c', STORE_CAUSE_MAX);
    struct store_change change = account_change(1, name);
    change.account.pause = (struct store_pause){1, 2, 3, cause};
    write_changes(store, &change, 1);
    snprintf(want, sizeof(want), "1:%s:86400000000 P1-2/3(%s) ", name, cause);
    expect_contents(store, want);
    cause[STORE_CAUSE_MAX] = 'c';
    assert_false(store->operations->write(store, &change, 1, &error));
    cause[STORE_CAUSE_MAX] = '\0';
    name[STORE_NAME_MAX] = 'n';
    assert_false(store->operations->write(store, &change, 1, &error));
    expect_contents(store, want);
    store->operations->close(store);
}

static void a_run_of_whole_turns_is_read_as_it_was_written(void **state)
{
    const struct fixture *fixture = *state;
    struct store *store = open_store(fixture);
    struct store_sent sent[STORE_TURN_MAX + 1];
    struct buffer want = {0};
    struct error error;
    for (uint32_t i = 0; i <= STORE_TURN_MAX; i++)
        sent[i] = (struct store_sent){i + 1, i * 2, i * 3};
    for (uint64_t turn = 1; turn <= 400; turn++) {
        size_t count = turn * 7 % (STORE_TURN_MAX + 1);
        const struct store_change change = {.kind = STORE_PUT_TURN,
                                            .turn = {turn, (int64_t)turn * 10, sent, count}};
        write_changes(store, &change, 1);
        print_turn(&want, &change.turn, &error);
    }
    buffer_append_string(&want, "");
    expect_contents(store, want.data);
    const struct store_change larger = {.kind = STORE_PUT_TURN,
                                        .turn = {500, 5000, sent, STORE_TURN_MAX + 1}};
    assert_false(store->operations->write(store, &larger, 1, &error));
    expect_contents(store, want.data);
    store->operations->close(store);
    store = open_store(fixture);
    expect_contents(store, want.data);
    store->operations->close(store);
    buffer_free(&want);
}

static void turns_expire_from_the_oldest_on(void **state)
{
    const struct fixture *fixture = *state;
    struct store *store = open_store(fixture);
    struct error error;
    struct store_rest rest;
    assert_true(store->operations->expire(store, 100, 10, &rest, &error));
    assert_true(rest.first == UINT64_MAX && !rest.more);
    for (uint64_t i = 1; i <= 20; i++) {
        const struct store_change change = turn_change(i, i == 15 ? 5000 : (int64_t)i * 10);
        write_changes(store, &change, 1);
    }
    const struct store_change reservation = reservation_change(2);
    write_changes(store, &reservation, 1);
    assert_true(store->operations->expire(store, 100, 4, &rest, &error));
    assert_int_equal(rest.first, 5);
    assert_true(rest.more);
    assert_true(store->operations->expire(store, 100, 5, &rest, &error));
    assert_int_equal(rest.first, 10);
    assert_false(rest.more);
    assert_true(store->operations->expire(store, 1000, 100, &rest, &error));
    assert_int_equal(rest.first, 15);
    assert_false(rest.more);
    expect_contents(store, "15@5000:7=3/1 16@160:7=3/1 17@170:7=3/1 18@180:7=3/1 19@190:7=3/1 "
                           "20@200:7=3/1 R2@4:7=3/1 ");
    assert_true(store->operations->expire(store, 10000, 100, &rest, &error));
    assert_true(rest.first == UINT64_MAX && !rest.more);
    expect_contents(store, "R2@4:7=3/1 ");
    store->operations->close(store);
}

/* Runs `body` in a child process and returns its exit status, or -signal. */
static int in_child(void (*body)(const struct fixture *), const struct fixture *fixture)
{
    pid_t child = fork();
    if (child == 0) {
        body(fixture);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void write_and_die(const struct fixture *fixture)
{
    struct error error;
    struct store *store = store_bdb_open(&fixture->settings, &error);
    const struct store_change change = turn_change(1, 10);
    if (store != NULL && store->operations->write(store, &change, 1, &error))
        raise(SIGKILL);
}

static void a_killed_owner_leaves_what_it_wrote(void **state)
{
    const struct fixture *fixture = *state;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(in_child(write_and_die, fixture), -SIGKILL);
        struct store *store = open_store(fixture);
        expect_contents(store, "1@10:7=3/1 ");
        store->operations->close(store);
    }
}

static void open_a_second_time(const struct fixture *fixture)
{
    struct error error = {""};
    char want[32];
    snprintf(want, sizeof(want), "in use by process %d,", (int)getppid());
    struct store *store = store_bdb_open(&fixture->settings, &error);
    _exit(store == NULL && strstr(error.text, want) != NULL ? 42 : 0);
}

static void a_second_owner_is_told_who_the_first_is(void **state)
{
    const struct fixture *fixture = *state;
    struct store *store = open_store(fixture);
    assert_int_equal(in_child(open_a_second_time, fixture), 42);
    struct error error;
    assert_true(store_directory_check(&fixture->settings, &error));
    const struct store_change change = turn_change(1, 10);
    write_changes(store, &change, 1);
    store->operations->close(store);
}

static void a_directory_that_others_can_enter_is_refused(void **state)
{
    const struct fixture *fixture = *state;
    struct error error = {""};
    assert_int_equal(chmod(fixture->directory, 0750), 0);
    assert_null(store_bdb_open(&fixture->settings, &error));
    assert_non_null(strstr(error.text, "/etc/relay/main.cf: post365_ledger = /tmp/"));
    assert_non_null(strstr(error.text, "0750"));
    assert_non_null(strstr(error.text, "chmod 700"));
    assert_false(store_directory_check(&fixture->settings, &error));
}

static void a_directory_of_somebody_else_is_refused(void **state)
{
    const struct fixture *fixture = *state;
    struct error error = {""};
    if (geteuid() != 0)
        skip();
    assert_int_equal(chown(fixture->directory, 1, 1), 0);
    assert_null(store_bdb_open(&fixture->settings, &error));
    assert_non_null(strstr(error.text, "belongs to user id 1"));
}

static void a_missing_directory_is_made_and_closed_to_others(void **state)
{
    const struct fixture *fixture = *state;
    char path[LONGEST * 2];
    snprintf(path, sizeof(path), "%s/ledger", fixture->directory);
    struct settings settings = fixture->settings;
    settings.ledger = path;
    struct error error = {""};
    assert_true(store_directory_check(&settings, &error));
    assert_true(store_directory_prepare(&settings, true, &error));
    struct stat status;
    assert_int_equal(stat(path, &status), -1);
    assert_true(store_directory_prepare(&settings, false, &error));
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0700);
    assert_int_equal(status.st_uid, geteuid() == 0 ? 1 : geteuid());
    assert_true(store_directory_prepare(&settings, false, &error));
    snprintf(path, sizeof(path), "%s/no/ledger", fixture->directory);
    assert_false(store_directory_prepare(&settings, false, &error));
    assert_non_null(strstr(error.text, path));
}

static void a_file_where_the_directory_should_be_is_refused(void **state)
{
    const struct fixture *fixture = *state;
    char path[LONGEST * 2];
    struct error error = {""};
    snprintf(path, sizeof(path), "%s/file", fixture->directory);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fclose(file);
    struct settings settings = fixture->settings;
    settings.ledger = path;
    assert_null(store_bdb_open(&settings, &error));
    assert_non_null(strstr(error.text, "is not a directory"));
}

/* A key of `size` bytes, and a value. */
struct raw {
    uint64_t number;
    size_t size;
    unsigned char value[16];
    size_t value_size;
};

/* Puts a record as another version might write it, while nobody has the ledger. */
static void put_raw(const struct fixture *fixture, const char *name, const struct raw *raw)
{
    DB_ENV *environment;
    DB *database;
    unsigned char key_bytes[8];
    for (size_t i = 0; i < raw->size; i++)
        key_bytes[i] = (unsigned char)(raw->number >> (8 * (raw->size - 1 - i)));
    DBT key = {.data = key_bytes, .size = (u_int32_t)raw->size};
    DBT value = {.data = (void *)raw->value, .size = (u_int32_t)raw->value_size};
    assert_int_equal(db_env_create(&environment, 0), 0);
    assert_int_equal(environment->open(environment, fixture->directory,
                                       DB_CREATE | DB_PRIVATE | DB_INIT_LOG | DB_INIT_MPOOL |
                                           DB_INIT_TXN | DB_RECOVER,
                                       0600),
                     0);
    assert_int_equal(db_create(&database, environment, 0), 0);
    assert_int_equal(database->open(database, NULL, name, NULL, DB_UNKNOWN, DB_AUTO_COMMIT, 0600),
                     0);
    assert_int_equal(database->put(database, NULL, &key, &value, 0), 0);
    assert_int_equal(database->close(database, 0), 0);
    assert_int_equal(environment->close(environment, 0), 0);
}

static void expect_refused_with_raw(const struct fixture *fixture, const char *name, size_t size)
{
    struct store *store = open_store(fixture);
    const struct store_change changes[] = {account_change(7, "a"), turn_change(9, 10),
                                           turn_change(10, 11)};
    write_changes(store, changes, 3);
    store->operations->close(store);
    const struct raw raw = {3, size, {2, 0, 0, 0, 0, 0, 0, 0, 1}, 9};
    put_raw(fixture, name, &raw);
    store = open_store(fixture);
    struct error error = expect_unreadable(store);
    store->operations->close(store);
    assert_non_null(strstr(error.text, fixture->directory));
    assert_non_null(strstr(error.text, name));
    assert_non_null(strstr(error.text, "run the version that wrote it"));
}

static void an_account_of_another_version_is_not_guessed_at(void **state)
{
    expect_refused_with_raw(*state, "accounts.db", 4);
}

static void a_reservation_of_another_version_is_not_guessed_at(void **state)
{
    expect_refused_with_raw(*state, "reservations.db", 8);
}

static void a_turn_without_a_sequence_is_not_guessed_at(void **state)
{
    expect_refused_with_raw(*state, "turns.db", 4);
}

/* Turns 10, 20, 30, 40 at `times`, and between the first two some that nobody can read. */
static struct store *with_unreadable_turns(const struct fixture *fixture, const int64_t *times)
{
    struct store *store = open_store(fixture);
    for (uint64_t i = 0; i < 4; i++) {
        const struct store_change change = turn_change((i + 1) * 10, times[i]);
        write_changes(store, &change, 1);
    }
    store->operations->close(store);
    static const struct raw raw[] = {
        {15, 8, {2, 0, 0, 0, 0, 0, 0, 3, 230, 7, 3, 1}, 12},   /* another version */
        {16, 8, {1, 0, 0, 0, 0, 0, 0, 3}, 8},                  /* half a time */
        {17, 8, {1, 0, 0, 0, 0, 0, 0, 3, 230, 7, 3}, 11},      /* no messages */
        {18, 8, {1, 0, 0, 0, 0, 0, 0, 3, 230, 7, 3, 129}, 12}, /* half a number */
        {19, 8, {1, 0, 0, 0, 0, 0, 0, 3, 230, 144, 128, 128, 128, 0, 3, 1}, 16}, /* 2^32 */
    };
    for (size_t i = 0; i < sizeof(raw) / sizeof(raw[0]); i++)
        put_raw(fixture, "turns.db", &raw[i]);
    return open_store(fixture);
}

static void an_unreadable_turn_that_may_still_count_is_not_guessed_at(void **state)
{
    static const int64_t times[] = {HORIZON - 2, HORIZON, HORIZON + 1, HORIZON + 2};
    struct store *store = with_unreadable_turns(*state, times);
    struct error error = expect_unreadable(store);
    assert_non_null(strstr(error.text, "turns.db"));
    store->operations->close(store);
}

static void an_unreadable_turn_that_is_too_old_is_left_out(void **state)
{
    static const int64_t times[] = {HORIZON - 2, HORIZON - 1, HORIZON, HORIZON + 1};
    struct store *store = with_unreadable_turns(*state, times);
    struct store_rest rest;
    struct error error;
    expect_contents(store, "10@998:7=3/1 20@999:7=3/1 30@1000:7=3/1 40@1001:7=3/1 ");
    assert_true(store->operations->expire(store, HORIZON - 1, 100, &rest, &error));
    assert_int_equal(rest.first, 20);
    assert_true(store->operations->expire(store, HORIZON, 100, &rest, &error));
    assert_int_equal(rest.first, 30);
    expect_contents(store, "30@1000:7=3/1 40@1001:7=3/1 ");
    store->operations->close(store);
}

/* Overwrites some bytes in the middle of a file. */
static void damage(const struct fixture *fixture, const char *name, long offset)
{
    char path[LONGEST * 2];
    snprintf(path, sizeof(path), "%s/%s", fixture->directory, name);
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    assert_int_equal(fseek(file, offset, SEEK_SET), 0);
    assert_int_equal(fputs("damaged", file) >= 0, 1);
    assert_int_equal(fclose(file), 0);
}

static void read_what_is_damaged(const struct fixture *fixture)
{
    struct buffer got = {0};
    struct error error = {""};
    const struct store_reader reader = printer(&got);
    struct store *store = store_bdb_open(&fixture->settings, &error);
    if (store != NULL && !store->operations->read(store, &reader, &error) &&
        strstr(error.text, fixture->directory) != NULL &&
        strstr(error.text, "move it away") != NULL)
        _exit(42);
}

/* In a child: Berkeley DB does not release its memory after such a find. */
static void a_damaged_page_is_refused_with_the_remedy(void **state)
{
    const struct fixture *fixture = *state;
    struct store *store = open_store(fixture);
    for (uint64_t i = 1; i < 1000; i++) {
        const struct store_change change = turn_change(i, 10);
        write_changes(store, &change, 1);
    }
    store->operations->close(store);
    damage(fixture, "turns.db", 2 * 4096 + 1000);
    assert_int_equal(in_child(read_what_is_damaged, fixture), 42);
}

/* A ledger with an account and an event in it, one kind of file of which is then lost. */
static void expect_refused_without(const struct fixture *fixture, const char *name)
{
    char path[LONGEST * 2];
    struct error error = {""};
    struct store *store = open_store(fixture);
    const struct store_change changes[] = {account_change(7, "relay@contoso.com"),
                                           turn_change(1, 10)};
    write_changes(store, changes, 2);
    store->operations->close(store);
    snprintf(path, sizeof(path), "%s/%s", fixture->directory, name);
    assert_int_equal(remove(path), 0);
    for (int i = 0; i < 2; i++) {
        assert_null(store_bdb_open(&fixture->settings, &error));
        assert_non_null(strstr(error.text, fixture->directory));
        assert_non_null(strstr(error.text, " lacks "));
        assert_non_null(strstr(error.text, "restore"));
    }
}

static void lost_turns_are_not_forgotten(void **state)
{
    expect_refused_without(*state, "turns.db");
}

static void lost_reservations_are_not_forgotten(void **state)
{
    expect_refused_without(*state, "reservations.db");
}

static void lost_accounts_are_not_forgotten(void **state)
{
    expect_refused_without(*state, "accounts.db");
}

static void a_lost_log_is_noticed_before_it_is_needed(void **state)
{
    expect_refused_without(*state, "log.0000000001");
}

static void a_ledger_whose_making_was_interrupted_is_made(void **state)
{
    const struct fixture *fixture = *state;
    static const char *const names[] = {"reservations.db", "turns.db"};
    char path[LONGEST * 2];
    for (size_t made = 0; made < 3; made++) {
        struct store *store = open_store(fixture);
        store->operations->close(store);
        for (size_t i = 0; i < made; i++) {
            snprintf(path, sizeof(path), "%s/%s", fixture->directory, names[i]);
            assert_int_equal(remove(path), 0);
        }
        store = open_store(fixture);
        expect_contents(store, "");
        store->operations->close(store);
    }
}

static void a_file_of_root_in_the_ledger_is_refused_with_the_remedy(void **state)
{
    struct fixture *fixture = *state;
    if (geteuid() != 0)
        skip();
    static const char *const names[] = {"lock", "accounts.db", "turns.db", "reservations.db",
                                        "log.0000000001"};
    char path[LONGEST * 2];
    struct error error = {""};
    struct store *store = open_store(fixture);
    store->operations->close(store);
    assert_int_equal(chown(fixture->directory, 1, 1), 0);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_false(store_directory_prepare(&fixture->settings, true, &error));
        assert_non_null(strstr(error.text, "belongs to user id 0, where 1 must own it"));
        assert_non_null(strstr(error.text, "run: chown -R 1 "));
        snprintf(path, sizeof(path), "%s/%s", fixture->directory, names[i]);
        assert_int_equal(chown(path, 1, 1), 0);
    }
    assert_true(store_directory_prepare(&fixture->settings, true, &error));
}

static bool refuse_turn(void *context, const struct store_turn *turn, struct error *error)
{
    (void)context;
    (void)turn;
    return error_set(error, "nobody knows it");
}

static void what_the_ledger_refuses_comes_with_place_and_remedy(void **state)
{
    const struct fixture *fixture = *state;
    struct error error = {""};
    const struct store_reader reader = {.horizon = horizon, .turn = refuse_turn};
    struct store *store = open_store(fixture);
    const struct store_change change = turn_change(1, 10);
    write_changes(store, &change, 1);
    assert_false(store->operations->read(store, &reader, &error));
    assert_non_null(strstr(error.text, fixture->directory));
    assert_non_null(strstr(error.text, ": nobody knows it; "));
    assert_non_null(strstr(error.text, "move it away"));
    store->operations->close(store);
}

/* Writes and checkpoints as the daemon would on a busy day; the log must not pile up. */
static void log_files_do_not_pile_up(void **state)
{
    struct fixture *fixture = *state;
    fixture->settings.ledger_sync = false;
    struct store *store = open_store(fixture);
    struct store_change changes[200];
    struct error error;
    uint64_t sequence = 1;
    struct store_rest rest;
    for (int batch = 0; batch < 1500; batch++) {
        for (size_t i = 0; i < 200; i++)
            changes[i] = turn_change(sequence++, batch);
        write_changes(store, changes, 200);
        if (batch % 50 == 0) {
            assert_true(store->operations->expire(store, batch - 100, 100000, &rest, &error));
            assert_true(store->operations->maintain(store, &error));
        }
    }
    store->operations->close(store);
    char path[LONGEST * 2];
    size_t files = 0;
    for (int i = 1; i <= 100; i++) {
        snprintf(path, sizeof(path), "%s/log.%010d", fixture->directory, i);
        files += access(path, F_OK) == 0;
    }
    assert_in_range(files, 1, 3);
}

static void a_ledger_finds_its_counts_again(void **state)
{
    const struct fixture *fixture = *state;
    static const struct quota quota = {{10, INT64_C(86400000000)}, {30, INT64_C(60000000)}, 500, 3};
    static const struct ledger_rules rules = {CLOCK_SECOND, INT64_C(86400000000)};
    struct error error;
    bool more;
    for (int i = 0; i <= 5; i++) {
        struct ledger *ledger = ledger_open(clock_system(), open_store(fixture), &rules, &error);
        assert_non_null(ledger);
        const struct ledger_request request = {"relay@contoso.com", &quota, 2, 1};
        struct ledger_answer answer;
        ledger_reserve(ledger, &request, &answer);
        assert_int_equal(answer.verdict, i < 5 ? LEDGER_GRANTED : LEDGER_LATER);
        if (i < 5)
            assert_true(ledger_settle(ledger, answer.id, 2));
        assert_true(ledger_commit(ledger, &error));
        assert_true(ledger_tidy(ledger, &more, &error));
        ledger_close(ledger);
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_written_is_read_in_order),
        TEST(extreme_values_survive),
        TEST(what_time_it_was_survives),
        TEST(a_pause_survives_with_its_cause),
        TEST(the_longest_strings_survive_and_longer_ones_are_refused),
        TEST(a_run_of_whole_turns_is_read_as_it_was_written),
        TEST(turns_expire_from_the_oldest_on),
        TEST(a_killed_owner_leaves_what_it_wrote),
        TEST(a_second_owner_is_told_who_the_first_is),
        TEST(a_directory_that_others_can_enter_is_refused),
        TEST(a_directory_of_somebody_else_is_refused),
        TEST(a_missing_directory_is_made_and_closed_to_others),
        TEST(a_file_where_the_directory_should_be_is_refused),
        TEST(an_account_of_another_version_is_not_guessed_at),
        TEST(a_reservation_of_another_version_is_not_guessed_at),
        TEST(a_turn_without_a_sequence_is_not_guessed_at),
        TEST(an_unreadable_turn_that_may_still_count_is_not_guessed_at),
        TEST(an_unreadable_turn_that_is_too_old_is_left_out),
        TEST(a_damaged_page_is_refused_with_the_remedy),
        TEST(lost_turns_are_not_forgotten),
        TEST(lost_reservations_are_not_forgotten),
        TEST(lost_accounts_are_not_forgotten),
        TEST(a_lost_log_is_noticed_before_it_is_needed),
        TEST(a_ledger_whose_making_was_interrupted_is_made),
        TEST(a_file_of_root_in_the_ledger_is_refused_with_the_remedy),
        TEST(what_the_ledger_refuses_comes_with_place_and_remedy),
        TEST(log_files_do_not_pile_up),
        TEST(a_ledger_finds_its_counts_again),
    };
    return cmocka_run_group_tests_name("store_bdb", tests, NULL, NULL);
}
