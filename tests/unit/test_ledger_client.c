/* test_ledger_client.c - asking the ledger and waiting, against a policyd that is played in a
 * thread */
#include "common/ledger_client.h"

#include "tests/unit/fake_policyd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECOND  INT64_C(1000000)
#define TIMEOUT (20 * SECOND)
#define NOBODY  65534

/* What policyd does, step by step. */
struct step {
    const char *want;   /* a part of the request; NULL: waits for none */
    const char *answer; /* NULL: none */
};

struct fixture {
    struct fake_policyd fake;
    const struct step *steps;
    size_t step_count;
    bool in_pieces;
    bool hangs_up; /* at the end */
    pthread_t thread;
    char complaint[5000]; /* about a request that was not the wanted one */
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    fake_policyd_open(&fixture->fake, NULL);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    fake_policyd_close(&fixture->fake);
    free(fixture);
    return 0;
}

static void answer(struct fixture *fixture, const char *text)
{
    size_t length = strlen(text);
    size_t step = fixture->in_pieces ? 1 : length;
    for (size_t sent = 0; sent < length; sent += step)
        fake_policyd_send(&fixture->fake, text + sent, step);
}

static void *play(void *argument)
{
    struct fixture *fixture = argument;
    fake_policyd_accept(&fixture->fake);
    for (size_t i = 0; i < fixture->step_count; i++) {
        const struct step *step = &fixture->steps[i];
        const char *got = step->want != NULL ? fake_policyd_request(&fixture->fake) : NULL;
        if (got != NULL && strcmp(got, step->want) != 0)
            snprintf(fixture->complaint, sizeof(fixture->complaint), "got \"%s\", want \"%s\"", got,
                     step->want);
        if (step->answer != NULL)
            answer(fixture, step->answer);
    }
    if (fixture->hangs_up)
        fake_policyd_hang_up(&fixture->fake);
    return NULL;
}

static struct ledger_client *open_client(struct fixture *fixture, int64_t timeout,
                                         const struct step *steps, size_t count)
{
    struct error error = {""};
    fixture->steps = steps;
    fixture->step_count = count;
    assert_int_equal(pthread_create(&fixture->thread, NULL, play, fixture), 0);
    struct ledger_client *client = ledger_client_open(&fixture->fake.settings, timeout, &error);
    if (client == NULL)
        fail_msg("%s", error.text);
    return client;
}

static void close_client(struct fixture *fixture, struct ledger_client *client)
{
    pthread_join(fixture->thread, NULL);
    ledger_client_close(client);
    if (fixture->complaint[0] != '\0')
        fail_msg("%s", fixture->complaint);
}

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* --- requests --- */

static void a_reply_is_awaited_and_read(void **state)
{
    struct fixture *fixture = *state;
    static const struct step steps[] = {
        {"request=reserve account=a@b.example recipients=2 wait=5000000",
         "result=granted\nreservation=9\n\n"},
        {"request=settle reservation=9 recipients=2", "result=done\n\n"},
        {"request=release reservation=9", "result=unknown\n\n"},
        {"request=pause account=a@b.example cause=by",
         "result=done\naccount=a@b.example\nfailures=0\n\n"},
        {"request=resume account=a@b.example", "result=refused\nreason=only root\n\n"},
        {"request=settings", "result=done\npost365_upn=a@b.example\n\n"},
    };
    static const struct ledger_command commands[] = {
        {.kind = LEDGER_COMMAND_RESERVE,
         .account = "a@b.example",
         .recipients = 2,
         .wait = 5 * SECOND},
        {.kind = LEDGER_COMMAND_SETTLE, .reservation = 9, .recipients = 2},
        {.kind = LEDGER_COMMAND_RELEASE, .reservation = 9},
        {.kind = LEDGER_COMMAND_PAUSE,
         .account = "a@b.example",
         .cause = "by",
         .until = LEDGER_FOREVER},
        {.kind = LEDGER_COMMAND_RESUME, .account = "a@b.example"},
        {.kind = LEDGER_COMMAND_SETTINGS},
    };
    static const enum ledger_reply_result want[] = {LEDGER_REPLY_GRANTED, LEDGER_REPLY_DONE,
                                                    LEDGER_REPLY_UNKNOWN, LEDGER_REPLY_DONE,
                                                    LEDGER_REPLY_REFUSED, LEDGER_REPLY_DONE};
    fixture->in_pieces = true;
    struct ledger_client *client = open_client(fixture, TIMEOUT, steps, COUNT(steps));
    for (size_t i = 0; i < COUNT(commands); i++) {
        struct ledger_reply reply;
        struct error error = {""};
        if (!ledger_client_ask(client, &commands[i], &reply, &error))
            fail_msg("%zu: %s", i, error.text);
        assert_int_equal(reply.result, want[i]);
    }
    close_client(fixture, client);
}

