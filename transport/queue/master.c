/* master.c - does this Postfix run? */
#include "transport/queue/master.h"

#include "common/memory.h"

#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define LOCKS "/proc/locks"

/* "1: FLOCK  ADVISORY  WRITE 4242 08:01:131 0 EOF": the inode behind the last colon. The device is
 * not compared: some file systems have another one there than stat(2) tells. */
static bool is_lock_of(const char *line, ino_t inode)
{
    uintmax_t number;
    return sscanf(line, "%*u: %*s %*s %*s %*d %*x:%*x:%" SCNuMAX, &number) == 1 &&
           number == (uintmax_t)inode;
}

static bool is_locked(FILE *locks, ino_t inode)
{
    char line[256];
    while (fgets(line, sizeof(line), locks) != NULL)
        if (is_lock_of(line, inode))
            return true;
    return false;
}

bool master_runs(const char *queue_directory)
{
    struct stat file;
    char *path = memory_format("%s/pid/master.pid", queue_directory);
    int reason = stat(path, &file) == 0 ? 0 : errno;
    free(path);
    if (reason != 0)
        return reason != ENOENT; /* nobody has ever started it */
    FILE *locks = fopen(LOCKS, "re");
    if (locks == NULL)
        return true;
    bool runs = is_locked(locks, file.st_ino);
    fclose(locks);
    return runs;
}
