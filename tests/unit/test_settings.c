/* test_settings.c - main.cf as the real postconf(1) reads it */
#include "common/parameter.h"
#include "common/settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utime.h>

static char directory[64];

static void write_main_cf(const char *text)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/main.cf", directory);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file,
            "compatibility_level = 3.6\nqueue_directory = /var/spool/postfix\n"
            "data_directory = /var/lib/postfix\n%s",
            text);
    assert_int_equal(fclose(file), 0);
    /* Postfix reads a file that changed within the last two seconds again until it is quiet. */
    assert_int_equal(utime(path, &(struct utimbuf){1, 1}), 0);
}

static struct settings *read_text(const char *text, const char *const overrides[],
                                  struct error *error)
{
    write_main_cf(text);
    error->text[0] = '\0';
    return settings_read(directory, overrides, error);
}

static int make_directory(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/post365-test-XXXXXX");
    if (mkdtemp(directory) == NULL)
        return -1;
    char path[128];
    snprintf(path, sizeof(path), "%s/master.cf", directory);
    FILE *file = fopen(path, "w");
    return file == NULL ? -1 : fclose(file);
}

static int remove_directory(void **state)
{
    (void)state;
    char path[128];
    snprintf(path, sizeof(path), "%s/main.cf", directory);
    unlink(path);
    snprintf(path, sizeof(path), "%s/master.cf", directory);
    unlink(path);
    return rmdir(directory);
}

static void defaults_are_those_of_the_table(void **state)
{
    (void)state;
    struct error error;
    struct settings *settings = read_text("relayhost = [smtp.office365.com]:587\n", NULL, &error);
    if (settings == NULL)
        fail_msg("got error: %s", error.text);
    assert_string_equal(settings->user, "post365");
    assert_string_equal(settings->upn, "");
    assert_true(settings->rewrite_from);
    assert_int_equal(settings->reply_to, REPLY_TO_ADD);
    assert_int_equal(settings->quota.recipients.limit, 10000);
    assert_int_equal(settings->quota.recipients.period, INT64_C(86400) * 1000000);
    assert_int_equal(settings->quota.messages.limit, 30);
    assert_int_equal(settings->quota.messages.period, INT64_C(60) * 1000000);
    assert_int_equal(settings->quota.recipients_per_message, 500);
    assert_int_equal(settings->quota_guard, 1000000);
    assert_int_equal(settings->meter, METER_DELIVERY);
    assert_string_equal(settings->ledger, "/var/lib/post365");
    assert_true(settings->ledger_sync);
    assert_string_equal(settings->milter_socket, "unix:post365/milter");
    assert_string_equal(settings->relayhost, "[smtp.office365.com]:587");
    assert_string_equal(settings->config_directory, directory);
    assert_string_equal(settings->queue_directory, "/var/spool/postfix");
    assert_string_equal(settings->mail_owner, "postfix");
    assert_int_equal(settings->recipients_per_delivery, 50);
    settings_free(settings);
}

static void values_mean_what_they_mean_to_postfix(void **state)
{
    (void)state;
    struct error error;
    const char *const overrides[] = {"post365_reply_to=no", "relayhost = other.example", NULL};
    struct settings *settings = read_text("my_domain = contoso.com\n"
                                          "  # a comment inside\n"
                                          "post365_upn = relay@$my_domain\n"
                                          "post365_sender_upn_maps = inline:{\n"
                                          "  { a@b.example = c@${my_domain} } }\n"
                                          "  texthash:/etc/x\n"
                                          "post365_password_maps =\n"
                                          "smtp_sasl_password_maps = hash:/etc/y\n"
                                          "post365_rewrite_from = ${relayhost?no}\n"
                                          "post365_meter = submission\n"
                                          "default_transport = outbound:[x]\n"
                                          "outbound_destination_recipient_limit = 7\n"
                                          "post365_recipient_limit = 3\n"
                                          "post365_destination_rate_delay = 1s\n",
                                          overrides, &error);
    if (settings == NULL)
        fail_msg("got error: %s", error.text);
    assert_string_equal(settings->upn, "relay@contoso.com");
    assert_string_equal(settings->sender_upn_maps,
                        "inline:{ { a@b.example = c@contoso.com } } texthash:/etc/x");
    assert_string_equal(settings->password_maps, "");
    assert_false(settings->rewrite_from);
    assert_int_equal(settings->reply_to, REPLY_TO_NO);
    assert_string_equal(settings->relayhost, "other.example");
    assert_int_equal(settings->meter, METER_SUBMISSION);
    settings_free(settings);
}

static void the_default_transport_tells_the_recipients_of_a_delivery(void **state)
{
    (void)state;
    struct error error;
    struct settings *settings = read_text("default_transport = relay:[x]\n"
                                          "relay_destination_recipient_limit = 7\n",
                                          NULL, &error);
    if (settings == NULL)
        fail_msg("got error: %s", error.text);
    assert_int_equal(settings->recipients_per_delivery, 7);
    settings_free(settings);
    const char *const unlimited[] = {"smtp_destination_recipient_limit=0", NULL};
    settings = read_text("", unlimited, &error);
    assert_non_null(settings);
    assert_int_equal(settings->recipients_per_delivery, 0);
    settings_free(settings);
}

