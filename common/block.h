/* block.h - a text, 64 bytes at a time
 *
 * For short pieces in one text: where all line ends of a block are is known before anybody asks for
 * the first one. With memchr(3) each search begins only when the one before has ended, which takes
 * three times as long.
 */
#ifndef POST365_COMMON_BLOCK_H
#define POST365_COMMON_BLOCK_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define BLOCK_SIZE ((size_t)64)

/* The block at `text`, of which `left` bytes are there. The last ones go to `copy`, with NULs
 * behind them. */
static inline const char *block_at(const char *text, size_t left, char copy[BLOCK_SIZE])
{
    if (left >= BLOCK_SIZE)
        return text;
    memset(copy, 0, BLOCK_SIZE);
    memcpy(copy, text, left);
    return copy;
}

/* Bit i is set if byte i of the block is `byte`. For any processor. */
static inline uint64_t block_find_portable(const char *block, char byte)
{
    const uint64_t ones = 0x0101010101010101, low = 0x7f * ones;
    uint64_t found = 0;
    for (unsigned i = 0; i < BLOCK_SIZE / sizeof(uint64_t); i++) {
        uint64_t word;
        memcpy(&word, block + i * sizeof(word), sizeof(word));
        word = le64toh(word) ^ (unsigned char)byte * ones;
        /* The highest bit of each byte that is 0 now, without carries from byte to byte. */
        word = ~(((word & low) + low) | word | low);
        /* These eight side by side: no two of the product's terms meet in its highest byte. */
        found |= ((word >> 7) * 0x0102040810204080 >> 56) << 8 * i;
    }
    return found;
}

#ifdef __SSE2__
static inline uint64_t block_find(const char *block, char byte)
{
    const __m128i wanted = _mm_set1_epi8(byte);
    uint64_t found = 0;
    for (unsigned i = 0; i < BLOCK_SIZE; i += 16) {
        __m128i part = _mm_loadu_si128((const __m128i *)(const void *)(block + i));
        int equal = _mm_movemask_epi8(_mm_cmpeq_epi8(part, wanted));
        found |= (uint64_t)(unsigned)equal << i;
    }
    return found;
}
#else
static inline uint64_t block_find(const char *block, char byte)
{
    return block_find_portable(block, byte);
}
#endif

/* The lowest bit's number; there is one. */
static inline size_t block_first(uint64_t found)
{
    return (size_t)__builtin_ctzll(found);
}

#endif
