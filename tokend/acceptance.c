/* acceptance.c - what servers say of an access token at AUTH, and whether a new one helps */
#include "tokend/acceptance.h"

#include "common/clock.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define MINUTE     (60 * CLOCK_SECOND)
#define AGE_MIN    MINUTE        /* of a token that may be to blame */
#define OTHERS_MAX (5 * MINUTE)  /* since another account logged in with it */
#define PAUSE      (10 * MINUTE) /* between two new tokens for one account */

enum refusal { REFUSAL_OTHER, REFUSAL_LOGIN, REFUSAL_ENDS };

void acceptance_note(struct acceptance *acceptance, const char *account, int64_t now)
{
    if (acceptance->last[0] != '\0' && !address_equal(acceptance->last, account)) {
        memcpy(acceptance->other, acceptance->last, sizeof(acceptance->other));
        acceptance->other_at = acceptance->last_at;
    }
    snprintf(acceptance->last, sizeof(acceptance->last), "%s", account);
    acceptance->last_at = now;
}

static bool is_recent(const char *who, int64_t when, const char *account, int64_t now)
{
    return who[0] != '\0' && !address_equal(who, account) && now < when + OTHERS_MAX;
}

bool acceptance_by_others(const struct acceptance *acceptance, const char *account, int64_t now)
{
    return is_recent(acceptance->last, acceptance->last_at, account, now) ||
           is_recent(acceptance->other, acceptance->other_at, account, now);
}

/* Whether an enhanced status code stands at the text's beginning. */
static bool has_code(const char *text, const char *code)
{
    size_t length = strlen(code);
    return strncmp(text, code, length) == 0 && (text[length] == ' ' || text[length] == '\0');
}

static enum refusal refusal_of(const char *reply)
{
    static const struct {
        const char *code, *enhanced;
        enum refusal refusal;
    } known[] = {{"535", "5.7.3", REFUSAL_LOGIN},
                 {"501", "5.5.127", REFUSAL_ENDS},
                 {"535", "5.7.142", REFUSAL_ENDS},
                 {"535", "5.7.143", REFUSAL_ENDS}};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strncmp(reply, known[i].code, 3) == 0 && (reply[3] == ' ' || reply[3] == '-') &&
            has_code(reply + 4, known[i].enhanced))
            return known[i].refusal;
    return REFUSAL_OTHER;
}

bool acceptance_is_of_token(const char *reply)
{
    return refusal_of(reply) != REFUSAL_OTHER;
}

bool acceptance_wants_new(const struct acceptance *acceptance, const char *account,
                          const char *reply, int64_t got_at, int64_t *renewed_at, int64_t now)
{
    enum refusal refusal = refusal_of(reply);
    if (refusal == REFUSAL_OTHER || (*renewed_at != 0 && now < *renewed_at + PAUSE))
        return false;
    if (refusal == REFUSAL_LOGIN &&
        (now < got_at + AGE_MIN || acceptance_by_others(acceptance, account, now)))
        return false;
    *renewed_at = now > 0 ? now : 1;
    return true;
}
