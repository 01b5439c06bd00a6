/* siphash.h - a hash whose collisions nobody can choose
 *
 * SipHash-2-4, and its variant of 128 bits (Aumasson and Bernstein, 2012), for keys that may come
 * from the network: whoever does not know the secret can do no better than guess which of them
 * collide.
 */
#ifndef POST365_COMMON_SIPHASH_H
#define POST365_COMMON_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

struct siphash_secret {
    uint64_t words[2];
};

struct siphash_wide {
    uint64_t words[2];
};

/* Random bytes of the kernel; ends the program (EX_OSERR) if it has none. */
struct siphash_secret siphash_make_secret(void);

uint64_t siphash(const struct siphash_secret *secret, const void *bytes, size_t length);

/* With 128 bits two different keys never have the same hash in practice: among 2^15 of them the
 * chance is 2^-99. */
struct siphash_wide siphash_wide(const struct siphash_secret *secret, const void *bytes,
                                 size_t length);

#endif
