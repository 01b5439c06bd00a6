/* test_credentials.c - which user name and secret authenticate an account, with real tables and
 * token files */
#include "common/memory.h"
#include "common/upstream/credentials.h"
#include "common/upstream/token.h"
#include "tests/unit/memory_search.h"
#include "tests/unit/table_workplace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define NOBODY 65534

struct fixture {
    struct settings settings;
    struct credentials *credentials;
};

static void open_fixture_with(struct fixture *fixture, struct fixture *old,
                              const char *password_maps, const char *relayhost,
                              const char *token_maps, const char *oauth2_maps)
{
    struct error error;
    fixture->settings = (struct settings){.config_directory = memory_copy(workplace_directory()),
                                          .relayhost = memory_copy(relayhost),
                                          .password_maps = memory_copy(password_maps),
                                          .token_maps = memory_copy(token_maps),
                                          .oauth2_maps = memory_copy(oauth2_maps)};
    fixture->credentials =
        credentials_reopen(old != NULL ? old->credentials : NULL, &fixture->settings, &error);
    if (fixture->credentials == NULL)
        fail_msg("%s", error.text);
}

static void open_fixture(struct fixture *fixture, struct fixture *old, const char *password_maps,
                         const char *relayhost, const char *token_maps)
{
    open_fixture_with(fixture, old, password_maps, relayhost, token_maps, "");
}

static void close_fixture(struct fixture *fixture)
{
    credentials_close(fixture->credentials);
    free(fixture->settings.config_directory);
    free(fixture->settings.relayhost);
    free(fixture->settings.password_maps);
    free(fixture->settings.token_maps);
    free(fixture->settings.oauth2_maps);
}

/* `want` is "LOGIN user secret", "XOAUTH2 user token", "XOAUTH2 user by registration", or "none:
 * part of the reason", "failed: part of the reason". */
static void expect(struct fixture *fixture, const char *upn, const char *want)
{
    struct credential credential;
    struct error error = {.text = ""};
    char got[2048] = "";
    enum table_answer answer = credentials_find(fixture->credentials, upn, &credential, &error);
    if (answer == TABLE_FOUND)
        snprintf(got, sizeof(got), "%s %s %s%s", sasl_mechanism_name(credential.mechanism),
                 credential.user, credential.registration != NULL ? "by " : "",
                 credential.registration != NULL ? credential.registration
                                                 : secret_reveal(credential.secret));
    else
        snprintf(got, sizeof(got), "%s: %s", answer == TABLE_NONE ? "none" : "failed", error.text);
    const char *reason = strchr(want, ' ') + 1;
    if (answer == TABLE_FOUND
            ? strcmp(got, want) != 0
            : strncmp(got, want, (size_t)(reason - want)) != 0 || strstr(got, reason) == NULL)
        fail_msg("%s: got \"%s\", want \"%s\"", upn, got, want);
    /* No password of these tests is in a reason. */
    assert_null(strstr(error.text, "geheim"));
    credential_release(&credential);
    assert_null(credential.secret);
}

/* "texthash:DIRECTORY/name", valid until the eighth call after this one. */
static const char *table_of(const char *type, const char *name)
{
    static char values[8][600];
    static unsigned next;
    char *value = values[next++ % 8];
    snprintf(value, sizeof(values[0]), "%s:%s", type, workplace_path(name));
    return value;
}

static void write_private(const char *name, const char *text, mode_t mode)
{
    workplace_replace(name, text);
    assert_int_equal(chmod(workplace_path(name), mode), 0);
}

/* --- the order --- */

#define LINES                                                                                      \
    "a@contoso.com a@contoso.com:geheim1\n"                                                        \
    "mail.example B@contoso.com:geheim2:with colon\n"                                              \
    "[mail.example]:587 c@contoso.com:geheim3\n"                                                   \
    "shared@contoso.com a@contoso.com:geheim1\n"                                                   \
    "z.alias@contoso.com d@contoso.com:geheim4\n"                                                  \
    "alias@contoso.com <d@contoso.com>:geheim5\n"                                                  \
    "[other.example] e@contoso.com:geheim6\n"                                                      \
    "empty@contoso.com empty@contoso.com:\n"                                                       \
    "nocolon@contoso.com geheim7\n"                                                                \
    "service service:geheim8\n"

