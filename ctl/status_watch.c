/* status_watch.c - post365 status --watch
 *
 * A frame asks for the list of all accounts, and for the status of those alone that fit: it costs
 * the ledger little, however many accounts there are. */
#include "ctl/status_watch.h"

#include "common/clock.h"
#include "common/memory.h"
#include "ctl/account_text.h"
#include "ctl/oauth2/overview.h"
#include "ctl/watch.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#define INTERVAL (2 * CLOCK_SECOND)
#define TIMEOUT  (2 * CLOCK_SECOND) /* for the ledger; meanwhile no key is answered */

/* An account, and how much attention it needs. */
struct entry {
    char *name;
    enum { FINE, PROBED, PAUSED } trouble;
    uint64_t share; /* of its recipients that is used, in millionths */
    uint32_t waiting;
};

struct view {
    const struct settings *settings;
    struct ledger_client *client; /* NULL: away */
    char *const *names;           /* those to show, none: all */
    size_t name_count;
    struct entry *entries; /* of this frame */
    size_t count;
};

/* --- which accounts, and in what order ------------------------------------------ */

static struct entry *add_entry(struct view *view, const char *name)
{
    view->entries = memory_grow(view->entries, (view->count + 1) * sizeof(struct entry));
    struct entry *entry = &view->entries[view->count++];
    *entry = (struct entry){.name = memory_copy(name)};
    return entry;
}

static bool add_account(void *context, const struct ledger_reply_account *account)
{
    struct entry *entry = add_entry(context, account->name);
    entry->trouble = account->is_paused ? PAUSED : account->is_probed ? PROBED : FINE;
    if (account->recipients_limit != QUOTA_UNLIMITED)
        entry->share =
            account->recipients_limit == 0
                ? 1000000
                : account->recipients_used * UINT64_C(1000000) / account->recipients_limit;
    entry->waiting = account->waiting;
    return true;
}

static int compare_entries(const void *left, const void *right)
{
    const struct entry *a = left, *b = right;
    if (a->trouble != b->trouble)
        return a->trouble > b->trouble ? -1 : 1;
    if (a->share != b->share)
        return a->share > b->share ? -1 : 1;
    if (a->waiting != b->waiting)
        return a->waiting > b->waiting ? -1 : 1;
    return strcmp(a->name, b->name);
}

static void forget_entries(struct view *view)
{
    for (size_t i = 0; i < view->count; i++)
        free(view->entries[i].name);
    view->count = 0;
}

static bool find_entries(struct view *view, struct error *error)
{
    for (size_t i = 0; i < view->name_count; i++)
        add_entry(view, view->names[i]);
    if (view->name_count > 0)
        return true;
    if (!ledger_client_list(view->client, add_account, view, error))
        return false;
    if (view->count > 0)
        qsort(view->entries, view->count, sizeof(struct entry), compare_entries);
    return true;
}

/* --- drawing ------------------------------------------------------------------- */

static size_t count_lines(const struct buffer *lines)
{
    size_t count = 0;
    for (size_t i = 0; i < lines->length; i++)
        count += lines->data[i] == '\n';
    return count;
}

static void write_head(const struct screen *screen, struct buffer *frame, const struct view *view)
{
    char now[64];
    struct tm local;
    time_t seconds = time(NULL);
    size_t in_trouble = 0;
    for (size_t i = 0; i < view->count; i++)
        in_trouble += view->entries[i].trouble != FINE;
    strftime(now, sizeof(now), "%a %H:%M:%S", localtime_r(&seconds, &local));
    struct buffer head = {0};
    buffer_append_string(&head, now);
    if (view->count > 0)
        buffer_format(&head, "  %zu account%s", view->count, view->count == 1 ? "" : "s");
    if (in_trouble > 0)
        buffer_format(&head, ", %zu paused", in_trouble);
    buffer_append_string(&head, "  q ends");
    screen_paint(screen, frame, SCREEN_DIM, head.data);
    buffer_append_string(frame, "\n\n");
    buffer_free(&head);
}

/* The status of an account, or why there is none. False: the ledger is away. */
static bool write_account(const struct screen *screen, struct buffer *lines, struct view *view,
                          const char *name, struct error *error)
{
    const struct ledger_command command = {.kind = LEDGER_COMMAND_STATUS, .account = name};
    struct ledger_reply reply;
    if (!ledger_client_ask(view->client, &command, &reply, error))
        return false;
    if (reply.result == LEDGER_REPLY_DONE)
        account_write(screen, lines, &reply);
    else {
        screen_text(lines, name);
        buffer_append_string(lines, ": ");
        screen_text(lines, reply.reason);
        buffer_append_char(lines, '\n');
    }
    return true;
}

/* Whole accounts, as many as fit beside the line that counts the others. */
static bool write_accounts(const struct screen *screen, struct buffer *frame, struct view *view,
                           struct error *error)
{
    struct buffer lines = {0};
    bool is_there = true;
    size_t shown = 0;
    for (; shown < view->count; shown++) {
        buffer_clear(&lines);
        is_there = write_account(screen, &lines, view, view->entries[shown].name, error);
        size_t others = shown + 1 < view->count ? 1 : 0;
        if (!is_there || count_lines(frame) + count_lines(&lines) + others > screen->height)
            break;
        buffer_append(frame, lines.data, lines.length);
    }
    if (is_there && shown < view->count)
        buffer_format(frame, "%s and %zu account%s more\n", screen->has_utf8 ? "…" : "...",
                      view->count - shown, view->count - shown == 1 ? "" : "s");
    buffer_free(&lines);
    return is_there;
}

static void write_absence(const struct screen *screen, struct buffer *frame,
                          const struct error *error)
{
    struct buffer reason = {0};
    screen_paint(screen, frame, SCREEN_BAD, "The ledger cannot be asked; it is tried again.");
    buffer_append_char(frame, '\n');
    screen_text(&reason, error->text);
    screen_append_wrapped(screen, frame, reason.data, 0);
    buffer_free(&reason);
}

/* A client whose connection has failed is of no use any more. */
static void draw(void *context, const struct screen *screen, struct buffer *frame)
{
    struct view *view = context;
    struct error error;
    forget_entries(view);
    if (view->client == NULL)
        view->client = ledger_client_open(view->settings, TIMEOUT, &error);
    bool is_there = view->client != NULL && find_entries(view, &error);
    write_head(screen, frame, view);
    overview_write(screen, frame, view->settings, TIMEOUT);
    if (is_there && view->count == 0)
        buffer_append_string(frame, "The ledger knows no account yet: nothing was sent.\n");
    is_there = is_there && write_accounts(screen, frame, view, &error);
    if (is_there)
        return;
    ledger_client_close(view->client);
    view->client = NULL;
    forget_entries(view);
    buffer_clear(frame);
    write_head(screen, frame, view);
    write_absence(screen, frame, &error);
}

int status_watch(struct command_call *call, char *const names[], size_t count)
{
    struct view view = {.names = names, .name_count = count};
    struct error error;
    int status = COMMAND_FINE;
    struct settings *settings =
        settings_read(call->config_directory, (const char *const *)call->overrides, &error);
    view.settings = settings;
    if (settings == NULL)
        return command_fail(EX_CONFIG, "%s", error.text);
    if (!watch_run(&call->screen, INTERVAL, draw, &view, &error))
        status = command_fail(EX_OSERR, "%s", error.text);
    forget_entries(&view);
    free(view.entries);
    ledger_client_close(view.client);
    settings_free(settings);
    return status;
}
