/* coverage.h - what rewrite.h asks about an address, answered by common/identity.h */
#ifndef POST365_COMMON_SENDER_COVERAGE_H
#define POST365_COMMON_SENDER_COVERAGE_H

#include "common/identity.h"
#include "common/sender/rewrite.h"

struct coverage_question {
    struct identities *identities;
    const char *upn;
    struct error error; /* why it is unknown */
};

/* rewrite_rules' covered; its context is a struct coverage_question. */
enum rewrite_coverage coverage_ask(void *question, const char *address, size_t length);

#endif
