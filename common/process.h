/* process.h - run another program and read what it says
 *
 * For postconf(1) and postmap(1). No shell is involved: arguments reach the program as they are.
 */
#ifndef POST365_COMMON_PROCESS_H
#define POST365_COMMON_PROCESS_H

#include "common/buffer.h"
#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>

struct process_result {
    int status; /* exit status, or 128 + signal */
    struct buffer output;
    struct buffer errors; /* what it wrote to stderr */
};

/*
 * Runs arguments[0] (found on a fixed search path of system directories) with `input` on its stdin
 * and waits for its end, at most `timeout` seconds. Output beyond `limit` bytes on either stream
 * ends it. Processes that it leaves behind are not waited for; they are ended with it where it does
 * not end by itself. It inherits the environment, but no descriptor, signal mask or handler.
 *
 * Returns true when the program ran and ended by itself, whatever its status; false with the reason
 * when it could not be started, took too long, wrote too much, or its status is lost because the
 * caller ignores SIGCHLD. In both cases process_result_free() releases the result and wipes it.
 * Thread-safe.
 */
bool process_run(const char *const arguments[], const char *input, size_t input_length, int timeout,
                 size_t limit, struct process_result *result, struct error *error);

void process_result_free(struct process_result *result);

#endif
