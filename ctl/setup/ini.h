/* ini.h - files of sections, as Python's configparser reads them
 *
 * `[section]`, `name = value` or `name: value`; a value goes on with lines that are indented deeper
 * than its first; whole lines that begin with `#` or `;` are comments. Pure.
 *
 * Source: "Supported INI File Structure" in the documentation of Python's library.
 */
#ifndef POST365_CTL_SETUP_INI_H
#define POST365_CTL_SETUP_INI_H

#include <stddef.h>

/* Calls `visit` with each value, in the order of the file. Names are in lower case, white space
 * around names and values is gone; what belongs to no section has the section "". */
void ini_each(const char *text, size_t length,
              void (*visit)(void *context, const char *section, const char *name,
                            const char *value),
              void *context);

#endif