static void the_parts_that_postfix_appends_to_addresses_are_known(void **state)
{
    static const struct {
        const char *text;
        const char *origin, *domain;
        bool swap_bangpath, allow_percent_hack;
    } cases[] = {
        {"myorigin = a.example\nmydomain = b.example\n", "a.example", "", true, true},
        {"mydomain = b.example\nmyorigin = $mydomain\nappend_dot_mydomain = yes\n", "b.example",
         "b.example", true, true},
        {"myorigin = a.example\nappend_at_myorigin = no\nswap_bangpath = no\n", "", "", false,
         true},
        {"myorigin = a.example\nallow_percent_hack = No\n", "a.example", "", true, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error error;
        struct settings *settings = read_text(cases[i].text, NULL, &error);
        if (settings == NULL)
            fail_msg("got error: %s", error.text);
        assert_string_equal(settings->append_origin, cases[i].origin);
        assert_string_equal(settings->append_domain, cases[i].domain);
        assert_int_equal(settings->swap_bangpath, cases[i].swap_bangpath);
        assert_int_equal(settings->allow_percent_hack, cases[i].allow_percent_hack);
        settings_free(settings);
    }
}

static void myorigin_may_name_a_file(void **state)
{
    (void)state;
    struct error error;
    char text[256], path[128];
    snprintf(path, sizeof(path), "%s/mailname", directory);
    snprintf(text, sizeof(text), "mydestination = a.example, b.example\nmyorigin = %s\n", path);
    assert_null(read_text(text, NULL, &error));
    assert_non_null(strstr(error.text, "myorigin = "));
    assert_non_null(strstr(error.text, "mailname: No such file"));
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("host.example\nignored\n", file);
    assert_int_equal(fclose(file), 0);
    struct settings *settings = read_text(text, NULL, &error);
    assert_int_equal(unlink(path), 0);
    if (settings == NULL)
        fail_msg("got error: %s", error.text);
    assert_string_equal(settings->local_domains, "host.example a.example, b.example");
    settings_free(settings);
}

static const struct {
    const char *text;
    const char *wanted[4]; /* pieces of the message */
} mistakes[] = {
    {"post365_bogus_name_of_mine = 1\n",
     {"main.cf, line 4", "unknown parameter post365_bogus_name_of_mine", "remove it"}},
    {"post365_mesage_quota = 1/1m\n",
     {"unknown parameter post365_mesage_quota", "did you mean post365_message_quota?"}},
    {"post365_message_quota = 30/1x\n",
     {"/main.cf: post365_message_quota = 30/1x: ", "\"1x\" is no period", "s, m, h, d or w"}},
    {"post365_message_quota = lots\n",
     {"post365_message_quota = lots: ", "number/period such as 30/1m"}},
    {"post365_recipients_per_message = 0\n",
     {"post365_recipients_per_message = 0: ", "whole number from 1"}},
    {"post365_rewrite_from = maybe\n", {"post365_rewrite_from = maybe: ", "write yes or no"}},
    {"post365_reply_to = yes\n", {"post365_reply_to = yes: ", "write add or no"}},
    {"post365_meter = both\n", {"post365_meter = both: ", "write delivery or submission"}},
    {"post365_upn = relay\n", {"post365_upn = relay: ", "user@domain"}},
    {"post365_ledger = here\n", {"post365_ledger = here: ", "absolute path"}},
    {"post365_milter_socket = post365/milter\n",
     {"post365_milter_socket = post365/milter: ", "unix:path or inet:host:port"}},
    {"post365_policy_socket = inet:127.0.0.1:0\n", {"\"0\" is no port", "1 to 65535"}},
    {"post365_control_socket = inet:127.0.0.1:9\n", {"post365_control_socket", "write unix:path"}},
    {"post365_metrics_listen = 9365\n",
     {"post365_metrics_listen = 9365: ", "127.0.0.1:9365 or [::1]:9365"}},
    {"post365_metrics_listen = ::1:9365\n", {"= ::1:9365: ", "[::1]:9365"}},
    {"post365_metrics_listen = [::1]9365\n", {"= [::1]9365: ", "[::1]:9365"}},
    {"post365_metrics_listen = :9365\n", {"= :9365: ", "127.0.0.1:9365"}},
    {"post365_metrics_listen = 127.0.0.1:65536\n", {"= 127.0.0.1:65536: ", "1 to 65535"}},
    {"post365_metrics_listen = inet:127.0.0.1:9365\n", {"write address:port"}},
    {"post365_user =\n", {"post365_user = : ", "must not be empty"}},
    {"post365_quota_guard = -1s\n", {"post365_quota_guard = -1s: ", "is no period"}},
};

static void a_mistake_is_named_with_file_name_value_and_remedy(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
        struct error error;
        struct settings *settings = read_text(mistakes[i].text, NULL, &error);
        if (settings != NULL)
            fail_msg("%s: got settings, want an error", mistakes[i].text);
        if (strstr(error.text, directory) == NULL)
            fail_msg("got \"%s\", want the file's name in it", error.text);
        for (size_t piece = 0; piece < 4 && mistakes[i].wanted[piece] != NULL; piece++)
            if (strstr(error.text, mistakes[i].wanted[piece]) == NULL)
                fail_msg("got \"%s\", want \"%s\" in it", error.text, mistakes[i].wanted[piece]);
    }
}

