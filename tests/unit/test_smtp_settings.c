/* test_smtp_settings.c - what smtp(8)'s settings mean to the transport, and the table of them all
 */
#include "common/postconf.h"
#include "common/smtp_parameter.h"
#include "common/smtp_settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Postfix's defaults. */
static char *const defaults[SMTP_VALUES] = {
    [SMTP_INET_PROTOCOLS] = "all",
    [SMTP_INET_INTERFACES] = "all",
    [SMTP_ADDRESS_PREFERENCE] = "any",
    [SMTP_BIND_ADDRESS] = "",
    [SMTP_BIND_ADDRESS6] = "",
    [SMTP_BIND_ADDRESS_ENFORCE] = "no",
    [SMTP_HELO_NAME] = "relay.corp.example",
    [SMTP_CONNECT_TIMEOUT] = "30s",
    [SMTP_HELO_TIMEOUT] = "300s",
    [SMTP_STARTTLS_TIMEOUT] = "300s",
    [SMTP_MAIL_TIMEOUT] = "300s",
    [SMTP_RCPT_TIMEOUT] = "300s",
    [SMTP_DATA_INIT_TIMEOUT] = "120s",
    [SMTP_DATA_XFER_TIMEOUT] = "180s",
    [SMTP_DATA_DONE_TIMEOUT] = "600s",
    [SMTP_RSET_TIMEOUT] = "20s",
    [SMTP_QUIT_TIMEOUT] = "300s",
    [SMTP_TLS_SECURITY_LEVEL] = "secure",
    [SMTP_TLS_PROTOCOLS] = ">=TLSv1",
    [SMTP_TLS_MANDATORY_PROTOCOLS] = ">=TLSv1",
    [SMTP_TLS_CIPHERS] = "medium",
    [SMTP_TLS_MANDATORY_CIPHERS] = "medium",
    [SMTP_TLS_EXCLUDE_CIPHERS] = "",
    [SMTP_TLS_MANDATORY_EXCLUDE_CIPHERS] = "",
    [SMTP_DISCARD_EHLO_KEYWORDS] = "",
};

/* The defaults with one other value. */
static struct smtp_settings read_with(enum smtp_value value, const char *text)
{
    struct smtp_settings smtp;
    char *values[SMTP_VALUES];
    memcpy(values, defaults, sizeof(values));
    values[value] = (char *)text;
    smtp_settings_read(values, &smtp);
    return smtp;
}

static void the_defaults_are_no_news(void **state)
{
    (void)state;
    struct smtp_settings smtp = read_with(SMTP_INET_PROTOCOLS, "all");
    assert_int_equal(smtp.note_count, 0);
    assert_true(smtp.ipv4 && smtp.ipv6 && smtp.tls_1_2 && smtp.tls_1_3);
    assert_int_equal(smtp.preference, SMTP_PREFER_ANY);
    assert_string_equal(smtp.helo_name, "relay.corp.example");
    assert_string_equal(smtp.ciphers, "");
    assert_int_equal(smtp.timeouts.connect, 30);
    assert_int_equal(smtp.timeouts.helo, 60);
    assert_int_equal(smtp.timeouts.data_done, 545);
    smtp_settings_free(&smtp);
}

static void families(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        bool ipv4, ipv6;
        size_t notes;
    } cases[] = {
        {"ipv4", true, false, 0},      {"ipv6", false, true, 0}, {"ipv4, ipv6", true, true, 0},
        {"ipv6 ipv4", true, true, 0},  {"IPv4", true, false, 0}, {"ipv5", true, true, 1},
        {"ipv4, ipx", true, false, 1}, {"", true, true, 1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct smtp_settings smtp = read_with(SMTP_INET_PROTOCOLS, cases[i].value);
        if (smtp.ipv4 != cases[i].ipv4 || smtp.ipv6 != cases[i].ipv6 ||
            smtp.note_count != cases[i].notes)
            fail_msg("inet_protocols = %s", cases[i].value);
        smtp_settings_free(&smtp);
    }
}

static void times(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        unsigned seconds;
        size_t notes;
    } cases[] = {
        {"5s", 5, 0},   {"1", 1, 0},     {"1m", 60, 0},   {"2m", 120, 0},
        {"1h", 120, 0}, {"1d", 120, 0},  {"0", 120, 0},   {"soon", 120, 1},
        {"", 120, 1},   {"5 s", 120, 1}, {"5ss", 120, 1}, {"99999999999999999999s", 120, 1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct smtp_settings smtp = read_with(SMTP_CONNECT_TIMEOUT, cases[i].value);
        if (smtp.timeouts.connect != cases[i].seconds || smtp.note_count != cases[i].notes)
            fail_msg("smtp_connect_timeout = %s: %u s", cases[i].value, smtp.timeouts.connect);
        smtp_settings_free(&smtp);
    }
}

