/* http.h - what a program answers over HTTP, on post365_metrics_listen for instance
 *
 *   /metrics   the figures, as they were last published (Prometheus' text format), or 503 if none
 *   /healthz   200 "ok", or 503 and why not: what was published, or that nothing was for too long
 *   /          a page for people that links both
 *
 * In a thread of its own, which shares nothing with the rest but the published page: whatever
 * clients do there, and how slowly, no decision waits for it; and it answers while a disk that
 * hangs holds up everything else. GET and HEAD only; requests, connections and their time are
 * bounded.
 */
#ifndef POST365_COMMON_METRICS_HTTP_H
#define POST365_COMMON_METRICS_HTTP_H

#include "common/buffer.h"
#include "common/error.h"
#include "common/settings.h"

struct http;

/* Whether the program could listen there, "address:port"; "" is nowhere and fine. `parameter` names
 * the main.cf parameter in messages. False with the reason. */
bool http_check(const char *parameter, const char *where, const struct settings *settings,
                struct error *error);

/* Listens, for http_start(); -1 into `descriptor` where that is nowhere. False with the reason. */
bool http_listen(const char *parameter, const char *where, const struct settings *settings,
                 int *descriptor, struct error *error);

/* Answers on a listening, non-blocking descriptor, which becomes its own, once the first page has
 * been published: until then clients wait, so that none sees an empty page. `program` is the name
 * on the page for people, a constant. NULL with the reason. */
struct http *http_start(int listening, const char *program, struct error *error);

/* From now on this is the answer: `figures` (its memory is taken over, it is empty afterwards), and
 * why the service is not well, "" if it is. Never waits: what cannot be published at once is
 * dropped. Call at least every few seconds: who does not has come to a halt. */
void http_publish(struct http *http, struct buffer *figures, const char *trouble);

/* Ends the thread. `http` may be NULL. */
void http_stop(struct http *http);

#endif
