/*
 * journal.h - what happened, one JSON object per line
 *
 * Each line is one write(2) to a file opened with O_APPEND: a reader that follows the file sees
 * whole lines, in the order of events. The witness must not be lost: when a line cannot be written
 * the program ends with EX_IOERR.
 */
#ifndef OFFICE365_JOURNAL_H
#define OFFICE365_JOURNAL_H

#include "problem.h"

#include <jansson.h>
#include <stdbool.h>

struct journal;

/* journal_open - open or create the file; NULL with the problem */
struct journal *journal_open(const char *path, struct problem *problem);
void journal_close(struct journal *journal);

/*
 * journal_event - a new entry with "time" (seconds since 1970), "mono" (seconds on the monotonic
 * clock, on which the windows run) and "event". To be filled in and given to journal_write.
 */
json_t *journal_event(const char *event);

/* journal_write - append the entry as one line, and drop the reference to it */
void journal_write(struct journal *journal, json_t *entry);

/* journal_sync - bring it to the disk; false with errno */
bool journal_sync(struct journal *journal);

#endif
