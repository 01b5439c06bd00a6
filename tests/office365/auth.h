/* auth.h - AUTH LOGIN and AUTH XOAUTH2, and the gates in front of them */
#ifndef OFFICE365_AUTH_H
#define OFFICE365_AUTH_H

#include "session.h"

/* auth_begin - the command AUTH with its arguments */
void auth_begin(struct session *session, const char *arguments);

/* auth_continue - a line that answers a challenge */
void auth_continue(struct session *session, const char *line);

/* auth_cancel - forget an exchange that has begun; the next line is a command */
void auth_cancel(struct session *session);

#endif
