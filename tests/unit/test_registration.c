/* test_registration.c - registration files: what they say, and what is wrong with them */
#include "common/oauth2/registration.h"

#include "common/memory.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define PATH      "/etc/postfix/post365/contoso.cf"
#define TENANT    "tenant = 11111111-2222-3333-4444-555555555555\n"
#define CLIENT    "client_id = 0B5A0CE7-1234-4abc-9def-00112233aabb\n"
#define SECRET    "client_secret_file = /etc/post365/contoso.secret\n"
#define MINIMUM   TENANT CLIENT SECRET
#define NO_SECRET TENANT CLIENT

static struct registration *parse(const char *text, struct error *error)
{
    return registration_parse(PATH, text, strlen(text), error);
}

static struct registration *expect(const char *text)
{
    struct error error = {"?"};
    struct registration *registration = parse(text, &error);
    if (registration == NULL)
        fail_msg("%s: %s", text, error.text);
    return registration;
}

static void the_least_there_can_be(void **state)
{
    (void)state;
    struct registration *registration = expect(MINIMUM);
    assert_string_equal(registration->path, PATH);
    assert_string_equal(registration->tenant, "11111111-2222-3333-4444-555555555555");
    assert_string_equal(registration->client_id, "0b5a0ce7-1234-4abc-9def-00112233aabb");
    assert_string_equal(registration->cloud->name, "global");
    assert_string_equal(registration->authority, "https://login.microsoftonline.com");
    assert_string_equal(registration->scope, "https://outlook.office365.com/.default");
    assert_string_equal(registration_grant_name(registration), "app");
    assert_string_equal(registration_credential_name(registration), "secret");
    assert_string_equal(registration->client_secret_file, "/etc/post365/contoso.secret");
    assert_null(registration->certificate_file);
    assert_int_equal(registration->client_secret_expires, 0);
    assert_false(registration_is_managed(registration));
    registration_free(registration);
    registration_free(NULL);
}

static void all_there_can_be(void **state)
{
    (void)state;
    struct registration *registration = expect("\xef\xbb\xbf# Contoso, by an editor of Windows\n\n"
                                               "tenant=contoso.onmicrosoft.com\r\n"
                                               "client_id =\n"
                                               "# in between\n"
                                               "   0b5a0ce7-1234-4abc-9def-00112233aabb\n"
                                               "cloud = USGov\n"
                                               "grant = user\n"
                                               "certificate_file = credential:contoso.crt\n"
                                               "key_file = credential:contoso.key\n"
                                               "authority = https://127.0.0.1:8443\n"
                                               "scope = a b\n"
                                               "\t c");
    assert_string_equal(registration->tenant, "contoso.onmicrosoft.com");
    assert_string_equal(registration->client_id, "0b5a0ce7-1234-4abc-9def-00112233aabb");
    assert_string_equal(registration->cloud->name, "usgov");
    assert_string_equal(registration_grant_name(registration), "user");
    assert_string_equal(registration_credential_name(registration), "certificate");
    assert_string_equal(registration->authority, "https://127.0.0.1:8443");
    assert_string_equal(registration->key_file, "credential:contoso.key");
    assert_string_equal(registration->scope, "a b  c");
    registration_free(registration);
}

