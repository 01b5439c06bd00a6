/* ledger_message.h - requests to policyd's ledger and its replies, as text and as C
 *
 * The text is that of control.h. Pure: no connection, no memory of its own. Whoever speaks on the
 * control socket, waiting (ledger_client.h) or not (ledger_channel.h), writes and reads here.
 */
#ifndef POST365_COMMON_LEDGER_MESSAGE_H
#define POST365_COMMON_LEDGER_MESSAGE_H

#include "common/address.h"
#include "common/attr.h"
#include "common/buffer.h"
#include "common/control.h"
#include "common/error.h"
#include "common/quota.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A time that does not come: until somebody ends the pause; behind the last page. */
#define LEDGER_FOREVER INT64_MAX

/* --- requests --- */

enum ledger_command_kind {
    LEDGER_COMMAND_RESERVE,
    LEDGER_COMMAND_SETTLE,
    LEDGER_COMMAND_RELEASE,
    LEDGER_COMMAND_PAUSE,
    LEDGER_COMMAND_RESUME,
    LEDGER_COMMAND_NOTE,
    LEDGER_COMMAND_STATUS,
    LEDGER_COMMAND_LIST,
    LEDGER_COMMAND_HISTORY,
    LEDGER_COMMAND_SETTINGS,
    LEDGER_COMMANDS,
};

/* What is told as one slot of a history: what was sent within an hour, within a minute, or (with
 * its exact time) at once. */
enum ledger_per { LEDGER_PER_HOUR, LEDGER_PER_MINUTE, LEDGER_PER_EVENT, LEDGER_PERS };

/* What is asked; see control.h for what it does. A field that is not named by the kind does not
 * matter. Times and periods are microseconds. */
struct ledger_command {
    enum ledger_command_kind kind;
    const char *account;  /* reserve, pause, resume, note, status, history: the UPN */
    uint64_t reservation; /* settle, release */
    uint32_t recipients;  /* reserve; settle: to how many it was sent */
    uint32_t messages;    /* reserve; 0 is 1 */
    int64_t wait;         /* reserve; 0: the reply comes at once */
    bool is_under_way;    /* reserve: room or not */
    bool is_doubtful;     /* settle: it may have been sent */
    const char *cause;    /* pause; note, resume, or NULL; cut off at CONTROL_CAUSE_MAX bytes */
    int64_t until;        /* pause, with most == 0: a time, or LEDGER_FOREVER */
    int64_t least, most;  /* pause, with most > 0: it grows */
    uint32_t after;       /* list: 0, or where the last page says that the next begins */
    int64_t from;         /* history: likewise */
    uint32_t count;       /* list, history: of a page; 0: as many as policyd likes */
    enum ledger_per per;  /* history */
};

/* Appends the request. With `tag` not 0 it has this tag. False with the reason, and nothing
 * appended: an account that is no UPN. */
bool ledger_command_write(struct buffer *text, uint64_t tag, const struct ledger_command *command,
                          struct error *error);

/* --- replies --- */

enum ledger_reply_result {
    LEDGER_REPLY_GRANTED, /* reserve */
    LEDGER_REPLY_LATER,   /* reserve */
    LEDGER_REPLY_NEVER,   /* reserve */
    LEDGER_REPLY_DONE,    /* all but reserve */
    LEDGER_REPLY_UNKNOWN, /* settle, release: not (any more) of this connection; resume */
    LEDGER_REPLY_REFUSED, /* the peer may not; nothing has happened */
    LEDGER_REPLY_ERROR,   /* not understood, or not possible now; nothing has happened */
    LEDGER_REPLY_RESULTS,
};

/* What stands in the way. */
enum ledger_reply_measure {
    LEDGER_REPLY_RECIPIENTS,
    LEDGER_REPLY_MESSAGES,
    LEDGER_REPLY_PAUSE, /* LEDGER_REPLY_LATER alone, as the next */
    LEDGER_REPLY_ORDER,
    LEDGER_REPLY_MEASURES,
};

