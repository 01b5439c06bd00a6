/* test_table_helper.c - what the helper that stays root tells, and what it does not */
#include "common/memory.h"
#include "common/table_helper.h"
#include "tests/unit/table_workplace.h"

#include <linux/capability.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define NOBODY 65534

static char passwords[1600], values[1600];

static struct settings settings = {.password_maps = passwords, .login_upn_maps = values};

static struct settings *read_again(const void *context, struct error *error)
{
    (void)context;
    error_set(error, "as it was");
    return NULL;
}

static void write_secret(const char *name, const char *text)
{
    workplace_replace(name, text);
    assert_int_equal(chmod(workplace_path(name), 0600), 0);
}

static struct table_source source_of(const char *type, const char *name, enum table_content content)
{
    return (struct table_source){.place = (char *)"main.cf: x",
                                 .type = (char *)type,
                                 .name = memory_copy(workplace_path(name)),
                                 .config_directory = (char *)workplace_directory(),
                                 .content = content};
}

/* Runs `check` as a daemon that was root and has a helper; it ends with 0 if all is as it should
 * be.
 */
static void as_daemon_with(bool needs_passwords, void (*prepare)(void), int (*check)(void))
{
    if (geteuid() != 0)
        skip(); /* nobody else has a helper */
    settings.config_directory = (char *)workplace_directory();
    snprintf(passwords, sizeof(passwords), "texthash:%s, proxy:regexp:%s, inline:{a=b:c}",
             workplace_path("passwords"), workplace_path("passwords.re"));
    snprintf(values, sizeof(values), "texthash:%s", workplace_path("values"));
    write_secret("passwords", "a@x a@x:geheim\n[mail.example]:587 b@x:geheim2\n");
    write_secret("passwords.re", "/^c@/ c@x:geheim3\n");
    write_secret("values", "joe joe@x\n");
    write_secret("other", "key value\n");
    if (prepare != NULL)
        prepare();
    pid_t pid = fork();
    if (pid == 0) {
        struct error error;
        if (!table_helper_start(&settings, needs_passwords, read_again, NULL, &error) ||
            setgid(NOBODY) != 0 || setuid(NOBODY) != 0)
            _exit(99);
        _exit(check());
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void as_daemon(bool needs_passwords, int (*check)(void))
{
    as_daemon_with(needs_passwords, NULL, check);
}

static const char *text_under(const struct table_contents *contents, enum table_content content,
                              const char *key)
{
    static char text[200];
    struct table_value value = {.text = NULL};
    if (table_get(contents->entries, content, key, &value) != TABLE_FOUND)
        return "";
    snprintf(text, sizeof(text), "%s",
             value.secret != NULL ? secret_reveal(value.secret) : value.text);
    table_release(&value);
    return text;
}

static int read_passwords(void)
{
    struct error error = {.text = ""};
    struct table_contents contents = {.entries = NULL};
    struct stat status;
    const struct table_source source = source_of("texthash", "passwords", TABLE_PASSWORDS);
    if (table_file_read(&source, &contents, &error) != TABLE_TROUBLE_DENIED)
        return 1;
    if (table_helper_read(&source, &contents, &error) != TABLE_TROUBLE_NONE ||
        dictionary_count(contents.entries) != 2)
        return 2;
    if (strcmp(text_under(&contents, TABLE_PASSWORDS, "[mail.example]:587"), "b@x:geheim2") != 0)
        return 3;
    if (!table_helper_stat(&source, &status) || status.st_size == 0)
        return 4;
    dictionary_free(contents.entries);
    return 0;
}

static int ask_for_passwords(void)
{
    struct error error = {.text = ""};
    bool asked = false;
    struct table_value value = {.text = NULL};
    const struct table_source source = source_of("regexp", "passwords.re", TABLE_PASSWORDS);
    if (table_helper_find(&source, "c@x", &value, &asked, &error) != TABLE_FOUND || !asked)
        return 1;
    if (strcmp(secret_reveal(value.secret), "c@x:geheim3") != 0)
        return 2;
    table_release(&value);
    return table_helper_find(&source, "d@x", &value, &asked, &error) == TABLE_NONE ? 0 : 3;
}

/* What a milter that was taken over might try. */
static int steal_passwords(void)
{
    struct error error = {.text = ""};
    struct table_contents contents = {.entries = NULL};
    bool asked = false;
    struct table_value value = {.text = NULL};
    const struct table_source lines = source_of("texthash", "passwords", TABLE_PASSWORDS);
    const struct table_source as_values = source_of("texthash", "passwords", TABLE_VALUES);
    const struct table_source names = source_of("texthash", "passwords", TABLE_USER_NAMES);
    const struct table_source patterns = source_of("regexp", "passwords.re", TABLE_PASSWORDS);
    const struct table_source users = source_of("regexp", "passwords.re", TABLE_USER_NAMES);
    if (table_helper_read(&lines, &contents, &error) != TABLE_TROUBLE_WRONG ||
        table_helper_read(&as_values, &contents, &error) != TABLE_TROUBLE_WRONG ||
        strstr(error.text, "main.cf did not name this table") == NULL)
        return 1;
    if (table_helper_find(&patterns, "c@x", &value, &asked, &error) != TABLE_FAILED)
        return 2;
    if (table_helper_read(&names, &contents, &error) != TABLE_TROUBLE_NONE ||
        strcmp(text_under(&contents, TABLE_USER_NAMES, "a@x"), "a@x") != 0)
        return 3;
    dictionary_free(contents.entries);
    if (table_helper_find(&users, "c@x", &value, &asked, &error) != TABLE_FOUND ||
        strcmp(value.text, "c@x") != 0)
        return 4;
    table_release(&value);
    return 0;
}

static int read_other_files(void)
{
    struct error error;
    struct table_contents contents = {.entries = NULL};
    struct stat status;
    bool asked = false;
    struct table_value value = {.text = NULL};
    static const char *const names[] = {"other", "values/../other", "passwords.new", ""};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const struct table_source source = source_of("texthash", names[i], TABLE_VALUES);
        if (table_helper_read(&source, &contents, &error) != TABLE_TROUBLE_WRONG ||
            table_helper_stat(&source, &status))
            return (int)i + 1;
    }
    const struct table_source other_type = source_of("regexp", "values", TABLE_VALUES);
    if (table_helper_find(&other_type, "joe", &value, &asked, &error) != TABLE_FAILED)
        return 10;
    table_helper_reload(); /* settings that are wrong: the old tables stay */
    const struct table_source known = source_of("texthash", "values", TABLE_VALUES);
    if (table_helper_read(&known, &contents, &error) != TABLE_TROUBLE_NONE)
        return 11;
    dictionary_free(contents.entries);
    /* A key with a line end is no key: the helper makes an end of it. */
    if (table_helper_find(&known, "a\nb", &value, &asked, &error) != TABLE_FAILED || asked)
        return 12;
    return table_helper_is_there() ? 13 : 0;
}

/* What somebody might put in the place of a table whose directory he can write. */
static int read_what_is_no_file(void)
{
    struct table_contents contents = {.entries = NULL};
    static const char *const kinds[] = {"fifo", "zeros", "folder"};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct error error = {.text = ""};
        const struct table_source source = source_of("texthash", kinds[i], TABLE_VALUES);
        if (table_helper_read(&source, &contents, &error) != TABLE_TROUBLE_WRONG ||
            strstr(error.text, "not a regular file") == NULL)
            return (int)i + 1;
    }
    struct error error = {.text = ""};
    const struct table_source huge = source_of("texthash", "huge", TABLE_VALUES);
    if (table_helper_read(&huge, &contents, &error) != TABLE_TROUBLE_WRONG ||
        strstr(error.text, "larger than") == NULL)
        return 10;
    const struct table_source known = source_of("texthash", "values", TABLE_VALUES);
    if (table_helper_read(&known, &contents, &error) != TABLE_TROUBLE_NONE)
        return 11;
    dictionary_free(contents.entries);
    return 0;
}

