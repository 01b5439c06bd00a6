/* request.c - what is asked of the token endpoint
 *
 * A form is measured before it is written, since a secret does not grow.
 */
#include "tokend/request.h"

#include "common/memory.h"

#include <string.h>

#define FIELDS_MAX 8

/* One parameter; the value is text, or a secret. */
struct field {
    const char *name;
    const char *text;
    const struct secret *secret;
};

struct form {
    struct field fields[FIELDS_MAX];
    size_t count;
};

/* --- where ------------------------------------------------------------------------------------ */

static char *below(const struct registration *registration, const char *path)
{
    return memory_format("%s/%s%s", registration->authority, registration->tenant, path);
}

char *request_token_url(const struct registration *registration)
{
    return below(registration, "/oauth2/v2.0/token");
}

char *request_device_url(const struct registration *registration)
{
    return below(registration, "/oauth2/v2.0/devicecode");
}

char *request_configuration_url(const struct registration *registration)
{
    return below(registration, "/v2.0/.well-known/openid-configuration");
}

/* --- forms ------------------------------------------------------------------------------------ */

static void add_text(struct form *form, const char *name, const char *text)
{
    form->fields[form->count++] = (struct field){.name = name, .text = text};
}

static void add_secret(struct form *form, const char *name, const struct secret *secret)
{
    form->fields[form->count++] = (struct field){.name = name, .secret = secret};
}

static const char *value_of(const struct field *field, size_t *length)
{
    *length = field->text != NULL ? strlen(field->text) : secret_length(field->secret);
    return field->text != NULL ? field->text : secret_reveal(field->secret);
}

/* RFC 3986, section 2.3; whatever the locale. */
static bool is_unreserved(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || byte == '-' || byte == '.' || byte == '_' || byte == '~';
}

/* At most: each octet may take three. */
static size_t room_for(const struct form *form)
{
    size_t room = 0, length;
    for (size_t i = 0; i < form->count; i++) {
        value_of(&form->fields[i], &length);
        room += strlen(form->fields[i].name) + 3 * length + strlen("=&");
    }
    return room;
}

static void append_encoded(struct secret *form, const char *bytes, size_t length)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)bytes[i];
        const char code[] = {'%', digits[byte >> 4], digits[byte & 15]};
        if (is_unreserved(bytes[i]))
            secret_append(form, &bytes[i], 1);
        else
            secret_append(form, code, sizeof(code));
    }
}

static struct secret *write_form(const struct form *form)
{
    struct secret *written = secret_new(room_for(form));
    for (size_t i = 0; i < form->count; i++) {
        size_t length;
        const char *value = value_of(&form->fields[i], &length);
        secret_append(written, "&", i > 0 ? 1 : 0);
        secret_append(written, form->fields[i].name, strlen(form->fields[i].name));
        secret_append(written, "=", 1);
        append_encoded(written, value, length);
    }
    return written;
}

static void add_proof(struct form *form, const struct request_proof *proof)
{
    if (proof->client_secret != NULL)
        add_secret(form, "client_secret", proof->client_secret);
    if (proof->assertion == NULL)
        return;
    add_text(form, "client_assertion_type",
             "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    add_secret(form, "client_assertion", proof->assertion);
}

struct secret *request_app(const struct registration *registration,
                           const struct request_proof *proof)
{
    struct form form = {0};
    add_text(&form, "grant_type", "client_credentials");
    add_text(&form, "client_id", registration->client_id);
    add_text(&form, "scope", registration->scope);
    add_proof(&form, proof);
    return write_form(&form);
}

struct secret *request_device_begin(const struct registration *registration)
{
    struct form form = {0};
    add_text(&form, "client_id", registration->client_id);
    add_text(&form, "scope", registration->scope);
    return write_form(&form);
}

struct secret *request_device_poll(const struct registration *registration,
                                   const struct secret *device_code,
                                   const struct request_proof *proof)
{
    struct form form = {0};
    add_text(&form, "grant_type", "urn:ietf:params:oauth:grant-type:device_code");
    add_text(&form, "client_id", registration->client_id);
    add_secret(&form, "device_code", device_code);
    add_proof(&form, proof);
    return write_form(&form);
}

struct secret *request_refresh(const struct registration *registration,
                               const struct secret *refresh_token,
                               const struct request_proof *proof)
{
    struct form form = {0};
    add_text(&form, "grant_type", "refresh_token");
    add_text(&form, "client_id", registration->client_id);
    add_text(&form, "scope", registration->scope);
    add_secret(&form, "refresh_token", refresh_token);
    add_proof(&form, proof);
    return write_form(&form);
}
