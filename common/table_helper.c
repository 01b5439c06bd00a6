/* table_helper.c - a process that stays root and reads tables for a daemon that does not
 *
 * The two talk over a socketpair, one question at a time: a header, the table as main.cf names it
 * and a key; then a header and what belongs to the answer. The daemon waits for as long as a
 * question to postmap(1) may take.
 *
 * Security: a daemon that was taken over may ask the helper anything. It learns what it could have
 * looked up before, and of other files nothing: the helper knows its tables from main.cf, compares
 * what it is asked for with these, and hands a key to postmap's standard input. Whatever held a
 * password is wiped.
 */
#include "common/table_helper.h"

#include "common/buffer.h"
#include "common/log.h"
#include "common/memory.h"

#include <errno.h>
#include <linux/capability.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define NAME_MAX_LENGTH ((size_t)64 * 1024) /* of a table, as in a line of main.cf */
#define PATIENCE        15                  /* seconds: more than a look-up may take */
#define TURN_PATIENCE   10                  /* seconds until a look-up's turn */

enum question_kind { QUESTION_RELOAD, QUESTION_READ, QUESTION_STAT, QUESTION_FIND };

struct question {
    enum question_kind kind;
    enum table_content content;
    uint32_t name_length, key_length;
};

struct answer {
    int32_t result; /* enum table_trouble, errno, or enum table_answer */
    uint32_t error_length;
    uint32_t value_length; /* of a look-up */
    uint64_t entries;      /* of a table */
    struct file_state state;
    struct stat status;
};

struct entry {
    uint32_t key_length, value_length;
};

/* --- both sides --- */