/* The hexadecimal number behind a name in a process's status; -1 without it. */
static long long status_number(pid_t pid, const char *name)
{
    char path[64], line[200];
    long long number = -1;
    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "r");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL)
        if (strncmp(line, name, strlen(name)) == 0)
            number = strtoll(line + strlen(name), NULL, 16);
    if (file != NULL)
        fclose(file);
    return number;
}

static pid_t only_child(void)
{
    char path[64];
    int pid = 0;
    snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
    FILE *file = fopen(path, "r");
    if (file == NULL || fscanf(file, "%d", &pid) != 1)
        pid = 0;
    if (file != NULL)
        fclose(file);
    return (pid_t)pid;
}

static int count_descriptors(pid_t pid)
{
    char path[64];
    int count = 0;
    for (int number = 0; number < 256; number++) {
        struct stat status;
        snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, number);
        count += lstat(path, &status) == 0;
    }
    return count;
}

static bool is_right_to_read(long long kept, long long had)
{
    const long long read = 1LL << CAP_DAC_READ_SEARCH, all = 1LL << CAP_DAC_OVERRIDE;
    return kept == (had & ((had & read) != 0 ? read : all));
}

/* It may read, and nothing else; it has no descriptor of the daemon's; a signal of the service's
 * end does not end it. As root, who may look. */
