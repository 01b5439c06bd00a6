/* microsoft.h - which of Microsoft's servers a host is
 *
 * Sources: Microsoft Learn, "How to set up a multifunction device or application to send email
 * using Microsoft 365" (client submission, direct send), "Office 365 URLs and IP address ranges"
 * and its pages for the national clouds; "Enable mail flow for subdomains of mx.microsoft".
 */
#ifndef POST365_COMMON_MICROSOFT_H
#define POST365_COMMON_MICROSOFT_H

enum microsoft_host {
    MICROSOFT_NONE,       /* not Microsoft's */
    MICROSOFT_SUBMISSION, /* takes mail of who logs in, on port 587 */
    MICROSOFT_MX,         /* a tenant's mail exchanger: port 25, and nobody can log in */
};

/* A name without brackets and port; capitals and a dot at the end do not matter. */
enum microsoft_host microsoft_host(const char *host);

#endif
