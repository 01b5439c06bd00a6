/* scan.c - which messages of some accounts wait in Postfix's queue */
#include "transport/queue/scan.h"

#include "common/address.h"
#include "common/dictionary.h"
#include "common/memory.h"
#include "common/reason.h"
#include "common/silence.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define LIST_SEPARATORS ", \t\r\n" /* of post365_send_as_maps */
/* A message with a thousand recipients and their reasons; what is longer is passed over. */
#define LINE_MAX_OCTETS ((size_t)1 << 20)

struct found {
    char *id;
    int64_t arrival;
};

struct account {
    int64_t since;
};

struct scan {
    scan_wanted *wanted;
    void *context;
    struct dictionary *accounts;
    struct dictionary *senders;    /* addresses and @domains to the accounts' structs */
    struct found found[SCAN_MOST]; /* the oldest first */
    size_t count;
    int64_t oldest; /* of all that wait, or 0 */
    bool skipping;  /* the rest of a line that is too long */
};

/* Keeps it if it is among the oldest. */
static void keep(struct scan *scan, const char *id, int64_t arrival)
{
    size_t place = scan->count;
    while (place > 0 && scan->found[place - 1].arrival > arrival)
        place--;
    if (place == SCAN_MOST)
        return;
    if (scan->count == SCAN_MOST)
        free(scan->found[--scan->count].id);
    memmove(&scan->found[place + 1], &scan->found[place],
            (scan->count - place) * sizeof(struct found));
    scan->found[place] = (struct found){memory_copy(id), arrival};
    scan->count++;
}

static bool is_word(const char *id)
{
    return id[0] != '\0' && id[strspn(id, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                          "abcdefghijklmnopqrstuvwxyz")] == '\0';
}

/* postqueue(1) shows the null sender as MAILER-DAEMON: whose it is cannot be told. */
static bool is_by_sender(const struct scan *scan, const char *sender, int64_t arrival)
{
    if (sender[0] == '\0' || strcmp(sender, "MAILER-DAEMON") == 0)
        return dictionary_count(scan->accounts) > 0;
    char *folded = address_fold(sender);
    const struct account *account = dictionary_find(scan->senders, folded);
    const char *domain = strrchr(folded, '@');
    if (account == NULL && domain != NULL)
        account = dictionary_find(scan->senders, domain);
    free(folded);
    return account != NULL && arrival >= account->since;
}

/* The account that the reason names, NULL if it names none. */
static char *account_of(json_t *message)
{
    size_t number;
    json_t *recipient;
    json_array_foreach(json_object_get(message, "recipients"), number, recipient)
    {
        char *account =
            reason_account(json_string_value(json_object_get(recipient, "delay_reason")));
        if (account != NULL)
            return account;
    }
    return NULL;
}

static bool is_looked_for(const struct scan *scan, json_t *message, const char *sender,
                          int64_t arrival)
{
    char *name = account_of(message);
    if (name == NULL)
        return is_by_sender(scan, sender, arrival);
    const struct account *account = dictionary_find(scan->accounts, name);
    free(name);
    return account != NULL && arrival >= account->since;
}

static bool is_in_doubt(const json_t *message)
{
    size_t number;
    const json_t *recipient;
    json_array_foreach(json_object_get(message, "recipients"), number, recipient)
    {
        const char *reason = json_string_value(json_object_get(recipient, "delay_reason"));
        if (reason != NULL && silence_is_doubt(reason))
            return true;
    }
    return false;
}

static void note_age(struct scan *scan, const char *queue, int64_t arrival)
{
    if (strcmp(queue, "hold") != 0 && strcmp(queue, "corrupt") != 0 && arrival > 0 &&
        (scan->oldest == 0 || arrival < scan->oldest))
        scan->oldest = arrival;
}

static void take_line(struct scan *scan, const char *line, size_t length)
{
    json_t *message = json_loadb(line, length, 0, NULL);
    const char *queue = json_string_value(json_object_get(message, "queue_name"));
    const char *id = json_string_value(json_object_get(message, "queue_id"));
    const char *sender = json_string_value(json_object_get(message, "sender"));
    int64_t arrival = json_integer_value(json_object_get(message, "arrival_time"));
    if (queue != NULL)
        note_age(scan, queue, arrival);
    if (queue != NULL && id != NULL && sender != NULL && strcmp(queue, "deferred") == 0 &&
        is_word(id) && is_looked_for(scan, message, sender, arrival) &&
        scan->wanted(scan->context, id) && !is_in_doubt(message))
        keep(scan, id, arrival);
    json_decref(message);
}

void scan_read(struct scan *scan, struct evbuffer *bytes)
{
    size_t length;
    char *line;
    while ((line = evbuffer_readln(bytes, &length, EVBUFFER_EOL_LF)) != NULL) {
        if (!scan->skipping && length <= LINE_MAX_OCTETS)
            take_line(scan, line, length);
        scan->skipping = false;
        free(line);
    }
    if (evbuffer_get_length(bytes) > LINE_MAX_OCTETS) {
        evbuffer_drain(bytes, evbuffer_get_length(bytes));
        scan->skipping = true;
    }
}

struct scan *scan_new(scan_wanted *wanted, void *context)
{
    struct scan *scan = memory_zero(1, sizeof(*scan));
    scan->wanted = wanted;
    scan->context = context;
    scan->accounts = dictionary_new(free);
    scan->senders = dictionary_new(NULL);
    return scan;
}

void scan_add(struct scan *scan, const char *account, const char *send_as, int64_t since)
{
    struct account *added = memory_zero(1, sizeof(*added));
    char *list = memory_copy(send_as), *rest = list, *sender;
    added->since = since;
    dictionary_put(scan->accounts, account, added);
    while ((sender = strsep(&rest, LIST_SEPARATORS)) != NULL) {
        char *folded = address_fold(sender);
        if (folded[0] != '\0')
            dictionary_put(scan->senders, folded, added);
        free(folded);
    }
    dictionary_put(scan->senders, account, added);
    free(list);
}

size_t scan_count(const struct scan *scan)
{
    return scan->count;
}

bool scan_is_full(const struct scan *scan)
{
    return scan->count == SCAN_MOST;
}

const char *scan_id(const struct scan *scan, size_t number)
{
    return scan->found[number].id;
}

int64_t scan_arrival(const struct scan *scan, size_t number)
{
    return scan->found[number].arrival;
}

int64_t scan_oldest(const struct scan *scan)
{
    return scan->oldest;
}

struct visitor {
    void (*visit)(void *context, const char *account);
    void *context;
};

static void visit_account(void *context, const char *account, void *value)
{
    (void)value;
    const struct visitor *visitor = context;
    visitor->visit(visitor->context, account);
}

void scan_each_account(const struct scan *scan, void (*visit)(void *context, const char *account),
                       void *context)
{
    struct visitor visitor = {visit, context};
    dictionary_each(scan->accounts, visit_account, &visitor);
}

void scan_free(struct scan *scan)
{
    if (scan == NULL)
        return;
    for (size_t i = 0; i < scan->count; i++)
        free(scan->found[i].id);
    dictionary_free(scan->accounts);
    dictionary_free(scan->senders);
    free(scan);
}
