/* buffer.h - a byte string that grows
 *
 * A zero-initialised struct is an empty buffer. `data` is NULL until the first append and always
 * has a NUL behind its `length` bytes afterwards.
 */
#ifndef POST365_COMMON_BUFFER_H
#define POST365_COMMON_BUFFER_H

#include <stddef.h>

struct buffer {
    char *data;
    size_t length;
    size_t capacity;
};

/* What they append is copied and must not be part of the buffer itself. */
void buffer_append(struct buffer *buffer, const char *bytes, size_t length);
void buffer_append_string(struct buffer *buffer, const char *string);
void buffer_append_char(struct buffer *buffer, char byte);
__attribute__((format(printf, 2, 3))) void buffer_format(struct buffer *buffer, const char *format,
                                                         ...);
/* Forgets the contents, keeps the memory. */
void buffer_clear(struct buffer *buffer);
/* Releases the memory; the buffer is empty and usable again. */
void buffer_free(struct buffer *buffer);
/* Hands the contents over (never NULL; release with free()) and leaves the buffer empty. */
char *buffer_take(struct buffer *buffer);

#endif
