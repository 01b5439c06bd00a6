/* subject.c - how things stand with the token of a registration or account, in words */
#include "ctl/oauth2/subject.h"

#include "common/clock.h"
#include "common/entra/cause.h"
#include "common/memory.h"
#include "common/room.h"
#include "ctl/output.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LABEL      13 /* columns */
#define DAY        INT64_C(86400)
#define GRANT_LIFE (90 * DAY) /* a refresh token that nobody uses for so long is over */
#define SKEW_TOLD  60         /* seconds */
#define SKEW_WRONG 300        /* from here on Entra takes a signature for one of another time */

/* --- what is wrong ------------------------------------------------------------------- */

static bool is_failing(const struct token_subject *state)
{
    return state->cause[0] != '\0';
}

/* Each account has a token of its own there, and none has one. */
static bool is_unused(const struct token_subject *state)
{
    return state->grant == TOKEN_GRANT_USER && state->account[0] == '\0';
}

static bool ends_soon(const struct token_subject *state, const struct subject_time *time)
{
    return state->credential_ends != 0 && state->credential_ends - time->now <= time->warn;
}

static bool is_over(const struct token_subject *state, const struct subject_time *time)
{
    return state->credential_ends != 0 && state->credential_ends <= time->now;
}

/* What is in its files is of no use, and something older serves. */
static bool is_held_over(const struct token_subject *state)
{
    return state->credential_cause[0] != '\0' && state->cause[0] == '\0';
}

static bool has_wrong_clock(const struct token_subject *state)
{
    return state->has_skew && llabs(state->skew) >= SKEW_WRONG;
}

enum subject_need subject_need(const struct subject *subject, const struct subject_time *time)
{
    const struct token_subject *state = &subject->state;
    if (state->state == TOKEN_STATE_STOPPED || is_failing(state) || is_over(state, time) ||
        claims_are_wrong(&subject->claims, state))
        return SUBJECT_NOW;
    return ends_soon(state, time) || is_held_over(state) || has_wrong_clock(state) ? SUBJECT_SOON
                                                                                   : SUBJECT_FINE;
}

/* What takes the places in a remedy. */
static struct screen_names names_of(const struct token_subject *state)
{
    const char *account = state->account[0] != '\0' ? state->account : NULL;
    const char *client_id = state->client_id[0] != '\0' ? state->client_id : NULL;
    const char *tenant = state->tenant[0] != '\0' ? state->tenant : NULL;
    return (struct screen_names){account, client_id, tenant, state->registration};
}

/* --- times ----------------------------------------------------------------------------- */

static void write_length(struct buffer *line, int64_t seconds)
{
    if (seconds >= 2 * DAY)
        buffer_format(line, "%" PRId64 " days", seconds / DAY);
    else
        room_write_length(line, seconds * CLOCK_SECOND);
}

/* "14:05:00 (12m ago)", with the date if it is not today's. */
static void write_past(struct buffer *line, int64_t when, int64_t now)
{
    char text[32];
    time_t then = (time_t)when, present = (time_t)now;
    struct tm then_parts, present_parts;
    localtime_r(&then, &then_parts);
    localtime_r(&present, &present_parts);
    bool is_today =
        then_parts.tm_year == present_parts.tm_year && then_parts.tm_yday == present_parts.tm_yday;
    strftime(text, sizeof(text), is_today ? "%H:%M:%S" : "%Y-%m-%d %H:%M:%S", &then_parts);
    buffer_format(line, "%s (", text);
    screen_age(line, (now - when) * CLOCK_SECOND);
    buffer_append_string(line, " ago)");
}

static void write_next(struct buffer *line, int64_t when, int64_t now)
{
    if (when > now)
        room_write_when(line, when * CLOCK_SECOND, now * CLOCK_SECOND);
    else
        buffer_append_string(line, "now");
}

static void write_day(struct buffer *line, int64_t when)
{
    char text[32];
    time_t seconds = (time_t)when;
    struct tm parts;
    strftime(text, sizeof(text), "%Y-%m-%d", localtime_r(&seconds, &parts));
    buffer_append_string(line, text);
}