static void each_credential_has_its_name(void **state)
{
    (void)state;
    static const struct {
        const char *text, *name;
    } cases[] = {
        {NO_SECRET "certificate_file = /c\nkey_file = /k", "certificate"},
        {NO_SECRET "federated_token_file = /t", "federated"},
        {"managed_identity = vm", "managed"},
        {"managed_identity = arc\n" CLIENT "authority = http://127.0.0.1:40342", "managed"},
        {"managed_identity = VM\nauthority = http://[::1]:80", "managed"},
        {NO_SECRET "grant = user", "none"},
        {MINIMUM "grant = user", "secret"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct registration *registration = expect(cases[i].text);
        assert_string_equal(registration_credential_name(registration), cases[i].name);
        registration_free(registration);
    }
}

static void a_user_may_be_of_any_organisation(void **state)
{
    (void)state;
    struct registration *registration = expect("tenant = organizations\ngrant = user\n" CLIENT);
    assert_string_equal(registration->scope, "https://outlook.office.com/SMTP.Send offline_access");
    registration_free(registration);
}

static void a_date_is_the_beginning_of_a_day(void **state)
{
    (void)state;
    struct registration *registration = expect(MINIMUM "client_secret_expires = 2028-11-01");
    assert_int_equal(registration->client_secret_expires, 1856649600);
    registration_free(registration);
}

/* --- what is wrong --- */

static const struct {
    const char *text;
    const char *words[3]; /* all in the error */
} wrong[] = {
    {"", {"nothing proves who the application is", "certificate_file"}},
    {"tenat = x\n" MINIMUM, {"line 1: tenat: no such name; did you mean tenant?"}},
    {MINIMUM "colouring = blue", {"line 4: colouring: no such name; post365_oauth2(5)"}},
    {MINIMUM "\n\nQ~8x.hunter2 = china", {"line 6", "what stands before = is no name"}},
    {MINIMUM "client_secret = hunter2", {"line 4: client_secret: a secret must not stand"}},
    {MINIMUM TENANT, {"line 4: tenant: stands on line 1 already"}},
    {MINIMUM "cloud =", {"line 4: cloud: has no value"}},
    {MINIMUM "cloud", {"line 4: no name = value"}},
    {" cloud = china\n" MINIMUM, {"line 1: continues nothing"}},
    {MINIMUM "scope = a\x01", {"line 4: scope: there is a control character"}},
    {CLIENT SECRET, {"tenant is missing", "Directory (tenant) ID"}},
    {TENANT SECRET, {"client_id is missing", "Application (client) ID"}},
    {CLIENT SECRET "tenant = contoso", {"line 3: tenant = contoso: neither a GUID nor a domain"}},
    {CLIENT SECRET "tenant = contoso..com", {"neither a GUID nor a domain"}},
    {CLIENT SECRET "tenant = contoso.com/x", {"neither a GUID nor a domain"}},
    {CLIENT SECRET "tenant = -contoso.com", {"neither a GUID nor a domain"}},
    {CLIENT SECRET "tenant = common", {"line 3: tenant = common: ", "is of one organisation"}},
    {CLIENT SECRET "tenant = Organizations", {"is of one organisation"}},
    {CLIENT "grant = user\ntenant = consumers", {"personal accounts have no mailbox"}},
    {TENANT SECRET "client_id = contoso", {"line 3: client_id = contoso: no GUID"}},
    {TENANT SECRET "client_id = 0b5a0ce7-1234-4abc-9def-00112233aabbc", {"no GUID"}},
    {TENANT SECRET "client_id = 0b5a0ce7-1234-4abc-9def-00112233aabg", {"no GUID"}},
    {MINIMUM "cloud = germany", {"line 4: cloud = germany: no such cloud; write global, usgov"}},
    {MINIMUM "grant = device", {"line 4: grant = device: no such grant; write app"}},
    {NO_SECRET, {"nothing proves who the application is"}},
    {MINIMUM "federated_token_file = /t",
     {"line 4: federated_token_file: line 3 has client_secret_file already", "leave one"}},
    {MINIMUM "key_file = /k", {"line 4: key_file goes with certificate_file alone"}},
    {NO_SECRET "certificate_file = /c", {"line 3: certificate_file: key_file is missing"}},
    {NO_SECRET "client_secret_file = Sv~8Q~hunter2",
     {"line 3: client_secret_file: no absolute path", "not shown"}},
    {NO_SECRET "client_secret_file = credential:../../etc/shadow", {"no absolute path"}},
    {NO_SECRET "client_secret_file = credential:", {"no absolute path"}},
    {MINIMUM "client_secret_expires = 2028-02-30", {"client_secret_expires = 2028-02-30: no date"}},
    {MINIMUM "client_secret_expires = 01.11.2028", {"no date; write it as 2028-11-01"}},
    {MINIMUM "client_secret_expires = 2028-11-01x", {"no date"}},
    {NO_SECRET "certificate_file = /c\nkey_file = /k\nclient_secret_expires = 2028-11-01",
     {"client_secret_expires goes with client_secret_file alone"}},
    {"managed_identity = aws", {"line 1: managed_identity = aws: no such kind; write vm or arc"}},
    {"managed_identity = vm\ngrant = user", {"nobody logs in with a managed identity"}},
    {MINIMUM "authority = http://127.0.0.1:80", {"secrets go over https alone"}},
    {"managed_identity = vm\nauthority = http://192.0.2.1", {"secrets go over https alone"}},
    {"managed_identity = vm\nauthority = http://127.evil.example", {"secrets go over https"}},
    {"managed_identity = vm\nauthority = http://[::1]x", {"write https://host"}},
    {"managed_identity = vm\nauthority = http://127.0.0.1@evil.example", {"write https://host"}},
    {MINIMUM "authority = https://login.example/tenant", {"write https://host or"}},
    {MINIMUM "authority = https://user@login.example", {"write https://host or"}},
    {MINIMUM "authority = https://login.example:99999", {"write https://host or"}},
    {MINIMUM "authority = https://", {"write https://host or"}},
    {MINIMUM "authority = login.example", {"write https://host or"}},
    {MINIMUM "scope = \"a\"", {"line 4: scope = \"a\": no scope has such characters"}},
};

static void what_is_wrong_is_said(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(wrong); i++) {
        struct error error = {"?"};
        if (parse(wrong[i].text, &error) != NULL)
            fail_msg("taken: %s", wrong[i].text);
        assert_memory_equal(error.text, PATH ": ", sizeof(PATH ": ") - 1);
        assert_null(strstr(error.text, "hunter2"));
        for (size_t j = 0; j < 3 && wrong[i].words[j] != NULL; j++)
            if (strstr(error.text, wrong[i].words[j]) == NULL)
                fail_msg("%s: no \"%s\" in: %s", wrong[i].text, wrong[i].words[j], error.text);
    }
}

