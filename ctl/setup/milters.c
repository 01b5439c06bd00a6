/* milters.c - lists of milters, in main.cf and behind -o in master.cf */
#include "ctl/setup/milters.h"

#include "common/buffer.h"
#include "common/memory.h"

#include <stdlib.h>
#include <string.h>

#define SEPARATORS ", \t\r\n"
#define MOST       64 /* milters in a list */
/* What CHGFROM needs (milter_protocol in postconf(5)). */
#define PROTOCOL 6

/* Programs that sign, and the ports that their manuals and the usual recipes give them. */
static const char *const signers[] = {"dkim", "openarc", ":8891", ":8892", ":12301"};

static bool signs(const char *milter)
{
    for (size_t i = 0; i < sizeof(signers) / sizeof(signers[0]); i++)
        if (strcasestr(milter, signers[i]) != NULL)
            return true;
    return false;
}

/* What a piece of the list says when it is expanded: nothing, one milter or more. */
static void judge(const struct relay *relay, char *expanded, size_t begin, struct milters *milters)
{
    char *rest = expanded, *word;
    while ((word = strsep(&rest, SEPARATORS "{}")) != NULL) {
        if (word[0] == '\0' || strchr(word, '=') != NULL)
            continue;
        if (strcmp(word, relay->settings->milter_socket) == 0) {
            milters->has_ours = true;
            continue;
        }
        milters->has_others = true;
        if (signs(word) && !milters->has_signer) {
            milters->has_signer = true;
            milters->signer = begin;
        }
    }
}

bool milters_read(const struct relay *relay, const struct text *text, struct text_span value,
                  struct milters *milters, struct error *error)
{
    struct text_span rest = value, piece[MOST];
    char *pieces[MOST], *expanded[MOST] = {NULL};
    size_t count = 0;
    *milters = (struct milters){.value = value, .end = value.begin};
    while (count < MOST && text_next(text, SEPARATORS, &rest, &piece[count])) {
        pieces[count] = text_copy(text, piece[count]);
        milters->end = piece[count++].end;
    }
    bool fine =
        count == 0 || relay_expand(relay, (const char *const *)pieces, count, expanded, error);
    for (size_t i = 0; i < count; i++) {
        if (fine)
            judge(relay, expanded[i], piece[i].begin, milters);
        free(pieces[i]);
        free(expanded[i]);
    }
    return fine && (count < MOST || error_set(error, "%s: more than %d milters in a list",
                                              relay->path[RELAY_MAIN], MOST));
}

bool milters_can_change(const struct relay *relay)
{
    return strtoul(relay->value[RELAY_MILTER_PROTOCOL], NULL, 10) >= PROTOCOL;
}

char *milters_ours(const struct relay *relay, bool has_others)
{
    const char *action = relay->value[RELAY_MILTER_ACTION];
    bool waits = strcmp(action, "tempfail") == 0;
    bool speaks = milters_can_change(relay);
    if (!has_others || (waits && speaks))
        return memory_copy(relay->settings->milter_socket);
    return memory_format("{%s%s%s}", relay->settings->milter_socket,
                         waits ? "" : ",default_action=tempfail", speaks ? "" : ",protocol=6");
}

char *milters_insert(const struct text *text, struct text_span whole, const struct milters *milters,
                     const char *ours, const char *separator, const char *behind)
{
    struct buffer copy = {0};
    bool is_first = milters->has_signer, is_empty = milters->end == milters->value.begin;
    size_t at = is_first && ours[0] != '\0' ? milters->signer : milters->end;
    buffer_append(&copy, text->data + whole.begin, at - whole.begin);
    if (ours[0] != '\0' && is_first)
        buffer_format(&copy, "%s%s", ours, separator);
    buffer_append(&copy, text->data + at, milters->end - at);
    if (ours[0] != '\0' && !is_first)
        buffer_format(&copy, "%s%s", is_empty ? "" : separator, ours);
    buffer_append_string(&copy, behind);
    buffer_append(&copy, text->data + milters->end, whole.end - milters->end);
    if (copy.length > 0 && text->data[whole.end - 1] != '\n')
        buffer_append_char(&copy, '\n');
    return buffer_take(&copy);
}
