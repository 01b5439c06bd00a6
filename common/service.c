/* service.c - a daemon's life: options, settings, privileges, readiness
 *
 * Security: runs before anything else in a program that root may have started. Supplementary groups
 * are left behind with root. Core files are forbidden, since password tables pass through the
 * memory of the daemons.
 */
#include "common/service.h"

#include "common/kept.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/relayhost.h"
#include "common/table_helper.h"
#include "common/user.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

static void print_help(const struct service *service)
{
    printf(
        "Usage: %s [-c DIR] [-o NAME=VALUE]... [-e] [-v] [-t]\n"
        "%s\n"
        "\n"
        "  -c DIR         Postfix's configuration directory (default: $MAIL_CONFIG, else "
        "postconf's)\n"
        "  -o NAME=VALUE  override a parameter of main.cf; may be repeated\n"
        "  -e             log to stderr instead of syslog (facility mail)\n"
        "  -v             log more\n"
        "  -t             check the configuration, print the effective settings, end\n"
        "  -V             print the version, end\n"
        "      --help     print this, end\n"
        "\n"
        "Settings are the post365_ parameters of main.cf. The daemon stays in the foreground, "
        "stops on\n"
        "SIGTERM and reads its settings again on SIGUSR1. Exit status: 0 fine, 64 wrong options,\n"
        "78 wrong configuration.\n",
        service->program, service->summary);
}

static void add_override(struct service *service, const char *assignment)
{
    size_t count = 0;
    while (service->overrides != NULL && service->overrides[count] != NULL)
        count++;
    service->overrides =
        memory_grow(service->overrides, (count + 2) * sizeof(service->overrides[0]));
    service->overrides[count] = assignment;
    service->overrides[count + 1] = NULL;
}

static void read_options(struct service *service, int argc, char *argv[], bool *verbose)
{
    static const struct option long_options[] = {
        {"help", no_argument, NULL, 'h'}, {"version", no_argument, NULL, 'V'}, {0}};
    int option;
    while ((option = getopt_long(argc, argv, "c:o:evVt", long_options, NULL)) != -1) {
        switch (option) {
        case 'c':
            service->config_directory = optarg;
            break;
        case 'o':
            add_override(service, optarg);
            break;
        case 'e':
            service->to_stderr = true;
            break;
        case 'v':
            *verbose = true;
            break;
        case 't':
            service->test = service->to_stderr = true;
            break;
        case 'V':
            printf("%s %s\n", service->program, POST365_VERSION);
            exit(EX_OK);
        case 'h':
            print_help(service);
            exit(EX_OK);
        default:
            fprintf(stderr, "Try: %s --help\n", service->program);
            exit(EX_USAGE);
        }
    }
    if (optind < argc) {
        fprintf(stderr, "%s: unexpected argument \"%s\"\nTry: %s --help\n", service->program,
                argv[optind], service->program);
        exit(EX_USAGE);
    }
}

/* A socket on descriptor 2 would have log text written into it (PostSRSd has been there). */
static void occupy_standard_descriptors(void)
{
    int descriptor;
    do
        descriptor = open("/dev/null", O_RDWR);
    while (descriptor >= 0 && descriptor <= STDERR_FILENO);
    if (descriptor < 0)
        exit(EX_OSFILE);
    close(descriptor);
}

/* What a program inherits is whatever its starter had: an ignored SIGCHLD would lose the exit
 * status of postconf and postmap. A SIGUSR1 that comes before there are settings to be read again
 * ends nothing. */
static void set_signals(void)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGUSR1, SIG_IGN);
    signal(SIGCHLD, SIG_DFL);
}

void service_forbid_core_files(void)
{
    prctl(PR_SET_DUMPABLE, 0);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
}

/* A connection costs a descriptor, and the customary 1024 is less than a busy Postfix may need. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static struct settings *read_settings(const void *context, struct error *error)
{
    const struct service *service = context;
    return settings_read(service->config_directory, service->overrides, error);
}

void service_start_helper(const struct service *service)
{
    struct error error;
    if (!table_helper_start(service->settings, service->needs_passwords, read_settings, service,
                            &error))
        service_refuse(service, &error);
}

void service_start(struct service *service, int argc, char *argv[])
{
    bool verbose = false;
    struct error error;
    occupy_standard_descriptors();
    read_options(service, argc, argv, &verbose);
    log_open(service->name, service->to_stderr, verbose);
    /* Log lines and messages to clients give local times. */
    tzset();
    set_signals();
    service_forbid_core_files();
    raise_descriptor_limit();
    struct user user;
    service->settings = service_read_settings(service, &error);
    if (service->settings == NULL || !user_find(service->settings, &user, &error))
        service_refuse(service, &error);
    if (!service->has_workers)
        service_start_helper(service);
}

