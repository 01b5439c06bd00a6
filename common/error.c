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
    char rest[ERROR_TEXT_SIZE];
    memcpy(rest, error->text, sizeof(rest));
    /* Both parts are bounded; what does not fit is cut at the end, where the detail is. */
    size_t length = strnlen(prefix, sizeof(prefix) - 3);
    memcpy(error->text, prefix, length);
    error->text[length] = '\0';
    strncat(error->text, ": ", sizeof(error->text) - length - 1);
    strncat(error->text, rest, sizeof(error->text) - strlen(error->text) - 1);
    return false;
}
