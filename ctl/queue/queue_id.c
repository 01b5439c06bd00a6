/* queue_id.c - what Postfix's queue ids tell */
#include "ctl/queue/queue_id.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* A long one: six digits of seconds, four of microseconds, `z`, the inode. */
#define SECOND_DIGITS 6
#define TIME_DIGITS   10
/* A short one: five hexadecimal digits of microseconds, the inode. */
#define SHORT_DIGITS 5

#define SECOND 1000000U

bool queue_id_is_valid(const char *id)
{
    size_t length = 0;
    while (isalnum((unsigned char)id[length]))
        length++;
    return length > 0 && id[length] == '\0';
}

/* The digits of a long id are those and the letters but vowels. */
static unsigned read_long(const char *id)
{
    static const char values[] = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz";
    unsigned sum = 0;
    for (size_t i = SECOND_DIGITS; i < TIME_DIGITS; i++) {
        const char *digit = strchr(values, id[i]);
        sum = sum * (unsigned)strlen(values) + (unsigned)(digit != NULL ? digit - values : 0);
    }
    return sum;
}

unsigned queue_id_microseconds(const char *id)
{
    char digits[SHORT_DIGITS + 1] = "";
    const char *inode = strrchr(id, 'z');
    if (inode == id + TIME_DIGITS)
        return read_long(id) % SECOND;
    strncpy(digits, id, SHORT_DIGITS);
    return (unsigned)strtoul(digits, NULL, 16) % SECOND;
}
