/* watched_files.c - files that a table has named, and whether one of them has changed since */
#include "common/watched_files.h"

#include "common/dictionary.h"
#include "common/file_state.h"
#include "common/memory.h"

#include <stdlib.h>

struct watched_files {
    struct dictionary *states; /* path to struct file_state */
    uint64_t changes;
};

struct watched_files *watched_files_new(void)
{
    struct watched_files *files = memory_zero(1, sizeof(*files));
    files->states = dictionary_new(free);
    return files;
}

void watched_files_free(struct watched_files *files)
{
    if (files == NULL)
        return;
    dictionary_free(files->states);
    free(files);
}

void watched_files_add(struct watched_files *files, const char *path)
{
    if (dictionary_find(files->states, path) != NULL ||
        dictionary_count(files->states) >= WATCHED_FILES_MAX)
        return;
    struct file_state *state = memory_zero(1, sizeof(*state));
    *state = file_state_at(path);
    dictionary_put(files->states, path, state);
}

static void notice_change(void *context, const char *path, void *value)
{
    struct watched_files *files = context;
    struct file_state *state = value;
    const struct file_state now = file_state_at(path);
    if (file_state_equal(state, &now))
        return;
    *state = now;
    files->changes++;
}

uint64_t watched_files_version(struct watched_files *files)
{
    dictionary_each(files->states, notice_change, files);
    return files->changes;
}
