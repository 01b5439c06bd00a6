/* closed_directory.c - why a file may not be read whose own mode lets everybody read it */
#include "common/closed_directory.h"

#include "common/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *closed_directory(const char *path)
{
    char *directory = memory_copy(path);
    for (char *slash = strchr(directory + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (faccessat(AT_FDCWD, directory, X_OK, AT_EACCESS) != 0) {
            if (errno == EACCES)
                return directory;
            break;
        }
        *slash = '/';
    }
    free(directory);
    return NULL;
}
