/* answer.c - one reply, and the way in which it is given */
#include "answer.h"

#include "allocate.h"

#include <stdlib.h>
#include <string.h>

static void set_text(struct answer *answer, const char *text)
{
    size_t length = 0;
    char *wire = allocate(2 * strlen(text) + 3);

    for (; *text != '\0'; text++) {
        if (*text == '\n' && (length == 0 || wire[length - 1] != '\r'))
            wire[length++] = '\r';
        wire[length++] = *text;
    }
    if (length == 0 || wire[length - 1] != '\n') {
        wire[length++] = '\r';
        wire[length++] = '\n';
    }
    free(answer->text);
    answer->text = wire;
    answer->length = length;
}

/* close_if_421 - a 421 says that the connection ends, so it does */
static void close_if_421(struct answer *answer)
{
    answer->then = strncmp(answer->text, "421", 3) == 0 ? THEN_CLOSE : THEN_CONTINUE;
}

struct answer answer_text(const char *text)
{
    struct answer answer = {.text = NULL};

    set_text(&answer, text);
    close_if_421(&answer);
    return answer;
}

struct answer answer_row(enum reply_row row, const char *login, const char *other, uint64_t stamp)
{
    char *text = reply_text(row, login, other, stamp);
    struct answer answer = answer_text(text);

    free(text);
    return answer;
}

static void silence(struct answer *answer, enum answer_then then)
{
    free(answer->text);
    answer->text = NULL;
    answer->length = 0;
    answer->manner = ANSWER_SILENT;
    answer->then = then;
}

static void set_garbage(struct answer *answer, struct faults *faults, size_t length)
{
    free(answer->text);
    answer->text = allocate(length + 1);
    answer->length = length;
    answer->manner = ANSWER_GARBAGE;
    answer->then = THEN_CONTINUE;
    faults_random(faults, answer->text, length);
}

static void inject(struct answer *answer, const char *text)
{
    struct answer extra = answer_text(text);

    answer->text = allocate_again(answer->text, answer->length + extra.length + 1, 1);
    memcpy(answer->text + answer->length, extra.text, extra.length + 1);
    answer->length += extra.length;
    answer_clear(&extra);
}

static void replace(struct answer *answer, struct answer by)
{
    answer_clear(answer);
    *answer = by;
}

void answer_disturb(struct answer *answer, const struct fault *fault, struct faults *faults,
                    const char *login, const char *other, uint64_t stamp)
{
    switch (fault->action) {
    case FAULT_NONE:
    case FAULT_CERTIFICATE:
        break;
    case FAULT_DROP:
        silence(answer, THEN_DROP);
        break;
    case FAULT_RESET:
        silence(answer, THEN_RESET);
        break;
    case FAULT_REPLY:
        replace(answer, answer_text(fault->text));
        break;
    case FAULT_ROW:
        replace(answer, answer_row(fault->row, login, other, stamp));
        break;
    case FAULT_GARBAGE:
        set_garbage(answer, faults, (size_t)fault->bytes);
        break;
    case FAULT_ENDLESS:
        silence(answer, THEN_CONTINUE);
        answer->manner = ANSWER_ENDLESS;
        answer->bytes = fault->bytes;
        break;
    case FAULT_TRICKLE:
        if (answer->manner == ANSWER_PLAIN)
            answer->manner = ANSWER_TRICKLE;
        answer->interval = fault->interval;
        break;
    case FAULT_INJECT:
        inject(answer, fault->text);
        break;
    }
    answer->delay = fault->delay;
    if (fault->closes >= 0 && answer->then <= THEN_CLOSE)
        answer->then = fault->closes == 1 ? THEN_CLOSE : THEN_CONTINUE;
}

bool answer_positive(const struct answer *answer)
{
    return (answer->manner == ANSWER_PLAIN || answer->manner == ANSWER_TRICKLE) &&
           reply_positive(answer->text);
}

char *answer_line(const struct answer *answer)
{
    size_t length = answer->length;

    if (answer->text == NULL)
        return NULL;
    while (length > 0 && (answer->text[length - 1] == '\n' || answer->text[length - 1] == '\r'))
        length--;
    return duplicate_bytes(answer->text, length);
}

void answer_clear(struct answer *answer)
{
    free(answer->text);
    *answer = (struct answer){.manner = ANSWER_SILENT};
}
