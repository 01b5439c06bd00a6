/* setup.c - post365 setup: what main.cf and master.cf need, shown, made, taken back
 *
 * Nothing is written through postconf(1): what is shown is what will be written, byte for byte, and
 * what was there comes back byte for byte. Postfix has the last word by `postfix check`.
 */
#include "ctl/setup/setup.h"

#include "common/postconf.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sysexits.h>
#include <unistd.h>

int setup_fail(const struct error *error)
{
    struct buffer shown = {0};
    screen_text(&shown, error->text);
    int status = command_fail(geteuid() != 0 ? EX_NOPERM : EX_CONFIG, "%s", shown.data);
    buffer_free(&shown);
    return status;
}

bool setup_lock(const char *config_directory, int *status)
{
    int descriptor = open(config_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) {
        struct error error;
        error_set(&error, "cannot read %s: %s", config_directory, strerror(errno));
        *status = setup_fail(&error);
        return false;
    }
    /* Held until the program ends. */
    if (flock(descriptor, LOCK_EX | LOCK_NB) == 0)
        return true;
    *status = command_fail(EX_TEMPFAIL,
                           "%s: another post365 setup is at work; try again when it "
                           "is done",
                           config_directory);
    close(descriptor);
    return false;
}

/* False after having said what is wrong. */
static bool read_options(int argc, char *argv[], struct setup_call *call, bool *does_apply,
                         bool *does_undo)
{
    static const struct option options[] = {
        {"apply", no_argument, NULL, 'a'},        {"undo", no_argument, NULL, 'u'},
        {"yes", no_argument, NULL, 'y'},          {"json", no_argument, NULL, 'j'},
        {"oauth2", required_argument, NULL, 'o'}, {0}};
    int letter;
    while ((letter = command_option(argc, argv, options)) != -1) {
        if (letter == '?')
            return false;
        *does_apply = *does_apply || letter == 'a';
        *does_undo = *does_undo || letter == 'u';
        call->is_confirmed = call->is_confirmed || letter == 'y';
        call->as_json = call->as_json || letter == 'j';
        if (letter == 'o')
            call->oauth2 = optarg;
    }
    const char *wrong = NULL;
    if (optind < argc)
        wrong = "it takes no argument";
    else if (*does_apply && *does_undo)
        wrong = "--apply or --undo, not both";
    else if (call->oauth2 != NULL && *does_undo)
        wrong = "--undo takes all back, and needs no --oauth2";
    else if (call->oauth2 != NULL && call->oauth2[0] != '/')
        wrong = "--oauth2 wants the absolute path of a file";
    else if (call->is_confirmed && !*does_apply && !*does_undo)
        wrong = "--yes goes with --apply or --undo";
    else if ((*does_apply || *does_undo) && !call->is_confirmed &&
             (call->as_json || !isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)))
        wrong = "there is no terminal to ask on; --yes goes on without asking";
    else if (call->command->overrides[0] != NULL)
        wrong = "-o names what main.cf does not have, and this is about what it has";
    if (wrong != NULL)
        command_fail(COMMAND_USAGE, "setup: %s; see post365 setup --help", wrong);
    return wrong == NULL;
}

int setup_run(struct command_call *command, int argc, char *argv[])
{
    struct setup_call call = {.command = command};
    struct error error;
    bool does_apply = false, does_undo = false;
    if (!read_options(argc, argv, &call, &does_apply, &does_undo))
        return COMMAND_USAGE;
    char *directory = postconf_directory(command->config_directory, &error);
    if (directory == NULL)
        return setup_fail(&error);
    call.config_directory = directory;
    int status = does_undo ? setup_undo(&call) : setup_apply(&call, does_apply);
    free(directory);
    return status;
}
