/* follow.c - one message through the relay itself, followed to its end
 *
 * It goes in where cron's mail does, by sendmail(1), and takes the way of all mail: milter, queue,
 * transport. Postfix's log tells what becomes of it; where there is none that can be read, its
 * queue tells a part of that.
 *
 * Sources: sendmail(1), postqueue(1) (-j), MAILLOG_README.
 */
#include "common/address.h"
#include "common/judgement.h"
#include "common/memory.h"
#include "common/process.h"
#include "ctl/doctor/doctor.h"
#include "ctl/maillog.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define PATIENCE      120 /* seconds; longer than post365_max_wait's default */
#define LOG_PATIENCE  3   /* seconds until the log should have named the message */
#define PAUSE_MS      200
#define TIMEOUT       20 /* seconds, for a program of Postfix's */
#define ANSWER_LIMIT  ((size_t)64 << 20)
#define QUEUE_ID_SIZE 64

struct follow {
    struct doctor *doctor;
    const char *account, *recipient;
    char *message_id;    /* with angle brackets */
    struct maillog *log; /* behind what was there before; NULL: none can be read */
    bool is_in_log;      /* it names the message */
    bool is_journal;     /* `log` is that, or it was looked for */
    time_t begun;
    char queue_id[QUEUE_ID_SIZE]; /* "": not known yet */
    bool is_over;                 /* the end was told */
};

/* --- sending ----------------------------------------------------------------------------- */

static void compose(struct follow *follow, struct buffer *message)
{
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const char *host = follow->doctor->settings->myhostname;
    char time_of_day[32];
    struct tm local;
    uint64_t random = 0;
    if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
        random = (uint64_t)clock();
    follow->message_id = memory_format("<post365-doctor.%lld.%016llx@%s>", (long long)follow->begun,
                                       (unsigned long long)random, host);
    /* %b would be in the language of the user. */
    strftime(time_of_day, sizeof(time_of_day), "%Y %H:%M:%S %z",
             localtime_r(&follow->begun, &local));
    buffer_format(message,
                  "From: post365 doctor <%s>\nTo: <%s>\nSubject: post365 doctor: test message\n"
                  "Date: %d %s %s\nMessage-ID: %s\nAuto-Submitted: auto-generated\n\n"
                  "`post365 doctor --send-to` on %s has sent this message through the relay.\n",
                  follow->account, follow->recipient, local.tm_mday, months[local.tm_mon],
                  time_of_day, follow->message_id, host);
}

static bool send_message(struct follow *follow)
{
    const char *const words[] = {"sendmail",
                                 "-C",
                                 follow->doctor->settings->config_directory,
                                 "-i",
                                 "-f",
                                 follow->account,
                                 "--",
                                 follow->recipient,
                                 NULL};
    struct report *report = &follow->doctor->report;
    struct process_result result;
    struct buffer message = {0};
    struct error error;
    compose(follow, &message);
    bool fine =
        process_run(words, message.data, message.length, TIMEOUT, ANSWER_LIMIT, &result, &error);
    if (fine && result.status != 0)
        fine = error_set(&error, "sendmail ended with status %d: %.500s", result.status,
                         result.errors.data != NULL ? result.errors.data : "no reason given");
    report_finding(
        report, &(struct finding){
                    .check = "send",
                    .verdict = fine ? VERDICT_OK : VERDICT_WRONG,
                    .account = follow->account,
                    .tried = report_format(report, "sendmail -f <UPN> %s", follow->recipient),
                    .seen = fine ? report_format(report, "taken, Message-ID %s", follow->message_id)
                                 : error.text,
                    .meaning = "Postfix does not take mail on this machine.",
                    .remedy = "`postfix status` tells whether it runs; its log says more."});
    process_result_free(&result);
    buffer_free(&message);
    return fine;
}

/* --- what becomes of it ---------------------------------------------------------------------- */

static void note_queue_id(struct follow *follow, const char *queue_id, size_t length,
                          const char *where)
{
    struct report *report = &follow->doctor->report;
    if (length == 0 || length >= sizeof(follow->queue_id))
        return;
    memcpy(follow->queue_id, queue_id, length);
    follow->queue_id[length] = '\0';
    report_finding(report,
                   &(struct finding){.check = "queue",
                                     .verdict = VERDICT_OK,
                                     .account = follow->account,
                                     .tried = "Postfix's queue",
                                     .seen = report_format(report, "queue id %s, found in %s",
                                                           follow->queue_id, where)});
}

