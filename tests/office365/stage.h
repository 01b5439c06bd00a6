/* stage.h - the places in the dialogue at which something can go wrong */
#ifndef OFFICE365_STAGE_H
#define OFFICE365_STAGE_H

#include <stdbool.h>

enum stage {
    STAGE_CONNECT,     /* accepted, nothing sent */
    STAGE_BANNER,      /* the 220 greeting */
    STAGE_EHLO,        /* EHLO and HELO, before and after TLS */
    STAGE_STARTTLS,    /* the reply to STARTTLS */
    STAGE_TLS,         /* the handshake */
    STAGE_AUTH,        /* the last reply of AUTH */
    STAGE_MAIL,        /* MAIL FROM */
    STAGE_RCPT,        /* RCPT TO */
    STAGE_DATA,        /* the 354, or the first BDAT */
    STAGE_BODY,        /* within the message */
    STAGE_DOT,         /* the whole message is here, its reply is not yet written */
    STAGE_AFTER_REPLY, /* that reply has been written */
    STAGE_RSET,
    STAGE_QUIT,
    STAGE_COUNT
};

/* stage_name - as the configuration and the journal write it */
const char *stage_name(enum stage stage);

/* stage_find - the stage of this name; false if there is none */
bool stage_find(const char *name, enum stage *stage);

#endif
