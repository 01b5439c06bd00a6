/* test_foreign.c - registrations as sasl-xoauth2 and email-oauth2-proxy write them down */
#include "ctl/setup/foreign.h"
#include "ctl/setup/ini.h"

#include "common/buffer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TENANT   "11111111-2222-3333-4444-555555555555"
#define CLIENT   "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
#define ENDPOINT "https://login.microsoftonline.com/" TENANT "/oauth2/v2.0/token"
#define ACCOUNT  "joe@contoso.com"

/* --- sections --------------------------------------------------------------------------------- */

static void write_down(void *context, const char *section, const char *name, const char *value)
{
    buffer_format(context, "[%s] %s=%s|", section, name, value);
}

static void sections_are_read_as_python_reads_them(void **state)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"", ""},
        {"[a]\nx = 1\ny: 2 = 3\n", "[a] x=1|[a] y=2 = 3|"},
        {"[a]\nName With Blanks =  v  \n", "[a] name with blanks=v|"},
        {"[a]\nx = 1\n  2\n\t3\n\n  4\ny = 5", "[a] x=1\n2\n3\n4|[a] y=5|"},
        {"[a]\nx = 1\n  # no\n ; no\n  2\n", "[a] x=1\n2|"},
        {"# [no]\n; [no]\n[a b]c\nx =\r\n", "[a b] x=|"},
        {"x = 1\n[a]\nnothing\n[b]\n", "[] x=1|"},
        {"[a]\n  x = 1\n  y = 2\n    z = 3\n", "[a] x=1|[a] y=2\nz = 3|"},
        {"[a]\nx = 1\n  [b]\n", "[a] x=1\n[b]|"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct buffer got = {0};
        ini_each(rows[i].text, strlen(rows[i].text), write_down, &got);
        if (strcmp(got.data != NULL ? got.data : "", rows[i].want) != 0)
            fail_msg("\"%s\": got \"%s\", want \"%s\"", rows[i].text, got.data, rows[i].want);
        buffer_free(&got);
    }
}

/* --- what is taken ---------------------------------------------------------------------------- */

/* "tenant client cloud user|app secret certificate key", or the reason. */
static void describe(bool fine, const struct foreign *foreign, const struct error *error,
                     struct buffer *text)
{
    if (!fine) {
        buffer_append_string(text, error->text);
        return;
    }
    buffer_format(text, "%s %s %s %s %s %s %s", foreign->tenant, foreign->client_id,
                  foreign->cloud->name, foreign->is_user ? "user" : "app",
                  foreign->secret != NULL ? secret_reveal(foreign->secret) : "-",
                  foreign->certificate != NULL ? foreign->certificate : "-",
                  foreign->key != NULL ? foreign->key : "-");
}

static void expect_in(struct buffer *got, const char *want, const char *what)
{
    if (strstr(got->data, want) == NULL)
        fail_msg("%s: got \"%s\", want \"%s\"", what, got->data, want);
    buffer_free(got);
}

