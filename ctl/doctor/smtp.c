/* smtp.c - what main.cf and master.cf say to smtp(8): does the transport do it?
 *
 * Sources: postconf(5), common/smtp_parameters.def.
 */
#include "common/upstream/dial.h"
#include "common/upstream/verify.h"
#include "ctl/doctor/doctor.h"
#include "ctl/smtp_check.h"

#define CHECK "smtp-settings"

static void tell(void *context, const struct smtp_finding *finding)
{
    struct doctor *doctor = context;
    struct report *report = &doctor->report;
    bool is_warned = finding->kind == SMTP_PARAMETER_WARNED ||
                     (finding->kind == SMTP_PARAMETER_KEPT && finding->service != NULL);
    const char *where = finding->service != NULL ? finding->service : doctor->main_cf;
    report_finding(
        report,
        &(struct finding){
            .check = CHECK,
            .verdict = is_warned ? VERDICT_WARNING : VERDICT_OK,
            .tried = report_format(report, "%s of %s", finding->name, where),
            .seen = is_warned ? report_format(report, "%.100s", finding->value)
                              : report_format(report, "%.100s, without effect on the transport. %s",
                                              finding->value, finding->text),
            .meaning = report_format(report, "It has no effect on mail through the transport. %s",
                                     finding->text),
            .remedy =
                report_format(report,
                              "Take it out of %s, if smtp(8) is to deliver nothing else; "
                              "docs/SMTP_SETTINGS.md has all of these.",
                              finding->service != NULL ? doctor->master_cf : doctor->main_cf)});
}

static void report_note(struct doctor *doctor, const char *text)
{
    struct report *report = &doctor->report;
    report_finding(
        report,
        &(struct finding){.check = CHECK,
                          .verdict = VERDICT_WARNING,
                          .tried = report_format(report, "smtp_ settings of %s", doctor->main_cf),
                          .seen = report_format(report, "%s", text),
                          .meaning = "The transport cannot do what main.cf asks for.",
                          .remedy = "Correct the value, or take it out."});
}

void doctor_check_smtp(struct doctor *doctor)
{
    const struct settings *settings = doctor->settings;
    struct dial_settings dialling;
    struct error error;
    if (settings->meter != METER_DELIVERY)
        return;
    for (size_t i = 0; i < settings->smtp.note_count; i++)
        report_note(doctor, settings->smtp.notes[i]);
    dial_settings_read(&settings->smtp, &dialling);
    for (size_t i = 0; i < ADDRESS_FAMILIES; i++)
        if (!dial_source_works(&dialling, (enum address_family)i, &error))
            report_note(doctor, error.text);
    if (!verify_ciphers(settings, &error))
        report_note(doctor, error.text);
    if (!smtp_check(&doctor->config.postconf, tell, doctor, &error))
        report_finding(&doctor->report, &(struct finding){.check = CHECK,
                                                          .verdict = VERDICT_UNTRIED,
                                                          .tried = "settings of smtp(8)",
                                                          .seen = error.text});
}
