/* proof.h - what proves to the token endpoint that it is the application
 *
 * A client secret, or a certificate with its key, is read from its files and kept; when a file
 * changes it is read again, and the former one kept until the new one has been accepted: where the
 * endpoint refuses the new one, the former is tried once. What cannot be read, or does not fit
 * together (one of two files has been replaced so far), leaves what there is in use. A foreign
 * issuer's token is read each time. A public client, and a managed identity, have nothing here.
 *
 * The key is in OpenSSL's hands only while it signs.
 */
#ifndef POST365_TOKEND_PROOF_H
#define POST365_TOKEND_PROOF_H

#include "common/entra/cause.h"
#include "common/error.h"
#include "common/oauth2/registration.h"
#include "common/secret.h"
#include "tokend/request.h"

#include <stdbool.h>
#include <stdint.h>

struct proof;

/* Of a registration, which must outlive it. Nothing is read yet. Release with proof_free(). */
struct proof *proof_new(const struct registration *registration);
/* What `old` has and the endpoint took is the former one of `fresh`, of which nothing is read yet:
 * for the same application. */
void proof_inherit(struct proof *fresh, struct proof *old);
/* NULL is allowed. */
void proof_free(struct proof *proof);

/* Reads what has changed since the last call. True: there is something new to be used, or what is
 * wrong is another thing. */
bool proof_refresh(struct proof *proof);

/* Why there is nothing that could be shown, or NULL; `*reason` is then the reason with the remedy,
 * valid until the next refresh. */
const struct entra_row *proof_trouble(const struct proof *proof, const char **reason);
/* The same of what the files have now, where something older is in use meanwhile. */
const struct entra_row *proof_complaint(const struct proof *proof, const char **reason);

/* When the certificate begins and ends, or the secret ends as declared, seconds since the epoch; 0:
 * not known. */
int64_t proof_begins(const struct proof *proof);
int64_t proof_ends(const struct proof *proof);

/* Whether a former one may be tried in place of the one that was refused. */
bool proof_has_former(const struct proof *proof);
/* The endpoint has taken the current one, or the former one. */
void proof_accept(struct proof *proof, bool former);
/* The endpoint has refused the current one and taken the former: a complaint, until the endpoint
 * takes the current one or the files change. */
void proof_refuse(struct proof *proof, const struct entra_row *row, const char *reason);
/* The former one is of no use either. */
void proof_drop_former(struct proof *proof);

/* What is shown for one request: `shown` points into the proof and to `*made`, which is the
 * caller's to secret_free() (may be NULL). `now` is by the endpoint's clock, seconds since the
 * epoch; `audience` the token endpoint's URL. False with the reason and its row. */
bool proof_make(const struct proof *proof, bool former, const char *audience, int64_t now,
                struct request_proof *shown, struct secret **made, const struct entra_row **row,
                struct error *error);

#endif
