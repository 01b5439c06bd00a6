/* standing.c - what holds up mail that Postfix is working on */
#include "ctl/queue/standing.h"

#include "common/clock.h"
#include "common/dictionary.h"
#include "common/ledger_client.h"
#include "common/memory.h"
#include "ctl/account_text.h"

#include <stdlib.h>

#define LEDGER_TIMEOUT (10 * CLOCK_SECOND)

struct standing {
    const struct settings *settings;
    struct ledger_client *client; /* NULL: not opened yet, or it cannot be */
    bool was_opened;
    struct dictionary *known; /* accounts to causes, in a struct of their own */
};

struct answer {
    const struct cause *cause;
};

struct standing *standing_new(const struct settings *settings)
{
    struct standing *standing = memory_zero(1, sizeof(*standing));
    standing->settings = settings;
    standing->known = dictionary_new(free);
    return standing;
}

void standing_free(struct standing *standing)
{
    if (standing == NULL)
        return;
    ledger_client_close(standing->client);
    dictionary_free(standing->known);
    free(standing);
}

/* Where Postfix's own smtp(8) delivers, the ledger holds nothing up. */
static struct ledger_client *client_of(struct standing *standing)
{
    struct error error;
    if (!standing->was_opened && standing->settings->meter != METER_SUBMISSION)
        standing->client = ledger_client_open(standing->settings, LEDGER_TIMEOUT, &error);
    standing->was_opened = true;
    return standing->client;
}

static const struct cause *ask(struct ledger_client *client, const char *account)
{
    const struct ledger_command command = {.kind = LEDGER_COMMAND_STATUS, .account = account};
    struct ledger_reply status;
    struct error error;
    if (!ledger_client_ask(client, &command, &status, &error) || status.result != LEDGER_REPLY_DONE)
        return NULL;
    if (account_is_paused(&status))
        return cause_of_account(status.pause.cause);
    return status.note.since != 0 ? cause_of_account(status.note.cause) : NULL;
}

const struct cause *standing_find(struct standing *standing, const char *account)
{
    struct answer *answer = dictionary_find(standing->known, account);
    if (answer == NULL) {
        struct ledger_client *client = account[0] != '\0' ? client_of(standing) : NULL;
        answer = memory_zero(1, sizeof(*answer));
        answer->cause = client != NULL ? ask(client, account) : NULL;
        dictionary_put(standing->known, account, answer);
    }
    return answer->cause;
}
