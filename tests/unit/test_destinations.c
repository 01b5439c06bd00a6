/* test_destinations.c - which server a sender's mail goes to, and whose a key is */
#include "common/destinations.h"
#include "common/memory.h"
#include "tests/unit/table_workplace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    struct settings settings;
    struct destinations *destinations;
};

#define TRANSPORTS                                                                                 \
    "inline:{ {gmail@t.example = smtp:[smtp.gmail.com]:587}, {@u.example = slow:smtp.u.example},"  \
    " {plain@t.example = smtp:}, {bare@t.example = smtp}, {odd@t.example = lmtp:unix:private/x},"  \
    " {us@t.example = smtp:[smtp.office365.com]:587}, {relay@t.example = "                         \
    "smtp:[mail.example]:2525},"                                                                   \
    " {own@t.example = post365:unix:post365/accounts/own@t.example},"                              \
    " {kim@a.example = smtp:[smtp.first.example]} }"

static void open_fixture(struct fixture *fixture, const char *relayhost, const char *maps)
{
    struct error error;
    fixture->settings = (struct settings){.config_directory = memory_copy(workplace_directory()),
                                          .relayhost = memory_copy(relayhost),
                                          .sender_relayhost_maps = memory_copy(maps),
                                          .null_sender_relay_key = memory_copy("<>"),
                                          .sender_transport_maps = memory_copy(TRANSPORTS),
                                          .null_sender_transport_key = memory_copy("<null>"),
                                          .recipient_delimiter = memory_copy("+"),
                                          .local_domains = memory_copy("relay.example")};
    fixture->destinations = destinations_reopen(NULL, &fixture->settings, &error);
    if (fixture->destinations == NULL)
        fail_msg("%s", error.text);
}

static void close_fixture(struct fixture *fixture)
{
    destinations_close(fixture->destinations);
    free(fixture->settings.config_directory);
    free(fixture->settings.relayhost);
    free(fixture->settings.sender_relayhost_maps);
    free(fixture->settings.null_sender_relay_key);
    free(fixture->settings.sender_transport_maps);
    free(fixture->settings.null_sender_transport_key);
    free(fixture->settings.recipient_delimiter);
    free(fixture->settings.local_domains);
}

/* --- senders --- */

#define SENDERS                                                                                    \
    "inline:{ {news@a.example = [smtp.mailgun.org]:587}, {@a.example = smtp.office365.com},"       \
    " {hve@b.example = [smtp-hve.office365.com]:587}, {@b.example = [smtp.sendgrid.net]},"         \
    " {stay@b.example = DUNNO}, {mx@c.example = c-example.mail.protection.outlook.com},"           \
    " {same@c.example = [Mail.Example.]:2525}, {port@c.example = [mail.example]:25},"              \
    " {bare@c.example = mail.example}, {odd@c.example = [half}, {<> = [bounce.example]},"          \
    " {root = [local.example]:25}, {two@c.example = [x.example], [smtp.office365.com]} }"

static void a_sender_has_his_own_server_or_relayhosts(void **state)
{
    (void)state;
    static const struct {
        const char *sender, *written;
        bool is_ours;
    } cases[] = {
        {"news@a.example", "[smtp.mailgun.org]:587", false},
        {"NEWS+x@A.example", "[smtp.mailgun.org]:587", false},
        {"kim@a.example", "[smtp.first.example]", false},
        {"joe@a.example", "smtp.office365.com", true},
        {"hve@b.example", "[smtp-hve.office365.com]:587", true},
        {"ann@b.example", "[smtp.sendgrid.net]", false},
        {"@b.example", "[smtp.sendgrid.net]", false},
        {"stay@b.example", "[mail.example]:2525", true},
        {"mx@c.example", "c-example.mail.protection.outlook.com", false},
        {"same@c.example", "[Mail.Example.]:2525", true},
        {"port@c.example", "[mail.example]:25", false},
        {"bare@c.example", "mail.example", true},
        {"odd@c.example", "[half", false},
        {"two@c.example", "[x.example]", false},
        {"", "[bounce.example]", false},
        {"root@relay.example", "[local.example]:25", false},
        {"root@else.example", "[mail.example]:2525", true},
        {"nobody@d.example", "[mail.example]:2525", true},
        {"gmail@t.example", "[smtp.gmail.com]:587", false},
        {"Gmail+x@T.example", "[smtp.gmail.com]:587", false},
        {"any@u.example", "smtp.u.example", false},
        {"@u.example", "smtp.u.example", false},
        {"plain@t.example", "[mail.example]:2525", true},
        {"bare@t.example", "[mail.example]:2525", true},
        {"odd@t.example", "[mail.example]:2525", true},
        {"us@t.example", "[mail.example]:2525", true},
        {"relay@t.example", "[mail.example]:2525", true},
        {"own@t.example", "[mail.example]:2525", true},
    };
    struct fixture fixture;
    open_fixture(&fixture, "[mail.example]:2525", SENDERS);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct destination_list list;
        struct error error;
        bool ours = false;
        assert_int_equal(
            destinations_find(fixture.destinations, cases[i].sender, &list, &ours, &error),
            TABLE_FOUND);
        if (strcmp(list.items[0].written, cases[i].written) != 0 || ours != cases[i].is_ours)
            fail_msg("<%s>: %s, %s", cases[i].sender, list.items[0].written,
                     ours ? "ours" : "not ours");
    }
    close_fixture(&fixture);
}

