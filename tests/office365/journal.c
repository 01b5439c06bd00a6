/* journal.c - what happened, one JSON object per line */
#include "journal.h"

#include "allocate.h"
#include "clock.h"
#include "encoding.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

struct journal {
    int fd;
    char *path;
};

struct journal *journal_open(const char *path, struct problem *problem)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    struct journal *journal;

    if (fd < 0) {
        problem_set(problem, "cannot open the journal %s: %s", path, strerror(errno));
        return NULL;
    }
    journal = allocate(sizeof *journal);
    journal->fd = fd;
    journal->path = duplicate(path);
    return journal;
}

void journal_close(struct journal *journal)
{
    if (journal == NULL)
        return;
    close(journal->fd);
    free(journal->path);
    free(journal);
}

json_t *journal_event(const char *event)
{
    json_t *entry = json_object();
    int64_t microseconds = clock_real() / 1000;

    encoding_set(entry, "time", json_real((double)microseconds / 1e6));
    encoding_set(entry, "mono", json_real((double)clock_monotonic() / (double)CLOCK_SECOND));
    encoding_set(entry, "event", json_string(event));
    return entry;
}

void journal_write(struct journal *journal, json_t *entry)
{
    char *text = json_dumps(entry, JSON_COMPACT | JSON_ENSURE_ASCII);
    char *line = format("%s\n", text != NULL ? text : "");
    size_t length = strlen(line);
    ssize_t written;

    do
        written = write(journal->fd, line, length);
    while (written < 0 && errno == EINTR);
    if (text == NULL || written < 0 || (size_t)written != length) {
        fprintf(stderr, "office365: cannot write the journal %s: %s\n", journal->path,
                strerror(errno));
        exit(EX_IOERR);
    }
    free(line);
    free(text);
    json_decref(entry);
}

bool journal_sync(struct journal *journal)
{
    return fsync(journal->fd) == 0;
}
