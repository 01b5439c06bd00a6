/* allocate.h - memory that is there or the program ends */
#ifndef OFFICE365_ALLOCATE_H
#define OFFICE365_ALLOCATE_H

#include <stddef.h>

/* allocate - zeroed memory of this many bytes; never NULL; free() it */
void *allocate(size_t size);

/* allocate_again - realloc of an array to count elements of this size; never NULL */
void *allocate_again(void *memory, size_t count, size_t size);

/* duplicate - a copy of a string; NULL stays NULL */
char *duplicate(const char *string);

/* duplicate_bytes - a copy of these bytes with a NUL behind them */
char *duplicate_bytes(const void *bytes, size_t length);

/* format - a new string in the manner of printf */
char *format(const char *template, ...) __attribute__((format(printf, 1, 2)));

#endif
