/* milter.c - lists of milters, expanded, as in smtpd_milters */
#include "ctl/relay/milter.h"

#include "common/memory.h"
#include "ctl/relay/config.h"

#include <stdlib.h>
#include <string.h>

/* "accept" in "default_action = accept, ..."; "" if it is not there. */
static void read_option(const char *options, const char *name, char *value, size_t size)
{
    const char *at = strstr(options, name);
    size_t length = 0;
    if (at != NULL) {
        at += strlen(name);
        at += strspn(at, " \t\r\n=");
        length = strcspn(at, " \t\r\n,}");
    }
    if (length >= size)
        length = size - 1;
    if (length > 0)
        memcpy(value, at, length);
    value[length] = '\0';
}

/* `local:` is what a milter's UNIX socket may be called, too. */
static bool is_ours(const struct settings *settings, const char *address)
{
    bool is_local = strncmp(address, "local:", 6) == 0;
    char *place = memory_format("%s%s", is_local ? "unix:" : "", address + (is_local ? 6 : 0));
    bool is_it = config_same_socket(settings, place, settings->milter_socket);
    free(place);
    return is_it;
}

void milter_list_read(const struct settings *settings, const char *value, struct milter_list *list)
{
    char *copy = memory_copy(value), *rest = copy, *piece;
    *list = (struct milter_list){.has_ours = false};
    while ((piece = config_next(&rest)) != NULL) {
        char *inner = piece + (piece[0] == '{'), *address = config_next(&inner);
        if (address == NULL || strcmp(address, "}") == 0)
            continue;
        const char *options = piece[0] == '{' ? inner : "";
        address[strcspn(address, "}")] = '\0';
        if (!is_ours(settings, address)) {
            list->has_others = true;
            continue;
        }
        list->has_ours = true;
        read_option(options, "default_action", list->action, sizeof(list->action));
        read_option(options, "protocol", list->protocol, sizeof(list->protocol));
    }
    free(copy);
}