static void versions_of_tls(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        bool tls_1_2, tls_1_3;
        size_t notes;
    } cases[] = {
        {">=TLSv1.2", true, true, 0},
        {">=TLSv1.3", false, true, 0},
        {"<=TLSv1.2", true, false, 0},
        {"!SSLv2, !SSLv3, !TLSv1, !TLSv1.1", true, true, 0},
        {"!SSLv2 !SSLv3 !TLSv1.3", true, false, 0},
        {"TLSv1.2", true, false, 0},
        {"TLSv1.2:TLSv1.3", true, true, 0},
        {"TLSv1, TLSv1.1, TLSv1.2", true, false, 0},
        {">=0x0304", false, true, 0},
        {"", true, true, 0},
        {"TLSv1", true, true, 1},
        {"!TLSv1.2, !TLSv1.3", true, true, 1},
        {"SSLv3", true, true, 1},
        {"TLSv1.9", true, true, 1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct smtp_settings smtp = read_with(SMTP_TLS_MANDATORY_PROTOCOLS, cases[i].value);
        if (smtp.tls_1_2 != cases[i].tls_1_2 || smtp.tls_1_3 != cases[i].tls_1_3 ||
            smtp.note_count != cases[i].notes)
            fail_msg("smtp_tls_mandatory_protocols = %s", cases[i].value);
        smtp_settings_free(&smtp);
    }
}

/* The parameter that smtp(8) read at that level. */
static void the_level_says_which_parameter_counts(void **state)
{
    (void)state;
    struct smtp_settings smtp;
    char *values[SMTP_VALUES];
    memcpy(values, defaults, sizeof(values));
    values[SMTP_TLS_PROTOCOLS] = "TLSv1.2";
    smtp_settings_read(values, &smtp);
    assert_true(smtp.tls_1_3);
    smtp_settings_free(&smtp);
    values[SMTP_TLS_SECURITY_LEVEL] = "may";
    smtp_settings_read(values, &smtp);
    assert_false(smtp.tls_1_3);
    smtp_settings_free(&smtp);
}

