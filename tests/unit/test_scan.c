/* test_scan.c - postqueue -j, read line by line */
#include "transport/queue/scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define UPN "relay@contoso.com"

/* Everything but queue ids that begin with N. */
static bool wanted(void *context, const char *queue_id)
{
    (void)context;
    return queue_id[0] != 'N';
}

static void say(struct scan *scan, struct evbuffer *bytes, const char *queue, const char *id,
                const char *sender, int arrival)
{
    evbuffer_add_printf(bytes,
                        "{\"queue_name\": \"%s\", \"queue_id\": \"%s\", \"arrival_time\": %d, "
                        "\"message_size\": 1, \"sender\": \"%s\", \"recipients\": []}\n",
                        queue, id, arrival, sender);
    scan_read(scan, bytes);
}

static struct scan *start(int64_t since)
{
    struct scan *scan = scan_new(wanted, NULL);
    scan_add(scan, UPN, NULL, since);
    return scan;
}

static void finds_deferred_messages_of_the_account_the_oldest_first(void **state)
{
    (void)state;
    struct scan *scan = start(0);
    struct evbuffer *bytes = evbuffer_new();
    say(scan, bytes, "deferred", "A2", "Relay@Contoso.COM", 200);
    say(scan, bytes, "deferred", "A1", "MAILER-DAEMON", 100);
    say(scan, bytes, "deferred", "A3", UPN, 300);
    say(scan, bytes, "active", "B1", UPN, 50);
    say(scan, bytes, "hold", "B2", UPN, 50);
    say(scan, bytes, "deferred", "C1", "else@contoso.com", 50);
    say(scan, bytes, "deferred", "N1", UPN, 50);
    say(scan, bytes, "deferred", "-r", UPN, 50);
    say(scan, bytes, "deferred", "", UPN, 50);
    assert_int_equal(scan_count(scan), 3);
    assert_string_equal(scan_id(scan, 0), "A1");
    assert_string_equal(scan_id(scan, 1), "A2");
    assert_string_equal(scan_id(scan, 2), "A3");
    assert_int_equal(scan_arrival(scan, 2), 300);
    evbuffer_free(bytes);
    scan_free(scan);
}

static void knows_what_the_account_may_send_as(void **state)
{
    (void)state;
    struct scan *scan = scan_new(wanted, NULL);
    struct evbuffer *bytes = evbuffer_new();
    scan_add(scan, UPN, " Billing@contoso.com,@brand.example", 0);
    say(scan, bytes, "deferred", "A1", "billing@CONTOSO.com", 1);
    say(scan, bytes, "deferred", "A2", "anybody@Brand.Example", 2);
    say(scan, bytes, "deferred", "A3", UPN, 3);
    say(scan, bytes, "deferred", "B1", "anybody@sub.brand.example", 4);
    say(scan, bytes, "deferred", "B2", "else@contoso.com", 5);
    assert_int_equal(scan_count(scan), 3);
    assert_string_equal(scan_id(scan, 2), "A3");
    evbuffer_free(bytes);
    scan_free(scan);
}

static void say_reason(struct scan *scan, struct evbuffer *bytes, const char *id,
                       const char *sender, const char *reason)
{
    evbuffer_add_printf(bytes,
                        "{\"queue_name\": \"deferred\", \"queue_id\": \"%s\", \"arrival_time\": 1, "
                        "\"sender\": \"%s\", \"recipients\": [{\"address\": \"a@b.c\"}, "
                        "{\"address\": \"d@e.f\", \"delay_reason\": \"%s\"}]}\n",
                        id, sender, reason);
    scan_read(scan, bytes);
}

static void believes_the_reason_before_the_sender(void **state)
{
    (void)state;
    struct scan *scan = start(0);
    struct evbuffer *bytes = evbuffer_new();
    say_reason(scan, bytes, "A1", "sales@contoso.com", "no room (account <relay@contoso.com>)");
    say_reason(scan, bytes, "A2", "MAILER-DAEMON", "no room (account <Relay@contoso.com>)");
    say_reason(scan, bytes, "A3", UPN, "no room");
    say_reason(scan, bytes, "A4", "owner-ops@relay", "connect to r[post365/accounts/" UPN "]: No");
    say_reason(scan, bytes, "B1", UPN, "no room (account <joe@contoso.com>)");
    say_reason(scan, bytes, "B2", "MAILER-DAEMON", "no room (account <joe@contoso.com>)");
    say_reason(scan, bytes, "B3", "owner-ops@relay", "no room");
    assert_int_equal(scan_count(scan), 4);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(scan_id(scan, i)[0], 'A');
    evbuffer_free(bytes);
    scan_free(scan);
}

