/* test_payers.c - who pays, and when that is looked up anew
 *
 * Whether an answer was remembered shows within a batch: there a changed table is seen by those
 * that were not.
 */
#include "common/memory.h"
#include "policyd/payers.h"
#include "tests/unit/hand_clock.h"
#include "tests/unit/table_workplace.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define MINUTE (60 * CLOCK_SECOND)
#define START  (INT64_C(1700000000) * CLOCK_SECOND)

struct fixture {
    struct hand_clock clock;
    struct settings settings;
    struct payers_parts parts;
    struct payers *payers;
    char got[4096];
};

static void close_tables(struct payers_parts *parts)
{
    identities_close(parts->identities);
    tables_close(parts->quota_maps);
}

static void open_tables(struct fixture *fixture)
{
    struct error error = {""};
    fixture->parts.identities = identities_open(&fixture->settings, &error);
    fixture->parts.quota_maps =
        tables_open("post365_quota_maps", fixture->settings.quota_maps,
                    fixture->settings.config_directory, TABLE_VALUES, &error);
    if (fixture->parts.identities == NULL || fixture->parts.quota_maps == NULL)
        fail_msg("%s", error.text);
}

static int set_up(void **state)
{
    struct fixture *fixture = memory_zero(1, sizeof(*fixture));
    static char empty[] = "", plus[] = "+", directory[128];
    static char logins[256], senders[256], quotas[256];
    snprintf(directory, sizeof(directory), "%s", workplace_directory());
    snprintf(logins, sizeof(logins), "texthash:%s", workplace_path("logins"));
    snprintf(senders, sizeof(senders), "texthash:%s", workplace_path("senders"));
    snprintf(quotas, sizeof(quotas), "texthash:%s", workplace_path("quotas"));
    workplace_write("logins", "app App@contoso.com\n");
    workplace_write("senders", "a@x a@contoso.com\nhigh@x high@contoso.com\n");
    workplace_write("quotas", "high@contoso.com hve\nletter recipients=7/1h\n");
    fixture->clock = (struct hand_clock){{.now = read_hand_clock}, START};
    fixture->settings = (struct settings){.config_directory = directory,
                                          .relayhost = empty,
                                          .recipient_delimiter = plus,
                                          .local_domains = empty,
                                          .upn = empty,
                                          .login_upn_maps = logins,
                                          .sender_upn_maps = senders,
                                          .send_as_maps = empty,
                                          .quota = {{1000, MINUTE}, {30, MINUTE}, 500, 3},
                                          .quota_maps = quotas,
                                          .password_maps = empty};
    fixture->parts.settings = &fixture->settings;
    fixture->parts.clock = &fixture->clock.clock;
    open_tables(fixture);
    fixture->payers = payers_new(&fixture->parts);
    workplace_log_start();
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    workplace_log_end();
    payers_free(fixture->payers);
    close_tables(&fixture->parts);
    free(fixture);
    return 0;
}

/* Gives the fixture's settings, as they are now, to the payers. */
static void reload(struct fixture *fixture)
{
    struct payers_parts old = fixture->parts;
    open_tables(fixture);
    payers_configure(fixture->payers, &fixture->parts);
    close_tables(&old);
}

/* "account recipients[ overridden]", "none" or "failed: reason". */
static const char *ask(struct fixture *fixture, const char *login, const char *sender,
                       const char *context)
{
    struct payer payer;
    struct error error = {""};
    const struct payers_question question = {login, sender, context};
    switch (payers_find(fixture->payers, &question, &payer, &error)) {
    case TABLE_FOUND:
        snprintf(fixture->got, sizeof(fixture->got), "%s %d%s", payer.account,
                 (int)payer.quota.recipients.limit, payer.is_overridden ? " overridden" : "");
        break;
    case TABLE_NONE:
        return "none";
    case TABLE_FAILED:
        snprintf(fixture->got, sizeof(fixture->got), "failed: %s", error.text);
        break;
    }
    return fixture->got;
}

#define expect(fixture, login, sender, context, want)                                              \
    assert_string_equal(ask(fixture, login, sender, context), want)

static void every_part_of_the_question_counts(void **state)
{
    struct fixture *fixture = *state;
    for (int batch = 0; batch < 3; batch++) {
        for (int i = 0; i < 3; i++) {
            expect(fixture, "app", "a@x", "", "app@contoso.com 1000");
            expect(fixture, "", "a@x", "", "a@contoso.com 1000");
            expect(fixture, "a@x", "", "", "none");
            expect(fixture, "", "", "a@x", "none");
            expect(fixture, "", "a@x", "letter", "a@contoso.com 7 overridden");
            expect(fixture, "app", "a@x", "letter", "app@contoso.com 7 overridden");
            expect(fixture, "ap", "pa@x", "letter", "none");
            expect(fixture, "", "b@x", "letter", "none");
            assert_contains(ask(fixture, "", "a@x", "hve"), "a@contoso.com ");
            assert_contains(ask(fixture, "", "a@x", "hve"), " overridden");
            assert_contains(ask(fixture, "", "high@x", ""), " overridden");
        }
        payers_end_batch(fixture->payers);
    }
}