static void check_order(const char *maps)
{
    struct fixture fixture;
    open_fixture(&fixture, NULL, maps, "[mail.example]:587", "");
    expect(&fixture, "a@contoso.com", "LOGIN a@contoso.com geheim1");
    expect(&fixture, "A@Contoso.com", "LOGIN a@contoso.com geheim1");
    expect(&fixture, "b@contoso.com", "LOGIN B@contoso.com geheim2:with colon");
    expect(&fixture, "c@contoso.com", "LOGIN c@contoso.com geheim3");
    expect(&fixture, "shared@contoso.com",
           "none: no credentials for account shared@contoso.com: "
           "\"shared@contoso.com\" has user name a@contoso.com;");
    expect(&fixture, "d@contoso.com", "LOGIN d@contoso.com geheim5");
    expect(&fixture, "e@contoso.com", "none: no credentials for account e@contoso.com");
    expect(&fixture, "f@contoso.com",
           "none: add the line \"f@contoso.com f@contoso.com:password\"");
    expect(&fixture, "empty@contoso.com",
           "failed: password for key \"empty@contoso.com\": it is empty; write");
    expect(&fixture, "nocolon@contoso.com",
           "failed: nothing usable for key \"nocolon@contoso.com\"; write user:password");
    close_fixture(&fixture);
}

static void a_line_is_found_under_upn_relayhost_or_any_key(void **state)
{
    (void)state;
    workplace_write("lines", LINES);
    workplace_postmap("hash", "lines");
    workplace_write("lines2", LINES);
    workplace_postmap("btree", "lines2");
    check_order(table_of("texthash", "lines"));
    check_order(table_of("hash", "lines"));
    check_order(table_of("btree", "lines2"));
}

static void relayhost_may_list_several_destinations(void **state)
{
    (void)state;
    struct fixture fixture;
    /* Tables that cannot be enumerated: nothing else finds these lines. */
    workplace_write("list.re", "/^one\\.example$/ a@x:geheim1\n"
                               "/^\\[two\\.example\\]:587$/ b@x:geheim2\n"
                               "/^three\\.example$/ c@x:geheim3\n"
                               "/^other\\.example$/ d@x:geheim4\n");
    open_fixture(&fixture, NULL, table_of("regexp", "list.re"),
                 "[one.example]:587, [two.example]:587\tthree.example:25", "");
    expect(&fixture, "a@x", "LOGIN a@x geheim1");
    expect(&fixture, "b@x", "LOGIN b@x geheim2");
    expect(&fixture, "c@x", "LOGIN c@x geheim3");
    expect(&fixture, "d@x", "none: \"one.example\" has user name a@x; to one of the tables in ");
    close_fixture(&fixture);
    open_fixture(&fixture, NULL, table_of("regexp", "list.re"), "", "");
    expect(&fixture, "a@x", "none: no credentials for account a@x; to one of the tables in ");
    close_fixture(&fixture);
}

#define SEVERAL                                                                                    \
    "[smtp.office365.com]:587 relay@contoso.com:geheim1\n"                                         \
    "SMTP.GMAIL.com alerts@gmail.com:geheim2 with blanks\n"                                        \
    "[smtp.gmail.com]:587 second@gmail.com:geheim3\n"                                              \
    "news@fabrikam.com news@fabrikam.com:geheim4\n"                                                \
    "[smtp.sendgrid.net]:587 apikey:geheim5\n"                                                     \
    "@shop.example shop@shop.example:geheim6\n"                                                    \
    "[smtp.office365.com]:25 old@contoso.com:geheim7\n"                                            \
    "[smtp-hve.office365.com]:587 hve@contoso.com:geheim8\n"                                       \
    "outlook.office365.com other@contoso.com:geheim9\n"                                            \
    "[smtp.partner.outlook.cn] cn@contoso.cn:geheim10\n"                                           \
    "alias@contoso.com relay2@contoso.com:geheim11\n"                                              \
    "smtp.office365.com:587 third@contoso.com:geheim12\n"                                          \
    "smtp.mailgun.org:587 relay@contoso.com:geheim13\n"
#define SEVERAL_SERVERS                                                                            \
    "inline:{ {news@fabrikam.com = [smtp.mailgun.org]:587}, {@shop.example = smtp.sendgrid.net},"  \
    " {hve@contoso.com = [smtp-hve.office365.com]:587}, {cn@contoso.cn = "                         \
    "smtp.partner.outlook.cn} }"

