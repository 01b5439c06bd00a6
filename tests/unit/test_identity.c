/* test_identity.c - which account sends this message, and for whom else it may send */
#include "common/identity.h"
#include "common/memory.h"
#include "tests/unit/table_workplace.h"

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

/* What a test sets of the configuration; the rest is empty. */
struct setup {
    const char *upn;
    const char *login_maps;
    const char *sender_maps;
    const char *send_as_maps;
    const char *password_maps;
    const char *relayhost;
    const char *sender_relayhosts;
    const char *token_maps;
    const char *oauth2_maps;
    const char *append_origin;
    bool login_only;
};

struct fixture {
    struct settings settings;
    struct identities *identities;
};

static char *text_of(const char *text)
{
    return memory_copy(text != NULL ? text : "");
}

static void fill_settings(struct settings *settings, const struct setup *setup)
{
    *settings = (struct settings){
        .config_directory = memory_copy(workplace_directory()),
        .relayhost = text_of(setup->relayhost),
        .sender_relayhost_maps = text_of(setup->sender_relayhosts),
        .null_sender_relay_key = memory_copy("<>"),
        .token_maps = text_of(setup->token_maps),
        .oauth2_maps = text_of(setup->oauth2_maps),
        .recipient_delimiter = memory_copy("+"),
        .local_domains = memory_copy("relay.example localhost"),
        .upn = text_of(setup->upn),
        .login_upn_maps = text_of(setup->login_maps),
        .sender_upn_maps = text_of(setup->sender_maps),
        .send_as_maps = text_of(setup->send_as_maps),
        .password_maps = text_of(setup->password_maps),
        .append_origin = text_of(setup->append_origin),
        .append_domain = text_of(NULL),
        .swap_bangpath = true,
        .allow_percent_hack = true,
        .login_only = setup->login_only,
    };
}

static void empty_settings(struct settings *settings)
{
    free(settings->config_directory);
    free(settings->relayhost);
    free(settings->sender_relayhost_maps);
    free(settings->null_sender_relay_key);
    free(settings->token_maps);
    free(settings->oauth2_maps);
    free(settings->recipient_delimiter);
    free(settings->local_domains);
    free(settings->upn);
    free(settings->login_upn_maps);
    free(settings->sender_upn_maps);
    free(settings->send_as_maps);
    free(settings->password_maps);
    free(settings->append_origin);
    free(settings->append_domain);
}

static void open_fixture(struct fixture *fixture, const struct setup *setup)
{
    struct error error;
    fill_settings(&fixture->settings, setup);
    fixture->identities = identities_open(&fixture->settings, &error);
    if (fixture->identities == NULL)
        fail_msg("%s", error.text);
}

static void close_fixture(struct fixture *fixture)
{
    identities_close(fixture->identities);
    empty_settings(&fixture->settings);
}

/* `want` is "source: upn", or "none: part of the reason", or "failed: part of the reason". */
static void expect(const struct fixture *fixture, const char *login, const char *sender,
                   const char *want)
{
    struct identity identity;
    struct error error = {.text = ""};
    char got[2048] = "";
    switch (identity_find(fixture->identities, login, sender, &identity, &error)) {
    case TABLE_FOUND:
        snprintf(got, sizeof(got), "%s: %s", identity_source_name(identity.source), identity.upn);
        free(identity.upn);
        if (strcmp(got, want) != 0)
            fail_msg("login \"%s\" sender <%s>: got \"%s\", want \"%s\"", login, sender, got, want);
        return;
    case TABLE_NONE:
        snprintf(got, sizeof(got), "none: %s", error.text);
        break;
    case TABLE_FAILED:
        snprintf(got, sizeof(got), "failed: %s", error.text);
        break;
    }
    const char *reason = strchr(want, ' ') + 1;
    if (strncmp(got, want, (size_t)(reason - want)) != 0 || strstr(got, reason) == NULL)
        fail_msg("login \"%s\" sender <%s>: got \"%s\", want \"%s\"", login, sender, got, want);
}

