/* test_registrations.c - whose registration is whose */
#include "common/oauth2/registrations.h"

#include "common/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct registrations *open_maps(struct settings *settings, const char *maps)
{
    struct error error = {0};
    *settings =
        (struct settings){.config_directory = (char *)"/nonexistent", .oauth2_maps = (char *)maps};
    struct registrations *registrations = registrations_reopen(NULL, settings, &error);
    if (registrations == NULL)
        fail_msg("%s", error.text);
    return registrations;
}

static void expect(struct registrations *registrations, const char *upn, const char *want)
{
    struct error error = {0};
    char *path = NULL;
    enum table_answer answer = registrations_find(registrations, upn, &path, &error);
    if (want == NULL) {
        assert_int_equal(answer, TABLE_NONE);
        return;
    }
    assert_int_equal(answer, TABLE_FOUND);
    assert_string_equal(path, want);
    free(path);
}

static void the_account_comes_before_its_domain_and_that_before_everybody(void **state)
{
    (void)state;
    struct settings settings;
    struct registrations *registrations =
        open_maps(&settings, "static:/all, inline:{ @a.example=/domain, x@a.example=/exact }");
    expect(registrations, "X@a.example", "/exact");
    expect(registrations, "y@a.example", "/domain");
    expect(registrations, "y@b.example", "/all");
    registrations_close(registrations);
}

static void nobody_is_known_but_those_that_stand_there(void **state)
{
    (void)state;
    struct settings settings;
    struct registrations *registrations =
        open_maps(&settings, "inline:{ @a.example=/domain, x@b.example=/exact }");
    expect(registrations, "y@b.example", NULL);
    expect(registrations, "x@c.example", NULL);
    registrations_close(registrations);
}

static void only_a_line_for_the_address_makes_an_account(void **state)
{
    (void)state;
    struct settings settings;
    struct error error;
    char *path = NULL;
    struct registrations *registrations =
        open_maps(&settings, "inline:{ @a.example=/domain, x@a.example=/exact }, static:/all");
    assert_int_equal(registrations_find_exact(registrations, "y@a.example", &path, &error),
                     TABLE_NONE);
    assert_int_equal(registrations_find_exact(registrations, "x@a.example", &path, &error),
                     TABLE_FOUND);
    free(path);
    registrations_close(registrations);
}

static void what_is_no_path_is_refused(void **state)
{
    (void)state;
    struct settings settings;
    struct error error = {0};
    char *path = NULL;
    struct registrations *registrations = open_maps(&settings, "inline:{ x@a.example=contoso.cf }");
    assert_int_equal(registrations_find(registrations, "x@a.example", &path, &error), TABLE_FAILED);
    assert_null(path);
    assert_non_null(strstr(error.text, "contoso.cf"));
    assert_non_null(strstr(error.text, "post365_oauth2_maps"));
    registrations_close(registrations);
}

struct seen {
    char text[256];
};

static void see(void *context, const char *text)
{
    struct seen *seen = context;
    size_t length = strlen(seen->text);
    snprintf(seen->text + length, sizeof(seen->text) - length, "[%s]", text);
}

static void accounts_and_files_are_enumerated(void **state)
{
    (void)state;
    struct settings settings;
    struct seen upns = {""}, files = {""};
    struct registrations *registrations =
        open_maps(&settings, "inline:{ @a.example=/domain, x@a.example=/exact }, static:/all");
    assert_false(registrations_each(registrations, see, &upns));
    assert_string_equal(upns.text, "[x@a.example]");
    registrations_each_file(registrations, see, &files);
    assert_non_null(strstr(files.text, "[/domain]"));
    assert_non_null(strstr(files.text, "[/exact]"));
    assert_non_null(strstr(files.text, "[/all]"));
    registrations_close(registrations);
}

static void a_changed_file_is_another_version(void **state)
{
    (void)state;
    struct settings settings;
    char path[] = "/tmp/test_registrations.XXXXXX";
    int descriptor = mkstemp(path);
    char *maps = memory_format("inline:{ x@a.example=%s }", path);
    struct registrations *registrations = open_maps(&settings, maps);
    expect(registrations, "x@a.example", path);
    uint64_t before = registrations_version(registrations);
    assert_int_equal(registrations_version(registrations), before);
    assert_int_equal(write(descriptor, "tenant\n", 7), 7);
    close(descriptor);
    assert_true(registrations_version(registrations) > before);
    unlink(path);
    registrations_close(registrations);
    free(maps);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_account_comes_before_its_domain_and_that_before_everybody),
        cmocka_unit_test(nobody_is_known_but_those_that_stand_there),
        cmocka_unit_test(only_a_line_for_the_address_makes_an_account),
        cmocka_unit_test(what_is_no_path_is_refused),
        cmocka_unit_test(accounts_and_files_are_enumerated),
        cmocka_unit_test(a_changed_file_is_another_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