/* --- lines ------------------------------------------------------------------------------- */

struct page {
    const struct screen *screen;
    struct buffer *lines;
    const struct subject *subject;
    const struct subject_time *time;
};

static void add_line(const struct screen *screen, struct buffer *lines, const char *label,
                     enum screen_style style, const char *text)
{
    struct buffer wrapped = {0}, shown = {0};
    screen_text(&shown, text);
    screen_append_wrapped(screen, &wrapped, shown.data, LABEL);
    wrapped.data[--wrapped.length] = '\0'; /* its last line end stands behind the colour */
    buffer_format(lines, "  %-*s", LABEL - 2, label);
    screen_paint(screen, lines, style, wrapped.data);
    buffer_append_char(lines, '\n');
    buffer_free(&wrapped);
    buffer_free(&shown);
}

/* Takes the text of `line`, and empties it. */
static void add(const struct page *page, const char *label, enum screen_style style,
                struct buffer *line)
{
    if (line->length > 0)
        add_line(page->screen, page->lines, label, style, line->data);
    buffer_free(line);
}

static void write_name(const struct page *page)
{
    const struct token_subject *state = &page->subject->state;
    bool is_user = state->account[0] != '\0';
    struct buffer name = {0};
    screen_text(&name, is_user ? state->account : state->registration);
    screen_paint(page->screen, page->lines, SCREEN_BOLD, name.data);
    if (is_user) {
        buffer_append_string(page->lines, " by ");
        screen_text(page->lines, state->registration);
    }
    buffer_append_char(page->lines, '\n');
    buffer_free(&name);
}

/* --- the token --------------------------------------------------------------------------- */

static void write_renewal(struct buffer *line, const struct token_subject *state, int64_t now)
{
    if (state->renewed != 0) {
        buffer_append_string(line, ", renewed ");
        write_past(line, state->renewed, now);
    }
    if (state->next != 0 && !is_failing(state)) {
        buffer_append_string(line, ", next ");
        write_next(line, state->next, now);
    }
}

static void write_token(const struct page *page)
{
    const struct token_subject *state = &page->subject->state;
    bool is_bad = is_failing(state) || state->state == TOKEN_STATE_STOPPED;
    struct buffer line = {0};
    if (state->has_token) {
        buffer_append_string(&line, "good for ");
        room_write_length(&line, state->left * CLOCK_SECOND);
    } else if (state->state == TOKEN_STATE_ASKING) {
        buffer_append_string(&line, "none yet, one is asked for");
    } else if (is_bad) {
        buffer_append_string(&line, "none, its mail waits");
    } else if (is_unused(state)) {
        buffer_append_string(&line, "none, nobody has logged in yet: `post365 login ACCOUNT`");
    } else {
        buffer_append_string(&line, "none, no mail has needed one yet");
    }
    if (state->has_token && is_bad)
        buffer_append_string(&line, ", and not renewed");
    write_renewal(&line, state, page->time->now);
    add(page, "token", is_bad ? SCREEN_BAD : state->has_token ? SCREEN_GOOD : SCREEN_PLAIN, &line);
}

void subject_write_failure(const struct screen *screen, struct buffer *lines, const char *name,
                           const char *reason, const struct screen_names *names)
{
    const struct entra_row *row = entra_named(name);
    struct buffer line = {0};
    if (name[0] != '\0') {
        buffer_format(&line, "%s%s%s", name, row != NULL ? ": " : "",
                      row != NULL ? row->meaning : "");
        add_line(screen, lines, "cause", SCREEN_PLAIN, line.data);
    }
    if (reason[0] != '\0')
        add_line(screen, lines, "reason", SCREEN_PLAIN, reason);
    if (row != NULL) {
        buffer_clear(&line);
        screen_text_named(&line, row->remedy, names);
        add_line(screen, lines, "remedy", SCREEN_PLAIN, line.data);
    }
    buffer_free(&line);
}