static void what_makes_no_sense_is_not_sent(void **state)
{
    struct fixture *fixture = *state;
    static const struct step steps[] = {{"request=list", "result=done\n\n"}};
    static const struct ledger_command nobody = {.kind = LEDGER_COMMAND_STATUS},
                                       list = {.kind = LEDGER_COMMAND_LIST};
    struct ledger_client *client = open_client(fixture, TIMEOUT, steps, COUNT(steps));
    struct ledger_reply reply;
    struct error error = {""};
    assert_false(ledger_client_ask(client, &nobody, &reply, &error));
    assert_non_null(strstr(error.text, "is no account"));
    assert_true(ledger_client_ask(client, &list, &reply, &error));
    close_client(fixture, client);
}

/* --- pages --- */

struct told {
    unsigned count, most;
    char names[8][32];
    int64_t begins[8];
};

static bool tell_account(void *context, const struct ledger_reply_account *account)
{
    struct told *told = context;
    snprintf(told->names[told->count++], sizeof(told->names[0]), "%.31s", account->name);
    return told->count < told->most;
}

static bool tell_slot(void *context, const struct ledger_reply_slot *slot)
{
    struct told *told = context;
    told->begins[told->count++] = slot->begin;
    return told->count < told->most;
}

#define ENTRY(name) "account=" name " recipients=1/2 messages=1/2 waiting=0\n"

static void all_pages_of_a_list_are_told(void **state)
{
    struct fixture *fixture = *state;
    static const struct step steps[] = {
        {"request=list count=50", "result=done\n" ENTRY("a@b") ENTRY("c@d") "after=7\n\n"},
        {"request=list after=7 count=50", "result=done\nafter=9\n\n"},
        {"request=list after=9 count=50", "result=done\n" ENTRY("e@f") "\n"},
        {"request=list count=50", "result=done\n" ENTRY("g@h") ENTRY("i@j") "after=7\n\n"},
    };
    struct told told = {.most = 8}, first = {.most = 1};
    struct error error = {""};
    struct ledger_client *client = open_client(fixture, TIMEOUT, steps, COUNT(steps));
    if (!ledger_client_list(client, tell_account, &told, &error))
        fail_msg("%s", error.text);
    assert_int_equal(told.count, 3);
    assert_string_equal(told.names[0], "a@b");
    assert_string_equal(told.names[2], "e@f");
    assert_true(ledger_client_list(client, tell_account, &first, &error));
    assert_int_equal(first.count, 1);
    close_client(fixture, client);
}

static void all_pages_of_a_history_are_told(void **state)
{
    struct fixture *fixture = *state;
    static const struct step steps[] = {
        {"request=history account=a@b.example per=minute count=200",
         "result=done\naccount=a@b.example\nslot=60 1 1\nslot=120 1 1\nfrom=180\n\n"},
        {"request=history account=a@b.example per=minute from=180 count=200",
         "result=done\naccount=a@b.example\nslot=180 1 1\n\n"},
    };
    struct told told = {.most = 8};
    struct error error = {""};
    struct ledger_client *client = open_client(fixture, TIMEOUT, steps, COUNT(steps));
    if (!ledger_client_history(client, "a@b.example", true, 0, tell_slot, &told, &error))
        fail_msg("%s", error.text);
    assert_int_equal(told.count, 3);
    assert_int_equal(told.begins[2], 180);
    close_client(fixture, client);
}

