/* silence.c - trouble of an account that no reply tells of */
#include "common/silence.h"

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
