/* permissions.h - what an administrator of Exchange Online types so that an application may send
 *
 * PowerShell, line by line, with the ids filled in. A token is needed for all of it and is enough
 * for none: Exchange Online has to know the application, and which mailboxes it may use. There are
 * two ways to tell it so, and a third for High Volume Email.
 *
 * Ids and accounts may come from a server or a table. What is no GUID is not written as one (a
 * placeholder takes its place), and an account is quoted, so that a line never does more than it
 * says.
 *
 * Pure.
 *
 * Sources: Microsoft Learn, "Role Based Access Control for Applications in Exchange Online",
 * "Authenticate an IMAP, POP or SMTP connection using OAuth", New-ServicePrincipal,
 * Test-ServicePrincipalAuthorization, Add-HVEAppAccess, Connect-ExchangeOnline,
 * about_Quoting_Rules.
 */
#ifndef POST365_CTL_OAUTH2_PERMISSIONS_H
#define POST365_CTL_OAUTH2_PERMISSIONS_H

#include "common/buffer.h"

#include <stddef.h>

enum permissions_model {
    PERMISSIONS_RBAC,        /* RBAC for Applications, the role Application SMTP.SendAsApp */
    PERMISSIONS_CLASSIC,     /* SMTP.SendAsApp in Entra, FullAccess in Exchange */
    PERMISSIONS_HIGH_VOLUME, /* High Volume Email: Mail.Send in Entra, Add-HVEAppAccess */
};

struct permissions {
    const char *client_id;
    const char *object_id;   /* of the service principal; "" or NULL: not known, and looked up */
    const char *environment; /* permissions_environment()'s */
    const char *name;        /* of group, scope and role assignment: letters, digits and - */
    const char *const *accounts;
    size_t account_count;
};

/* Appends the commands of a model for the accounts, each line ended by LF, from the connection to
 * the test of what was done. */
void permissions_write(struct buffer *text, enum permissions_model model,
                       const struct permissions *permissions);

/* Appends what to do where the service principal that Exchange has may be another one than the
 * application's: it is shown, taken out and made anew. */
void permissions_write_principal(struct buffer *text, const struct permissions *permissions);

/* Appends how the accounts are put into the group of PERMISSIONS_RBAC that is there already. */
void permissions_write_scope(struct buffer *text, const struct permissions *permissions);

/* Appends what opens SMTP AUTH for the mailboxes of the accounts. */
void permissions_write_gate(struct buffer *text, const struct permissions *permissions);

/* What Connect-ExchangeOnline calls the cloud that a registration calls so (cloud.h); NULL for the
 * world's, which needs no name. */
const char *permissions_environment(const char *cloud);

#endif
