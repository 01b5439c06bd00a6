/* test_relay.c - what a setting of the relay means for mail; lists of milters */
#include "common/memory.h"
#include "ctl/relay/delivery.h"
#include "ctl/relay/entrance.h"
#include "ctl/relay/judge.h"
#include "ctl/relay/milter.h"
#include "ctl/relay/service.h"
#include "ctl/relay/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char milter_socket[] = "unix:post365/milter", queue[] = "/var/spool/postfix";
static char no_logins[] = "", some_logins[] = "hash:/etc/postfix/logins";

static struct settings settings_of(enum settings_meter meter, char *logins)
{
    return (struct settings){.queue_directory = queue,
                             .milter_socket = milter_socket,
                             .meter = meter,
                             .login_upn_maps = logins,
                             .quota = {.recipients_per_message = 500}};
}

/* --- milters --- */

static void ours_is_found_however_it_is_spelled(void **state)
{
    (void)state;
    static const struct {
        const char *list;
        bool ours, others;
        const char *action, *protocol;
    } cases[] = {
        {"", false, false, "", ""},
        {"{}", false, false, "", ""},
        {"{ }", false, false, "", ""},
        {"unix:post365/milter", true, false, "", ""},
        {"local:post365/milter", true, false, "", ""},
        {"unix:/var/spool/postfix/post365/milter", true, false, "", ""},
        {"unix:post365/milter2", false, true, "", ""},
        {"inet:localhost:8891", false, true, "", ""},
        {"inet:localhost:8891, unix:post365/milter", true, true, "", ""},
        {"inet:localhost:8891\tunix:post365/milter\n", true, true, "", ""},
        {"{unix:post365/milter}", true, false, "", ""},
        {"{ unix:post365/milter }", true, false, "", ""},
        {"{unix:post365/milter,default_action=accept,protocol=6}", true, false, "accept", "6"},
        {"{ local:post365/milter, default_action = tempfail }", true, false, "tempfail", ""},
        {"{ inet:a:1, default_action=reject } unix:post365/milter", true, true, "", ""},
        {"{ unix:post365/milter, { default_action = quarantine } }", true, false, "quarantine", ""},
        {"DISABLE", false, true, "", ""},
    };
    struct settings settings = settings_of(METER_DELIVERY, no_logins);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct milter_list list;
        milter_list_read(&settings, cases[i].list, &list);
        if (list.has_ours != cases[i].ours || list.has_others != cases[i].others ||
            strcmp(list.action, cases[i].action) != 0 ||
            strcmp(list.protocol, cases[i].protocol) != 0)
            fail_msg("\"%s\": ours %d, others %d, action \"%s\", protocol \"%s\"", cases[i].list,
                     list.has_ours, list.has_others, list.action, list.protocol);
    }
}

static void what_a_milter_that_is_down_does(void **state)
{
    (void)state;
    static const struct {
        enum settings_meter meter;
        char *logins;
        const char *action;
        enum judged_as want;
    } cases[] = {
        {METER_DELIVERY, no_logins, "accept", JUDGED_RIGHT},
        {METER_DELIVERY, no_logins, "tempfail", JUDGED_RIGHT},
        {METER_DELIVERY, no_logins, "reject", JUDGED_DOUBTFUL},
        {METER_DELIVERY, no_logins, "quarantine", JUDGED_DOUBTFUL},
        {METER_DELIVERY, some_logins, "accept", JUDGED_DOUBTFUL},
        {METER_DELIVERY, some_logins, "tempfail", JUDGED_RIGHT},
        {METER_SUBMISSION, no_logins, "accept", JUDGED_WRONG},
        {METER_SUBMISSION, no_logins, "tempfail", JUDGED_RIGHT},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct settings settings = settings_of(cases[i].meter, cases[i].logins);
        struct judged judged = judge_action(&settings, cases[i].action);
        assert_int_equal(judged.judgement, cases[i].want);
        assert_true((judged.meaning == NULL) == (cases[i].want == JUDGED_RIGHT));
    }
    struct settings settings = settings_of(METER_DELIVERY, no_logins);
    assert_string_equal(judge_action_wanted(&settings), "accept");
    assert_int_equal(judge_protocol(&settings, "6").judgement, JUDGED_RIGHT);
    assert_int_equal(judge_protocol(&settings, "2").judgement, JUDGED_DOUBTFUL);
    settings = settings_of(METER_SUBMISSION, some_logins);
    assert_string_equal(judge_action_wanted(&settings), "tempfail");
    assert_int_equal(judge_protocol(&settings, "4").judgement, JUDGED_WRONG);
}

