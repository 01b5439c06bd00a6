/* claims.c - what an access token says of itself, for words alone */
#include "tokend/claims.h"

#include "common/harmless.h"

#include <jansson.h>
#include <math.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#define PAYLOAD_MAX ((size_t)16 * 1024) /* octets, decoded */
#define ROLE        "SMTP.SendAsApp"

/* The second of the three parts of a signed token. False: there is none. */
static bool find_payload(const char *token, const char **payload, size_t *length)
{
    const char *first = strchr(token, '.');
    const char *second = first != NULL ? strchr(first + 1, '.') : NULL;
    if (second == NULL || strchr(second + 1, '.') != NULL)
        return false;
    *payload = first + 1;
    *length = (size_t)(second - first - 1);
    return *length > 0 && (*length + 3) / 4 * 3 <= PAYLOAD_MAX;
}

/* Decodes base64url without padding, or NULL. */
static struct secret *decode(const char *text, size_t length)
{
    size_t whole = (length + 3) / 4 * 4;
    struct secret *base64 = secret_new(whole), *octets = NULL;
    for (size_t i = 0; i < whole; i++) {
        const char *byte = i < length ? &text[i] : "=";
        secret_append(base64, *byte == '-' ? "+" : *byte == '_' ? "/" : byte, 1);
    }
    unsigned char decoded[PAYLOAD_MAX];
    const unsigned char *bytes = (const unsigned char *)secret_reveal(base64);
    int count = length % 4 != 1 ? EVP_DecodeBlock(decoded, bytes, (int)whole) : -1;
    if (count >= 0 && (size_t)count >= whole - length)
        octets = secret_copy((const char *)decoded, (size_t)count - (whole - length));
    explicit_bzero(decoded, sizeof(decoded));
    secret_free(base64);
    return octets;
}

/* --- claims ----------------------------------------------------------------------------------- */

static void copy_text(char text[CLAIMS_TEXT_SIZE], const json_t *claim)
{
    const char *value = json_string_value(claim);
    snprintf(text, CLAIMS_TEXT_SIZE, "%s", value != NULL ? value : "");
    harmless_make(text, '?');
}

/* The first of the three that is there. */
static void copy_first(char text[CLAIMS_TEXT_SIZE], const json_t *token, const char *const names[3])
{
    text[0] = '\0';
    for (size_t i = 0; i < 3 && text[0] == '\0'; i++)
        if (names[i] != NULL)
            copy_text(text, json_object_get(token, names[i]));
}

/* Joins an array of strings with blanks; tells whether one of them is `wanted`. */
static bool copy_list(char text[CLAIMS_TEXT_SIZE], const json_t *list, const char *wanted)
{
    bool has = false;
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *value = json_string_value(json_array_get(list, i));
        if (value == NULL)
            continue;
        has = has || strcmp(value, wanted) == 0;
        if (used < CLAIMS_TEXT_SIZE)
            used += (size_t)snprintf(text + used, CLAIMS_TEXT_SIZE - used, "%s%s",
                                     used > 0 ? " " : "", value);
    }
    harmless_make(text, '?');
    return has;
}

static int64_t time_of(const json_t *token, const char *name)
{
    double value = json_number_value(json_object_get(token, name));
    return value > 0 && value < 1e12 ? (int64_t)value : 0;
}

static void read_all(const json_t *token, struct claims *claims)
{
    static const char *const app[3] = {"appid", "azp"};
    static const char *const user[3] = {"upn", "unique_name", "preferred_username"};
    bool has_role = copy_list(claims->roles, json_object_get(token, "roles"), ROLE);
    copy_text(claims->audience, json_object_get(token, "aud"));
    copy_text(claims->tenant, json_object_get(token, "tid"));
    copy_text(claims->scopes, json_object_get(token, "scp"));
    copy_text(claims->object_id, json_object_get(token, "oid"));
    copy_first(claims->app, token, app);
    copy_first(claims->user, token, user);
    claims->issued = time_of(token, "iat");
    claims->begins = time_of(token, "nbf");
    claims->ends = time_of(token, "exp");
    claims->model = claims->scopes[0] != '\0' ? CLAIMS_DELEGATED
                    : has_role                ? CLAIMS_CLASSIC
                                              : CLAIMS_RBAC;
}

bool claims_read(const struct secret *token, struct claims *claims, struct error *error)
{
    static const size_t flags = JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL;
    const char *payload;
    size_t length;
    *claims = (struct claims){0};
    if (!find_payload(secret_reveal(token), &payload, &length))
        return error_set(error, "the token is encrypted, or of a form of its own: what it says "
                                "cannot be read, and need not be");
    struct secret *octets = decode(payload, length);
    json_t *object = octets != NULL
                         ? json_loadb(secret_reveal(octets), secret_length(octets), flags, NULL)
                         : NULL;
    secret_free(octets);
    bool fine = json_is_object(object);
    if (fine)
        read_all(object, claims);
    json_decref(object);
    return fine || error_set(error, "what the token says of itself cannot be read: it is no "
                                    "JSON in base64url");
}

const char *claims_model_name(enum claims_model model)
{
    static const char *const models[] = {
        [CLAIMS_RBAC] = "rbac", [CLAIMS_CLASSIC] = "classic", [CLAIMS_DELEGATED] = "delegated"};
    return models[model];
}
