/* test_policy.c - what smtpd is told, without a socket */
#include "common/attr.h"
#include "common/buffer.h"
#include "common/memory.h"
#include "policyd/policy.h"
#include "tests/unit/hand_clock.h"
#include "tests/unit/store_memory.h"
#include "tests/unit/table_workplace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define SECOND CLOCK_SECOND
#define MINUTE (60 * SECOND)
#define DAY    (24 * 60 * MINUTE)
/* Tuesday, 14 November 2023, 22:13:20 UTC. */
#define START (INT64_C(1700000000) * SECOND)

struct fixture {
    struct hand_clock clock;
    struct settings settings;
    struct store *store;
    struct policy_parts parts;
    struct policy *policy;
    struct buffer request;
    unsigned instance;
};

/* Opens tables and policy anew, with the settings as they are. */
static void configure(struct fixture *fixture)
{
    struct error error = {""};
    identities_close(fixture->parts.identities);
    tables_close(fixture->parts.quota_maps);
    fixture->parts.identities = identities_open(&fixture->settings, &error);
    fixture->parts.quota_maps = tables_open("post365_quota_maps", fixture->settings.quota_maps,
                                            "/etc/postfix", TABLE_VALUES, &error);
    if (fixture->parts.identities == NULL || fixture->parts.quota_maps == NULL)
        fail_msg("%s", error.text);
    policy_configure(fixture->policy, &fixture->parts);
}

/* Puts the settings, as they are now, in force. */
static void adopt_settings(struct fixture *fixture)
{
    policy_configure(fixture->policy, &fixture->parts);
}

static int set_up(void **state)
{
    struct fixture *fixture = memory_zero(1, sizeof(*fixture));
    static char empty[] = "", slash[] = "/etc/postfix", upn[] = "Relay@Contoso.com", plus[] = "+";
    static char senders[] =
        "inline:{ a@example.com=a@contoso.com, hve@example.com=hve@contoso.com, "
        "broken@example.com=broken@contoso.com, small@example.com=Small@Contoso.com }";
    static char quotas[] = "inline:{ { small@contoso.com = messages=2/10s recipients=5/1h }, "
                           "{ broken@contoso.com = messages=many }, { hve@contoso.com = hve }, "
                           "{ newsletter = recipients=100/1h recipients_per_message=10 } }";
    fixture->clock = (struct hand_clock){{.now = read_hand_clock}, START};
    fixture->settings = (struct settings){.config_directory = slash,
                                          .queue_directory = empty,
                                          .mail_owner = empty,
                                          .relayhost = empty,
                                          .recipient_delimiter = plus,
                                          .local_domains = empty,
                                          .user = empty,
                                          .upn = upn,
                                          .login_upn_maps = empty,
                                          .sender_upn_maps = senders,
                                          .send_as_maps = empty,
                                          .quota = {{1000, DAY}, {30, MINUTE}, 500, 3},
                                          .quota_maps = quotas,
                                          .quota_guard = SECOND,
                                          .meter = METER_SUBMISSION,
                                          .ledger = empty,
                                          .password_maps = empty,
                                          .recipients_per_delivery = 50};
    struct error error = {""};
    static const struct ledger_rules rules = {SECOND, DAY};
    fixture->store = store_memory_new();
    fixture->parts.settings = &fixture->settings;
    fixture->parts.clock = &fixture->clock.clock;
    fixture->parts.ledger = ledger_open(&fixture->clock.clock, fixture->store, &rules, &error);
    fixture->policy = policy_new(&fixture->parts);
    configure(fixture);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    policy_free(fixture->policy);
    ledger_close(fixture->parts.ledger);
    store_memory_free(fixture->store);
    identities_close(fixture->parts.identities);
    tables_close(fixture->parts.quota_maps);
    buffer_free(&fixture->request);
    free(fixture);
    return 0;
}

struct question {
    const char *stage;
    const char *sender;
    const char *login;
    const char *context;
    const char *instance; /* NULL: a new one */
    unsigned recipients;
};

