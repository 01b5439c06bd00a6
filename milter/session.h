/* session.h - one connection of Postfix to the milter, as libmilter's callbacks see it
 *
 * Source: libmilter's API (xxfi_* and smfi_*), MILTER_README of Postfix.
 */
#ifndef POST365_MILTER_SESSION_H
#define POST365_MILTER_SESSION_H

#include <stdbool.h>
#include <stddef.h>

/* Registers the callbacks with libmilter. False if it refuses. A configuration must be in force
 * before the first connection (configuration_install()). */
bool session_register(void);

/* The connections that are open now. From any thread. */
size_t session_count(void);

#endif
