/* secret.h - passwords and tokens in memory
 *
 * A secret lies in pages of its own kind, which are in no core file (MADV_DONTDUMP) and, as far as
 * the host allows (RLIMIT_MEMLOCK), never in the swap (mlock(2)); where it does not, that is logged
 * once, with the remedy. It is wiped when it is released. It has a type of its own, so that it can
 * go into a log line or an error by secret_reveal() only: that is for what hashes it, compares it
 * or sends it. Thread-safe, except that one secret is changed by one thread at a time.
 */
#ifndef POST365_COMMON_SECRET_H
#define POST365_COMMON_SECRET_H

#include <stddef.h>
#include <sys/types.h>

struct secret;

/* An empty secret with room for `capacity` bytes, which never grows. Release it with secret_free().
 * Ends the program (EX_OSERR) where there is no memory. */
__attribute__((malloc, returns_nonnull)) struct secret *secret_new(size_t capacity);
/* One that holds a copy of `length` bytes. */
__attribute__((returns_nonnull)) struct secret *secret_copy(const char *bytes, size_t length);
/* Wipes and releases. `secret` may be NULL. */
void secret_free(struct secret *secret);

/* Appends bytes for which there is room; ends the program (EX_SOFTWARE) if there is none. */
void secret_append(struct secret *secret, const char *bytes, size_t length);
/* Appends what read(2) gives until the room is filled or the file ends: how much, or -1 with errno.
 */
ssize_t secret_read(struct secret *secret, int descriptor);
/* Keeps `length` bytes from `start` on and wipes the rest; both within what is there. */
void secret_trim(struct secret *secret, size_t start, size_t length);

size_t secret_length(const struct secret *secret);
/* The bytes themselves, with a NUL behind them; valid until the secret is changed or released. */
const char *secret_reveal(const struct secret *secret);

#endif