static void open_several(struct fixture *fixture, const char *maps, const char *filter)
{
    struct error error;
    fixture->settings = (struct settings){.config_directory = memory_copy(workplace_directory()),
                                          .relayhost = memory_copy("[smtp.office365.com]:587"),
                                          .sender_relayhost_maps = SEVERAL_SERVERS,
                                          .sasl_mechanism_filter = (char *)filter,
                                          .password_maps = memory_copy(maps),
                                          .token_maps = memory_copy(""),
                                          .oauth2_maps = memory_copy("")};
    fixture->credentials = credentials_open(&fixture->settings, &error);
    if (fixture->credentials == NULL)
        fail_msg("%s", error.text);
}

/* At `server`, or at none. */
static void expect_at(struct fixture *fixture, const char *upn, const char *server)
{
    struct credential credential;
    struct error error;
    enum table_answer answer = credentials_find(fixture->credentials, upn, &credential, &error);
    if ((answer == TABLE_FOUND) != (server != NULL) ||
        (server != NULL && strcmp(credential.destination.host, server) != 0))
        fail_msg("%s: %s", upn, answer == TABLE_FOUND ? credential.destination.host : error.text);
    credential_release(&credential);
}

static void expect_accounts(struct fixture *fixture, const char *want);

static void a_line_is_for_the_server_of_its_key(void **state)
{
    (void)state;
    struct fixture fixture;
    workplace_write("several", SEVERAL);
    workplace_postmap("hash", "several");
    const char *const types[] = {"texthash", "hash"};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        open_several(&fixture, table_of(types[i], "several"), "");
        expect_accounts(&fixture, "cn@contoso.cn hve@contoso.com relay2@contoso.com "
                                  "relay@contoso.com third@contoso.com");
        expect(&fixture, "relay@contoso.com", "LOGIN relay@contoso.com geheim1");
        expect_at(&fixture, "relay@contoso.com", "smtp.office365.com");
        expect_at(&fixture, "relay2@contoso.com", "smtp.office365.com");
        expect_at(&fixture, "third@contoso.com", "smtp.office365.com");
        expect(&fixture, "hve@contoso.com", "LOGIN hve@contoso.com geheim8");
        expect_at(&fixture, "hve@contoso.com", "smtp-hve.office365.com");
        expect_at(&fixture, "cn@contoso.cn", "smtp.partner.outlook.cn");
        static const char *const others[] = {"alerts@gmail.com",  "second@gmail.com",
                                             "old@contoso.com",   "other@contoso.com",
                                             "news@fabrikam.com", "shop@shop.example"};
        for (size_t j = 0; j < sizeof(others) / sizeof(others[0]); j++)
            expect_at(&fixture, others[j], NULL);
        expect(&fixture, "news@fabrikam.com",
               "none: its mail is for [smtp.mailgun.org]:587 (sender_dependent_relayhost_maps in ");
        close_fixture(&fixture);
    }
}