/* Puts a question and returns the decision; the batch stays open. */
static struct policy_decision put(struct fixture *fixture, struct question question)
{
    struct buffer *request = &fixture->request;
    char number[32];
    buffer_clear(request);
    attr_write(request, "request", "smtpd_access_policy");
    attr_write(request, "protocol_state", question.stage);
    attr_write(request, "unknown_attribute", "a=b");
    attr_write(request, "sender", question.sender != NULL ? question.sender : "x@example.com");
    attr_write(request, "sasl_username", question.login != NULL ? question.login : "");
    attr_write(request, "policy_context", question.context != NULL ? question.context : "");
    snprintf(number, sizeof(number), "%u", question.recipients);
    attr_write(request, "recipient_count", number);
    snprintf(number, sizeof(number), "5a1.%u", ++fixture->instance);
    attr_write(request, "instance", question.instance != NULL ? question.instance : number);
    attr_write_end(request);
    struct policy_decision decision;
    policy_decide(fixture->policy, request->data, request->length, &decision);
    return decision;
}

/* The same, with a commit behind it. */
static const char *ask(struct fixture *fixture, struct question question)
{
    struct error error = {""};
    struct policy_decision decision = put(fixture, question);
    if (!policy_commit(fixture->policy, &error))
        fail_msg("commit: %s", error.text);
    return decision.action;
}

static const char *send_message(struct fixture *fixture, unsigned recipients)
{
    return ask(fixture, (struct question){.stage = "END-OF-MESSAGE", .recipients = recipients});
}

static const char *raw(struct fixture *fixture, const char *request, bool *malformed)
{
    struct policy_decision decision;
    policy_decide(fixture->policy, request, strlen(request), &decision);
    *malformed = decision.malformed;
    return decision.action;
}

#define expect_action(got, want) assert_string_equal(got, want)

static void over_quota_the_client_sees_use_limit_and_time(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 30; i++)
        expect_action(send_message(fixture, 1), "DUNNO");
    fixture->clock.now += 49 * SECOND;
    static const char want[] = "DEFER 4.7.1 relay@contoso.com has used 30 of 30 messages per 1m; "
                               "room at 22:14:21 (in 12 s)";
    expect_action(send_message(fixture, 1), want);
    expect_action(ask(fixture, (struct question){.stage = "RCPT"}), want);
    fixture->clock.now += 12 * SECOND - 1;
    expect_action(send_message(fixture, 1), "DEFER 4.7.1 relay@contoso.com has used 30 of 30 "
                                            "messages per 1m; room at 22:14:21 (in 1 s)");
    fixture->clock.now += 1;
    expect_action(send_message(fixture, 1), "DUNNO");
}

static void of_a_paused_account_the_client_sees_the_cause(void **state)
{
    struct fixture *fixture = *state;
    struct error error;
    static const struct ledger_pause until = {.cause = "5.7.3 no", .until = START + 90 * SECOND},
                                     for_good = {.cause = "by hand", .until = INT64_MAX};
    ledger_pause(fixture->parts.ledger, "relay@contoso.com", &until);
    assert_true(policy_commit(fixture->policy, &error));
    expect_action(send_message(fixture, 1),
                  "DEFER 4.7.1 relay@contoso.com is paused until 22:14:50 (in 90 s): 5.7.3 no");
    ledger_pause(fixture->parts.ledger, "relay@contoso.com", &for_good);
    assert_true(policy_commit(fixture->policy, &error));
    expect_action(send_message(fixture, 1),
                  "DEFER 4.7.1 relay@contoso.com is paused until somebody resumes it: by hand");
    assert_true(ledger_resume(fixture->parts.ledger, "relay@contoso.com", NULL));
    expect_action(send_message(fixture, 1), "DUNNO");
}

static void times_are_rounded_up(void **state)
{
    struct fixture *fixture = *state;
    fixture->clock.now += 1;
    for (int i = 0; i < 30; i++)
        expect_action(send_message(fixture, 1), "DUNNO");
    fixture->clock.now += 2;
    assert_contains(send_message(fixture, 1), "room at 22:14:22 (in 61 s)");
}

static void a_time_that_is_not_today_comes_with_its_date(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 20; i++)
        expect_action(send_message(fixture, 50), "DUNNO");
    expect_action(ask(fixture, (struct question){.stage = "RCPT"}),
                  "DEFER 4.7.1 relay@contoso.com has used 1000 of 1000 recipients per 1d; room at "
                  "2023-11-15 22:13:21 (in 24 h 1 min)");
}

