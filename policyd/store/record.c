/* record.c - the ledger's records as bytes */
#include "policyd/store/record.h"

#include <string.h>

#define VERSION          1
#define ACCOUNT_HEAD     31
#define TURN_HEAD        9
#define CLOCK_HEAD       25
#define RESERVATION_SIZE 21

/* --- numbers ------------------------------------------------------------------ */

static unsigned char *put_number(unsigned char *place, uint64_t number, size_t size)
{
    for (size_t i = size; i-- > 0; number >>= 8)
        place[i] = (unsigned char)number;
    return place + size;
}

static const unsigned char *get_number(const unsigned char *place, uint64_t *number, size_t size)
{
    *number = 0;
    for (size_t i = 0; i < size; i++)
        *number = *number << 8 | place[i];
    return place + size;
}

static unsigned char *put_compact(unsigned char *place, uint32_t number)
{
    int shift = 28;
    while (shift > 0 && number >> shift == 0)
        shift -= 7;
    for (; shift > 0; shift -= 7)
        *place++ = (unsigned char)(0x80 | (number >> shift & 0x7f));
    *place++ = number & 0x7f;
    return place;
}

/* NULL if it does not end before `end`, or is larger than a number can be, or `place` is NULL. */
static const unsigned char *get_compact(const unsigned char *place, const unsigned char *end,
                                        uint32_t *number)
{
    uint64_t value = 0;
    unsigned char byte = 0x80;
    while (place != NULL && place < end && (byte & 0x80) != 0 && value <= UINT32_MAX >> 7) {
        byte = *place++;
        value = value << 7 | (byte & 0x7f);
    }
    *number = (uint32_t)value;
    return (byte & 0x80) == 0 ? place : NULL;
}

/* --- writing ------------------------------------------------------------------ */

void record_key(struct record *record, uint64_t number, size_t size)
{
    record->key_size = size;
    put_number(record->key, number, size);
}

bool record_of_account(struct record *record, const struct store_account *account)
{
    const struct store_pause *pause = &account->pause;
    size_t name_length = strlen(account->name);
    size_t cause_length = pause->cause != NULL ? strlen(pause->cause) : 0;
    if (name_length > STORE_NAME_MAX || cause_length > STORE_CAUSE_MAX)
        return false;
    record_key(record, account->number, RECORD_ACCOUNT_KEY);
    unsigned char *place = put_number(record->value, VERSION, 1);
    place = put_number(place, (uint64_t)account->retention, 8);
    place = put_number(place, (uint64_t)pause->since, 8);
    place = put_number(place, (uint64_t)pause->until, 8);
    place = put_number(place, pause->failures, 4);
    place = put_number(place, name_length, 2);
    memcpy(place, account->name, name_length);
    if (cause_length > 0)
        memcpy(place + name_length, pause->cause, cause_length);
    record->value_size = ACCOUNT_HEAD + name_length + cause_length;
    return true;
}

void record_of_clock(struct record *record, const struct store_clock *clock)
{
    size_t length = strnlen(clock->boot, sizeof(clock->boot) - 1);
    record_key(record, RECORD_CLOCK_NUMBER, RECORD_ACCOUNT_KEY);
    unsigned char *place = put_number(record->value, VERSION, 1);
    place = put_number(place, (uint64_t)clock->boottime, 8);
    place = put_number(place, (uint64_t)clock->wall, 8);
    place = put_number(place, (uint64_t)clock->time, 8);
    memcpy(place, clock->boot, length);
    record->value_size = CLOCK_HEAD + length;
}

bool record_of_turn(struct record *record, const struct store_turn *turn)
{
    if (turn->count > STORE_TURN_MAX)
        return false;
    record_key(record, turn->sequence, RECORD_TURN_KEY);
    unsigned char *place = put_number(record->value, VERSION, 1);
    place = put_number(place, (uint64_t)turn->time, 8);
    for (size_t i = 0; i < turn->count; i++) {
        place = put_compact(place, turn->sent[i].account);
        place = put_compact(place, turn->sent[i].recipients);
        place = put_compact(place, turn->sent[i].messages);
    }
    record->value_size = (size_t)(place - record->value);
    return true;
}

void record_of_reservation(struct record *record, const struct store_reservation *reservation)
{
    record_key(record, reservation->id, RECORD_RESERVATION_KEY);
    unsigned char *place = put_number(record->value, VERSION, 1);
    place = put_number(place, reservation->account, 4);
    place = put_number(place, (uint64_t)reservation->time, 8);
    place = put_number(place, reservation->recipients, 4);
    put_number(place, reservation->messages, 4);
    record->value_size = RESERVATION_SIZE;
}

