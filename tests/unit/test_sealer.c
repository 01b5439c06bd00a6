/* test_sealer.c - the key that milter and transport share, and what is none */
#include "common/sender/sealer.h"

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

#define NAME   "handover.key"
#define MAKERS 20
#define NOBODY 65534

static struct settings settings;
static const struct handover decision = {(char *)"relay@contoso.com", (char *)"4cZxyz1QwE",
                                         (char *)"QQ1"};

/* What a sealer with the key that is there makes of the decision; NULL without one. */
static char *seal(void)
{
    struct buffer xtext = {0};
    settings.ledger = (char *)workplace_directory();
    struct sealer *sealer = sealer_new(&settings);
    bool sealed = sealer_seal(sealer, &xtext, &decision);
    sealer_free(sealer);
    assert_int_equal(sealed, xtext.length > 0);
    return sealed ? buffer_take(&xtext) : NULL;
}

static bool is_known(const char *xtext)
{
    struct handover read;
    settings.ledger = (char *)workplace_directory();
    struct sealer *sealer = sealer_new(&settings);
    bool known = sealer_open(sealer, xtext, &read);
    sealer_free(sealer);
    handover_free(&read);
    return known;
}

static int remove_key(void **state)
{
    (void)state;
    (void)unlink(workplace_path(NAME));
    return 0;
}

static void write_key(size_t length, mode_t mode)
{
    FILE *file = fopen(workplace_path(NAME), "w");
    assert_non_null(file);
    for (size_t i = 0; i < length; i++)
        fputc('k', file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(workplace_path(NAME), mode), 0);
}

static void who_comes_first_makes_it(void **state)
{
    (void)state;
    struct stat status;
    char *xtext = seal();
    assert_non_null(xtext);
    assert_true(is_known(xtext));
    assert_int_equal(stat(workplace_path(NAME), &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_int_equal(status.st_size, HANDOVER_KEY_SIZE);
    assert_int_equal(status.st_nlink, 1);
    remove_key(NULL);
    assert_false(is_known(xtext)); /* of a key that was made anew */
    free(xtext);
}

/* Whatever is wrong with it mail goes on, without a seal. */
static void a_file_that_is_no_key_is_none(void **state)
{
    (void)state;
    static const struct {
        size_t length;
        mode_t mode;
    } cases[] = {
        {0, 0600},
        {HANDOVER_KEY_SIZE - 1, 0600},
        {HANDOVER_KEY_SIZE + 1, 0600},
        {4096 * 1024, 0600},
        {HANDOVER_KEY_SIZE, 0640},
        {HANDOVER_KEY_SIZE, 0604},
        {HANDOVER_KEY_SIZE, 0620},
        {HANDOVER_KEY_SIZE, 0601},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        write_key(cases[i].length, cases[i].mode);
        assert_null(seal());
        remove_key(NULL);
    }
    write_key(HANDOVER_KEY_SIZE, 0600);
    char *xtext = seal();
    assert_non_null(xtext);
    free(xtext);
}

static void what_is_no_file_is_no_key(void **state)
{
    (void)state;
    assert_int_equal(mkfifo(workplace_path(NAME), 0600), 0); /* nobody waits for a writer */
    assert_null(seal());
    remove_key(NULL);
    assert_int_equal(mkdir(workplace_path(NAME), 0700), 0);
    assert_null(seal());
    assert_int_equal(rmdir(workplace_path(NAME)), 0);
    write_key(HANDOVER_KEY_SIZE, 0600);
    char target[1024];
    snprintf(target, sizeof(target), "%s.target", workplace_path(NAME));
    assert_int_equal(rename(workplace_path(NAME), target), 0);
    assert_int_equal(symlink(target, workplace_path(NAME)), 0);
    assert_null(seal());
    remove_key(NULL);
    assert_int_equal(symlink("/nonexistent/key", workplace_path(NAME)), 0);
    assert_null(seal());
    assert_int_equal(unlink(target), 0);
}

static void somebody_elses_is_no_key(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    write_key(HANDOVER_KEY_SIZE, 0600);
    assert_int_equal(chown(workplace_path(NAME), NOBODY, NOBODY), 0);
    assert_null(seal());
}

/* One that was in use stays so while there is none, and gives way to one that was put there. */
static void a_known_key_is_not_given_up(void **state)
{
    (void)state;
    struct handover read;
    struct buffer xtext = {0};
    settings.ledger = (char *)workplace_directory();
    struct sealer *sealer = sealer_new(&settings);
    assert_true(sealer_seal(sealer, &xtext, &decision));
    remove_key(NULL);
    assert_true(sealer_open(sealer, xtext.data, &read));
    handover_free(&read);
    write_key(0, 0600);
    assert_true(sealer_open(sealer, xtext.data, &read));
    assert_string_equal(read.account, decision.account);
    handover_free(&read);
    buffer_free(&xtext);
    sealer_free(sealer);
}

/* All that begin together have the key of the one that was first, and nothing is left over. */
static void makers_agree(void **state)
{
    (void)state;
    int begin[2], told[2];
    char first[200], each[200];
    assert_int_equal(pipe(begin), 0);
    assert_int_equal(pipe(told), 0);
    for (int i = 0; i < MAKERS; i++)
        if (fork() == 0) {
            char byte, text[200] = "";
            close(begin[1]);
            if (read(begin[0], &byte, 1) != 0) /* until all are there */
                _exit(1);
            char *xtext = seal();
            if (xtext != NULL)
                snprintf(text, sizeof(text), "%s", xtext);
            _exit(write(told[1], text, sizeof(text)) == sizeof(text) ? 0 : 1);
        }
    close(begin[0]);
    close(begin[1]);
    assert_int_equal(read(told[0], first, sizeof(first)), sizeof(first));
    assert_true(strlen(first) > 0);
    for (int i = 1; i < MAKERS; i++) {
        assert_int_equal(read(told[0], each, sizeof(each)), sizeof(each));
        assert_string_equal(each, first);
    }
    for (int status = 0; wait(&status) > 0;)
        assert_int_equal(status, 0);
    assert_true(is_known(first));
    close(told[0]);
    close(told[1]);
    struct stat status;
    assert_int_equal(stat(workplace_path(NAME), &status), 0);
    assert_int_equal(status.st_nlink, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(who_comes_first_makes_it, remove_key),
        cmocka_unit_test_teardown(a_file_that_is_no_key_is_none, remove_key),
        cmocka_unit_test_teardown(what_is_no_file_is_no_key, remove_key),
        cmocka_unit_test_teardown(somebody_elses_is_no_key, remove_key),
        cmocka_unit_test_teardown(a_known_key_is_not_given_up, remove_key),
        cmocka_unit_test_teardown(makers_agree, remove_key),
    };
    return cmocka_run_group_tests_name("sealer", tests, workplace_make, workplace_remove);
}