static void report_end_of(struct follow *follow, enum verdict verdict, const char *state,
                          const char *reason, const char *meaning, const char *remedy)
{
    struct report *report = &follow->doctor->report;
    follow->is_over = true;
    report_finding(
        report,
        &(struct finding){
            .check = "delivery",
            .verdict = verdict,
            .account = follow->account,
            .tried =
                report_format(report, "message %s",
                              follow->queue_id[0] != '\0' ? follow->queue_id : follow->message_id),
            .seen = report_format(report, "%s%s%s", state, reason[0] != '\0' ? ": " : "", reason),
            .meaning = meaning,
            .remedy = remedy});
}

static void report_trouble(struct follow *follow, const char *state, const char *reason)
{
    struct reply reply;
    struct judgement judgement;
    const char *meaning = NULL, *remedy = NULL;
    if (strstr(reason, " is paused") != NULL) {
        meaning = "The account is paused, and its mail waits.";
        remedy = "Mend the cause; then `post365 resume <UPN>` lets its mail go.";
    } else if (strstr(reason, "room at ") != NULL) {
        meaning = "The account has used what it may send; the message goes by itself.";
        remedy = "Nothing. `post365 status <UPN>` shows what is used.";
    } else if (judgement_of_text(reason, strlen(reason), &reply, &judgement, NULL)) {
        meaning = judgement.row->meaning;
        remedy = judgement.row->remedy;
    }
    report_end_of(follow, VERDICT_WRONG, state, reason, meaning, remedy);
}

/* What Postfix says at last of an attempt: "... status=sent (250 2.0.0 OK)". */
static void take_status(struct follow *follow, const char *status)
{
    const char *open = strchr(status, '('), *close = strrchr(status, ')');
    size_t length = strcspn(status, " (");
    if (open == NULL || close == NULL || close < open)
        return;
    char *state = memory_copy_bytes(status, length);
    char *reason = memory_copy_bytes(open + 1, (size_t)(close - open - 1));
    if (strcmp(state, "sent") == 0)
        report_end_of(follow, VERDICT_OK, state, reason, NULL, NULL);
    else
        report_trouble(follow, state, reason);
    free(state);
    free(reason);
}

/* --- the log ------------------------------------------------------------------------------------
 */

/* A line of post365's own that names the message. The transport is not told the queue id of mail
 * that comes by sendmail(1); what it says is in Postfix's line, too. */
static bool show_own_line(struct follow *follow, const char *line, const char *text)
{
    static const char *const programs[] = {"post365/milter", "post365/transport"};
    struct report *report = &follow->doctor->report;
    for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
        const char *place = strstr(line, programs[i]);
        if (place == NULL || place > text || place[strlen(programs[i])] != '[')
            continue;
        report_finding(report, &(struct finding){.check = "log",
                                                 .verdict = VERDICT_OK,
                                                 .account = follow->account,
                                                 .tried = programs[i],
                                                 .seen = text});
        return true;
    }
    return false;
}

/* "Nov 22 04:19:02 host postfix/lmtp[123]: 4XYZ: to=<a@b>, ..., status=sent (250 2.0.0 OK)" */
static void take_line(struct follow *follow, char *line)
{
    char *text = strstr(line, "]: ");
    if (text == NULL)
        return;
    text += 3;
    size_t length = strcspn(text, ":");
    if (follow->queue_id[0] == '\0') {
        const char *id = strstr(text, "message-id=");
        if (id != NULL && strstr(line, "/cleanup[") != NULL &&
            strcmp(id + strlen("message-id="), follow->message_id) == 0)
            note_queue_id(follow, text, length, maillog_name(follow->log));
        follow->is_in_log = follow->queue_id[0] != '\0';
        return;
    }
    if (length != strlen(follow->queue_id) || strncmp(text, follow->queue_id, length) != 0)
        return;
    follow->is_in_log = true;
    const char *status = strstr(text, "status=");
    if (!show_own_line(follow, line, text) && status != NULL && strstr(text, "to=<") != NULL)
        take_status(follow, status + strlen("status="));
}

static void read_log(struct follow *follow)
{
    char *line;
    while (!follow->is_over && follow->log != NULL && (line = maillog_line(follow->log)) != NULL)
        take_line(follow, line);
}

/* A file that does not name the message is one that nobody writes any more. */
static void turn_to_journal(struct follow *follow)
{
    struct maillog *journal = maillog_open_journal(follow->begun);
    follow->is_journal = true;
    if (journal == NULL)
        return;
    maillog_close(follow->log);
    follow->log = journal;
    read_log(follow);
}

/* --- the queue
 * ------------------------------------------------------------------------------------ */

/* The recipient's reason to wait, "" if there is none yet; NULL: the message has no such recipient.
 */
