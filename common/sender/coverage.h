/* coverage.h - what rewrite.h asks about an address, answered by common/identity.h */
#ifndef POST365_COMMON_SENDER_COVERAGE_H
#define POST365_COMMON_SENDER_COVERAGE_H

#include "common/identity.h"
#include "common/sender/rewrite.h"
#include "common/settings.h"

struct coverage_question {
    struct identities *identities;
    const char *upn;
    struct error error; /* why it is unknown */
};

/* rewrite_rules' covered; its context is a struct coverage_question. */
enum rewrite_coverage coverage_ask(void *question, const char *address, size_t length);

/* The rules of a message of the question's account, the same for all programs. The strings and the
 * question belong to the caller and outlive their use. */
struct rewrite_rules coverage_rules(struct coverage_question *question,
                                    const struct settings *settings, const char *envelope_sender,
                                    bool replaces_null_sender);

/* Whether the rewriting could be decided. False with the reason. */
bool coverage_is_decided(enum rewrite_status status, const struct coverage_question *question,
                         struct error *error);

#endif