static bool send_bytes(int descriptor, const void *bytes, size_t length)
{
    const char *rest = bytes;
    while (length > 0) {
        ssize_t sent = send(descriptor, rest, length, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return false;
        rest += sent;
        length -= (size_t)sent;
    }
    return true;
}

/* `deadline` is in seconds of the monotonic clock; 0: none. */
static bool receive_bytes(int descriptor, void *bytes, size_t length, time_t deadline)
{
    char *rest = bytes;
    while (length > 0) {
        struct timespec now;
        struct pollfd ready = {.fd = descriptor, .events = POLLIN};
        clock_gettime(CLOCK_MONOTONIC, &now);
        int wait = deadline == 0 ? -1 : deadline > now.tv_sec ? (int)(deadline - now.tv_sec) : 0;
        int count = poll(&ready, 1, deadline == 0 ? -1 : wait * 1000);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return false;
        ssize_t got = recv(descriptor, rest, length, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        rest += got;
        length -= (size_t)got;
    }
    return true;
}

/* A text of a length that was told, the caller's to free(); NULL if it is too long or does not
 * come. */
static char *receive_text(int descriptor, size_t length, size_t most, time_t deadline)
{
    if (length > most)
        return NULL;
    char *text = memory_alloc(length + 1);
    text[length] = '\0';
    if (receive_bytes(descriptor, text, length, deadline))
        return text;
    free(text);
    return NULL;
}

/* --- the helper's side: which tables it may read --- */

struct helper {
    int descriptor;
    const struct settings *settings;
    struct settings *own; /* read again; NULL: not yet */
    bool needs_passwords;
    table_helper_settings *read;
    const void *context;
};

static bool names_table(const char *value, const char *name)
{
    char *copy = memory_copy(value != NULL ? value : ""), *rest = copy, *piece;
    bool found = false;
    while (!found && (piece = table_next_piece(&rest)) != NULL) {
        while (strncmp(piece, "proxy:", 6) == 0)
            piece += 6;
        found = strcmp(piece, name) == 0;
    }
    free(copy);
    return found;
}

/* Whether main.cf names this table, and for this purpose. */
static bool may_read(const struct helper *helper, const char *name, enum table_content content)
{
    const struct settings *settings = helper->settings;
    const char *const values[] = {settings->login_upn_maps,
                                  settings->sender_upn_maps,
                                  settings->send_as_maps,
                                  settings->quota_maps,
                                  settings->token_maps,
                                  settings->oauth2_maps,
                                  settings->sender_relayhost_maps,
                                  settings->sender_transport_maps};
    if (content != TABLE_VALUES)
        return (content == TABLE_USER_NAMES || helper->needs_passwords) &&
               names_table(settings->password_maps, name);
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
        if (names_table(values[i], name))
            return true;
    return false;
}

/* --- the helper's side: answers --- */

static bool answer_error(const struct helper *helper, struct answer *answer,
                         const struct error *error)
{
    answer->error_length = (uint32_t)strlen(error->text);
    return send_bytes(helper->descriptor, answer, sizeof(*answer)) &&
           send_bytes(helper->descriptor, error->text, answer->error_length);
}

static size_t value_of(const struct table_value *value, const char **bytes)
{
    *bytes = value->secret != NULL ? secret_reveal(value->secret) : value->text;
    return value->secret != NULL ? secret_length(value->secret) : strlen(value->text);
}

struct sending {
    int descriptor;
    bool fine;
};

static void send_entry(void *context, const char *key, const struct table_value *value)
{
    struct sending *sending = context;
    const char *bytes;
    size_t length = value_of(value, &bytes), key_length = strlen(key);
    const struct entry entry = {(uint32_t)key_length, (uint32_t)length};
    sending->fine = sending->fine && send_bytes(sending->descriptor, &entry, sizeof(entry)) &&
                    send_bytes(sending->descriptor, key, key_length) &&
                    send_bytes(sending->descriptor, bytes, length);
}

static bool answer_read(const struct helper *helper, const struct table_source *source)
{
    struct error error = {.text = ""};
    struct table_contents contents = {.entries = NULL};
    struct answer answer = {.result = (int32_t)table_file_read(source, &contents, &error)};
    if (answer.result != TABLE_TROUBLE_NONE)
        return answer_error(helper, &answer, &error);
    struct sending sending = {.descriptor = helper->descriptor};
    answer.state = contents.state;
    answer.entries = dictionary_count(contents.entries);
    sending.fine = send_bytes(helper->descriptor, &answer, sizeof(answer));
    table_each(contents.entries, source->content, send_entry, &sending);
    dictionary_free(contents.entries);
    return sending.fine;
}

static bool answer_stat(const struct helper *helper, const struct table_source *source)
{
    struct answer answer = {.result = 0};
    char *path = table_file_behind(source);
    if (path == NULL)
        answer.result = ENOENT;
    else if (stat(path, &answer.status) != 0)
        answer.result = errno;
    free(path);
    return send_bytes(helper->descriptor, &answer, sizeof(answer));
}

static bool answer_find(const struct helper *helper, const struct table_source *source,
                        const char *key)
{
    struct error error = {.text = ""};
    struct table_value value = {.text = NULL};
    const char *bytes = NULL;
    struct answer answer = {.result = (int32_t)table_ask_postmap(source, key, &value, &error)};
    if (answer.result != TABLE_FOUND)
        return answer_error(helper, &answer, &error);
    answer.value_length = (uint32_t)value_of(&value, &bytes);
    bool sent = send_bytes(helper->descriptor, &answer, sizeof(answer)) &&
                send_bytes(helper->descriptor, bytes, answer.value_length);
    table_release(&value);
    return sent;
}

static bool answer_reload(struct helper *helper)
{
    struct error error;
    const struct answer answer = {.result = 0};
    struct settings *settings = helper->read(helper->context, &error);
    if (settings != NULL) { /* else the daemon says why */
        settings_free(helper->own);
        helper->settings = helper->own = settings;
    }
    return send_bytes(helper->descriptor, &answer, sizeof(answer));
}

static bool answer_about(const struct helper *helper, const struct question *question, char *name,
                         const char *key)
{
    struct error error;
    char *colon = strchr(name, ':');
    if (colon == NULL || !may_read(helper, name, question->content)) {
        struct answer answer = {.result = question->kind == QUESTION_READ   ? TABLE_TROUBLE_WRONG
                                          : question->kind == QUESTION_STAT ? EACCES
                                                                            : TABLE_FAILED};
        error_set(&error, "main.cf did not name this table when it was read; restart %s",
                  program_invocation_short_name);
        return answer_error(helper, &answer, &error);
    }
    *colon = '\0';
    const struct table_source source = {.place = name,
                                        .type = name,
                                        .name = colon + 1,
                                        .config_directory = helper->settings->config_directory,
                                        .content = question->content};
    if (question->kind == QUESTION_READ)
        return answer_read(helper, &source);
    return question->kind == QUESTION_STAT ? answer_stat(helper, &source)
                                           : answer_find(helper, &source, key);
}

/* Until the daemon has gone, or makes no sense. */
static void serve(struct helper *helper)
{
    struct question question;
    bool fine = true;
    while (fine && receive_bytes(helper->descriptor, &question, sizeof(question), 0)) {
        char *name = receive_text(helper->descriptor, question.name_length, NAME_MAX_LENGTH, 0);
        char *key = name != NULL
                        ? receive_text(helper->descriptor, question.key_length, TABLE_KEY_MAX, 0)
                        : NULL;
        fine = key != NULL && strpbrk(key, "\r\n") == NULL;
        if (fine)
            fine = question.kind == QUESTION_RELOAD ? answer_reload(helper)
                                                    : answer_about(helper, &question, name, key);
        free(name);
        free(key);
    }
}

/* --- the helper's side: what it is --- */

/* What it reads with: the right to read everything or, where the daemon had not that one (in many
 * containers), to read and write everything. */
static uint32_t right_to_read(uint32_t permitted)
{
    const uint32_t read = CAP_TO_MASK(CAP_DAC_READ_SEARCH), all = CAP_TO_MASK(CAP_DAC_OVERRIDE);
    return permitted & ((permitted & read) != 0 ? read : all);
}

/* postmap(1), which it runs, gets no more either. Where the system forbids it the helper is root as
 * the daemon was. */
static void keep_one_capability(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {{0, 0, 0}};
    static const struct __user_cap_data_struct none;
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    bool fine = syscall(SYS_capget, &header, sets) == 0;
    const uint32_t kept = right_to_read(sets[0].permitted);
    sets[0] = (struct __user_cap_data_struct){.effective = kept, .permitted = kept};
    sets[1] = none;
    if (!fine || syscall(SYS_capset, &header, sets) != 0)
        log_warning("the helper that reads tables of root's keeps its capabilities: %s",
                    strerror(errno));
}

/* Systemd stops a service's processes together: it is needed until the daemon has ended. */
static void ignore_signals(void)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        signal(signals[i], SIG_IGN);
}

/* The daemon's end of the socket is closed when the daemon ends, however that happens. */
__attribute__((noreturn)) static void become_helper(struct helper *helper)
{
    ignore_signals();
    unsetenv("NOTIFY_SOCKET");
    helper->descriptor = log_close_descriptors(helper->descriptor);
    if (helper->descriptor < 0 || chdir("/") != 0)
        _exit(EX_OSERR);
    keep_one_capability();
    serve(helper);
    _exit(EX_OK);
}

/* --- the daemon's side --- */

static struct {
    pthread_mutex_t mutex; /* protects what follows; held for a question and its answer */
    int descriptor;        /* -1: there is none */
    pid_t pid;
} link_state = {.mutex = PTHREAD_MUTEX_INITIALIZER, .descriptor = -1};

bool table_helper_start(const struct settings *settings, bool needs_passwords,
                        table_helper_settings *read, const void *context, struct error *error)
{
    int ends[2];
    if (geteuid() != 0 || link_state.descriptor >= 0)
        return true;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return error_set(error, "cannot talk to a helper: %s", strerror(errno));
    pid_t pid = fork();
    if (pid < 0) {
        error_set(error, "cannot start a helper: %s; see the limit on tasks (ulimit -u)",
                  strerror(errno));
        close(ends[0]);
        close(ends[1]);
        return false;
    }
    if (pid == 0) {
        struct helper helper = {.descriptor = ends[1],
                                .settings = settings,
                                .needs_passwords = needs_passwords,
                                .read = read,
                                .context = context};
        become_helper(&helper);
    }
    close(ends[1]);
    link_state.descriptor = ends[0];
    link_state.pid = pid;
    return true;
}

static bool is_forgone;

void table_helper_forgo(void)
{
    is_forgone = true;
}

bool table_helper_is_possible(void)
{
    return !is_forgone;
}

bool table_helper_is_there(void)
{
    pthread_mutex_lock(&link_state.mutex);
    bool is_there = link_state.descriptor >= 0;
    pthread_mutex_unlock(&link_state.mutex);
    return is_there;
}

/* With the mutex held. */
static void lose(void)
{
    if (link_state.descriptor < 0)
        return;
    close(link_state.descriptor);
    link_state.descriptor = -1;
    waitpid(link_state.pid, NULL, WNOHANG);
    log_warning("the helper that reads tables of root's has ended; what root alone may read is not "
                "read again: restart %s",
                program_invocation_short_name);
}

/* Asks, and receives the answer's head and error. With the mutex held; false: there is no helper
 * (any more). */
static bool exchange(enum question_kind kind, const struct table_source *source, const char *key,
                     time_t *deadline, struct answer *answer, struct error *error)
{
    struct timespec now;
    char *name =
        source != NULL ? memory_format("%s:%s", source->type, source->name) : memory_copy("");
    const struct question question = {kind, source != NULL ? source->content : TABLE_VALUES,
                                      (uint32_t)strlen(name), (uint32_t)strlen(key)};
    clock_gettime(CLOCK_MONOTONIC, &now);
    *deadline = now.tv_sec + PATIENCE;
    bool fine = link_state.descriptor >= 0;
    fine = fine && send_bytes(link_state.descriptor, &question, sizeof(question)) &&
           send_bytes(link_state.descriptor, name, question.name_length) &&
           send_bytes(link_state.descriptor, key, question.key_length) &&
           receive_bytes(link_state.descriptor, answer, sizeof(*answer), *deadline) &&
           answer->error_length < ERROR_TEXT_SIZE;
    free(name);
    if (fine && answer->error_length > 0) {
        char text[ERROR_TEXT_SIZE] = "";
        fine = receive_bytes(link_state.descriptor, text, answer->error_length, *deadline);
        error_set(error, "%s", text);
    }
    if (!fine)
        lose();
    return fine;
}

/* Less than Postfix waits for a milter. */
static bool lock_in_time(void)
{
    struct timespec deadline;
    clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_sec += TURN_PATIENCE;
    return pthread_mutex_clocklock(&link_state.mutex, CLOCK_MONOTONIC, &deadline) == 0;
}

void table_helper_reload(void)
{
    time_t deadline;
    struct answer answer;
    struct error error;
    pthread_mutex_lock(&link_state.mutex);
    if (link_state.descriptor >= 0)
        exchange(QUESTION_RELOAD, NULL, "", &deadline, &answer, &error);
    pthread_mutex_unlock(&link_state.mutex);
}

bool table_helper_stat(const struct table_source *source, struct stat *status)
{
    time_t deadline;
    struct answer answer = {.result = EACCES};
    struct error error;
    pthread_mutex_lock(&link_state.mutex);
    bool asked = exchange(QUESTION_STAT, source, "", &deadline, &answer, &error);
    pthread_mutex_unlock(&link_state.mutex);
    errno = asked ? answer.result : EACCES;
    if (asked && answer.result == 0)
        *status = answer.status;
    return asked && answer.result == 0;
}

/* A right-hand side, which may be a secret, from the socket to where it is kept. */
static bool receive_value(size_t length, enum table_content content, time_t deadline,
                          struct table_value *value)
{
    if (length > TABLE_VALUE_MAX)
        return false;
    char *bytes = memory_alloc(length + 1);
    bool fine = receive_bytes(link_state.descriptor, bytes, length, deadline);
    bytes[length] = '\0';
    if (fine && content == TABLE_PASSWORDS)
        *value = (struct table_value){.secret = secret_copy(bytes, length)};
    else if (fine)
        *value = (struct table_value){.text = memory_copy_bytes(bytes, length)};
    explicit_bzero(bytes, length);
    free(bytes);
    return fine;
}

static bool receive_entries(uint64_t count, enum table_content content, time_t deadline,
                            struct dictionary *entries)
{
    for (uint64_t i = 0; i < count; i++) {
        struct entry entry;
        struct table_value value = {.text = NULL};
        if (!receive_bytes(link_state.descriptor, &entry, sizeof(entry), deadline))
            return false;
        char *key =
            receive_text(link_state.descriptor, entry.key_length, TABLE_VALUE_MAX, deadline);
        bool fine = key != NULL && receive_value(entry.value_length, content, deadline, &value);
        if (fine)
            table_put_kept(entries, key, value);
        free(key);
        if (!fine)
            return false;
    }
    return true;
}

enum table_trouble table_helper_read(const struct table_source *source,
                                     struct table_contents *contents, struct error *error)
{
    time_t deadline;
    struct answer answer;
    enum table_trouble trouble = TABLE_TROUBLE_DENIED;
    pthread_mutex_lock(&link_state.mutex);
    if (exchange(QUESTION_READ, source, "", &deadline, &answer, error)) {
        trouble = (enum table_trouble)answer.result;
        struct dictionary *entries =
            trouble == TABLE_TROUBLE_NONE ? table_entries_new(source->content) : NULL;
        if (entries != NULL &&
            receive_entries(answer.entries, source->content, deadline, entries)) {
            *contents = (struct table_contents){.entries = entries, .state = answer.state};
        } else if (entries != NULL) {
            dictionary_free(entries);
            lose();
            error_set(error, "the helper that reads it as root did not answer");
            trouble = TABLE_TROUBLE_LATER;
        }
    }
    pthread_mutex_unlock(&link_state.mutex);
    return trouble;
}

enum table_answer table_helper_find(const struct table_source *source, const char *key,
                                    struct table_value *value, bool *asked, struct error *error)
{
    time_t deadline;
    struct answer answer = {.result = TABLE_FAILED};
    *asked = true;
    if (!lock_in_time()) {
        error_set(error,
                  "other questions to root's tables were not answered within %d seconds; find out "
                  "why this is slow: postmap -q KEY '%s:%s'",
                  TURN_PATIENCE, source->type, source->name);
        return TABLE_FAILED;
    }
    *asked = exchange(QUESTION_FIND, source, key, &deadline, &answer, error);
    enum table_answer found = *asked ? (enum table_answer)answer.result : TABLE_FAILED;
    if (found == TABLE_FOUND &&
        !receive_value(answer.value_length, source->content, deadline, value)) {
        lose();
        error_set(error, "the helper that reads it as root did not answer");
        found = TABLE_FAILED;
    }
    pthread_mutex_unlock(&link_state.mutex);
    return found;
}
