/* secret_file.h - files that prove who an application is
 *
 * A file with a client secret, a private key or a foreign token is used only if nobody else on this
 * host may read or write it: a regular file of root's or the daemon's own, without rights for
 * others. What is read is secret from the first byte on.
 */
#ifndef POST365_TOKEND_SECRET_FILE_H
#define POST365_TOKEND_SECRET_FILE_H

#include "common/entra/cause.h"
#include "common/error.h"
#include "common/secret.h"

#include <stdbool.h>

#define SECRET_FILE_MAX ((size_t)16 * 1024) /* bytes */

enum secret_file_kind {
    SECRET_FILE_LINE,   /* one line; the line end behind it is cut off */
    SECRET_FILE_KEY,    /* lines */
    SECRET_FILE_TOKEN,  /* one line; a symbolic link may lead there, as Kubernetes has them */
    SECRET_FILE_PUBLIC, /* a certificate: anybody may read it */
};

/* Reads the file at `path`, an absolute path. NULL with the reason and the remedy, and its row. */
struct secret *secret_file_read(const char *path, enum secret_file_kind kind,
                                const struct entra_row **row, struct error *error);

#endif