static void what_passes_the_milter_loses_its_login_alone(void **state)
{
    (void)state;
    struct settings settings = settings_of(METER_DELIVERY, no_logins);
    assert_int_equal(judge_past(&settings, false).judgement, JUDGED_RIGHT);
    assert_int_equal(judge_past(&settings, true).judgement, JUDGED_DOUBTFUL);
    settings.meter = METER_SUBMISSION;
    assert_int_equal(judge_past(&settings, false).judgement, JUDGED_WRONG);
}

static void no_milters_is_a_word(void **state)
{
    (void)state;
    assert_true(entrance_skips_milters("no_milters"));
    assert_true(entrance_skips_milters("no_header_body_checks,no_milters"));
    assert_true(entrance_skips_milters(" no_address_mappings\tNO_MILTERS\n"));
    assert_false(entrance_skips_milters(""));
    assert_false(entrance_skips_milters("no_header_body_checks"));
    assert_false(entrance_skips_milters("no_milters_at_all, xno_milters"));
}

static void classes_are_words(void **state)
{
    (void)state;
    static const struct {
        const char *classes, *missing;
    } cases[] = {
        {"bounce, notify", ""},        {"notify bounce", ""},        {"", "bounce, notify"},
        {"bounce", "notify"},          {"notify", "bounce"},         {"BOUNCE,Notify", ""},
        {"2bounce", "bounce, notify"}, {"bounces notify", "bounce"},
    };
    struct settings settings = settings_of(METER_DELIVERY, no_logins);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buffer missing = {0};
        struct judged judged = judge_classes(&settings, cases[i].classes, &missing);
        assert_string_equal(missing.data != NULL ? missing.data : "", cases[i].missing);
        assert_int_equal(judged.judgement,
                         cases[i].missing[0] == '\0' ? JUDGED_RIGHT : JUDGED_DOUBTFUL);
        buffer_free(&missing);
    }
}

/* --- master.cf --- */

static void options_however_they_are_spelled(void **state)
{
    (void)state;
    static const char lines[] =
        "# a comment\n"
        "smtp inet n - n - - smtpd\n"
        "  -o smtpd_milters=inet:a:1,inet:b:2 -oreceive_override_options=no_milters\n"
        "# in its midst\n"
        "  -o { content_filter = smtp:[127.0.0.1]:10024 } -v\n"
        "    -o {smtpd_milters={ inet:c:3, default_action=accept }}\n"
        "  -osmtpd_proxy_filter= -o { spaced = a b }\n"
        "short inet n - n\n";
    struct text text;
    struct service service;
    text_read(&text, lines, strlen(lines));
    assert_int_equal(text.count, 2);
    assert_true(service_read(&text, &text.entries[0], &service));
    assert_string_equal(service.field[SERVICE_COMMAND], "smtpd");
    assert_string_equal(service.field[SERVICE_TYPE], "inet");
    assert_int_equal(service.option_count, 6);
    static const char *const wanted[][2] = {
        {"receive_override_options", "no_milters"},
        {"content_filter", "smtp:[127.0.0.1]:10024"},
        {"smtpd_milters", "{ inet:c:3, default_action=accept }"},
        {"smtpd_proxy_filter", ""},
        {"spaced", "a b"},
    };
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        const struct service_option *option = service_option(&service, wanted[i][0]);
        assert_non_null(option);
        assert_string_equal(option->value, wanted[i][1]);
    }
    assert_null(service_option(&service, "smtpd"));
    service_free(&service);
    assert_false(service_read(&text, &text.entries[1], &service));
    service_free(&service);
    text_free(&text);
}

/* --- the queue --- */