static void what_is_no_password_is_named_and_not_used(void **state)
{
    (void)state;
    struct fixture fixture;
    static const struct {
        const char *line, *want;
    } cases[] = {
        {"/etc/tokens/geheim", "failed: it is the path of a file and not sent; post365_token_maps"},
        {"{\"access_token\":\"geheim\"}", "failed: it is JSON and not sent; post365_token_maps"},
        {"eyJnZWhlaW0.eyJnZWhlaW0.eyJnZWhlaW0", "failed: it is a token and not sent; "},
        {"geheim", "LOGIN relay@contoso.com geheim"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *text =
            memory_format("[smtp.office365.com]:587 relay@contoso.com:%s\n", cases[i].line);
        workplace_replace("unfit", text);
        open_several(&fixture, table_of("texthash", "unfit"), i % 2 == 0 ? "" : "login, xoauth2");
        expect(&fixture, "relay@contoso.com", cases[i].want);
        workplace_log_start();
        struct error error;
        assert_true(credentials_check(fixture.credentials, &error));
        const char *log = workplace_log_end();
        assert_int_equal(workplace_count(log, "post365_token_maps is to name"),
                         cases[i].want[0] == 'f');
        assert_null(strstr(log, "geheim"));
        fixture.settings.sasl_mechanism_filter = NULL;
        fixture.settings.sender_relayhost_maps = NULL;
        close_fixture(&fixture);
        free(text);
    }
    open_several(&fixture, table_of("texthash", "unfit"), "xoauth2");
    expect(
        &fixture, "relay@contoso.com",
        "failed: it is not sent, since smtp_sasl_mechanism_filter = xoauth2 leaves no mechanism");
    close_fixture(&fixture);
}

static void tables_without_files_serve(void **state)
{
    (void)state;
    struct fixture fixture;
    open_fixture(&fixture, NULL, "inline:{{a@x=a@x:geheim 1}}, static:b@x:geheim2", "r.example",
                 "");
    expect(&fixture, "a@x", "LOGIN a@x geheim 1");
    expect(&fixture, "b@x", "LOGIN b@x geheim2");
    expect(&fixture, "c@x", "none: \"c@x\" has user name b@x;");
    close_fixture(&fixture);
    open_fixture(&fixture, NULL, "", "r.example", "");
    expect(&fixture, "a@x", "none: main.cf: post365_password_maps add the line");
    close_fixture(&fixture);
}

static void a_failing_look_up_is_a_failure(void **state)
{
    (void)state;
    struct fixture fixture;
    workplace_write("broken.re", "/a/ a@x:geheim1\n");
    open_fixture(&fixture, NULL, table_of("regexp", "broken.re"), "r.example", "");
    unlink(workplace_path("broken.re"));
    expect(&fixture, "a@x", "failed: post365_password_maps");
    close_fixture(&fixture);
}

static void a_wrong_configuration_does_not_open(void **state)
{
    (void)state;
    struct error error;
    struct settings settings = {.config_directory = (char *)workplace_directory(),
                                .relayhost = "",
                                .password_maps = "inline:{geheim",
                                .token_maps = "",
                                .oauth2_maps = ""};
    assert_null(credentials_open(&settings, &error));
    assert_contains(error.text, "/main.cf: post365_password_maps = inline:...: ");
    assert_null(strstr(error.text, "geheim"));
    settings.password_maps = "";
    settings.token_maps = "texthash:/nowhere/tokens";
    assert_null(credentials_open(&settings, &error));
    assert_contains(error.text, "/main.cf: post365_token_maps = texthash:/nowhere/tokens: ");
}

/* --- changes --- */

static void a_changed_table_is_read_again(void **state)
{
    (void)state;
    struct fixture fixture;
    workplace_write("changed", "a@x a@x:geheim1\nk b@x:geheim2\n");
    open_fixture(&fixture, NULL, table_of("texthash", "changed"), "", "");
    expect(&fixture, "a@x", "LOGIN a@x geheim1");
    expect(&fixture, "b@x", "LOGIN b@x geheim2");
    uint64_t version = credentials_version(fixture.credentials);
    assert_true(credentials_version(fixture.credentials) == version);
    workplace_log_start();
    workplace_replace("changed", "a@x a@x:geheim3\nk c@x:geheim4\n");
    assert_true(credentials_version(fixture.credentials) > version);
    expect(&fixture, "a@x", "LOGIN a@x geheim3");
    expect(&fixture, "b@x", "none: no credentials for account b@x; ");
    expect(&fixture, "c@x", "LOGIN c@x geheim4");
    assert_null(strstr(workplace_log_end(), "geheim"));
    close_fixture(&fixture);
}

static void a_change_behind_postmap_is_noticed(void **state)
{
    (void)state;
    struct fixture fixture;
    workplace_write("noticed.re", "/a@x/ a@x:geheim1\n");
    open_fixture(&fixture, NULL, table_of("regexp", "noticed.re"), "", "");
    expect(&fixture, "a@x", "LOGIN a@x geheim1");
    uint64_t version = credentials_version(fixture.credentials);
    assert_true(credentials_version(fixture.credentials) == version);
    workplace_replace("noticed.re", "/a@x/ a@x:geheim2\n");
    assert_true(credentials_version(fixture.credentials) > version);
    expect(&fixture, "a@x", "LOGIN a@x geheim2");
    close_fixture(&fixture);
}

static void what_root_alone_may_read_serves_on_and_its_change_is_complained_of(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    struct fixture fixture, next;
    write_private("private", "a@x a@x:geheim1\n", 0600);
    open_fixture(&fixture, NULL, table_of("texthash", "private"), "", "");
    uint64_t version = credentials_version(fixture.credentials);
    write_private("private", "a@x a@x:geheim2\n", 0600);
    workplace_log_start();
    assert_int_equal(seteuid(NOBODY), 0);
    uint64_t changed = credentials_version(fixture.credentials);
    for (int i = 0; i < 3; i++)
        expect(&fixture, "a@x", "LOGIN a@x geheim1");
    uint64_t again = credentials_version(fixture.credentials);
    assert_int_equal(seteuid(0), 0);
    const char *log = workplace_log_end();
    assert_true(changed == version); /* nothing to try a login with */
    assert_true(again == changed);
    assert_int_equal(workplace_count(log, "\n"), 1);
    assert_contains(log, "Permission denied; (re)start ");
    assert_contains(log, "the old contents stay in use");
    assert_null(strstr(log, "geheim"));
    /* A reload may not read it either, but it is a reason to try again. */
    workplace_log_start();
    assert_int_equal(seteuid(NOBODY), 0);
    open_fixture(&next, &fixture, table_of("texthash", "private"), "", "");
    close_fixture(&fixture);
    expect(&next, "a@x", "LOGIN a@x geheim1");
    version = credentials_version(next.credentials);
    assert_true(version > changed);
    assert_int_equal(chmod(workplace_path("private"), 0644), -1);
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(chmod(workplace_path("private"), 0644), 0);
    assert_int_equal(seteuid(NOBODY), 0);
    expect(&next, "a@x", "LOGIN a@x geheim2");
    assert_true(credentials_version(next.credentials) > version);
    assert_int_equal(seteuid(0), 0);
    workplace_log_end();
    close_fixture(&next);
}

/* --- enumeration --- */

struct names {
    const char *list[16];
    size_t count;
};

static void note_name(void *context, const char *upn)
{
    struct names *names = context;
    assert_true(names->count < 16);
    names->list[names->count++] = memory_copy(upn);
}

static int compare_names(const void *one, const void *other)
{
    return strcmp(*(const char *const *)one, *(const char *const *)other);
}

static void expect_accounts(struct fixture *fixture, const char *want)
{
    struct names names = {.count = 0};
    char got[1024] = "";
    credentials_each(fixture->credentials, note_name, &names);
    qsort(names.list, names.count, sizeof(names.list[0]), compare_names);
    for (size_t i = 0; i < names.count; i++) {
        strcat(strcat(got, i > 0 ? " " : ""), names.list[i]);
        free((char *)names.list[i]);
    }
    assert_string_equal(got, want);
}

static void all_accounts_are_listed_once(void **state)
{
    (void)state;
    struct fixture fixture;
    workplace_write("all", LINES);
    workplace_write("all.re", "/x/ regexp@contoso.com:geheim1\n");
    workplace_write("all.tokens", "token@contoso.com /run/token\nA@contoso.com /run/token\n"
                                  "nodomain /run/token\n");
    char *maps = memory_format("%s, inline:{a@contoso.com=hidden@contoso.com:geheim}, %s, "
                               "static:static@contoso.com:geheim",
                               table_of("texthash", "all"), table_of("regexp", "all.re"));
    open_fixture(&fixture, NULL, maps, "mail.example", table_of("texthash", "all.tokens"));
    expect_accounts(&fixture, "a@contoso.com b@contoso.com c@contoso.com d@contoso.com "
                              "empty@contoso.com token@contoso.com");
    workplace_log_start();
    workplace_replace("all", "k new@contoso.com:geheim\n");
    expect_accounts(&fixture, "a@contoso.com hidden@contoso.com new@contoso.com regexp@contoso.com "
                              "token@contoso.com");
    workplace_log_end();
    close_fixture(&fixture);
    free(maps);
}

/* --- tokens --- */

static void open_tokens(struct fixture *fixture, const char *token_maps)
{
    workplace_write("passwords", "a@x a@x:geheim1\nb@x b@x:geheim2\n");
    open_fixture(fixture, NULL, table_of("texthash", "passwords"), "", token_maps);
}

static void a_token_wins_over_a_password(void **state)
{
    (void)state;
    struct fixture fixture;
    char *maps = memory_format("inline:{a@x=%s}", workplace_path("token"));
    write_private("token", " eyJ0.e-_~+/x.y==\t\r\nsecond line\n", 0640);
    open_tokens(&fixture, maps);
    struct error error;
    assert_true(credentials_check(fixture.credentials, &error));
    expect(&fixture, "A@x", "XOAUTH2 A@x eyJ0.e-_~+/x.y==");
    expect(&fixture, "b@x", "LOGIN b@x geheim2");
    close_fixture(&fixture);
    free(maps);
}

static void a_token_may_serve_every_account(void **state)
{
    (void)state;
    struct fixture fixture;
    char *maps = memory_format("static:%s", workplace_path("token"));
    write_private("token", "t", 0600);
    open_tokens(&fixture, maps);
    expect(&fixture, "a@x", "XOAUTH2 a@x t");
    expect(&fixture, "z@x", "XOAUTH2 z@x t");
    close_fixture(&fixture);
    free(maps);
}

static void a_changed_token_is_noticed(void **state)
{
    (void)state;
    struct fixture fixture;
    char *maps = memory_format("inline:{a@x=%s}", workplace_path("token"));
    write_private("token", "one\n", 0600);
    open_tokens(&fixture, maps);
    uint64_t version = credentials_version(fixture.credentials), next;
    expect(&fixture, "a@x", "XOAUTH2 a@x one");
    assert_true(credentials_version(fixture.credentials) == version);
    write_private("token", "two\n", 0600);
    next = credentials_version(fixture.credentials);
    assert_true(next > version);
    expect(&fixture, "a@x", "XOAUTH2 a@x two");
    unlink(workplace_path("token"));
    version = credentials_version(fixture.credentials);
    assert_true(version > next);
    expect(&fixture, "a@x", "failed: No such file or directory; have a token written there");
    assert_true(credentials_version(fixture.credentials) == version);
    write_private("token", "three\n", 0600);
    assert_true(credentials_version(fixture.credentials) > version);
    expect(&fixture, "a@x", "XOAUTH2 a@x three");
    close_fixture(&fixture);
    free(maps);
}

static void what_is_no_token_is_a_failure_that_says_what_to_do(void **state)
{
    (void)state;
    static const char no_token[] = "failed: the first line is no access token; ";
    struct fixture fixture;
    char *maps = memory_format("inline:{a@x=%s, r@x=geheim, d@x=%s}", workplace_path("token"),
                               workplace_directory());
    write_private("token", "geheim", 0604);
    open_tokens(&fixture, maps);
    expect(&fixture, "a@x", "failed: open to every user of this host; run: chmod o= ");
    expect(&fixture, "a@x", "failed: /main.cf: post365_token_maps = inline:...: for key a@x: ");
    assert_int_equal(chmod(workplace_path("token"), 0602), 0);
    expect(&fixture, "a@x", "failed: open to every user of this host; run: chmod o= ");
    static const char *const texts[] = {
        "", "\n", "\ngeheim", "geheim geheim", "{\"geheim\": 1}", "geheim\x01", "g\xc3\xa4heim"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        write_private("token", texts[i], 0600);
        expect(&fixture, "a@x",
               texts[i][0] == '{' ? "failed: this is JSON, and nothing of it is sent; " : no_token);
    }
    char large[TOKEN_FILE_MAX + 2];
    memset(large, 't', sizeof(large));
    large[TOKEN_FILE_MAX + 1] = '\0';
    write_private("token", large, 0600);
    expect(&fixture, "a@x", "failed: larger than 16384 bytes; ");
    large[TOKEN_FILE_MAX] = '\0';
    write_private("token", large, 0600);
    struct credential credential;
    assert_int_equal(credentials_find(fixture.credentials, "a@x", &credential, NULL), TABLE_FOUND);
    assert_int_equal(secret_length(credential.secret), TOKEN_FILE_MAX);
    credential_release(&credential);
    expect(&fixture, "r@x",
           "failed: no absolute path; write that of the file that holds the token");
    expect(&fixture, "d@x", "failed: not a regular file; ");
    close_fixture(&fixture);
    free(maps);
}

static void tokens_are_tried_at_the_start(void **state)
{
    (void)state;
    struct fixture fixture;
    struct error error;
    char *maps =
        memory_format("inline:{a@x=%s, b@x=%s}", workplace_path("token"), workplace_path("absent"));
    write_private("token", "geheim", 0600);
    open_tokens(&fixture, maps);
    workplace_log_start();
    assert_true(credentials_check(fixture.credentials, &error));
    const char *log = workplace_log_end();
    assert_int_equal(workplace_count(log, "\n"), 1);
    assert_contains(log, "/absent: No such file or directory; have a token written there");
    if (geteuid() == 0) {
        workplace_log_start();
        assert_int_equal(seteuid(NOBODY), 0);
        assert_true(credentials_check(fixture.credentials, &error));
        assert_int_equal(seteuid(0), 0);
        assert_contains(workplace_log_end(), "/token: Permission denied; run: chown post365: ");
    }
    close_fixture(&fixture);
    free(maps);
}

/* --- registrations --- */

static void open_registrations(struct fixture *fixture, const char *oauth2_maps)
{
    workplace_write("passwords", "a@x a@x:geheim1\nb@x b@x:geheim2\n");
    open_fixture_with(fixture, NULL, table_of("texthash", "passwords"), "",
                      "inline:{ f@y=/run/file, t@y=/run/file }", oauth2_maps);
}

static void a_registration_stands_between_token_and_password(void **state)
{
    (void)state;
    struct fixture fixture;
    open_registrations(&fixture, "inline:{ a@x=/r/own.cf, @y=/r/domain.cf, t@y=/r/own.cf }");
    assert_true(credentials_use_oauth2(fixture.credentials));
    expect(&fixture, "A@x", "XOAUTH2 A@x by /r/own.cf");
    expect(&fixture, "b@x", "LOGIN b@x geheim2");
    expect(&fixture, "z@y", "XOAUTH2 z@y by /r/domain.cf");
    expect(&fixture, "t@y", "failed: /run/file: No such file or directory");
    expect(&fixture, "c@x",
           "none: post365_oauth2_maps add the line \"c@x /path/of/registration.cf\"");
    close_fixture(&fixture);
    open_registrations(&fixture, "static:/r/all.cf");
    expect(&fixture, "a@x", "XOAUTH2 a@x by /r/all.cf");
    close_fixture(&fixture);
    open_registrations(&fixture, " ,\t");
    assert_false(credentials_use_oauth2(fixture.credentials));
    close_fixture(&fixture);
}

static void a_line_for_the_address_makes_an_account(void **state)
{
    (void)state;
    struct fixture fixture;
    workplace_write("none", "");
    open_fixture_with(&fixture, NULL, table_of("texthash", "none"), "mail.example", "",
                      "inline:{ A@x=/r/a.cf, @x=/r/x.cf, word=/r/w.cf }, static:/r/all.cf");
    expect_accounts(&fixture, "a@x");
    close_fixture(&fixture);
}

static void a_registration_is_tried_at_the_start(void **state)
{
    (void)state;
    struct fixture fixture;
    struct error error;
    char *maps = memory_format("inline:{ a@x=%s, b@x=%s, c@x=relative.cf }",
                               workplace_path("wrong.cf"), workplace_path("absent.cf"));
    workplace_write("wrong.cf", "tenat = contoso.com\n");
    open_registrations(&fixture, maps);
    workplace_log_start();
    assert_true(credentials_check(fixture.credentials, &error));
    const char *log = workplace_log_end();
    assert_contains(log, "/wrong.cf");
    assert_contains(log, "tenat");
    assert_contains(log, "/absent.cf");
    assert_contains(log, "\"relative.cf\" is no absolute path");
    close_fixture(&fixture);
    free(maps);
}

static void a_changed_registration_is_noticed(void **state)
{
    (void)state;
    struct fixture fixture;
    char *maps = memory_format("inline:{ a@x=%s }", workplace_path("changing.cf"));
    workplace_write("changing.cf", "tenant = a.example\n");
    open_registrations(&fixture, maps);
    uint64_t version = credentials_version(fixture.credentials);
    char *want = memory_format("XOAUTH2 a@x by %s", workplace_path("changing.cf"));
    expect(&fixture, "a@x", want);
    assert_true(credentials_version(fixture.credentials) == version);
    workplace_replace("changing.cf", "tenant = b.example\n");
    assert_true(credentials_version(fixture.credentials) > version);
    close_fixture(&fixture);
    free(want);
    free(maps);
}

/* --- nothing stays --- */

#ifdef MEMORY_CAN_BE_SEARCHED
enum { MARKS = 2, MARK_LENGTH = 24 };

/* A table or a token with a password in it, written by another process. */
static void write_disguised(const char *name, const char *before, const unsigned char *disguised)
{
    pid_t pid = fork();
    if (pid == 0) {
        char line[256];
        strcpy(line, before);
        memory_reveal(disguised, MARK_LENGTH, line + strlen(line));
        strcat(line, "\n");
        write_private(name, line, 0600);
        if (strncmp(name, "hash", 4) == 0)
            workplace_postmap("hash", name);
        _exit(0);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
}

/* `kept` copies lie in the tables. */
static void check_copies(struct fixture *fixture, const unsigned char *disguised, int kept)
{
    struct credential credential;
    struct error error;
    assert_int_equal(credentials_find(fixture->credentials, "a@x", &credential, &error),
                     TABLE_FOUND);
    assert_int_equal(memory_count(disguised, MARK_LENGTH), kept + 1);
    credential_release(&credential);
    assert_int_equal(memory_count(disguised, MARK_LENGTH), kept);
}

static void check_wiping(const char *type, const char *name, const char *before, int kept)
{
    unsigned char marks[MARKS][MARK_LENGTH];
    struct fixture fixture;
    for (unsigned i = 0; i < MARKS; i++)
        memory_make_disguise(marks[i], MARK_LENGTH, i);
    write_disguised(name, before, marks[0]);
    open_fixture(&fixture, NULL, table_of(type, name), "", "");
    check_copies(&fixture, marks[0], kept);
    write_disguised(name, before, marks[1]);
    workplace_log_start();
    check_copies(&fixture, marks[1], kept);
    workplace_log_end();
    assert_int_equal(memory_count(marks[0], MARK_LENGTH), 0);
    close_fixture(&fixture);
    assert_int_equal(memory_count(marks[1], MARK_LENGTH), 0);
}

static void no_password_stays_that_was_released_or_read_anew(void **state)
{
    (void)state;
    check_wiping("texthash", "text", "a@x a@x:", 1);
    check_wiping("hash", "hash", "a@x a@x:", 1);
    check_wiping("texthash", "any", "alias@x a@x:", 1);
    check_wiping("regexp", "re", "/a@x/ a@x:", 0);
}

static void no_token_stays_that_was_released(void **state)
{
    (void)state;
    unsigned char mark[MARK_LENGTH];
    struct fixture fixture;
    char *maps = memory_format("inline:{a@x=%s}", workplace_path("token"));
    memory_make_disguise(mark, MARK_LENGTH, 1);
    write_disguised("token", "", mark);
    open_tokens(&fixture, maps);
    check_copies(&fixture, mark, 0);
    close_fixture(&fixture);
    free(maps);
}

/* All that AUTH makes of a password, in its disguise of base64, goes as well. */
static void no_line_of_an_exchange_stays(void **state)
{
    (void)state;
    unsigned char mark[MARK_LENGTH], line_mark[MARK_LENGTH / 3 * 4];
    struct fixture fixture;
    struct credential credential;
    struct error error;
    struct sasl sasl;
    memory_make_disguise(mark, MARK_LENGTH, 0);
    write_disguised("login", "a@x a@x:", mark);
    open_fixture(&fixture, NULL, table_of("texthash", "login"), "", "");
    assert_int_equal(credentials_find(fixture.credentials, "a@x", &credential, &error),
                     TABLE_FOUND);
    sasl_start(&sasl, credential.mechanism, credential.user, credential.secret);
    secret_free(sasl_first(&sasl, SASL_COMMAND_MAX));
    secret_free(sasl_next(&sasl, "", &error));
    struct secret *line = sasl_next(&sasl, "", &error);
    assert_int_equal(secret_length(line), sizeof(line_mark));
    for (size_t i = 0; i < sizeof(line_mark); i++)
        line_mark[i] = (unsigned char)(secret_reveal(line)[i] ^ DISGUISE);
    assert_int_equal(memory_count(line_mark, sizeof(line_mark)), 1);
    secret_free(line);
    assert_int_equal(memory_count(line_mark, sizeof(line_mark)), 0);
    credential_release(&credential);
    close_fixture(&fixture);
    assert_int_equal(memory_count(mark, MARK_LENGTH), 0);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_found_under_upn_relayhost_or_any_key),
        cmocka_unit_test(relayhost_may_list_several_destinations),
        cmocka_unit_test(a_line_is_for_the_server_of_its_key),
        cmocka_unit_test(what_is_no_password_is_named_and_not_used),
        cmocka_unit_test(tables_without_files_serve),
        cmocka_unit_test(a_failing_look_up_is_a_failure),
        cmocka_unit_test(a_wrong_configuration_does_not_open),
        cmocka_unit_test(a_changed_table_is_read_again),
        cmocka_unit_test(a_change_behind_postmap_is_noticed),
        cmocka_unit_test(what_root_alone_may_read_serves_on_and_its_change_is_complained_of),
        cmocka_unit_test(all_accounts_are_listed_once),
        cmocka_unit_test(a_token_wins_over_a_password),
        cmocka_unit_test(a_token_may_serve_every_account),
        cmocka_unit_test(a_changed_token_is_noticed),
        cmocka_unit_test(what_is_no_token_is_a_failure_that_says_what_to_do),
        cmocka_unit_test(tokens_are_tried_at_the_start),
        cmocka_unit_test(a_registration_stands_between_token_and_password),
        cmocka_unit_test(a_line_for_the_address_makes_an_account),
        cmocka_unit_test(a_registration_is_tried_at_the_start),
        cmocka_unit_test(a_changed_registration_is_noticed),
#ifdef MEMORY_CAN_BE_SEARCHED
        cmocka_unit_test(no_password_stays_that_was_released_or_read_anew),
        cmocka_unit_test(no_token_stays_that_was_released),
        cmocka_unit_test(no_line_of_an_exchange_stays),
#endif
    };
    return cmocka_run_group_tests(tests, workplace_make, workplace_remove);
}
