/* problem.c - why something in the configuration or in a control command was not taken */
#include "problem.h"

#include <stdarg.h>
#include <stdio.h>

bool problem_set(struct problem *problem, const char *template, ...)
{
    va_list arguments;

    va_start(arguments, template);
    vsnprintf(problem->text, sizeof problem->text, template, arguments);
    va_end(arguments);
    return false;
}
