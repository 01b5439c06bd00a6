/* transfer.h - the bytes of a message: DATA and BDAT */
#ifndef OFFICE365_TRANSFER_H
#define OFFICE365_TRANSFER_H

#include "session.h"

/* transfer_begin - a message begins; state is SESSION_DATA or SESSION_CHUNK */
void transfer_begin(struct session *session, enum session_state state);

/*
 * transfer_begin_chunk - BDAT: so many bytes follow, whatever we think of them. With out_of_order
 * they are read, thrown away, and answered with 503.
 */
void transfer_begin_chunk(struct session *session, int64_t size, bool last, bool out_of_order);

/* transfer_data, transfer_chunk - take what is there; false if more input is needed */
bool transfer_data(struct session *session, struct evbuffer *input);
bool transfer_chunk(struct session *session, struct evbuffer *input);

#endif
