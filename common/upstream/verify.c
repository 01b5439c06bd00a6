/* verify.c - whom TLS believes: trusted authorities, the expected name, and what is wrong otherwise
 */
#include "common/upstream/verify.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#define NAMES_SHOWN 200
#define REASON_SIZE 200

/* --- the context -------------------------------------------------------------- */

static bool trust(SSL_CTX *context, const char *file, const char *path, struct error *error)
{
    if (file[0] == '\0' && path[0] == '\0')
        return SSL_CTX_set_default_verify_paths(context) == 1 ||
               error_set(error, "the system's certificates of authorities cannot be read; install "
                                "ca-certificates");
    return SSL_CTX_load_verify_locations(context, file[0] != '\0' ? file : NULL,
                                         path[0] != '\0' ? path : NULL) == 1 ||
           error_set(error,
                     "%s%s%s: no certificate of an authority can be read there; install "
                     "ca-certificates and name /etc/ssl/certs/ca-certificates.crt",
                     file, file[0] != '\0' && path[0] != '\0' ? ", " : "", path);
}

/* Those of TLS 1.3 stay as they are. */
static bool set_ciphers(SSL_CTX *context, const char *ciphers)
{
    if (ciphers[0] == '\0' || SSL_CTX_set_cipher_list(context, ciphers) == 1)
        return true;
    ERR_clear_error();
    SSL_CTX_set_cipher_list(context, OSSL_default_cipher_list());
    return false;
}

SSL_CTX *verify_context(const struct settings *settings, struct error *error)
{
    const struct smtp_settings *smtp = &settings->smtp;
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (context == NULL || !trust(context, settings->tls_ca_file, settings->tls_ca_path, error)) {
        ERR_clear_error();
        SSL_CTX_free(context);
        return NULL;
    }
    SSL_CTX_set_min_proto_version(context, smtp->tls_1_2 ? TLS1_2_VERSION : TLS1_3_VERSION);
    SSL_CTX_set_max_proto_version(context, smtp->tls_1_3 ? 0 : TLS1_2_VERSION);
    set_ciphers(context, smtp->ciphers);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    return context;
}

bool verify_ciphers(const struct settings *settings, struct error *error)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    bool fine = context == NULL || set_ciphers(context, settings->smtp.ciphers);
    SSL_CTX_free(context);
    return fine ||
           error_set(error,
                     "smtp_tls_exclude_ciphers, smtp_tls_mandatory_exclude_ciphers: of the ciphers "
                     "up to TLS 1.2 they leave none (" ERROR_SHOWN "); OpenSSL's own are used",
                     settings->smtp.ciphers);
}

/* --- a connection ------------------------------------------------------------- */

/* An address is no name for SNI. */
bool verify_expect(SSL *ssl, const char *host)
{
    unsigned char address[sizeof(struct in6_addr)];
    if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    SSL_set_hostflags(ssl,
                      X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

/* SSL_get0_peer_certificate(3) gives only what was believed. */
X509 *verify_certificate(const SSL *ssl)
{
    STACK_OF(X509) *chain = SSL_get_peer_cert_chain(ssl);
    return chain != NULL && sk_X509_num(chain) > 0 ? sk_X509_value(chain, 0) : NULL;
}

void verify_names(X509 *certificate, char *text, size_t size)
{
    GENERAL_NAMES *names = certificate != NULL
                               ? X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL)
                               : NULL;
    size_t length = 0;
    text[0] = '\0';
    for (int i = 0; names != NULL && i < sk_GENERAL_NAME_num(names) && length < size; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type == GEN_DNS)
            length += (size_t)snprintf(text + length, size - length, "%s%.*s",
                                       length > 0 ? ", " : "", ASN1_STRING_length(name->d.dNSName),
                                       (const char *)ASN1_STRING_get0_data(name->d.dNSName));
    }
    GENERAL_NAMES_free(names);
}

static bool explain_certificate(const SSL *ssl, long result, const char *host, struct error *error)
{
    char names[NAMES_SHOWN];
    switch (result) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        verify_names(verify_certificate(ssl), names, sizeof(names));
        return error_set(
            error,
            "the certificate is for another name (%s), not for %s; something stands between, "
            "or relayhost is not the name that the server has",
            names[0] != '\0' ? names : "none", host);
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return error_set(error,
                         "the certificate of %s is not valid now (%s); check this machine's clock",
                         host, X509_verify_cert_error_string(result));
    default:
        return error_set(
            error,
            "the certificate of %s is not trusted (%s); see that post365_tls_CAfile has the "
            "authorities, or what stands between",
            host, X509_verify_cert_error_string(result));
    }
}

/* OpenSSL has no text for an error of the system's, nor for one that it does not know. */
static const char *write_reason(unsigned long code, char text[REASON_SIZE])
{
    const char *known = ERR_reason_error_string(code);
    if (known == NULL && ERR_SYSTEM_ERROR(code))
        known = strerror(ERR_GET_REASON(code));
    if (known != NULL)
        snprintf(text, REASON_SIZE, "%s", known);
    else
        ERR_error_string_n(code, text, REASON_SIZE);
    return text;
}

bool verify_explain(const SSL *ssl, unsigned long code, const char *host, struct error *error)
{
    long result = SSL_get_verify_result(ssl);
    char reason[REASON_SIZE];
    ERR_clear_error();
    if (result != X509_V_OK)
        return explain_certificate(ssl, result, host, error);
    if (code != 0)
        return error_set(error, "TLS with %s failed: %s", host, write_reason(code, reason));
    return error_set(error, "TLS with %s failed: the connection was lost", host);
}