static void a_message_counts_as_the_deliveries_that_postfix_makes_of_it(void **state)
{
    struct fixture *fixture = *state;
    expect_action(send_message(fixture, 600), "DUNNO"); /* 12 times 50 */
    expect_action(send_message(fixture, 400), "DUNNO"); /* 8 times 50 */
    fixture->settings.quota.recipients.limit = 100000;
    adopt_settings(fixture);
    expect_action(send_message(fixture, 501),
                  "DEFER 4.7.1 relay@contoso.com has used 20 of 30 messages per 1m, this one needs "
                  "11; room at 22:14:21 (in 61 s)");
    expect_action(send_message(fixture, 500), "DUNNO");
    expect_action(send_message(fixture, 1),
                  "DEFER 4.7.1 relay@contoso.com has used 30 of 30 messages per 1m; room at "
                  "22:14:21 (in 61 s)");
}

static void the_smaller_of_both_limits_splits_a_message(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        uint32_t per_delivery, per_message;
        unsigned recipients, messages;
    } cases[] = {
        {50, 500, 1, 1},
        {50, 500, 50, 1},
        {50, 500, 51, 2},
        {500, 50, 51, 2},
        {0, 500, 500, 1},
        {0, 500, 501, 2},
        {0, QUOTA_UNLIMITED, 999, 1},
        {1, 500, 7, 7},
    };
    fixture->settings.quota.recipients.limit = QUOTA_UNLIMITED;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char want[64];
        fixture->settings.recipients_per_delivery = cases[i].per_delivery;
        fixture->settings.quota.recipients_per_message = cases[i].per_message;
        fixture->settings.quota.messages.limit = 30;
        adopt_settings(fixture);
        fixture->clock.now += 2 * MINUTE;
        expect_action(send_message(fixture, cases[i].recipients), "DUNNO");
        fixture->settings.quota.messages.limit = cases[i].messages;
        adopt_settings(fixture);
        snprintf(want, sizeof(want), "has used %u of %u messages", cases[i].messages,
                 cases[i].messages);
        assert_contains(send_message(fixture, 1), want);
    }
}

static void what_no_period_could_hold_is_refused_for_good(void **state)
{
    struct fixture *fixture = *state;
    expect_action(send_message(fixture, 1001),
                  "REJECT 5.5.3 1001 recipients are more than relay@contoso.com may send to: the "
                  "limit is 1000 recipients per 1d (post365_recipient_quota)");
    fixture->settings.recipients_per_delivery = 10;
    expect_action(send_message(fixture, 301),
                  "REJECT 5.5.3 301 recipients make 31 messages, more than relay@contoso.com may "
                  "send: the limit is 30 messages per 1m (post365_message_quota)");
    expect_action(send_message(fixture, 300), "DUNNO");
}

static void a_refused_message_costs_nothing(void **state)
{
    struct fixture *fixture = *state;
    expect_action(send_message(fixture, 990), "DUNNO");
    for (int i = 0; i < 100; i++)
        assert_contains(send_message(fixture, 20), "DEFER 4.7.1");
    expect_action(send_message(fixture, 10), "DUNNO");
}

static void recipients_are_only_looked_ahead_at(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 100; i++)
        expect_action(ask(fixture, (struct question){.stage = "RCPT"}), "DUNNO");
    assert_int_equal(store_memory_writes(fixture->store), 0);
}

static void a_message_counts_once_however_often_we_are_asked(void **state)
{
    struct fixture *fixture = *state;
    struct question question = {.stage = "DATA", .recipients = 1000, .instance = "123.456.7"};
    expect_action(ask(fixture, question), "DUNNO");
    expect_action(ask(fixture, question), "DUNNO");
    question.stage = "END-OF-MESSAGE";
    expect_action(ask(fixture, question), "DUNNO");
    expect_action(ask(fixture, question), "DUNNO");
    question.instance = "123.456.8";
    assert_contains(ask(fixture, question), "DEFER 4.7.1");
    assert_int_equal(store_memory_turns(fixture->store), 1);
}

static void asked_twice_in_one_batch_counts_once(void **state)
{
    struct fixture *fixture = *state;
    const struct question question = {.stage = "DATA", .recipients = 1000, .instance = "1.2.3"};
    struct error error;
    for (int i = 0; i < 3; i++) {
        struct policy_decision decision = put(fixture, question);
        expect_action(decision.action, "DUNNO");
        assert_true(decision.counted);
    }
    assert_true(policy_commit(fixture->policy, &error));
}

