/*
 * bearer.c - what Exchange Online makes of an access token of Entra ID
 *
 * In this order: is it one, is it genuine, is it now, is it for us, and only then who may use it
 * for what. The real service says the same words to all of it; the journal tells them apart.
 */
#include "bearer.h"

#include "allocate.h"
#include "encoding.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

#define SMTP_ROLE  "SMTP.SendAsApp"
#define SMTP_SCOPE "SMTP.Send"

static const char *const names[] = {
    [BEARER_FINE] = "fine",           [BEARER_MALFORMED] = "malformed",
    [BEARER_SIGNATURE] = "signature", [BEARER_EARLY] = "early",
    [BEARER_EXPIRED] = "expired",     [BEARER_AUDIENCE] = "audience",
    [BEARER_TENANT] = "tenant",       [BEARER_REVOKED] = "revoked",
    [BEARER_PRINCIPAL] = "principal", [BEARER_PERMISSION] = "permission",
    [BEARER_SCOPE] = "scope",         [BEARER_USER] = "user",
};

const char *bearer_objection_name(enum bearer_objection objection)
{
    return names[objection];
}

/* ---- who is who ---- */

static void principals_free(struct principal *principals, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(principals[i].app);
        free(principals[i].object);
        list_clear(&principals[i].scope);
        list_clear(&principals[i].full_access);
    }
    free(principals);
}

void bearer_forget_principals(struct bearer_rules *rules)
{
    principals_free(rules->principals, rules->principal_count);
    rules->principals = NULL;
    rules->principal_count = 0;
}

static bool read_principal(struct principal *principal, const char *app, const json_t *value,
                           struct problem *problem)
{
    const char *name;
    json_t *item;

    principal->app = duplicate(app);
    json_object_foreach((json_t *)value, name, item)
    {
        if (strcmp(name, "scope") == 0 && list_read(&principal->scope, name, item, problem))
            continue;
        if (strcmp(name, "full_access") == 0 &&
            list_read(&principal->full_access, name, item, problem))
            continue;
        if (strcmp(name, "object_id") != 0 || !json_is_string(item) || principal->object != NULL)
            return problem_set(problem, "principal \"%s\": \"%s\" is wrong or unknown", app, name);
        principal->object = duplicate(json_string_value(item));
    }
    return principal->object != NULL ||
           problem_set(problem, "principal \"%s\" needs an \"object_id\"", app);
}

bool bearer_read_principals(struct bearer_rules *rules, const json_t *value,
                            struct problem *problem)
{
    struct principal *principals;
    size_t count = 0;
    const char *app;
    json_t *item;
    bool sound = true;

    if (!json_is_object(value))
        return problem_set(problem, "\"principals\" must be {client id: {...}}");
    principals = allocate((json_object_size(value) + 1) * sizeof *principals);
    json_object_foreach((json_t *)value, app, item)
    {
        sound = sound && read_principal(&principals[count], app, item, problem);
        count++;
    }
    if (!sound) {
        principals_free(principals, count);
        return false;
    }
    principals_free(rules->principals, rules->principal_count);
    rules->principals = principals;
    rules->principal_count = count;
    return true;
}

static const struct principal *find_principal(const struct bearer_rules *rules, const char *app)
{
    for (size_t i = 0; i < rules->principal_count; i++) {
        if (strcasecmp(rules->principals[i].app, app) == 0)
            return &rules->principals[i];
    }
    return NULL;
}

/* ---- the JWT ---- */

/* decode_part - base64url (RFC 7515) up to length octets into a new block; NULL if it is not that
 */
static char *decode_part(const char *text, size_t length, size_t *decoded)
{
    size_t padding = (4 - length % 4) % 4;
    char *padded = format("%.*s%.*s", (int)length, text, (int)padding, "===");
    char *bytes;

    for (char *byte = padded; *byte != '\0'; byte++) {
        if (*byte == '-')
            *byte = '+';
        else if (*byte == '_')
            *byte = '/';
    }
    bytes = encoding_from_base64(padded, decoded);
    free(padded);
    return bytes;
}

static bool is_signed_by(const char *pem, const char *token, size_t length,
                         const unsigned char *signature, size_t signature_length)
{
    BIO *stream = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key = stream != NULL ? PEM_read_bio_PUBKEY(stream, NULL, NULL, NULL) : NULL;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool verified = key != NULL && context != NULL &&
                    EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
                    EVP_DigestVerify(context, signature, signature_length,
                                     (const unsigned char *)token, length) == 1;

    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    BIO_free(stream);
    return verified;
}

static bool is_genuine(const struct bearer_rules *rules, const char *token, const char *dot)
{
    size_t length;
    char *signature = decode_part(dot + 1, strlen(dot + 1), &length);
    bool genuine = false;

    for (size_t i = 0; i < rules->keys.count && signature != NULL && !genuine; i++)
        genuine = is_signed_by(rules->keys.items[i], token, (size_t)(dot - token),
                               (const unsigned char *)signature, length);
    free(signature);
    return genuine;
}

