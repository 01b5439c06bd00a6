/* fuzz_sasl.c - whatever a server asks in AUTH
 *
 * libFuzzer (clang -fsanitize=fuzzer). The first byte says which mechanism and whether a long
 * command may be sent; then come, each up to a NUL, user name, secret, and challenges.
 */
#include "common/upstream/sasl.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Our lines of one exchange: the command, user, password; or reasons acknowledged; "*". */
#define LINES_MAX 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The next piece up to a NUL. */
static const char *take(const char **rest, const char *end)
{
    const char *piece = *rest;
    if (piece >= end)
        return NULL;
    *rest = piece + strlen(piece) + 1;
    return piece;
}

static void check_line(struct secret *line)
{
    const char *text = secret_reveal(line);
    if (strlen(text) != secret_length(line) || strpbrk(text, "\r\n") != NULL)
        abort(); /* the server would read two lines */
    secret_free(line);
}

/* The unit tests look at what it says. */
static void check_encoding(const char *secret, struct secret *line)
{
    if (secret_length(line) != (strlen(secret) + 2) / 3 * 4)
        abort();
    check_line(line);
}

static void check_problem(const struct sasl *sasl)
{
    for (const char *byte = sasl->problem; *byte != '\0'; byte++)
        if (*byte < ' ' || *byte > '~')
            abort();
    if (sasl->problem[0] != '\0' && sasl->mechanism == SASL_LOGIN)
        abort();
}

static void hold(struct sasl *sasl, const char **rest, const char *end)
{
    struct error error = {.text = ""};
    size_t lines = 1;
    for (const char *challenge; (challenge = take(rest, end)) != NULL;) {
        enum sasl_state before = sasl->state;
        struct secret *line = sasl_next(sasl, challenge, &error);
        if ((line == NULL) != (before == SASL_CANCELLED) || (line == NULL && error.text[0] == '\0'))
            abort();
        if (line != NULL && ++lines > LINES_MAX)
            abort();
        if (line != NULL && sasl->mechanism == SASL_LOGIN && before == SASL_SECRET_WANTED)
            check_encoding(secret_reveal(sasl->secret), line);
        else if (line != NULL)
            check_line(line);
        check_problem(sasl);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    char *text = malloc(size);
    if (text == NULL)
        return 0;
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    const char *rest = text, *end = text + size - 1;
    const char *user = take(&rest, end), *bytes = take(&rest, end);
    if (bytes != NULL) {
        struct sasl sasl;
        struct secret *secret = secret_copy(bytes, strlen(bytes));
        sasl_start(&sasl, (data[0] & 1) != 0 ? SASL_XOAUTH2 : SASL_LOGIN, user, secret);
        check_line(sasl_first(&sasl, (data[0] & 2) != 0 ? SASL_COMMAND_MAX : 0));
        hold(&sasl, &rest, end);
        secret_free(secret);
    }
    free(text);
    return 0;
}
