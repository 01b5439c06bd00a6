/* coverage.c - what rewrite.h asks about an address, answered by common/identity.h */
#include "common/sender/coverage.h"

#include "common/memory.h"

#include <stdlib.h>

enum rewrite_coverage coverage_ask(void *question, const char *address, size_t length)
{
    struct coverage_question *asked = question;
    char *copy = memory_copy_bytes(address, length);
    enum table_answer answer = identity_covers(asked->identities, asked->upn, copy, &asked->error);
    free(copy);
    if (answer == TABLE_FAILED)
        return REWRITE_COVERAGE_UNKNOWN;
    return answer == TABLE_FOUND ? REWRITE_COVERED : REWRITE_NOT_COVERED;
}
