/* fuzz_body.c - a message's data into the reader that finds their end
 *
 * libFuzzer (clang -fsanitize=fuzzer). The first byte says how the rest is cut into pieces. The
 * oracle is no state machine: it first makes all bare CRs and LFs blanks, then looks for the end
 * with memmem(3). Whatever the pieces, what has passed must be what it says, and no peer, however
 * lax about line ends, may find an end in it.
 */
#include "transport/lmtp/body.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool promise)
{
    if (!promise)
        abort();
}

/* What is expected of a text, with CRLF before it, which is where every message begins. */
struct oracle {
    char *text; /* with bare CRs and LFs as blanks, but what cannot be told yet as it came */
    size_t length;
    const char *end; /* CRLF . CRLF, or NULL */
};

static struct oracle ask_oracle(const char *text, size_t length)
{
    struct oracle oracle = {.text = malloc(length + 2), .length = length + 2};
    demand(oracle.text != NULL);
    memcpy(oracle.text, "\r\n", 2);
    memcpy(oracle.text + 2, text, length);
    for (size_t i = 2; i < oracle.length; i++) {
        bool is_last = i + 1 == oracle.length;
        if (oracle.text[i] == '\n' && oracle.text[i - 1] != '\r')
            oracle.text[i] = ' ';
        else if (oracle.text[i] == '\r' && !is_last && oracle.text[i + 1] != '\n')
            oracle.text[i] = ' ';
    }
    oracle.end = memmem(oracle.text, oracle.length, "\r\n.\r\n", 5);
    return oracle;
}

/* Every line end is CRLF, and no line is a lone dot. */
static void check_passed(const char *passed, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (passed[i] == '\r')
            demand(i + 1 < length && passed[i + 1] == '\n');
        if (passed[i] == '\n')
            demand(i > 0 && passed[i - 1] == '\r');
        bool begins = i == 0 || passed[i - 1] == '\n' || passed[i - 1] == '\r';
        if (passed[i] == '.' && begins)
            demand(i + 1 < length && passed[i + 1] != '\r' && passed[i + 1] != '\n');
    }
}

/* Gives the text in pieces, each in memory of its own, so that a sanitizer sees a look beyond.
 * Returns how much has been taken; it is in `passed`. */
static size_t run(struct body *body, const char *text, size_t length, size_t step, char *passed)
{
    size_t taken = 0;
    for (size_t available = 0; available < length && !body->has_ended;) {
        available = length - available > step ? available + step : length;
        size_t given = available - taken;
        char *piece = malloc(given);
        demand(piece != NULL);
        memcpy(piece, text + taken, given);
        size_t took = body_take(body, piece, given);
        demand(took <= given);
        demand(body->has_ended || given - took <= BODY_UNDECIDED_MAX);
        demand(!body->has_ended || given - took >= BODY_END_LENGTH);
        demand(memcmp(piece + took, text + taken + took, given - took) == 0);
        memcpy(passed + taken, piece, took);
        free(piece);
        taken += took;
    }
    return taken;
}

static void check(const char *text, size_t length, size_t step)
{
    struct body body = {0};
    struct oracle oracle = ask_oracle(text, length);
    char *passed = malloc(length + 1);
    demand(passed != NULL);
    size_t taken = run(&body, text, length, step, passed);
    demand(body.has_ended == (oracle.end != NULL));
    /* The CRLF before the dot has passed, or is the one that the oracle put there. */
    if (oracle.end != NULL)
        demand(taken == (size_t)(oracle.end - oracle.text));
    demand(memcmp(passed, oracle.text + 2, taken) == 0);
    check_passed(passed, taken);
    uint64_t replaced = 0;
    for (size_t i = 0; i < taken; i++)
        replaced += passed[i] != text[i];
    demand(replaced == body.replaced);
    free(passed);
    free(oracle.text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    const char *text = (const char *)data + 1;
    check(text, size - 1, (size_t)data[0] % 7 + 1);
    check(text, size - 1, SIZE_MAX / 2);
    return 0;
}
