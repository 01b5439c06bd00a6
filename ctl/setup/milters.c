/* milters.c - lists of milters, in main.cf and behind -o in master.cf */
#include "ctl/setup/milters.h"

#include "common/buffer.h"
#include "common/memory.h"
#include "ctl/relay/judge.h"
#include "ctl/relay/milter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEPARATORS ", \t\r\n"
#define MOST       64 /* milters in a list */

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
static void judge(const struct relay *relay, const char *expanded, struct text_span piece,
                  struct milters *milters)
{
    struct milter_list list;
    milter_list_read(relay->settings, expanded, &list);
    if (list.has_ours) {
        milters->has_ours = true;
        milters->is_ours_alone = !list.has_others;
        milters->ours = piece;
        snprintf(milters->action, sizeof(milters->action), "%s", list.action);
        snprintf(milters->protocol, sizeof(milters->protocol), "%s", list.protocol);
    }
    milters->has_others = milters->has_others || list.has_others;
    if (list.has_others && signs(expanded) && !milters->has_signer) {
        milters->has_signer = true;
        milters->signer = piece.begin;
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
            judge(relay, expanded[i], piece[i], milters);
        free(pieces[i]);
        free(expanded[i]);
    }
    return fine && (count < MOST || error_set(error, "%s: more than %d milters in a list",
                                              relay->path[RELAY_MAIN], MOST));
}

char *milters_ours(const struct relay *relay)
{
    const char *wanted = judge_action_wanted(relay->settings);
    bool waits = strcmp(relay->value[RELAY_MILTER_ACTION], wanted) == 0;
    bool speaks = judge_protocol(relay->settings, relay->value[RELAY_MILTER_PROTOCOL]).judgement ==
                  JUDGED_RIGHT;
    if (waits && speaks)
        return memory_copy(relay->settings->milter_socket);
    return memory_format("{%s%s%s%s}", relay->settings->milter_socket,
                         waits ? "" : ",default_action=", waits ? "" : wanted,
                         speaks ? "" : ",protocol=6");
}

const char *milters_faulty(const struct relay *relay, const struct milters *milters)
{
    const char *action =
        milters->action[0] != '\0' ? milters->action : relay->value[RELAY_MILTER_ACTION];
    const char *protocol =
        milters->protocol[0] != '\0' ? milters->protocol : relay->value[RELAY_MILTER_PROTOCOL];
    /* As it will be: with the transport. */
    struct settings settings = *relay->settings;
    settings.meter = METER_DELIVERY;
    struct judged judged = judge_action(&settings, action);
    if (judged.judgement == JUDGED_RIGHT)
        judged = judge_protocol(&settings, protocol);
    return judged.meaning;
}

/* "${name?}" at the end of a piece, which refers to a parameter and expands to nothing: where it
 * begins, or the piece's end. */
static size_t references_of(const struct text *text, struct text_span piece)
{
    const char *begin = text->data + piece.begin + 1;
    const char *at = piece.end > piece.begin + 1
                         ? memmem(begin, piece.end - piece.begin - 1, "${post365_", 10)
                         : NULL;
    return at != NULL ? (size_t)(at - text->data) : piece.end;
}

char *milters_replace(const struct text *text, struct text_span whole,
                      const struct milters *milters, const char *ours, const char *behind)
{
    struct buffer copy = {0};
    buffer_append(&copy, text->data + whole.begin, milters->ours.begin - whole.begin);
    buffer_append_string(&copy, ours);
    size_t rest = references_of(text, milters->ours);
    buffer_append(&copy, text->data + rest, milters->end - rest);
    buffer_append_string(&copy, behind);
    buffer_append(&copy, text->data + milters->end, whole.end - milters->end);
    if (copy.length > 0 && text->data[whole.end - 1] != '\n')
        buffer_append_char(&copy, '\n');
    return buffer_take(&copy);
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
