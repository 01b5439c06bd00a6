/* error.c - why a function could not do what it was asked */
#include "common/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool error_set(struct error *error, const char *format, ...)
{
    if (error != NULL) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(error->text, sizeof(error->text), format, arguments);
        va_end(arguments);
    }
    return false;
}

bool error_prefix(struct error *error, const char *format, ...)
{
    if (error == NULL)
        return false;
    char prefix[ERROR_TEXT_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(prefix, sizeof(prefix), format, arguments);
    va_end(arguments);
    char joined[2 * ERROR_TEXT_SIZE + 2];
    snprintf(joined, sizeof(joined), "%s: %s", prefix, error->text);
    /* Both parts are bounded; what does not fit is cut at the end, where the detail is. */
    joined[ERROR_TEXT_SIZE - 1] = '\0';
    memcpy(error->text, joined, ERROR_TEXT_SIZE);
    return false;
}
