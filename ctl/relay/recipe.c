/* recipe.c - older recipes that rewrite senders */
#include "ctl/relay/recipe.h"

#include <stdlib.h>
#include <string.h>

#define NOBODYS_PLACE "@nowhere.invalid"

static const char *const addresses[] = {RECIPE_NOBODY, NOBODYS_PLACE, "post365.doctor", NULL};
static const char *const headers[] = {"From: " RECIPE_NOBODY,
                                      "From: \"Doctor\" <" RECIPE_NOBODY ">", NULL};

#define SENDER_MEANING                                                                             \
    "Every sender becomes this one before the milter sees it: who sent the message is lost, and "  \
    "so is the way to answer."
#define FROM_MEANING                                                                               \
    "From: is replaced, with the name in it and the way to answer; the pattern may hit other "     \
    "headers, and Sender: stays behind."
#define GENERIC_MEANING                                                                            \
    "Every address becomes this one on the way to the transport, that of the recipient and that "  \
    "of who would be answered among them."

const struct recipe recipes[] = {
    {"sender-canonical", "sender_canonical_maps", addresses, "", false, false, SENDER_MEANING},
    {"canonical", "canonical_maps", addresses, "", false, false, SENDER_MEANING},
    {"header-checks", "header_checks", headers, "replace", false, false, FROM_MEANING},
    {"smtp-header-checks", "smtp_header_checks", headers, "replace", true, false, FROM_MEANING},
    {"lmtp-header-checks", "lmtp_header_checks", headers, "replace", false, true, FROM_MEANING},
    {"smtp-generic", "smtp_generic_maps", addresses, "", true, false, GENERIC_MEANING},
    {"lmtp-generic", "lmtp_generic_maps", addresses, "", false, true, GENERIC_MEANING},
};
const size_t recipe_count = sizeof(recipes) / sizeof(recipes[0]);

const struct recipe *recipe_of(const char *parameter)
{
    for (size_t i = 0; i < recipe_count; i++)
        if (strcmp(recipes[i].parameter, parameter) == 0)
            return &recipes[i];
    return NULL;
}

static enum table_answer ask(const struct recipe *recipe, struct tables *tables, char **harmful,
                             struct error *error)
{
    for (const char *const *question = recipe->questions; *question != NULL; question++) {
        enum table_answer answer = tables_find(tables, *question, harmful, error);
        if (answer == TABLE_FAILED)
            return answer;
        if (answer == TABLE_FOUND &&
            strncasecmp(*harmful, recipe->answer, strlen(recipe->answer)) == 0)
            return answer;
        if (answer == TABLE_FOUND)
            free(*harmful);
    }
    return TABLE_NONE;
}

enum table_answer recipe_ask(const struct recipe *recipe, const struct settings *settings,
                             const char *value, char **harmful, struct error *error)
{
    struct tables *tables =
        tables_open(recipe->parameter, value, settings->config_directory, TABLE_VALUES, error);
    enum table_answer answer = tables != NULL ? ask(recipe, tables, harmful, error) : TABLE_FAILED;
    tables_close(tables);
    return answer;
}
