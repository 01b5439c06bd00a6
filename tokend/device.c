/* device.c - a user logs in by device code */
#include "tokend/device.h"

#include "common/address.h"
#include "common/log.h"
#include "common/memory.h"
#include "tokend/app.h"
#include "tokend/attempt.h"
#include "tokend/claims.h"
#include "tokend/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#define SLOWER 5 /* seconds, RFC 8628 section 3.5 */

struct device {
    struct device_parts parts;
    const struct device_handler *handler;
    void *context;
    struct app *app; /* as its file is now */
    char *account;
    struct event *timer;
    struct fetch *fetch;
    struct secret *form;
    struct secret *code;
    unsigned interval; /* seconds between polls */
    int64_t expires;   /* of the code, seconds since the epoch */
    unsigned troubles; /* in a row, that pass by themselves */
};

static void release(struct device *device)
{
    fetch_cancel(device->fetch);
    event_free(device->timer);
    secret_free(device->form);
    secret_free(device->code);
    app_free(device->app);
    free(device->account);
    free(device);
}

void device_cancel(struct device *device)
{
    if (device != NULL)
        release(device);
}

static void fail(struct device *device, const struct entra_row *row, enum entra_class class,
                 const char *reason)
{
    device->handler->failed(device->context, row, class, reason);
    release(device);
}

static void fail_named(struct device *device, const char *name, const char *reason)
{
    const struct entra_row *row = entra_named(name);
    fail(device, row, row->class, reason);
}

static void set_timer(struct device *device, unsigned seconds)
{
    const struct timeval wait = {.tv_sec = (time_t)seconds};
    if (event_add(device->timer, &wait) != 0)
        log_fatal(EX_OSERR, "cannot set up the event loop");
}

static void send_form(struct device *device, char *url, struct secret *form, fetch_done *done)
{
    secret_free(device->form);
    device->form = form;
    const struct fetch_request request = {.url = url, .form = form};
    device->fetch = fetch_begin(device->parts.fetcher, &request, done, device);
    free(url);
}

/* --- the tokens --- */

/* Who logged in; "": the token does not say. */
static void find_user(const struct secret *token, char *user, size_t size)
{
    struct claims claims;
    struct error error;
    user[0] = '\0';
    if (claims_read(token, &claims, &error))
        snprintf(user, size, "%s", claims.user);
}

static void take_tokens(struct device *device, const struct answer *answer)
{
    char user[CLAIMS_TEXT_SIZE], reason[TOKENS_REASON_MAX + 1];
    struct error error;
    int64_t now = time(NULL);
    find_user(answer->token, user, sizeof(user));
    if (answer->refresh_token == NULL) {
        fail_named(device, ENTRA_REFRESH_TOKEN_MISSING, "the answer has no refresh token");
        return;
    }
    if (user[0] != '\0' && !address_equal(user, device->account)) {
        snprintf(reason, sizeof(reason), "%.150s logged in, not %.150s", user, device->account);
        fail_named(device, ENTRA_GRANT_OF_ANOTHER, reason);
        return;
    }
    const struct vault_key key = vault_key_of(device->app->registration, device->account);
    if (!vault_write(device->parts.vault, &key, answer->refresh_token, now, now, &error)) {
        snprintf(reason, sizeof(reason), "it cannot be stored: %.300s", error.text);
        fail_named(device, ENTRA_GRANT_LOST, reason);
        return;
    }
    log_info("registration %s, account %s: %s logged in; the grant is stored", device->app->path,
             device->account, user[0] != '\0' ? user : "somebody whom the token does not name");
    device->handler->stored(device->context, user[0] != '\0' ? user : device->account);
    release(device);
}

static bool is_to_go_on(struct device *device, const struct answer *answer)
{
    if (time(NULL) >= device->expires)
        return false;
    if (answer->class == ENTRA_RETRY)
        return ++device->troubles < 10;
    device->troubles = 0;
    return answer->class == ENTRA_PENDING;
}

static void take_poll(void *context, const struct fetch_reply *reply)
{
    struct device *device = context;
    struct answer answer = {0};
    device->fetch = NULL;
    attempt_read(&answer, ANSWER_DEVICE_POLL, reply, device->form, NULL);
    if (answer.outcome == ANSWER_TOKEN) {
        take_tokens(device, &answer);
    } else if (is_to_go_on(device, &answer)) {
        if (answer.is_slow_down)
            device->interval += SLOWER;
        device->handler->waiting(device->context, device->expires);
        set_timer(device, device->interval > answer.wait ? device->interval : answer.wait);
    } else {
        fail(device, answer.row, answer.class, answer.reason);
    }
    answer_free(&answer);
}

static void poll(struct device *device)
{
    struct request_proof shown;
    struct secret *made = NULL;
    const struct entra_row *row = NULL;
    struct error error;
    const struct registration *registration = device->app->registration;
    char *url = request_token_url(registration);
    if (!proof_make(device->app->proof, false, url, time(NULL), &shown, &made, &row, &error)) {
        free(url);
        fail(device, row, row->class, error.text);
        return;
    }
    struct secret *form = request_device_poll(registration, device->code, &shown);
    secret_free(made);
    send_form(device, url, form, take_poll);
}

/* --- the code --- */

static void take_code(void *context, const struct fetch_reply *reply)
{
    struct device *device = context;
    struct answer answer = {0};
    device->fetch = NULL;
    attempt_read(&answer, ANSWER_DEVICE_BEGIN, reply, device->form, NULL);
    if (answer.outcome == ANSWER_CODE) {
        device->code = answer.device_code;
        answer.device_code = NULL;
        device->interval = answer.interval;
        device->expires = (int64_t)time(NULL) + answer.code_life;
        device->handler->code(device->context, answer.user_code, answer.verification_uri,
                              device->expires);
        set_timer(device, device->interval);
    } else {
        fail(device, answer.row, answer.class, answer.reason);
    }
    answer_free(&answer);
}

static void begin(struct device *device)
{
    const char *reason = "";
    const struct entra_row *row = app_trouble(device->app, &reason);
    if (row == NULL)
        row = proof_trouble(device->app->proof, &reason);
    if (row != NULL)
        fail(device, row, row->class, reason);
    else if (!app_is_users(device->app))
        fail_named(device, ENTRA_REGISTRATION_WRONG,
                   "the registration is grant = app: nobody logs in for it");
    else
        send_form(device, request_device_url(device->app->registration),
                  request_device_begin(device->app->registration), take_code);
}

static void go_on(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    struct device *device = argument;
    if (device->code == NULL)
        begin(device);
    else
        poll(device);
}

struct device *device_begin(const struct device_parts *parts, const char *path, const char *account,
                            const struct device_handler *handler, void *context)
{
    struct device *device = memory_zero(1, sizeof(*device));
    device->parts = *parts;
    device->handler = handler;
    device->context = context;
    device->app = app_new(path);
    device->account = memory_copy(account);
    device->timer = event_new(parts->base, -1, 0, go_on, device);
    if (device->timer == NULL)
        log_fatal(EX_OSERR, "cannot set up the event loop");
    set_timer(device, 0);
    return device;
}
