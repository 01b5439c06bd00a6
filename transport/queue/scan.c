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

/* The oldest first. */
struct list {
    struct found *found;
    size_t count, most;
};

struct account {
    int64_t since;
    struct list probe; /* what is looked for of this account alone; `most` is 0: nothing */
};

struct scan {
    scan_wanted *wanted;
    void *context;
    struct dictionary *accounts;
    struct dictionary *senders; /* addresses and @domains to the accounts' structs */
    struct list all;            /* but for probes */
    int64_t oldest;             /* of all that wait, or 0 */
    bool skipping;              /* the rest of a line that is too long */
};

/* Keeps it if it is among the oldest. */
static void keep(struct list *list, const char *id, int64_t arrival)
{
    size_t place = list->count;
    while (place > 0 && list->found[place - 1].arrival > arrival)
        place--;
    if (place == list->most)
        return;
    if (list->count == list->most)
        free(list->found[--list->count].id);
    memmove(&list->found[place + 1], &list->found[place],
            (list->count - place) * sizeof(struct found));
    list->found[place] = (struct found){memory_copy(id), arrival};
    list->count++;
}

static void begin_list(struct list *list, size_t most)
{
    list->most = most;
    list->found = memory_zero(most, sizeof(list->found[0]));
}

static void release_list(struct list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->found[i].id);
    free(list->found);
}

static void release_account(void *value)
{
    struct account *account = value;
    release_list(&account->probe);
    free(account);
}

static bool is_word(const char *id)
{
    return id[0] != '\0' && id[strspn(id, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                          "abcdefghijklmnopqrstuvwxyz")] == '\0';
}

/* postqueue(1) shows the null sender as MAILER-DAEMON. */
static bool is_null(const char *sender)
{
    return sender[0] == '\0' || strcmp(sender, "MAILER-DAEMON") == 0;
}

static struct account *by_sender(const struct scan *scan, const char *sender)
{
    char *folded = address_fold(sender);
    struct account *account = dictionary_find(scan->senders, folded);
    const char *domain = strrchr(folded, '@');
    if (account == NULL && domain != NULL)
        account = dictionary_find(scan->senders, domain);
    free(folded);
    return account;
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

/* Where a message belongs, NULL if it is not looked for. Whose that of the null sender is cannot be
 * told if its reason does not. */
static struct list *list_of(struct scan *scan, json_t *message, const char *sender, int64_t arrival)
{
    char *name = account_of(message);
    if (name == NULL && is_null(sender))
        return dictionary_count(scan->accounts) > 0 ? &scan->all : NULL;
    struct account *account =
        name != NULL ? dictionary_find(scan->accounts, name) : by_sender(scan, sender);
    free(name);
    if (account == NULL || arrival < account->since)
        return NULL;
    return account->probe.most > 0 ? &account->probe : &scan->all;
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
    struct list *list = NULL;
    if (queue != NULL)
        note_age(scan, queue, arrival);
    if (queue != NULL && id != NULL && sender != NULL && strcmp(queue, "deferred") == 0 &&
        is_word(id) && (list = list_of(scan, message, sender, arrival)) != NULL &&
        scan->wanted(scan->context, id) && !is_in_doubt(message))
        keep(list, id, arrival);
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
    scan->accounts = dictionary_new(release_account);
    scan->senders = dictionary_new(NULL);
    begin_list(&scan->all, SCAN_MOST);
    return scan;
}

static struct account *add(struct scan *scan, const char *account, const char *send_as)
{
    struct account *added = memory_zero(1, sizeof(*added));
    char *list = memory_copy(send_as), *rest = list, *sender;
    dictionary_put(scan->accounts, account, added);
    while ((sender = strsep(&rest, LIST_SEPARATORS)) != NULL) {
        char *folded = address_fold(sender);
        if (folded[0] != '\0')
            dictionary_put(scan->senders, folded, added);
        free(folded);
    }
    dictionary_put(scan->senders, account, added);
    free(list);
    return added;
}

void scan_add(struct scan *scan, const char *account, const char *send_as, int64_t since)
{
    add(scan, account, send_as)->since = since;
}

/* The messages up to that one are enough to tell it, or how many there are. */
void scan_add_probe(struct scan *scan, const char *account, const char *send_as, size_t turn)
{
    begin_list(&add(scan, account, send_as)->probe, turn < SCAN_MOST ? turn + 1 : SCAN_MOST);
}

const char *scan_probe(const struct scan *scan, const char *account, size_t turn)
{
    const struct account *known = dictionary_find(scan->accounts, account);
    const struct list *list = known != NULL && known->probe.count > 0 ? &known->probe : &scan->all;
    return list->count > 0 ? list->found[turn % list->count].id : NULL;
}

size_t scan_count(const struct scan *scan)
{
    return scan->all.count;
}

bool scan_is_full(const struct scan *scan)
{
    return scan->all.count == SCAN_MOST;
}

const char *scan_id(const struct scan *scan, size_t number)
{
    return scan->all.found[number].id;
}

int64_t scan_arrival(const struct scan *scan, size_t number)
{
    return scan->all.found[number].arrival;
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
    release_list(&scan->all);
    dictionary_free(scan->accounts);
    dictionary_free(scan->senders);
    free(scan);
}