static void a_message_that_could_not_be_stored_is_counted_when_it_comes_again(void **state)
{
    struct fixture *fixture = *state;
    const struct question question = {.stage = "DATA", .recipients = 600, .instance = "1.2.3"};
    struct error error;
    store_memory_fail_writes(fixture->store, 2);
    for (int i = 0; i < 2; i++) {
        assert_true(put(fixture, question).counted);
        assert_false(put(fixture, (struct question){.stage = "RCPT"}).counted);
        assert_false(policy_commit(fixture->policy, &error));
    }
    expect_action(ask(fixture, question), "DUNNO");
    assert_contains(send_message(fixture, 600), "has used 600 of 1000 recipients");
}

static void a_message_without_an_instance_counts_every_time(void **state)
{
    struct fixture *fixture = *state;
    const struct question question = {.stage = "DATA", .recipients = 600, .instance = ""};
    expect_action(ask(fixture, question), "DUNNO");
    assert_contains(ask(fixture, question), "has used 600 of 1000 recipients");
}

static void instances_are_forgotten_only_after_many_others(void **state)
{
    struct fixture *fixture = *state;
    fixture->settings.quota.recipients.limit = fixture->settings.quota.messages.limit =
        QUOTA_UNLIMITED;
    const struct question first = {.stage = "DATA", .recipients = 1, .instance = "1.2.3"};
    expect_action(ask(fixture, first), "DUNNO");
    for (int i = 0; i < 40000; i++) {
        send_message(fixture, 1);
        if (i == 20000) { /* still known */
            size_t writes = store_memory_writes(fixture->store);
            ask(fixture, first);
            assert_int_equal(store_memory_writes(fixture->store), writes);
        }
        fixture->clock.now += DAY;
        if (i % 100 == 0) {
            struct error error;
            bool more;
            assert_true(ledger_tidy(fixture->parts.ledger, &more, &error));
        }
    }
    size_t writes = store_memory_writes(fixture->store);
    ask(fixture, first);
    assert_int_equal(store_memory_writes(fixture->store), writes + 1);
}

static void other_stages_are_none_of_our_business(void **state)
{
    struct fixture *fixture = *state;
    static const char *const stages[] = {"CONNECT", "EHLO", "HELO", "MAIL", "VRFY", "ETRN", ""};
    for (size_t i = 0; i < sizeof(stages) / sizeof(stages[0]); i++)
        expect_action(ask(fixture, (struct question){.stage = stages[i], .recipients = 5000}),
                      "DUNNO");
    expect_action(ask(fixture, (struct question){.stage = "DATA", .recipients = 0}), "DUNNO");
}

static void accounts_have_their_own_quotas(void **state)
{
    struct fixture *fixture = *state;
    struct question question = {
        .stage = "DATA", .sender = "Small+tag@example.COM", .recipients = 1};
    expect_action(ask(fixture, question), "DUNNO");
    expect_action(ask(fixture, question), "DUNNO");
    assert_contains(ask(fixture, question),
                    "small@contoso.com has used 2 of 2 messages per 10s; room at 22:13:31");
    question.recipients = 6;
    assert_contains(ask(fixture, question),
                    "REJECT 5.5.3 6 recipients are more than small@contoso.com may send to: the "
                    "limit is 5 recipients per 1h (post365_quota_maps)");
    question.sender = "a@example.com";
    expect_action(ask(fixture, question), "DUNNO");
}

static void high_volume_accounts_are_not_limited(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 100; i++)
        expect_action(ask(fixture, (struct question){.stage = "DATA",
                                                     .sender = "hve@example.com",
                                                     .recipients = 5000}),
                      "DUNNO");
}

static void a_policy_context_names_a_profile(void **state)
{
    struct fixture *fixture = *state;
    struct question question = {.stage = "DATA", .context = "newsletter", .recipients = 95};
    expect_action(ask(fixture, question), "DUNNO");
    assert_contains(ask(fixture, question), "has used 95 of 100 recipients per 1h, this one needs "
                                            "95; room at 23:13:21");
    question.context = "hve";
    expect_action(ask(fixture, question), "DUNNO");
}

static void an_unknown_policy_context_is_reported_once_and_passed_over(void **state)
{
    struct fixture *fixture = *state;
    workplace_log_start();
    for (int i = 0; i < 5; i++)
        expect_action(
            ask(fixture,
                (struct question){.stage = "DATA", .context = "no-such", .recipients = 100}),
            "DUNNO");
    const char *log = workplace_log_end();
    assert_int_equal(workplace_count(log, "policy_context \"no-such\""), 1);
    assert_contains(ask(fixture, (struct question){.stage = "DATA", .recipients = 501}),
                    "has used 500 of 1000 recipients");
}

