/* sockets.c - does Postfix reach the daemons, and do they answer?
 *
 * smtpd(8), cleanup(8) and lmtp(8) connect as $mail_owner, from the queue directory, and from
 * within a chroot there where master.cf says so. What they can do is found out by doing it: a child
 * becomes what they are and speaks to the daemon. Whoever is not root tries as himself.
 *
 * Sources: master(5), daemon_mode and mail_owner in postconf(5), SMTPD_POLICY_README, LMTP (RFC
 * 2033), the milter protocol's SMFIC_OPTNEG (libmilter/mfdef.h).
 */
#include "common/memory.h"
#include "common/service.h"
#include "common/socket.h"
#include "ctl/doctor/doctor.h"

#include <errno.h>
#include <grp.h>
#include <netdb.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE 10 /* seconds, for all of it */
#define SEEN     512

/* How a daemon shows that it is there. */
struct language {
    const char *question; /* NULL: the daemon speaks first */
    size_t length;
    const char *answer;   /* what its answer begins with; "" is any */
    const char *farewell; /* or NULL */
};

/* A request that is counted nowhere, since no message is near. */
#define POLICY_QUESTION "request=smtpd_access_policy\nprotocol_state=CONNECT\n\n"
/* Length, SMFIC_OPTNEG, version 6, all actions, all steps; its answer has no line. */
#define MILTER_QUESTION "\0\0\0\x0dO\0\0\0\x06\0\0\x01\xff\0\x1f\xff\xff"

static const struct language languages[] = {
    {MILTER_QUESTION, sizeof(MILTER_QUESTION) - 1, "", NULL},
    {POLICY_QUESTION, sizeof(POLICY_QUESTION) - 1, "action=", NULL},
    {NULL, 0, "", "QUIT\r\n"},
};
enum { SPEAKS_MILTER, SPEAKS_POLICY, SPEAKS_LMTP };

struct attempt {
    const char *check;
    const char *account; /* or NULL */
    const char *what;    /* "milter (post365_milter_socket)" */
    const char *unit;    /* the daemon that listens there */
    const char *meaning; /* where it does not answer */
    const struct language *language;
    struct socket_place place;
    bool is_chrooted;
};

/* --- in the child ------------------------------------------------------------------ */

/* Writes the outcome and ends: '+' or '-', then what was seen. */
__attribute__((noreturn, format(printf, 3, 4))) static void tell(int pipe, char sign,
                                                                 const char *format, ...)
{
    char text[SEEN];
    va_list arguments;
    text[0] = sign;
    va_start(arguments, format);
    int length = vsnprintf(text + 1, sizeof(text) - 1, format, arguments);
    va_end(arguments);
    size_t size = length < (int)sizeof(text) - 1 ? (size_t)length + 1 : sizeof(text) - 1;
    ssize_t written = write(pipe, text, size);
    _exit(written == (ssize_t)size ? 0 : 1);
}

/* What master(8) and its daemons do to themselves. */
static void become_postfix(int pipe, const struct settings *settings, bool is_chrooted)
{
    const struct passwd *owner = getpwnam(settings->mail_owner);
    if (chdir(settings->queue_directory) != 0)
        tell(pipe, '-', "%s: %s", settings->queue_directory, strerror(errno));
    if (geteuid() != 0)
        return;
    if (owner == NULL)
        tell(pipe, '-', "mail_owner = %s: no such account", settings->mail_owner);
    if (is_chrooted && chroot(settings->queue_directory) != 0)
        tell(pipe, '-', "chroot %s: %s", settings->queue_directory, strerror(errno));
    if (setgid(owner->pw_gid) != 0 || setgroups(1, &owner->pw_gid) != 0 ||
        setuid(owner->pw_uid) != 0)
        tell(pipe, '-', "cannot become %s: %s", settings->mail_owner, strerror(errno));
    service_forbid_core_files();
}

static int connect_local(const struct attempt *attempt, const char *queue_directory)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = attempt->place.path;
    size_t length = strlen(queue_directory);
    if (strncmp(path, queue_directory, length) == 0 && path[length] == '/')
        path += length + 1; /* as seen from where Postfix stands */
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    int descriptor = socket(AF_UNIX, SOCK_STREAM, 0);
    if (descriptor >= 0 &&
        connect(descriptor, (const struct sockaddr *)&address, sizeof(address)) != 0)
        return -1;
    return descriptor;
}

