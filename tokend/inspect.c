/* inspect.c - the way to the endpoint, step by step, for the doctor */
#include "tokend/inspect.h"

#include "common/attr.h"
#include "common/log.h"
#include "common/memory.h"
#include "tokend/app.h"
#include "tokend/attempt.h"
#include "tokend/metadata.h"
#include "tokend/request.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#define SKEW_MAX 60 /* seconds that a clock may be off without a word */

struct inspection {
    struct fetcher *fetcher;
    struct app *app;
    struct event *begin;
    struct fetch *fetch;
    struct buffer steps;
    inspect_done *done;
    void *context;
};

enum step { STEP_FILE, STEP_RESOLVE, STEP_CONNECT, STEP_TLS, STEP_TENANT, STEP_CLOCK, STEPS };
static const char *const step_names[STEPS] = {"file", "resolve", "connect",
                                              "tls",  "tenant",  "clock"};

__attribute__((format(printf, 4, 5))) static void add(struct inspection *inspection, enum step step,
                                                      const char *result, const char *format, ...)
{
    char text[700], line[800];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    snprintf(line, sizeof(line), "%s %s %s", step_names[step], result, text);
    attr_write(&inspection->steps, TOKENS_STEP, line);
}

static void add_unknown(struct inspection *inspection, enum step from)
{
    for (enum step step = from; step < STEPS; step++)
        add(inspection, step, "unknown", "not reached");
}

static void release(struct inspection *inspection)
{
    fetch_cancel(inspection->fetch);
    event_free(inspection->begin);
    app_free(inspection->app);
    buffer_free(&inspection->steps);
    free(inspection);
}

void inspect_cancel(struct inspection *inspection)
{
    if (inspection != NULL)
        release(inspection);
}

static void finish(struct inspection *inspection)
{
    inspection->done(inspection->context, &inspection->steps);
    release(inspection);
}

/* --- the answer --- */

static enum step step_of_trouble(const struct fetch_reply *reply)
{
    const char *name = reply->trouble->name;
    if (strcmp(name, ENTRA_ENDPOINT_UNRESOLVED) == 0 || strcmp(name, ENTRA_PROXY_UNREACHABLE) == 0)
        return strcmp(name, ENTRA_PROXY_UNREACHABLE) == 0 ? STEP_CONNECT : STEP_RESOLVE;
    if (strncmp(name, "endpoint-un", 11) != 0 && strncmp(name, "proxy", 5) != 0 &&
        strcmp(name, ENTRA_ENDPOINT_TIMEOUT) != 0 && strcmp(name, ENTRA_ANSWER_UNINTELLIGIBLE) != 0)
        return STEP_TLS;
    if (strcmp(name, ENTRA_ENDPOINT_UNTRUSTED) == 0)
        return STEP_TLS;
    if (reply->is_secured)
        return STEP_TENANT;
    return reply->is_connected ? STEP_TLS : STEP_CONNECT;
}

static void add_way(struct inspection *inspection, enum step end)
{
    static const char *const words[STEPS] = {[STEP_RESOLVE] = "its name has an address",
                                             [STEP_CONNECT] = "it takes connections",
                                             [STEP_TLS] = "its certificate is good"};
    const char *authority = inspection->app->registration->authority;
    for (enum step step = STEP_RESOLVE; step < end && step <= STEP_TLS; step++)
        add(inspection, step, "ok", "%s: %s", authority, words[step]);
}

/* The cloud that the tenant lives in, "microsoftonline.us": an endpoint answers for those of
 * another cloud as well, and refuses them when it comes to a token. */
static void add_cloud(struct inspection *inspection, const json_t *configuration)
{
    static const char before[] = "https://login.";
    const struct registration *registration = inspection->app->registration;
    const char *expected = registration->cloud->authority + strlen(before);
    const char *name = json_string_value(json_object_get(configuration, "cloud_instance_name"));
    if (name != NULL && strcasecmp(name, expected) != 0)
        add(inspection, STEP_TENANT, "wrong",
            "cloud-wrong: %s lives in %.100s, not in the cloud %s", registration->tenant, name,
            registration->cloud->name);
    else
        add(inspection, STEP_TENANT, "ok", "%s is known in the cloud %s", registration->tenant,
            registration->cloud->name);
}