static void ciphers(void **state)
{
    (void)state;
    static const struct {
        enum smtp_value name;
        const char *value, *ciphers;
    } cases[] = {
        {SMTP_TLS_MANDATORY_CIPHERS, "high", "HIGH:!aNULL:!eNULL"},
        {SMTP_TLS_MANDATORY_CIPHERS, "export", ""},
        {SMTP_TLS_MANDATORY_CIPHERS, "null", ""},
        {SMTP_TLS_CIPHERS, "high", ""},
        {SMTP_TLS_EXCLUDE_CIPHERS, "MD5, DES, AES128-SHA", "DEFAULT:!MD5:!DES:!AES128-SHA"},
        {SMTP_TLS_MANDATORY_EXCLUDE_CIPHERS, "kRSA", "DEFAULT:!kRSA"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct smtp_settings smtp = read_with(cases[i].name, cases[i].value);
        assert_string_equal(smtp.ciphers, cases[i].ciphers);
        smtp_settings_free(&smtp);
    }
}

static void addresses_to_come_from(void **state)
{
    (void)state;
    static const struct {
        enum smtp_value name;
        const char *value, *ipv4, *ipv6;
        size_t notes;
    } cases[] = {
        {SMTP_BIND_ADDRESS, "192.0.2.1", "192.0.2.1", "", 0},
        {SMTP_BIND_ADDRESS, "[192.0.2.1]", "192.0.2.1", "", 0},
        {SMTP_BIND_ADDRESS, "relay.corp.example", "", "", 1},
        {SMTP_BIND_ADDRESS, "2001:db8::1", "", "", 1},
        {SMTP_BIND_ADDRESS6, "2001:db8::1", "", "2001:db8::1", 0},
        {SMTP_BIND_ADDRESS6, "[ipv6:2001:db8::1]", "", "2001:db8::1", 0},
        {SMTP_BIND_ADDRESS6, "192.0.2.1", "", "", 1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct smtp_settings smtp = read_with(cases[i].name, cases[i].value);
        assert_string_equal(smtp.bind_address, cases[i].ipv4);
        assert_string_equal(smtp.bind_address6, cases[i].ipv6);
        assert_int_equal(smtp.note_count, cases[i].notes);
        smtp_settings_free(&smtp);
    }
}

static void keywords_that_are_discarded(void **state)
{
    (void)state;
    struct smtp_settings smtp =
        read_with(SMTP_DISCARD_EHLO_KEYWORDS, "chunking, StartTLS,dsn  AUTH");
    assert_string_equal(smtp.discarded_ehlo_keywords, "chunking dsn");
    assert_int_equal(smtp.note_count, 1);
    assert_non_null(strstr(smtp.notes[0], "smtp_discard_ehlo_keywords = "));
    smtp_settings_free(&smtp);
}

static void a_name_to_greet_with(void **state)
{
    (void)state;
    static const char *const wrong[] = {"", "two words"};
    for (size_t i = 0; i < 2; i++) {
        struct smtp_settings smtp = read_with(SMTP_HELO_NAME, wrong[i]);
        assert_int_equal(smtp.note_count, 1);
        smtp_settings_free(&smtp);
    }
    struct smtp_settings smtp = read_with(SMTP_HELO_NAME, "[192.0.2.1]");
    assert_string_equal(smtp.helo_name, "[192.0.2.1]");
    assert_int_equal(smtp.note_count, 0);
    smtp_settings_free(&smtp);
}

/* --- the table --- */

static void the_table_has_every_parameter_of_the_postfix_that_runs_here(void **state)
{
    (void)state;
    static const char *const options[] = {"-d", NULL};
    const struct postconf postconf = {.directory = NULL};
    struct buffer answer = {0};
    struct error error;
    if (!postconf_run(&postconf, options, &answer, &error))
        fail_msg("%s", error.text);
    size_t count = 0;
    char *rest = answer.data, *line;
    while ((line = strsep(&rest, "\n")) != NULL) {
        line[strcspn(line, " =")] = '\0';
        if (strncmp(line, "smtp_", 5) != 0)
            continue;
        count++;
        if (smtp_parameter_find(line) == NULL)
            fail_msg("%s is not in common/smtp_parameters.def", line);
    }
    assert_true(count > 100);
    buffer_free(&answer);
}

static void the_table_is_in_order_and_every_row_says_something(void **state)
{
    (void)state;
    for (size_t i = 0; i < smtp_parameter_count(); i++) {
        const struct smtp_parameter *parameter = smtp_parameter_at(i);
        if (i > 0 && strcmp(smtp_parameter_at(i - 1)->name, parameter->name) >= 0)
            fail_msg("%s is out of place", parameter->name);
        if (parameter->text[0] == '\0' || parameter->text[strlen(parameter->text) - 1] != '.')
            fail_msg("%s: the text is no sentence", parameter->name);
        if (parameter->kind == SMTP_PARAMETER_LMTP && strstr(parameter->text, "lmtp_") == NULL)
            fail_msg("%s: no parameter of lmtp(8) is named", parameter->name);
    }
    assert_null(smtp_parameter_find("smtp_no_such"));
    assert_null(smtp_parameter_find("smtp_"));
}

static void values_at_which_nothing_is_lost(void **state)
{
    (void)state;
    const struct smtp_parameter *parameter = smtp_parameter_find("smtp_tcp_port");
    assert_true(smtp_parameter_is_harmless(parameter, "587"));
    assert_true(smtp_parameter_is_harmless(parameter, "SMTP"));
    assert_false(smtp_parameter_is_harmless(parameter, "58"));
    assert_false(smtp_parameter_is_harmless(parameter, "smtp|25"));
    assert_false(smtp_parameter_is_harmless(parameter, ""));
    assert_false(smtp_parameter_is_harmless(smtp_parameter_find("smtp_fallback_relay"), "x"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_defaults_are_no_news),
        cmocka_unit_test(families),
        cmocka_unit_test(times),
        cmocka_unit_test(versions_of_tls),
        cmocka_unit_test(the_level_says_which_parameter_counts),
        cmocka_unit_test(ciphers),
        cmocka_unit_test(addresses_to_come_from),
        cmocka_unit_test(keywords_that_are_discarded),
        cmocka_unit_test(a_name_to_greet_with),
        cmocka_unit_test(the_table_has_every_parameter_of_the_postfix_that_runs_here),
        cmocka_unit_test(the_table_is_in_order_and_every_row_says_something),
        cmocka_unit_test(values_at_which_nothing_is_lost),
    };
    return cmocka_run_group_tests_name("smtp_settings", tests, NULL, NULL);
}
