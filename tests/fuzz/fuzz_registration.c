/* fuzz_registration.c - a file into what reads registrations
 *
 * libFuzzer (clang -fsanitize=fuzzer). What is taken keeps what registration.h promises; what is
 * not has a reason of one line.
 */
#include "common/oauth2/registration.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool promise)
{
    if (!promise)
        abort();
}

static void check(const struct registration *registration)
{
    bool is_managed = registration_is_managed(registration);
    demand(registration->tenant != NULL && registration->client_id != NULL &&
           registration->scope != NULL && registration->cloud != NULL);
    demand(is_managed || (registration->tenant[0] != '\0' && registration->client_id[0] != '\0'));
    demand(is_managed || strncasecmp(registration->authority, "https://", 8) == 0);
    demand(registration->authority == NULL || strpbrk(registration->authority + 8, "/@?#") == NULL);
    demand((registration->key_file == NULL) == (registration->certificate_file == NULL));
    demand(registration_equal(registration, registration));
    char *file = registration->client_secret_file != NULL
                     ? registration_file(registration->client_secret_file, "/run/x", NULL)
                     : NULL;
    demand(registration->client_secret_file == NULL || file[0] == '/');
    free(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error error = {""};
    struct registration *registration =
        registration_parse("/r.cf", (const char *)data, size, &error);
    if (registration != NULL)
        check(registration);
    else
        demand(error.text[0] != '\0' && strchr(error.text, '\n') == NULL);
    registration_free(registration);
    return 0;
}