static void write_failure(const struct page *page)
{
    const struct token_subject *state = &page->subject->state;
    struct buffer line = {0};
    if (!is_failing(state))
        return;
    if (state->failures > 0)
        buffer_format(&line, "%" PRIu32 " time%s without success", state->failures,
                      state->failures == 1 ? "" : "s");
    if (state->failed_since != 0) {
        buffer_append_string(&line, line.length > 0 ? ", since " : "without success since ");
        write_past(&line, state->failed_since, page->time->now);
    }
    if (state->next != 0) {
        buffer_append_string(&line, line.length > 0 ? "; again " : "again ");
        write_next(&line, state->next, page->time->now);
    }
    const struct screen_names names = names_of(state);
    add(page, "tried", SCREEN_PLAIN, &line);
    subject_write_failure(page->screen, page->lines, state->cause, state->reason, &names);
}

/* --- the credential ---------------------------------------------------------------------- */

static const char *credential_words(const struct token_subject *state)
{
    static const char *const words[TOKEN_CREDENTIALS] = {
        [TOKEN_CREDENTIAL_SECRET] = "client secret",
        [TOKEN_CREDENTIAL_CERTIFICATE] = "certificate",
        [TOKEN_CREDENTIAL_FEDERATED] = "federated token, read anew each time",
        [TOKEN_CREDENTIAL_MANAGED] = "managed identity of this machine",
        [TOKEN_CREDENTIAL_NONE] = "none, a public client",
    };
    return words[state->credential];
}

static const char *next_credential(const struct token_subject *state)
{
    if (state->credential == TOKEN_CREDENTIAL_SECRET)
        return "Make a new secret in the Entra admin centre (App registrations, the application "
               "<client id>, Certificates & secrets), put its value into the file that "
               "`client_secret_file` in <registration> names, and its end into "
               "`client_secret_expires`. Better: a certificate, by `post365 oauth2 certificate`.";
    return "`post365 oauth2 certificate` makes the next one; upload it beside this one, and then "
           "name it in <registration>.";
}

/* "certificate, until 2028-11-27, in 729 days" */
static void write_end(struct buffer *line, const struct token_subject *state,
                      const struct subject_time *time)
{
    buffer_append_string(line, credential_words(state));
    if (is_over(state, time)) {
        buffer_append_string(line, ", ended on ");
        write_day(line, state->credential_ends);
    } else if (state->credential_ends != 0) {
        buffer_append_string(line, ends_soon(state, time) ? ", ends on " : ", until ");
        write_day(line, state->credential_ends);
        buffer_append_string(line, ", in ");
        write_length(line, state->credential_ends - time->now);
    } else if (state->credential == TOKEN_CREDENTIAL_SECRET) {
        buffer_append_string(line, "; when it ends is not known, `client_secret_expires` in the "
                                   "registration may say it");
    }
}

/* The next start of post365-tokend finds nothing else. */
static void write_held_over(const struct page *page)
{
    const struct token_subject *state = &page->subject->state;
    const struct screen_names names = names_of(state);
    struct buffer line = {0};
    if (!is_held_over(state))
        return;
    buffer_append_string(&line, "the former one, until post365-tokend is restarted: the new one is "
                                "of no use");
    add(page, "in use", SCREEN_BAD, &line);
    subject_write_failure(page->screen, page->lines, state->credential_cause,
                          state->credential_reason, &names);
}

static void write_credential(const struct page *page)
{
    const struct token_subject *state = &page->subject->state;
    struct buffer line = {0};
    bool is_soon = ends_soon(state, page->time);
    /* Of a registration that cannot be read nothing is known. */
    if (state->client_id[0] == '\0')
        return;
    write_end(&line, state, page->time);
    add(page, "credential", is_soon ? SCREEN_BAD : SCREEN_PLAIN, &line);
    write_held_over(page);
    if (!is_soon || is_failing(state))
        return;
    const struct screen_names names = names_of(state);
    screen_text_named(&line, next_credential(state), &names);
    add(page, "remedy", SCREEN_PLAIN, &line);
}

