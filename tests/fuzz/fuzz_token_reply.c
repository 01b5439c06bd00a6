/* fuzz_token_reply.c - bytes from post365_oauth2_socket into the reader of replies
 *
 * libFuzzer (clang -fsanitize=fuzzer). The first byte says which kind of request is answered.
 * Checks what token_message.h promises of any reply.
 */
#include "common/oauth2/token_message.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool promise)
{
    if (!promise)
        abort();
}

/* One line, with an end. */
static void check_text(const char *text, size_t size)
{
    demand(memchr(text, '\0', size) != NULL);
    for (; *text != '\0'; text++)
        demand((unsigned char)*text >= ' ' && *text != 0x7f);
}

#define CHECK_TEXT(text) check_text((text), sizeof(text))

static void check_lines(const struct token_reply *reply, enum token_command_kind kind)
{
    char path[PATH_MAX];
    struct token_step step;
    struct token_claim claim;
    size_t position = 0, count = 0;
    while (token_reply_next_registration(reply, &position, path)) {
        CHECK_TEXT(path);
        demand(path[0] == '/');
        count++;
    }
    demand(kind != TOKEN_COMMAND_LIST || count <= TOKENS_LIST_MAX);
    for (position = 0; token_reply_next_step(reply, &position, &step);) {
        CHECK_TEXT(step.name);
        CHECK_TEXT(step.text);
        demand(step.result < TOKEN_STEP_RESULTS);
    }
    for (position = 0; token_reply_next_claim(reply, &position, &claim);) {
        CHECK_TEXT(claim.name);
        CHECK_TEXT(claim.value);
    }
}

static void check_subject(const struct token_subject *subject)
{
    demand(token_state_name(subject->state) != NULL && token_grant_name(subject->grant) != NULL);
    demand(token_credential_name(subject->credential) != NULL);
    demand(token_model_name(subject->model) != NULL);
    CHECK_TEXT(subject->registration);
    CHECK_TEXT(subject->account);
    CHECK_TEXT(subject->tenant);
    CHECK_TEXT(subject->client_id);
    CHECK_TEXT(subject->cloud);
    CHECK_TEXT(subject->cause);
    CHECK_TEXT(subject->reason);
    CHECK_TEXT(subject->accepted_for);
    demand(subject->left >= 0 && subject->issued >= 0 && subject->renewed >= 0 &&
           subject->next >= 0 && subject->failed_since >= 0 && subject->credential_ends >= 0 &&
           subject->grant_since >= 0 && subject->accepted_at >= 0);
    demand(subject->has_token == (subject->id[0] != '\0'));
}

static void check_reply(struct token_reply *reply, enum token_command_kind kind)
{
    demand(reply->result < TOKEN_REPLY_RESULTS);
    bool has_token = kind == TOKEN_COMMAND_TOKEN && reply->result == TOKEN_REPLY_DONE;
    demand(has_token == (reply->token != NULL));
    if (has_token) {
        CHECK_TEXT(reply->id);
        demand(strlen(secret_reveal(reply->token)) == secret_length(reply->token));
        check_text(secret_reveal(reply->token), TOKENS_TOKEN_MAX + 1);
    }
    CHECK_TEXT(reply->reason);
    CHECK_TEXT(reply->cause);
    CHECK_TEXT(reply->registration);
    CHECK_TEXT(reply->account);
    CHECK_TEXT(reply->user);
    CHECK_TEXT(reply->user_code);
    CHECK_TEXT(reply->verification_uri);
    CHECK_TEXT(reply->after);
    demand(reply->until >= 0 && reply->left >= 0 && reply->expires >= 0);
    check_subject(&reply->subject);
    if (reply->result == TOKEN_REPLY_DONE)
        check_lines(reply, kind);
    token_reply_release(reply);
}

/* The replies of a stream, each in memory of its own, so that a sanitizer sees a look beyond. */
static void read_all(enum token_command_kind kind, const char *stream, size_t available)
{
    struct attr_reader reader = {0};
    struct error error = {""};
    size_t length = 0;
    while (attr_read(&reader, stream, available, &length, &error) == ATTR_REQUEST) {
        struct token_reply reply;
        uint64_t tag;
        char *text = malloc(length);
        demand(text != NULL);
        memcpy(text, stream, length);
        token_reply_tag(text, length, &tag);
        if (token_reply_read(&reply, kind, text, length, &error))
            check_reply(&reply, kind);
        else
            demand(reply.token == NULL && strncmp(error.text, "malformed reply: ", 17) == 0);
        CHECK_TEXT(error.text);
        free(text);
        stream += length;
        available -= length;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 0)
        read_all(data[0] % TOKEN_COMMANDS, (const char *)data + 1, size - 1);
    return 0;
}
