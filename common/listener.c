/* listener.c - who listens on a socket of this host? */
#include "common/listener.h"

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The state LISTEN in /proc/net/tcp. */
#define TCP_LISTENING "0A"
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
        char local[64], state[8], inode[32];
        if (sscanf(line, "%*s %63s %*s %7s %*s %*s %*s %*s %*s %31s", local, state, inode) != 3)
            continue;
        const char *colon = strrchr(local, ':');
        if (colon != NULL && strtoul(colon + 1, NULL, 16) == port &&
            strcmp(state, TCP_LISTENING) == 0)
            inodes[count++] = strtoull(inode, NULL, 10);
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
        static const char prefix[] = "socket:[";
        if (strncmp(target, prefix, strlen(prefix)) != 0)
            continue;
        uint64_t inode = strtoull(target + strlen(prefix), NULL, 10);
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
