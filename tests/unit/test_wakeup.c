/* test_wakeup.c - messages are handed back to Postfix in their order; postqueue(1) is a script that
 * notes its words */
#include "common/buffer.h"
#include "common/clock.h"
#include "common/memory.h"
#include "transport/queue/scan.h"
#include "transport/queue/wakeup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define UPN      "relay@contoso.com"
#define PATIENCE 10 /* seconds */

struct place {
    char directory[64];
    char program[96], words[96];
    struct event_base *base;
    struct wakeup *wakeup;
};

/* Notes its option and argument, and lists the queue that is in the file `queue`. */
static const char script[] = "#!/bin/sh\n"
                             "cd \"$2\" || exit 1\n"
                             "echo \"$3 $4\" >> words\n"
                             "[ \"$3\" = -j ] && cat queue\n"
                             "[ ! -e broken ]\n";

static void write_file(const struct place *place, const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", place->directory, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static char *send_as(void *context, const char *account)
{
    (void)context;
    (void)account;
    return memory_copy("billing@contoso.com");
}

static bool is_under_way(void *context, const char *queue_id)
{
    (void)context;
    return strncmp(queue_id, "BUSY", 4) == 0;
}

static bool is_doubtful(void *context, const char *queue_id)
{
    (void)context;
    return queue_id[0] == 'Q';
}

static bool postfix_runs = true;

static bool has_postfix(void *context)
{
    (void)context;
    return postfix_runs;
}

static const struct wakeup_knowledge knowledge = {.send_as = send_as,
                                                  .is_under_way = is_under_way,
                                                  .is_doubtful = is_doubtful,
                                                  .has_postfix = has_postfix};

static int begin(void **state)
{
    struct place *place = memory_zero(1, sizeof(*place));
    snprintf(place->directory, sizeof(place->directory), "/tmp/post365-wakeup.XXXXXX");
    assert_non_null(mkdtemp(place->directory));
    snprintf(place->program, sizeof(place->program), "%s/postqueue", place->directory);
    snprintf(place->words, sizeof(place->words), "%s/words", place->directory);
    write_file(place, "postqueue", script);
    write_file(place, "queue", "");
    assert_int_equal(chmod(place->program, 0755), 0);
    place->base = event_base_new();
    place->wakeup = wakeup_new(place->base, place->program, place->directory, &knowledge);
    *state = place;
    return 0;
}

static int end(void **state)
{
    static const char *const names[] = {"postqueue", "queue", "words", "broken"};
    struct place *place = *state;
    char path[128];
    wakeup_free(place->wakeup);
    event_base_free(place->base);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", place->directory, names[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(place->directory), 0);
    free(place);
    return 0;
}

static char *read_words(const struct place *place)
{
    static char text[4096];
    FILE *file = fopen(place->words, "r");
    size_t length = file != NULL ? fread(text, 1, sizeof(text) - 1, file) : 0;
    if (file != NULL)
        fclose(file);
    text[length] = '\0';
    return text;
}

/* Runs until postqueue has been called with so much, or for too long. */
static void wait_for_words(const struct place *place, size_t length)
{
    int64_t last = clock_now(clock_system()) + PATIENCE * CLOCK_SECOND;
    while (strlen(read_words(place)) < length && clock_now(clock_system()) < last) {
        const struct timeval often = {.tv_usec = 20000};
        event_base_loopexit(place->base, &often);
        event_base_dispatch(place->base);
    }
}

static void expect(const struct place *place, const char *words)
{
    wait_for_words(place, strlen(words));
    assert_string_equal(read_words(place), words);
}

/* And that nothing more is to come. */
static void expect_idle(const struct place *place, const char *words)
{
    const struct timeval while_ = {.tv_usec = 400000}; /* four times the pause between two */
    expect(place, words);
    event_base_loopexit(place->base, &while_);
    event_base_dispatch(place->base);
    assert_string_equal(read_words(place), words);
}

static void hands_messages_back_in_the_order_of_their_times(void **state)
{
    const struct place *place = *state;
    int64_t now = clock_now(clock_system());
    wakeup_put(place->wakeup, "LATER", now + 3600 * CLOCK_SECOND);
    wakeup_put(place->wakeup, "B", now + 2);
    wakeup_put(place->wakeup, "A", now + 1);
    expect_idle(place, "-i A\n-i B\n");
    assert_int_equal(wakeup_count(place->wakeup), 1);
    assert_int_equal(wakeup_woken(place->wakeup), 2);
}

static void leaves_alone_what_is_under_way(void **state)
{
    const struct place *place = *state;
    int64_t now = clock_now(clock_system());
    wakeup_put(place->wakeup, "BUSY", now);
    wakeup_put(place->wakeup, "A", now + 1);
    expect_idle(place, "-i A\n");
    assert_int_equal(wakeup_count(place->wakeup), 1);
}

static void the_later_call_counts(void **state)
{
    const struct place *place = *state;
    int64_t now = clock_now(clock_system());
    wakeup_put(place->wakeup, "A", now);
    wakeup_put(place->wakeup, "A", now + 3600 * CLOCK_SECOND);
    wakeup_put(place->wakeup, "B", now);
    expect_idle(place, "-i B\n");
}

#define LINE_OF(sender, id, arrival)                                                               \
    "{\"queue_name\": \"deferred\", \"queue_id\": \"" id "\", \"arrival_time\": " arrival          \
    ", \"sender\": \"" sender "\"}\n"
#define LINE(id, arrival) LINE_OF(UPN, id, arrival)

static void finds_the_messages_of_an_account_the_oldest_first(void **state)
{
    const struct place *place = *state;
    int64_t now = clock_now(clock_system());
    write_file(place, "queue", LINE("C", "30") LINE("A", "10") LINE("P", "5") LINE("B", "20"));
    wakeup_put(place->wakeup, "P", now + 3600 * CLOCK_SECOND); /* has a time of its own */
    wakeup_put_account(place->wakeup, UPN, now);
    expect_idle(place, "-j \n-i A\n-i B\n-i C\n");
}

static void a_probe_is_one_message_whatever_time_it_has(void **state)
{
    const struct place *place = *state;
    int64_t now = clock_now(clock_system());
    write_file(place, "queue", LINE("C", "30") LINE("A", "10") LINE("B", "20"));
    wakeup_put(place->wakeup, "A", now + 3600 * CLOCK_SECOND);
    wakeup_put_account(place->wakeup, UPN, now);
    wakeup_put_probe(place->wakeup, UPN, now);
    expect_idle(place, "-j \n-i A\n");
    assert_int_equal(wakeup_count(place->wakeup), 1); /* the next probe */
    wakeup_put_account(place->wakeup, UPN, now);
    expect_idle(place, "-j \n-i A\n-j \n-i A\n-i B\n-i C\n");
    assert_int_equal(wakeup_count(place->wakeup), 0);
}

/* Who comes later may have to wait for longer: he does not make the others wait. */
static void the_earlier_time_of_an_account_counts(void **state)
{
    const struct place *place = *state;
    int64_t now = clock_now(clock_system());
    write_file(place, "queue", LINE("A", "10"));
    wakeup_put_account(place->wakeup, UPN, now);
    wakeup_put_account(place->wakeup, UPN, now + 3600 * CLOCK_SECOND);
    expect_idle(place, "-j \n-i A\n");
}

/* Many accounts at once, as after an outage that all have had: one look is enough, and none waits
 * for another's. */
static void all_probes_that_are_due_are_looked_for_at_once(void **state)
{
    const struct place *place = *state;
    int64_t now = clock_now(clock_system());
    write_file(place, "queue",
               LINE("C", "30") LINE_OF("x@contoso.com", "X2", "20") LINE("A", "10")
                   LINE_OF("x@contoso.com", "X1", "5") LINE_OF("", "NULL", "1"));
    wakeup_put_probe(place->wakeup, UPN, now);
    wakeup_put_probe(place->wakeup, "x@contoso.com", now + 1);
    wakeup_put_probe(place->wakeup, "nothing@contoso.com", now + 2);
    wakeup_put_probe(place->wakeup, "later@contoso.com", now + 3600 * CLOCK_SECOND);
    wait_for_words(place, strlen("-j \n-i A\n-i X1\n-i NULL\n"));
    const char *words = read_words(place);
    assert_int_equal(strncmp(words, "-j \n", 4), 0);
    assert_int_equal(strlen(words), strlen("-j \n-i A\n-i X1\n-i NULL\n"));
    assert_true(strstr(words, "-i A\n") && strstr(words, "-i X1\n") && strstr(words, "-i NULL\n"));
    assert_int_equal(wakeup_count(place->wakeup), 4); /* the next probes */
}

/* Not behind the page that was turned last. */
static void a_probe_looks_at_all_messages(void **state)
{
    const struct place *place = *state;
    int64_t now = clock_now(clock_system());
    struct buffer queue = {0};
    char id[32];
    for (int i = 0; i < SCAN_MOST; i++)
        buffer_format(&queue,
                      "{\"queue_name\": \"deferred\", \"queue_id\": \"M%d\", "
                      "\"arrival_time\": %d, \"sender\": \"" UPN "\"}\n",
                      i, 1000 + i);
    write_file(place, "queue", queue.data);
    buffer_free(&queue);
    wakeup_put_account(place->wakeup, UPN, now);
    expect(place, "-j \n-i M0\n");
    for (int i = 1; i < SCAN_MOST; i++) {
        snprintf(id, sizeof(id), "M%d", i);
        wakeup_put(place->wakeup, id, now + 3600 * CLOCK_SECOND);
    }
    write_file(place, "queue", LINE("OLD", "10"));
    wakeup_put_probe(place->wakeup, UPN, now);
    expect_idle(place, "-j \n-i M0\n-j \n-i OLD\n");
}

static void accounts_find_room_beside_many_messages(void **state)
{
    const struct place *place = *state;
    int64_t now = clock_now(clock_system());
    char id[32];
    write_file(place, "queue", LINE("A", "10"));
    for (int i = 0; i < WAKEUP_MAX; i++) {
        snprintf(id, sizeof(id), "N%d", i);
        wakeup_put(place->wakeup, id, now + 3600 * CLOCK_SECOND);
    }
    wakeup_put_probe(place->wakeup, UPN, now);
    expect(place, "-j \n");
}

static void a_postqueue_that_fails_does_not_hold_up_the_others(void **state)
{
    const struct place *place = *state;
    int64_t now = clock_now(clock_system());
    write_file(place, "broken", "");
    wakeup_put(place->wakeup, "A", now);
    wakeup_put_account(place->wakeup, UPN, now + 1);
    wakeup_put(place->wakeup, "B", now + 2);
    expect_idle(place, "-i A\n-j \n-i B\n");
}

/* Under a stream of messages that are put down the timer must not be put off again and again. */
static void what_is_due_is_not_held_up_by_what_is_put_down(void **state)
{
    const struct place *place = *state;
    int64_t now = clock_now(clock_system()), last = now + PATIENCE * CLOCK_SECOND;
    char id[32];
    wakeup_put(place->wakeup, "A", now);
    for (int i = 0; read_words(place)[0] == '\0' && clock_now(clock_system()) < last; i++) {
        const struct timeval often = {.tv_usec = 5000};
        snprintf(id, sizeof(id), "N%d", i);
        wakeup_put(place->wakeup, id, last + 3600 * CLOCK_SECOND);
        event_base_loopexit(place->base, &often);
        event_base_dispatch(place->base);
    }
    assert_string_equal(read_words(place), "-i A\n");
}

static void what_may_have_been_delivered_is_left_to_postfix(void **state)
{
    const struct place *place = *state;
    int64_t now = clock_now(clock_system());
    write_file(place, "queue", LINE("Q1", "10") LINE("A", "20") LINE("Q2", "30"));
    wakeup_put_probe(place->wakeup, UPN, now);
    expect_idle(place, "-j \n-i A\n");
    wakeup_put_account(place->wakeup, UPN, now);
    expect_idle(place, "-j \n-i A\n-j \n-i A\n");
}

static void more_room_hastens_what_is_put_down(void **state)
{
    const struct place *place = *state;
    int64_t now = clock_now(clock_system());
    write_file(place, "queue", LINE("B", "20") LINE("A", "10") LINE("Q1", "5"));
    wakeup_put(place->wakeup, "A", now + 3600 * CLOCK_SECOND);
    wakeup_put(place->wakeup, "B", now + 3600 * CLOCK_SECOND);
    wakeup_hasten_account(place->wakeup, UPN);
    expect_idle(place, "-j \n-i A\n-i B\n");
    assert_int_equal(wakeup_count(place->wakeup), 0);
}

static void what_is_due_waits_for_postfix(void **state)
{
    const struct place *place = *state;
    int64_t now = clock_now(clock_system());
    const struct timeval a_while = {.tv_sec = 1, .tv_usec = 500000};
    postfix_runs = false;
    write_file(place, "queue", LINE("B", "10"));
    wakeup_put(place->wakeup, "A", now);
    wakeup_put_account(place->wakeup, UPN, now + 1);
    event_base_loopexit(place->base, &a_while);
    event_base_dispatch(place->base);
    assert_string_equal(read_words(place), "");
    postfix_runs = true;
    expect_idle(place, "-i A\n-j \n-i B\n");
}

static void the_age_of_the_oldest_is_looked_for_when_postfix_has_settled(void **state)
{
    const struct place *place = *state;
    const struct timeval a_while = {.tv_sec = 3};
    int64_t arrival;
    postfix_runs = false;
    write_file(place, "queue", LINE("B", "20") LINE("A", "10"));
    wakeup_watch_age(place->wakeup);
    event_base_loopexit(place->base, &a_while);
    event_base_dispatch(place->base);
    assert_string_equal(read_words(place), "");
    assert_false(wakeup_oldest(place->wakeup, &arrival));
    postfix_runs = true;
    expect_idle(place, "-j \n");
    assert_true(wakeup_oldest(place->wakeup, &arrival));
    assert_int_equal(arrival, 10);
    assert_int_equal(wakeup_count(place->wakeup), 0);
    wakeup_put(place->wakeup, "A", clock_now(clock_system()));
    expect_idle(place, "-j \n-i A\n");
}

static void a_look_at_the_age_that_failed_tells_nothing(void **state)
{
    const struct place *place = *state;
    int64_t arrival;
    write_file(place, "broken", "");
    write_file(place, "queue", LINE("A", "10"));
    wakeup_watch_age(place->wakeup);
    expect_idle(place, "-j \n");
    assert_false(wakeup_oldest(place->wakeup, &arrival));
}

static void a_look_that_failed_is_taken_again(void **state)
{
    const struct place *place = *state;
    char path[128];
    write_file(place, "broken", "");
    write_file(place, "queue", LINE("A", "10"));
    wakeup_put_account(place->wakeup, UPN, clock_now(clock_system()));
    expect(place, "-j \n-i A\n"); /* what it told before it failed */
    snprintf(path, sizeof(path), "%s/broken", place->directory);
    write_file(place, "queue", LINE("A", "10") LINE("B", "20"));
    assert_int_equal(unlink(path), 0);
    expect(place, "-j \n-i A\n-j \n-i A\n-i B\n"); /* after five seconds */
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(hands_messages_back_in_the_order_of_their_times),
        TEST(leaves_alone_what_is_under_way),
        TEST(the_later_call_counts),
        TEST(finds_the_messages_of_an_account_the_oldest_first),
        TEST(a_probe_is_one_message_whatever_time_it_has),
        TEST(the_earlier_time_of_an_account_counts),
        TEST(all_probes_that_are_due_are_looked_for_at_once),
        TEST(a_probe_looks_at_all_messages),
        TEST(accounts_find_room_beside_many_messages),
        TEST(a_postqueue_that_fails_does_not_hold_up_the_others),
        TEST(what_is_due_is_not_held_up_by_what_is_put_down),
        TEST(what_may_have_been_delivered_is_left_to_postfix),
        TEST(more_room_hastens_what_is_put_down),
        TEST(what_is_due_waits_for_postfix),
        TEST(the_age_of_the_oldest_is_looked_for_when_postfix_has_settled),
        TEST(a_look_at_the_age_that_failed_tells_nothing),
        TEST(a_look_that_failed_is_taken_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
