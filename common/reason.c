/* reason.c - whose message it is, as the reason in Postfix's queue tells it */
#include "common/reason.h"

#include "common/address.h"
#include "common/memory.h"

#include <stdlib.h>
#include <string.h>

#define BEFORE    " (account <"
#define BEHIND    ">)"
#define OF_SOCKET "/accounts/"

void reason_append_account(struct buffer *reply, const char *account)
{
    buffer_format(reply, BEFORE "%s" BEHIND, account);
}

/* The folded address between `begin` and `end`, or NULL if there stands none. */
static char *take_address(const char *begin, const char *end)
{
    char *address = memory_copy_bytes(begin, (size_t)(end - begin));
    char *folded = address_is_valid(address) ? address_fold(address) : NULL;
    free(address);
    return folded;
}

static char *find_form(const char *reason)
{
    const char *last = NULL;
    for (const char *at = reason; (at = strstr(at, BEFORE)) != NULL; at += strlen(BEFORE))
        last = at + strlen(BEFORE);
    const char *end = last != NULL ? strstr(last, BEHIND) : NULL;
    return end != NULL ? take_address(last, end) : NULL;
}

static char *find_socket(const char *reason)
{
    const char *name = strstr(reason, OF_SOCKET);
    const char *end = name != NULL ? strchr(name, ']') : NULL;
    return end != NULL ? take_address(name + strlen(OF_SOCKET), end) : NULL;
}

char *reason_account(const char *reason)
{
    if (reason == NULL)
        return NULL;
    char *account = find_form(reason);
    return account != NULL ? account : find_socket(reason);
}
