/* tls.c - a certificate authority made on the fly, and what it signs */
#include "tls.h"

#include "allocate.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DAY 86400L

struct pair {
    X509 *certificate;
    EVP_PKEY *key;
};

struct tls {
    char *directory;
    char *authority_path;
    struct pair authority;
    SSL_CTX *contexts[TLS_IDENTITIES];
};

/* what a certificate says */
struct subject {
    const char *name;
    const char *alternatives; /* "DNS:a,IP:b", or NULL for an authority */
    long from, until;         /* seconds from now */
};

static const char *const identity_names[TLS_IDENTITIES] = {
    [TLS_RIGHT] = "right",
    [TLS_NAME] = "name",
    [TLS_EXPIRED] = "expired",
    [TLS_EXPIRING] = "expiring",
    [TLS_SELF_SIGNED] = "self-signed",
    [TLS_UNTRUSTED] = "untrusted",
};

bool tls_identity_find(const char *name, enum tls_identity *identity)
{
    for (int i = TLS_RIGHT + 1; i < TLS_IDENTITIES; i++) {
        if (strcmp(identity_names[i], name) == 0) {
            *identity = (enum tls_identity)i;
            return true;
        }
    }
    return false;
}

static void pair_free(struct pair *pair)
{
    X509_free(pair->certificate);
    EVP_PKEY_free(pair->key);
    *pair = (struct pair){NULL, NULL};
}

static bool add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509_EXTENSION *extension;
    bool added;

    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    added = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return added;
}

static bool add_extensions(X509 *certificate, X509 *issuer, const char *alternatives)
{
    if (!add_extension(certificate, issuer, NID_subject_key_identifier, "hash"))
        return false;
    if (alternatives == NULL)
        return add_extension(certificate, issuer, NID_basic_constraints, "critical,CA:TRUE") &&
               add_extension(certificate, issuer, NID_key_usage, "critical,keyCertSign,cRLSign");
    return add_extension(certificate, issuer, NID_basic_constraints, "critical,CA:FALSE") &&
           add_extension(certificate, issuer, NID_authority_key_identifier, "keyid") &&
           add_extension(certificate, issuer, NID_key_usage, "critical,digitalSignature") &&
           add_extension(certificate, issuer, NID_ext_key_usage, "serverAuth") &&
           add_extension(certificate, issuer, NID_subject_alt_name, alternatives);
}

static bool set_serial(X509 *certificate)
{
    uint64_t serial = 0;

    return RAND_bytes((unsigned char *)&serial, sizeof serial) == 1 &&
           ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), serial >> 1) == 1;
}

/* issue - a new key, and a certificate for it signed by issuer, or by itself if that is NULL */
static bool issue(struct pair *pair, const struct subject *subject, const struct pair *issuer)
{
    const struct pair *signer = issuer != NULL ? issuer : pair;
    X509_NAME *name;

    pair->key = EVP_EC_gen("P-256");
    pair->certificate = X509_new();
    if (pair->key == NULL || pair->certificate == NULL)
        return false;
    name = X509_get_subject_name(pair->certificate);
    return X509_set_version(pair->certificate, X509_VERSION_3) == 1 &&
           set_serial(pair->certificate) &&
           X509_gmtime_adj(X509_getm_notBefore(pair->certificate), subject->from) != NULL &&
           X509_gmtime_adj(X509_getm_notAfter(pair->certificate), subject->until) != NULL &&
           X509_set_pubkey(pair->certificate, pair->key) == 1 &&
           X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                      (const unsigned char *)subject->name, -1, -1, 0) == 1 &&
           X509_set_issuer_name(pair->certificate, X509_get_subject_name(signer->certificate)) ==
               1 &&
           add_extensions(pair->certificate, signer->certificate, subject->alternatives) &&
           X509_sign(pair->certificate, signer->key, EVP_sha256()) > 0;
}

