/* closed_directory.h - why a file may not be read whose own mode lets everybody read it */
#ifndef POST365_COMMON_CLOSED_DIRECTORY_H
#define POST365_COMMON_CLOSED_DIRECTORY_H

/* The first directory on the way to `path`, which is absolute, that this process may not search;
 * the caller's to free(). NULL: there is none, or the way ends before. */
char *closed_directory(const char *path);

#endif
