/* pause.c - how long an account is not used, and why */
#include "policyd/ledger/pause.h"

#include "common/memory.h"
#include "policyd/store/store.h"

#include <string.h>

/* Where a text is cut: not inside a UTF-8 character. */
static size_t cut(const char *text)
{
    size_t length = strlen(text);
    if (length <= STORE_CAUSE_MAX)
        return length;
    length = STORE_CAUSE_MAX;
    while (length > 0 && ((unsigned char)text[length] & 0xC0) == 0x80)
        length--;
    return length;
}

struct pause *pause_new(int64_t since, int64_t until, uint32_t failures, const char *cause)
{
    size_t length = cut(cause);
    struct pause *pause = memory_zero(1, sizeof(*pause) + length + 1);
    *pause = (struct pause){.since = since, .until = until, .failures = failures};
    memcpy(pause->cause, cause, length);
    return pause;
}

int64_t pause_length(uint32_t failures, int64_t least, int64_t most)
{
    int64_t length = least < most ? least : most;
    for (uint32_t i = 1; i < failures && length < most; i++)
        length = length > most / 2 ? most : length * 2;
    return length;
}

bool pause_is_for(const struct pause *pause, const char *cause)
{
    size_t length = cut(cause);
    return strlen(pause->cause) == length && memcmp(pause->cause, cause, length) == 0;
}

bool pause_is_in_force(const struct pause *pause, int64_t now)
{
    return pause != NULL && now < pause->until;
}

bool pause_is_probing(const struct pause *pause, int64_t now)
{
    return pause != NULL && pause->failures > 0 && now >= pause->until;
}

void pause_clamp(struct pause *pause, int64_t now)
{
    if (pause == NULL || pause->failures == 0 || pause->since <= now)
        return;
    pause->until = now + (pause->until - pause->since);
    pause->since = now;
}
