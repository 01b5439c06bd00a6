/* silence.c - trouble of an account that no reply tells of */
#include "common/silence.h"

#include <string.h>

const char *silence_name(enum silence silence)
{
    static const char *const names[SILENCES] = {
        [SILENCE_NONE] = "",
        [SILENCE_MAYBE_DELIVERED] = "maybe-delivered",
        [SILENCE_STALLED] = "connection-stalled",
        [SILENCE_LOST] = "connection-lost",
        [SILENCE_LOGIN] = "login-unanswered",
    };
    return names[silence];
}

bool silence_is_doubt(const char *reason)
{
    return strstr(reason, SILENCE_DOUBT_WORDS) != NULL &&
           strstr(reason, " is paused until ") == NULL;
}
