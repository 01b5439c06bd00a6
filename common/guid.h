/* guid.h - the form of Microsoft's ids: "c0ffee00-365a-4365-8365-0123456789ab"
 *
 * Pure. Source: RFC 9562, section 4.
 */
#ifndef POST365_COMMON_GUID_H
#define POST365_COMMON_GUID_H

#include <stdbool.h>
#include <stddef.h>

#define GUID_LENGTH ((size_t)36)

/* Whether these octets, and no others, are one, in capitals or not. */
bool guid_is(const char *text, size_t length);

#endif