static void add_tenant(struct inspection *inspection, const struct fetch_reply *reply)
{
    struct answer answer = {0};
    json_t *configuration = NULL;
    if (reply->status == 200 && !reply->is_cut)
        configuration = json_loadb(secret_reveal(reply->body), secret_length(reply->body), 0, NULL);
    if (json_is_object(configuration)) {
        add_cloud(inspection, configuration);
        json_decref(configuration);
        return;
    }
    json_decref(configuration);
    attempt_read(&answer, ANSWER_APP, reply, NULL, NULL);
    if (answer.outcome == ANSWER_FAILED)
        add(inspection, STEP_TENANT, answer.class == ENTRA_RETRY ? "unknown" : "wrong", "%s: %s",
            answer.row->name, answer.reason);
    answer_free(&answer);
}

static void add_clock(struct inspection *inspection, const struct fetch_reply *reply)
{
    int64_t there;
    if (!answer_date(reply->date, &there)) {
        add(inspection, STEP_CLOCK, "unknown", "the endpoint does not tell the time");
        return;
    }
    int64_t skew = there - (int64_t)time(NULL);
    bool is_fine = skew <= SKEW_MAX && skew >= -SKEW_MAX;
    add(inspection, STEP_CLOCK, is_fine ? "ok" : "wrong",
        is_fine ? "this host's clock is right, %" PRId64 " s beside the endpoint's"
                : "the endpoint's clock is %" PRId64 " s ahead of this host's: set the clock",
        skew);
}

static void take_reply(void *context, const struct fetch_reply *reply)
{
    struct inspection *inspection = context;
    inspection->fetch = NULL;
    if (reply->trouble != NULL) {
        enum step step = step_of_trouble(reply);
        add_way(inspection, step);
        add(inspection, step, "wrong", "%s: %s", reply->trouble->name, reply->reason);
        add_unknown(inspection, step + 1);
    } else {
        add_way(inspection, STEP_TENANT);
        add_tenant(inspection, reply);
        add_clock(inspection, reply);
    }
    finish(inspection);
}

/* --- the question --- */

static bool add_file(struct inspection *inspection)
{
    const char *reason = "";
    struct app *app = inspection->app;
    const struct entra_row *row = app_trouble(app, &reason);
    if (row == NULL)
        row = proof_complaint(app->proof, &reason);
    if (row != NULL)
        add(inspection, STEP_FILE, "wrong", "%s: %s", row->name, reason);
    else
        add(inspection, STEP_FILE, "ok", "%s and what it names can be read", app->path);
    return app->registration != NULL;
}

static void begin(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    struct inspection *inspection = argument;
    if (!add_file(inspection) || registration_is_managed(inspection->app->registration)) {
        add_unknown(inspection, STEP_RESOLVE);
        finish(inspection);
        return;
    }
    char *url = request_configuration_url(inspection->app->registration);
    const struct fetch_request request = {.url = url};
    inspection->fetch = fetch_begin(inspection->fetcher, &request, take_reply, inspection);
    free(url);
}

struct inspection *inspect_begin(struct event_base *base, struct fetcher *fetcher, const char *path,
                                 inspect_done *done, void *context)
{
    const struct timeval now = {0};
    struct inspection *inspection = memory_zero(1, sizeof(*inspection));
    inspection->fetcher = fetcher;
    inspection->app = app_new(path);
    inspection->done = done;
    inspection->context = context;
    inspection->begin = event_new(base, -1, 0, begin, inspection);
    if (inspection->begin == NULL || event_add(inspection->begin, &now) != 0)
        log_fatal(EX_OSERR, "cannot set up the event loop");
    return inspection;
}