static void an_override_is_checked_too(void **state)
{
    (void)state;
    struct error error;
    const char *const unknown[] = {"post365_nonsense_at_all=1", NULL};
    assert_null(read_text("", unknown, &error));
    assert_non_null(strstr(error.text, "option -o: unknown parameter post365_nonsense_at_all"));
    const char *const nothing[] = {"post365_upn", NULL};
    assert_null(read_text("", nothing, &error));
    assert_non_null(strstr(error.text, "is not name=value"));
}

static void a_missing_directory_is_named(void **state)
{
    (void)state;
    struct error error;
    assert_null(settings_read("/nonexistent/postfix", NULL, &error));
    assert_non_null(strstr(error.text, "/nonexistent/postfix/main.cf: No such file"));
    assert_non_null(strstr(error.text, "-c"));
}

static void what_is_printed_is_read_back_the_same(void **state)
{
    (void)state;
    struct error error;
    char *first = NULL, *second = NULL;
    size_t size = 0;
    struct settings *settings = read_text("post365_upn = a@b.example\n"
                                          "post365_message_quota = 5/90s\n"
                                          "post365_recipient_quota = none\n"
                                          "post365_quota_guard = 250ms\n",
                                          NULL, &error);
    assert_non_null(settings);
    FILE *stream = open_memstream(&first, &size);
    settings_print(settings, stream);
    fclose(stream);
    settings_free(settings);
    settings = read_text(first, NULL, &error);
    if (settings == NULL)
        fail_msg("got error: %s", error.text);
    stream = open_memstream(&second, &size);
    settings_print(settings, stream);
    fclose(stream);
    settings_free(settings);
    assert_string_equal(first, second);
    assert_non_null(strstr(first, "post365_message_quota = 5/90s\n"));
    for (size_t i = 0; i < parameter_count(); i++)
        if (strstr(first, parameter_at(i)->name) == NULL)
            fail_msg("%s is not printed", parameter_at(i)->name);
    free(first);
    free(second);
}

static void a_password_in_main_cf_is_not_printed(void **state)
{
    (void)state;
    struct error error;
    char *text = NULL;
    size_t size = 0;
    struct settings *settings = read_text(
        "post365_password_maps = hash:/etc/postfix/sasl_passwd, inline:{ { x = a@b.example:geheim "
        "} } proxy:static:a@b.example:geheim { a@b.example:geheim }\n"
        "post365_sender_upn_maps = inline:{ x=a@b.example }\n",
        NULL, &error);
    assert_non_null(settings);
    FILE *stream = open_memstream(&text, &size);
    settings_print(settings, stream);
    fclose(stream);
    settings_free(settings);
    assert_null(strstr(text, "geheim"));
    assert_non_null(strstr(
        text,
        "post365_password_maps = hash:/etc/postfix/sasl_passwd, inline:..., static:..., ...\n"));
    assert_non_null(strstr(text, "post365_sender_upn_maps = inline:{ x=a@b.example }\n"));
    free(text);
}

static void a_long_line_is_read_and_an_endless_one_refused(void **state)
{
    (void)state;
    struct error error;
    for (int length = 50000; length <= 70000; length += 5000) {
        char *text = NULL;
        assert_true(asprintf(&text, "#%*s\npost365_upn = a@b.example\n", length, "") > 0);
        struct settings *settings = read_text(text, NULL, &error);
        if (length < 65536)
            assert_non_null(settings);
        else
            assert_non_null(strstr(error.text, "main.cf, line 4: longer than 65536 bytes"));
        settings_free(settings);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_those_of_the_table),
        cmocka_unit_test(values_mean_what_they_mean_to_postfix),
        cmocka_unit_test(the_default_transport_tells_the_recipients_of_a_delivery),
        cmocka_unit_test(the_parts_that_postfix_appends_to_addresses_are_known),
        cmocka_unit_test(myorigin_may_name_a_file),
        cmocka_unit_test(a_mistake_is_named_with_file_name_value_and_remedy),
        cmocka_unit_test(an_override_is_checked_too),
        cmocka_unit_test(a_missing_directory_is_named),
        cmocka_unit_test(what_is_printed_is_read_back_the_same),
        cmocka_unit_test(a_password_in_main_cf_is_not_printed),
        cmocka_unit_test(a_long_line_is_read_and_an_endless_one_refused),
    };
    return cmocka_run_group_tests_name("settings", tests, make_directory, remove_directory);
}
