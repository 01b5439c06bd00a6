/* smtp_parameter.c - what becomes of every parameter of smtp(8) in front of the transport */
#include "common/smtp_parameter.h"

#include <string.h>
#include <strings.h>

static const struct smtp_parameter parameters[] = {
#define SMTP_PARAMETER(kind, name, harmless, text)                                                 \
    {SMTP_PARAMETER_##kind, "smtp_" #name, harmless, text},
#include "common/smtp_parameters.def"
#undef SMTP_PARAMETER
};
#define PARAMETERS (sizeof(parameters) / sizeof(parameters[0]))

size_t smtp_parameter_count(void)
{
    return PARAMETERS;
}

const struct smtp_parameter *smtp_parameter_at(size_t index)
{
    return &parameters[index];
}

const struct smtp_parameter *smtp_parameter_find(const char *name)
{
    for (size_t i = 0; i < PARAMETERS; i++)
        if (strcmp(parameters[i].name, name) == 0)
            return &parameters[i];
    return NULL;
}

bool smtp_parameter_is_harmless(const struct smtp_parameter *parameter, const char *value)
{
    size_t length = strlen(value);
    for (const char *at = parameter->harmless; *at != '\0';) {
        size_t here = strcspn(at, "|");
        if (here == length && strncasecmp(at, value, here) == 0)
            return true;
        at += here + (at[here] == '|');
    }
    return false;
}
