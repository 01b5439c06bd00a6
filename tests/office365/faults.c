/* faults.c - things that go wrong on demand */
#include "faults.h"

#include "allocate.h"
#include "encoding.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

struct faults {
    struct fault *first;
    int64_t last_id;
    uint64_t random;
};

enum kind {
    KIND_STRING,
    KIND_NUMBER,
    KIND_REAL,
    KIND_TRISTATE,
    KIND_STAGE,
    KIND_ACTION,
    KIND_ROW,
    KIND_CERTIFICATE,
    KIND_COMMIT
};

#define AT(member) offsetof(struct fault, member)

static const struct field {
    const char *name;
    enum kind kind;
    size_t offset;
    int action; /* the action that this field implies, or -1 */
} fields[] = {
    {"stage", KIND_STAGE, AT(stage), -1},
    {"mailbox", KIND_STRING, AT(mailbox), -1},
    {"sender", KIND_STRING, AT(sender), -1},
    {"recipient", KIND_STRING, AT(recipient), -1},
    {"secure", KIND_TRISTATE, AT(secure), -1},
    {"skip", KIND_NUMBER, AT(skip), -1},
    {"every", KIND_NUMBER, AT(every), -1},
    {"times", KIND_NUMBER, AT(times), -1},
    {"probability", KIND_REAL, AT(probability), -1},
    {"after", KIND_NUMBER, AT(after), -1},
    {"delay", KIND_REAL, AT(delay), -1},
    {"action", KIND_ACTION, AT(action), -1},
    {"reply", KIND_STRING, AT(text), FAULT_REPLY},
    {"inject", KIND_STRING, AT(text), FAULT_INJECT},
    {"row", KIND_ROW, AT(row), FAULT_ROW},
    {"certificate", KIND_CERTIFICATE, AT(certificate), FAULT_CERTIFICATE},
    {"close", KIND_TRISTATE, AT(closes), -1},
    {"bytes", KIND_NUMBER, AT(bytes), -1},
    {"interval", KIND_REAL, AT(interval), -1},
    {"commit", KIND_COMMIT, AT(commit), -1},
};

#define FIELDS (sizeof fields / sizeof fields[0])

static const char *const action_names[] = {
    [FAULT_NONE] = "none",       [FAULT_DROP] = "drop",
    [FAULT_RESET] = "reset",     [FAULT_REPLY] = "reply",
    [FAULT_ROW] = "row",         [FAULT_GARBAGE] = "garbage",
    [FAULT_ENDLESS] = "endless", [FAULT_TRICKLE] = "trickle",
    [FAULT_INJECT] = "inject",   [FAULT_CERTIFICATE] = "certificate",
};

static const char *const commit_names[] = {
    [COMMIT_BEFORE] = "before", [COMMIT_AFTER] = "after", [COMMIT_NEVER] = "never"};

const char *fault_action_name(enum fault_action action)
{
    return action_names[action];
}

struct faults *faults_create(uint64_t seed)
{
    struct faults *faults = allocate(sizeof *faults);

    faults->random = seed;
    return faults;
}

void fault_release(struct fault *fault)
{
    if (fault == NULL || --fault->references > 0)
        return;
    free(fault->mailbox);
    free(fault->sender);
    free(fault->recipient);
    free(fault->text);
    free(fault);
}

void faults_clear(struct faults *faults)
{
    struct fault *fault, *next;

    for (fault = faults->first; fault != NULL; fault = next) {
        next = fault->next;
        fault_release(fault);
    }
    faults->first = NULL;
}

void faults_free(struct faults *faults)
{
    if (faults == NULL)
        return;
    faults_clear(faults);
    free(faults);
}

/* random_number - the next number of splitmix64: small, seedable, and good enough to pick victims
 */
