/* problem.h - why something in the configuration or in a control command was not taken */
#ifndef OFFICE365_PROBLEM_H
#define OFFICE365_PROBLEM_H

#include <stdbool.h>

struct problem {
    char text[512];
};

/* problem_set - write the reason in the manner of printf; always false, to be returned at once */
bool problem_set(struct problem *problem, const char *template, ...)
    __attribute__((format(printf, 2, 3)));

#endif
