/* faults.c - a disk that fails, for one directory of one program (LD_PRELOAD)
 *
 * ENVIRONMENT
 *     POST365_FAULTS            a file of struct faults, which another process may write at any
 * time POST365_FAULTS_DIRECTORY  writes below it may fail; all others are left alone
 *
 * DESCRIPTION
 *     write(), pwrite(), writev(), fsync() and fdatasync() on files below the directory fail, write
 *     less than they were told to, or end the program with SIGKILL at the call that was asked for:
 *     before it, after it, or when half of it is done.
 *
 *     Berkeley DB tries a call that fails with EIO a hundred times. Faults therefore come in runs
 * of random length.
 *
 *     A page of a database is written as a whole or not at all: the kernel lets no signal come
 *     between, and file systems have blocks of that size. Of the log any number of bytes may be
 *     written.
 *
 *     After a flush that failed Linux takes the pages for clean: they are read as they were written
 *     until the machine ends, and no later flush writes them. The structure tells which pages of
 * the log that concerns, so that a test can remove them.
 *
 * BUGS
 *     Pages are followed in one log file only.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define PATH_SIZE  4096
#define RUN_MAX    300
#define PER_MILLE  1000
#define PAGE       4096U
#define LOG_PREFIX "log."
#define FIRST_LOG  "log.0000000001"

#define EXPORT __attribute__((visibility("default")))

enum { CALL_WRITE = 1, CALL_SYNC = 2 };
enum { FILE_LOG = 1, FILE_OTHER = 2, FILE_LATER_LOG = 4 }; /* of the log: the first, the others */
enum { DIE_BEFORE, DIE_AFTER, DIE_HALFWAY };

/* tests/harness/faults.py writes it. All numbers have the size of the first. */
struct faults {
    uint64_t calls;   /* which of them: CALL_* */
    uint64_t files;   /* and on which: FILE_* */
    uint64_t fail;    /* so many in a thousand begin a run of failures */
    uint64_t shorten; /* so many in a thousand write less */
    uint64_t code;    /* errno; 0: EIO or ENOSPC */
    uint64_t die_at;  /* the call at which to die, the first is 1; 0: at none */
    uint64_t die_how; /* DIE_* */
    uint64_t random;  /* the generator's state; not 0 */
    uint64_t seen;    /* calls that could have failed */
    uint64_t failed;  /* that did */
    uint64_t run;     /* so many more of them fail with `run_code` */
    uint64_t run_code;
    uint64_t dirty_from; /* pages of the log that were written since they were last flushed */
    uint64_t dirty_to;
    uint64_t lost_from; /* those that a flush failed for and nobody has written since */
    uint64_t lost_to;
};

/* What becomes of a call. */
enum fate { FATE_PASS, FATE_FAIL, FATE_SHORTEN, FATE_DIE };

static struct faults *faults;
static char directory[PATH_SIZE];
static size_t directory_length;

