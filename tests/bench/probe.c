/* probe.c - how long the machine itself keeps a program waiting
 *
 * SYNOPSIS
 *     probe FILE
 *
 * DESCRIPTION
 *     One thread for each processor sleeps a millisecond at a time; another one writes a block to
 *     FILE and waits for the disk, a hundred times a second. For every line that it reads from
 *     stdin the program answers with a line of JSON: how late, in microseconds, a sleeper woke at
 *     worst since the last line ("processor_us"), and how long the disk took at worst ("disk_us").
 *     A wait that is not over yet counts with what it has taken so far. It ends with its stdin.
 *
 *     What a server next to it needs for longer than that is the server's own doing.
 */
#include <err.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define SLEEP          1000  /* microseconds */
#define FLUSH_SLEEP    10000 /* microseconds */
#define BLOCK_SIZE     4096
#define PROCESSORS_MAX 64

/* Times are microseconds. */
struct watch {
    int processor;          /* that of a sleeper */
    int file;               /* that of the flusher */
    _Atomic uint64_t due;   /* when what is waited for should be over; 0: nothing is waited for */
    _Atomic uint64_t worst; /* how late it was since somebody asked */
};

static uint64_t clock_microseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void add_wait(struct watch *watch, uint64_t due)
{
    uint64_t now = clock_microseconds();
    uint64_t late = now > due ? now - due : 0, worst = watch->worst;
    while (late > worst && !atomic_compare_exchange_weak(&watch->worst, &worst, late))
        continue;
}

static void sleep_for(uint64_t microseconds)
{
    const struct timespec time = {.tv_nsec = (long)microseconds * 1000};
    nanosleep(&time, NULL);
}

static void *sleep_all_the_time(void *argument)
{
    struct watch *watch = argument;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)watch->processor, &set);
    if (pthread_setaffinity_np(pthread_self(), sizeof(set), &set) != 0)
        errx(EX_OSERR, "cannot run on processor %d", watch->processor);
    for (;;) {
        uint64_t due = clock_microseconds() + SLEEP;
        watch->due = due;
        sleep_for(SLEEP);
        add_wait(watch, due);
    }
    return NULL;
}

static void *flush_all_the_time(void *argument)
{
    struct watch *watch = argument;
    char block[BLOCK_SIZE];
    memset(block, 'x', sizeof(block));
    for (;;) {
        uint64_t begin = clock_microseconds();
        watch->due = begin;
        if (pwrite(watch->file, block, sizeof(block), 0) != sizeof(block) ||
            fdatasync(watch->file) != 0)
            err(EX_IOERR, "the probe's file");
        add_wait(watch, begin);
        watch->due = 0;
        sleep_for(FLUSH_SLEEP);
    }
    return NULL;
}

static uint64_t take_worst(struct watch *watch)
{
    uint64_t due = watch->due;
    if (due != 0)
        add_wait(watch, due);
    return atomic_exchange(&watch->worst, 0);
}

static void start(void *(*run)(void *), struct watch *watch)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, run, watch) != 0)
        errx(EX_OSERR, "cannot start a thread");
}

int main(int argc, char **argv)
{
    static struct watch sleepers[PROCESSORS_MAX], flusher;
    size_t count = 0;
    cpu_set_t allowed;
    char line[64];
    if (argc != 2)
        errx(EX_USAGE, "usage: probe FILE");
    flusher.file = open(argv[1], O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    if (flusher.file < 0)
        err(EX_CANTCREAT, "%s", argv[1]);
    if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0)
        err(EX_OSERR, "processors");
    start(flush_all_the_time, &flusher);
    for (int i = 0; i < CPU_SETSIZE && count < PROCESSORS_MAX; i++) {
        if (CPU_ISSET((size_t)i, &allowed)) {
            sleepers[count].processor = i;
            start(sleep_all_the_time, &sleepers[count++]);
        }
    }
    while (fgets(line, sizeof(line), stdin) != NULL) {
        uint64_t worst = 0;
        for (size_t i = 0; i < count; i++) {
            uint64_t late = take_worst(&sleepers[i]);
            worst = late > worst ? late : worst;
        }
        printf("{\"processor_us\": %" PRIu64 ", \"disk_us\": %" PRIu64 "}\n", worst,
               take_worst(&flusher));
        fflush(stdout);
    }
    return 0;
}
