/* milter.h - lists of milters, expanded, as in smtpd_milters */
#ifndef POST365_CTL_RELAY_MILTER_H
#define POST365_CTL_RELAY_MILTER_H

#include "common/settings.h"

#include <stdbool.h>

struct milter_list {
    bool has_ours;
    bool has_others;
    char action[16];  /* default_action in the item that is ours; "" if it says none */
    char protocol[8]; /* protocol= likewise */
};

/* Looks at a list in which no $name is left. Ours is whatever leads to post365_milter_socket,
 * however it is spelled (`local:` for `unix:`, braces, blanks). */
void milter_list_read(const struct settings *settings, const char *value, struct milter_list *list);

#endif
