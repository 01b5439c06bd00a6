/* smtp_check.c - what main.cf and master.cf set of smtp(8), and what has no effect any more */
#include "ctl/smtp_check.h"

#include "common/memory.h"
#include "ctl/relay/file.h"
#include "ctl/relay/service.h"
#include "ctl/relay/text.h"

#include <stdlib.h>
#include <string.h>

#define PREFIX    "smtp_"
#define TRANSPORT "post365/unix"

#define IN_MAIN_CF                                                                                 \
    "The transport reads main.cf alone: set it there, if it is to hold for mail to Microsoft."
#define UNKNOWN "Nothing is known of it here, and the transport does not read it."

/* A parameter that is set somewhere. */
struct setting {
    char *service; /* NULL: main.cf */
    char *name;
    char *value; /* as written */
};

struct settings_list {
    struct setting *list;
    size_t count;
};

/* What else than smtp_ parameters changes smtp(8)'s connections. */
static bool is_of_connections(const char *name)
{
    static const char *const names[] = {"inet_interfaces", "inet_protocols", "myhostname"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static void add(struct settings_list *settings, const char *service, const char *name,
                const char *value)
{
    settings->list = memory_grow(settings->list, (settings->count + 1) * sizeof(settings->list[0]));
    settings->list[settings->count++] =
        (struct setting){.service = service != NULL ? memory_copy(service) : NULL,
                         .name = memory_copy(name),
                         .value = memory_copy(value)};
}

/* Cuts "name = value" in two, in place; the value, or NULL. */
static char *cut(char *line)
{
    char *equals = strchr(line, '=');
    if (equals == NULL)
        return NULL;
    char *value = equals + 1 + strspn(equals + 1, " ");
    while (equals > line && equals[-1] == ' ')
        equals--;
    *equals = '\0';
    return value;
}

/* "name = value" lines of `postconf OPTION`, those of smtp(8). */
static bool read_main(const struct postconf *postconf, const char *option,
                      struct settings_list *settings, struct error *error)
{
    const char *const options[] = {option, NULL};
    struct buffer answer = {0};
    bool fine = postconf_run(postconf, options, &answer, error);
    char *rest = answer.data, *line;
    while (fine && (line = strsep(&rest, "\n")) != NULL) {
        const char *value = cut(line);
        if (value != NULL && strncmp(line, PREFIX, strlen(PREFIX)) == 0)
            add(settings, NULL, line, value);
    }
    buffer_free(&answer);
    return fine;
}

/* What a service of master.cf sets: `settings` of those that deliver to the relayhost, the
 * transport `own` among them, and `lmtp` of the one that delivers to post365-transport. */
static void note_service(const struct service *service, const char *own,
                         struct settings_list *settings, struct settings_list *lmtp)
{
    char *id = memory_format("%s/%s", service->field[SERVICE_NAME], service->field[SERVICE_TYPE]);
    bool is_ours = strcmp(id, "smtp/unix") == 0 || strcmp(id, own) == 0;
    for (size_t i = 0; i < service->option_count; i++) {
        const struct service_option *option = &service->options[i];
        bool is_smtps = strncmp(option->name, PREFIX, strlen(PREFIX)) == 0;
        if (service_option(service, option->name) != option)
            continue;
        if (strcmp(id, TRANSPORT) == 0)
            add(lmtp, id, option->name, option->value);
        if (is_ours && (is_smtps || is_of_connections(option->name)))
            add(settings, id, option->name, option->value);
    }
    free(id);
}

static bool read_master(const struct postconf *postconf, struct settings_list *settings,
                        struct settings_list *lmtp, struct error *error)
{
    static const char *const wanted[] = {"$default_transport"};
    struct buffer contents = {0};
    struct text text = {.data = NULL};
    char *transport = NULL, *path = memory_format("%s/master.cf", postconf->directory);
    bool fine = postconf_expand(postconf, wanted, 1, &transport, error) &&
                file_read(path, &contents, error);
    char *own =
        memory_format("%.*s/unix", fine ? (int)strcspn(transport, ":") : 0, fine ? transport : "");
    if (fine)
        text_read(&text, contents.data != NULL ? contents.data : "", contents.length);
    for (size_t i = 0; i < text.count; i++) {
        struct service service;
        if (service_read(&text, &text.entries[i], &service))
            note_service(&service, own, settings, lmtp);
        service_free(&service);
    }
    text_free(&text);
    buffer_free(&contents);
    free(own);
    free(path);
    free(transport);
    return fine;
}

/* --- judging --------------------------------------------------------------------------- */

static const char *default_of(const struct settings_list *defaults, const char *name)
{
    for (size_t i = 0; i < defaults->count; i++)
        if (strcmp(defaults->list[i].name, name) == 0)
            return defaults->list[i].value;
    return "";
}

/* Whether lmtp(8) has it as well, and may do what it is for. */
static bool is_lmtps(const struct smtp_parameter *parameter)
{
    return parameter != NULL &&
           (parameter->kind == SMTP_PARAMETER_LMTP || parameter->kind == SMTP_PARAMETER_OWN);
}

/* `lmtp` is the value of the parameter of lmtp(8) with the same name. */
static void judge(const struct setting *setting, const char *value, const char *initial,
                  const char *in_main, const char *lmtp,
                  void (*visit)(void *context, const struct smtp_finding *finding), void *context)
{
    const struct smtp_parameter *parameter = smtp_parameter_find(setting->name);
    struct smtp_finding finding = {.name = setting->name,
                                   .service = setting->service,
                                   .value = value,
                                   .text = parameter != NULL ? parameter->text : UNKNOWN,
                                   .kind =
                                       parameter != NULL ? parameter->kind : SMTP_PARAMETER_TOLD};
    if (is_of_connections(setting->name))
        finding.kind = SMTP_PARAMETER_KEPT;
    bool is_kept = finding.kind == SMTP_PARAMETER_KEPT;
    if (is_kept)
        finding.text = IN_MAIN_CF;
    if (strcmp(value, is_kept ? in_main : initial) == 0 ||
        finding.kind == SMTP_PARAMETER_REPLACED || (is_kept && setting->service == NULL) ||
        (is_lmtps(parameter) && strcmp(value, lmtp) == 0) ||
        (parameter != NULL && smtp_parameter_is_harmless(parameter, value)))
        return;
    visit(context, &finding);
}

/* What lmtp(8) has in the place of a parameter, as an expression. */
static char *lmtps(const struct settings_list *lmtp, const char *name)
{
    char *other = memory_format("lmtp_%s", name + strlen(PREFIX));
    char *found = NULL;
    for (size_t i = 0; i < lmtp->count && found == NULL; i++)
        if (strcmp(lmtp->list[i].name, other) == 0)
            found = memory_copy(lmtp->list[i].value);
    if (found == NULL)
        found = memory_format("$%s", other);
    free(other);
    return found;
}

/* Each setting needs four texts: what it is, its default, main.cf's, and lmtp(8)'s. */
static bool judge_all(const struct postconf *postconf, const struct settings_list *settings,
                      const struct settings_list *defaults, const struct settings_list *lmtp,
                      void (*visit)(void *context, const struct smtp_finding *finding),
                      void *context, struct error *error)
{
    enum { VALUE, INITIAL, IN_MAIN, LMTP, TEXTS };
    size_t count = settings->count * TEXTS;
    char **expressions = memory_zero(count + 1, sizeof(char *));
    char **values = memory_zero(count + 1, sizeof(char *));
    for (size_t i = 0; i < settings->count; i++) {
        const struct setting *setting = &settings->list[i];
        char **own = &expressions[i * TEXTS];
        bool has_lmtp = is_lmtps(smtp_parameter_find(setting->name));
        own[VALUE] = setting->service == NULL ? memory_format("$%s", setting->name)
                                              : memory_copy(setting->value);
        own[INITIAL] = memory_copy(default_of(defaults, setting->name));
        own[IN_MAIN] = memory_format("$%s", setting->name);
        own[LMTP] = has_lmtp ? lmtps(lmtp, setting->name) : memory_copy("");
    }
    bool fine = settings->count == 0 ||
                postconf_expand(postconf, (const char *const *)expressions, count, values, error);
    for (size_t i = 0; fine && i < settings->count; i++)
        judge(&settings->list[i], values[i * TEXTS + VALUE], values[i * TEXTS + INITIAL],
              values[i * TEXTS + IN_MAIN], values[i * TEXTS + LMTP], visit, context);
    for (size_t i = 0; i < count; i++) {
        free(expressions[i]);
        free(values[i]);
    }
    free(expressions);
    free(values);
    return fine;
}

static void release(struct settings_list *settings)
{
    for (size_t i = 0; i < settings->count; i++) {
        free(settings->list[i].service);
        free(settings->list[i].name);
        free(settings->list[i].value);
    }
    free(settings->list);
}

bool smtp_check(const struct postconf *postconf,
                void (*visit)(void *context, const struct smtp_finding *finding), void *context,
                struct error *error)
{
    struct settings_list settings = {.count = 0}, defaults = {.count = 0}, lmtp = {.count = 0};
    const struct postconf without = {.directory = postconf->directory}; /* -d takes no -o */
    bool fine = read_main(postconf, "-n", &settings, error) &&
                read_master(postconf, &settings, &lmtp, error) &&
                read_main(&without, "-d", &defaults, error) &&
                judge_all(postconf, &settings, &defaults, &lmtp, visit, context, error);
    release(&settings);
    release(&defaults);
    release(&lmtp);
    return fine;
}