/* write_pem - certificate and key (either may be NULL) into a file, in one step */
static bool write_pem(const struct tls *tls, const char *file, X509 *certificate, EVP_PKEY *key,
                      struct problem *problem)
{
    char *path = format("%s/%s", tls->directory, file);
    char *fresh = format("%s.new", path);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, key != NULL ? 0600 : 0644);
    FILE *stream = fd >= 0 ? fdopen(fd, "w") : NULL;
    bool written = stream != NULL;

    if (written && certificate != NULL)
        written = PEM_write_X509(stream, certificate) == 1;
    if (written && key != NULL)
        written = PEM_write_PKCS8PrivateKey(stream, key, NULL, NULL, 0, NULL, NULL) == 1;
    if (stream != NULL && fclose(stream) != 0)
        written = false;
    if (!written || rename(fresh, path) != 0)
        written = problem_set(problem, "cannot write %s: %s", path, strerror(errno));
    free(fresh);
    free(path);
    return written;
}

static FILE *open_state(const struct tls *tls, const char *file)
{
    char *path = format("%s/%s", tls->directory, file);
    FILE *stream = fopen(path, "re");

    free(path);
    return stream;
}

/* load_authority - the authority of an earlier start, if it is whole and good for another day */
static bool load_authority(struct tls *tls)
{
    FILE *certificate = open_state(tls, "ca.pem");
    FILE *key = open_state(tls, "ca.key");
    time_t tomorrow = time(NULL) + DAY;
    bool usable = false;

    if (certificate != NULL && key != NULL) {
        tls->authority.certificate = PEM_read_X509(certificate, NULL, NULL, NULL);
        tls->authority.key = PEM_read_PrivateKey(key, NULL, NULL, NULL);
        usable = tls->authority.certificate != NULL && tls->authority.key != NULL &&
                 X509_check_private_key(tls->authority.certificate, tls->authority.key) == 1 &&
                 X509_cmp_time(X509_get0_notAfter(tls->authority.certificate), &tomorrow) > 0;
    }
    if (certificate != NULL)
        fclose(certificate);
    if (key != NULL)
        fclose(key);
    if (!usable)
        pair_free(&tls->authority);
    ERR_clear_error();
    return usable;
}

static bool make_authority(struct tls *tls, struct problem *problem)
{
    const struct subject subject = {"Stand-in for Office 365, test authority", NULL, -DAY,
                                    3650 * DAY};

    if (load_authority(tls))
        return true;
    if (!issue(&tls->authority, &subject, NULL))
        return problem_set(problem, "OpenSSL cannot make a certificate authority");
    return write_pem(tls, "ca.key", NULL, tls->authority.key, problem) &&
           write_pem(tls, "ca.pem", tls->authority.certificate, NULL, problem);
}

static SSL_CTX *make_context(const struct pair *pair, bool legacy)
{
    static const unsigned char session_id[] = "office365";
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    int lowest = legacy ? TLS1_VERSION : TLS1_2_VERSION;

    if (context == NULL)
        return NULL;
    /* a client that closes without close_notify is an ordinary end of file here */
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    if (SSL_CTX_set_session_id_context(context, session_id, sizeof session_id - 1) != 1 ||
        SSL_CTX_set_min_proto_version(context, lowest) != 1 ||
        (legacy && SSL_CTX_set_cipher_list(context, "DEFAULT:@SECLEVEL=0") != 1) ||
        SSL_CTX_use_certificate(context, pair->certificate) != 1 ||
        SSL_CTX_use_PrivateKey(context, pair->key) != 1) {
        SSL_CTX_free(context);
        return NULL;
    }
    return context;
}

/* make_identity - a certificate, and the context that shows it */
static bool make_identity(struct tls *tls, enum tls_identity identity,
                          const struct subject *subject, const struct pair *issuer, bool legacy,
                          struct problem *problem)
{
    struct pair pair = {NULL, NULL};
    bool made = issue(&pair, subject, issuer);

