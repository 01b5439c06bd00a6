/* stage.c - the places in the dialogue at which something can go wrong */
#include "stage.h"

#include <string.h>

static const char *const names[STAGE_COUNT] = {
    [STAGE_CONNECT] = "connect",   [STAGE_BANNER] = "banner", [STAGE_EHLO] = "ehlo",
    [STAGE_STARTTLS] = "starttls", [STAGE_TLS] = "tls",       [STAGE_AUTH] = "auth",
    [STAGE_MAIL] = "mail",         [STAGE_RCPT] = "rcpt",     [STAGE_DATA] = "data",
    [STAGE_BODY] = "body",         [STAGE_DOT] = "dot",       [STAGE_AFTER_REPLY] = "after-reply",
    [STAGE_RSET] = "rset",         [STAGE_QUIT] = "quit",
};

const char *stage_name(enum stage stage)
{
    return names[stage];
}

bool stage_find(const char *name, enum stage *stage)
{
    for (int i = 0; i < STAGE_COUNT; i++) {
        if (strcmp(names[i], name) == 0) {
            *stage = (enum stage)i;
            return true;
        }
    }
    return false;
}
