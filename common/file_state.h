/* file_state.h - what tells one state of a file from another */
#ifndef POST365_COMMON_FILE_STATE_H
#define POST365_COMMON_FILE_STATE_H

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

/* All zero: there is no file. */
struct file_state {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec modified;
    struct timespec changed;
};

struct file_state file_state_of(const struct stat *status);
/* That of the file with this path, by stat(2); all zero as well where it may not be looked at. */
struct file_state file_state_at(const char *path);
bool file_state_equal(const struct file_state *one, const struct file_state *other);

#endif