    if (made)
        tls->contexts[identity] = make_context(&pair, legacy);
    if (tls->contexts[identity] == NULL)
        made = problem_set(problem, "OpenSSL cannot make the certificate \"%s\" for \"%s\"",
                           identity_names[identity], subject->name);
    if (made && identity == TLS_RIGHT)
        made = write_pem(tls, "server.pem", pair.certificate, pair.key, problem);
    pair_free(&pair);
    return made;
}

/* alternatives - host names and addresses in OpenSSL's notation; NULL if one could not be one */
static char *alternatives(const struct list *hostnames, struct problem *problem)
{
    char *text = duplicate("");
    unsigned char address[16];

    for (size_t i = 0; i < hostnames->count; i++) {
        const char *name = hostnames->items[i];
        bool numeric =
            inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;
        char *longer = format("%s%s%s:%s", text, i > 0 ? "," : "", numeric ? "IP" : "DNS", name);
        free(text);
        text = longer;
        if (*name == '\0' || (!numeric && strspn(name, "abcdefghijklmnopqrstuvwxyz"
                                                       "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                                       "0123456789.-*") != strlen(name))) {
            problem_set(problem, "\"hostnames\": \"%s\" is neither a host name nor an address",
                        name);
            free(text);
            return NULL;
        }
    }
    return text;
}

static bool make_identities(struct tls *tls, const struct list *hostnames, bool legacy,
                            struct problem *problem)
{
    char *names = alternatives(hostnames, problem);
    const char *host = hostnames->items[0];
    const struct subject right = {host, names, -DAY, 365 * DAY};
    const struct subject elsewhere = {"mail.elsewhere.example", "DNS:mail.elsewhere.example", -DAY,
                                      365 * DAY};
    const struct subject expired = {host, names, -30 * DAY, -DAY};
    const struct subject expiring = {host, names, -30 * DAY, 7 * DAY};
    const struct subject unknown = {"Unknown authority", NULL, -DAY, 365 * DAY};
    struct pair stranger = {NULL, NULL};
    bool made;

    if (names == NULL)
        return false;
    made = issue(&stranger, &unknown, NULL) &&
           make_identity(tls, TLS_RIGHT, &right, &tls->authority, legacy, problem) &&
           make_identity(tls, TLS_NAME, &elsewhere, &tls->authority, legacy, problem) &&
           make_identity(tls, TLS_EXPIRED, &expired, &tls->authority, legacy, problem) &&
           make_identity(tls, TLS_EXPIRING, &expiring, &tls->authority, legacy, problem) &&
           make_identity(tls, TLS_SELF_SIGNED, &right, NULL, legacy, problem) &&
           make_identity(tls, TLS_UNTRUSTED, &right, &stranger, legacy, problem);
    pair_free(&stranger);
    free(names);
    return made;
}

struct tls *tls_create(const char *directory, const struct list *hostnames, bool legacy,
                       struct problem *problem)
{
    struct tls *tls = allocate(sizeof *tls);

    tls->directory = duplicate(directory);
    tls->authority_path = format("%s/ca.pem", directory);
    if (mkdir(directory, 0700) != 0 && errno != EEXIST) {
        problem_set(problem, "cannot make the state directory %s: %s", directory, strerror(errno));
        tls_free(tls);
        return NULL;
    }
    if (!make_authority(tls, problem) || !make_identities(tls, hostnames, legacy, problem)) {
        tls_free(tls);
        return NULL;
    }
    return tls;
}

void tls_free(struct tls *tls)
{
    if (tls == NULL)
        return;
    for (int i = 0; i < TLS_IDENTITIES; i++)
        SSL_CTX_free(tls->contexts[i]);
    pair_free(&tls->authority);
    free(tls->directory);
    free(tls->authority_path);
    free(tls);
}

SSL *tls_session(const struct tls *tls, enum tls_identity identity)
{
    return SSL_new(tls->contexts[identity]);
}

const char *tls_authority(const struct tls *tls)
{
    return tls->authority_path;
}