static void a_changed_table_is_seen_by_the_next_batch(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *file, *text, *login, *sender, *context, *want;
    } changes[] = {
        {"logins", "app other@contoso.com\n", "app", "a@x", "", "other@contoso.com 1000"},
        {"senders", "a@x b@contoso.com\n", "", "a@x", "", "b@contoso.com 1000"},
        {"quotas", "b@contoso.com recipients=9/1h\n", "", "a@x", "", "b@contoso.com 9 overridden"},
        {"quotas", "news recipients=8/1h\n", "", "a@x", "news", "b@contoso.com 8 overridden"},
        {"logins", "no no@contoso.com\n", "app", "a@x", "", "b@contoso.com 1000"},
        {"senders", "no no@contoso.com\n", "app", "a@x", "", "none"},
    };
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        char before[256];
        snprintf(before, sizeof(before), "%s",
                 ask(fixture, changes[i].login, changes[i].sender, changes[i].context));
        assert_string_not_equal(before, changes[i].want);
        workplace_replace(changes[i].file, changes[i].text);
        expect(fixture, changes[i].login, changes[i].sender, changes[i].context, before);
        payers_end_batch(fixture->payers);
        expect(fixture, changes[i].login, changes[i].sender, changes[i].context, changes[i].want);
    }
}

/* The table is up to date then, but the memory is not. */
static void a_change_that_somebody_else_noticed_is_seen(void **state)
{
    struct fixture *fixture = *state;
    struct error error;
    uint64_t version;
    char *value = NULL;
    expect(fixture, "", "a@x", "", "a@contoso.com 1000");
    payers_end_batch(fixture->payers);
    workplace_replace("quotas", "a@contoso.com recipients=9/1h\n");
    assert_int_equal(tables_find(fixture->parts.quota_maps, "a@contoso.com", &value, &error),
                     TABLE_FOUND);
    free(value);
    expect(fixture, "", "a@x", "", "a@contoso.com 9 overridden");
    workplace_replace("senders", "a@x b@contoso.com\n");
    expect(fixture, "", "a@x", "", "a@contoso.com 9 overridden");
    /* Within the batch: this one is looked up, and reads the table again. */
    expect(fixture, "", "a+b@x", "", "b@contoso.com 1000");
    payers_end_batch(fixture->payers);
    assert_true(identities_refresh(fixture->parts.identities, &version));
    expect(fixture, "", "a@x", "", "b@contoso.com 1000");
}

static void a_table_that_cannot_be_read_again_is_remembered_as_it_was(void **state)
{
    struct fixture *fixture = *state;
    expect(fixture, "", "a@x", "", "a@contoso.com 1000");
    assert_int_equal(unlink(workplace_path("senders")), 0);
    for (int batch = 0; batch < 3; batch++) {
        payers_end_batch(fixture->payers);
        expect(fixture, "", "a@x", "", "a@contoso.com 1000");
        expect(fixture, "", "high@x", "none", "high@contoso.com -1 overridden");
    }
    workplace_write("senders", "a@x b@contoso.com\n");
    payers_end_batch(fixture->payers);
    expect(fixture, "", "a@x", "", "b@contoso.com 1000");
    assert_int_equal(unlink(workplace_path("senders")), 0);
    payers_end_batch(fixture->payers);
    expect(fixture, "", "a@x", "", "b@contoso.com 1000");
    const char *log = workplace_log_end();
    workplace_log_start();
    assert_int_equal(workplace_count(log, "put the file back"), 2);
}

static void failures_are_not_remembered(void **state)
{
    struct fixture *fixture = *state;
    workplace_replace("senders", "a@x nonsense\n");
    for (int i = 0; i < 3; i++)
        assert_contains(ask(fixture, "", "a@x", ""), "failed: ");
    workplace_replace("senders", "a@x a@contoso.com\n");
    workplace_replace("quotas", "a@contoso.com recipients=many\n");
    for (int i = 0; i < 3; i++)
        assert_contains(ask(fixture, "", "a@x", ""), "failed: post365_quota_maps gives");
    workplace_replace("quotas", "a@contoso.com recipients=5/1h\n");
    expect(fixture, "", "a@x", "", "a@contoso.com 5 overridden");
    expect(fixture, "", "new@x", "", "none");
    workplace_replace("senders", "new@x new@contoso.com\n");
    expect(fixture, "", "new@x", "", "new@contoso.com 1000");
}

