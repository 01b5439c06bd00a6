/* watched_files.h - files that a table has named, and whether one of them has changed since
 *
 * A file is looked at with stat(2); what stands in it is its reader's matter. Not thread-safe.
 */
#ifndef POST365_COMMON_WATCHED_FILES_H
#define POST365_COMMON_WATCHED_FILES_H

#include <stdint.h>

/* More are not watched: a table of patterns may make a path of whatever somebody asks for. */
#define WATCHED_FILES_MAX 20000

struct watched_files;

/* None yet. Release with watched_files_free(). */
struct watched_files *watched_files_new(void);
/* NULL is allowed. */
void watched_files_free(struct watched_files *files);

/* From now on the file is looked at, be it there or not. To be called before it is read, so that a
 * change in between is noticed, if twice. */
void watched_files_add(struct watched_files *files, const char *path);

/* Goes up with each file that is another than at the last call, readable or not; never down. */
uint64_t watched_files_version(struct watched_files *files);

#endif
