/* test_token_client.c - asking post365-tokend and waiting, against one that is played in a thread
 */
#include "common/oauth2/token_client.h"

#include "tests/unit/fake_policyd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>
#include <unistd.h>

#define SECOND  INT64_C(1000000)
#define TIMEOUT (20 * SECOND)

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* What tokend does, step by step. */
struct step {
    const char *want;   /* the request; NULL: waits for none */
    const char *answer; /* NULL: none */
};

struct fixture {
    struct fake_policyd fake; /* the other end of any socket of this protocol */
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
    fixture->fake.settings.oauth2_socket = fixture->fake.settings.control_socket;
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
        size_t length = step->answer != NULL ? strlen(step->answer) : 0;
        size_t piece = fixture->in_pieces ? 1 : length;
        for (size_t sent = 0; sent < length; sent += piece)
            fake_policyd_send(&fixture->fake, step->answer + sent, piece);
    }
    if (fixture->hangs_up)
        fake_policyd_hang_up(&fixture->fake);
    return NULL;
}

static struct token_client *open_client(struct fixture *fixture, int64_t timeout,
                                        const struct step *steps, size_t count)
{
    struct error error = {""};
    fixture->steps = steps;
    fixture->step_count = count;
    assert_int_equal(pthread_create(&fixture->thread, NULL, play, fixture), 0);
    struct token_client *client = token_client_open(&fixture->fake.settings, timeout, &error);
    if (client == NULL)
        fail_msg("%s", error.text);
    return client;
}

static void close_client(struct fixture *fixture, struct token_client *client)
{
    pthread_join(fixture->thread, NULL);
    token_client_close(client);
    if (fixture->complaint[0] != '\0')
        fail_msg("%s", fixture->complaint);
}

/* --- one after the other --- */

static void a_reply_is_awaited_and_read(void **state)
{
    struct fixture *fixture = *state;
    static const struct step steps[] = {
        {"request=token tag=1 account=a@b.example",
         "tag=1\nresult=done\ntoken=eyJ0\nid=0123abcd\nleft=3000\nregistration=/etc/r.cf\n\n"},
        {"request=renew tag=2 account=a@b.example",
         "tag=2\nresult=stopped\ncause=secret-expired\nreason=it is\nuntil=7\n"
         "registration=/etc/r.cf\n\n"},
        {"request=logout tag=3 account=a@b.example", "tag=3\nresult=none\n\n"},
    };
    static const struct token_command commands[] = {
        {.kind = TOKEN_COMMAND_TOKEN, .account = "a@b.example"},
        {.kind = TOKEN_COMMAND_RENEW, .account = "a@b.example"},
        {.kind = TOKEN_COMMAND_LOGOUT, .account = "a@b.example"},
    };
    static const enum token_reply_result want[] = {TOKEN_REPLY_DONE, TOKEN_REPLY_STOPPED,
                                                   TOKEN_REPLY_NONE};
    fixture->in_pieces = true;
    struct token_client *client = open_client(fixture, TIMEOUT, steps, COUNT(steps));
    for (size_t i = 0; i < COUNT(commands); i++) {
        struct token_reply reply;
        struct error error = {""};
        if (!token_client_ask(client, &commands[i], &reply, &error))
            fail_msg("%zu: %s", i, error.text);
        assert_int_equal(reply.result, want[i]);
        if (i == 0)
            assert_string_equal(secret_reveal(reply.token), "eyJ0");
        token_reply_release(&reply);
    }
    close_client(fixture, client);
}

static void what_makes_no_sense_is_not_sent(void **state)
{
    struct fixture *fixture = *state;
    static const struct step steps[] = {{"request=list tag=1", "tag=1\nresult=done\n\n"}};
    static const struct token_command nobody = {.kind = TOKEN_COMMAND_LOGIN},
                                      list = {.kind = TOKEN_COMMAND_LIST};
    struct token_client *client = open_client(fixture, TIMEOUT, steps, COUNT(steps));
    struct token_reply reply;
    struct error error = {""};
    assert_false(token_client_ask(client, &nobody, &reply, &error));
    assert_non_null(strstr(error.text, "is no account"));
    assert_true(token_client_ask(client, &list, &reply, &error));
    token_reply_release(&reply);
    close_client(fixture, client);
}

/* --- more than one reply --- */

#define LOGIN "tag=1\nresult="

