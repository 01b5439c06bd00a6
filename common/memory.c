/* memory.c - allocation that cannot return NULL */
#include "common/memory.h"

#include "common/log.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

static void *checked(void *block, size_t size)
{
    if (block == NULL)
        log_fatal(EX_OSERR, "out of memory (%zu bytes wanted)", size);
    return block;
}

void *memory_alloc(size_t size)
{
    return checked(malloc(size > 0 ? size : 1), size);
}

void *memory_zero(size_t count, size_t size)
{
    return checked(calloc(count > 0 ? count : 1, size > 0 ? size : 1), count * size);
}

void *memory_grow(void *block, size_t size)
{
    return checked(realloc(block, size > 0 ? size : 1), size);
}

char *memory_copy(const char *string)
{
    return string != NULL ? memory_copy_bytes(string, strlen(string)) : NULL;
}

char *memory_copy_bytes(const char *bytes, size_t length)
{
    char *copy = memory_alloc(length + 1);
    if (length > 0)
        memcpy(copy, bytes, length);
    copy[length] = '\0';
    return copy;
}

char *memory_format(const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    return checked(length >= 0 ? text : NULL, 0);
}
