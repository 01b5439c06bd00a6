/* proof.c - what proves to the token endpoint that it is the application */
#include "tokend/proof.h"

#include "common/file_state.h"
#include "common/memory.h"
#include "common/oauth2/key_pair.h"
#include "tokend/assertion.h"
#include "tokend/secret_file.h"

#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#define FILES 2 /* the secret, or certificate and key */

/* What is used together. */
struct material {
    struct secret *secret;      /* a client secret, or the key in PEM */
    struct secret *certificate; /* in PEM; NULL with a client secret */
    int64_t begins, ends;
};

struct proof {
    const struct registration *registration;
    struct material *current, *former;
    bool is_accepted; /* the current one, by the endpoint */
    bool is_read;     /* once at least */
    struct file_state states[FILES];
    bool is_refused;                   /* by the endpoint, which is the complaint */
    const struct entra_row *complaint; /* of the files as they are */
    struct error reason;
};

struct proof *proof_new(const struct registration *registration)
{
    struct proof *proof = memory_zero(1, sizeof(*proof));
    proof->registration = registration;
    return proof;
}

static void release(struct material *material)
{
    if (material == NULL)
        return;
    secret_free(material->secret);
    secret_free(material->certificate);
    free(material);
}

void proof_free(struct proof *proof)
{
    if (proof == NULL)
        return;
    release(proof->current);
    release(proof->former);
    free(proof);
}

void proof_inherit(struct proof *fresh, struct proof *old)
{
    struct material **from = old->is_accepted || old->former == NULL ? &old->current : &old->former;
    if (fresh->registration->credential != REGISTRATION_SECRET &&
        fresh->registration->credential != REGISTRATION_CERTIFICATE)
        return;
    fresh->former = *from;
    *from = NULL;
}

/* --- files --- */

/* Those that are watched; NULL: none. */
static const char *written(const struct proof *proof, size_t index)
{
    const struct registration *registration = proof->registration;
    if (registration->credential == REGISTRATION_SECRET)
        return index == 0 ? registration->client_secret_file : NULL;
    if (registration->credential == REGISTRATION_CERTIFICATE)
        return index == 0 ? registration->key_file : registration->certificate_file;
    if (registration->credential == REGISTRATION_FEDERATED)
        return index == 0 ? registration->federated_token_file : NULL;
    return NULL;
}

static char *place_of(const char *name, const struct entra_row **row, struct error *error)
{
    char *path = registration_file(name, getenv("CREDENTIALS_DIRECTORY"), error);
    if (path == NULL)
        *row = entra_named(ENTRA_SECRET_FILE_MISSING);
    return path;
}

static struct secret *read_file(const char *name, enum secret_file_kind kind,
                                const struct entra_row **row, struct error *error)
{
    char *path = place_of(name, row, error);
    struct secret *secret = path != NULL ? secret_file_read(path, kind, row, error) : NULL;
    free(path);
    return secret;
}

/* In the smallest piece of secret memory. */
static void shrink(struct secret **secret)
{
    struct secret *copy = secret_copy(secret_reveal(*secret), secret_length(*secret));
    secret_free(*secret);
    *secret = copy;
}

static bool read_pair(const struct proof *proof, struct material *material,
                      const struct entra_row **row, struct error *error)
{
    material->certificate = read_file(written(proof, 1), SECRET_FILE_PUBLIC, row, error);
    if (material->certificate == NULL)
        return false;
    struct key_pair *pair =
        key_pair_new(secret_reveal(material->certificate), secret_length(material->certificate),
                     material->secret, row, error);
    if (pair == NULL)
        return error_prefix(error, "%s, %s", proof->registration->certificate_file,
                            proof->registration->key_file);
    material->begins = key_pair_begins(pair);
    material->ends = key_pair_ends(pair);
    key_pair_free(pair);
    shrink(&material->certificate);
    return true;
}

static struct material *read_material(const struct proof *proof, const struct entra_row **row,
                                      struct error *error)
{
    bool is_pair = proof->registration->credential == REGISTRATION_CERTIFICATE;
    struct material *material = memory_zero(1, sizeof(*material));
    material->ends = proof->registration->client_secret_expires;
    material->secret =
        read_file(written(proof, 0), is_pair ? SECRET_FILE_KEY : SECRET_FILE_LINE, row, error);
    if (material->secret != NULL) {
        shrink(&material->secret);
        if (!is_pair || read_pair(proof, material, row, error))
            return material;
    }
    release(material);
    return NULL;
}

static bool have_changed(struct proof *proof)
{
    bool changed = !proof->is_read;
    for (size_t i = 0; i < FILES; i++) {
        const struct entra_row *row;
        const char *name = written(proof, i);
        char *path = name != NULL ? place_of(name, &row, NULL) : NULL;
        struct file_state state = path != NULL ? file_state_at(path) : (struct file_state){0};
        changed = changed || !file_state_equal(&state, &proof->states[i]);
        proof->states[i] = state;
        free(path);
    }
    proof->is_read = true;
    return changed;
}

