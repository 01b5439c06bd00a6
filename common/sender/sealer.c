/* sealer.c - the key of handover.h, which milter and transport share
 *
 * The file appears whole or not at all: it is written under another name and linked, which fails if
 * somebody else was quicker. Then that one's is read.
 *
 * Security: a file that others may read or write is no key, nor is one of somebody else's. The key
 * is held as a secret: in no core file, and not in the swap.
 */
#include "common/sender/sealer.h"

#include "common/error.h"
#include "common/file_state.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/private_directory.h"
#include "common/secret.h"
#include "common/user.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FILE_NAME     "handover.key"
#define AGAIN_SECONDS 10 /* without a key it is looked for so often */

struct sealer {
    pthread_mutex_t lock;
    char *path;
    struct secret *key; /* NULL: there is none */
    struct file_state state;
    time_t next_try; /* without a key; CLOCK_MONOTONIC */
    bool has_looked, has_complained;
};

static time_t seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return now.tv_sec;
}

/* --- the file --------------------------------------------------------------------- */

static bool is_sound(const struct stat *status)
{
    return S_ISREG(status->st_mode) && status->st_uid == geteuid() &&
           (status->st_mode & 077) == 0 && status->st_size == HANDOVER_KEY_SIZE;
}

/* NULL with the reason. */
static struct secret *read_key(const char *path, struct file_state *state, struct error *error)
{
    struct stat status;
    int descriptor = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (descriptor < 0) {
        error_set(error, "%s", strerror(errno));
        return NULL;
    }
    struct secret *key = NULL;
    if (fstat(descriptor, &status) != 0 || !is_sound(&status)) {
        error_set(error,
                  "it is not a file of %d octets that belongs to user id %u alone; remove it, and "
                  "it is made anew",
                  HANDOVER_KEY_SIZE, (unsigned)geteuid());
    } else {
        *state = file_state_of(&status);
        key = secret_new(HANDOVER_KEY_SIZE);
        if (secret_read(key, descriptor) != HANDOVER_KEY_SIZE) {
            error_set(error, "it cannot be read as a whole");
            secret_free(key);
            key = NULL;
        }
    }
    close(descriptor);
    return key;
}

static bool write_key(int descriptor)
{
    char octets[HANDOVER_KEY_SIZE];
    bool written = getrandom(octets, sizeof(octets), 0) == sizeof(octets) &&
                   write(descriptor, octets, sizeof(octets)) == sizeof(octets) &&
                   fsync(descriptor) == 0;
    explicit_bzero(octets, sizeof(octets));
    return written;
}

/* True as well if somebody else has made it meanwhile. */
static bool make_key(const char *path, struct error *error)
{
    char *temporary = memory_format("%s.%d", path, (int)getpid());
    (void)unlink(temporary); /* of a process that was killed and had our number */
    int descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    bool made =
        descriptor >= 0 && write_key(descriptor) && (link(temporary, path) == 0 || errno == EEXIST);
    if (!made)
        error_set(error, "it cannot be made: %s", strerror(errno));
    if (descriptor >= 0) {
        close(descriptor);
        (void)unlink(temporary);
    }
    free(temporary);
    return made;
}

/* --- having it -------------------------------------------------------------------- */

static void complain(struct sealer *sealer, const struct error *error)
{
    if (!sealer->has_complained)
        log_warning("%s: %s; meanwhile the milter's decision does not travel with the mail, and "
                    "post365-transport finds the account by the envelope sender (the directory, "
                    "post365_ledger, must belong to post365_user and stand in ReadWritePaths= of "
                    "the services)",
                    sealer->path, error->text);
    sealer->has_complained = true;
}

static void find_key(struct sealer *sealer)
{
    struct error error;
    struct file_state state = {0};
    struct stat status;
    bool is_missing = lstat(sealer->path, &status) != 0 && errno == ENOENT;
    struct secret *key = NULL;
    if (!is_missing || make_key(sealer->path, &error))
        key = read_key(sealer->path, &state, &error);
    sealer->has_looked = true;
    sealer->next_try = seconds_now() + AGAIN_SECONDS;
    if (key == NULL) {
        complain(sealer, &error);
        return;
    }
    secret_free(sealer->key);
    sealer->key = key;
    sealer->state = state;
    sealer->has_complained = false;
}

/* Whether there is a key, and the one that is in the file. One that has gone, or that cannot be
 * read now, is no reason to give up the one that is known. */
static bool has_key(struct sealer *sealer)
{
    struct stat status;
    if (sealer->key == NULL) {
        if (!sealer->has_looked || seconds_now() >= sealer->next_try)
            find_key(sealer);
        return sealer->key != NULL;
    }
    if (lstat(sealer->path, &status) != 0)
        return true;
    struct file_state state = file_state_of(&status);
    if (!file_state_equal(&state, &sealer->state) && seconds_now() >= sealer->next_try)
        find_key(sealer);
    return true;
}

void sealer_look(struct sealer *sealer)
{
    pthread_mutex_lock(&sealer->lock);
    (void)has_key(sealer);
    pthread_mutex_unlock(&sealer->lock);
}

bool sealer_seal(struct sealer *sealer, struct buffer *xtext, const struct handover *decision)
{
    pthread_mutex_lock(&sealer->lock);
    bool sealed = has_key(sealer);
    if (sealed)
        handover_seal(xtext, secret_reveal(sealer->key), decision);
    pthread_mutex_unlock(&sealer->lock);
    return sealed;
}

bool sealer_open(struct sealer *sealer, const char *xtext, struct handover *decision)
{
    *decision = (struct handover){0};
    if (!handover_is_sealed(xtext))
        return false;
    pthread_mutex_lock(&sealer->lock);
    bool opened = has_key(sealer) && handover_open(xtext, secret_reveal(sealer->key), decision);
    pthread_mutex_unlock(&sealer->lock);
    return opened;
}

/* --- life ------------------------------------------------------------------------- */

void sealer_prepare(const struct settings *settings)
{
    struct user user;
    struct error error;
    if (user_find(settings, &user, &error) &&
        !private_directory_make(settings->ledger, &user, &error))
        log_debug("%s: %s", settings->ledger, error.text);
}

struct sealer *sealer_new(const struct settings *settings)
{
    struct sealer *sealer = memory_zero(1, sizeof(*sealer));
    pthread_mutex_init(&sealer->lock, NULL);
    sealer->path = memory_format("%s/" FILE_NAME, settings->ledger);
    return sealer;
}

void sealer_free(struct sealer *sealer)
{
    if (sealer == NULL)
        return;
    pthread_mutex_destroy(&sealer->lock);
    secret_free(sealer->key);
    free(sealer->path);
    free(sealer);
}
