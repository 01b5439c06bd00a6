/* test_process.c - run another program and read what it says */
#include "common/process.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void output_errors_and_status_are_kept_apart(void **state)
{
    (void)state;
    const char *const arguments[] = {"sh", "-c", "echo out; echo err >&2; exit 3", NULL};
    struct process_result result;
    struct error error;
    assert_true(process_run(arguments, NULL, 0, 10, 1000, &result, &error));
    assert_int_equal(result.status, 3);
    assert_string_equal(result.output.data, "out\n");
    assert_string_equal(result.errors.data, "err\n");
    process_result_free(&result);
}

static void more_input_and_output_than_a_pipe_holds_does_not_block(void **state)
{
    (void)state;
    const size_t size = 3000000;
    char *input = malloc(size);
    assert_non_null(input);
    memset(input, 'x', size);
    const char *const arguments[] = {"cat", NULL};
    struct process_result result;
    struct error error;
    assert_true(process_run(arguments, input, size, 30, size, &result, &error));
    assert_int_equal(result.output.length, size);
    assert_memory_equal(result.output.data, input, size);
    process_result_free(&result);
    free(input);
}

static void a_program_that_reads_nothing_ends_as_usual(void **state)
{
    (void)state;
    char input[200000] = {0};
    const char *const arguments[] = {"true", NULL};
    struct process_result result;
    struct error error;
    assert_true(process_run(arguments, input, sizeof(input), 10, 1000, &result, &error));
    assert_int_equal(result.status, 0);
    process_result_free(&result);
}

static void too_much_output_ends_it(void **state)
{
    (void)state;
    const char *const arguments[] = {"yes", NULL};
    struct process_result result;
    struct error error;
    assert_false(process_run(arguments, NULL, 0, 10, 10000, &result, &error));
    assert_non_null(strstr(error.text, "yes: more than 10000 bytes of output"));
    process_result_free(&result);
}

static void too_long_a_wait_ends_it(void **state)
{
    (void)state;
    const char *const arguments[] = {"sleep", "100", NULL};
    struct process_result result;
    struct error error;
    assert_false(process_run(arguments, NULL, 0, 1, 10000, &result, &error));
    assert_non_null(strstr(error.text, "sleep: no answer within 1 seconds"));
    process_result_free(&result);
}

static void a_program_that_closes_its_output_and_stays_is_ended_in_time(void **state)
{
    (void)state;
    const char *const arguments[] = {"sh", "-c", "exec >&- 2>&-; exec sleep 100", NULL};
    struct process_result result;
    struct error error;
    assert_false(process_run(arguments, NULL, 0, 1, 10000, &result, &error));
    assert_non_null(strstr(error.text, "sh: no answer within 1 seconds"));
    process_result_free(&result);
}

static void what_a_program_leaves_running_is_not_waited_for(void **state)
{
    (void)state;
    const char *const arguments[] = {"sh", "-c", "sleep 3 & echo out; exit 3", NULL};
    struct process_result result;
    struct error error;
    assert_true(process_run(arguments, NULL, 0, 2, 10000, &result, &error));
    assert_int_equal(result.status, 3);
    assert_string_equal(result.output.data, "out\n");
    process_result_free(&result);
}

/* Whether the process whose number stands in `text` runs, and is not just a corpse. */
static bool runs(const char *text)
{
    char path[64], line[256] = "";
    snprintf(path, sizeof(path), "/proc/%ld/stat", strtol(text, NULL, 10));
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return false;
    assert_non_null(fgets(line, sizeof(line), file));
    fclose(file);
    return strstr(line, ") Z ") == NULL;
}

static void a_program_is_ended_with_what_it_started(void **state)
{
    (void)state;
    const char *const arguments[] = {"sh", "-c", "sleep 100 & echo $!; wait", NULL};
    struct process_result result;
    struct error error;
    assert_false(process_run(arguments, NULL, 0, 1, 10000, &result, &error));
    assert_non_null(result.output.data);
    for (int i = 0; i < 100 && runs(result.output.data); i++)
        usleep(10000);
    assert_false(runs(result.output.data));
    process_result_free(&result);
}

static void no_descriptor_is_inherited(void **state)
{
    (void)state;
    const char *const arguments[] = {"sh", "-c", "test ! -e /proc/self/fd/57", NULL};
    struct process_result result;
    struct error error;
    assert_int_equal(dup2(STDERR_FILENO, 57), 57);
    assert_true(process_run(arguments, NULL, 0, 10, 1000, &result, &error));
    assert_int_equal(result.status, 0);
    process_result_free(&result);
    close(57);
}

static void a_status_that_is_lost_is_no_success(void **state)
{
    (void)state;
    const char *const arguments[] = {"false", NULL};
    struct process_result result;
    struct error error;
    signal(SIGCHLD, SIG_IGN);
    assert_false(process_run(arguments, NULL, 0, 10, 1000, &result, &error));
    signal(SIGCHLD, SIG_DFL);
    assert_non_null(strstr(error.text, "false: its exit status is lost"));
    process_result_free(&result);
}

static void a_program_that_is_not_there_is_named(void **state)
{
    (void)state;
    const char *const arguments[] = {"post365-no-such-program", NULL};
    struct process_result result;
    struct error error;
    assert_false(process_run(arguments, NULL, 0, 1, 10000, &result, &error));
    assert_non_null(strstr(error.text, "post365-no-such-program: not found"));
    process_result_free(&result);
}

static void arguments_are_not_seen_by_a_shell(void **state)
{
    (void)state;
    const char *const arguments[] = {"echo", "$HOME; *", "`id`", NULL};
    struct process_result result;
    struct error error;
    assert_true(process_run(arguments, NULL, 0, 10, 1000, &result, &error));
    assert_string_equal(result.output.data, "$HOME; * `id`\n");
    process_result_free(&result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(output_errors_and_status_are_kept_apart),
        cmocka_unit_test(more_input_and_output_than_a_pipe_holds_does_not_block),
        cmocka_unit_test(a_program_that_reads_nothing_ends_as_usual),
        cmocka_unit_test(too_much_output_ends_it),
        cmocka_unit_test(too_long_a_wait_ends_it),
        cmocka_unit_test(a_program_that_closes_its_output_and_stays_is_ended_in_time),
        cmocka_unit_test(what_a_program_leaves_running_is_not_waited_for),
        cmocka_unit_test(a_program_is_ended_with_what_it_started),
        cmocka_unit_test(no_descriptor_is_inherited),
        cmocka_unit_test(a_status_that_is_lost_is_no_success),
        cmocka_unit_test(a_program_that_is_not_there_is_named),
        cmocka_unit_test(arguments_are_not_seen_by_a_shell),
    };
    return cmocka_run_group_tests_name("process", tests, NULL, NULL);
}
