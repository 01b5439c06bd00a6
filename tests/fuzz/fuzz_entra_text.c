/* fuzz_entra_text.c - a pasted text into what finds Entra's errors in it
 *
 * libFuzzer (clang -fsanitize=fuzzer). What is found must be found again behind other words.
 */
#include "common/buffer.h"
#include "common/entra/cause.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct entra_row *row = entra_of_text((const char *)data, size);
    if (row != NULL && entra_named(row->name) != row)
        abort();
    struct buffer longer = {0};
    buffer_append_string(&longer, "451 4.7.0 ");
    buffer_append(&longer, (const char *)data, size);
    if (entra_of_text(longer.data, longer.length) != row)
        abort();
    buffer_free(&longer);
    return 0;
}
