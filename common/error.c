/* error.c - why a function could not do what it was asked */
#include "common/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Of a prefix so much is shown in any case. */
#define PREFIX_MIN ((size_t)256)

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
    size_t taken = strlen(": ") + strlen(error->text) + 1;
    size_t room = taken + PREFIX_MIN < ERROR_TEXT_SIZE ? ERROR_TEXT_SIZE - taken : PREFIX_MIN;
    if (strlen(prefix) > room)
        strcpy(prefix + room - strlen("..."), "...");
    struct error reason = *error;
    int length = snprintf(error->text, sizeof(error->text), "%s: ", prefix);
    snprintf(error->text + length, sizeof(error->text) - (size_t)length, "%s", reason.text);
    return false;
}
