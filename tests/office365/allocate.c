/*
 * allocate.c - memory that is there or the program ends
 *
 * The stand-in judges other programs. If it ran out of memory half way through a verdict the
 * verdict would be worth nothing, so it stops at once and says so.
 */
#include "allocate.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *checked(void *memory)
{
    if (memory == NULL) {
        fputs("office365: out of memory\n", stderr);
        abort();
    }
    return memory;
}

void *allocate(size_t size)
{
    return checked(calloc(1, size > 0 ? size : 1));
}

void *allocate_again(void *memory, size_t count, size_t size)
{
    return checked(reallocarray(memory, count > 0 ? count : 1, size));
}

char *duplicate(const char *string)
{
    return string != NULL ? checked(strdup(string)) : NULL;
}

char *duplicate_bytes(const void *bytes, size_t length)
{
    char *copy = checked(malloc(length + 1));

    if (length > 0)
        memcpy(copy, bytes, length);
    copy[length] = '\0';
    return copy;
}

char *format(const char *template, ...)
{
    va_list arguments;
    char *text = NULL;

    va_start(arguments, template);
    if (vasprintf(&text, template, arguments) < 0)
        text = NULL;
    va_end(arguments);
    return checked(text);
}