static const char *reason_in(const json_t *message, const char *recipient)
{
    size_t index;
    const json_t *each;
    json_array_foreach(json_object_get(message, "recipients"), index, each)
    {
        const char *address = json_string_value(json_object_get(each, "address"));
        const char *reason = json_string_value(json_object_get(each, "delay_reason"));
        if (address != NULL && address_equal(address, recipient))
            return reason != NULL ? reason : "";
    }
    return NULL;
}

/* Whether a line of `postqueue -j` is our message. In the maildrop it has another queue id. */
static bool take_entry(struct follow *follow, const json_t *message)
{
    const char *queue_id = json_string_value(json_object_get(message, "queue_id"));
    const char *sender = json_string_value(json_object_get(message, "sender"));
    const char *name = json_string_value(json_object_get(message, "queue_name"));
    json_int_t arrival = json_integer_value(json_object_get(message, "arrival_time"));
    const char *reason = reason_in(message, follow->recipient);
    if (queue_id == NULL || sender == NULL || name == NULL || reason == NULL ||
        !address_equal(sender, follow->account) || arrival < follow->begun)
        return false;
    if (strcmp(name, "maildrop") == 0)
        return true;
    if (follow->queue_id[0] == '\0')
        note_queue_id(follow, queue_id, strlen(queue_id), "the queue");
    if (strcmp(follow->queue_id, queue_id) != 0)
        return false;
    if (strcmp(name, "deferred") == 0 && reason[0] != '\0')
        report_trouble(follow, "deferred", reason);
    return true;
}

/* Whether the message is queued; unknown counts as queued. */
static bool read_queue(struct follow *follow)
{
    const char *const words[] = {"postqueue", "-c", follow->doctor->settings->config_directory,
                                 "-j", NULL};
    struct process_result result;
    struct error error;
    bool ran =
        process_run(words, NULL, 0, TIMEOUT, ANSWER_LIMIT, &result, &error) && result.status == 0;
    bool is_queued = !ran;
    char *rest = result.output.data, *line;
    while (ran && !is_queued && rest != NULL && (line = strsep(&rest, "\n")) != NULL) {
        json_t *message = json_loads(line, 0, NULL);
        is_queued = message != NULL && take_entry(follow, message);
        json_decref(message);
    }
    process_result_free(&result);
    return is_queued;
}

/* --- all of it
 * ---------------------------------------------------------------------------------------- */

static void give_up(struct follow *follow)
{
    bool is_queued = read_queue(follow);
    if (follow->is_over)
        return;
    report_end_of(follow, VERDICT_WARNING, is_queued ? "still in the queue" : "not in the queue",
                  "", "It has not come to its end within two minutes.",
                  is_queued ? "`postqueue -p` shows what becomes of it; `post365 status <UPN>`, "
                              "whether it waits for room."
                            : "Postfix's log says where it went.");
}

/* With what to type, where nobody could tell what became of it. */
static void report_unknown(struct follow *follow)
{
    char *command = maillog_command(
        follow->queue_id[0] != '\0' ? follow->queue_id : follow->message_id, follow->begun);
    char *reason =
        memory_format("no log can be read that tells which. Who may read the journal (root, the "
                      "group systemd-journal) runs: `%s`. Without journal and syslog `postconf -e "
                      "maillog_file=/var/log/mail.log` and `postfix reload` give Postfix a log of "
                      "its own",
                      command);
    report_end_of(follow, VERDICT_UNTRIED, "it has left the queue, sent or returned", reason, NULL,
                  NULL);
    free(reason);
    free(command);
}

static void wait_for_end(struct follow *follow)
{
    const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};
    for (int passed = 0; !follow->is_over && passed < PATIENCE * 1000; passed += PAUSE_MS) {
        bool is_late = passed >= LOG_PATIENCE * 1000;
        read_log(follow);
        if (!follow->is_over && !follow->is_journal &&
            (follow->log == NULL || (is_late && !follow->is_in_log)))
            turn_to_journal(follow);
        bool is_told = follow->log != NULL && (follow->is_in_log || !is_late);
        if (!is_told && passed % 1000 == 0 && !read_queue(follow) && is_late && !follow->is_over)
            report_unknown(follow);
        nanosleep(&pause, NULL);
    }
    if (!follow->is_over)
        give_up(follow);
}

void doctor_follow(struct doctor *doctor, const char *account, const char *recipient)
{
    struct follow follow = {
        .doctor = doctor,
        .account = account,
        .recipient = recipient,
        .log = maillog_open_file(config_value(&doctor->config, "maillog_file"), true),
        .begun = time(NULL)};
    if (send_message(&follow))
        wait_for_end(&follow);
    maillog_close(follow.log);
    free(follow.message_id);
}
