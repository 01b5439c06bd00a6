/* test_mechanism.c - what is a password, and may be sent as one */
#include "common/memory.h"
#include "common/upstream/mechanism.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void a_filter_leaves_passwords_or_not(void **state)
{
    (void)state;
    static const struct {
        const char *filter;
        bool allows;
    } cases[] = {
        {"", true},
        {" , ", true},
        {"xoauth2", false},
        {"XOAUTH2, oauthbearer", false},
        {"plain, login", true},
        {"xoauth2 LOGIN", true},
        {"Plain", true},
        {"cram-md5", false},
        {"!login, !plain, static:rest", false},
        {"!login static:rest", true},
        {"!xoauth2, static:all", true},
        {"!!login", true},
        {"static:rest", true},
        {"/etc/postfix/mechanisms", true},
        {"hash:/etc/postfix/mechanisms", true},
        {"!/etc/postfix/mechanisms, xoauth2", false},
        {"plainer, logins", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (mechanism_filter_allows_password(cases[i].filter) != cases[i].allows)
            fail_msg("\"%s\"", cases[i].filter);
}

static const char *judge(const char *text)
{
    struct secret *secret = secret_copy(text, strlen(text));
    const char *what = mechanism_not_password(secret, "/var/spool/postfix");
    secret_free(secret);
    return what != NULL ? what : "";
}

static void expect(const char *text, const char *what)
{
    if (strcmp(judge(text), what) != 0)
        fail_msg("\"%s\": \"%s\"", text, judge(text));
}

#define FORTY "0123456789012345678901234567890123456789"

static void paths_json_and_tokens_are_no_passwords(void **state)
{
    (void)state;
    static const char path[] = "the path of a file", token[] = "a token", json[] = "JSON";
    expect("/etc/tokens/relay@contoso.com", path);
    expect("/var/spool/postfix/etc/xoauth2/joe.json", path);
    expect("/run/token", path);
    expect("etc/xoauth2/joe.json", path);
    expect("var/lib/tokens/joe", path);
    expect("./tokens/joe", path);
    expect("../tokens/joe", path);
    expect("~/token.json", path);
    expect("file:///etc/tokens/joe", path);
    expect("/usr/local/etc/tokens/joe file", path);
    expect("{\"access_token\": \"x\"}", json);
    expect("{ \"refresh_token\":\"r\", \"expiry\":\"0\" }", json);
    expect("eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJodHRwczovL291dGxvb2sifQ.c2lnbmF0dXJl",
           token);
    expect("eyJhbGciOiJkaXIifQ..aXY.Y2lwaGVy.dGFn", token);
    expect("0.AXoAmZ" FORTY FORTY FORTY, token);
    expect("1.AVYA" FORTY FORTY FORTY "-_.AgABAw", token);
    expect("M.C507_BAY.-" FORTY FORTY FORTY "*!$", token);
    expect("EwBgA8l6BAAU" FORTY FORTY FORTY, token);
    char *longer = memory_alloc(400);
    memset(longer, 'x', 300);
    longer[300] = '\0';
    expect(longer, "longer than a password of Microsoft's can be, as a token is");
    longer[256] = '\0';
    expect(longer, "");
    free(longer);
}

static void passwords_are_passwords(void **state)
{
    (void)state;
    static const char *const passwords[] = {"",
                                            "s3cret",
                                            "abcd efgh ijkl mnop",
                                            "/",
                                            "//",
                                            "/x9$fk",
                                            "/aB3+xyz/Q9==",
                                            "/nowhere-at-all/x",
                                            "/etc",
                                            "/etc/",
                                            "etc/geheim",
                                            "home/office",
                                            "aGk/Zm9v/x==",
                                            "~geheim",
                                            ".geheim/",
                                            "{geheim}",
                                            "eyJ",
                                            "eyJabc.def",
                                            "0.A",
                                            "M.geheim",
                                            "1//geheim",
                                            "Ew",
                                            "a:b:c",
                                            "{\"}"};
    for (size_t i = 0; i < sizeof(passwords) / sizeof(passwords[0]); i++)
        expect(passwords[i], "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_filter_leaves_passwords_or_not),
        cmocka_unit_test(paths_json_and_tokens_are_no_passwords),
        cmocka_unit_test(passwords_are_passwords),
    };
    return cmocka_run_group_tests_name("mechanism", tests, NULL, NULL);
}