static void times_as_postfix_has_them(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        char unit;
        long want;
    } cases[] = {
        {"5", 'd', 432000},   {"5d", 'd', 432000}, {"1h", 'd', 3600},        {"12s", 'd', 12},
        {"2w", 's', 1209600}, {"0", 'd', 0},       {"300s", 's', 300},       {"3m", 's', 180},
        {"1H", 's', 3600},    {"", 'd', -1},       {"-1", 'd', -1},          {"1x", 'd', -1},
        {"1h ", 'd', -1},     {"h", 'd', -1},      {"99999999999", 's', -1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (judge_seconds(cases[i].text, cases[i].unit) != cases[i].want)
            fail_msg("\"%s\": %ld", cases[i].text, judge_seconds(cases[i].text, cases[i].unit));
}

static void mail_has_patience_for_two_days(void **state)
{
    (void)state;
    static const struct {
        const char *lifetime;
        enum judged_as of_mail, of_bounces;
    } cases[] = {
        {"5d", JUDGED_RIGHT, JUDGED_RIGHT},      {"2d", JUDGED_RIGHT, JUDGED_RIGHT},
        {"48h", JUDGED_RIGHT, JUDGED_RIGHT},     {"36h", JUDGED_DOUBTFUL, JUDGED_DOUBTFUL},
        {"1", JUDGED_DOUBTFUL, JUDGED_DOUBTFUL}, {"23h", JUDGED_WRONG, JUDGED_DOUBTFUL},
        {"1h", JUDGED_WRONG, JUDGED_DOUBTFUL},   {"12s", JUDGED_WRONG, JUDGED_DOUBTFUL},
        {"0", JUDGED_WRONG, JUDGED_DOUBTFUL},    {"junk", JUDGED_RIGHT, JUDGED_RIGHT},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(judge_lifetime(cases[i].lifetime, false).judgement, cases[i].of_mail);
        assert_int_equal(judge_lifetime(cases[i].lifetime, true).judgement, cases[i].of_bounces);
    }
}

static void a_deferred_transport_is_seen(void **state)
{
    (void)state;
    assert_int_equal(judge_deferred("", "post365").judgement, JUDGED_RIGHT);
    assert_int_equal(judge_deferred("smtp, post366", "post365").judgement, JUDGED_RIGHT);
    assert_int_equal(judge_deferred("smtp, post365", "post365").judgement, JUDGED_WRONG);
    assert_int_equal(judge_deferred("post365", "post365").judgement, JUDGED_WRONG);
}

/* --- where mail goes --- */

static void colleagues_are_looked_for_here(void **state)
{
    (void)state;
    assert_int_equal(judge_domain("", "relay@contoso.com").judgement, JUDGED_RIGHT);
    assert_int_equal(judge_domain("localhost, relay.contoso.com", "relay@contoso.com").judgement,
                     JUDGED_RIGHT);
    assert_int_equal(judge_domain("localhost, Contoso.com", "relay@contoso.com").judgement,
                     JUDGED_DOUBTFUL);
    assert_int_equal(judge_domain("!contoso.com contoso.com", "relay@contoso.com").judgement,
                     JUDGED_RIGHT);
    assert_int_equal(judge_domain("contoso.com", "relay").judgement, JUDGED_RIGHT);
}

static void ports(void **state)
{
    (void)state;
    assert_int_equal(judge_port("587").judgement, JUDGED_RIGHT);
    assert_int_equal(judge_port("2525").judgement, JUDGED_RIGHT);
    assert_int_equal(judge_port("25").judgement, JUDGED_DOUBTFUL);
    assert_int_equal(judge_port("465").judgement, JUDGED_WRONG);
}

static void recipients_of_a_message(void **state)
{
    (void)state;
    struct settings settings = settings_of(METER_DELIVERY, no_logins);
    assert_int_equal(judge_recipients(&settings, 500, true).judgement, JUDGED_RIGHT);
    assert_int_equal(judge_recipients(&settings, 50, true).judgement, JUDGED_RIGHT);
    assert_int_equal(judge_recipients(&settings, 50, false).judgement, JUDGED_DOUBTFUL);
    assert_int_equal(judge_recipients(&settings, 501, true).judgement, JUDGED_DOUBTFUL);
    assert_int_equal(judge_recipients(&settings, 0, true).judgement, JUDGED_DOUBTFUL);
}

static void options_of_the_service(void **state)
{
    (void)state;
    for (size_t i = 0; i < delivery_option_count; i++) {
        const struct delivery_option *option = &delivery_options[i];
        assert_true(delivery_option_is_fine(option, option->value));
        if (strcmp(option->name, "lmtp_data_init_timeout") == 0) {
            assert_true(delivery_option_is_fine(option, "10m"));
            assert_false(delivery_option_is_fine(option, "120s"));
        } else if (strcmp(option->name, "lmtp_send_xforward_command") == 0) {
            assert_true(delivery_option_is_fine(option, "YES"));
            assert_false(delivery_option_is_fine(option, "no"));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ours_is_found_however_it_is_spelled),
        cmocka_unit_test(what_a_milter_that_is_down_does),
        cmocka_unit_test(what_passes_the_milter_loses_its_login_alone),
        cmocka_unit_test(no_milters_is_a_word),
        cmocka_unit_test(classes_are_words),
        cmocka_unit_test(options_however_they_are_spelled),
        cmocka_unit_test(times_as_postfix_has_them),
        cmocka_unit_test(mail_has_patience_for_two_days),
        cmocka_unit_test(a_deferred_transport_is_seen),
        cmocka_unit_test(colleagues_are_looked_for_here),
        cmocka_unit_test(ports),
        cmocka_unit_test(recipients_of_a_message),
        cmocka_unit_test(options_of_the_service),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