static int connect_remote(const struct attempt *attempt)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int descriptor = -1;
    if (getaddrinfo(attempt->place.host, attempt->place.port, &hints, &found) != 0) {
        errno = EADDRNOTAVAIL;
        return -1;
    }
    for (const struct addrinfo *each = found; each != NULL && descriptor < 0;
         each = each->ai_next) {
        descriptor = socket(each->ai_family, each->ai_socktype, each->ai_protocol);
        if (descriptor < 0 || connect(descriptor, each->ai_addr, each->ai_addrlen) == 0)
            continue;
        int reason = errno;
        close(descriptor);
        descriptor = -1;
        errno = reason;
    }
    return descriptor;
}

/* Reads what fits, up to the first line's end or the end of the answer. */
static size_t hear(int descriptor, char *answer, size_t size)
{
    size_t length = 0;
    while (length < size - 1) {
        ssize_t got = read(descriptor, answer + length, size - 1 - length);
        if (got <= 0)
            break;
        length += (size_t)got;
        if (memchr(answer, '\n', length) != NULL || memchr(answer, '\0', length) != NULL)
            break;
    }
    answer[length] = '\0';
    return length;
}

__attribute__((noreturn)) static void try_in_child(int pipe, const struct attempt *attempt,
                                                   const struct settings *settings)
{
    char answer[256];
    const struct language *language = attempt->language;
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGALRM, SIG_DFL);
    alarm(PATIENCE);
    become_postfix(pipe, settings, attempt->is_chrooted);
    int descriptor = attempt->place.family == SOCKET_UNIX
                         ? connect_local(attempt, settings->queue_directory)
                         : connect_remote(attempt);
    if (descriptor < 0)
        tell(pipe, '-', "%s", strerror(errno));
    if (language->question != NULL &&
        write(descriptor, language->question, language->length) != (ssize_t)language->length)
        tell(pipe, '-', "%s", strerror(errno));
    size_t length = hear(descriptor, answer, sizeof(answer));
    answer[strcspn(answer, "\r\n")] = '\0';
    if (length == 0)
        tell(pipe, '-', "connected, but nobody answers");
    if (strncmp(answer, language->answer, strlen(language->answer)) != 0)
        tell(pipe, '-', "connected, but the answer is \"%s\"", answer);
    /* Who turns us away (an account that is paused does) has gone already. */
    if (language->farewell != NULL &&
        write(descriptor, language->farewell, strlen(language->farewell)) < 0)
        close(descriptor);
    tell(pipe, '+', answer[0] != '\0' ? "answers: %s" : "answers%s", answer);
}

/* --- in the doctor ------------------------------------------------------------------ */

/* Whether the daemon answers; `seen` says what was seen. */
static bool try(const struct attempt *attempt, const struct settings *settings, char seen[SEEN])
{
    int ends[2];
    size_t length = 0;
    if (pipe(ends) != 0) {
        snprintf(seen, SEEN, "pipe: %s", strerror(errno));
        return false;
    }
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        try_in_child(ends[1], attempt, settings);
    }
    close(ends[1]);
    for (ssize_t got; child > 0 && length < SEEN - 1; length += (size_t)got)
        if ((got = read(ends[0], seen + length, SEEN - 1 - length)) <= 0)
            break;
    close(ends[0]);
    if (child > 0)
        waitpid(child, NULL, 0);
    seen[length] = '\0';
    if (length == 0)
        snprintf(seen, SEEN, "-no answer within %d s", PATIENCE);
    bool is_fine = seen[0] == '+';
    memmove(seen, seen + 1, strlen(seen));
    return is_fine;
}

static const char *remedy_of(struct doctor *doctor, const struct attempt *attempt)
{
    struct report *report = &doctor->report;
    size_t length = strlen(doctor->settings->queue_directory);
    bool is_below = attempt->place.family != SOCKET_UNIX ||
                    (strncmp(attempt->place.path, doctor->settings->queue_directory, length) == 0 &&
                     attempt->place.path[length] == '/');
    if (attempt->is_chrooted && !is_below)
        return report_format(report,
                             "Postfix is chrooted in %s (fifth column of %s) and sees nothing "
                             "outside: write a path without a / at its beginning, such as "
                             "unix:post365/%s.",
                             doctor->settings->queue_directory, doctor->master_cf,
                             strrchr(attempt->place.path, '/') + 1);
    if (attempt->account != NULL) /* then the transport's own socket answers */
        return "The transport has a socket for each account that has credentials: give it some, "
               "and it makes one. If it has some, `journalctl -u post365-transport` says what is "
               "wrong.";
    return report_format(report,
                         "`systemctl status %s` tells whether it runs, and why not; its directory "
                         "must be open to the group of %s.",
                         attempt->unit, doctor->settings->mail_owner);
}

