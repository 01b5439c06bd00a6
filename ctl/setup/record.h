/* record.h - what setup has changed, kept so that it can be undone
 *
 * <config_directory>/post365-setup/1/ (2, 3 for what was changed later), root's alone since main.cf
 * may hold passwords: main.cf.before, main.cf.after and the same of master.cf, and `edits`, which
 * says line by line which bytes of the one took the place of which of the other; `created`, where
 * other files were made, has their fingerprints and paths. It lies beside
 * the files that it is about: each instance of Postfix has its own, and what saves the
 * configuration saves it, too. A record is there as a whole or not at all.
 */
#ifndef POST365_CTL_SETUP_RECORD_H
#define POST365_CTL_SETUP_RECORD_H

#include "common/error.h"
#include "ctl/setup/created.h"
#include "ctl/setup/edits.h"
#include "ctl/setup/relay.h"

#include <stdbool.h>

struct record_file {
    bool is_changed; /* else there is nothing in what follows */
    struct text before;
    struct text after;
    struct edits edits; /* without their lines */
};

struct record {
    unsigned number;
    struct record_file file[RELAY_FILES];
    struct created_list created;
};

/* The name that a file has in a record, and in the configuration directory. */
const char *record_file_name(enum relay_file file);

/* Removes what a run that was killed has left. */
void record_tidy(const char *config_directory);

/* Keeps one, on the disk when this returns, as the newest; says its number. False with the
 * reason, and nothing is left. */
bool record_keep(const char *config_directory, struct record *record, struct error *error);

/* Reads the newest whose number is below `limit`; `number` 0 if there is none. False with the
 * reason. Release with record_free(), in both cases. */
bool record_read(const char *config_directory, unsigned limit, struct record *record,
                 struct error *error);
void record_free(struct record *record);

/* Removes it, and the directory with the last one. False with the reason. */
bool record_forget(const char *config_directory, unsigned number, struct error *error);

#endif
