/* listener.c - who listens on a socket of this host? */
#include "common/listener.h"

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The state LISTEN in /proc/net/tcp. */
#define TCP_LISTENING 0x0A
/* Sockets on one port that are looked at: one per address, in practice. */
#define INODES_MAX 64

static void read_name(pid_t pid, char *name, size_t size)
{
    char path[64];
    name[0] = '\0';
    snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return;
    if (fgets(name, (int)size, file) != NULL)
        name[strcspn(name, "\n")] = '\0';
    fclose(file);
}

bool listener_is_this_program(pid_t pid, char *name, size_t size)
{
    char own[32];
    read_name(getpid(), own, sizeof(own));
    read_name(pid, name, size);
    return pid != getpid() && own[0] != '\0' && strcmp(own, name) == 0;
}

/* Adds the inodes of the sockets that listen on `port`. */
static size_t find_inodes(const char *path, unsigned port, uint64_t inodes[INODES_MAX],
                          size_t count)
{
    FILE *file = fopen(path, "re");
    char line[512];
    while (file != NULL && count < INODES_MAX && fgets(line, sizeof(line), file) != NULL) {
        unsigned local_port = 0, state = 0;
        unsigned long long inode = 0;
        if (sscanf(line,
                   " %*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*x:%*x %*x:%*x %*x %*u %*u %llu",
                   &local_port, &state, &inode) == 3 &&
            local_port == port && state == TCP_LISTENING)
            inodes[count++] = inode;
    }
    if (file != NULL)
        fclose(file);
    return count;
}

static bool holds_one_of(pid_t pid, const uint64_t inodes[], size_t count)
{
    char path[64], target[64];
    snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    DIR *directory = opendir(path);
    bool found = false;
    for (struct dirent *entry;
         !found && directory != NULL && (entry = readdir(directory)) != NULL;) {
        ssize_t length = readlinkat(dirfd(directory), entry->d_name, target, sizeof(target) - 1);
        if (length <= 0)
            continue;
        target[length] = '\0';
        unsigned long long inode = 0;
        if (sscanf(target, "socket:[%llu]", &inode) != 1)
            continue;
        for (size_t i = 0; i < count && !found; i++)
            found = inodes[i] == inode;
    }
    if (directory != NULL)
        closedir(directory);
    return found;
}

bool listener_is_ours_on_port(unsigned port)
{
    uint64_t inodes[INODES_MAX];
    size_t count = find_inodes("/proc/net/tcp", port, inodes, 0);
    count = find_inodes("/proc/net/tcp6", port, inodes, count);
    DIR *processes = opendir("/proc");
    bool found = false;
    char name[32];
    for (struct dirent *entry;
         !found && processes != NULL && (entry = readdir(processes)) != NULL;) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        found = pid > 0 && listener_is_this_program(pid, name, sizeof(name)) &&
                holds_one_of(pid, inodes, count);
    }
    if (processes != NULL)
        closedir(processes);
    return found;
}