struct ledger_reply_window {
    uint32_t used; /* open reservations included */
    uint32_t reserved;
    struct quota_rate rate; /* the limit may be QUOTA_UNLIMITED; then the period is 0 */
};

struct ledger_reply_pause {
    bool is_there; /* paused, or (`until` is over) to be probed; else the rest is 0 */
    int64_t since;
    int64_t until; /* or LEDGER_FOREVER */
    uint32_t failures;
    char cause[CONTROL_CAUSE_MAX + 1];
};

/* What is wrong with an account that is not paused. */
struct ledger_reply_note {
    int64_t since; /* 0: nothing */
    char cause[CONTROL_CAUSE_MAX + 1];
};

/* Fields that are not named by result and kind of request are 0. */
struct ledger_reply {
    enum ledger_reply_result result;
    char reason[ERROR_TEXT_SIZE]; /* REFUSED, ERROR */

    uint64_t reservation;              /* GRANTED */
    enum ledger_reply_measure measure; /* LATER, NEVER */
    /* LATER; status: when one message to one recipient has room. Or LEDGER_FOREVER. */
    int64_t earliest;
    uint32_t used;          /* LATER by a window */
    struct quota_rate rate; /* LATER by a window, NEVER; never unlimited */

    char account[ADDRESS_MAX + 1];                   /* status, pause, history: folded */
    int64_t now;                                     /* status */
    struct ledger_reply_window recipients, messages; /* status */
    uint32_t recipients_per_message;                 /* status; or QUOTA_UNLIMITED */
    uint32_t waiting;                                /* status: requests */
    /* LATER by a pause: its cause alone; pause: until and failures; status: all of it */
    struct ledger_reply_pause pause;
    struct ledger_reply_note note; /* status */

    /* Pages of DONE. What is on them: ledger_reply_next_*(). */
    uint32_t after; /* list: where the next page begins; 0: this is the last one */
    int64_t from;   /* history: likewise; LEDGER_FOREVER: this is the last one */
    const char *text;
    size_t length;
};

/* The tag of a reply that attr_read() found complete. False if it has none, or one that is not
 * ledger_command_write()'s. */
bool ledger_reply_tag(const char *text, size_t length, uint64_t *tag);

/*
 * Reads a reply, which attr_read() found complete, to a request of that kind. `reply` keeps
 * pointing to `text`. Attributes that are not known, or not needed for this result, are ignored.
 * False with what is wrong: an attribute that is missing, is there twice or makes no sense, a
 * result that is no answer to such a request; `reply` is then of no use.
 */
bool ledger_reply_read(struct ledger_reply *reply, enum ledger_command_kind kind, const char *text,
                       size_t length, struct error *error);

/* An account of a list. */
struct ledger_reply_account {
    char name[ADDRESS_MAX + 1];
    uint32_t recipients_used, recipients_limit; /* a limit may be QUOTA_UNLIMITED */
    uint32_t messages_used, messages_limit;
    uint32_t waiting; /* requests */
    bool is_paused;
    bool is_probed; /* the pause is over, success is still to come */
};

/* What was sent within an hour or a minute from `begin`, or at that time. */
struct ledger_reply_slot {
    int64_t begin;
    uint32_t recipients;
    uint32_t messages;
};

/* Gives what stands on a page of a list, a history or the settings at `*position` (0 for the
 * first), and moves on. False at the end. A setting's bytes are those of the reply's text. */
bool ledger_reply_next_account(const struct ledger_reply *reply, size_t *position,
                               struct ledger_reply_account *account);
bool ledger_reply_next_slot(const struct ledger_reply *reply, size_t *position,
                            struct ledger_reply_slot *slot);
bool ledger_reply_next_setting(const struct ledger_reply *reply, size_t *position,
                               struct attr *setting);

#endif