static void a_page_that_is_refused_is_an_error(void **state)
{
    struct fixture *fixture = *state;
    static const struct step steps[] = {
        {"request=list count=50", "result=error\nreason=the table is broken\n\n"}};
    struct told told = {.most = 8};
    struct error error = {""};
    struct ledger_client *client = open_client(fixture, TIMEOUT, steps, COUNT(steps));
    assert_false(ledger_client_list(client, tell_account, &told, &error));
    assert_string_equal(error.text, "post365-policyd: the table is broken");
    close_client(fixture, client);
}

static void pages_that_go_round_in_circles_end(void **state)
{
    struct fixture *fixture = *state;
    static const struct step steps[] = {
        {"request=list count=50", "result=done\nafter=7\n\n"},
        {"request=list after=7 count=50", "result=done\nafter=7\n\n"},
    };
    struct told told = {.most = 8};
    struct error error = {""};
    struct ledger_client *client = open_client(fixture, TIMEOUT, steps, COUNT(steps));
    assert_false(ledger_client_list(client, tell_account, &told, &error));
    assert_non_null(strstr(error.text, "does not lead on"));
    close_client(fixture, client);
}

/* --- what goes wrong --- */

/* Asks for a list and expects this error; then the client is of no further use. */
static void expect_failure(struct fixture *fixture, int64_t timeout, const char *answer_to_list,
                           const char *want)
{
    static const struct ledger_command list = {.kind = LEDGER_COMMAND_LIST};
    const struct step steps[] = {{"request=list", answer_to_list}};
    struct ledger_client *client = open_client(fixture, timeout, steps, COUNT(steps));
    struct ledger_reply reply;
    struct error error = {""};
    assert_false(ledger_client_ask(client, &list, &reply, &error));
    if (strstr(error.text, want) == NULL)
        fail_msg("got \"%s\", want \"%s\"", error.text, want);
    assert_false(ledger_client_ask(client, &list, &reply, &error));
    assert_non_null(strstr(error.text, "was lost before"));
    close_client(fixture, client);
}

static void garbage_is_no_reply(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *answer, *want;
    } cases[] = {
        {"HTTP/1.1 400 Bad Request\n\n", "not name=value"},
        {"=\n\n", "not name=value"},
        {"result=done\n\nresult=done\n\n", "more behind the reply"},
        {"result=granted\nreservation=1\n\n", "granted is no answer to list"},
        {"result=maybe\n\n", "result is not known"},
        {"\n", "result is missing"},
        {"", "ended the connection; see its log"},
        {"result=done\n", "ended the connection; see its log"},
    };
    fixture->hangs_up = true;
    for (size_t i = 0; i < COUNT(cases); i++)
        expect_failure(fixture, TIMEOUT, cases[i].answer, cases[i].want);
}

static void a_policyd_that_ended_meanwhile_is_noticed(void **state)
{
    struct fixture *fixture = *state;
    static const struct ledger_command list = {.kind = LEDGER_COMMAND_LIST};
    fixture->hangs_up = true;
    struct ledger_client *client = open_client(fixture, TIMEOUT, NULL, 0);
    struct ledger_reply reply;
    struct error error = {""};
    pthread_join(fixture->thread, NULL);
    assert_false(ledger_client_ask(client, &list, &reply, &error));
    assert_non_null(strstr(error.text, "ended the connection; see its log"));
    ledger_client_close(client);
}

static void an_endless_reply_is_cut_off(void **state)
{
    struct fixture *fixture = *state;
    static char line[ATTR_LINE_MAX + 2], many[ATTR_COUNT_MAX * 4 + 5], much[ATTR_REQUEST_MAX + 1];
    memset(line, 'x', sizeof(line) - 1);
    for (size_t i = 0; i + 1 < sizeof(many); i++)
        many[i] = "a=b\n"[i % 4];
    for (size_t i = 0; i + 1 < sizeof(much); i++)
        much[i] = i % 1024 == 1023 ? '\n' : '=' + (i % 1024 == 0);
    expect_failure(fixture, TIMEOUT, line, "a line is too long");
    expect_failure(fixture, TIMEOUT, many, "too many attributes");
    expect_failure(fixture, TIMEOUT, much, "it is too long");
}