static bool same_secret(const struct secret *one, const struct secret *other)
{
    if (one == NULL || other == NULL)
        return one == other;
    return secret_length(one) == secret_length(other) &&
           memcmp(secret_reveal(one), secret_reveal(other), secret_length(one)) == 0;
}

static bool is_same(const struct material *one, const struct material *other)
{
    return one != NULL && same_secret(one->secret, other->secret) &&
           same_secret(one->certificate, other->certificate);
}

/* The former one is the last that was accepted; where none was, the last that there was. */
static void adopt(struct proof *proof, struct material *fresh)
{
    if (proof->current != NULL && (proof->is_accepted || proof->former == NULL)) {
        release(proof->former);
        proof->former = proof->current;
    } else {
        release(proof->current);
    }
    proof->current = fresh;
    proof->is_accepted = false;
}

bool proof_refresh(struct proof *proof)
{
    const struct entra_row *before = proof->complaint;
    if (written(proof, 0) == NULL || !have_changed(proof))
        return false;
    if (proof->registration->credential == REGISTRATION_FEDERATED)
        return true; /* it is not kept */
    proof->complaint = NULL;
    proof->is_refused = false;
    struct material *fresh = read_material(proof, &proof->complaint, &proof->reason);
    if (fresh == NULL)
        return proof->complaint != before;
    if (is_same(proof->current, fresh)) {
        release(fresh);
        return before != NULL;
    }
    adopt(proof, fresh);
    return true;
}

/* --- what is known of it --- */

const struct entra_row *proof_complaint(const struct proof *proof, const char **reason)
{
    *reason = proof->reason.text;
    return proof->complaint;
}

const struct entra_row *proof_trouble(const struct proof *proof, const char **reason)
{
    return proof->current == NULL ? proof_complaint(proof, reason) : NULL;
}

int64_t proof_begins(const struct proof *proof)
{
    return proof->current != NULL ? proof->current->begins : 0;
}

int64_t proof_ends(const struct proof *proof)
{
    return proof->current != NULL ? proof->current->ends : 0;
}

bool proof_has_former(const struct proof *proof)
{
    return proof->former != NULL && !proof->is_accepted;
}

void proof_accept(struct proof *proof, bool former)
{
    if (former)
        return;
    proof->is_accepted = true;
    if (proof->is_refused)
        proof->complaint = NULL;
    proof->is_refused = false;
    proof_drop_former(proof);
}

void proof_refuse(struct proof *proof, const struct entra_row *row, const char *reason)
{
    proof->complaint = row;
    proof->is_refused = true;
    error_set(&proof->reason, "%s", reason);
}

void proof_drop_former(struct proof *proof)
{
    release(proof->former);
    proof->former = NULL;
}

/* --- what is shown --- */

static bool check_time(const struct material *material, int64_t now, const struct entra_row **row,
                       struct error *error)
{
    if (material->ends == 0 || (now < material->ends && now >= material->begins))
        return true;
    *row = entra_named(ENTRA_CERTIFICATE_EXPIRED);
    return error_set(error, now < material->begins ? "the certificate is not valid yet"
                                                   : "the certificate has ended");
}

static bool sign(const struct proof *proof, const struct material *material, const char *audience,
                 int64_t now, struct secret **made, const struct entra_row **row,
                 struct error *error)
{
    struct assertion assertion = {
        .audience = audience, .client_id = proof->registration->client_id, .now = now};
    if (!check_time(material, now, row, error))
        return false;
    *row = entra_named(ENTRA_CERTIFICATE_WRONG);
    if (RAND_bytes(assertion.random, sizeof(assertion.random)) != 1)
        return error_set(error, "there is no randomness");
    struct key_pair *pair =
        key_pair_new(secret_reveal(material->certificate), secret_length(material->certificate),
                     material->secret, row, error);
    if (pair != NULL)
        *made = assertion_make(&assertion, pair, error);
    key_pair_free(pair);
    return *made != NULL;
}

bool proof_make(const struct proof *proof, bool former, const char *audience, int64_t now,
                struct request_proof *shown, struct secret **made, const struct entra_row **row,
                struct error *error)
{
    const struct material *material = former ? proof->former : proof->current;
    *shown = (struct request_proof){0};
    *made = NULL;
    switch (proof->registration->credential) {
    case REGISTRATION_SECRET:
    case REGISTRATION_CERTIFICATE:
        if (material == NULL) {
            *row = proof->complaint;
            return error_set(error, "%s", proof->reason.text);
        }
        if (material->certificate == NULL)
            shown->client_secret = material->secret;
        else if (!sign(proof, material, audience, now, made, row, error))
            return false;
        break;
    case REGISTRATION_FEDERATED:
        *made = read_file(proof->registration->federated_token_file, SECRET_FILE_TOKEN, row, error);
        if (*made == NULL)
            return false;
        break;
    case REGISTRATION_NONE:
    case REGISTRATION_MANAGED_VM:
    case REGISTRATION_MANAGED_ARC:
        break;
    }
    shown->assertion = *made;
    return true;
}