static void a_probe_is_one_message_of_its_account(void **state)
{
    (void)state;
    struct scan *scan = scan_new(wanted, NULL);
    struct evbuffer *bytes = evbuffer_new();
    scan_add_probe(scan, UPN, "billing@contoso.com", 0);
    scan_add_probe(scan, "b@contoso.com", NULL, 1);
    scan_add_probe(scan, "c@contoso.com", NULL, 5);
    scan_add_probe(scan, "d@contoso.com", NULL, 7);
    assert_null(scan_probe(scan, UPN, 0));
    say(scan, bytes, "deferred", "A2", UPN, 3);
    say(scan, bytes, "deferred", "A1", "billing@contoso.com", 2);
    say(scan, bytes, "deferred", "B3", "b@contoso.com", 6);
    say(scan, bytes, "deferred", "B1", "b@contoso.com", 4);
    say(scan, bytes, "deferred", "B2", "b@contoso.com", 5);
    say(scan, bytes, "deferred", "C1", "c@contoso.com", 1);
    say(scan, bytes, "deferred", "C2", "c@contoso.com", 2);
    say(scan, bytes, "deferred", "Z1", "MAILER-DAEMON", 0);
    assert_string_equal(scan_probe(scan, UPN, 0), "A1");
    assert_string_equal(scan_probe(scan, "b@contoso.com", 1), "B2");
    assert_string_equal(scan_probe(scan, "c@contoso.com", 5), "C2"); /* round and round */
    assert_string_equal(scan_probe(scan, "d@contoso.com", 7), "Z1");
    assert_int_equal(scan_count(scan), 1);
    evbuffer_free(bytes);
    scan_free(scan);
}

static void leaves_out_what_arrived_before(void **state)
{
    (void)state;
    struct scan *scan = start(200);
    struct evbuffer *bytes = evbuffer_new();
    say(scan, bytes, "deferred", "A1", UPN, 199);
    say(scan, bytes, "deferred", "A2", UPN, 200);
    assert_int_equal(scan_count(scan), 1);
    assert_string_equal(scan_id(scan, 0), "A2");
    evbuffer_free(bytes);
    scan_free(scan);
}

static void keeps_the_oldest_of_more_than_it_can_take(void **state)
{
    (void)state;
    struct scan *scan = start(0);
    struct evbuffer *bytes = evbuffer_new();
    char id[16];
    for (int i = 2 * SCAN_MOST; i > 0; i--) {
        snprintf(id, sizeof(id), "A%d", i);
        say(scan, bytes, "deferred", id, UPN, i);
    }
    assert_int_equal(scan_count(scan), SCAN_MOST);
    assert_string_equal(scan_id(scan, 0), "A1");
    assert_int_equal(scan_arrival(scan, SCAN_MOST - 1), SCAN_MOST);
    evbuffer_free(bytes);
    scan_free(scan);
}

/* A line that comes in pieces; junk; one of two megabytes; and the next one is read again. */
static void reads_whatever_comes(void **state)
{
    (void)state;
    struct scan *scan = start(0);
    struct evbuffer *bytes = evbuffer_new();
    static const char line[] =
        "{\"queue_name\": \"deferred\", \"queue_id\": \"A1\", \"arrival_time\": "
        "1, \"sender\": \"" UPN "\"}\n";
    for (size_t i = 0; i < sizeof(line) - 1; i++) {
        evbuffer_add(bytes, &line[i], 1);
        scan_read(scan, bytes);
    }
    evbuffer_add_printf(bytes, "junk\n[]\n{}\n{\"queue_id\": 7}\n\n");
    scan_read(scan, bytes);
    char block[4096];
    memset(block, ' ', sizeof(block));
    for (size_t i = 0; i < 512; i++) {
        evbuffer_add(bytes, block, sizeof(block));
        scan_read(scan, bytes);
        assert_true(evbuffer_get_length(bytes) <= ((size_t)1 << 20) + sizeof(block));
    }
    evbuffer_add_printf(bytes, "\n");
    say(scan, bytes, "deferred", "A2", UPN, 2);
    assert_int_equal(scan_count(scan), 2);
    assert_string_equal(scan_id(scan, 1), "A2");
    evbuffer_free(bytes);
    scan_free(scan);
}