static void a_login_is_told_step_by_step(void **state)
{
    struct fixture *fixture = *state;
    static const struct step steps[] = {
        {"request=login tag=1 account=a@b.example",
         LOGIN "code\nuser_code=AB-12\nverification_uri=https://example/device\nexpires=9\n\n" LOGIN
               "waiting\nexpires=9\n\n" LOGIN "done\nuser=a@b.example\nregistration=/etc/r.cf\n\n"},
    };
    static const struct token_command login = {.kind = TOKEN_COMMAND_LOGIN,
                                               .account = "a@b.example"};
    static const enum token_reply_result want[] = {TOKEN_REPLY_WAITING, TOKEN_REPLY_DONE};
    struct token_client *client = open_client(fixture, TIMEOUT, steps, COUNT(steps));
    struct token_reply reply;
    struct error error = {""};
    int other[2];
    if (!token_client_ask(client, &login, &reply, &error))
        fail_msg("%s", error.text);
    assert_int_equal(reply.result, TOKEN_REPLY_CODE);
    assert_string_equal(reply.user_code, "AB-12");
    token_reply_release(&reply);
    for (size_t i = 0; i < COUNT(want); i++) {
        assert_int_equal(token_client_next(client, TIMEOUT, -1, &reply, &error),
                         TOKEN_CLIENT_REPLY);
        assert_int_equal(reply.result, want[i]);
        token_reply_release(&reply);
    }
    assert_int_equal(token_client_next(client, 0, -1, &reply, &error), TOKEN_CLIENT_NOTHING);
    assert_int_equal(pipe(other), 0);
    assert_int_equal(write(other[1], "x", 1), 1);
    assert_int_equal(token_client_next(client, TIMEOUT, other[0], &reply, &error),
                     TOKEN_CLIENT_NOTHING);
    close(other[0]);
    close(other[1]);
    close_client(fixture, client);
}

struct told {
    unsigned count, most;
    char names[8][64];
};

static bool tell_subject(void *context, const struct token_subject *subject)
{
    struct told *told = context;
    snprintf(told->names[told->count++], sizeof(told->names[0]), "%.30s %.30s",
             subject->registration, subject->account);
    return told->count < told->most;
}

static bool tell_registration(void *context, const char *path)
{
    struct told *told = context;
    snprintf(told->names[told->count++], sizeof(told->names[0]), "%.63s", path);
    return told->count < told->most;
}

#define SUBJECT(path, grant)                                                                       \
    "tag=1\nresult=subject\nregistration=" path "\nstate=empty\n" grant                            \
    "credential=secret\ntenant=t\nclient_id=c\ncloud=global\nrequests=0\nrefused=0\naccounts="     \
    "0\n\n"

static void all_subjects_are_told_once(void **state)
{
    struct fixture *fixture = *state;
    static const struct step steps[] = {
        {"request=watch tag=1", "tag=1\nresult=done\n\n" SUBJECT("/a", "grant=app\n")
                                    SUBJECT("/b", "grant=user\naccount=x@b.example\n")},
        {"request=list tag=2", "tag=1\nresult=gone\nregistration=/a\n\ntag=2\nresult=done\n\n"},
        /* What the watch tells meanwhile is no reply to this. */
        {"request=list tag=3",
         SUBJECT("/a", "grant=app\n") "tag=3\nresult=done\nregistration=/c\nafter=/c\n\n"},
        {"request=list tag=4 after=/c", "tag=4\nresult=done\nregistration=/d\n\n"},
    };
    struct told subjects = {.most = 8}, registrations = {.most = 8};
    struct error error = {""};
    struct token_client *client = open_client(fixture, TIMEOUT, steps, COUNT(steps));
    if (!token_client_subjects(client, tell_subject, &subjects, &error))
        fail_msg("%s", error.text);
    assert_int_equal(subjects.count, 2);
    assert_string_equal(subjects.names[0], "/a ");
    assert_string_equal(subjects.names[1], "/b x@b.example");
    if (!token_client_registrations(client, tell_registration, &registrations, &error))
        fail_msg("%s", error.text);
    assert_int_equal(registrations.count, 2);
    assert_string_equal(registrations.names[1], "/d");
    close_client(fixture, client);
}

static void pages_that_go_round_in_circles_end(void **state)
{
    struct fixture *fixture = *state;
    static const struct step steps[] = {
        {"request=list tag=1", "tag=1\nresult=done\nafter=/c\n\n"},
        {"request=list tag=2 after=/c", "tag=2\nresult=done\nafter=/c\n\n"},
    };
    struct told told = {.most = 8};
    struct error error = {""};
    struct token_client *client = open_client(fixture, TIMEOUT, steps, COUNT(steps));
    assert_false(token_client_registrations(client, tell_registration, &told, &error));
    assert_non_null(strstr(error.text, "does not lead on"));
    close_client(fixture, client);
}

