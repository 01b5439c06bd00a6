/* smtp_settings.c - print docs/SMTP_SETTINGS.md of the table that setup and the doctor use */
#include "common/smtp_parameter.h"

#include <stdio.h>
#include <string.h>

static const char introduction[] =
    "# Settings of smtp(8)\n"
    "\n"
    "Before post365 Postfix's smtp(8) sent mail to the `relayhost`; with it post365-transport "
    "does. "
    "This is what\nbecomes of each of its parameters, of Postfix 3.7 to 3.12. `inet_protocols` and "
    "`inet_interfaces` are kept, too. What\nis kept is read from main.cf, not from `-o` of a "
    "service in master.cf. `post365 setup` names what a relay sets and loses,\n`post365 doctor` "
    "too; where mail may go another way than expected it is a warning.\n"
    "\n"
    "| parameter | | |\n"
    "|---|---|---|\n";

static const char *words_for(enum smtp_parameter_kind kind)
{
    switch (kind) {
    case SMTP_PARAMETER_KEPT:
        return "kept";
    case SMTP_PARAMETER_REPLACED:
        return "replaced";
    case SMTP_PARAMETER_LMTP:
    case SMTP_PARAMETER_OWN:
        return "told: Postfix can do it";
    case SMTP_PARAMETER_TOLD:
        return "told";
    case SMTP_PARAMETER_WARNED:
        return "told, a warning";
    }
    return "";
}

int main(void)
{
    fputs(introduction, stdout);
    for (size_t i = 0; i < smtp_parameter_count(); i++) {
        const struct smtp_parameter *parameter = smtp_parameter_at(i);
        printf("| `%s` | %s | %s |\n", parameter->name, words_for(parameter->kind),
               parameter->text);
    }
    return ferror(stdout) != 0;
}