static void bytes_that_are_no_text_are_refused(void **state)
{
    (void)state;
    static const char with_nul[] = "tenant = a\0b\n";
    struct error error;
    char *text = memory_zero(1, 2000);
    memset(text, 'x', 1999);
    memcpy(text, "scope = ", 8);
    assert_null(registration_parse(PATH, with_nul, sizeof(with_nul) - 1, &error));
    assert_non_null(strstr(error.text, "line 1: there is a NUL in it"));
    assert_null(parse(text, &error));
    assert_non_null(strstr(error.text, "longer than 1024 bytes"));
    assert_null(strstr(error.text, "xxxx"));
    free(text);
}

/* --- files --- */

static void write_file(const char *path, const char *text, size_t length, mode_t mode)
{
    int descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_int_equal(write(descriptor, text, length), length);
    assert_int_equal(fchmod(descriptor, mode), 0);
    close(descriptor);
}

static void expect_no_file(const char *path, const char *row, const char *words)
{
    struct error error = {"?"};
    const struct entra_row *cause = NULL;
    assert_null(registration_read(path, &cause, &error));
    assert_string_equal(cause->name, row);
    if (strstr(error.text, words) == NULL)
        fail_msg("no \"%s\" in: %s", words, error.text);
}

static void a_file_is_read(void **state)
{
    (void)state;
    char directory[] = "/tmp/test_registration.XXXXXX";
    assert_non_null(mkdtemp(directory));
    char *path = memory_format("%s/contoso.cf", directory);
    char *large = memory_alloc(REGISTRATION_FILE_MAX + 1);
    memset(large, '\n', REGISTRATION_FILE_MAX + 1);
    expect_no_file("contoso.cf", ENTRA_REGISTRATION_WRONG, "no absolute path");
    expect_no_file(path, ENTRA_REGISTRATION_MISSING, "No such file");
    expect_no_file(directory, ENTRA_REGISTRATION_WRONG, "no regular file");
    write_file(path, MINIMUM, strlen(MINIMUM), 0646);
    expect_no_file(path, ENTRA_REGISTRATION_WRONG, "chmod 644");
    write_file(path, large, REGISTRATION_FILE_MAX + 1, 0644);
    expect_no_file(path, ENTRA_REGISTRATION_WRONG, "larger than 16384 bytes");
    write_file(path, MINIMUM, strlen(MINIMUM), 0644);
    struct registration *registration = registration_read(path, NULL, NULL);
    assert_non_null(registration);
    assert_string_equal(registration->path, path);
    registration_free(registration);
    unlink(path);
    rmdir(directory);
    free(large);
    free(path);
}

static void a_credential_lies_in_its_directory(void **state)
{
    (void)state;
    struct error error;
    char *path = registration_file("credential:a.key", "/run/credentials/x", &error);
    assert_string_equal(path, "/run/credentials/x/a.key");
    free(path);
    path = registration_file("/etc/a.key", NULL, &error);
    assert_string_equal(path, "/etc/a.key");
    free(path);
    assert_null(registration_file("credential:a.key", NULL, &error));
    assert_non_null(strstr(error.text, "LoadCredential=a.key:"));
}

static void two_are_equal_by_what_they_ask_for(void **state)
{
    (void)state;
    struct registration *one = expect(MINIMUM "client_secret_expires = 2028-11-01");
    struct registration *same = registration_parse("/other.cf", MINIMUM, strlen(MINIMUM), NULL);
    struct registration *other = expect(MINIMUM "cloud = china");
    assert_true(registration_equal(one, same));
    assert_false(registration_equal(one, other));
    registration_free(other);
    other = expect(NO_SECRET "certificate_file = /a.pem\nkey_file = /a.key\n");
    assert_true(registration_equal(one, other));
    registration_free(one);
    registration_free(same);
    registration_free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_least_there_can_be),
        cmocka_unit_test(all_there_can_be),
        cmocka_unit_test(each_credential_has_its_name),
        cmocka_unit_test(a_user_may_be_of_any_organisation),
        cmocka_unit_test(a_date_is_the_beginning_of_a_day),
        cmocka_unit_test(what_is_wrong_is_said),
        cmocka_unit_test(bytes_that_are_no_text_are_refused),
        cmocka_unit_test(a_file_is_read),
        cmocka_unit_test(a_credential_lies_in_its_directory),
        cmocka_unit_test(two_are_equal_by_what_they_ask_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