static uint64_t random_number(struct faults *faults)
{
    uint64_t z = faults->random += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

void faults_random(struct faults *faults, void *buffer, size_t length)
{
    unsigned char *bytes = buffer;

    for (size_t i = 0; i < length; i++)
        bytes[i] = (unsigned char)random_number(faults);
}

static bool name_index(const char *const *names, size_t count, const char *name, int *index)
{
    for (size_t i = 0; name != NULL && i < count; i++) {
        if (strcmp(names[i], name) == 0) {
            *index = (int)i;
            return true;
        }
    }
    return false;
}

static bool read_enumeration(void *place, enum kind kind, const char *word)
{
    int index = 0;

    switch (kind) {
    case KIND_STAGE:
        return word != NULL && stage_find(word, place);
    case KIND_ROW:
        return word != NULL && reply_find(word, place);
    case KIND_CERTIFICATE:
        return word != NULL && tls_identity_find(word, place);
    case KIND_ACTION:
        if (!name_index(action_names, sizeof action_names / sizeof *action_names, word, &index))
            return false;
        *(enum fault_action *)place = (enum fault_action)index;
        return true;
    default:
        if (!name_index(commit_names, sizeof commit_names / sizeof *commit_names, word, &index))
            return false;
        *(enum fault_commit *)place = (enum fault_commit)index;
        return true;
    }
}

static bool read_field(struct fault *fault, const struct field *field, const json_t *value)
{
    void *place = (char *)fault + field->offset;

    switch (field->kind) {
    case KIND_STRING:
        free(*(char **)place);
        *(char **)place = duplicate(json_string_value(value));
        return json_is_string(value);
    case KIND_NUMBER:
        *(int64_t *)place = json_integer_value(value);
        return json_is_integer(value) && json_integer_value(value) >= 0;
    case KIND_REAL:
        *(double *)place = json_number_value(value);
        return json_is_number(value) && json_number_value(value) >= 0;
    case KIND_TRISTATE:
        *(int *)place = json_is_true(value) ? 1 : 0;
        return json_is_boolean(value);
    default:
        return read_enumeration(place, field->kind, json_string_value(value));
    }
}

static bool read_name(struct fault *fault, const char *name, const json_t *value,
                      struct problem *problem)
{
    for (size_t i = 0; i < FIELDS; i++) {
        if (strcmp(fields[i].name, name) != 0)
            continue;
        if (!read_field(fault, &fields[i], value))
            return problem_set(problem, "fault: bad value for \"%s\"", name);
        if (fields[i].action >= 0)
            fault->action = (enum fault_action)fields[i].action;
        return true;
    }
    return problem_set(problem, "a fault has no \"%s\"", name);
}

static bool read_fault(struct fault *fault, const json_t *value, struct problem *problem)
{
    const char *name;
    json_t *item;

    if (!json_is_object(value) || json_object_get(value, "stage") == NULL)
        return problem_set(problem, "a fault must be an object with a \"stage\"");
    json_object_foreach((json_t *)value, name, item)
    {
        if (!read_name(fault, name, item, problem))
            return false;
    }
    if ((fault->action == FAULT_REPLY || fault->action == FAULT_INJECT) && fault->text == NULL)
        return problem_set(problem, "fault: the action needs a text in \"%s\"",
                           fault->action == FAULT_REPLY ? "reply" : "inject");
    if (fault->action == FAULT_INJECT && fault->stage != STAGE_STARTTLS)
        return problem_set(problem, "fault: \"inject\" belongs to the stage \"starttls\"");
    if (fault->action == FAULT_CERTIFICATE && fault->stage != STAGE_TLS)
        return problem_set(problem, "fault: \"certificate\" belongs to the stage \"tls\"");
    return true;
}

int64_t faults_add(struct faults *faults, const json_t *value, struct problem *problem)
{
    struct fault **end = &faults->first;
    struct fault *fault = allocate(sizeof *fault);

    fault->references = 1;
    fault->secure = -1;
    fault->closes = -1;
    fault->every = 1;
    fault->probability = 1;
    fault->interval = 0.01;
    fault->bytes = -1;
    if (!read_fault(fault, value, problem)) {
        fault_release(fault);
        return 0;
    }
    if (fault->bytes < 0)
        fault->bytes = fault->action == FAULT_GARBAGE ? 512 : 0;
    fault->id = ++faults->last_id;
    while (*end != NULL)
        end = &(*end)->next;
    *end = fault;
    return fault->id;
}

bool faults_remove(struct faults *faults, int64_t id)
{
    for (struct fault **link = &faults->first; *link != NULL; link = &(*link)->next) {
        struct fault *fault = *link;
        if (fault->id == id) {
            *link = fault->next;
            fault_release(fault);
            return true;
        }
    }
    return false;
}

json_t *faults_describe(const struct faults *faults)
{
    json_t *list = json_array();

    for (const struct fault *fault = faults->first; fault != NULL; fault = fault->next) {
        json_t *item = json_object();
        encoding_set(item, "id", json_integer(fault->id));
        encoding_set(item, "stage", json_string(stage_name(fault->stage)));
        encoding_set(item, "action", json_string(action_names[fault->action]));
        encoding_set(item, "seen", json_integer(fault->seen));
        encoding_set(item, "hits", json_integer(fault->hits));
        encoding_append(list, item);
    }
    return list;
}

static bool pattern_fits(const char *pattern, const char *text)
{
    return pattern == NULL || (text != NULL && fnmatch(pattern, text, FNM_CASEFOLD) == 0);
}

static bool concerns(const struct fault *fault, const struct fault_occasion *occasion)
{
    if (fault->stage != occasion->stage ||
        (fault->secure >= 0 && (fault->secure == 1) != occasion->secure) ||
        !pattern_fits(fault->mailbox, occasion->mailbox) ||
        !pattern_fits(fault->sender, occasion->sender))
        return false;
    if (fault->recipient == NULL)
        return true;
    for (size_t i = 0; i < occasion->recipient_count; i++) {
        if (pattern_fits(fault->recipient, occasion->recipients[i]))
            return true;
    }
    return false;
}

/* fires - count this occasion, and decide */
static bool fires(struct faults *faults, struct fault *fault)
{
    int64_t turn = ++fault->seen - fault->skip;

    if (turn <= 0 || (fault->times > 0 && fault->hits >= fault->times))
        return false;
    if (fault->every > 1 && turn % fault->every != 0)
        return false;
    if (fault->probability < 1 &&
        (double)(random_number(faults) >> 11) * 0x1p-53 >= fault->probability)
        return false;
    fault->hits++;
    return true;
}

struct fault *faults_match(struct faults *faults, const struct fault_occasion *occasion)
{
    for (struct fault *fault = faults->first; fault != NULL; fault = fault->next) {
        if (concerns(fault, occasion) && fires(faults, fault)) {
            fault->references++;
            return fault;
        }
    }
    return NULL;
}
