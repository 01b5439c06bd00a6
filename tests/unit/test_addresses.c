/* test_addresses.c - in which order a server's addresses are tried */
#include "common/upstream/addresses.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static bool add(struct addresses *addresses, const char *text)
{
    struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_port = htons(587)};
    struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6, .sin6_port = htons(587)};
    if (inet_pton(AF_INET, text, &ipv4.sin_addr) == 1)
        return addresses_add(addresses, (const struct sockaddr *)&ipv4, sizeof(ipv4));
    assert_int_equal(inet_pton(AF_INET6, text, &ipv6.sin6_addr), 1);
    return addresses_add(addresses, (const struct sockaddr *)&ipv6, sizeof(ipv6));
}

/* "a b c", all that are left. */
static void expect_order(struct addresses *addresses, const char *expected)
{
    char order[1024] = "", text[ADDRESS_TEXT_SIZE];
    const struct address *address;
    while ((address = addresses_next(addresses)) != NULL)
        snprintf(order + strlen(order), sizeof(order) - strlen(order), "%s%s",
                 order[0] != '\0' ? " " : "", address_text(address, text));
    assert_string_equal(order, expected);
}

static void the_families_take_turns(void **state)
{
    (void)state;
    struct addresses addresses;
    addresses_begin(&addresses, ADDRESS_IPV6);
    add(&addresses, "192.0.2.1");
    add(&addresses, "192.0.2.2");
    add(&addresses, "2001:db8::1");
    add(&addresses, "2001:db8::2");
    add(&addresses, "2001:db8::3");
    assert_int_equal(addresses_count(&addresses), 5);
    expect_order(&addresses, "2001:db8::1 192.0.2.1 2001:db8::2 192.0.2.2 2001:db8::3");
}

static void the_preferred_family_begins(void **state)
{
    (void)state;
    struct addresses addresses;
    addresses_begin(&addresses, ADDRESS_IPV4);
    add(&addresses, "2001:db8::1");
    add(&addresses, "192.0.2.1");
    expect_order(&addresses, "192.0.2.1 2001:db8::1");
}

static void one_dead_family_stands_before_no_more_than_one_address_of_the_other(void **state)
{
    (void)state;
    struct addresses addresses;
    char text[ADDRESS_TEXT_SIZE];
    addresses_begin(&addresses, ADDRESS_IPV6);
    for (int i = 1; i <= 8; i++) {
        snprintf(text, sizeof(text), "2001:db8::%d", i);
        add(&addresses, text);
    }
    add(&addresses, "192.0.2.1");
    addresses_next(&addresses);
    assert_string_equal(address_text(addresses_next(&addresses), text), "192.0.2.1");
}

static void what_comes_late_is_tried_as_well(void **state)
{
    (void)state;
    struct addresses addresses;
    addresses_begin(&addresses, ADDRESS_IPV6);
    add(&addresses, "192.0.2.1");
    expect_order(&addresses, "192.0.2.1");
    assert_true(add(&addresses, "2001:db8::1"));
    assert_true(add(&addresses, "192.0.2.2"));
    expect_order(&addresses, "2001:db8::1 192.0.2.2");
}

static void an_address_is_tried_once_and_their_number_is_bounded(void **state)
{
    (void)state;
    struct addresses addresses;
    char text[ADDRESS_TEXT_SIZE];
    addresses_begin(&addresses, ADDRESS_IPV4);
    assert_true(add(&addresses, "192.0.2.1"));
    assert_false(add(&addresses, "192.0.2.1"));
    for (int i = 2; i < 100; i++) {
        snprintf(text, sizeof(text), "192.0.2.%d", i);
        assert_true(add(&addresses, text) == (i <= ADDRESSES_MAX));
        snprintf(text, sizeof(text), "2001:db8::%d", i);
        assert_true(add(&addresses, text) == (i - 1 <= ADDRESSES_MAX));
    }
    assert_int_equal(addresses_count(&addresses), 2 * ADDRESSES_MAX);
    const struct sockaddr local = {.sa_family = AF_UNIX};
    assert_false(addresses_add(&addresses, &local, sizeof(local)));
}

static void what_main_cf_allows_prefers_and_what_answered_last_says_who_begins(void **state)
{
    (void)state;
    static const struct {
        bool ipv4, ipv6;
        enum smtp_preference preference;
        struct address_memory memory;
        enum address_family first;
    } cases[] = {
        {true, true, SMTP_PREFER_ANY, {0}, ADDRESS_IPV6},
        {true, true, SMTP_PREFER_IPV4, {0}, ADDRESS_IPV4},
        {true, true, SMTP_PREFER_IPV6, {ADDRESS_IPV4, 101}, ADDRESS_IPV6},
        {true, true, SMTP_PREFER_ANY, {ADDRESS_IPV4, 101}, ADDRESS_IPV4},
        {true, true, SMTP_PREFER_ANY, {ADDRESS_IPV4, 100}, ADDRESS_IPV6},
        {true, false, SMTP_PREFER_IPV6, {ADDRESS_IPV6, 101}, ADDRESS_IPV4},
        {false, true, SMTP_PREFER_IPV4, {ADDRESS_IPV4, 101}, ADDRESS_IPV6},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const bool families[] = {[ADDRESS_IPV4] = cases[i].ipv4, [ADDRESS_IPV6] = cases[i].ipv6};
        if (addresses_first(families, cases[i].preference, &cases[i].memory, 100) != cases[i].first)
            fail_msg("case %zu begins with the wrong family", i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_families_take_turns),
        cmocka_unit_test(the_preferred_family_begins),
        cmocka_unit_test(one_dead_family_stands_before_no_more_than_one_address_of_the_other),
        cmocka_unit_test(what_comes_late_is_tried_as_well),
        cmocka_unit_test(an_address_is_tried_once_and_their_number_is_bounded),
        cmocka_unit_test(what_main_cf_allows_prefers_and_what_answered_last_says_who_begins),
    };
    return cmocka_run_group_tests_name("addresses", tests, NULL, NULL);
}
