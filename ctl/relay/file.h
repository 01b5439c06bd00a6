/* file.h - a file of the configuration, read whole and replaced as a whole */
#ifndef POST365_CTL_RELAY_FILE_H
#define POST365_CTL_RELAY_FILE_H

#include "common/buffer.h"
#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Appends what is in it. False with the reason. */
bool file_read(const char *path, struct buffer *contents, struct error *error);

/* Puts these bytes in the place of what is in the file, or of the file that a symbolic link names:
 * through another file beside it and rename(2), on the disk when this returns, so that whoever
 * reads sees the one or the other whole. Mode, owner and group stay. False with the reason, and the
 * file is as it was. */
bool file_replace(const char *path, const char *data, size_t length, struct error *error);

/* Removes what a file_replace() of this file has left that was killed. */
void file_tidy(const char *path);

/* Makes a new file with these bytes, on the disk when this returns. False with the reason. */
bool file_create(const char *path, mode_t mode, const char *data, size_t length,
                 struct error *error);

/* Has the names in a directory on the disk. False with the reason. */
bool file_sync_directory(const char *path, struct error *error);

/* Removes a directory that holds files only, and these, or what of them is there. False with the
 * reason. */
bool file_remove_directory(const char *path, struct error *error);

#endif
