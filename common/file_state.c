/* file_state.c - what tells one state of a file from another */
#include "common/file_state.h"

struct file_state file_state_of(const struct stat *status)
{
    return (struct file_state){.device = status->st_dev,
                               .inode = status->st_ino,
                               .size = status->st_size,
                               .modified = status->st_mtim,
                               .changed = status->st_ctim};
}

static bool same_time(const struct timespec *one, const struct timespec *other)
{
    return one->tv_sec == other->tv_sec && one->tv_nsec == other->tv_nsec;
}

struct file_state file_state_at(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 ? file_state_of(&status) : (struct file_state){0};
}

bool file_state_equal(const struct file_state *one, const struct file_state *other)
{
    return one->device == other->device && one->inode == other->inode && one->size == other->size &&
           same_time(&one->modified, &other->modified) && same_time(&one->changed, &other->changed);
}
