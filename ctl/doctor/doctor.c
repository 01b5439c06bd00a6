/* doctor.c - post365 doctor: what is wrong between here and Microsoft 365, and what to do about it
 *
 * Tries each thing that mail needs, in the order in which mail needs it. Sends nothing without
 * --send-to, and changes nothing but the time of its last login (stamp.h).
 */
#include "ctl/doctor/doctor.h"

#include "common/address.h"
#include "common/memory.h"
#include "ctl/doctor/oauth2.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

struct options {
    bool as_json;
    bool force;
    const char *send_to; /* or NULL */
};

void doctor_add_account(struct doctor *doctor, const char *upn)
{
    char *folded = address_fold(upn);
    size_t at = 0;
    if (!address_is_upn(folded)) { /* the key of a table may be anything */
        free(folded);
        return;
    }
    while (at < doctor->account_count && strcmp(doctor->accounts[at], folded) < 0)
        at++;
    if (at < doctor->account_count && strcmp(doctor->accounts[at], folded) == 0) {
        free(folded);
        return;
    }
    doctor->accounts =
        memory_grow(doctor->accounts, (doctor->account_count + 1) * sizeof(doctor->accounts[0]));
    memmove(doctor->accounts + at + 1, doctor->accounts + at,
            (doctor->account_count - at) * sizeof(doctor->accounts[0]));
    doctor->accounts[at] = folded;
    doctor->account_count++;
}

enum verdict doctor_verdict(struct judged judged)
{
    static const enum verdict verdicts[] = {[JUDGED_RIGHT] = VERDICT_OK,
                                            [JUDGED_DOUBTFUL] = VERDICT_WARNING,
                                            [JUDGED_WRONG] = VERDICT_WRONG};
    return verdicts[judged.judgement];
}

static void examine(struct doctor *doctor, const char *send_to)
{
    struct report *report = &doctor->report;
    doctor_check_milters(doctor);
    doctor_check_rewriting(doctor);
    doctor_check_credentials(doctor);
    doctor_check_rewritten(doctor);
    doctor_check_routing(doctor);
    doctor_check_client(doctor);
    doctor_check_smtp(doctor);
    doctor_check_tables(doctor);
    doctor_check_house(doctor);
    doctor_check_setup(doctor);
    report_section(report, "sockets");
    doctor_check_sockets(doctor);
    report_section(report, "OAuth2");
    doctor_check_oauth2(doctor);
    report_section(report, "server");
    way_check(&doctor->way, doctor->settings, report);
    report_section(report, "accounts");
    doctor_check_accounts(doctor);
    doctor_check_refusals(doctor);
    report_section(report, "ledger and quotas");
    doctor_check_ledger(doctor);
    report_section(report, "test message");
    for (size_t i = 0; send_to != NULL && i < doctor->account_count; i++)
        doctor_follow(doctor, doctor->accounts[i], send_to);
}

/* Whether the settings make sense, without which nothing can be tried. */
static bool prepare(struct doctor *doctor, const struct command_call *call)
{
    struct error error;
    const char *const *overrides = (const char *const *)call->overrides;
    report_section(&doctor->report, "main.cf and master.cf");
    doctor->settings = settings_read(call->config_directory, overrides, &error);
    if (doctor->settings != NULL &&
        config_read(&doctor->config, doctor->settings, overrides, &error)) {
        doctor->main_cf = memory_format("%s/main.cf", doctor->settings->config_directory);
        doctor->master_cf = memory_format("%s/master.cf", doctor->settings->config_directory);
        report_finding(&doctor->report, &(struct finding){.check = "settings",
                                                          .verdict = VERDICT_OK,
                                                          .tried = "settings",
                                                          .seen = doctor->main_cf});
        return true;
    }
    report_finding(&doctor->report, &(struct finding){.check = "settings",
                                                      .verdict = VERDICT_WRONG,
                                                      .tried = "settings",
                                                      .seen = error.text,
                                                      .meaning = "No program of post365 starts.",
                                                      .remedy = "Correct it, and run this again."});
    return false;
}

static void finish(struct doctor *doctor)
{
    doctor_free_oauth2(doctor);
    way_free(&doctor->way);
    for (size_t i = 0; i < doctor->way_count; i++)
        way_free(&doctor->ways[i]);
    config_free(&doctor->config);
    for (size_t i = 0; i < doctor->account_count; i++)
        free(doctor->accounts[i]);
    free(doctor->accounts);
    free(doctor->upn);
    free(doctor->main_cf);
    free(doctor->master_cf);
    settings_free(doctor->settings);
}

/* False after having said what is wrong. */
static bool read_options(struct options *options, int argc, char *argv[])
{
    static const struct option names[] = {{"json", no_argument, NULL, 'j'},
                                          {"force", no_argument, NULL, 'f'},
                                          {"send-to", required_argument, NULL, 's'},
                                          {0}};
    int letter;
    while ((letter = command_option(argc, argv, names)) != -1) {
        if (letter == '?')
            return false;
        options->as_json = options->as_json || letter == 'j';
        options->force = options->force || letter == 'f';
        if (letter == 's')
            options->send_to = optarg;
    }
    if (options->send_to != NULL && !address_is_valid(options->send_to)) {
        command_fail(COMMAND_USAGE, "--send-to: this is no mail address; write name@example.com");
        return false;
    }
    for (int i = optind; i < argc; i++)
        if (!address_is_upn(argv[i])) {
            command_fail(COMMAND_USAGE, "an account is named by its UPN, relay@contoso.com; see "
                                        "post365 doctor --help");
            return false;
        }
    return true;
}

int doctor_run(struct command_call *call, int argc, char *argv[])
{
    struct options options = {.send_to = NULL};
    if (!read_options(&options, argc, argv))
        return COMMAND_USAGE;
    struct doctor doctor = {.force = options.force,
                            .are_named = optind < argc,
                            .report = {.screen = &call->screen, .as_json = options.as_json}};
    for (int i = optind; i < argc; i++)
        doctor_add_account(&doctor, argv[i]);
    bool is_ready = prepare(&doctor, call);
    if (is_ready)
        examine(&doctor, options.send_to);
    bool is_fine = report_end(&doctor.report);
    if (doctor.needs_setup && !options.as_json)
        puts("post365 setup shows what main.cf and master.cf should have.");
    finish(&doctor);
    return !is_ready ? EX_CONFIG : is_fine ? COMMAND_FINE : COMMAND_ATTENTION;
}
