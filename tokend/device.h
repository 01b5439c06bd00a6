/* device.h - a user logs in by device code
 *
 * The endpoint gives a code that the user types into a page of Microsoft's; until then the endpoint
 * is asked every few seconds. What comes is stored if it is this account's user who logged in and
 * if it can be renewed. Whoever began it then has the subject use it once.
 *
 * Sources: RFC 8628; Microsoft Learn, "OAuth 2.0 device authorization grant".
 */
#ifndef POST365_TOKEND_DEVICE_H
#define POST365_TOKEND_DEVICE_H

#include "common/entra/cause.h"
#include "tokend/fetch.h"
#include "tokend/vault.h"

#include <event2/event.h>
#include <stdint.h>

struct device;

struct device_parts {
    struct event_base *base;
    struct fetcher *fetcher;
    struct vault *vault;
};

/* What is told; `context` is that of device_begin(). The login has ended after stored and failed.
 */
struct device_handler {
    /* To be shown; `expires` in seconds since the epoch. */
    void (*code)(void *context, const char *user_code, const char *uri, int64_t expires);
    void (*waiting)(void *context, int64_t expires);
    /* `user` is who logged in. */
    void (*stored)(void *context, const char *user);
    void (*failed)(void *context, const struct entra_row *row, enum entra_class class,
                   const char *reason);
};

/* For an account of the registration with this path; the handler is called later, never from
 * within. The parts and the handler outlive it. */
struct device *device_begin(const struct device_parts *parts, const char *path, const char *account,
                            const struct device_handler *handler, void *context);
/* Gives it up: nobody waits any more. NULL is allowed. */
void device_cancel(struct device *device);

#endif
