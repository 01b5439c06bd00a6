/* siphash.c - a hash whose collisions nobody can choose
 *
 * The state is handed around by value, so that the compiler keeps it in registers.
 */
#include "common/siphash.h"

#include "common/log.h"

#include <endian.h>
#include <string.h>
#include <sys/random.h>
#include <sysexits.h>

struct state {
    uint64_t v0, v1, v2, v3;
};

struct siphash_secret siphash_make_secret(void)
{
    struct siphash_secret secret;
    if (getrandom(&secret, sizeof(secret), 0) != (ssize_t)sizeof(secret))
        log_fatal(EX_OSERR, "getrandom: no random bytes; start again");
    return secret;
}

static inline uint64_t rotate(uint64_t word, unsigned bits)
{
    return word << bits | word >> (64 - bits);
}

static inline struct state mix(struct state v)
{
    v.v0 += v.v1;
    v.v2 += v.v3;
    v.v1 = rotate(v.v1, 13) ^ v.v0;
    v.v3 = rotate(v.v3, 16) ^ v.v2;
    v.v0 = rotate(v.v0, 32);
    v.v2 += v.v1;
    v.v0 += v.v3;
    v.v1 = rotate(v.v1, 17) ^ v.v2;
    v.v3 = rotate(v.v3, 21) ^ v.v0;
    v.v2 = rotate(v.v2, 32);
    return v;
}

static inline struct state absorb(struct state v, uint64_t word)
{
    v.v3 ^= word;
    v = mix(mix(v));
    v.v0 ^= word;
    return v;
}

static inline uint64_t finish(struct state *v)
{
    *v = mix(mix(mix(mix(*v))));
    return v->v0 ^ v->v1 ^ v->v2 ^ v->v3;
}

static inline struct state begin(const struct siphash_secret *secret)
{
    return (struct state){
        secret->words[0] ^ 0x736f6d6570736575, secret->words[1] ^ 0x646f72616e646f6d,
        secret->words[0] ^ 0x6c7967656e657261, secret->words[1] ^ 0x7465646279746573};
}

static inline struct state absorb_bytes(struct state v, const unsigned char *byte, size_t length)
{
    uint64_t word;
    for (size_t left = length; left >= sizeof(word); left -= sizeof(word), byte += sizeof(word)) {
        memcpy(&word, byte, sizeof(word));
        v = absorb(v, le64toh(word));
    }
    word = (uint64_t)length << 56;
    for (size_t i = 0; i < length % sizeof(word); i++)
        word |= (uint64_t)byte[i] << 8 * i;
    return absorb(v, word);
}

uint64_t siphash(const struct siphash_secret *secret, const void *bytes, size_t length)
{
    struct state v = absorb_bytes(begin(secret), bytes, length);
    v.v2 ^= 0xff;
    return finish(&v);
}

struct siphash_wide siphash_wide(const struct siphash_secret *secret, const void *bytes,
                                 size_t length)
{
    struct siphash_wide hash;
    struct state v = begin(secret);
    v.v1 ^= 0xee;
    v = absorb_bytes(v, bytes, length);
    v.v2 ^= 0xee;
    hash.words[0] = finish(&v);
    v.v1 ^= 0xdd;
    hash.words[1] = finish(&v);
    return hash;
}