static int look_at_helper(void)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGPIPE};
    struct error error;
    struct table_contents contents = {.entries = NULL};
    int ours[2];
    if (pipe(ours) != 0)
        return 1;
    signal(SIGPIPE, SIG_IGN); /* as each service does */
    if (!table_helper_start(&settings, true, read_again, NULL, &error))
        return 2;
    const struct table_source source = source_of("texthash", "values", TABLE_VALUES);
    if (table_helper_read(&source, &contents, &error) != TABLE_TROUBLE_NONE)
        return 3;
    dictionary_free(contents.entries);
    pid_t pid = only_child();
    if (pid == 0 || status_number(pid, "NoNewPrivs:") != 1)
        return 4;
    if (!is_right_to_read(status_number(pid, "CapEff:"), status_number(getpid(), "CapPrm:")) ||
        status_number(pid, "CapPrm:") != status_number(pid, "CapEff:") ||
        status_number(pid, "CapInh:") != 0)
        return 5;
    if (count_descriptors(pid) != STDERR_FILENO + 2)
        return 6;
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        if (kill(pid, signals[i]) != 0)
            return 7;
    if (table_helper_read(&source, &contents, &error) != TABLE_TROUBLE_NONE)
        return 8;
    dictionary_free(contents.entries);
    return 0;
}

/* A daemon of a container has fewer rights than root. */
static int look_in_container(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {{0, 0, 0}};
    sets[0].permitted = sets[0].effective =
        CAP_TO_MASK(CAP_CHOWN) | CAP_TO_MASK(CAP_DAC_OVERRIDE) | CAP_TO_MASK(CAP_SETUID);
    return syscall(SYS_capset, &header, sets) == 0 ? look_at_helper() : 20;
}

/* However the daemon ends. */
static int leave_helper(const int told[2])
{
    struct error error;
    if (!table_helper_start(&settings, true, read_again, NULL, &error))
        return 1;
    pid_t pid = only_child();
    if (write(told[1], &pid, sizeof(pid)) != sizeof(pid))
        return 2;
    raise(SIGKILL);
    return 3;
}

static void passwords_are_told_to_who_needs_them(void **state)
{
    (void)state;
    as_daemon(true, read_passwords);
    as_daemon(true, ask_for_passwords);
}

static void and_to_nobody_else(void **state)
{
    (void)state;
    as_daemon(false, steal_passwords);
}

static void only_tables_of_main_cf_are_read(void **state)
{
    (void)state;
    as_daemon(true, read_other_files);
}

static void make_what_is_no_file(void)
{
    char *end = values + strlen(values);
    static const char *const names[] = {"fifo", "zeros", "folder", "huge"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        end += snprintf(end, sizeof(values) - (size_t)(end - values), ", texthash:%s",
                        workplace_path(names[i]));
    assert_int_equal(mkfifo(workplace_path("fifo"), 0600), 0);
    assert_int_equal(symlink("/dev/zero", workplace_path("zeros")), 0);
    assert_int_equal(mkdir(workplace_path("folder"), 0700), 0);
    workplace_replace("huge", "a b\n");
    assert_int_equal(truncate(workplace_path("huge"), (off_t)1 << 40), 0);
}

static void what_is_no_file_is_not_waited_for(void **state)
{
    (void)state;
    as_daemon_with(true, make_what_is_no_file, read_what_is_no_file);
}

static void it_may_read_and_nothing_else(void **state)
{
    (void)state;
    static int (*const looks[])(void) = {look_at_helper, look_in_container};
    if (geteuid() != 0)
        skip();
    for (size_t i = 0; i < sizeof(looks) / sizeof(looks[0]); i++) {
        pid_t pid = fork();
        if (pid == 0)
            _exit(looks[i]());
        int status = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
    }
}

static void it_ends_with_the_daemon(void **state)
{
    (void)state;
    int told[2];
    pid_t helper = 0;
    if (geteuid() != 0)
        skip();
    assert_int_equal(pipe(told), 0);
    /* Who loses his parent becomes ours, so that its end can be waited for. */
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
    pid_t pid = fork();
    if (pid == 0)
        _exit(leave_helper(told));
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(read(told[0], &helper, sizeof(helper)), sizeof(helper));
    assert_true(helper > 0);
    assert_int_equal(waitpid(helper, &status, 0), helper);
    assert_true(WIFEXITED(status));
    close(told[0]);
    close(told[1]);
}

static void who_has_none_is_told_so(void **state)
{
    (void)state;
    struct error error;
    struct table_contents contents;
    struct stat status;
    bool asked = true;
    struct table_value value;
    const struct table_source source = source_of("texthash", "values", TABLE_VALUES);
    assert_false(table_helper_is_there());
    assert_int_equal(table_helper_read(&source, &contents, &error), TABLE_TROUBLE_DENIED);
    assert_false(table_helper_stat(&source, &status));
    assert_int_equal(table_helper_find(&source, "x", &value, &asked, &error), TABLE_FAILED);
    assert_false(asked);
    table_helper_reload();
    free(source.name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_has_none_is_told_so),
        cmocka_unit_test(passwords_are_told_to_who_needs_them),
        cmocka_unit_test(and_to_nobody_else),
        cmocka_unit_test(only_tables_of_main_cf_are_read),
        cmocka_unit_test(what_is_no_file_is_not_waited_for),
        cmocka_unit_test(it_may_read_and_nothing_else),
        cmocka_unit_test(it_ends_with_the_daemon),
    };
    return cmocka_run_group_tests_name("table_helper", tests, workplace_make, workplace_remove);
}
