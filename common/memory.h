/* memory.h - allocation that cannot return NULL
 *
 * Every request is bounded by its caller, so exhaustion means that the host is out of memory: the
 * program logs it and ends with EX_OSERR, and Postfix, which keeps all mail, tries again later.
 */
#ifndef POST365_COMMON_MEMORY_H
#define POST365_COMMON_MEMORY_H

#include <stddef.h>

/* All results are owned by the caller and released with free(). Sizes are in bytes. */
__attribute__((malloc, returns_nonnull)) void *memory_alloc(size_t size);
/* `count` elements of `size` bytes, all zero; the product is checked for overflow. */
__attribute__((malloc, returns_nonnull)) void *memory_zero(size_t count, size_t size);
/* realloc(): `block` may be NULL and is invalid afterwards. */
__attribute__((returns_nonnull)) void *memory_grow(void *block, size_t size);
/* A copy of a string; NULL gives NULL. */
char *memory_copy(const char *string);
/* A copy of `length` bytes with a NUL behind them. */
__attribute__((malloc, returns_nonnull)) char *memory_copy_bytes(const char *bytes, size_t length);
__attribute__((malloc, returns_nonnull, format(printf, 1, 2))) char *
memory_format(const char *format, ...);

#endif
