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

struct rewrite_rules coverage_rules(struct coverage_question *question,
                                    const struct settings *settings, const char *envelope_sender,
                                    bool replaces_null_sender)
{
    return (struct rewrite_rules){.upn = question->upn,
                                  .envelope_sender = envelope_sender,
                                  .rewrite_from = settings->rewrite_from,
                                  .add_reply_to = settings->reply_to == REPLY_TO_ADD,
                                  .replaces_null_sender = replaces_null_sender,
                                  .covered = coverage_ask,
                                  .context = question};
}

bool coverage_is_decided(enum rewrite_status status, const struct coverage_question *question,
                         struct error *error)
{
    switch (status) {
    case REWRITE_OK:
        return true;
    case REWRITE_LOOKUP_FAILED:
        *error = question->error;
        return false;
    case REWRITE_INVALID_UPN:
        break;
    }
    return error_set(error,
                     "the account \"%s\" is no address that can stand in From:; correct the table "
                     "or parameter that names it",
                     question->upn);
}
