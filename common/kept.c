/* kept.c - listening sockets that outlive the process */
#include "common/kept.h"

#include "common/log.h"
#include "common/memory.h"
#include "common/siphash.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#define NAME_SIZE 20

/* What the manager gave to this process, in its order; NULL names were taken. */
static struct {
    bool is_read;
    int count;
    char **names;
} given;

bool kept_is_possible(void)
{
    const char *most = getenv("FDSTORE");
    return most != NULL && strtoul(most, NULL, 10) > 0 && getenv("NOTIFY_SOCKET") != NULL;
}

/* A place has other bytes than the manager allows in a name (sd_notify(3)). */
static void make_name(const struct socket_place *place, char name[NAME_SIZE])
{
    static const struct siphash_secret none;
    char *text = place->family == SOCKET_UNIX
                     ? memory_format("unix:%s", place->path)
                     : memory_format("inet:%s:%s", place->host, place->port);
    snprintf(name, NAME_SIZE, "%016" PRIx64, siphash(&none, text, strlen(text)));
    free(text);
}

static void forget(const char *name)
{
    sd_notifyf(0, "FDSTOREREMOVE=1\nFDNAME=%s", name);
}

/* Of a UNIX socket whose name is gone nobody can ever hear again. */
static bool can_be_reached(const struct socket_place *place)
{
    struct stat status;
    return place->family != SOCKET_UNIX ||
           (lstat(place->path, &status) == 0 && S_ISSOCK(status.st_mode));
}

static bool listens(int descriptor)
{
    int flag = 0;
    socklen_t length = sizeof(flag);
    return getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &flag, &length) == 0 && flag != 0 &&
           fcntl(descriptor, F_SETFL, O_NONBLOCK) == 0;
}

static void read_given(void)
{
    if (given.is_read)
        return;
    given.is_read = true;
    given.count = sd_listen_fds_with_names(1, &given.names);
    if (given.count < 0)
        log_warning("what the service manager has kept cannot be taken: %s",
                    strerror(-given.count));
}

int kept_take(const struct socket_place *place)
{
    char name[NAME_SIZE];
    if (!kept_is_possible())
        return -1;
    read_given();
    make_name(place, name);
    for (int i = 0; i < given.count; i++) {
        int descriptor = SD_LISTEN_FDS_START + i;
        if (given.names[i] == NULL || strcmp(given.names[i], name) != 0)
            continue;
        free(given.names[i]);
        given.names[i] = NULL;
        if (can_be_reached(place) && listens(descriptor))
            return descriptor;
        close(descriptor);
        forget(name);
    }
    return -1;
}

void kept_put(int descriptor, const struct socket_place *place)
{
    char name[NAME_SIZE];
    if (!kept_is_possible())
        return;
    make_name(place, name);
    char *message = memory_format("FDSTORE=1\nFDPOLL=0\nFDNAME=%s", name);
    int done = sd_pid_notify_with_fds(0, 0, message, &descriptor, 1);
    if (done < 0)
        log_warning("the service manager does not keep a socket over a restart: %s",
                    strerror(-done));
    free(message);
}

void kept_end(void)
{
    if (!kept_is_possible())
        return;
    read_given();
    for (int i = 0; i < given.count; i++) {
        if (given.names[i] == NULL)
            continue;
        close(SD_LISTEN_FDS_START + i);
        forget(given.names[i]);
        free(given.names[i]);
    }
    free(given.names);
    given.names = NULL;
    given.count = 0;
}
