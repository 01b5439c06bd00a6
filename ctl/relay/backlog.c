/* backlog.c - how much mail waits in Postfix's queue
 *
 * By its files, so that it can be told while Postfix is down as well.
 */
#include "ctl/relay/backlog.h"

#include "common/memory.h"

#include <errno.h>
#include <fts.h>
#include <stdlib.h>

bool backlog_count(const char *queue_directory, size_t *count)
{
    static const char *const queues[] = {"maildrop", "incoming", "active", "deferred", "hold"};
    bool fine = true;
    *count = 0;
    for (size_t i = 0; i < sizeof(queues) / sizeof(queues[0]); i++) {
        char *path = memory_format("%s/%s", queue_directory, queues[i]);
        char *const paths[] = {path, NULL};
        FTS *walk = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
        FTSENT *entry;
        while (walk != NULL && (entry = fts_read(walk)) != NULL) {
            *count += entry->fts_info == FTS_F;
            fine = fine && !((entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR) &&
                             entry->fts_errno != ENOENT);
        }
        fine = fine && walk != NULL;
        if (walk != NULL)
            fts_close(walk);
        free(path);
    }
    return fine;
}
