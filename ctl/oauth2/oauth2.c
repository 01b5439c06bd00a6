/* oauth2.c - post365 oauth2: what a registration at Entra needs on this side */
#include "ctl/command.h"
#include "ctl/oauth2/certificate.h"

#include <getopt.h>
#include <string.h>

int oauth2_run(struct command_call *call, int argc, char *argv[])
{
    static const struct option options[] = {{"directory", required_argument, NULL, 'd'}, {0}};
    const char *directory = NULL;
    int letter;
    while ((letter = command_option(argc, argv, options)) != -1) {
        if (letter == '?')
            return COMMAND_USAGE;
        directory = optarg;
    }
    if (argc - optind != 2 || strcmp(argv[optind], "certificate") != 0)
        return command_fail(COMMAND_USAGE,
                            "usage: post365 oauth2 certificate [--directory DIR] NAME");
    return certificate_make(call, argv[optind + 1], directory);
}