struct settings *service_read_settings(const struct service *service, struct error *error)
{
    struct settings *settings = read_settings(service, error);
    if (settings != NULL)
        table_helper_reload();
    return settings;
}

bool service_drop_privileges(const struct settings *settings, struct error *error)
{
    struct user user;
    if (geteuid() != 0)
        return true;
    if (!user_find(settings, &user, error))
        return false;
    if (setgroups(1, &user.group) != 0 || setgid(user.group) != 0 || setuid(user.id) != 0)
        return error_set(error, "%s/main.cf: post365_user = %s: cannot change to it: %s",
                         settings->config_directory, settings->user, strerror(errno));
    if (setuid(0) == 0)
        return error_set(error, "root privileges could not be dropped");
    /* The kernel makes a program dumpable again that changes its ids (fs.suid_dumpable). */
    service_forbid_core_files();
    return true;
}

static void warn_changed(const char *name, const char *old, const char *new)
{
    if (strcmp(old, new) != 0)
        log_warning("%s changed from %s to %s: it takes effect at the next restart", name, old,
                    new);
}

void service_warn_restart(const struct settings *old, const struct settings *new)
{
    warn_changed("post365_user", old->user, new->user);
    warn_changed("post365_milter_socket", old->milter_socket, new->milter_socket);
    warn_changed("post365_policy_socket", old->policy_socket, new->policy_socket);
    warn_changed("post365_control_socket", old->control_socket, new->control_socket);
    warn_changed("post365_metrics_listen", old->metrics_listen, new->metrics_listen);
    warn_changed("post365_transport_socket", old->transport_socket, new->transport_socket);
    warn_changed("post365_transport_metrics_listen", old->transport_metrics_listen,
                 new->transport_metrics_listen);
    warn_changed("post365_ledger", old->ledger, new->ledger);
    warn_changed("post365_oauth2_socket", old->oauth2_socket, new->oauth2_socket);
    warn_changed("post365_oauth2_user", old->oauth2_user, new->oauth2_user);
    warn_changed("post365_oauth2_directory", old->oauth2_directory, new->oauth2_directory);
}

/* That there is no account shall not wait for the first message to be noticed. */
static void report_account(const struct service *service, struct identities *identities)
{
    static const char found[] = "mail that no table claims goes out with the account ";
    struct identity identity;
    struct error error;
    if (identities == NULL)
        return;
    if (identity_find_default(identities, &identity, &error) != TABLE_FOUND)
        log_warning("mail that no table claims gets a temporary failure: %s", error.text);
    else if (service->test)
        printf("# %s%s\n", found, identity.upn);
    else
        log_info("%s%s", found, identity.upn);
    free(identity.upn);
    if (!relayhost_takes_logins(service->settings->relayhost, &error))
        log_warning("%s/main.cf: %s", service->settings->config_directory, error.text);
}

void service_ready(const struct service *service, struct identities *identities)
{
    log_info("started, version %s, configuration %s", POST365_VERSION,
             service->settings->config_directory);
    report_account(service, identities);
    kept_end();
    sd_notify(0, "READY=1");
}

void service_reloaded(const struct service *service, struct identities *identities)
{
    log_info("reloaded, configuration %s", service->settings->config_directory);
    report_account(service, identities);
    sd_notify(0, "READY=1");
}

void service_stopping(const struct service *service)
{
    (void)service;
    sd_notify(0, "STOPPING=1");
    log_info("stopped");
}

void service_end_test(const struct service *service, struct identities *identities)
{
    report_account(service, identities);
    settings_print(service->settings, stdout);
    exit(fflush(stdout) == 0 ? EX_OK : EX_IOERR);
}

void service_refuse(const struct service *service, const struct error *error)
{
    /* Somebody who starts the daemon by hand does not look into mail.log first. */
    if (!service->to_stderr)
        fprintf(stderr, "%s: fatal: %s\n", service->program, error->text);
    log_fatal(EX_CONFIG, "%s", error->text);
}
