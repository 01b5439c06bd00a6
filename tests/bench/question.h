/* question.h - a policy request as smtpd 3.7 sends it, made fast
 *
 * 29 attributes, about 700 bytes. What differs between two requests has a fixed width and is
 * written over a text that was made once, so that the generator costs less than any server.
 */
#ifndef POST365_TESTS_BENCH_QUESTION_H
#define POST365_TESTS_BENCH_QUESTION_H

#include <stddef.h>
#include <stdint.h>

#define QUESTION_SIZE     1024
#define QUESTION_ACCOUNTS 1000000U /* at most, numbered from 0 */

struct question {
    char text[QUESTION_SIZE];
    size_t length;
    size_t sender;   /* where the account's number begins */
    size_t instance; /* where the instance's number begins */
};

/* `stage` is the protocol_state: "RCPT", "END-OF-MESSAGE". One recipient in each. */
void question_make(struct question *question, const char *stage);

/* The next request: of that account, about a message that was never asked about before (in this
 * process or another one that began at another time). */
void question_change(struct question *question, uint32_t account, uint64_t instance);

/* What the first instance of this process is; count from there. */
uint64_t question_first_instance(void);

#define QUESTION_SENDER_SIZE 32
/* The sender's address, which is also the account's name. */
const char *question_sender(uint32_t account, char text[QUESTION_SENDER_SIZE]);

#endif
