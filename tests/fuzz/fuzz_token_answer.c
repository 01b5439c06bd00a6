/* fuzz_token_answer.c - an answer into what reads those of the token endpoint
 *
 * libFuzzer (clang -fsanitize=fuzzer). The first byte says what was asked, the second chooses a
 * status; then a line for Retry-After, one for Date, one for Www-Authenticate, and the body.
 */
#include "common/attr.h"
#include "common/memory.h"
#include "tokend/answer.h"
#include "tokend/metadata.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool promise)
{
    if (!promise)
        abort();
}

static void check_token(const struct answer *answer)
{
    struct buffer line = {0};
    const char *token = secret_reveal(answer->token);
    attr_write(&line, TOKENS_TOKEN, token);
    demand(line.length <= ATTR_LINE_MAX && strpbrk(token, " \r\n\x01") == NULL);
    demand(strlen(token) == secret_length(answer->token) && token[0] != '\0');
    demand(answer->life > 0 && answer->life <= ANSWER_LIFE_MAX);
    demand(answer->refresh_in < answer->life);
    buffer_free(&line);
}

static void check_failure(const struct answer *answer)
{
    demand(answer->row != NULL && answer->token == NULL && answer->refresh_token == NULL);
    demand(answer->reason[0] != '\0' && strlen(answer->reason) <= TOKENS_REASON_MAX);
    for (const char *byte = answer->reason; *byte != '\0'; byte++)
        demand((unsigned char)*byte >= ' ' && *byte != 0x7f);
}

/* The next line, the caller's to free(). */
static char *take_line(const char **at, const char *end)
{
    const char *newline = memchr(*at, '\n', (size_t)(end - *at));
    const char *stop = newline != NULL ? newline : end;
    char *line = memory_copy_bytes(*at, (size_t)(stop - *at));
    *at = newline != NULL ? newline + 1 : end;
    return line;
}

static void check_realm(const char *header)
{
    char *path = metadata_key_path(header, "/t", NULL);
    demand(path == NULL || (strncmp(path, "/t/", 3) == 0 && strchr(path + 3, '/') == NULL &&
                            strlen(path) <= METADATA_KEY_PATH_MAX && path[3] != '.'));
    free(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const unsigned statuses[] = {200, 200, 400, 401, 302, 407, 429, 500, 0, 201};
    struct answer answer;
    if (size < 2)
        return 0;
    const char *at = (const char *)data + 2, *end = (const char *)data + size;
    char *retry_after = take_line(&at, end), *date = take_line(&at, end);
    char *realm = take_line(&at, end);
    struct secret *body = secret_copy(at, (size_t)(end - at));
    answer_prepare();
    answer_read(&answer, &(struct answer_received){
                             .question = (enum answer_question)(data[0] % 5),
                             .status = statuses[data[1] % 10],
                             .retry_after = retry_after,
                             .date = date,
                             .body = body,
                             .now = 1790000000,
                         });
    demand(answer.wait <= ANSWER_WAIT_MAX);
    if (answer.outcome == ANSWER_TOKEN)
        check_token(&answer);
    else if (answer.outcome == ANSWER_FAILED)
        check_failure(&answer);
    else
        demand(answer.device_code != NULL && answer.user_code[0] != '\0' && answer.interval >= 1 &&
               answer.interval <= 60 && answer.code_life >= 60);
    check_realm(realm);
    answer_free(&answer);
    secret_free(body);
    free(retry_after);
    free(date);
    free(realm);
    return 0;
}
