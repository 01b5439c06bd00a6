/* test_claims.c - what an access token says of itself */
#include "tokend/claims.h"

#include "common/buffer.h"

#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void append_part(struct buffer *token, const char *json)
{
    unsigned char base64[4096];
    size_t length = strlen(json);
    assert_true(length < 3000);
    EVP_EncodeBlock(base64, (const unsigned char *)json, (int)length);
    for (const unsigned char *byte = base64; *byte != '\0' && *byte != '='; byte++)
        buffer_append_char(token, *byte == '+' ? '-' : *byte == '/' ? '_' : (char)*byte);
}

static struct secret *token_of(const char *claims)
{
    struct buffer token = {0};
    append_part(&token, "{\"alg\":\"RS256\"}");
    buffer_append_char(&token, '.');
    append_part(&token, claims);
    buffer_append_string(&token, ".c2lnbmF0dXJl");
    struct secret *secret = secret_copy(token.data, token.length);
    buffer_free(&token);
    return secret;
}

static struct claims claims_of(const char *text)
{
    struct claims claims;
    struct error error = {"?"};
    struct secret *token = token_of(text);
    if (!claims_read(token, &claims, &error))
        fail_msg("%s: %s", text, error.text);
    secret_free(token);
    return claims;
}

static void a_token_of_an_application(void **state)
{
    (void)state;
    struct claims claims = claims_of(
        "{\"aud\":\"https://outlook.office365.com\",\"iat\":1790000000,\"nbf\":1790000001,\"exp\":"
        "1790003600,\"appid\":\"0b5a\",\"appidacr\":\"2\",\"oid\":\"0bde\",\"tid\":\"1111\","
        "\"ver\":\"1.0\"}");
    assert_string_equal(claims.audience, "https://outlook.office365.com");
    assert_string_equal(claims.app, "0b5a");
    assert_string_equal(claims.object_id, "0bde");
    assert_string_equal(claims.tenant, "1111");
    assert_string_equal(claims.roles, "");
    assert_string_equal(claims.user, "");
    assert_int_equal(claims.issued, 1790000000);
    assert_int_equal(claims.begins, 1790000001);
    assert_int_equal(claims.ends, 1790003600);
    assert_string_equal(claims_model_name(claims.model), "rbac");
}

static void models_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        const char *claims, *model;
    } cases[] = {
        {"{}", "rbac"},
        {"{\"roles\":[\"SMTP.SendAsApp\"]}", "classic"},
        {"{\"roles\":[\"Mail.Send\",\"SMTP.SendAsApp\"]}", "classic"},
        {"{\"roles\":[\"Mail.Send\"]}", "rbac"},
        {"{\"roles\":\"SMTP.SendAsApp\"}", "rbac"},
        {"{\"scp\":\"SMTP.Send User.Read\"}", "delegated"},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_string_equal(claims_model_name(claims_of(cases[i].claims).model), cases[i].model);
}

static void who_logged_in_has_three_names(void **state)
{
    (void)state;
    assert_string_equal(claims_of("{\"upn\":\"a@x\",\"unique_name\":\"b@x\"}").user, "a@x");
    assert_string_equal(claims_of("{\"unique_name\":\"b@x\"}").user, "b@x");
    assert_string_equal(claims_of("{\"preferred_username\":\"c@x\"}").user, "c@x");
    assert_string_equal(claims_of("{\"upn\":7,\"azp\":\"z\"}").user, "");
    assert_string_equal(claims_of("{\"azp\":\"z\"}").app, "z");
}

static void what_is_shown_is_harmless(void **state)
{
    (void)state;
    struct claims claims = claims_of("{\"aud\":\"a\\n\\u001b[31m\\u202eb\",\"roles\":[\"x\\r\",7,"
                                     "\"y\"],\"exp\":-5,\"iat\":1e300,\"nbf\":\"1\"}");
    assert_string_equal(claims.audience, "a??[31m?b");
    assert_string_equal(claims.roles, "x? y");
    assert_int_equal(claims.ends, 0);
    assert_int_equal(claims.issued, 0);
    assert_int_equal(claims.begins, 0);
}

static void long_claims_are_cut(void **state)
{
    (void)state;
    struct buffer text = {0};
    buffer_append_string(&text, "{\"roles\":[\"x\"");
    for (size_t i = 0; i < 100; i++)
        buffer_append_string(&text, ",\"0123456789\"");
    buffer_append_string(&text, ",\"SMTP.SendAsApp\"]}");
    struct claims claims = claims_of(text.data);
    assert_int_equal(strlen(claims.roles), CLAIMS_TEXT_SIZE - 1);
    assert_int_equal(claims.model, CLAIMS_CLASSIC);
    buffer_free(&text);
}

static void what_cannot_be_read_says_so(void **state)
{
    (void)state;
    static const struct {
        const char *token, *words;
    } cases[] = {
        {"opaque", "encrypted, or of a form of its own"},
        {"a.b", "encrypted, or of a form of its own"},
        {"a..c", "encrypted, or of a form of its own"},
        {"a.b.c.d.e", "encrypted, or of a form of its own"},
        {"", "encrypted, or of a form of its own"},
        {"a.b.c", "no JSON in base64url"},
        {"a.bb.c", "no JSON in base64url"},
        {"a.bbbb.c", "no JSON in base64url"},
        {"a.e30.c.", "encrypted, or of a form of its own"},
        {"a.W10.c", "no JSON in base64url"}, /* [] */
        {"a.!!!!.c", "no JSON in base64url"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct claims claims;
        struct error error = {"?"};
        struct secret *token = secret_copy(cases[i].token, strlen(cases[i].token));
        assert_false(claims_read(token, &claims, &error));
        if (strstr(error.text, cases[i].words) == NULL)
            fail_msg("%s: %s", cases[i].token, error.text);
        secret_free(token);
    }
}

static void a_token_of_any_length_is_read_within_bounds(void **state)
{
    (void)state;
    for (size_t length = 21840; length < 21860; length++) {
        struct claims claims;
        struct buffer token = {0};
        buffer_append_string(&token, "a.");
        for (size_t i = 0; i < length; i++)
            buffer_append_char(&token, 'A');
        buffer_append_string(&token, ".c");
        struct secret *secret = secret_copy(token.data, token.length);
        assert_false(claims_read(secret, &claims, NULL));
        secret_free(secret);
        buffer_free(&token);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_of_an_application),
        cmocka_unit_test(models_are_told_apart),
        cmocka_unit_test(who_logged_in_has_three_names),
        cmocka_unit_test(what_is_shown_is_harmless),
        cmocka_unit_test(long_claims_are_cut),
        cmocka_unit_test(what_cannot_be_read_says_so),
        cmocka_unit_test(a_token_of_any_length_is_read_within_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
