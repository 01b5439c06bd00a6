/* subjects.c - all that post365-tokend knows of tokens */
#include "ctl/oauth2/subjects.h"

#include "common/dictionary.h"
#include "common/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* While they are being told. */
struct finding {
    struct subjects *subjects;
    struct dictionary *places;        /* size_t in the list, by registration and account */
    struct dictionary *registrations; /* those that have a subject, to anything */
};

static struct subject *add(struct subjects *subjects)
{
    subjects->list = memory_grow(subjects->list, (subjects->count + 1) * sizeof(struct subject));
    struct subject *subject = &subjects->list[subjects->count++];
    *subject = (struct subject){.state = {.left = 0}};
    return subject;
}

/* One that changes meanwhile is told once more: the last word counts. */
static bool add_subject(void *context, const struct token_subject *state)
{
    struct finding *finding = context;
    char *key = memory_format("%s %s", state->registration, state->account);
    size_t *place = dictionary_find(finding->places, key);
    if (place == NULL) {
        place = memory_zero(1, sizeof(*place));
        *place = finding->subjects->count;
        add(finding->subjects);
        dictionary_put(finding->places, key, place);
        dictionary_put(finding->registrations, state->registration, finding);
    }
    finding->subjects->list[*place].state = *state;
    free(key);
    return true;
}

/* A registration of users' grants is no subject itself; where nobody has logged in yet, and the
 * maps name no account, it is seen all the same. */
static bool add_registration(void *context, const char *path)
{
    struct finding *finding = context;
    if (dictionary_find(finding->registrations, path) != NULL)
        return true;
    struct subject *subject = add(finding->subjects);
    subject->state.grant = TOKEN_GRANT_USER;
    snprintf(subject->state.registration, sizeof(subject->state.registration), "%s", path);
    return true;
}

bool subjects_look(struct subject *subject, struct token_client *client, struct error *error)
{
    bool is_user = subject->state.account[0] != '\0';
    const struct token_command command = {.kind = TOKEN_COMMAND_STATUS,
                                          .account = is_user ? subject->state.account : NULL,
                                          .registration = subject->state.registration};
    struct token_reply reply;
    if (!token_client_ask(client, &command, &reply, error))
        return false;
    if (reply.result == TOKEN_REPLY_DONE) {
        subject->state = reply.subject;
        claims_take(&subject->claims, &reply);
    }
    token_reply_release(&reply);
    return true;
}

bool subjects_find(struct subjects *subjects, struct token_client *client, struct error *error)
{
    struct finding finding = {subjects, dictionary_new(free), dictionary_new(NULL)};
    *subjects = (struct subjects){.list = NULL};
    bool fine = token_client_subjects(client, add_subject, &finding, error);
    size_t known = subjects->count;
    fine = fine && token_client_registrations(client, add_registration, &finding, error);
    for (size_t i = known; fine && i < subjects->count; i++)
        fine = subjects_look(&subjects->list[i], client, error);
    dictionary_free(finding.places);
    dictionary_free(finding.registrations);
    if (!fine)
        subjects_free(subjects);
    return fine;
}

void subjects_free(struct subjects *subjects)
{
    free(subjects->list);
    *subjects = (struct subjects){.list = NULL};
}
