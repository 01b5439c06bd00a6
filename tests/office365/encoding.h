/* encoding.h - bytes as JSON, base64 and hexadecimal */
#ifndef OFFICE365_ENCODING_H
#define OFFICE365_ENCODING_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * encoding_json - bytes in a form from which they can be got back exactly: a JSON string when they
 * are valid UTF-8 (its UTF-8 encoding is the bytes), else the object {"base64": "..."}. New
 * reference, never NULL.
 */
json_t *encoding_json(const void *bytes, size_t length);

/* encoding_base64 - RFC 4648 base64 with padding, as a new string */
char *encoding_base64(const void *bytes, size_t length);

/*
 * encoding_from_base64 - strict RFC 4648 base64 (padding needed, no blanks) into a new block with a
 * NUL behind it, its length in *length. NULL if the text is not base64.
 */
char *encoding_from_base64(const char *text, size_t *length);

/* encoding_hex - lower case hexadecimal into a buffer of 2 * length + 1 bytes */
void encoding_hex(const unsigned char *bytes, size_t length, char *buffer);

/* encoding_set - put a new value into a JSON object, or end the program for want of memory */
void encoding_set(json_t *object, const char *key, json_t *value);

/* encoding_append - put a new value at the end of a JSON array, or end the program */
void encoding_append(json_t *array, json_t *value);

#endif
