/* fuzz_reply.c - bytes of a server, a log or a clipboard into the readers of replies
 *
 * libFuzzer (clang -fsanitize=fuzzer). Checks what reply.h and office365.h promise of any input.
 */
#include "common/judgement.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool promise)
{
    if (!promise)
        abort();
}

static void check_reply(const struct reply *reply)
{
    demand(reply->code <= 599 && (reply->code >= 200 || reply->code == 0));
    demand(reply->code != 0 || reply->enhanced.class != 0);
    demand(reply->length < sizeof(reply->text) && strlen(reply->text) == reply->length);
    demand(reply->lines >= 1 && reply->lines <= REPLY_LINES_MAX);
    demand(reply->enhanced.subject <= 999 && reply->enhanced.detail <= 999);
    for (size_t i = 0; i < reply->length; i++)
        demand((unsigned char)reply->text[i] >= 0x20 && reply->text[i] != 0x7f);
}

/* Every stage has an answer; one that keeps a message is never given to a success, and one that
 * leaves a permanent refusal as it is does not change by asking again. */
static void check_rows(const struct reply *reply)
{
    for (enum reply_stage stage = REPLY_STAGE_UNKNOWN; stage < REPLY_STAGES; stage++) {
        const struct office365_row *row = office365_explain(reply, stage);
        demand(row != NULL && row == office365_explain(reply, stage));
        if (reply->code / 100 == 2 || reply->code / 100 == 3)
            demand(row->told == OFFICE365_AS_IS && row->account == OFFICE365_ACCOUNT_NOTHING);
        if (reply->code / 100 == 4)
            demand(strcmp(row->name, "other-permanent") != 0);
        struct judgement judgement;
        judgement_of_reply(reply, stage, &judgement);
        demand(judgement.row != NULL && judgement.code / 100 != 2 && judgement.code / 100 != 3);
        demand(!judgement.is_accepted || !judgement.is_temporary);
        demand(judgement.code == 0 || judgement.enhanced.class == judgement.code / 100 ||
               judgement.enhanced.class != 0);
        struct reply changed = *reply;
        reply_make_temporary(&changed.code, &changed.enhanced);
        demand(changed.code / 100 != 5 && changed.enhanced.class != 5);
        check_reply(&changed);
    }
}

static void check_error(const struct error *error)
{
    demand(*error->text != '\0');
    for (const char *byte = error->text; *byte != '\0'; byte++)
        demand(*byte >= 0x20 && *byte < 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *bytes = (const char *)data;
    struct reply reply;
    struct error error = {""};
    bool whole = reply_parse(&reply, bytes, size, &error);
    if (whole) {
        check_reply(&reply);
        check_rows(&reply);
    } else {
        check_error(&error);
    }
    error.text[0] = '\0';
    struct judgement judgement;
    if (judgement_of_text(bytes, size, &reply, &judgement, NULL))
        check_reply(&reply);
    if (reply_find(&reply, bytes, size, &error)) {
        check_reply(&reply);
        check_rows(&reply);
    } else {
        demand(!whole); /* what is a reply is found in itself */
        check_error(&error);
    }
    return 0;
}
