/* fuzz_address.c - any text as an envelope sender
 *
 * The first octet chooses what is completed.
 */
#include "common/address.h"
#include "common/address_standard.h"
#include "common/memory.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    const struct address_rules rules = {.origin = (data[0] & 1) != 0 ? "corp.example" : "",
                                        .domain = (data[0] & 2) != 0 ? "example" : NULL,
                                        .swap_bangpath = (data[0] & 4) != 0,
                                        .allow_percent_hack = (data[0] & 8) != 0};
    char *text = memory_copy_bytes((const char *)data + 1, size - 1);
    char *once = address_standard(text, &rules);
    char *twice = address_standard(once, &rules);
    /* Nothing that is appended can make a host of one that has a dot already. */
    if (address_is_valid(once) && rules.domain == NULL)
        assert(strcmp(once, twice) == 0);
    char *plain = address_unquoted(once);
    if (plain != NULL && address_is_valid(once)) {
        char *quoted = address_quoted(plain);
        assert(strcmp(quoted, once) == 0);
        free(quoted);
    }
    free(plain);
    free(twice);
    free(once);
    free(text);
    return 0;
}