static void what_postmap_says_is_not_remembered(void **state)
{
    struct fixture *fixture = *state;
    static char patterns[256];
    snprintf(patterns, sizeof(patterns), "regexp:%s, %s", workplace_path("patterns"),
             fixture->settings.sender_upn_maps);
    workplace_write("patterns", "/^a@y$/ y@contoso.com\n");
    fixture->settings.sender_upn_maps = patterns;
    reload(fixture);
    expect(fixture, "", "a@y", "", "y@contoso.com 1000");
    expect(fixture, "", "a@x", "", "a@contoso.com 1000");
    workplace_replace("patterns", "/^a@.$/ z@contoso.com\n");
    expect(fixture, "", "a@y", "", "z@contoso.com 1000");
    expect(fixture, "", "a@x", "", "z@contoso.com 1000");
    workplace_replace("logins", "app z@contoso.com\n");
    expect(fixture, "app", "a@x", "", "z@contoso.com 1000");
}

static void a_reload_forgets_everything(void **state)
{
    struct fixture *fixture = *state;
    static char inline_map[] = "inline:{ a@x=inline@contoso.com }";
    expect(fixture, "", "a@x", "", "a@contoso.com 1000");
    fixture->settings.sender_upn_maps = inline_map;
    reload(fixture);
    expect(fixture, "", "a@x", "", "inline@contoso.com 1000");
    fixture->settings.quota.recipients.limit = 5;
    reload(fixture);
    expect(fixture, "", "a@x", "", "inline@contoso.com 5");
}

static void an_unknown_context_is_reported_once_a_minute(void **state)
{
    struct fixture *fixture = *state;
    for (int minute = 0; minute < 3; minute++) {
        for (int i = 0; i < 10; i++) {
            expect(fixture, "", "a@x", "no-such", "a@contoso.com 1000");
            payers_end_batch(fixture->payers);
        }
        fixture->clock.now += MINUTE;
    }
    const char *log = workplace_log_end();
    workplace_log_start();
    assert_int_equal(workplace_count(log, "policy_context \"no-such\""), 3);
}

/* "n1234@x", which pays as "n1234@contoso.com". */
static void write_many(unsigned count)
{
    size_t size = 64 * count;
    char *text = memory_alloc(size), *end = text;
    for (unsigned i = 0; i < count; i++)
        end += snprintf(end, 64, "n%u@x n%u@contoso.com\n", i, i);
    workplace_replace("senders", text);
    free(text);
}

static void any_number_of_senders_have_their_own_accounts(void **state)
{
    struct fixture *fixture = *state;
    enum { COUNT = 20000 };
    write_many(COUNT);
    expect(fixture, "", "a@x", "", "none");
    size_t used = mallinfo2().uordblks;
    for (unsigned i = 0; i < 3 * COUNT; i++) {
        char sender[64], want[64];
        /* Neighbours again and again, so that some are remembered. */
        unsigned number = i / 3 % COUNT - (i / 3 % COUNT >= 10 ? i % 3 * 5 : 0);
        snprintf(sender, sizeof(sender), "n%u@x", number);
        snprintf(want, sizeof(want), "n%u@contoso.com 1000", number);
        expect(fixture, "", sender, "", want);
        if (i % 100 == 0)
            payers_end_batch(fixture->payers);
    }
    assert_true(mallinfo2().uordblks < used + 4096);
}

/* Of the last lengths not even the question could be remembered. */
static void names_of_any_length_are_answered(void **state)
{
    struct fixture *fixture = *state;
    for (int length = 1; length < 280; length++) {
        char login[300], want[320], map[700];
        snprintf(login, sizeof(login), "%0*d@x", length, 1);
        snprintf(want, sizeof(want), "%0*d@contoso.com 1000", length, 2);
        snprintf(map, sizeof(map), "inline:{ %s=%0*d@contoso.com }", login, length, 2);
        fixture->settings.login_upn_maps = map;
        reload(fixture);
        for (int i = 0; i < 3; i++)
            expect(fixture, login, "a@x", "", want);
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_part_of_the_question_counts),
        TEST(a_changed_table_is_seen_by_the_next_batch),
        TEST(a_change_that_somebody_else_noticed_is_seen),
        TEST(a_table_that_cannot_be_read_again_is_remembered_as_it_was),
        TEST(failures_are_not_remembered),
        TEST(what_postmap_says_is_not_remembered),
        TEST(a_reload_forgets_everything),
        TEST(an_unknown_context_is_reported_once_a_minute),
        TEST(any_number_of_senders_have_their_own_accounts),
        TEST(names_of_any_length_are_answered),
    };
    return cmocka_run_group_tests_name("payers", tests, workplace_make, workplace_remove);
}
