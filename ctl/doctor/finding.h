/* finding.h - what the doctor has found: one result a check, for people or for programs
 *
 * Texts may come from anywhere (a server, main.cf, a log): what is shown has its control characters
 * made visible.
 */
#ifndef POST365_CTL_DOCTOR_FINDING_H
#define POST365_CTL_DOCTOR_FINDING_H

#include "ctl/screen.h"

#include <stdbool.h>
#include <stddef.h>

enum verdict {
    VERDICT_OK,
    VERDICT_WARNING, /* works, but not as it should, or not for long */
    VERDICT_WRONG,
    VERDICT_UNTRIED, /* not tried, or not to be known: `seen` says why, and how it may be */
    VERDICT_NOTE,    /* nothing is wrong, and it is worth knowing; counts for nothing */
    VERDICTS,
};

struct finding {
    const char *check; /* stable: scripts use it */
    enum verdict verdict;
    const char
        *account; /* NULL: about none. Its name takes the place of <UPN> in the texts below */
    const struct screen_names *names; /* of what else has a place in them; NULL: of nothing */
    const char *tried;
    const char *seen;
    const char *meaning; /* of what is neither ok nor not tried, as the next two; NULL: none */
    const char *remedy;
    const char *commands; /* to be copied as they are: lines, each ended by LF; NULL: none */
};

struct report {
    const struct screen *screen;
    bool as_json;
    const char *section; /* a heading that was not printed yet, or NULL */
    bool has_begun;      /* a heading was printed */
    unsigned counts[VERDICTS];
    char **texts; /* of report_format(), until the next finding */
    size_t text_count;
};

/* Findings from here on belong under this heading, a constant. */
void report_section(struct report *report, const char *heading);

/* A text for a finding; it is the report's, and valid until the next finding was made. */
__attribute__((format(printf, 2, 3))) const char *report_format(struct report *report,
                                                                const char *format, ...);

/* Counts and prints a finding, at once: whoever watches sees how far it is. Of one that is ok or
 * not tried meaning, remedy and commands are left out. */
void report_finding(struct report *report, const struct finding *finding);

/* Prints how many there are of each kind (not for programs), and releases what the report holds.
 * Returns whether all checks were made and are ok; notes do not matter. */
bool report_end(struct report *report);

#endif