static void a_refusal_is_logged_with_client_and_queue_id(void **state)
{
    struct fixture *fixture = *state;
    bool malformed;
    workplace_log_start();
    raw(fixture,
        "request=smtpd_access_policy\nprotocol_state=END-OF-MESSAGE\nsender=a%s@example.com\n"
        "sasl_username=app\nrecipient_count=1001\nqueue_id=4RQq0F\nclient_address=192.0.2.7\n\n",
        &malformed);
    raw(fixture, "request=smtpd_access_policy\nprotocol_state=DATA\nrecipient_count=1001\n\n",
        &malformed);
    const char *log = workplace_log_end();
    assert_contains(log, "4RQq0F: END-OF-MESSAGE from client 192.0.2.7: REJECT 5.5.3 1001 "
                         "recipients are more than relay@contoso.com may send to: the limit is "
                         "1000 recipients per 1d (post365_recipient_quota); "
                         "sender=<a%s@example.com> login=<app>");
    assert_contains(log, "NOQUEUE: DATA from client : REJECT 5.5.3 ");
}

static void a_flood_of_refusals_is_not_a_flood_of_log_lines(void **state)
{
    struct fixture *fixture = *state;
    for (int minute = 0; minute < 2; minute++) {
        workplace_log_start();
        for (int i = 0; i < 1000; i++) {
            assert_contains(send_message(fixture, 1001), "REJECT 5.5.3 1001 recipients");
            ask(fixture, (struct question){
                             .stage = "DATA", .sender = "broken@example.com", .recipients = 1});
        }
        const char *log = workplace_log_end();
        assert_int_equal(workplace_count(log, "REJECT"), 60);
        assert_int_equal(workplace_count(log, "messages=many"), 60);
        assert_int_equal(workplace_count(log, "further refusals"), 1);
        assert_int_equal(workplace_count(log, "further failures"), 1);
        fixture->clock.now += MINUTE;
    }
}

static void what_cannot_be_found_out_is_a_temporary_failure(void **state)
{
    struct fixture *fixture = *state;
    struct question question = {.stage = "DATA", .sender = "broken@example.com", .recipients = 1};
    workplace_log_start();
    expect_action(ask(fixture, question), "451 4.3.0 Temporary lookup failure");
    question.stage = "RCPT";
    expect_action(ask(fixture, question), "451 4.3.0 Temporary lookup failure");
    const char *log = workplace_log_end();
    assert_contains(log, "post365_quota_maps gives \"messages=many\" for broken@contoso.com");
    assert_contains(log, "sender=<broken@example.com>");
}

static void without_an_account_mail_waits_for_the_administrator(void **state)
{
    struct fixture *fixture = *state;
    static char empty[] = "";
    fixture->settings.upn = empty;
    configure(fixture);
    workplace_log_start();
    assert_contains(ask(fixture, (struct question){.stage = "RCPT"}), "451 4.3.0 No Microsoft 365");
    assert_contains(send_message(fixture, 1), "451 4.3.0 No Microsoft 365 account");
    assert_contains(workplace_log_end(), "post365_upn");
    fixture->settings.meter = METER_DELIVERY;
    expect_action(send_message(fixture, 1), "DUNNO");
}

static void in_delivery_meter_nothing_is_counted(void **state)
{
    struct fixture *fixture = *state;
    fixture->settings.meter = METER_DELIVERY;
    for (int i = 0; i < 100; i++) {
        expect_action(ask(fixture, (struct question){.stage = "RCPT"}), "DUNNO");
        expect_action(send_message(fixture, 1000), "DUNNO");
    }
    assert_int_equal(store_memory_writes(fixture->store), 0);
    assert_contains(send_message(fixture, 1001), "REJECT 5.5.3 1001 recipients");
}

static void the_wrong_restriction_list_is_noticed_once(void **state)
{
    struct fixture *fixture = *state;
    workplace_log_start();
    for (int i = 0; i < 99; i++)
        for (int recipient = 0; recipient < 5; recipient++) {
            char instance[32];
            snprintf(instance, sizeof(instance), "7.%d", i);
            ask(fixture, (struct question){.stage = "RCPT", .instance = instance});
        }
    assert_int_equal(workplace_count(workplace_log_end(), "warning"), 0);
    workplace_log_start();
    for (int i = 0; i < 500; i++)
        ask(fixture, (struct question){.stage = "RCPT"});
    const char *log = workplace_log_end();
    assert_int_equal(workplace_count(log, "smtpd_end_of_data_restrictions"), 1);
}

