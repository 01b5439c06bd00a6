/* subjects.c - all that post365-tokend knows of tokens */
#include "ctl/oauth2/subjects.h"

#include "common/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct subject *add(struct subjects *subjects)
{
    subjects->list = memory_grow(subjects->list, (subjects->count + 1) * sizeof(struct subject));
    struct subject *subject = &subjects->list[subjects->count++];
    *subject = (struct subject){.state = {.left = 0}};
    return subject;
}

static bool add_subject(void *context, const struct token_subject *state)
{
    add(context)->state = *state;
    return true;
}

/* A registration of users' grants is no subject itself; where nobody has logged in yet it is seen
 * all the same. */
static bool add_registration(void *context, const char *path)
{
    struct subjects *subjects = context;
    for (size_t i = 0; i < subjects->count; i++)
        if (strcmp(subjects->list[i].state.registration, path) == 0)
            return true;
    struct subject *subject = add(subjects);
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
    } else {
        error_set(error, "post365-tokend: %s", reply.reason);
    }
    bool is_there = reply.result == TOKEN_REPLY_DONE;
    token_reply_release(&reply);
    return is_there;
}

bool subjects_find(struct subjects *subjects, struct token_client *client, struct error *error)
{
    *subjects = (struct subjects){.list = NULL};
    bool fine = token_client_subjects(client, add_subject, subjects, error);
    size_t known = subjects->count;
    fine = fine && token_client_registrations(client, add_registration, subjects, error);
    for (size_t i = known; fine && i < subjects->count; i++)
        fine = subjects_look(&subjects->list[i], client, error);
    if (!fine)
        subjects_free(subjects);
    return fine;
}

void subjects_free(struct subjects *subjects)
{
    free(subjects->list);
    *subjects = (struct subjects){.list = NULL};
}
