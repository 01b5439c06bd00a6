/* postqueue.h - runs Postfix's postqueue(1), one at a time
 *
 * Without a shell, without input, without an environment but a path. One that does not end in time
 * is killed.
 */
#ifndef POST365_TRANSPORT_QUEUE_POSTQUEUE_H
#define POST365_TRANSPORT_QUEUE_POSTQUEUE_H

#include <event2/buffer.h>
#include <event2/event.h>
#include <stdbool.h>

#define POSTQUEUE_TIMEOUT 60 /* seconds */

struct postqueue;

/* Both are called from the event loop. */
struct postqueue_handler {
    /* What it has written to its stdout; what is not drained comes again with what follows. NULL:
     * nobody is interested. */
    void (*output)(void *context, struct evbuffer *bytes);
    /* It has ended, with exit status 0 or not. The next one may be run. */
    void (*ended)(void *context, bool worked);
};

/* `program` is the path of postqueue(1), `config_directory` its -c; both are copied. No other part
 * of the program has children of the event loop's: this one collects all. Release with
 * postqueue_free(), which kills what is running and calls nobody. */
struct postqueue *postqueue_new(struct event_base *base, const char *program,
                                const char *config_directory);
void postqueue_free(struct postqueue *postqueue);

/* Runs it with an option, such as "-i", and the option's argument, or NULL. None is running. False,
 * with a log line, if it cannot be run; then `ended` is not called. */
bool postqueue_run(struct postqueue *postqueue, const char *option, const char *argument,
                   const struct postqueue_handler *handler, void *context);

bool postqueue_is_running(const struct postqueue *postqueue);

#endif