__attribute__((constructor)) static void start(void)
{
    const char *path = getenv("POST365_FAULTS");
    const char *below = getenv("POST365_FAULTS_DIRECTORY");
    int descriptor = path != NULL && below != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (descriptor < 0)
        return;
    void *mapped = mmap(NULL, sizeof(*faults), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    close(descriptor);
    directory_length = strlen(below);
    if (mapped == MAP_FAILED || directory_length >= sizeof(directory))
        abort();
    memcpy(directory, below, directory_length + 1);
    faults = mapped;
}

/* FILE_*, or 0 for a file that is not below the directory. */
static uint64_t kind_of(int descriptor)
{
    char link[64] = "/proc/self/fd/";
    char path[PATH_SIZE];
    char digits[16];
    size_t length = strlen(link), count = 0;
    for (int rest = descriptor; rest > 0 || count == 0; rest /= 10)
        digits[count++] = (char)('0' + rest % 10);
    while (count > 0)
        link[length++] = digits[--count];
    link[length] = '\0';
    ssize_t size = readlink(link, path, sizeof(path) - 1);
    if (size <= (ssize_t)directory_length || memcmp(path, directory, directory_length) != 0 ||
        path[directory_length] != '/')
        return 0;
    path[size] = '\0';
    const char *name = path + directory_length + 1;
    if (strncmp(name, LOG_PREFIX, strlen(LOG_PREFIX)) != 0)
        return FILE_OTHER;
    return strcmp(name, FIRST_LOG) == 0 ? FILE_LOG : FILE_LATER_LOG;
}

static bool is_log(int descriptor)
{
    return (kind_of(descriptor) & (FILE_LOG | FILE_LATER_LOG)) != 0;
}

static uint64_t draw(uint64_t below)
{
    faults->random ^= faults->random << 13;
    faults->random ^= faults->random >> 7;
    faults->random ^= faults->random << 17;
    return (faults->random >> 16) % below;
}

static enum fate fail(void)
{
    faults->failed++;
    errno = (int)faults->run_code;
    return FATE_FAIL;
}

static enum fate decide(uint64_t call, int descriptor)
{
    if (faults == NULL || descriptor < 0 || (faults->calls & call) == 0 ||
        (faults->files & kind_of(descriptor)) == 0)
        return FATE_PASS;
    faults->seen++;
    if (faults->seen == faults->die_at)
        return FATE_DIE;
    if (faults->run > 0) {
        faults->run--;
        return fail();
    }
    if (draw(PER_MILLE) < faults->fail) {
        faults->run = draw(RUN_MAX);
        faults->run_code = faults->code != 0 ? faults->code : draw(2) == 0 ? EIO : ENOSPC;
        return fail();
    }
    return call == CALL_WRITE && draw(PER_MILLE) < faults->shorten ? FATE_SHORTEN : FATE_PASS;
}

/* --- what is on the disk ------------------------------------------------------ */

static void note_written(int descriptor, uint64_t begin, ssize_t size)
{
    if (faults == NULL || size <= 0 || !is_log(descriptor))
        return;
    uint64_t from = begin / PAGE, to = (begin + (uint64_t)size + PAGE - 1) / PAGE;
    if (faults->dirty_from == faults->dirty_to)
        faults->dirty_from = from, faults->dirty_to = to;
    faults->dirty_from = from < faults->dirty_from ? from : faults->dirty_from;
    faults->dirty_to = to > faults->dirty_to ? to : faults->dirty_to;
    if (from <= faults->lost_from && to > faults->lost_from)
        faults->lost_from = to < faults->lost_to ? to : faults->lost_to;
    else if (from < faults->lost_to && to >= faults->lost_to)
        faults->lost_to = from;
}

static void note_flushed(int descriptor, bool done)
{
    if (faults == NULL || !is_log(descriptor))
        return;
    bool is_first = faults->lost_from == faults->lost_to;
    if (!done && faults->dirty_from != faults->dirty_to) {
        faults->lost_from = is_first ? faults->dirty_from : faults->lost_from;
        faults->lost_to = faults->dirty_to;
    }
    faults->dirty_from = faults->dirty_to = 0;
}

/* --- the calls ---------------------------------------------------------------- */

static void die(void)
{
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

/* How much of `size` bytes is written by a call with this fate. */
static size_t share(enum fate fate, int descriptor, size_t size)
{
    bool is_divisible = fate != FATE_PASS && is_log(descriptor);
    if (fate == FATE_SHORTEN)
        return is_divisible && size > 1 ? 1 + draw(size - 1) : size;
    if (fate != FATE_DIE || faults->die_how == DIE_AFTER)
        return size;
    return is_divisible && faults->die_how == DIE_HALFWAY ? size / 2 : 0;
}

EXPORT ssize_t write(int descriptor, const void *bytes, size_t size)
{
    enum fate fate = decide(CALL_WRITE, descriptor);
    if (fate == FATE_FAIL)
        return -1;
    ssize_t written = syscall(SYS_write, descriptor, bytes, share(fate, descriptor, size));
    int code = errno;
    if (written > 0)
        note_written(descriptor, (uint64_t)lseek(descriptor, 0, SEEK_CUR) - (uint64_t)written,
                     written);
    errno = code;
    if (fate == FATE_DIE)
        die();
    return written;
}

EXPORT ssize_t pwrite(int descriptor, const void *bytes, size_t size, off_t offset)
{
    enum fate fate = decide(CALL_WRITE, descriptor);
    if (fate == FATE_FAIL)
        return -1;
    ssize_t written =
        syscall(SYS_pwrite64, descriptor, bytes, share(fate, descriptor, size), offset);
    int code = errno;
    note_written(descriptor, (uint64_t)offset, written);
    errno = code;
    if (fate == FATE_DIE)
        die();
    return written;
}

EXPORT ssize_t pwrite64(int descriptor, const void *bytes, size_t size, off64_t offset)
{
    return pwrite(descriptor, bytes, size, offset);
}

/* Not shortened: of several pieces the first alone is written where half is asked for. */
EXPORT ssize_t writev(int descriptor, const struct iovec *pieces, int count)
{
    enum fate fate = decide(CALL_WRITE, descriptor);
    if (fate == FATE_FAIL)
        return -1;
    if (fate == FATE_DIE && faults->die_how == DIE_BEFORE)
        die();
    if (fate == FATE_DIE && faults->die_how == DIE_HALFWAY)
        count = 1;
    ssize_t written = syscall(SYS_writev, descriptor, pieces, count);
    if (fate == FATE_DIE)
        die();
    return written;
}

static int synchronize(long number, int descriptor)
{
    enum fate fate = decide(CALL_SYNC, descriptor);
    if (fate == FATE_FAIL) {
        note_flushed(descriptor, false);
        errno = (int)faults->run_code;
        return -1;
    }
    if (fate == FATE_DIE && faults->die_how != DIE_AFTER)
        die();
    int result = (int)syscall(number, descriptor);
    int code = errno;
    note_flushed(descriptor, result == 0);
    if (fate == FATE_DIE)
        die();
    errno = code;
    return result;
}

EXPORT int fsync(int descriptor)
{
    return synchronize(SYS_fsync, descriptor);
}

EXPORT int fdatasync(int descriptor)
{
    return synchronize(SYS_fdatasync, descriptor);
}