/* read_claims - the claims of a token, whose signature is behind *dot; NULL if it is no JWT */
static json_t *read_claims(const char *token, const char **dot)
{
    const char *first = strchr(token, '.');
    const char *second = first != NULL ? strchr(first + 1, '.') : NULL;
    size_t length;
    char *text;
    json_t *claims;

    if (second == NULL || strchr(second + 1, '.') != NULL)
        return NULL;
    text = decode_part(first + 1, (size_t)(second - first - 1), &length);
    claims = text != NULL ? json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL) : NULL;
    free(text);
    *dot = second;
    if (json_is_object(claims))
        return claims;
    json_decref(claims);
    return NULL;
}

static const char *claim(const json_t *claims, const char *name)
{
    const char *text = json_string_value(json_object_get(claims, name));

    return text != NULL ? text : "";
}

/* ---- what it allows ---- */

static bool has_audience(const struct bearer_rules *rules, const json_t *claims)
{
    static const char *const exchange[] = {
        "https://outlook.office365.com",        "https://outlook.office.com",
        "https://outlook.office365.us",         "https://partner.outlook.cn",
        "00000002-0000-0ff1-ce00-000000000000",
    };
    const char *audience = claim(claims, "aud");

    if (rules->audiences.count > 0)
        return list_has(&rules->audiences, audience);
    for (size_t i = 0; i < sizeof exchange / sizeof exchange[0]; i++) {
        if (strcmp(exchange[i], audience) == 0)
            return true;
    }
    return false;
}

/* judge_token - what counts for anybody who shows it */
static enum bearer_objection judge_token(const struct bearer_rules *rules, const json_t *claims,
                                         int64_t now)
{
    if (json_integer_value(json_object_get(claims, "nbf")) > now)
        return BEARER_EARLY;
    if (json_integer_value(json_object_get(claims, "exp")) <= now)
        return BEARER_EXPIRED;
    if (!has_audience(rules, claims))
        return BEARER_AUDIENCE;
    if (rules->tenant != NULL && strcasecmp(rules->tenant, claim(claims, "tid")) != 0)
        return BEARER_TENANT;
    if (list_has(&rules->revoked, claim(claims, "uti")) ||
        list_has(&rules->revoked, claim(claims, "oid")))
        return BEARER_REVOKED;
    return BEARER_FINE;
}

static bool array_has(const json_t *array, const char *word)
{
    size_t index;
    json_t *item;

    json_array_foreach(array, index, item)
    {
        if (json_is_string(item) && strcmp(json_string_value(item), word) == 0)
            return true;
    }
    return false;
}

/* word_in - is it one of the words between blanks? */
static bool word_in(const char *words, const char *word)
{
    size_t length = strlen(word);

    for (const char *found = words; (found = strstr(found, word)) != NULL; found += length) {
        if ((found == words || found[-1] == ' ') && (found[length] == ' ' || found[length] == '\0'))
            return true;
    }
    return false;
}

static enum bearer_objection judge_person(const struct mailbox *mailbox, const json_t *claims)
{
    const char *user = claim(claims, "upn");

    if (*user == '\0')
        user = claim(claims, "preferred_username");
    if (!word_in(claim(claims, "scp"), SMTP_SCOPE))
        return BEARER_PERMISSION;
    return strcasecmp(user, mailbox->upn) == 0 ? BEARER_FINE : BEARER_USER;
}

/* judge_app - RBAC for Applications and the role in the token add up */
static enum bearer_objection judge_app(const struct bearer_rules *rules,
                                       const struct mailbox *mailbox, const json_t *claims,
                                       bool *locked_out)
{
    const char *app = claim(claims, "appid");
    const struct principal *principal =
        find_principal(rules, *app != '\0' ? app : claim(claims, "azp"));

    if (principal == NULL || strcasecmp(principal->object, claim(claims, "oid")) != 0)
        return BEARER_PRINCIPAL;
    if (list_covers(&principal->scope, mailbox->upn))
        return BEARER_FINE;
    if (!array_has(json_object_get(claims, "roles"), SMTP_ROLE))
        return principal->scope.count > 0 ? BEARER_SCOPE : BEARER_PERMISSION;
    *locked_out = !list_covers(&principal->full_access, mailbox->upn);
    return BEARER_FINE;
}

struct bearer_verdict bearer_judge(const struct bearer_rules *rules, const struct mailbox *mailbox,
                                   const char *token, int64_t now)
{
    struct bearer_verdict verdict = {.objection = BEARER_MALFORMED};
    const char *dot = NULL;
    json_t *claims = read_claims(token, &dot);

    if (claims == NULL)
        return verdict;
    if (!is_genuine(rules, token, dot)) {
        json_decref(claims);
        verdict.objection = BEARER_SIGNATURE;
        return verdict;
    }
    strncpy(verdict.token, claim(claims, "uti"), sizeof verdict.token - 1);
    verdict.left = json_integer_value(json_object_get(claims, "exp")) - now;
    verdict.objection = judge_token(rules, claims, now);
    if (verdict.objection == BEARER_FINE)
        verdict.objection = json_object_get(claims, "scp") != NULL
                                ? judge_person(mailbox, claims)
                                : judge_app(rules, mailbox, claims, &verdict.locked_out);
    json_decref(claims);
    return verdict;
}
