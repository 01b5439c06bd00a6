/* table_workplace.c - a directory with lookup tables, made with the real postmap(1), and the log */
#include "tests/unit/table_workplace.h"

#include "common/memory.h"
#include "common/process.h"

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utime.h>

#include <cmocka.h>

static struct {
    char directory[64];
    int saved_stderr;
    char log[65536];
} workplace;

int workplace_make(void **state)
{
    (void)state;
    strcpy(workplace.directory, "/tmp/post365-tables-XXXXXX");
    assert_non_null(mkdtemp(workplace.directory));
    assert_int_equal(chmod(workplace.directory, 0755), 0);
    workplace_write("main.cf", "compatibility_level = 3.6\nsmtputf8_enable = yes\n");
    workplace_write("master.cf", "");
    char path[128];
    snprintf(path, sizeof(path), "%s/main.cf", workplace.directory);
    /* Postfix reads a file that changed within the last two seconds again until it is quiet. */
    assert_int_equal(utime(path, &(struct utimbuf){1, 1}), 0);
    return 0;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status;
    (void)type;
    (void)place;
    return remove(path);
}

int workplace_remove(void **state)
{
    (void)state;
    nftw(workplace.directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    return 0;
}

const char *workplace_directory(void)
{
    return workplace.directory;
}

const char *workplace_path(const char *name)
{
    static char paths[8][512];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof(paths[0]), "%s/%s", workplace.directory, name);
    return path;
}

static void write_file(const char *path, const char *text)
{
    int descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(descriptor >= 0);
    assert_int_equal(write(descriptor, text, strlen(text)), strlen(text));
    close(descriptor);
}

void workplace_write(const char *name, const char *text)
{
    write_file(workplace_path(name), text);
}

void workplace_replace(const char *name, const char *text)
{
    const char *new_path = workplace_path("new");
    write_file(new_path, text);
    assert_int_equal(rename(new_path, workplace_path(name)), 0);
}

void workplace_postmap(const char *type, const char *name)
{
    struct process_result result;
    struct error error;
    char *table = memory_format("%s:%s", type, workplace_path(name));
    const char *const arguments[] = {"postmap", "-c", workplace.directory, table, NULL};
    if (!process_run(arguments, NULL, 0, 30, 65536, &result, &error) || result.status != 0)
        fail_msg("postmap %s: status %d: %s", table, result.status,
                 result.errors.data != NULL ? result.errors.data : "");
    process_result_free(&result);
    free(table);
}

void workplace_log_start(void)
{
    int file = open(workplace_path("log"), O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666);
    assert_true(file >= 0);
    fflush(stderr);
    workplace.saved_stderr = dup(STDERR_FILENO);
    dup2(file, STDERR_FILENO);
    close(file);
}

const char *workplace_log_end(void)
{
    ssize_t length = pread(STDERR_FILENO, workplace.log, sizeof(workplace.log) - 1, 0);
    dup2(workplace.saved_stderr, STDERR_FILENO);
    close(workplace.saved_stderr);
    workplace.log[length > 0 ? length : 0] = '\0';
    return workplace.log;
}

void assert_contains(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("got \"%s\", want \"...%s...\"", text, part);
}

int workplace_count(const char *text, const char *part)
{
    int count = 0;
    while ((text = strstr(text, part)) != NULL) {
        text += strlen(part);
        count++;
    }
    return count;
}