static const struct setup all_sources = {
    .upn = "default@contoso.com",
    .login_maps = "inline:{ mapped@x=login-map@contoso.com, short=short@contoso.com }",
    .sender_maps = "inline:{ mapped@x=sender-map@contoso.com, @all.example=all@contoso.com,"
                   " root=root@contoso.com }",
    .password_maps =
        "inline:{ {alice@x = alice.m@contoso.com:secret},"
        " {bob@x = bob@contoso.com:secret:with:colons}, {plain = plain@contoso.com:p} }",
    .relayhost = "[smtp.office365.com]:587",
};

static void the_first_source_that_answers_names_the_account(void **state)
{
    (void)state;
    struct fixture fixture;
    open_fixture(&fixture, &all_sources);
    static const struct {
        const char *login, *sender, *want;
    } cases[] = {
        {"mapped@x", "mapped@x", "login map: login-map@contoso.com"},
        {"mapped@x", "alice@x", "login map: login-map@contoso.com"},
        {"short", "alice@x", "login map: short@contoso.com"},
        {"alice@x", "mapped@x", "sender map: sender-map@contoso.com"},
        {"", "mapped@x", "sender map: sender-map@contoso.com"},
        {"alice@x", "bob@x", "login: alice.m@contoso.com"},
        {"plain", "bob@x", "login: plain@contoso.com"},
        {"nobody@x", "bob@x", "sender: bob@contoso.com"},
        {"nobody", "bob@x", "sender: bob@contoso.com"},
        {"", "bob@x", "sender: bob@contoso.com"},
        {"", "carol@x", "post365_upn: default@contoso.com"},
        {"nobody", "carol@x", "post365_upn: default@contoso.com"},
        /* the null sender */
        {"", "", "post365_upn: default@contoso.com"},
        {"mapped@x", "", "login map: login-map@contoso.com"},
        {"alice@x", "", "login: alice.m@contoso.com"},
        {"nobody", "", "post365_upn: default@contoso.com"},
        /* case, extensions, parts */
        {"ALICE@X", "", "login: alice.m@contoso.com"},
        {"", "Mapped@X", "sender map: sender-map@contoso.com"},
        {"", "mapped+ext@x", "sender map: sender-map@contoso.com"},
        {"", "Bob+Ext@X", "sender: bob@contoso.com"},
        {"", "anybody@all.example", "sender map: all@contoso.com"},
        {"", "anybody@sub.all.example", "post365_upn: default@contoso.com"},
        {"", "root@relay.example", "sender map: root@contoso.com"},
        {"", "root@localhost", "sender map: root@contoso.com"},
        {"", "root@elsewhere.example", "post365_upn: default@contoso.com"},
        {"", "root", "sender map: root@contoso.com"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        expect(&fixture, cases[i].login, cases[i].sender, cases[i].want);
    close_fixture(&fixture);
}

/* test_address_standard.c has more spellings. */
static void a_sender_has_one_account_however_it_is_spelled(void **state)
{
    static const char *const spellings[] = {"news@corp.example",
                                            "<news@corp.example.>",
                                            "<news>",
                                            "<@a.example:news@corp.example>",
                                            "corp.example!news",
                                            "<\"news\"@corp.example>",
                                            "< NEWS @ corp.example >"};
    struct setup setup = all_sources;
    struct fixture fixture;

    (void)state;
    setup.append_origin = "corp.example";
    setup.sender_maps = "inline:{ news@corp.example=news@contoso.com }";
    open_fixture(&fixture, &setup);
    for (size_t i = 0; i < sizeof(spellings) / sizeof(spellings[0]); i++)
        expect(&fixture, "", spellings[i], "sender map: news@contoso.com");
    expect(&fixture, "", "<news@corp.example.org>", "post365_upn: default@contoso.com");
    expect(&fixture, "", "<>", "post365_upn: default@contoso.com");
    char *sender = identity_sender(fixture.identities, "<News>");
    assert_string_equal(sender, "News@corp.example");
    free(sender);
    close_fixture(&fixture);
}

static void the_login_alone_is_believed_where_that_is_set(void **state)
{
    struct setup setup = all_sources;
    struct fixture fixture;

    (void)state;
    setup.login_only = true;
    open_fixture(&fixture, &setup);
    expect(&fixture, "mapped@x", "bob@x", "login map: login-map@contoso.com");
    expect(&fixture, "alice@x", "mapped@x", "login: alice.m@contoso.com");
    expect(&fixture, "alice@x", "", "login: alice.m@contoso.com");
    expect(&fixture, "nobody", "mapped@x", "post365_upn: default@contoso.com");
    expect(&fixture, "nobody", "bob@x", "post365_upn: default@contoso.com");
    expect(&fixture, "", "mapped@x", "post365_upn: default@contoso.com");
    expect(&fixture, "", "bob@x", "post365_upn: default@contoso.com");
    expect(&fixture, "", "default@contoso.com", "post365_upn: default@contoso.com");
    close_fixture(&fixture);
    setup.upn = setup.relayhost = NULL;
    open_fixture(&fixture, &setup);
    expect(&fixture, "alice@x", "bob@x", "login: alice.m@contoso.com");
    expect(&fixture, "", "bob@x", "none: post365_login_upn_maps one for the login");
    close_fixture(&fixture);
}

static void the_same_answers_come_from_every_type_of_table(void **state)
{
    (void)state;
    workplace_write("sender", "mapped@x   sender-map@contoso.com\n"
                              "jörg@bücher.example <joerg@contoso.com>\n");
    workplace_postmap("hash", "sender");
    workplace_write("sender2", "mapped@x   sender-map@contoso.com\n"
                               "jörg@bücher.example <joerg@contoso.com>\n");
    workplace_postmap("btree", "sender2");
    workplace_write("sender.re", "/^mapped(\\+.*)?@x$/ sender-map@contoso.com\n"
                                 "/^jörg@bücher\\.example$/ joerg@contoso.com\n");
    char *maps[] = {memory_format("hash:%s", workplace_path("sender")),
                    memory_format("btree:%s", workplace_path("sender2")),
                    memory_format("texthash:%s", workplace_path("sender")),
                    memory_format("regexp:%s", workplace_path("sender.re"))};
    for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
        struct fixture fixture;
        open_fixture(&fixture, &(struct setup){.sender_maps = maps[i], .upn = "d@contoso.com"});
        expect(&fixture, "", "mapped@x", "sender map: sender-map@contoso.com");
        expect(&fixture, "", "Mapped+Ext@X", "sender map: sender-map@contoso.com");
        expect(&fixture, "", "jörg@bücher.example", "sender map: joerg@contoso.com");
        expect(&fixture, "", "other@x", "post365_upn: d@contoso.com");
        expect(&fixture, "", "", "post365_upn: d@contoso.com");
        close_fixture(&fixture);
        free(maps[i]);
    }
}

static void the_default_is_the_user_name_for_relayhost(void **state)
{
    (void)state;
    static const struct {
        const char *relayhost, *passwords, *want;
    } cases[] = {
        {"[smtp.office365.com]:587", "inline:{ {[smtp.office365.com]:587 = u@c.com:p} }",
         "post365_upn: u@c.com"},
        {"[SMTP.Office365.com]:587", "inline:{ {[smtp.office365.com]:587 = u@c.com:p} }",
         "post365_upn: u@c.com"},
        {"[smtp.office365.com]:587", "inline:{ {smtp.office365.com = u@c.com:p} }",
         "post365_upn: u@c.com"},
        /* smtp(8) asks for the host name first */
        {"[smtp.office365.com]:587",
         "inline:{ {smtp.office365.com = host@c.com:p}, {[smtp.office365.com]:587 = dest@c.com:p} "
         "}",
         "post365_upn: host@c.com"},
        {"[smtp.office365.com]:587", "inline:{ {[smtp.office365.com] = u@c.com:p} }",
         "none: post365_upn"},
        {"[smtp.office365.com]", "inline:{ {[smtp.office365.com] = u@c.com:p} }",
         "post365_upn: u@c.com"},
        {"smtp.office365.com:587", "inline:{ {smtp.office365.com = u@c.com:p} }",
         "post365_upn: u@c.com"},
        {"smtp.office365.com:submission", "inline:{ {smtp.office365.com:submission = u@c.com:p} }",
         "post365_upn: u@c.com"},
        {"[2001:db8::1]:587", "inline:{ {2001:db8::1 = u@c.com:p} }", "post365_upn: u@c.com"},
        {"[first.example]:587, [second.example]:587", "inline:{ {second.example = u@c.com:p} }",
         "post365_upn: u@c.com"},
        {"[smtp.office365.com]:587", "static:{u@c.com:p}", "sender: u@c.com"},
        {"[smtp.office365.com]:587", "", "none: [smtp.office365.com]:587"},
        {"", "inline:{ {smtp.office365.com = u@c.com:p} }", "none: relayhost = (empty)"},
        {"[smtp.office365.com]:587", "inline:{ {smtp.office365.com = user:p} }",
         "failed: Microsoft 365 wants a UPN"},
        {"[smtp.office365.com]:587", "inline:{ {smtp.office365.com = password} }",
         "failed: write user:password"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture fixture;
        open_fixture(&fixture, &(struct setup){.relayhost = cases[i].relayhost,
                                               .password_maps = cases[i].passwords});
        expect(&fixture, "", "carol@x", cases[i].want);
        close_fixture(&fixture);
    }
}

static const struct setup several_servers = {
    .login_maps = "inline:{ joe=joe@contoso.com }",
    .sender_maps = "inline:{ claimed@fabrikam.com=relay@contoso.com }",
    .sender_relayhosts =
        "inline:{ {@fabrikam.com = [smtp.mailgun.org]:587}, {ours@fabrikam.com = DUNNO},"
        " {alerts@gmail.com = [smtp.gmail.com]:587}, {bulk@corp.example = "
        "[smtp-hve.office365.com]:587},"
        " {hve2@contoso.com = [smtp-hve.office365.com]:587} }",
    .password_maps =
        "inline:{ {[smtp.office365.com]:587 = relay@contoso.com:p}, {smtp.gmail.com = "
        "alerts@gmail.com:p},"
        " {news@fabrikam.com = news@fabrikam.com:p}, {@fabrikam.com = mg@fabrikam.com:p},"
        " {smtp-hve.office365.com = hve@contoso.com:p}, {hve2@contoso.com = hve2@contoso.com:p},"
        " {lent@corp.example = alerts@gmail.com:p} }",
    .token_maps =
        "inline:{ token@contoso.com=/run/token, @domain.example=/run/token }, static:/run/any",
    .oauth2_maps = "inline:{ app@contoso.com=/r/a.cf, @domain.example=/r/a.cf }, static:/r/any.cf",
    .relayhost = "[smtp.office365.com]:587",
};

static void mail_for_another_server_has_no_account(void **state)
{
    (void)state;
    static const struct {
        const char *login, *sender, *want;
    } cases[] = {
        {"", "news@fabrikam.com", "elsewhere: news@fabrikam.com"},
        {"joe", "Any+one@Fabrikam.com", "elsewhere: Any+one@Fabrikam.com"},
        {"", "alerts@gmail.com", "elsewhere: alerts@gmail.com"},
        {"alerts@gmail.com", "app@corp.example", "post365_upn: relay@contoso.com"},
        {"", "claimed@fabrikam.com", "sender map: relay@contoso.com"},
        {"joe", "claimed@fabrikam.com", "login map: joe@contoso.com"},
        {"", "ours@fabrikam.com", "post365_upn: relay@contoso.com"},
        {"", "lent@corp.example", "post365_upn: relay@contoso.com"},
        {"", "smtp.gmail.com@relay.example", "post365_upn: relay@contoso.com"},
        {"", "bulk@corp.example", "sender's relayhost: hve@contoso.com"},
        {"", "hve2@contoso.com", "sender: hve2@contoso.com"},
        {"", "", "post365_upn: relay@contoso.com"},
    };
    struct fixture fixture;
    open_fixture(&fixture, &several_servers);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        expect(&fixture, cases[i].login, cases[i].sender, cases[i].want);
    struct identity identity;
    struct error error;
    assert_int_equal(identity_find(fixture.identities, "", "news@fabrikam.com", &identity, &error),
                     TABLE_FOUND);
    assert_contains(error.text, "for [smtp.mailgun.org]:587 (sender_dependent_relayhost_maps)");
    assert_contains(error.text, "\"news@fabrikam.com = smtp:\"");
    free(identity.upn);
    close_fixture(&fixture);
}

static void a_token_line_of_its_own_makes_an_account(void **state)
{
    (void)state;
    struct fixture fixture;
    open_fixture(&fixture, &several_servers);
    expect(&fixture, "", "token@contoso.com", "sender: token@contoso.com");
    expect(&fixture, "TOKEN@contoso.com", "", "login: TOKEN@contoso.com");
    expect(&fixture, "", "joe@domain.example", "post365_upn: relay@contoso.com");
    expect(&fixture, "", "nobody@contoso.com", "post365_upn: relay@contoso.com");
    expect(&fixture, "", "token+x@contoso.com", "post365_upn: relay@contoso.com");
    expect(&fixture, "", "App@contoso.com", "sender: App@contoso.com");
    expect(&fixture, "app@contoso.com", "", "login: app@contoso.com");
    expect(&fixture, "", "app+x@contoso.com", "post365_upn: relay@contoso.com");
    close_fixture(&fixture);
}

static void several_accounts_each_send_their_own(void **state)
{
    (void)state;
    workplace_write("sasl_passwd", "[smtp.office365.com]:587 relay@contoso.com:one\n"
                                   "alerts@contoso.com alerts@contoso.com:two\n"
                                   "@sales.contoso.com sales@contoso.com:three\n"
                                   "scanner@contoso.com office@contoso.com:four\n");
    workplace_postmap("hash", "sasl_passwd");
    char *map = memory_format("hash:%s", workplace_path("sasl_passwd"));
    struct fixture fixture;
    open_fixture(&fixture,
                 &(struct setup){.password_maps = map, .relayhost = "[smtp.office365.com]:587"});
    free(map);
    expect(&fixture, "", "alerts@contoso.com", "sender: alerts@contoso.com");
    expect(&fixture, "", "eve@sales.contoso.com", "sender: sales@contoso.com");
    expect(&fixture, "", "scanner+floor2@contoso.com", "sender: office@contoso.com");
    expect(&fixture, "scanner@contoso.com", "alerts@contoso.com", "login: office@contoso.com");
    expect(&fixture, "", "cron@host.internal", "post365_upn: relay@contoso.com");
    expect(&fixture, "", "", "post365_upn: relay@contoso.com");
    workplace_log_start();
    workplace_write("sasl_passwd", "[smtp.office365.com]:587 new@contoso.com:one\n");
    workplace_postmap("hash", "sasl_passwd");
    expect(&fixture, "", "alerts@contoso.com", "post365_upn: new@contoso.com");
    workplace_log_end();
    close_fixture(&fixture);
}

static void what_is_no_address_is_a_failure_that_says_where(void **state)
{
    (void)state;
    static const struct {
        struct setup setup;
        const char *login, *want;
    } cases[] = {
        {{.sender_maps = "inline:{ a@x=nonsense }"},
         "",
         "failed: /main.cf: post365_sender_upn_maps = inline:{ a@x=nonsense }: \"nonsense\" for "
         "key "
         "\"a@x\" is no UPN; write the account's UPN"},
        {{.sender_maps = "inline:{ {a@x = b@c, d@e} }"}, "", "failed: \"b@c, d@e\""},
        {{.login_maps = "static:nobody"}, "l", "failed: post365_login_upn_maps = static:nobody"},
        {{.login_maps = "static:nobody", .upn = "d@c.com"}, "", "post365_upn: d@c.com"},
        {{.password_maps = "inline:{a@x=user:p}"},
         "",
         "failed: post365_password_maps = ...: \"user\" for key \"a@x\" is no UPN; Microsoft "
         "365 "
         "wants a UPN"},
        {{.sender_maps = "fail:x", .upn = "d@c.com"}, "", "failed: query error"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture fixture;
        workplace_log_start();
        open_fixture(&fixture, &cases[i].setup);
        workplace_log_end();
        expect(&fixture, cases[i].login, "a@x", cases[i].want);
        close_fixture(&fixture);
    }
}

static void a_wrong_configuration_does_not_open(void **state)
{
    (void)state;
    static const struct {
        struct setup setup;
        const char *want;
    } cases[] = {
        {{.upn = "nobody"}, "/main.cf: post365_upn = nobody: no UPN; write one"},
        {{.login_maps = "hash:/nowhere/x"},
         "/main.cf: post365_login_upn_maps = hash:/nowhere/x: /nowhere/x.db: No such file or "
         "directory; run: postmap hash:/nowhere/x"},
        {{.sender_maps = "hash:/nowhere/x"}, "/main.cf: post365_sender_upn_maps = "},
        {{.send_as_maps = "hash:/nowhere/x"}, "/main.cf: post365_send_as_maps = "},
        {{.password_maps = "hash:/nowhere/x"}, "/main.cf: post365_password_maps = "},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct settings settings;
        struct error error;
        fill_settings(&settings, &cases[i].setup);
        assert_null(identities_open(&settings, &error));
        assert_contains(error.text, cases[i].want);
        empty_settings(&settings);
    }
}

static void a_password_is_in_no_answer_and_no_reason(void **state)
{
    (void)state;
    static const char *const maps[] = {
        "inline:{ {a@x = user:secret} }",
        "inline:{ {a@x = secret} }",
        "inline:{ {a@x = :secret} }",
        "static:{user:secret}",
    };
    for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
        struct fixture fixture;
        struct identity identity;
        struct error error;
        open_fixture(&fixture, &(struct setup){.password_maps = maps[i]});
        assert_int_equal(identity_find(fixture.identities, "", "a@x", &identity, &error),
                         TABLE_FAILED);
        assert_null(strstr(error.text, "secret"));
        close_fixture(&fixture);
    }
}

static void send_as_covers_what_is_listed(void **state)
{
    (void)state;
    struct fixture fixture;
    open_fixture(
        &fixture,
        &(struct setup){.send_as_maps =
                            "inline:{ {alice@c.com = Info@c.com, @Brand.example\tx@y},"
                            " {bob@c.com = ,, info@c.com ,}, {bad@c.com = a@b brand.example},"
                            " {joerg@c.com = jörg@bücher.example} }"});
    static const struct {
        const char *upn, *address;
        enum table_answer want;
    } cases[] = {
        {"alice@c.com", "alice@c.com", TABLE_FOUND},
        {"Alice@C.com", "aLICE@c.com", TABLE_FOUND},
        {"alice@c.com", "info@c.com", TABLE_FOUND},
        {"ALICE@c.com", "INFO@C.COM", TABLE_FOUND},
        {"alice@c.com", "anyone@brand.example", TABLE_FOUND},
        {"alice@c.com", "anyone@BRAND.example", TABLE_FOUND},
        {"alice@c.com", "any+one@brand.example", TABLE_FOUND},
        {"alice@c.com", "x@y", TABLE_FOUND},
        {"alice@c.com", "info+ext@c.com", TABLE_NONE},
        {"alice@c.com", "alice+ext@c.com", TABLE_NONE},
        {"alice@c.com", "anyone@sub.brand.example", TABLE_NONE},
        {"alice@c.com", "anyone@notbrand.example", TABLE_NONE},
        {"alice@c.com", "bob@c.com", TABLE_NONE},
        {"alice@c.com", "@brand.example", TABLE_NONE},
        {"alice@c.com", "brand.example", TABLE_NONE},
        {"alice@c.com", "", TABLE_NONE},
        {"bob@c.com", "info@c.com", TABLE_FOUND},
        {"bob@c.com", "x@y", TABLE_NONE},
        {"carol@c.com", "info@c.com", TABLE_NONE},
        {"joerg@c.com", "JÖRG@BÜCHER.example", TABLE_FOUND},
        {"bad@c.com", "bad@c.com", TABLE_FOUND},
        {"bad@c.com", "a@b", TABLE_FOUND},
        {"bad@c.com", "c@b", TABLE_FAILED},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error error = {.text = ""};
        enum table_answer got =
            identity_covers(fixture.identities, cases[i].upn, cases[i].address, &error);
        if (got != cases[i].want)
            fail_msg("%s for %s: got %d %s, want %d", cases[i].upn, cases[i].address, got,
                     error.text, cases[i].want);
        if (got == TABLE_FAILED)
            assert_contains(error.text, "\"brand.example\" in the list for bad@c.com is neither "
                                        "user@domain nor @domain");
    }
    close_fixture(&fixture);
}

static void changed_tables_are_noticed(void **state)
{
    (void)state;
    workplace_write("logins", "carol carol@contoso.com\n");
    workplace_write("covers", "carol@contoso.com a@b\n");
    workplace_postmap("btree", "covers");
    char *logins = memory_format("texthash:%s", workplace_path("logins"));
    char *covers = memory_format("btree:%s", workplace_path("covers"));
    struct fixture fixture;
    struct error error;
    open_fixture(&fixture, &(struct setup){.login_maps = logins, .send_as_maps = covers});
    expect(&fixture, "carol", "x@y", "login map: carol@contoso.com");
    assert_int_equal(identity_covers(fixture.identities, "carol@contoso.com", "c@d", &error),
                     TABLE_NONE);
    workplace_log_start();
    workplace_replace("logins", "carol other@contoso.com\n");
    workplace_write("covers", "carol@contoso.com c@d\n");
    workplace_postmap("btree", "covers");
    expect(&fixture, "carol", "x@y", "login map: other@contoso.com");
    assert_int_equal(identity_covers(fixture.identities, "carol@contoso.com", "c@d", &error),
                     TABLE_FOUND);
    workplace_log_end();
    close_fixture(&fixture);
    free(logins);
    free(covers);
}

static void a_reload_keeps_credentials_that_only_root_may_read(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    workplace_write("private", "[r.example]:587 relay@contoso.com:p\n");
    assert_int_equal(chmod(workplace_path("private"), 0600), 0);
    char *map = memory_format("texthash:%s", workplace_path("private"));
    const struct setup setup = {.password_maps = map, .relayhost = "[r.example]:587"};
    struct fixture fixture, next;
    struct error error;
    open_fixture(&fixture, &setup);
    fill_settings(&next.settings, &setup);
    workplace_log_start();
    assert_int_equal(seteuid(65534), 0);
    next.identities = identities_reopen(fixture.identities, &next.settings, &error);
    struct identities *fresh = identities_open(&next.settings, &error);
    assert_int_equal(seteuid(0), 0);
    workplace_log_end();
    assert_null(fresh);
    assert_non_null(next.identities);
    assert_true(identities_check(next.identities, &error));
    close_fixture(&fixture);
    expect(&next, "", "x@y", "post365_upn: relay@contoso.com");
    close_fixture(&next);
    free(map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_source_that_answers_names_the_account),
        cmocka_unit_test(a_sender_has_one_account_however_it_is_spelled),
        cmocka_unit_test(the_login_alone_is_believed_where_that_is_set),
        cmocka_unit_test(the_same_answers_come_from_every_type_of_table),
        cmocka_unit_test(the_default_is_the_user_name_for_relayhost),
        cmocka_unit_test(mail_for_another_server_has_no_account),
        cmocka_unit_test(a_token_line_of_its_own_makes_an_account),
        cmocka_unit_test(several_accounts_each_send_their_own),
        cmocka_unit_test(what_is_no_address_is_a_failure_that_says_where),
        cmocka_unit_test(a_wrong_configuration_does_not_open),
        cmocka_unit_test(a_password_is_in_no_answer_and_no_reason),
        cmocka_unit_test(send_as_covers_what_is_listed),
        cmocka_unit_test(changed_tables_are_noticed),
        cmocka_unit_test(a_reload_keeps_credentials_that_only_root_may_read),
    };
    return cmocka_run_group_tests(tests, workplace_make, workplace_remove);
}
