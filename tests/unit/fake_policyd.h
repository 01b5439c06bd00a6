/* fake_policyd.h - the other end of the control socket, played by a test
 *
 * A real UNIX socket, and one connection at a time on it. Whatever does not happen within ten
 * seconds ends the program. With an event base, waiting runs its loop, so that both ends may live
 * in one thread.
 */
#ifndef TESTS_UNIT_FAKE_POLICYD_H
#define TESTS_UNIT_FAKE_POLICYD_H

#include "common/buffer.h"
#include "common/settings.h"
#include "common/socket.h"

#include <event2/event.h>
#include <stddef.h>

struct fake_policyd {
    struct settings settings; /* queue_directory and control_socket alone */
    char directory[64];
    char request[4096]; /* the last one */
    struct socket_place place;
    struct event_base *base; /* or NULL */
    int listener, peer;      /* or -1 */
    struct buffer received;
};

/* Makes a directory for the socket and listens. */
void fake_policyd_open(struct fake_policyd *fake, struct event_base *base);
void fake_policyd_close(struct fake_policyd *fake);

void fake_policyd_listen(struct fake_policyd *fake);
/* The socket is gone, the connection stays. */
void fake_policyd_deafen(struct fake_policyd *fake);

void fake_policyd_accept(struct fake_policyd *fake);
void fake_policyd_hang_up(struct fake_policyd *fake);

/* The next request, without the empty line, with blanks for line ends; valid until the next one. */
const char *fake_policyd_request(struct fake_policyd *fake);

/* Sends bytes, or a reply whose lines are written with blanks for line ends and without the empty
 * line. */
void fake_policyd_send(struct fake_policyd *fake, const char *bytes, size_t length);
__attribute__((format(printf, 2, 3))) void fake_policyd_answer(struct fake_policyd *fake,
                                                               const char *format, ...);

/* Runs the loop until *count has reached `wanted`. */
void fake_policyd_run_until(struct fake_policyd *fake, const size_t *count, size_t wanted);

#endif