/* Whether the daemon answers. */
static bool check_attempt(struct doctor *doctor, const struct attempt *attempt)
{
    struct report *report = &doctor->report;
    char seen[SEEN];
    bool is_fine = try(attempt, doctor->settings, seen);
    const char *who = geteuid() != 0
                          ? ""
                          : report_format(report, ", as user %s%s", doctor->settings->mail_owner,
                                          attempt->is_chrooted ? " in its chroot" : "");
    /* Who is not root is not in Postfix's group: he cannot know what Postfix may. */
    bool is_known = is_fine || geteuid() == 0 || strstr(seen, strerror(EACCES)) == NULL;
    report_finding(
        report, &(struct finding){
                    .check = attempt->check,
                    .verdict = is_fine    ? VERDICT_OK
                               : is_known ? VERDICT_WRONG
                                          : VERDICT_UNTRIED,
                    .account = attempt->account,
                    .tried = report_format(report, "%s%s", attempt->what, who),
                    .seen = is_known ? seen
                                     : report_format(
                                           report, "%s: only root can try what Postfix may", seen),
                    .meaning = attempt->meaning,
                    .remedy = remedy_of(doctor, attempt)});
    return is_fine;
}

/* Whether a service with this command is chrooted. */
static bool is_chrooted(const struct doctor *doctor, const char *command)
{
    for (size_t i = 0; i < doctor->config.service_count; i++)
        if (strcmp(doctor->config.services[i].command, command) == 0 &&
            doctor->config.services[i].is_chrooted)
            return true;
    return false;
}

/* The service that default_transport names. */
static bool is_transport_chrooted(const struct doctor *doctor)
{
    const char *destination = config_value(&doctor->config, "default_transport");
    char *name = memory_copy_bytes(destination, strcspn(destination, ":"));
    const struct config_service *service = config_service(&doctor->config, name, "unix");
    free(name);
    return service != NULL && service->is_chrooted;
}

static bool check_socket(struct doctor *doctor, struct attempt *attempt, const char *value)
{
    struct error error;
    if (socket_parse(value, doctor->settings->queue_directory, &attempt->place, &error))
        return check_attempt(doctor, attempt);
    report_finding(&doctor->report, &(struct finding){.check = attempt->check,
                                                      .verdict = VERDICT_WRONG,
                                                      .account = attempt->account,
                                                      .tried = attempt->what,
                                                      .seen = error.text});
    return false;
}

/* Where the transport does not answer each account would take its time, too. */
static void check_account(struct doctor *doctor, const struct attempt *transport, bool answers,
                          const char *upn)
{
    struct attempt attempt = *transport;
    attempt.check = "account-socket";
    attempt.account = upn;
    attempt.what = "transport, accounts/<UPN>";
    if (!answers) {
        report_finding(&doctor->report, &(struct finding){.check = attempt.check,
                                                          .verdict = VERDICT_UNTRIED,
                                                          .account = upn,
                                                          .tried = attempt.what,
                                                          .seen = "the transport does not answer"});
        return;
    }
    const char *socket = doctor->settings->transport_socket;
    const char *slash = strrchr(socket, '/');
    if (slash == NULL || strchr(upn, '/') != NULL)
        return; /* inet: accounts have none */
    char value[sizeof(attempt.place.path) + 64];
    snprintf(value, sizeof(value), "%.*s/accounts/%s", (int)(slash - socket), socket, upn);
    check_socket(doctor, &attempt, value);
}

void doctor_check_sockets(struct doctor *doctor)
{
    const struct settings *settings = doctor->settings;
    bool smtpd = is_chrooted(doctor, "smtpd");
    struct attempt milter = {.check = "milter-socket",
                             .what = "milter",
                             .unit = "post365-milter",
                             .meaning = "Postfix puts mail off, or takes it past the milter, as "
                                        "default_action says.",
                             .language = &languages[SPEAKS_MILTER],
                             .is_chrooted = smtpd || is_chrooted(doctor, "cleanup")};
    struct attempt policy = {.check = "policy-socket",
                             .what = "policy service",
                             .unit = "post365-policyd",
                             .meaning = "Where smtpd(8) asks it, mail is taken uncounted, or put "
                                        "off, as its default_action says.",
                             .language = &languages[SPEAKS_POLICY],
                             .is_chrooted = smtpd};
    struct attempt transport = {.check = "transport-socket",
                                .what = "transport",
                                .unit = "post365-transport",
                                .meaning = "Mail stays in the queue.",
                                .language = &languages[SPEAKS_LMTP],
                                .is_chrooted = is_transport_chrooted(doctor)};
    check_socket(doctor, &milter, settings->milter_socket);
    check_socket(doctor, &policy, settings->policy_socket);
    if (settings->meter != METER_DELIVERY)
        return;
    bool answers = check_socket(doctor, &transport, settings->transport_socket);
    for (size_t i = 0; i < doctor->account_count; i++)
        check_account(doctor, &transport, answers, doctor->accounts[i]);
}
