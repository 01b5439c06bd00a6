/* test_vault.c - refresh tokens on disk: whole at any moment, and nobody else's */
#include "tokend/vault.h"

#include <dirent.h>
#include <fcntl.h>
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

static char directory[64];

static const struct vault_key joe = {.authority = "https://login.example",
                                     .tenant = "contoso.com",
                                     .client_id = "11111111-1111-1111-1111-111111111111",
                                     .account = "joe@contoso.com"};
static const struct vault_key ann = {.authority = "https://login.example",
                                     .tenant = "contoso.com",
                                     .client_id = "11111111-1111-1111-1111-111111111111",
                                     .account = "ann@contoso.com"};

static int make_directory(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/post365-vault-XXXXXX");
    return mkdtemp(directory) != NULL ? 0 : -1;
}

/* Each file in it is told to `tell`, or deleted. */
static size_t each_file(void (*tell)(const char *path))
{
    DIR *files = opendir(directory);
    size_t count = 0;
    char path[512];
    for (const struct dirent *file; (file = readdir(files)) != NULL;) {
        if (file->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%s/%s", directory, file->d_name);
        tell(path);
        count++;
    }
    closedir(files);
    return count;
}

static void delete_file(const char *path)
{
    unlink(path);
}

static int remove_directory(void **state)
{
    (void)state;
    each_file(delete_file);
    return rmdir(directory);
}

static struct vault *open_vault(void)
{
    struct error error;
    struct vault *vault = vault_open(directory, &error);
    if (vault == NULL)
        fail_msg("%s", error.text);
    return vault;
}

static void put(struct vault *vault, const struct vault_key *key, const char *token, int64_t now)
{
    struct error error;
    struct secret *secret = secret_copy(token, strlen(token));
    if (!vault_write(vault, key, secret, 1000, now, &error))
        fail_msg("%s", error.text);
    secret_free(secret);
}

static void expect(struct vault *vault, const struct vault_key *key, const char *token,
                   const char *previous)
{
    struct vault_grant grant;
    struct error error;
    if (vault_read(vault, key, &grant, &error) != VAULT_FOUND)
        fail_msg("not found: %s", error.text);
    if (token == NULL)
        assert_null(grant.token);
    else
        assert_string_equal(secret_reveal(grant.token), token);
    if (previous == NULL)
        assert_null(grant.previous);
    else
        assert_string_equal(secret_reveal(grant.previous), previous);
    assert_int_equal(grant.since, 1000);
    vault_release(&grant);
}

static void the_last_two_tokens_are_there_also_after_a_restart(void **state)
{
    (void)state;
    struct vault *vault = open_vault();
    put(vault, &joe, "first", 1000);
    expect(vault, &joe, "first", NULL);
    put(vault, &joe, "second", 2000);
    put(vault, &joe, "third", 3000);
    vault_close(vault);
    vault = open_vault();
    expect(vault, &joe, "third", "second");
    vault_close(vault);
}

static void each_account_has_its_own(void **state)
{
    (void)state;
    struct vault_grant grant;
    struct error error;
    struct vault *vault = open_vault();
    put(vault, &joe, "of joe", 1000);
    assert_int_equal(vault_read(vault, &ann, &grant, &error), VAULT_NONE);
    put(vault, &ann, "of ann", 1000);
    expect(vault, &joe, "of joe", NULL);
    expect(vault, &ann, "of ann", NULL);
    vault_close(vault);
}

static void only_a_removal_deletes(void **state)
{
    (void)state;
    struct vault_grant grant;
    struct error error;
    bool was_there;
    struct vault *vault = open_vault();
    put(vault, &joe, "first", 1000);
    put(vault, &joe, "second", 2000);
    assert_true(vault_remove(vault, &joe, &was_there, &error));
    assert_true(was_there);
    assert_int_equal(vault_read(vault, &joe, &grant, &error), VAULT_NONE);
    assert_int_equal(each_file(delete_file), 0);
    assert_true(vault_remove(vault, &joe, &was_there, &error));
    assert_false(was_there);
    vault_close(vault);
}

static void check_mode(const char *path)
{
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
}

static void nobody_else_reads_them(void **state)
{
    (void)state;
    mode_t mask = umask(0);
    struct vault *vault = open_vault();
    put(vault, &joe, "first", 1000);
    put(vault, &joe, "second", 2000);
    assert_int_equal(each_file(check_mode), 2);
    umask(mask);
    vault_close(vault);
}

static void a_directory_that_is_open_to_others_is_refused(void **state)
{
    (void)state;
    struct error error;
    chmod(directory, 0750);
    assert_null(vault_open(directory, &error));
    assert_non_null(strstr(error.text, "chmod 700"));
    chmod(directory, 0700);
    assert_null(vault_open("/nowhere/at/all", &error));
    assert_non_null(strstr(error.text, "post365_oauth2_directory = /nowhere/at/all"));
}

static char current[512];

static void note_current(const char *path)
{
    if (strchr(strrchr(path, '/'), '.') == NULL)
        snprintf(current, sizeof(current), "%s", path);
}

static void where_the_last_is_not_whole_the_one_before_is_there(void **state)
{
    (void)state;
    struct vault *vault = open_vault();
    put(vault, &joe, "first", 1000);
    put(vault, &joe, "second", 2000);
    each_file(note_current);
    /* Cut in the token: a line end is missing. */
    struct stat status;
    assert_int_equal(stat(current, &status), 0);
    assert_int_equal(truncate(current, status.st_size - 3), 0);
    expect(vault, &joe, NULL, "first");
    assert_int_equal(truncate(current, 0), 0);
    expect(vault, &joe, NULL, "first");
    vault_close(vault);
}

static void a_link_or_a_device_in_its_place_is_not_read(void **state)
{
    (void)state;
    struct vault_grant grant;
    struct error error;
    struct vault *vault = open_vault();
    put(vault, &joe, "first", 1000);
    each_file(note_current);
    char *elsewhere = "/etc/passwd";
    assert_int_equal(unlink(current), 0);
    assert_int_equal(symlink(elsewhere, current), 0);
    assert_int_equal(vault_read(vault, &joe, &grant, &error), VAULT_FAILED);
    assert_int_equal(unlink(current), 0);
    assert_int_equal(mkfifo(current, 0600), 0);
    assert_int_equal(vault_read(vault, &joe, &grant, &error), VAULT_FAILED);
    assert_non_null(strstr(error.text, "post365 login"));
    vault_close(vault);
}

/* What a process that was killed between any two steps has left. */
static void what_is_left_of_a_write_that_was_cut_off_is_in_nobodys_way(void **state)
{
    (void)state;
    static const char *const rests[] = {".new", ".previous.new"};
    struct vault *vault = open_vault();
    put(vault, &joe, "first", 1000);
    each_file(note_current);
    for (size_t i = 0; i < 2; i++) {
        char path[600];
        snprintf(path, sizeof(path), "%s%s", current, rests[i]);
        int file = open(path, O_WRONLY | O_CREAT, 0600);
        assert_true(file >= 0);
        assert_int_equal(write(file, "half", 4), 4);
        close(file);
    }
    expect(vault, &joe, "first", NULL);
    put(vault, &joe, "second", 2000);
    expect(vault, &joe, "second", "first");
    vault_close(vault);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_directory, remove_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_last_two_tokens_are_there_also_after_a_restart),
        TEST(each_account_has_its_own),
        TEST(only_a_removal_deletes),
        TEST(nobody_else_reads_them),
        TEST(a_directory_that_is_open_to_others_is_refused),
        TEST(where_the_last_is_not_whole_the_one_before_is_there),
        TEST(a_link_or_a_device_in_its_place_is_not_read),
        TEST(what_is_left_of_a_write_that_was_cut_off_is_in_nobodys_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