static void a_look_up_that_fails_is_not_relayhost(void **state)
{
    (void)state;
    struct fixture fixture;
    struct destination_list list;
    const struct destination *which;
    struct error error;
    bool ours;
    char maps[600];
    workplace_write("senders.re", "/x/ [x.example]\n");
    snprintf(maps, sizeof(maps), "regexp:%s", workplace_path("senders.re"));
    open_fixture(&fixture, "[mail.example]:587", maps);
    unlink(workplace_path("senders.re"));
    assert_int_equal(destinations_find(fixture.destinations, "a@y", &list, &ours, &error),
                     TABLE_FAILED);
    assert_contains(error.text, "sender_dependent_relayhost_maps");
    destination_read_list("[mail.example]:587", &list);
    assert_int_equal(destinations_owner(fixture.destinations, "a@y", &list, &which, &error),
                     TABLE_FAILED);
    close_fixture(&fixture);
}

static void without_relayhost_there_is_no_server(void **state)
{
    (void)state;
    struct fixture fixture;
    struct destination_list list;
    struct error error;
    bool ours;
    open_fixture(&fixture, "", SENDERS);
    assert_int_equal(destinations_find(fixture.destinations, "x@y", &list, &ours, &error),
                     TABLE_NONE);
    assert_contains(error.text, "relayhost = ");
    assert_int_equal(destinations_find(fixture.destinations, "hve@b.example", &list, &ours, &error),
                     TABLE_FOUND);
    close_fixture(&fixture);
}

/* --- keys --- */

static void a_key_is_for_the_server_that_it_names(void **state)
{
    (void)state;
    /* `owner` is which of relayhost's two servers it is for, -1: another's. */
    static const struct {
        const char *key;
        int owner;
    } cases[] = {
        {"smtp.office365.com", 0},
        {"[smtp.office365.com]:587", 0},
        {"smtp.office365.com:587", 0},
        {"[SMTP.Office365.COM]", 0},
        {"[smtp.office365.com]:submission", 0},
        {"[smtp.office365.com]:25", -1},
        {"smtp.office365.com:465", -1},
        {"outlook.office365.com", -1},
        {"[smtp-hve.office365.com]:587", -1},
        {"[mail2.example]:2525", 1},
        {"mail2.example", 1},
        {"[smtp.gmail.com]:587", -1},
        {"smtp.sendgrid.net", -1},
        {"[2001:db8::7]:587", -1},
        {"localhost", -1},
        {"office365.com", -1},
        {"joe", 0},
        {"joe@contoso.com", 0},
        {"@contoso.com", 0},
        {"news@a.example", -1},
        {"joe@a.example", 0},
        {"@b.example", -1},
        {"hve@b.example", -1},
        {"[half", -1},
    };
    struct fixture fixture;
    struct destination_list list;
    open_fixture(&fixture, "[smtp.office365.com]:587, [mail2.example]:2525", SENDERS);
    destination_read_list(fixture.settings.relayhost, &list);
    assert_int_equal(list.count, 2);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct destination *which = NULL;
        struct error error;
        enum table_answer answer =
            destinations_owner(fixture.destinations, cases[i].key, &list, &which, &error);
        int owner = answer == TABLE_FOUND ? (int)(which - list.items) : -1;
        if (owner != cases[i].owner)
            fail_msg("%s: %d", cases[i].key, owner);
    }
    close_fixture(&fixture);
}

static void an_address_in_brackets_is_a_host(void **state)
{
    (void)state;
    struct destination one, other;
    assert_null(destination_read("[IPv6:2001:db8::7]:587", &one));
    assert_string_equal(one.host, "2001:db8::7");
    assert_null(destination_read("[2001:DB8::7]", &other));
    assert_true(destination_equal(&one, &other));
    assert_null(destination_read("[2001:db8::8]:587", &other));
    assert_false(destination_equal(&one, &other));
}

/* --- all of them --- */

static void count(void *context, const char *sender, const struct destination *destination,
                  bool is_ours)
{
    int *counts = context;
    (void)sender;
    (void)destination;
    counts[is_ours]++;
}

static void tables_that_can_be_listed_are(void **state)
{
    (void)state;
    struct fixture fixture;
    int counts[2] = {0, 0};
    char maps[1600];
    open_fixture(&fixture, "[mail.example]:2525", SENDERS);
    assert_true(destinations_each(fixture.destinations, count, counts));
    assert_int_equal(counts[0], 8);
    assert_int_equal(counts[1], 5);
    close_fixture(&fixture);
    workplace_write("senders.re", "/x/ [x.example]\n");
    snprintf(maps, sizeof(maps), SENDERS ", regexp:%s", workplace_path("senders.re"));
    open_fixture(&fixture, "[mail.example]:2525", maps);
    assert_false(destinations_each(fixture.destinations, count, counts));
    close_fixture(&fixture);
    open_fixture(&fixture, "[mail.example]:2525", "static:[all.example]");
    assert_false(destinations_each(fixture.destinations, count, counts));
    close_fixture(&fixture);
    open_fixture(&fixture, "[mail.example]:2525", "");
    assert_true(destinations_each(fixture.destinations, count, counts));
    close_fixture(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sender_has_his_own_server_or_relayhosts),
        cmocka_unit_test(a_look_up_that_fails_is_not_relayhost),
        cmocka_unit_test(without_relayhost_there_is_no_server),
        cmocka_unit_test(a_key_is_for_the_server_that_it_names),
        cmocka_unit_test(an_address_in_brackets_is_a_host),
        cmocka_unit_test(tables_that_can_be_listed_are),
    };
    return cmocka_run_group_tests_name("destinations", tests, workplace_make, workplace_remove);
}