static void write_grant(const struct page *page)
{
    const struct token_subject *state = &page->subject->state;
    struct buffer line = {0};
    if (state->grant != TOKEN_GRANT_USER || state->grant_since == 0)
        return;
    buffer_append_string(&line, "login of ");
    write_day(&line, state->grant_since);
    if (state->renewed != 0) {
        buffer_append_string(&line, ", ends on ");
        write_day(&line, state->renewed + GRANT_LIFE);
        buffer_append_string(&line, " if it is not renewed before");
    }
    add(page, "grant", SCREEN_PLAIN, &line);
}

static void write_clock(const struct page *page)
{
    const struct token_subject *state = &page->subject->state;
    struct buffer line = {0};
    if (!state->has_skew || llabs(state->skew) < SKEW_TOLD)
        return;
    buffer_append_string(&line, "this machine's is ");
    room_write_length(&line, llabs(state->skew) * CLOCK_SECOND);
    buffer_format(&line, " %s Microsoft's", state->skew > 0 ? "behind" : "ahead of");
    if (has_wrong_clock(state))
        buffer_append_string(&line, ": set it right, `timedatectl` shows what it goes by");
    add(page, "clock", has_wrong_clock(state) ? SCREEN_BAD : SCREEN_PLAIN, &line);
}

/* --- the rest -------------------------------------------------------------------------------- */

static void write_application(const struct page *page)
{
    const struct token_subject *state = &page->subject->state;
    struct buffer line = {0};
    buffer_append_string(&line, state->client_id);
    add(page, "client id", SCREEN_PLAIN, &line);
    if (state->tenant[0] != '\0')
        buffer_format(&line, "%s, cloud %s", state->tenant, state->cloud);
    add(page, "tenant", SCREEN_PLAIN, &line);
}

static void write_use(const struct page *page)
{
    const struct token_subject *state = &page->subject->state;
    struct buffer line = {0};
    if (state->grant == TOKEN_GRANT_APP)
        buffer_format(&line, "%" PRIu32 " within a day", state->accounts);
    if (state->accepted_for[0] != '\0') {
        buffer_format(&line, "%sthe last login was %s's, ", line.length > 0 ? "; " : "",
                      state->accepted_for);
        write_past(&line, state->accepted_at, page->time->now);
    }
    add(page, "accounts", SCREEN_PLAIN, &line);
    buffer_format(&line, "%" PRIu64 " since post365-tokend began", state->requests);
    if (state->refused > 0)
        buffer_format(&line, ", %" PRIu64 " of them refused", state->refused);
    add(page, "requests", SCREEN_PLAIN, &line);
}

static void write_claim(void *context, const char *label, const char *text, bool is_wrong)
{
    const struct page *page = context;
    add_line(page->screen, page->lines, label, is_wrong ? SCREEN_BAD : SCREEN_PLAIN, text);
}

static void write_briefly(const struct page *page)
{
    const struct token_subject *state = &page->subject->state;
    const struct entra_row *row = entra_named(state->cause);
    struct buffer line = {0};
    if (is_failing(state))
        buffer_format(&line, "%s%s%s", state->cause, row != NULL ? ": " : "",
                      row != NULL ? row->meaning : "");
    add(page, "cause", SCREEN_PLAIN, &line);
    if (!ends_soon(state, page->time) && !is_held_over(state))
        return;
    write_end(&line, state, page->time);
    add(page, "credential", SCREEN_BAD, &line);
}

void subject_write(const struct screen *screen, struct buffer *lines, const struct subject *subject,
                   const struct subject_time *time, enum subject_extent extent)
{
    struct page page = {screen, lines, subject, time};
    write_name(&page);
    write_token(&page);
    if (extent == SUBJECT_BRIEF) {
        write_briefly(&page);
    } else {
        write_failure(&page);
        if (subject->state.credential_ends != 0 || is_held_over(&subject->state) ||
            (extent == SUBJECT_WHOLE && !is_unused(&subject->state)))
            write_credential(&page);
        write_grant(&page);
    }
    write_clock(&page);
    if (extent != SUBJECT_WHOLE || is_unused(&subject->state))
        return;
    write_application(&page);
    claims_explain(&subject->claims, &subject->state, write_claim, &page);
    write_use(&page);
}

