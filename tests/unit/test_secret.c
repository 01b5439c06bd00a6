/* test_secret.c - passwords and tokens in memory */
#include "common/memory.h"
#include "common/secret.h"
#include "tests/unit/memory_search.h"
#include "tests/unit/table_workplace.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define NOBODY 65534

/* Sanitizers make mlock(2) do nothing. */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define MEMORY_CAN_BE_LOCKED 1
#endif

static void a_secret_holds_what_is_put_into_it(void **state)
{
    (void)state;
    struct secret *secret = secret_new(12);
    assert_int_equal(secret_length(secret), 0);
    assert_string_equal(secret_reveal(secret), "");
    secret_append(secret, "user", 4);
    secret_append(secret, "", 0);
    secret_append(secret, ":passwd", 7);
    assert_int_equal(secret_length(secret), 11);
    assert_string_equal(secret_reveal(secret), "user:passwd");
    secret_trim(secret, 5, 4);
    assert_string_equal(secret_reveal(secret), "pass");
    assert_int_equal(secret_length(secret), 4);
    secret_append(secret, "12345678", 8);
    assert_string_equal(secret_reveal(secret), "pass12345678");
    secret_free(secret);
    secret_free(NULL);
    secret = secret_copy("\0b", 2);
    assert_int_equal(secret_length(secret), 2);
    assert_memory_equal(secret_reveal(secret), "\0b", 3);
    secret_free(secret);
}

static void a_secret_is_read_from_a_file_up_to_its_room(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "0123456789", 10), 10);
    close(ends[1]);
    struct secret *four = secret_new(4), *ten = secret_new(10);
    assert_int_equal(secret_read(four, ends[0]), 4);
    assert_string_equal(secret_reveal(four), "0123");
    assert_int_equal(secret_read(ten, ends[0]), 6);
    assert_string_equal(secret_reveal(ten), "456789");
    close(ends[0]);
    assert_int_equal(secret_read(ten, ends[0]), -1);
    secret_free(four);
    secret_free(ten);
}

/* --- many of them --- */

static void fill(struct secret *secret, size_t size, unsigned seed)
{
    for (size_t i = 0; i < size; i++)
        secret_append(secret, &(char){(char)('a' + (i + seed) % 26)}, 1);
}

static bool is_filled(const struct secret *secret, size_t size, unsigned seed)
{
    const char *bytes = secret_reveal(secret);
    bool right = secret_length(secret) == size && bytes[size] == '\0';
    for (size_t i = 0; i < size && right; i++)
        right = bytes[i] == (char)('a' + (i + seed) % 26);
    return right;
}

/* Takes and releases secrets of all sizes in an order of its own. Returns how many were spoilt. */
static unsigned use_many(unsigned seed)
{
    enum { SECRETS = 500, TURNS = 20000 };
    struct secret *secrets[SECRETS] = {NULL};
    size_t sizes[SECRETS] = {0};
    unsigned wrong = 0;
    for (unsigned turn = 0; turn < TURNS; turn++) {
        unsigned i = (unsigned)rand_r(&seed) % SECRETS;
        if (secrets[i] != NULL) {
            wrong += !is_filled(secrets[i], sizes[i], i);
            secret_free(secrets[i]);
            secrets[i] = NULL;
        } else {
            sizes[i] = (size_t)rand_r(&seed) % (turn % 500 == 0 ? 200000 : 300);
            secrets[i] = secret_new(sizes[i]);
            fill(secrets[i], sizes[i], i);
        }
    }
    for (unsigned i = 0; i < SECRETS; i++) {
        wrong += secrets[i] != NULL && !is_filled(secrets[i], sizes[i], i);
        secret_free(secrets[i]);
    }
    return wrong;
}

static void *use_many_in_a_thread(void *seed)
{
    return (void *)(uintptr_t)use_many(*(unsigned *)seed);
}

static void many_secrets_do_not_spoil_each_other(void **state)
{
    (void)state;
    pthread_t threads[4];
    unsigned seeds[4] = {1, 2, 3, 4};
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use_many_in_a_thread, &seeds[i]), 0);
    for (size_t i = 0; i < 4; i++) {
        void *wrong = NULL;
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
}

/* --- where they lie --- */

/* Whether the pages at an address have a flag of /proc/PID/smaps: "lo" is locked, "dd" not dumped.
 */