static void silence_is_not_awaited_for_ever(void **state)
{
    struct fixture *fixture = *state;
    expect_failure(fixture, SECOND / 10, "result=", "did not answer in time");
}

static void expect_no_connection(const struct settings *settings, const char *want)
{
    struct error error = {""};
    assert_null(ledger_client_open(settings, SECOND / 100, &error));
    if (strstr(error.text, want) == NULL)
        fail_msg("got \"%s\", want \"%s\"", error.text, want);
}

static void a_policyd_that_does_not_run_is_to_be_started(void **state)
{
    struct fixture *fixture = *state;
    static const char want[] =
        "post365-policyd is not running; run: systemctl enable --now post365-policyd";
    close(fixture->fake.listener); /* the socket stays, as after a crash */
    expect_no_connection(&fixture->fake.settings, want);
    fake_policyd_deafen(&fixture->fake);
    expect_no_connection(&fixture->fake.settings, want);
    close(open(fixture->fake.place.path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    expect_no_connection(&fixture->fake.settings, want);
    unlink(fixture->fake.place.path);
}

static void a_place_that_is_no_unix_socket_is_refused(void **state)
{
    struct fixture *fixture = *state;
    static char inet[] = "inet:127.0.0.1:9", none[] = "post365/control";
    fixture->fake.settings.control_socket = inet;
    expect_no_connection(&fixture->fake.settings,
                         "post365_control_socket = inet:127.0.0.1:9: write unix:path");
    fixture->fake.settings.control_socket = none;
    expect_no_connection(&fixture->fake.settings, "post365_control_socket = post365/control: ");
}

static void a_full_queue_is_no_reason_to_hang(void **state)
{
    struct fixture *fixture = *state;
    struct error error;
    struct ledger_client *waiting[64];
    size_t count = 0;
    assert_int_equal(listen(fixture->fake.listener, 1), 0);
    while (count < COUNT(waiting) &&
           (waiting[count] = ledger_client_open(&fixture->fake.settings, 0, &error)) != NULL)
        count++;
    assert_true(count < COUNT(waiting));
    expect_no_connection(&fixture->fake.settings, "accepts no connection; see its log");
    while (count > 0)
        ledger_client_close(waiting[--count]);
}

/* root may do anything: somebody else tries. */
static void who_may_not_connect_is_told_what_to_do(void **state)
{
    struct fixture *fixture = *state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(chmod(fixture->fake.place.path, 0660), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct error error = {""};
        bool as_told = setgid(NOBODY) == 0 && setuid(NOBODY) == 0 &&
                       ledger_client_open(&fixture->fake.settings, SECOND, &error) == NULL &&
                       strstr(error.text, "permission denied; run this as root, or join the group "
                                          "root (usermod -a -G root NAME") != NULL;
        if (!as_told)
            fprintf(stderr, "got \"%s\"\n", error.text);
        _exit(as_told ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_reply_is_awaited_and_read),
        TEST(what_makes_no_sense_is_not_sent),
        TEST(all_pages_of_a_list_are_told),
        TEST(all_pages_of_a_history_are_told),
        TEST(a_page_that_is_refused_is_an_error),
        TEST(pages_that_go_round_in_circles_end),
        TEST(garbage_is_no_reply),
        TEST(a_policyd_that_ended_meanwhile_is_noticed),
        TEST(an_endless_reply_is_cut_off),
        TEST(silence_is_not_awaited_for_ever),
        TEST(a_policyd_that_does_not_run_is_to_be_started),
        TEST(a_place_that_is_no_unix_socket_is_refused),
        TEST(a_full_queue_is_no_reason_to_hang),
        TEST(who_may_not_connect_is_told_what_to_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