/* --- for programs ----------------------------------------------------------------------------- */

static json_t *time_json(int64_t when)
{
    return when != 0 ? json_integer(when) : json_null();
}

static json_t *text_json(const char *text)
{
    return text[0] != '\0' ? output_text(text) : json_null();
}

static json_t *token_json(const struct token_subject *state)
{
    if (!state->has_token)
        return json_null();
    return json_pack("{s:o, s:o, s:I}", "id", text_json(state->id), "issued",
                     time_json(state->issued), "left", (json_int_t)state->left);
}

static json_t *cause_json(const struct token_subject *state, const char *cause, const char *reason)
{
    const struct entra_row *row = entra_named(cause);
    const struct screen_names names = names_of(state);
    return json_pack("{s:o, s:o, s:o, s:o}", "cause", text_json(cause), "meaning",
                     text_json(row != NULL ? row->meaning : ""), "remedy",
                     output_text_named(row != NULL ? row->remedy : NULL, &names), "reason",
                     text_json(reason));
}

static json_t *failure_json(const struct token_subject *state)
{
    if (!is_failing(state))
        return json_null();
    json_t *object = cause_json(state, state->cause, state->reason);
    json_object_set_new(object, "since", time_json(state->failed_since));
    json_object_set_new(object, "failures", json_integer((json_int_t)state->failures));
    return object;
}

static json_t *held_over_json(const struct token_subject *state)
{
    return state->credential_cause[0] != '\0'
               ? cause_json(state, state->credential_cause, state->credential_reason)
               : json_null();
}

static void append_wrong(void *context, const char *label, const char *text, bool is_wrong)
{
    json_t *list = context;
    (void)label;
    if (is_wrong)
        json_array_append_new(list, output_text(text));
}

static json_t *claims_json(const struct subject *subject)
{
    json_t *object = json_object(), *wrong = json_array();
    for (size_t i = 0; i < CLAIMS; i++)
        if (subject->claims.value[i][0] != '\0')
            json_object_set_new(object, claims_name((enum claim)i),
                                output_text(subject->claims.value[i]));
    claims_explain(&subject->claims, &subject->state, append_wrong, wrong);
    json_object_set_new(object, "wrong", wrong);
    return object;
}

json_t *subject_json(const struct subject *subject, const struct subject_time *time)
{
    static const char *const needs[] = {
        [SUBJECT_FINE] = "nothing", [SUBJECT_SOON] = "soon", [SUBJECT_NOW] = "now"};
    const struct token_subject *state = &subject->state;
    json_t *object =
        json_pack("{s:o, s:o, s:s, s:s, s:s, s:s, s:o, s:o, s:o}", "registration",
                  output_text(state->registration), "account", text_json(state->account), "needs",
                  needs[subject_need(subject, time)], "state", token_state_name(state->state),
                  "grant", token_grant_name(state->grant), "credential",
                  token_credential_name(state->credential), "tenant", text_json(state->tenant),
                  "client_id", text_json(state->client_id), "cloud", text_json(state->cloud));
    json_t *more = json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:o, s:o, s:o, s:o}", "token",
        token_json(state), "renewed", time_json(state->renewed), "next", time_json(state->next),
        "failure", failure_json(state), "credential_ends", time_json(state->credential_ends),
        "credential_failure", held_over_json(state), "grant_since", time_json(state->grant_since),
        "requests", (json_int_t)state->requests, "refused", (json_int_t)state->refused, "accounts",
        (json_int_t)state->accounts, "accepted_for", text_json(state->accepted_for), "accepted_at",
        time_json(state->accepted_at), "skew",
        state->has_skew ? json_integer(state->skew) : json_null(), "model",
        text_json(token_model_name(state->model)));
    json_object_update(object, more);
    json_decref(more);
    if (subject->claims.are_there)
        json_object_set_new(object, "claims", claims_json(subject));
    return object;
}
