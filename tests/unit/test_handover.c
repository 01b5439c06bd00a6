/* test_handover.c - the milter's decision in an ENVID */
#include "common/sender/handover.h"

#include "common/xtext.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char key[HANDOVER_KEY_SIZE + 1] = "0123456789abcdef0123456789abcdef";
static const char other_key[HANDOVER_KEY_SIZE + 1] = "0123456789abcdef0123456789abcdeF";

static char *seal(const char *account, const char *queue_id, const char *envid)
{
    struct buffer xtext = {0};
    const struct handover decision = {(char *)account, (char *)queue_id, (char *)envid};
    handover_seal(&xtext, key, &decision);
    return buffer_take(&xtext);
}

static void what_was_sealed_is_read_again(void **state)
{
    (void)state;
    static const struct handover cases[] = {
        {"relay@contoso.com", "4cZxyz1QwE", ""},
        {"relay@contoso.com", "", "QQ314159"},
        {"o'neil+x=y@contoso.com", "3C2A81F0E8", "a+b=c;d"},
        {"m\xc3\xbcller@contoso.com", "3C2A81F0E8", ";365;ABC;other@contoso.com;"},
        {"a;b%2C@contoso.com", "A", " ;365; "},
        {"%;%;%@contoso.com", "A", "%3B"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct handover read;
        char *xtext = seal(cases[i].account, cases[i].queue_id, cases[i].envid);
        assert_true(handover_is_sealed(xtext));
        assert_true(handover_open(xtext, key, &read));
        assert_string_equal(read.account, cases[i].account);
        assert_string_equal(read.queue_id, cases[i].queue_id);
        assert_string_equal(read.envid, cases[i].envid);
        handover_free(&read);
        assert_false(handover_open(xtext, other_key, &read));
        assert_null(read.account);
        free(xtext);
    }
}

/* RFC 3461 section 4.4: what a client may send. */
static void a_usual_account_has_room_in_a_hundred_octets(void **state)
{
    (void)state;
    char account[64];
    snprintf(account, sizeof(account), "%0*d@contoso.onmicrosoft.com", 61 - 24, 1);
    assert_int_equal(strlen(account), 61);
    char *xtext = seal(account, "3C2A81F0E8", "");
    assert_true(strlen(xtext) <= 100);
    free(xtext);
    xtext = seal("relay@contoso.com", "4cZxyz1QwERTY12", "");
    assert_true(strlen(xtext) <= 64);
    free(xtext);
}

/* Each octet is part of what is sealed. */
static void what_was_changed_is_a_clients_own(void **state)
{
    (void)state;
    struct handover read;
    char *xtext = seal("relay@contoso.com", "3C2A81F0E8", "QQ1");
    for (char *octet = xtext; *octet != '\0'; octet++) {
        char was = *octet;
        *octet = was == 'x' ? 'y' : 'x';
        if (handover_open(xtext, key, &read))
            fail_msg("%s is believed", xtext);
        *octet = was;
    }
    size_t length = strlen(xtext);
    for (size_t i = 0; i < length; i++) {
        assert_false(handover_open(xtext + i + 1, key, &read));
        char was = xtext[i];
        xtext[i] = '\0';
        assert_false(handover_open(xtext, key, &read));
        xtext[i] = was;
    }
    free(xtext);
}

static void what_was_never_sealed_is_a_clients_own(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "QQ314159",
        ";365;",
        ";365;;;",
        ";365;A;relay@contoso.com;",
        ";365;A;relay@contoso.com;AAAAAAAAAAAAAAAAAAAAAA",
        ";;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;",
        "365;A;relay@contoso.com;AAAAAAAAAAAAAAAAAAAAAA",
        "+",
        "+2",
        "+ZZ",
        "+00",
        "A;relay@contoso.com;AAAAAAAAAAAAAAAAAAAAAA",
    };
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct handover read;
        assert_false(handover_open(texts[i], key, &read));
        assert_null(read.envid);
        assert_int_equal(handover_is_sealed(texts[i]), i == 5);
    }
}

/* A client who has seen a seal gives it to the milter: that one puts its own behind it. */
static void only_the_last_seal_counts(void **state)
{
    (void)state;
    struct handover read;
    char *boss = seal("boss@contoso.com", "A", "QQ1");
    struct buffer decoded = {0};
    assert_true(xtext_decode(&decoded, boss));
    char *joe = seal("joe@contoso.com", "B", decoded.data);
    assert_true(handover_open(joe, key, &read));
    assert_string_equal(read.account, "joe@contoso.com");
    assert_string_equal(read.envid, decoded.data);
    handover_free(&read);
    buffer_free(&decoded);
    free(boss);
    free(joe);
}

static void a_long_envid_is_kept(void **state)
{
    (void)state;
    struct handover read;
    char long_envid[5000];
    memset(long_envid, '+', sizeof(long_envid) - 1);
    long_envid[sizeof(long_envid) - 1] = '\0';
    char *xtext = seal("relay@contoso.com", "A", long_envid);
    assert_true(handover_open(xtext, key, &read));
    assert_string_equal(read.envid, long_envid);
    handover_free(&read);
    free(xtext);
}

static void xtext_there_and_back(void **state)
{
    (void)state;
    struct buffer text = {0};
    xtext_append(&text, "a+b=c d\x7f\xc3\xbc~!");
    assert_string_equal(text.data, "a+2Bb+3Dc+20d+7F+C3+BC~!");
    struct buffer back = {0};
    assert_true(xtext_decode(&back, text.data));
    assert_string_equal(back.data, "a+b=c d\x7f\xc3\xbc~!");
    buffer_clear(&back);
    assert_true(xtext_decode(&back, "+2b=")); /* as Postfix reads it */
    assert_string_equal(back.data, "+=");
    assert_false(xtext_decode(&back, "a+"));
    assert_false(xtext_decode(&back, "a+2"));
    assert_false(xtext_decode(&back, "a+00"));
    buffer_free(&text);
    buffer_free(&back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_sealed_is_read_again),
        cmocka_unit_test(a_usual_account_has_room_in_a_hundred_octets),
        cmocka_unit_test(what_was_changed_is_a_clients_own),
        cmocka_unit_test(what_was_never_sealed_is_a_clients_own),
        cmocka_unit_test(only_the_last_seal_counts),
        cmocka_unit_test(a_long_envid_is_kept),
        cmocka_unit_test(xtext_there_and_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
