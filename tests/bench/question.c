/* question.c - a policy request as smtpd 3.7 sends it, made fast */
#include "tests/bench/question.h"

#include <err.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define SENDER_DIGITS   6
#define INSTANCE_DIGITS 16
#define NO_SENDER       "000000"
#define NO_INSTANCE     "0000000000000000"

/* Source: SMTPD_POLICY_README; the values are those of a message submitted over TLS by a host with
 * names of common length. */
static const char format[] = "request=smtpd_access_policy\n"
                             "protocol_state=%s\n"
                             "protocol_name=ESMTP\n"
                             "client_address=192.0.2.117\n"
                             "client_name=application-server-17.example.com\n"
                             "client_port=48212\n"
                             "reverse_client_name=application-server-17.example.com\n"
                             "server_address=192.0.2.25\n"
                             "server_port=25\n"
                             "helo_name=application-server-17.example.com\n"
                             "sender=user" NO_SENDER "@example.com\n"
                             "recipient=%s\n"
                             "recipient_count=%d\n"
                             "queue_id=4RQq0F0XyTz1k3L\n"
                             "instance=1a2b." NO_INSTANCE ".0\n"
                             "size=18342\n"
                             "etrn_domain=\n"
                             "stress=\n"
                             "sasl_method=\n"
                             "sasl_username=\n"
                             "sasl_sender=\n"
                             "ccert_subject=\n"
                             "ccert_issuer=\n"
                             "ccert_fingerprint=\n"
                             "ccert_pubkey_fingerprint=\n"
                             "encryption_protocol=TLSv1.3\n"
                             "encryption_cipher=TLS_AES_256_GCM_SHA384\n"
                             "encryption_keysize=256\n"
                             "policy_context=\n"
                             "\n";

void question_make(struct question *question, const char *stage)
{
    int at_recipient = strcmp(stage, "RCPT") == 0;
    int length = snprintf(question->text, sizeof(question->text), format, stage,
                          at_recipient ? "somebody@customer.example.net" : "", !at_recipient);
    if (length < 0 || (size_t)length >= sizeof(question->text))
        errx(EX_USAGE, "%s: is no protocol_state", stage);
    question->length = (size_t)length;
    question->sender = (size_t)(strstr(question->text, NO_SENDER) - question->text);
    question->instance = (size_t)(strstr(question->text, NO_INSTANCE) - question->text);
}

void question_change(struct question *question, uint32_t account, uint64_t instance)
{
    char *digit = question->text + question->sender + SENDER_DIGITS;
    for (int i = 0; i < SENDER_DIGITS; i++, account /= 10)
        *--digit = (char)('0' + account % 10);
    digit = question->text + question->instance + INSTANCE_DIGITS;
    for (int i = 0; i < INSTANCE_DIGITS; i++, instance >>= 4)
        *--digit = "0123456789abcdef"[instance & 15];
}

uint64_t question_first_instance(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    /* 20 bits for a process's number leave 44 for microseconds and more of them than requests. */
    return (uint64_t)getpid() << 44 ^
           ((uint64_t)now.tv_sec * 1000000U + (uint64_t)now.tv_nsec / 1000U);
}

const char *question_sender(uint32_t account, char text[QUESTION_SENDER_SIZE])
{
    snprintf(text, QUESTION_SENDER_SIZE, "user%06u@example.com", account % QUESTION_ACCOUNTS);
    return text;
}