/* --- reading ------------------------------------------------------------------ */

static bool is_of_version(const struct record_view *view, size_t key_size, size_t least)
{
    return view->key_size == key_size && view->value_size >= least && view->value[0] == VERSION;
}

/* False if it is none: longer than it may be, or with a NUL in it. */
static bool get_string(const unsigned char *place, size_t length, char *string, size_t size)
{
    if (length >= size || memchr(place, '\0', length) != NULL)
        return false;
    memcpy(string, place, length);
    string[length] = '\0';
    return true;
}

bool record_read_account(const struct record_view *view, struct store_account *account,
                         struct record_strings *strings)
{
    if (!is_of_version(view, RECORD_ACCOUNT_KEY, ACCOUNT_HEAD + 1))
        return false;
    uint64_t retention, since, until, failures, length;
    const unsigned char *place = get_number(view->value + 1, &retention, 8);
    place = get_number(place, &since, 8);
    place = get_number(place, &until, 8);
    place = get_number(place, &failures, 4);
    place = get_number(place, &length, 2);
    size_t rest = view->value_size - ACCOUNT_HEAD;
    if (length == 0 || length > rest ||
        !get_string(place, length, strings->name, sizeof(strings->name)) ||
        !get_string(place + length, rest - length, strings->cause, sizeof(strings->cause)))
        return false;
    bool is_paused = since != 0 || until != 0 || failures != 0 || rest > length;
    *account = (struct store_account){.number = (uint32_t)record_number(view),
                                      .retention = (int64_t)retention,
                                      .name = strings->name,
                                      .pause = {(int64_t)since, (int64_t)until, (uint32_t)failures,
                                                is_paused ? strings->cause : NULL}};
    return account->retention >= 0 && account->pause.since >= 0 && account->pause.until >= 0;
}

bool record_read_clock(const struct record_view *view, struct store_clock *clock)
{
    if (!is_of_version(view, RECORD_ACCOUNT_KEY, CLOCK_HEAD))
        return false;
    uint64_t boottime, wall, time;
    const unsigned char *place = get_number(view->value + 1, &boottime, 8);
    place = get_number(place, &wall, 8);
    place = get_number(place, &time, 8);
    *clock = (struct store_clock){
        .boottime = (int64_t)boottime, .wall = (int64_t)wall, .time = (int64_t)time};
    return clock->boottime >= 0 && clock->wall >= 0 && clock->time >= 0 &&
           get_string(place, view->value_size - CLOCK_HEAD, clock->boot, sizeof(clock->boot));
}

static bool read_sent(const unsigned char *place, const unsigned char *end, struct store_turn *turn,
                      struct store_sent *sent)
{
    for (; place < end && turn->count < STORE_TURN_MAX; turn->count++) {
        struct store_sent *one = &sent[turn->count];
        place = get_compact(place, end, &one->account);
        place = get_compact(place, end, &one->recipients);
        place = get_compact(place, end, &one->messages);
        if (place == NULL)
            return false;
    }
    turn->sent = sent;
    return place == end;
}

bool record_read_turn(const struct record_view *view, struct store_turn *turn,
                      struct store_sent *sent)
{
    if (!is_of_version(view, RECORD_TURN_KEY, TURN_HEAD))
        return false;
    uint64_t time;
    const unsigned char *place = get_number(view->value + 1, &time, 8);
    *turn = (struct store_turn){.sequence = record_number(view), .time = (int64_t)time};
    return turn->time >= 0 &&
           (sent == NULL || read_sent(place, view->value + view->value_size, turn, sent));
}

bool record_read_reservation(const struct record_view *view, struct store_reservation *reservation)
{
    if (!is_of_version(view, RECORD_RESERVATION_KEY, RESERVATION_SIZE) ||
        view->value_size != RESERVATION_SIZE)
        return false;
    uint64_t account, time, recipients, messages;
    const unsigned char *place = get_number(view->value + 1, &account, 4);
    place = get_number(place, &time, 8);
    place = get_number(place, &recipients, 4);
    get_number(place, &messages, 4);
    *reservation = (struct store_reservation){.id = record_number(view),
                                              .account = (uint32_t)account,
                                              .time = (int64_t)time,
                                              .recipients = (uint32_t)recipients,
                                              .messages = (uint32_t)messages};
    return reservation->time >= 0;
}

uint64_t record_number(const struct record_view *view)
{
    uint64_t number;
    get_number(view->key, &number, view->key_size < 8 ? view->key_size : 8);
    return number;
}