static void a_list_that_is_refused_is_an_error(void **state)
{
    struct fixture *fixture = *state;
    static const struct step steps[] = {
        {"request=watch tag=1", "tag=1\nresult=refused\nreason=only root\n\n"}};
    struct told told = {.most = 8};
    struct error error = {""};
    struct token_client *client = open_client(fixture, TIMEOUT, steps, COUNT(steps));
    assert_false(token_client_subjects(client, tell_subject, &told, &error));
    assert_string_equal(error.text, "post365-tokend: only root");
    close_client(fixture, client);
}

/* --- what goes wrong --- */

/* Asks for a list and expects this error; then the client is of no further use. */
static void expect_failure(struct fixture *fixture, int64_t timeout, const char *answer,
                           const char *want)
{
    static const struct token_command list = {.kind = TOKEN_COMMAND_LIST};
    const struct step steps[] = {{"request=list tag=1", answer}};
    struct token_client *client = open_client(fixture, timeout, steps, COUNT(steps));
    struct token_reply reply;
    struct error error = {""};
    assert_false(token_client_ask(client, &list, &reply, &error));
    if (strstr(error.text, want) == NULL)
        fail_msg("got \"%s\", want \"%s\"", error.text, want);
    assert_false(token_client_ask(client, &list, &reply, &error));
    assert_non_null(strstr(error.text, "was lost before"));
    assert_int_equal(token_client_next(client, 0, -1, &reply, &error), TOKEN_CLIENT_FAILED);
    close_client(fixture, client);
}

static void garbage_is_no_reply(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *answer, *want;
    } cases[] = {
        {"HTTP/1.1 400 Bad Request\n\n", "does not speak as this version"},
        {"tag=1\nresult=code\nuser_code=x\nverification_uri=y\nexpires=1\n\n", "code"},
        {"tag=1\nresult=maybe\n\n", "result"},
        {"\n", "result is missing"},
        {"", "ended the connection; see its log: journalctl -u post365-tokend"},
        {"tag=1\nresult=done\n", "ended the connection"},
        {"tag=7\nresult=done\n\n", "ended the connection"},
    };
    fixture->hangs_up = true;
    for (size_t i = 0; i < COUNT(cases); i++)
        expect_failure(fixture, TIMEOUT, cases[i].answer, cases[i].want);
}

static void an_endless_reply_is_cut_off(void **state)
{
    struct fixture *fixture = *state;
    static char line[ATTR_LINE_MAX + 2], much[ATTR_REQUEST_MAX + 1];
    memset(line, 'x', sizeof(line) - 1);
    for (size_t i = 0; i + 1 < sizeof(much); i++)
        much[i] = i % 1024 == 1023 ? '\n' : '=' + (i % 1024 == 0);
    expect_failure(fixture, TIMEOUT, line, "a line is too long");
    expect_failure(fixture, TIMEOUT, much, "it is too long");
}

static void silence_is_not_awaited_for_ever(void **state)
{
    struct fixture *fixture = *state;
    expect_failure(fixture, SECOND / 10, "tag=1\nresult=", "did not answer in time");
}

static void expect_no_connection(const struct settings *settings, const char *want)
{
    struct error error = {""};
    assert_null(token_client_open(settings, SECOND / 100, &error));
    if (strstr(error.text, want) == NULL)
        fail_msg("got \"%s\", want \"%s\"", error.text, want);
}

static void a_tokend_that_does_not_run_is_to_be_started(void **state)
{
    struct fixture *fixture = *state;
    static const char want[] =
        "post365-tokend is not running; run: systemctl enable --now post365-tokend";
    close(fixture->fake.listener); /* the socket stays, as after a crash */
    expect_no_connection(&fixture->fake.settings, want);
    fake_policyd_deafen(&fixture->fake);
    expect_no_connection(&fixture->fake.settings, want);
}

static void a_place_that_is_no_unix_socket_is_refused(void **state)
{
    struct fixture *fixture = *state;
    static char inet[] = "inet:127.0.0.1:9";
    fixture->fake.settings.oauth2_socket = inet;
    expect_no_connection(&fixture->fake.settings,
                         "post365_oauth2_socket = inet:127.0.0.1:9: write unix:path");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_reply_is_awaited_and_read),
        TEST(what_makes_no_sense_is_not_sent),
        TEST(a_login_is_told_step_by_step),
        TEST(all_subjects_are_told_once),
        TEST(pages_that_go_round_in_circles_end),
        TEST(a_list_that_is_refused_is_an_error),
        TEST(garbage_is_no_reply),
        TEST(an_endless_reply_is_cut_off),
        TEST(silence_is_not_awaited_for_ever),
        TEST(a_tokend_that_does_not_run_is_to_be_started),
        TEST(a_place_that_is_no_unix_socket_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
