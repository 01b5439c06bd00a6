/* domains.c - the domains in a list such as mydestination */
#include "common/domains.h"

#include "common/address.h"
#include "common/dictionary.h"
#include "common/memory.h"
#include "common/table_backend.h"

#include <stdlib.h>
#include <string.h>

struct domains {
    struct dictionary *names; /* folded; the value is one of these two */
};

static char is_in, is_out;

/* A literal may have colons, [IPv6:::1]. */
static bool is_table_or_file(const char *piece)
{
    return piece[0] == '/' || (piece[0] != '[' && strchr(piece, ':') != NULL);
}

static void add(struct domains *domains, const char *piece)
{
    char *value = piece[0] == '!' ? &is_out : &is_in;
    piece += value == &is_out ? 1 : 0;
    if (is_table_or_file(piece))
        return;
    char *name = address_fold(piece);
    size_t length = strlen(name);
    if (length > 1 && name[length - 1] == '.')
        name[length - 1] = '\0';
    if (dictionary_find(domains->names, name) == NULL)
        dictionary_put(domains->names, name, value);
    free(name);
}

struct domains *domains_new(const char *list)
{
    struct domains *domains = memory_zero(1, sizeof(*domains));
    char *copy = memory_copy(list), *rest = copy, *piece;
    domains->names = dictionary_new(NULL);
    while ((piece = table_next_piece(&rest)) != NULL)
        add(domains, piece);
    free(copy);
    return domains;
}

void domains_free(struct domains *domains)
{
    if (domains == NULL)
        return;
    dictionary_free(domains->names);
    free(domains);
}

bool domains_have(const struct domains *domains, const char *domain)
{
    return dictionary_find(domains->names, domain) == &is_in;
}
