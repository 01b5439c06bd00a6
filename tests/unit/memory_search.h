/* memory_search.h - whether a password is still somewhere in the memory of this process
 *
 * A test that looks for a password must not hold it itself: it is known by its disguise, in which
 * each byte is changed, and written to files by another process.
 */
#ifndef POST365_TESTS_UNIT_MEMORY_SEARCH_H
#define POST365_TESTS_UNIT_MEMORY_SEARCH_H

#include <stddef.h>

/* Sanitizers keep what was released. */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define MEMORY_CAN_BE_SEARCHED 1
#endif

#define DISGUISE 0x55

/* Fills in the disguise of a password of lower-case letters; each `number` has another. */
void memory_make_disguise(unsigned char *disguised, size_t length, unsigned number);

/* What is behind the disguise, to `password`, with a NUL behind it. */
void memory_reveal(const unsigned char *disguised, size_t length, char *password);

/* How often it is in all memory of this process. */
int memory_count(const unsigned char *disguised, size_t length);

#endif
