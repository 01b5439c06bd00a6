/* server.h - what all connections share */
#ifndef OFFICE365_SERVER_H
#define OFFICE365_SERVER_H

#include "faults.h"
#include "journal.h"
#include "mailbox.h"
#include "settings.h"
#include "tls.h"

#include <event2/event.h>
#include <stdint.h>
#include <sys/queue.h>

struct session;

LIST_HEAD(session_list, session);

struct server {
    struct event_base *base;
    struct settings *settings;
    struct mailboxes *mailboxes;
    struct faults *faults;
    struct journal *journal;
    struct tls *tls;
    struct session_list sessions;
    struct gauge connections;
    int64_t last_connection; /* the number of the newest */
    struct tally tally;      /* of clients that never logged in */
};

#endif
