/* queue_id.h - what Postfix's queue ids tell
 *
 * Source: enable_long_queue_ids in postconf(5).
 */
#ifndef POST365_CTL_QUEUE_QUEUE_ID_H
#define POST365_CTL_QUEUE_QUEUE_ID_H

#include <stdbool.h>

/* Whether it could be one: letters and digits. */
bool queue_id_is_valid(const char *id);

/* The microseconds of the second in which the message arrived, 0 to 999999; 0 if it tells none. */
unsigned queue_id_microseconds(const char *id);

#endif