static bool has_flag(const void *address, const char *flag)
{
    FILE *file = fopen("/proc/self/smaps", "re");
    char line[512];
    unsigned long start, end;
    bool inside = false, has = false;
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
            inside = (uintptr_t)address >= start && (uintptr_t)address < end;
        else if (inside && strncmp(line, "VmFlags:", 8) == 0)
            has = strstr(line, flag) != NULL;
    }
    if (file != NULL)
        fclose(file);
    return has;
}

static void secrets_are_in_no_core_file_and_not_in_the_swap(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 100, 4000, 5000, 100000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct secret *secret = secret_new(sizes[i]);
        assert_true(has_flag(secret_reveal(secret) + sizes[i], " dd"));
#ifdef MEMORY_CAN_BE_LOCKED
        assert_true(has_flag(secret_reveal(secret) + sizes[i], " lo"));
#endif
        secret_free(secret);
    }
    char *ordinary = memory_alloc(1);
    assert_false(has_flag(ordinary, " dd"));
    free(ordinary);
}

#ifdef MEMORY_CAN_BE_LOCKED
/* In a process of its own, which may lock nothing. */
static int use_what_cannot_be_locked(void)
{
    if (setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){0, 0}) != 0)
        return 2;
    if (geteuid() == 0 && setuid(NOBODY) != 0)
        return 3;
    prctl(PR_SET_DUMPABLE, 1); /* makes /proc/self ours again */
    struct secret *small = secret_copy("small", 5), *large = secret_new(10000);
    const char *bytes = secret_reveal(small);
    bool right = strcmp(bytes, "small") == 0 && has_flag(bytes, " dd") && !has_flag(bytes, " lo") &&
                 has_flag(secret_reveal(large), " dd");
    secret_free(small);
    secret_free(large);
    return right ? 0 : 1;
}

static void where_memory_cannot_be_locked_that_is_said_once(void **state)
{
    (void)state;
    workplace_log_start();
    pid_t pid = fork();
    if (pid == 0)
        _exit(use_what_cannot_be_locked());
    int status = 0;
    waitpid(pid, &status, 0);
    const char *log = workplace_log_end();
    assert_int_equal(status, 0);
    assert_int_equal(workplace_count(log, "\n"), 1);
    assert_contains(log, "warning: passwords cannot be kept out of the swap: ");
    assert_contains(log, "LimitMEMLOCK=");
}
#endif

#ifdef MEMORY_CAN_BE_SEARCHED
static struct secret *disguised_secret(const unsigned char *disguised, size_t length)
{
    struct secret *secret = secret_new(length);
    char byte = '\0';
    for (size_t i = 0; i < length; i++) {
        byte = (char)(disguised[i] ^ DISGUISE);
        secret_append(secret, &byte, 1);
    }
    return secret;
}

static void nothing_stays_of_a_secret_that_is_released(void **state)
{
    (void)state;
    unsigned char disguised[24];
    memory_make_disguise(disguised, sizeof(disguised), 1);
    struct secret *other = secret_copy("keeps the page in use", 21);
    struct secret *secret = disguised_secret(disguised, sizeof(disguised));
    assert_int_equal(memory_count(disguised, sizeof(disguised)), 1);
    struct secret *copy = secret_copy(secret_reveal(secret), secret_length(secret));
    assert_int_equal(memory_count(disguised, sizeof(disguised)), 2);
    secret_free(secret);
    assert_int_equal(memory_count(disguised, sizeof(disguised)), 1);
    secret_trim(copy, 20, 4);
    assert_int_equal(memory_count(disguised, sizeof(disguised)), 0);
    assert_int_equal(memory_count(disguised + 4, 8), 0);
    secret_free(copy);
    secret_free(other);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_secret_holds_what_is_put_into_it),
        cmocka_unit_test(a_secret_is_read_from_a_file_up_to_its_room),
        cmocka_unit_test(many_secrets_do_not_spoil_each_other),
        cmocka_unit_test(secrets_are_in_no_core_file_and_not_in_the_swap),
#ifdef MEMORY_CAN_BE_LOCKED
        cmocka_unit_test(where_memory_cannot_be_locked_that_is_said_once),
#endif
#ifdef MEMORY_CAN_BE_SEARCHED
        cmocka_unit_test(nothing_stays_of_a_secret_that_is_released),
#endif
    };
    return cmocka_run_group_tests(tests, workplace_make, workplace_remove);
}
