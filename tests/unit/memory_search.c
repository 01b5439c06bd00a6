/* memory_search.c - whether a password is still somewhere in the memory of this process */
#include "tests/unit/memory_search.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

void memory_make_disguise(unsigned char *disguised, size_t length, unsigned number)
{
    for (size_t i = 0; i < length; i++)
        disguised[i] = (unsigned char)(('a' + (i * (7 + 2 * number) + 3) % 26) ^ DISGUISE);
}

void memory_reveal(const unsigned char *disguised, size_t length, char *password)
{
    for (size_t i = 0; i < length; i++)
        password[i] = (char)(disguised[i] ^ DISGUISE);
    password[length] = '\0';
}

int memory_count(const unsigned char *disguised, size_t length)
{
    static unsigned char chunk[1 << 16];
    FILE *maps = fopen("/proc/self/maps", "r");
    int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    unsigned long start, end;
    char line[512], mode[8];
    int count = 0;
    while (fgets(line, sizeof(line), maps) != NULL) {
        if (sscanf(line, "%lx-%lx %7s", &start, &end, mode) != 3 || mode[0] != 'r')
            continue;
        while (start < end) {
            /* Not beyond the end: the next mapping may begin there, and is looked at itself. */
            size_t wanted = end - start < sizeof(chunk) ? end - start : sizeof(chunk);
            ssize_t got = pread(memory, chunk, wanted, (off_t)start);
            if (got < (ssize_t)length)
                break;
            for (size_t i = 0; i + length <= (size_t)got; i++) {
                size_t same = 0;
                while (same < length && (chunk[i + same] ^ DISGUISE) == disguised[same])
                    same++;
                /* The chunk may hold a hit in the chunk itself. */
                bool own = start + i >= (unsigned long)chunk &&
                           start + i < (unsigned long)chunk + sizeof(chunk);
                count += same == length && !own;
            }
            explicit_bzero(chunk, (size_t)got);
            start += (size_t)got < sizeof(chunk) ? (size_t)got : sizeof(chunk) - (length - 1);
        }
    }
    fclose(maps);
    close(memory);
    return count;
}
