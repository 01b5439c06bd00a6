/* parameters.c - print docs/PARAMETERS.md from the table that the parser uses */
#include "common/parameter.h"

#include <stdio.h>

static const char introduction[] =
    "# Parameters\n"
    "\n"
    "All settings of post365 are parameters in Postfix's `main.cf`. `post365-milter -t` and\n"
    "`post365-policyd -t` check them and print those in force. postconf(1) warns about a parameter "
    "that\n"
    "nothing in Postfix refers to: name each one that you set in `smtpd_milters`, as the README "
    "shows.\n"
    "\n"
    "| parameter | default | meaning |\n"
    "|---|---|---|\n";

int main(void)
{
    fputs(introduction, stdout);
    for (size_t i = 0; i < parameter_count(); i++) {
        const struct parameter *parameter = parameter_at(i);
        const char *quote = parameter->initial[0] != '\0' ? "`" : "";
        printf("| `%s` | %s%s%s | %s |\n", parameter->name, quote,
               parameter->initial[0] != '\0' ? parameter->initial : "empty", quote,
               parameter->meaning);
    }
    return ferror(stdout) != 0;
}
