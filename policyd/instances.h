/* instances.h - which messages were seen already
 *
 * Postfix gives every message an `instance`, the same in all requests about it. This is a bounded
 * set of them: the oldest is forgotten when it is full. Additions since the last instances_keep()
 * can be taken back.
 */
#ifndef POST365_POLICYD_INSTANCES_H
#define POST365_POLICYD_INSTANCES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Postfix's are process id, time and a counter in hexadecimal: some thirty bytes. For the callers'
 * buffers; the set takes any length. */
#define INSTANCE_MAX 63

/* The largest set. */
#define INSTANCES_MAX 32768

struct instances;

/* `capacity` is a power of two, at most INSTANCES_MAX. Release with instances_free(). */
struct instances *instances_new(size_t capacity);
void instances_free(struct instances *instances);

bool instances_has(const struct instances *instances, const char *instance);

/* Adds what is not in the set yet. */
void instances_add(struct instances *instances, const char *instance);

/* What was added so far stays. */
void instances_keep(struct instances *instances);

/* What was added since instances_keep() goes again. */
void instances_undo(struct instances *instances);

/* How many there are. */
size_t instances_count(const struct instances *instances);

#endif