static void the_right_restriction_list_is_not_suspicious(void **state)
{
    struct fixture *fixture = *state;
    workplace_log_start();
    send_message(fixture, 1);
    for (int i = 0; i < 500; i++)
        ask(fixture, (struct question){.stage = "RCPT"});
    assert_int_equal(workplace_count(workplace_log_end(), "warning"), 0);
}

static void other_requests_are_malformed(void **state)
{
    struct fixture *fixture = *state;
    static const char *const requests[] = {
        "\n",
        "protocol_state=RCPT\n\n",
        "request=junk\n\n",
        "request=smtpd_access_policy\nrecipient_count=-1\n\n",
        "request=smtpd_access_policy\nrecipient_count=4294967296\n\n",
        "request=smtpd_access_policy\nrecipient_count=many\n\n",
    };
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        bool malformed = false;
        expect_action(raw(fixture, requests[i], &malformed), "451 4.3.0 Malformed policy request");
        assert_true(malformed);
    }
}

static void values_longer_than_any_address_are_refused(void **state)
{
    struct fixture *fixture = *state;
    char *sender = malloc(2001);
    memset(sender, 'x', 2000);
    sender[2000] = '\0';
    const char *got = ask(fixture, (struct question){.stage = "RCPT", .sender = sender});
    assert_contains(got, "451 4.3.0 A value in the policy request is too long");
    got = ask(fixture, (struct question){.stage = "DATA", .instance = sender, .recipients = 1});
    assert_contains(got, "451 4.3.0 A value in the policy request is too long");
    free(sender);
}

static void more_recipients_than_a_number_holds_are_refused(void **state)
{
    struct fixture *fixture = *state;
    fixture->settings.quota.recipients.limit = fixture->settings.quota.messages.limit =
        QUOTA_UNLIMITED;
    assert_contains(send_message(fixture, 4294967295U), "REJECT 5.5.3 4294967295 recipients");
    expect_action(send_message(fixture, 2147483647U), "DUNNO");
    assert_contains(send_message(fixture, 1), "DEFER 4.7.1");
}

static int use_utc(void **state)
{
    setenv("TZ", "UTC", 1);
    tzset();
    return workplace_make(state);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(over_quota_the_client_sees_use_limit_and_time),
        TEST(of_a_paused_account_the_client_sees_the_cause),
        TEST(times_are_rounded_up),
        TEST(a_time_that_is_not_today_comes_with_its_date),
        TEST(a_message_counts_as_the_deliveries_that_postfix_makes_of_it),
        TEST(the_smaller_of_both_limits_splits_a_message),
        TEST(what_no_period_could_hold_is_refused_for_good),
        TEST(a_refused_message_costs_nothing),
        TEST(recipients_are_only_looked_ahead_at),
        TEST(a_message_counts_once_however_often_we_are_asked),
        TEST(asked_twice_in_one_batch_counts_once),
        TEST(a_message_that_could_not_be_stored_is_counted_when_it_comes_again),
        TEST(a_message_without_an_instance_counts_every_time),
        TEST(instances_are_forgotten_only_after_many_others),
        TEST(other_stages_are_none_of_our_business),
        TEST(accounts_have_their_own_quotas),
        TEST(high_volume_accounts_are_not_limited),
        TEST(a_policy_context_names_a_profile),
        TEST(an_unknown_policy_context_is_reported_once_and_passed_over),
        TEST(a_refusal_is_logged_with_client_and_queue_id),
        TEST(a_flood_of_refusals_is_not_a_flood_of_log_lines),
        TEST(what_cannot_be_found_out_is_a_temporary_failure),
        TEST(without_an_account_mail_waits_for_the_administrator),
        TEST(in_delivery_meter_nothing_is_counted),
        TEST(the_wrong_restriction_list_is_noticed_once),
        TEST(the_right_restriction_list_is_not_suspicious),
        TEST(other_requests_are_malformed),
        TEST(values_longer_than_any_address_are_refused),
        TEST(more_recipients_than_a_number_holds_are_refused),
    };
    return cmocka_run_group_tests_name("policy", tests, use_utc, workplace_remove);
}
