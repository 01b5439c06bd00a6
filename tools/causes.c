/* causes.c - prints the names of all causes, a blank between, for conf/post365.bash-completion */
#include "ctl/cause.h"

#include <stdio.h>

int main(void)
{
    for (size_t i = 0; i < cause_count(); i++)
        printf("%s%s", i > 0 ? " " : "", cause_at(i)->name);
    putchar('\n');
    return 0;
}