static void without_an_account_nothing_is_looked_for(void **state)
{
    (void)state;
    struct scan *scan = scan_new(wanted, NULL);
    struct evbuffer *bytes = evbuffer_new();
    say(scan, bytes, "deferred", "A1", "MAILER-DAEMON", 1);
    assert_int_equal(scan_count(scan), 0);
    evbuffer_free(bytes);
    scan_free(scan);
}

/* As the transport says it; of others that wait for the end of a pause it is said, too. */
static void leaves_out_what_may_have_been_delivered(void **state)
{
    (void)state;
    static const char *const reasons[] = {
        "451 4.4.2 h:587: the connection was lost; between the final dot and the reply: it may "
        "have been delivered (in reply to end of DATA command)",
        "451 4.4.2 another part of this message ended between the final dot and the reply: it may "
        "have been delivered, and this one waits for Postfix's next attempt",
        "450 4.7.1 " UPN " is paused until 14:05:00 (in 61 s): maybe-delivered: 451 4.4.2 h:587: "
        "the connection was lost; between the final dot and the reply: it may have been delivered",
        "450 4.7.1 " UPN " has used 30 of 30 messages per 1m; room at 14:05:00 (in 61 s)"};
    struct scan *scan = start(0);
    struct evbuffer *bytes = evbuffer_new();
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        evbuffer_add_printf(bytes,
                            "{\"queue_name\": \"deferred\", \"queue_id\": \"A%zu\", "
                            "\"arrival_time\": %zu, \"sender\": \"" UPN "\", \"recipients\": "
                            "[{\"address\": \"a@x.example\"}, {\"address\": \"b@x.example\", "
                            "\"delay_reason\": \"%s\"}]}\n",
                            i, i, reasons[i]);
        scan_read(scan, bytes);
    }
    assert_int_equal(scan_count(scan), 2);
    assert_string_equal(scan_id(scan, 0), "A2");
    assert_string_equal(scan_id(scan, 1), "A3");
    evbuffer_free(bytes);
    scan_free(scan);
}

static void knows_how_old_the_oldest_of_all_is(void **state)
{
    (void)state;
    struct scan *scan = scan_new(wanted, NULL);
    struct evbuffer *bytes = evbuffer_new();
    assert_int_equal(scan_oldest(scan), 0);
    say(scan, bytes, "hold", "A1", UPN, 10);
    say(scan, bytes, "corrupt", "A2", UPN, 20);
    say(scan, bytes, "deferred", "A3", UPN, 0);
    evbuffer_add_printf(bytes, "{\"queue_name\": \"deferred\", \"arrival_time\": -5}\n");
    scan_read(scan, bytes);
    assert_int_equal(scan_oldest(scan), 0);
    say(scan, bytes, "active", "B1", "else@fabrikam.com", 400);
    assert_int_equal(scan_oldest(scan), 400);
    say(scan, bytes, "deferred", "N2", UPN, 300);
    say(scan, bytes, "incoming", "B3", "MAILER-DAEMON", 350);
    assert_int_equal(scan_oldest(scan), 300);
    say(scan, bytes, "maildrop", "B4", "root", 200);
    assert_int_equal(scan_oldest(scan), 200);
    assert_int_equal(scan_count(scan), 0);
    evbuffer_free(bytes);
    scan_free(scan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_deferred_messages_of_the_account_the_oldest_first),
        cmocka_unit_test(knows_what_the_account_may_send_as),
        cmocka_unit_test(believes_the_reason_before_the_sender),
        cmocka_unit_test(a_probe_is_one_message_of_its_account),
        cmocka_unit_test(leaves_out_what_arrived_before),
        cmocka_unit_test(keeps_the_oldest_of_more_than_it_can_take),
        cmocka_unit_test(reads_whatever_comes),
        cmocka_unit_test(without_an_account_nothing_is_looked_for),
        cmocka_unit_test(leaves_out_what_may_have_been_delivered),
        cmocka_unit_test(knows_how_old_the_oldest_of_all_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
