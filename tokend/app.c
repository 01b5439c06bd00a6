/* app.c - a registration, as its file has it now, and what proves it */
#include "tokend/app.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "tokend/secret_file.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DAY ((int64_t)86400)
/* Warned of the end itself. */
#define ENDED ((int64_t)-1)

/* Takes what stands in the file now. False if that is nothing. */
static bool read_registration(struct app *app)
{
    struct registration *fresh = registration_read(app->path, &app->trouble, &app->reason);
    if (fresh == NULL)
        return false;
    app->trouble = NULL;
    app_settle(app);
    app->replaced = app->registration;
    app->replaced_proof = app->proof;
    app->registration = fresh;
    app->proof = proof_new(fresh);
    if (app->replaced != NULL && registration_equal(app->replaced, fresh))
        proof_inherit(app->proof, app->replaced_proof);
    app->told = 0;
    return true;
}

/* What keeps tokens from being asked for is told as their cause. */
static void warn_of_proof(const struct app *app)
{
    const char *reason;
    const struct entra_row *complaint = proof_complaint(app->proof, &reason);
    if (complaint != NULL && proof_trouble(app->proof, &reason) == NULL)
        log_warning("registration %s: %s: %s; what was read before stays in use", app->path,
                    complaint->name, reason);
}

struct app *app_new(const char *path)
{
    struct app *app = memory_zero(1, sizeof(*app));
    app->path = memory_copy(path);
    app->subjects = dictionary_new(NULL);
    app->state = file_state_at(path);
    if (read_registration(app))
        proof_refresh(app->proof);
    return app;
}

void app_settle(struct app *app)
{
    registration_free(app->replaced);
    proof_free(app->replaced_proof);
    app->replaced = NULL;
    app->replaced_proof = NULL;
}

void app_free(struct app *app)
{
    app_settle(app);
    proof_free(app->proof);
    registration_free(app->registration);
    dictionary_free(app->subjects);
    free(app->path);
    free(app);
}

static bool has_changed(struct app *app)
{
    const struct file_state state = file_state_at(app->path);
    bool changed = !file_state_equal(&state, &app->state);
    app->state = state;
    return changed;
}

enum app_change app_refresh(struct app *app)
{
    if (has_changed(app)) {
        if (read_registration(app)) {
            proof_refresh(app->proof);
            log_info("registration %s: read again", app->path);
            return APP_REPLACED;
        }
        log_warning("registration %s: %s: %s%s", app->path, app->trouble->name, app->reason.text,
                    app->registration != NULL ? "; what was read before stays in use" : "");
    }
    if (app->proof == NULL || !proof_refresh(app->proof))
        return APP_SAME;
    warn_of_proof(app);
    app->told = 0;
    return APP_PROOF;
}

const struct entra_row *app_trouble(const struct app *app, const char **reason)
{
    if (app->registration != NULL)
        return NULL;
    *reason = app->reason.text;
    return app->trouble;
}

void app_forget_refusal(struct app *app)
{
    app->refusal = NULL;
    app->refused_until = 0;
    app->told_refusal_end = false;
}

bool app_is_users(const struct app *app)
{
    return app->registration != NULL && app->registration->grant == REGISTRATION_USER;
}

/* --- the credential's end --- */

static void tell_end(const struct app *app, int64_t ends, int64_t left)
{
    char day[32];
    const time_t time = (time_t)ends;
    struct tm broken;
    gmtime_r(&time, &broken);
    strftime(day, sizeof(day), "%Y-%m-%d", &broken);
    const char *what = registration_credential_name(app->registration);
    if (left <= 0)
        log_error("registration %s: the %s ended on %s: no further token can be got with it; put a "
                  "new one in place",
                  app->path, what, day);
    else
        log_warning("registration %s: the %s ends on %s, in %" PRId64
                    " days: without a new one mail stops then",
                    app->path, what, day, left / DAY);
}

void app_warn(struct app *app, int64_t warn_time, int64_t now)
{
    const int64_t steps[] = {DAY, 7 * DAY, 14 * DAY, warn_time / CLOCK_SECOND};
    int64_t ends = app->proof != NULL ? proof_ends(app->proof) : 0, step = 0;
    if (ends == 0)
        return;
    for (size_t i = sizeof(steps) / sizeof(steps[0]); i-- > 0;)
        if (ends - now <= steps[i] && steps[i] <= warn_time / CLOCK_SECOND)
            step = steps[i];
    if (ends <= now)
        step = ENDED;
    if (step != 0 && step != app->told)
        tell_end(app, ends, ends - now);
    app->told = step;
}