static void the_plugin(void **state)
{
    static const struct {
        const char *configuration, *tokens, *want;
    } rows[] = {
        {"{\"client_id\":\"" CLIENT "\",\"client_secret\":\"\",\"token_endpoint\":\"" ENDPOINT
         "\"}",
         "{\"refresh_token\":\"r\"}", TENANT " " CLIENT " global user - - -"},
        {NULL,
         "{\"client_id\":\"" CLIENT "\",\"client_secret\":\"s\",\"token_endpoint\":\"" ENDPOINT
         "\",\"refresh_token\":\"r\"}",
         TENANT " " CLIENT " global user s - -"},
        {"{\"client_id\":\"other\",\"token_endpoint\":\"https://login.microsoftonline.us/x.us/y\"}",
         "{\"client_id\":\"" CLIENT "\"}", "x.us " CLIENT " usgov user - - -"},
        {"{\"client_id\":\"" CLIENT "\"}", "{}", "Google's"},
        {"{\"client_id\":\"" CLIENT "\",\"token_endpoint\":\"" ENDPOINT ".evil\"}", "[]",
         "token file is no JSON"},
        {"{\"client_id\":7,\"token_endpoint\":\"" ENDPOINT "\"}", "{}", "no client_id"},
        {"{\"client_id\":\"x\",\"token_endpoint\":\"https://login.microsoftonline.com.evil/x/y\"}",
         "{}", "none of Microsoft Entra"},
        {"{", "{}", "configuration is no JSON"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *configuration = rows[i].configuration;
        struct foreign foreign;
        struct error error;
        struct buffer got = {0};
        bool fine =
            foreign_read_plugin(configuration, configuration != NULL ? strlen(configuration) : 0,
                                rows[i].tokens, strlen(rows[i].tokens), &foreign, &error);
        describe(fine, &foreign, &error, &got);
        expect_in(&got, rows[i].want, rows[i].tokens);
        foreign_free(&foreign);
    }
}

static void the_proxy(void **state)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"[" ACCOUNT "]\ntoken_url = " ENDPOINT "\nclient_id = " CLIENT
         "\noauth2_flow = client_credentials\nclient_secret = s%s\n",
         TENANT " " CLIENT " global app s%s - -"},
        {"[JOE@contoso.com]\ntoken_url = " ENDPOINT "\nclient_id = " CLIENT "\n",
         TENANT " " CLIENT " global user - - -"},
        {"[@contoso.com]\ntoken_url = " ENDPOINT "\nclient_id = " CLIENT
         "\noauth2_flow = client_credentials\njwt_certificate_path = /c\njwt_key_path = /k\n",
         TENANT " " CLIENT " global app - /c /k"},
        {"[@]\ntoken_url = https://login.partner.microsoftonline.cn/x.cn/oauth2/token\nclient_id = "
         "x\noauth2_flow = device\n",
         "x.cn x china user - - -"},
        {"[" ACCOUNT "]\ntoken_url = " ENDPOINT "\nclient_id = *** your client id here ***\n",
         "no client_id"},
        {"[" ACCOUNT "]\ntoken_url = " ENDPOINT "\nclient_id = x\noauth2_flow = password\n",
         "oauth2_flow = password"},
        {"[" ACCOUNT "]\ntoken_url = " ENDPOINT "\nclient_id = x\noauth2_flow = "
         "client_credentials\nclient_secret_encrypted = y\n",
         "is encrypted"},
        {"[" ACCOUNT "]\ntoken_url = https://oauth2.googleapis.com/token\nclient_id = x\n",
         "none of Microsoft Entra"},
        {"[ann@contoso.com]\nclient_id = x\n", "no section [" ACCOUNT "]"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct foreign foreign;
        struct error error;
        struct buffer got = {0};
        bool fine =
            foreign_read_proxy(rows[i].text, strlen(rows[i].text), ACCOUNT, &foreign, &error);
        describe(fine, &foreign, &error, &got);
        expect_in(&got, rows[i].want, rows[i].text);
        foreign_free(&foreign);
    }
}

static void where_the_proxy_leads(void **state)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"[SMTP-1587]\nserver_address = smtp.office365.com\n", "[smtp.office365.com]:587"},
        {"[SMTP-1587]\nserver_address = smtp-mail.outlook.com\n", "[smtp.office365.com]:587"},
        {"[smtp-1587]\nserver_address = smtp.office365.us\nserver_port = 587\n",
         "[smtp.office365.us]:587"},
        {"[SMTP-1587]\nserver_address = smtp.gmail.com\n", NULL},
        {"[IMAP-1587]\nserver_address = smtp.office365.com\n", NULL},
        {"[SMTP-2587]\nserver_address = smtp.office365.com\n", NULL},
        {"", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct error error;
        char *server = foreign_proxy_server(rows[i].text, strlen(rows[i].text), "1587", &error);
        if (rows[i].want == NULL)
            assert_null(server);
        else
            assert_string_equal(server, rows[i].want);
        free(server);
    }
}

static void what_is_one_application(void **state)
{
    struct foreign one, other;
    struct error error;
    static const char text[] = "[@]\ntoken_url = " ENDPOINT "\nclient_id = " CLIENT
                               "\noauth2_flow = client_credentials\nclient_secret = s\n"
                               "[ann@contoso.com]\ntoken_url = " ENDPOINT "\nclient_id = " CLIENT
                               "\noauth2_flow = client_credentials\nclient_secret = t\n";
    (void)state;
    assert_true(foreign_read_proxy(text, strlen(text), ACCOUNT, &one, &error));
    assert_true(foreign_read_proxy(text, strlen(text), "eve@contoso.com", &other, &error));
    assert_true(foreign_equal(&one, &other));
    foreign_free(&other);
    assert_true(foreign_read_proxy(text, strlen(text), "ann@contoso.com", &other, &error));
    assert_false(foreign_equal(&one, &other));
    foreign_free(&other);
    foreign_free(&one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sections_are_read_as_python_reads_them),
        cmocka_unit_test(the_plugin),
        cmocka_unit_test(the_proxy),
        cmocka_unit_test(where_the_proxy_leads),
        cmocka_unit_test(what_is_one_application),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
