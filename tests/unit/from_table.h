/* from_table.h - headers as they come, and what must become of them
 *
 * Read by test_rewrite.c and, through its --dump, by check_from_table.py. The account is UPN and
 * holds Send As for SEND_AS; the envelope sender is ENVELOPE; a row that says otherwise has .upn,
 * .send_as or .envelope.
 *
 * UNTOUCHED(about, from): nothing is done.
 * NAMED(about, name, address): From: is the name as it was, with the UPN; Reply-To: is both.
 * BECOMES(about, from, want_from, want_reply_to).
 *
 * In the latter two REWRITE_ORIGINAL is what was written, without folds.
 */
#ifndef POST365_TESTS_UNIT_FROM_TABLE_H
#define POST365_TESTS_UNIT_FROM_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#define UPN      "relay@contoso.example"
#define SEND_AS  "alias@contoso.example @team.example"
#define ENVELOPE "app@host.example"

/* What is wanted, folds aside: the values of From:, with ", " between them ... */
#define AS_WRITTEN "\1as written"
/* ... with white space put into words that are too long ... */
#define AS_WRITTEN_BROKEN "\1as written, broken"
/* ... as much of it as there is room for, and " ..." ... */
#define AS_WRITTEN_CUT "\1as written, cut"
/* ... with the UPN in the angles. */
#define WITH_UPN "\1with the UPN"

struct from_text {
    const char *bytes; /* NULL: no such header */
    size_t length;
};

/* A value that is too long to be spelled out. */
struct from_long {
    const char *before;
    const char *unit;
    size_t times;
    const char *after;
};

struct from_case {
    const char *about;
    struct from_text from[4];
    struct from_long from_long; /* the last From: */
    struct from_text sender[3];
    struct from_text reply_to[3];
    struct from_text original; /* X-Original-From: */
    struct from_text ours;     /* REWRITE_ORIGINAL */
    const char *envelope;
    const char *upn;
    const char *send_as;
    bool no_reply_to; /* post365_reply_to = no */
    /* What leaves. NULL for want_from: as it came; for the others: no such header. */
    const char *want_from;
    const char *want_reply_to;
    const char *want_original;
    const char *want_sender;
    bool keeps_name; /* the display name is that of the first From:, octet by octet */
};

/* clang-format off */
#define TEXT(string)           {string, sizeof(string) - 1}
#define UNTOUCHED(about, from) {about, {TEXT(from)}, .keeps_name = true}
#define NAMED(about, name, address)                                                                \
    {about,                                                                                        \
     {TEXT(name " <" address ">")},                                                                \
     .want_from = name " <" UPN ">",                                                               \
     .want_reply_to = name " <" address ">",                                                       \
     .want_original = AS_WRITTEN,                                                                  \
     .keeps_name = true}
#define BECOMES(about, from, wanted, reply_to)                                                     \
    {about,                                                                                        \
     {TEXT(from)},                                                                                 \
     .want_from = wanted,                                                                          \
     .want_reply_to = reply_to,                                                                    \
     .want_original = AS_WRITTEN}

static const struct from_case from_table[] = {

/* Right already */
UNTOUCHED("the UPN", "relay@contoso.example"),
UNTOUCHED("the UPN in angles", "<relay@contoso.example>"),
UNTOUCHED("the UPN with a name", "Relay <relay@contoso.example>"),
UNTOUCHED("the UPN in other case", "Relay <Relay@CONTOSO.example>"),
UNTOUCHED("the UPN with a quoted name", "\"Doe, John\" <relay@contoso.example>"),
UNTOUCHED("the UPN with a comment", "relay@contoso.example (Relay)"),
UNTOUCHED("the UPN with a comment in front", "(Relay) relay@contoso.example"),
UNTOUCHED("the UPN with an encoded name", "=?UTF-8?B?SsO2cmc=?= <relay@contoso.example>"),
UNTOUCHED("the UPN with a raw UTF-8 name", "J\xc3\xb6rg <relay@contoso.example>"),
UNTOUCHED("the UPN with a Latin-1 name", "J\xf6rg <relay@contoso.example>"),
UNTOUCHED("the UPN, folded", "\"A long name\"\n <relay@contoso.example>"),
UNTOUCHED("the UPN, folded at once", "\n Relay <relay@contoso.example>"),
UNTOUCHED("the UPN, folded with a tab", "Relay\n\t<relay@contoso.example>"),
UNTOUCHED("the UPN with a dot in the name", "John Q. Public <relay@contoso.example>"),
UNTOUCHED("the UPN with an empty name", "\"\" <relay@contoso.example>"),
UNTOUCHED("the UPN without white space", "Relay<relay@contoso.example>"),
UNTOUCHED("the UPN with white space inside of the angles", "Relay < relay@contoso.example >"),
UNTOUCHED("the UPN with a comment behind the angles", "Relay <relay@contoso.example> (at work)"),
UNTOUCHED("the UPN with white space around", " Relay <relay@contoso.example> "),
UNTOUCHED("an alias with Send As", "Alias <alias@contoso.example>"),
UNTOUCHED("an alias in other case", "ALIAS@Contoso.Example"),
UNTOUCHED("an address in a domain with Send As", "Sales <sales@team.example>"),
UNTOUCHED("a quoted local part in a domain with Send As", "\"two words\"@team.example"),
UNTOUCHED("a UTF-8 local part in a domain with Send As", "<j\xc3\xb6rg@team.example>"),
{"the UPN, itself internationalized", {TEXT("<rel\xc3\xa4y@contoso.example>")}, .upn = "rel\xc3\xa4y@contoso.example", .keeps_name = true},
{"the UPN and a good Sender:", {TEXT("<relay@contoso.example>")}, .sender = {TEXT("Relay <relay@contoso.example>")}, .want_sender = "Relay <relay@contoso.example>", .keeps_name = true},
{"the UPN and a Sender: with Send As", {TEXT("<relay@contoso.example>")}, .sender = {TEXT("alias@contoso.example")}, .want_sender = "alias@contoso.example", .keeps_name = true},
{"the UPN and a Reply-To:", {TEXT("<relay@contoso.example>")}, .reply_to = {TEXT("j@x.example")}, .want_reply_to = "j@x.example", .keeps_name = true},

/* Names that are kept */
NAMED("an atom", "John", "j@x.example"),
NAMED("two atoms", "John Doe", "j@x.example"),
NAMED("a quoted string", "\"John Doe\"", "j@x.example"),
NAMED("a comma in quotes", "\"Doe, John\"", "j@x.example"),
NAMED("an address as the quoted name", "\"john@x.example\"", "j@x.example"),
NAMED("somebody else's address as the quoted name", "\"ceo@contoso.example\"", "j@x.example"),
NAMED("angles in quotes", "\"John <john@y.example>\"", "j@x.example"),
NAMED("quotes in quotes", "\"John \\\"Jack\\\" Doe\"", "j@x.example"),
NAMED("a backslash in quotes", "\"back\\\\slash\"", "j@x.example"),
NAMED("a needless backslash in quotes", "\"J\\o\\hn\"", "j@x.example"),
NAMED("quoted and unquoted words", "\"John\" Doe", "j@x.example"),
NAMED("a quoted string in the middle", "John \"Jack\" Doe", "j@x.example"),
NAMED("white space in quotes", "\"  John   Doe  \"", "j@x.example"),
NAMED("an initial with a dot", "John Q. Public", "j@x.example"),
NAMED("dots at the end", "Dr. John Doe Jr.", "j@x.example"),
NAMED("dots without white space", "www.shop.example", "j@x.example"),
NAMED("all the specials that atoms may have", "!#$%&'*+-/=?^_`{|}~", "j@x.example"),
NAMED("an apostrophe", "O'Hara", "j@x.example"),
NAMED("digits", "12345", "1@x.example"),
NAMED("a Q encoded-word", "=?UTF-8?Q?J=C3=B6rg_M=C3=BCller?=", "j@x.example"),
NAMED("a B encoded-word", "=?utf-8?b?SsO2cmc=?=", "j@x.example"),
NAMED("an encoded-word in Latin-1", "=?ISO-8859-1?Q?J=F6rg?=", "j@x.example"),
NAMED("an encoded-word in ISO-2022-JP", "=?ISO-2022-JP?B?GyRCRnxLXBsoQg==?=", "j@x.example"),
NAMED("an encoded-word with a language", "=?UTF-8*de?Q?J=C3=B6rg?=", "j@x.example"),
NAMED("two encoded-words", "=?UTF-8?Q?J=C3=B6rg?= =?UTF-8?Q?_M=C3=BCller?=", "j@x.example"),
NAMED("an encoded-word and an atom", "=?UTF-8?Q?J=C3=B6rg?= Miller", "j@x.example"),
NAMED("an encoded-word and a quoted string", "=?UTF-8?Q?J=C3=B6rg?= \"Miller, Jr.\"", "j@x.example"),
NAMED("an encoded-word in quotes", "\"=?UTF-8?Q?J=C3=B6rg?=\"", "j@x.example"),
NAMED("an encoded-word with a dot", "=?UTF-8?Q?J._M=C3=BCller?=", "j@x.example"),
{"an encoded-word longer than 75 octets", {TEXT("=?UTF-8?Q?=C3=A4=C3=A4=C3=A4=C3=A4=C3=A4=C3=A4=C3=A4=C3=A4=C3=A4=C3=A4=C3=A4?= <j@x.example>")}, .want_from = WITH_UPN, .want_reply_to = AS_WRITTEN, .want_original = AS_WRITTEN, .keeps_name = true},
NAMED("something like an encoded-word", "=?UTF-8?X?abc?=", "j@x.example"),
NAMED("raw UTF-8", "J\xc3\xb6rg M\xc3\xbcller", "j@x.example"),
NAMED("raw UTF-8 in quotes", "\"M\xc3\xbcller, J\xc3\xb6rg\"", "j@x.example"),
NAMED("raw UTF-8 of three and four octets", "\xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x93\xa7", "j@x.example"),
NAMED("Latin-1", "J\xf6rg M\xfcller", "j@x.example"),
NAMED("Latin-1 in quotes", "\"M\xfcller, J\xf6rg\"", "j@x.example"),
NAMED("a tab between words", "John\tDoe", "j@x.example"),
NAMED("a tab in quotes", "\"John\tDoe\"", "j@x.example"),
NAMED("a fold between words", "John\n Doe", "j@x.example"),
NAMED("a fold in quotes", "\"John\n Doe\"", "j@x.example"),
NAMED("a fold with a tab", "=?UTF-8?Q?J=C3=B6rg?=\n\t=?UTF-8?Q?M=C3=BCller?=", "j@x.example"),
NAMED("a comment behind the name", "John Doe (Sales)", "j@x.example"),
NAMED("a comment in the name", "John (Jack) Doe", "j@x.example"),
NAMED("a comment in front of the name", "(Mr.) John Doe", "j@x.example"),
NAMED("nested comments", "John (a (b (c) d) e) Doe", "j@x.example"),
NAMED("quotes and parentheses in a comment", "John (\\) \\( \")", "j@x.example"),
NAMED("a comma in a comment", "John (Sales, North)", "j@x.example"),
NAMED("an address in a comment", "John (<root@y.example>)", "j@x.example"),
NAMED("comments nested as deep as is allowed", "John ((((((((((((((((deep))))))))))))))))", "j@x.example"),
NAMED("a name with address specials in quotes", "\"a@b:c;d,e<f>\"", "j@x.example"),
NAMED("a long name, on its own line", "\"A name so long that there is no room for an address behind it on a line\"\n", "j@x.example"),

/* The address takes many forms */
NAMED("plus addressing", "John", "j+tag@x.example"),
NAMED("a quoted local part", "John", "\"john doe\"@x.example"),
NAMED("quotes and backslashes in the local part", "John", "\"a\\\"b\\\\c\"@x.example"),
NAMED("an at sign in the local part", "John", "\"a@b\"@x.example"),
NAMED("a comma and a colon in the local part", "John", "\"a,b:c\"@x.example"),
NAMED("angles in the local part", "John", "\"<a>\"@x.example"),
NAMED("an IPv4 domain literal", "John", "j@[192.0.2.1]"),
NAMED("an IPv6 domain literal", "John", "j@[IPv6:2001:db8::1]"),
NAMED("a domain without a dot", "John", "j@localhost"),
NAMED("an underscore in the domain", "John", "j@mail_host.example"),
NAMED("an internationalized address", "John", "j\xc3\xb6rg@b\xc3\xbc\x63her.example"),
NAMED("a percent hack", "John", "j%y.example@x.example"),
NAMED("a bang path", "John", "host!j@x.example"),
NAMED("a slash and an equals sign", "John", "a=b/c@x.example"),
NAMED("a local part of 64 octets", "John", "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijkl@x.example"),
BECOMES("white space around the dots", "John <j . d @ x . example>", "John <" UPN ">", "John <j.d@x.example>"),
BECOMES("comments in the address", "John <j(a).d(b)@(c)x.example(d)>", "John <" UPN ">", "John <j.d@x.example>"),
BECOMES("the RFC's example of comments everywhere", "Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>", "Pete(A nice \\) chap) <" UPN ">", "Pete(A nice \\) chap) <pete@silly.test>"),
BECOMES("needless quotes", "John <\"john\"@x.example>", "John <" UPN ">", "John <john@x.example>"),
BECOMES("two dots, as Japanese providers allow", "John <john..doe@x.example>", "John <" UPN ">", "John <\"john..doe\"@x.example>"),
BECOMES("a dot in front of the at sign", "John <john.@x.example>", "John <" UPN ">", "John <\"john.\"@x.example>"),
BECOMES("half a local part in quotes", "John <\"john\".doe@x.example>", "John <" UPN ">", "John <john.doe@x.example>"),
BECOMES("a fold in a quoted local part", "John <\"john\n doe\"@x.example>", "John <" UPN ">", "John <\"john doe\"@x.example>"),
BECOMES("white space in a domain literal", "John <j@[ 192.0.2.1 ]>", "John <" UPN ">", "John <j@[192.0.2.1]>"),
BECOMES("a route", "John <@a.example,@b.example:j@x.example>", "John <" UPN ">", "John <j@x.example>"),
BECOMES("a route without a name", "<@a.example:j@x.example>", "\"j@x.example\" <" UPN ">", "j@x.example"),
BECOMES("white space in the angles", "John < j@x.example >", "John <" UPN ">", "John < j@x.example >"),
BECOMES("a fold in the angles", "John <\n j@x.example>", "John <" UPN ">", "John <\n j@x.example>"),
BECOMES("no white space in front of the angle", "John<j@x.example>", "John <" UPN ">", "John<j@x.example>"),
BECOMES("a comment behind the angles", "John <j@x.example> (at work)", "John <" UPN ">", "John <j@x.example> (at work)"),

/* No name */
BECOMES("a bare address", "root@host.example", "\"root@host.example\" <" UPN ">", "root@host.example"),
BECOMES("an address in angles", "<root@host.example>", "\"root@host.example\" <" UPN ">", "<root@host.example>"),
BECOMES("a bare address with a quoted local part", "\"a \\\"b\\\\\"@x.example", "\"\\\"a \\\\\\\"b\\\\\\\\\\\"@x.example\" <" UPN ">", "\"a \\\"b\\\\\"@x.example"),
BECOMES("a bare address with a domain literal", "root@[192.0.2.1]", "\"root@[192.0.2.1]\" <" UPN ">", "root@[192.0.2.1]"),
BECOMES("a bare internationalized address", "j\xc3\xb6rg@x.example", "\"j\xc3\xb6rg@x.example\" <" UPN ">", "j\xc3\xb6rg@x.example"),
BECOMES("an empty name", "\"\" <j@x.example>", "\"j@x.example\" <" UPN ">", "\"\" <j@x.example>"),
BECOMES("a blank name", "\" \" <j@x.example>", "\"j@x.example\" <" UPN ">", "\" \" <j@x.example>"),
BECOMES("cron", "root@host.example (Cron Daemon)", "\"Cron Daemon\" <" UPN ">", "root@host.example (Cron Daemon)"),
BECOMES("a comment in front of a bare address", "(Cron Daemon) root@host.example", "\"Cron Daemon\" <" UPN ">", "(Cron Daemon) root@host.example"),
BECOMES("a comment in front of an address in angles", "(Cron Daemon) <root@host.example>", "\"Cron Daemon\" <" UPN ">", "(Cron Daemon) <root@host.example>"),
BECOMES("a comment behind an address in angles", "<root@host.example> (Cron Daemon)", "\"Cron Daemon\" <" UPN ">", "<root@host.example> (Cron Daemon)"),
BECOMES("a comment with quotes and parentheses", "root@host.example (the \"root\" (of \\) all))", "\"the \\\"root\\\" (of ) all)\" <" UPN ">", "root@host.example (the \"root\" (of \\) all))"),
BECOMES("a folded comment", "root@host.example (Cron\n Daemon)", "\"Cron Daemon\" <" UPN ">", "root@host.example (Cron\n Daemon)"),
BECOMES("an empty comment", "root@host.example ()", "\"root@host.example\" <" UPN ">", "root@host.example ()"),
BECOMES("two comments", "(one) root@host.example (two)", "\"two\" <" UPN ">", "(one) root@host.example (two)"),
BECOMES("an encoded-word in a comment", "j@x.example (=?UTF-8?Q?J=C3=B6rg?=)", "=?UTF-8?Q?J=C3=B6rg?= <" UPN ">", "j@x.example (=?UTF-8?Q?J=C3=B6rg?=)"),
BECOMES("encoded-words among others in a comment", "j@x.example (Dr. =?UTF-8?Q?J=C3=B6rg?= =?UTF-8?Q?M?= of X)", "\"Dr.\" =?UTF-8?Q?J=C3=B6rg?= =?UTF-8?Q?M?= \"of X\" <" UPN ">", "j@x.example (Dr. =?UTF-8?Q?J=C3=B6rg?= =?UTF-8?Q?M?= of X)"),
BECOMES("an encoded-word with a comma in a comment", "j@x.example (=?UTF-8?Q?Doe,_J?=)", "=?UTF-8?Q?Doe=2C_J?= <" UPN ">", "j@x.example (=?UTF-8?Q?Doe,_J?=)"),
BECOMES("raw UTF-8 in a comment", "j@x.example (J\xc3\xb6rg)", "\"J\xc3\xb6rg\" <" UPN ">", "j@x.example (J\xc3\xb6rg)"),

/* Several mailboxes */
BECOMES("two bare addresses", "a@x.example, b@y.example", "\"a@x.example\" <" UPN ">", "a@x.example, b@y.example"),
BECOMES("two names", "A <a@x.example>, \"B, C\" <b@y.example>", "A <" UPN ">", "A <a@x.example>, \"B, C\" <b@y.example>"),
BECOMES("two mailboxes, folded", "A <a@x.example>,\n B <b@y.example>", "A <" UPN ">", "A <a@x.example>, B <b@y.example>"),
BECOMES("many mailboxes", "Anna <anna@x.example>, Bert <bert@x.example>, Carl <carl@x.example>, Dora <dora@x.example>", "Anna <" UPN ">", "Anna <anna@x.example>, Bert <bert@x.example>, Carl <carl@x.example>,\n Dora <dora@x.example>"),
BECOMES("semicolons between them", "a@x.example; b@y.example", "\"a@x.example\" <" UPN ">", "a@x.example, b@y.example"),
BECOMES("a comma at the end", "j@x.example,", "\"j@x.example\" <" UPN ">", "j@x.example"),
BECOMES("a semicolon at the end", "J <j@x.example>;", "J <" UPN ">", "J <j@x.example>"),
BECOMES("empty elements", ",, a@x.example , (nobody) , b@y.example,", "\"a@x.example\" <" UPN ">", "a@x.example, b@y.example"),
BECOMES("the same address twice", "A <a@x.example>, B <A@X.example>", "A <" UPN ">", "A <a@x.example>"),
BECOMES("the UPN second", "A <a@x.example>, relay@contoso.example", "A <" UPN ">", "A <a@x.example>, relay@contoso.example"),
BECOMES("the UPN first", "R <relay@contoso.example>, A <a@x.example>", "R <" UPN ">", "R <" UPN ">, A <a@x.example>"),
BECOMES("an alias first", "Alias <alias@contoso.example>, A <a@x.example>", "Alias <alias@contoso.example>", "Alias <alias@contoso.example>, A <a@x.example>"),
BECOMES("a bare alias first", "alias@contoso.example (Al), A <a@x.example>", "alias@contoso.example (Al)", "alias@contoso.example (Al), A <a@x.example>"),
BECOMES("the UPN twice", "relay@contoso.example, relay@contoso.example", "relay@contoso.example", NULL),
BECOMES("the UPN with a comma", "Relay <relay@contoso.example>,", "Relay <relay@contoso.example>", NULL),
BECOMES("an alias in obsolete spelling", "Alias <alias @ contoso . example>", "Alias <alias@contoso.example>", NULL),
BECOMES("the UPN behind a route", "Relay <@a.example:relay@contoso.example>", "Relay <relay@contoso.example>", NULL),

/* Groups */
BECOMES("a group of two", "Team: a@x.example, B <b@y.example>;", "\"a@x.example\" <" UPN ">", "a@x.example, B <b@y.example>"),
BECOMES("a group of one", "Team: A <a@x.example>;", "A <" UPN ">", "A <a@x.example>"),
BECOMES("a group and a mailbox", "Team: a@x.example;, B <b@y.example>", "\"a@x.example\" <" UPN ">", "a@x.example, B <b@y.example>"),
BECOMES("a group, a semicolon, a mailbox", "Team: A <a@x.example>; B <b@y.example>", "A <" UPN ">", "A <a@x.example>, B <b@y.example>"),
BECOMES("a group of the UPN", "Team: Relay <relay@contoso.example>;", "Relay <relay@contoso.example>", NULL),
BECOMES("a quoted group name", "\"My: Team\": A <a@x.example>;", "A <" UPN ">", "A <a@x.example>"),
BECOMES("an empty group", "undisclosed-senders:;", "\"" ENVELOPE "\" <" UPN ">", ENVELOPE),
BECOMES("an empty group with a comment", "nobody: (really) ;", "\"" ENVELOPE "\" <" UPN ">", ENVELOPE),
BECOMES("an empty group and a mailbox", "nobody:;, A <a@x.example>", "A <" UPN ">", "A <a@x.example>"),
BECOMES("a group that does not end", "Team: A <a@x.example>", "\"Team: A\" <" UPN ">", "\"Team: A\" <a@x.example>"),
BECOMES("a group in a group", "A: B: C <c@x.example>;;", "\"A: B: C\" <" UPN ">", "\"A: B: C\" <c@x.example>"),
BECOMES("a label in front of an address", "Monitoring: alerts@x.example", "Monitoring <" UPN ">", "Monitoring <alerts@x.example>"),

/* Broken in ways that are seen */
BECOMES("a comma without quotes", "Doe, John <john@x.example>", "\"Doe, John\" <" UPN ">", "\"Doe, John\" <john@x.example>"),
BECOMES("a comma without quotes, and the UPN", "Doe, John <relay@contoso.example>", "\"Doe, John\" <relay@contoso.example>", NULL),
BECOMES("a comma without quotes, and an encoded-word", "Doe, =?UTF-8?Q?J=C3=B6rg?= <john@x.example>", "\"Doe,\" =?UTF-8?Q?J=C3=B6rg?= <" UPN ">", "\"Doe,\" =?UTF-8?Q?J=C3=B6rg?= <john@x.example>"),
BECOMES("a comma in an encoded-word", "=?UTF-8?Q?Doe,_J=C3=B6rg?= <j@x.example>", "=?UTF-8?Q?Doe=2C_J=C3=B6rg?= <" UPN ">", "=?UTF-8?Q?Doe=2C_J=C3=B6rg?= <j@x.example>"),
BECOMES("a comma in an encoded-word, and the UPN", "=?UTF-8?Q?Doe,_J=C3=B6rg?= <relay@contoso.example>", "=?UTF-8?Q?Doe=2C_J=C3=B6rg?= <" UPN ">", NULL),
BECOMES("specials in an encoded-word", "=?UTF-8?Q?a@b_(c)_<d>_\"e\"?= <j@x.example>", "=?UTF-8?Q?a=40b_=28c=29_=3Cd=3E_=22e=22?= <" UPN ">", "=?UTF-8?Q?a=40b_=28c=29_=3Cd=3E_=22e=22?= <j@x.example>"),
BECOMES("the whole mailbox in an encoded-word", "=?UTF-8?Q?J=C3=B6rg_<j@x.example>?=", "=?UTF-8?Q?J=C3=B6rg_=3Cj=40x.example=3E?= <" UPN ">", ENVELOPE),
BECOMES("an encoded-word that does not end", "=?UTF-8?Q?J <j@x.example>", "=?UTF-8?Q?J <" UPN ">", "=?UTF-8?Q?J <j@x.example>"),
BECOMES("an address that starts in an encoded-word", "=?UTF-8?Q?a,b?=j@x.example", "\"" ENVELOPE "\" <" UPN ">", ENVELOPE),
BECOMES("an encoded-word made of two parts of an address", "J <=?UTF-8?Q?a@\n x?=>", "J <" UPN ">", ENVELOPE),
BECOMES("a dot right in front of the angle", "John Q.<j@x.example>", "John Q. <" UPN ">", "John Q. <j@x.example>"),
BECOMES("a dot right in front of the UPN's angle", "John Q.<relay@contoso.example>", "John Q. <relay@contoso.example>", NULL),
BECOMES("brackets in the name", "[JIRA] John Doe <jira@x.example>", "\"[JIRA] John Doe\" <" UPN ">", "\"[JIRA] John Doe\" <jira@x.example>"),
BECOMES("an address as the unquoted name", "john@x.example <john@x.example>", "\"john@x.example\" <" UPN ">", "\"john@x.example\" <john@x.example>"),
BECOMES("a colon in the name", "Re: John <j@x.example>", "\"Re: John\" <" UPN ">", "\"Re: John\" <j@x.example>"),
BECOMES("a dot in front of the name", ".John <j@x.example>", "\".John\" <" UPN ">", "\".John\" <j@x.example>"),
BECOMES("a backslash in the name", "DOMAIN\\john <j@x.example>", "\"DOMAIN\\\\john\" <" UPN ">", "\"DOMAIN\\\\john\" <j@x.example>"),
BECOMES("words behind the angle", "John <j@x.example> extra", "John <" UPN ">", "John <j@x.example>"),
BECOMES("words behind the angle, no name", "<j@x.example> extra", "\"j@x.example\" <" UPN ">", "j@x.example"),
BECOMES("no angles", "John j@x.example", "John <" UPN ">", "John <j@x.example>"),
BECOMES("the name behind a bare address", "j@x.example (John) [x]", "\"j@x.example\" <" UPN ">", "j@x.example"),
BECOMES("no opening angle", "John j@x.example>", "John <" UPN ">", "John <j@x.example>"),
BECOMES("one address in two pairs of angles", "John <j@x.example> <J@x.example>", "John <" UPN ">", "John <j@x.example>"),
BECOMES("one address, as its name too", "\"j@x.example\" <j@x.example> <j@x.example>", "\"j@x.example\" <" UPN ">", "\"j@x.example\" <j@x.example>"),
BECOMES("two addresses in two pairs of angles", "John <j@x.example> <k@x.example>", "John <" UPN ">", ENVELOPE),
BECOMES("a URI with a query", "John <MAILTO:j@x.example?subject=Re%20you>", "John <" UPN ">", "John <j@x.example>"),
BECOMES("a URI with a short query", "<mailto:j@x.example?x>", "\"j@x.example\" <" UPN ">", "j@x.example"),
BECOMES("two pairs of angles", "John <<j@x.example>>", "John <" UPN ">", "John <j@x.example>"),
BECOMES("an empty and a full pair of angles", "John <> <j@x.example>", "\"John <>\" <" UPN ">", "\"John <>\" <j@x.example>"),
BECOMES("a quote that does not end", "\"unterminated <j@x.example>", "\"unterminated\" <" UPN ">", "\"unterminated\" <j@x.example>"),
BECOMES("a quote that does not start", "John\" <j@x.example>", "\"John\" <" UPN ">", "\"John\" <j@x.example>"),
BECOMES("a comment that does not end", "John (Sales <j@x.example>", "\"John (Sales\" <" UPN ">", "\"John (Sales\" <j@x.example>"),
BECOMES("a comment that does not start", "John Sales) <j@x.example>", "\"John Sales)\" <" UPN ">", "\"John Sales)\" <j@x.example>"),
BECOMES("comments nested too deep", "John (((((((((((((((((deep))))))))))))))))) <j@x.example>", "\"John (((((((((((((((((deep)))))))))))))))))\" <" UPN ">", "\"John (((((((((((((((((deep)))))))))))))))))\" <j@x.example>"),
BECOMES("a comma and white space alone in front", ", <j@x.example> x", "\"j@x.example\" <" UPN ">", "j@x.example"),
BECOMES("mailto", "mailto:j@x.example", "\"j@x.example\" <" UPN ">", "j@x.example"),
BECOMES("mailto in angles", "John <mailto:j@x.example>", "John <" UPN ">", "John <j@x.example>"),
BECOMES("mailto in brackets, as a mail program quotes a message", "John Doe [mailto:j@x.example]", "John Doe <" UPN ">", "John Doe <j@x.example>"),
BECOMES("mailto behind a name", "John Doe mailto:j@x.example", "John Doe <" UPN ">", "John Doe <j@x.example>"),
BECOMES("an entry of Exchange's list of addresses", "SMTP:j@x.example", "\"j@x.example\" <" UPN ">", "j@x.example"),
BECOMES("an entry of Exchange's list of addresses in angles", "\"Doe, John\" <smtp:j@x.example>", "\"Doe, John\" <" UPN ">", "\"Doe, John\" <j@x.example>"),
BECOMES("mailto and the UPN", "Relay <mailto:relay@contoso.example>", "Relay <relay@contoso.example>", NULL),
BECOMES("two with mailto", "A <mailto:a@x.example>, <mailto:b@x.example>", "A <" UPN ">", "A <a@x.example>, b@x.example"),
BECOMES("an address for telephones", "John <sip:j@x.example>", "John <" UPN ">", ENVELOPE),
BECOMES("apostrophes around the address", "'j@x.example'", "\"j@x.example\" <" UPN ">", "j@x.example"),
BECOMES("apostrophes around the address in angles", "John O'Hara <'j@x.example'>", "John O'Hara <" UPN ">", "John O'Hara <j@x.example>"),
BECOMES("quotes around the address, left of a setting", "\"j@x.example\"", "\"j@x.example\" <" UPN ">", "j@x.example"),
BECOMES("angles as HTML writes them", "John Doe &lt;j@x.example&gt;", "John Doe <" UPN ">", "John Doe <j@x.example>"),
BECOMES("two broken mailboxes", "Doe, John <j@x.example>, Roe, Jane <jane@x.example>", "\"Doe, John\" <" UPN ">", ENVELOPE),
BECOMES("two bare addresses without a comma", "a@x.example b@y.example", "\"" ENVELOPE "\" <" UPN ">", ENVELOPE),
BECOMES("two at signs", "a@b@x.example", "\"" ENVELOPE "\" <" UPN ">", ENVELOPE),
BECOMES("no local part", "John <@x.example>", "John <" UPN ">", ENVELOPE),
BECOMES("no domain", "John <j@>", "John <" UPN ">", ENVELOPE),
BECOMES("a dot at the end of the domain", "John <j@x.example.>", "John <" UPN ">", "John <j@x.example>"),
BECOMES("a dot at the end of a bare address", "root@host.x.example. (Cron Daemon)", "\"Cron Daemon\" <" UPN ">", "\"Cron Daemon\" <root@host.x.example>"),
BECOMES("a dot at the end of the first of two", "A <a@x.example.>, b@y.example", "A <" UPN ">", "A <a@x.example>, b@y.example"),
BECOMES("a dot at the end of the UPN", "Relay <relay@contoso.example.>", "Relay <relay@contoso.example>", NULL),
BECOMES("two dots at the end of the domain", "John <j@x.example..>", "John <" UPN ">", ENVELOPE),
BECOMES("two dots in the domain", "John <j@x..example>", "John <" UPN ">", ENVELOPE),
BECOMES("an empty quoted local part", "John <\"\"@x.example>", "John <" UPN ">", ENVELOPE),
BECOMES("white space in the local part", "John <j doe@x.example>", "John <" UPN ">", ENVELOPE),
BECOMES("white space in a bare local part", "j doe@x.example", "\"" ENVELOPE "\" <" UPN ">", ENVELOPE),
BECOMES("the name of a device as a bare local part", "Lobby Scanner@x.example", "\"" ENVELOPE "\" <" UPN ">", ENVELOPE),
BECOMES("no angles, and a name of two words", "Jane Doe jane.doe@x.example", "Jane Doe <" UPN ">", "Jane Doe <jane.doe@x.example>"),
BECOMES("white space in the domain", "John <j@x.example or so>", "John <" UPN ">", ENVELOPE),
BECOMES("a fold in the domain", "John <j@x.example.co\n m>", "John <" UPN ">", ENVELOPE),
BECOMES("a fold in the domain, with a tab", "Doe, John <j@x.exam\n\tple.com>", "\"Doe, John\" <" UPN ">", ENVELOPE),
BECOMES("a fold in the domain that was taken out", "John <j@x.example.co m>", "John <" UPN ">", ENVELOPE),
BECOMES("a fold in the domain of a bare address", "j@x.example.co\n m", "\"" ENVELOPE "\" <" UPN ">", ENVELOPE),
BECOMES("a fold in the domain of a bare address with a name", "John j@x.example.co\n m", "\"" ENVELOPE "\" <" UPN ">", ENVELOPE),
BECOMES("a fold in the domain behind a quoted local part", "John <\"j d\"@x.example.co\n m>", "John <" UPN ">", ENVELOPE),
BECOMES("a fold in the domain behind a route", "John <@a.example:j@x.example.co\n m>", "John <" UPN ">", ENVELOPE),
BECOMES("a fold at a dot of the domain", "John <j@x.\n example>", "John <" UPN ">", "John <j@x.example>"),
BECOMES("a fold in the local part", "John <j\n doe@x.example>", "John <" UPN ">", ENVELOPE),
BECOMES("a fold in a bare local part", "j\n doe@x.example", "\"" ENVELOPE "\" <" UPN ">", ENVELOPE),
BECOMES("a fold between a quoted name and a bare address", "\"Doe, John\"\n j@x.example", "\"Doe, John\" <" UPN ">", "\"Doe, John\" <j@x.example>"),
BECOMES("a comment and more behind the address in angles", "John <j@x.example.co (x) m>", "John <" UPN ">", ENVELOPE),
BECOMES("cut off in the address", "John <j@x.example.co", "John <" UPN ">", ENVELOPE),
BECOMES("cut off in the address, and more", "John <j@x.example or so", "John <" UPN ">", ENVELOPE),
BECOMES("cut off in the second address", "Doe, A <a@x.example>, B <b@x.exa", "\"Doe, A\" <" UPN ">", ENVELOPE),
BECOMES("an address cut by an angle", "John <j@x.example.co<m>", "John <" UPN ">", ENVELOPE),
BECOMES("words behind a bare address", "j@x.example.co m", "\"" ENVELOPE "\" <" UPN ">", ENVELOPE),
BECOMES("a domain literal that does not end", "John <j@[192.0.2.1>", "John <" UPN ">", ENVELOPE),
BECOMES("Latin-1 in the address", "John <j\xf6rg@x.example>", "John <" UPN ">", ENVELOPE),
BECOMES("overlong UTF-8 in the address", "John <j\xc0\xaf@x.example>", "John <" UPN ">", ENVELOPE),
BECOMES("empty angles", "<>", "\"" ENVELOPE "\" <" UPN ">", ENVELOPE),
BECOMES("a name and empty angles", "Mail System <>", "Mail System <" UPN ">", ENVELOPE),
BECOMES("a user name", "root", "root <" UPN ">", ENVELOPE),
BECOMES("a user name in angles", "<root>", "\"" ENVELOPE "\" <" UPN ">", ENVELOPE),
BECOMES("a user name with a comment", "root (Cron Daemon)", "root (Cron Daemon) <" UPN ">", ENVELOPE),
BECOMES("a name alone", "Cron Daemon", "Cron Daemon <" UPN ">", ENVELOPE),
BECOMES("a quoted name alone", "\"Cron, Daemon\"", "\"Cron, Daemon\" <" UPN ">", ENVELOPE),
BECOMES("a comment alone", "(Cron Daemon)", "\"(Cron Daemon)\" <" UPN ">", ENVELOPE),
BECOMES("a mailbox in quotes, left of a setting", "\"John <j@x.example>\"", "John <" UPN ">", "John <j@x.example>"),
BECOMES("two mailboxes in quotes", "\"John <j@x.example>\" \"K <k@x.example>\"", "\"John <j@x.example>\" \"K <k@x.example>\" <" UPN ">", ENVELOPE),
BECOMES("names with a comma alone", "Doe, John", "\"Doe, John\" <" UPN ">", ENVELOPE),
BECOMES("punctuation alone", ";,:", "\"" ENVELOPE "\" <" UPN ">", ENVELOPE),
BECOMES("an at sign alone", "@", "\"" ENVELOPE "\" <" UPN ">", ENVELOPE),
BECOMES("a quote alone", "\"", "\"" ENVELOPE "\" <" UPN ">", ENVELOPE),
BECOMES("a backslash alone", "\\", "\"" ENVELOPE "\" <" UPN ">", ENVELOPE),
BECOMES("dots alone", "...", "\"" ENVELOPE "\" <" UPN ">", ENVELOPE),
BECOMES("an X.400 address", "/C=XX/A=400NET/S=Doe/", "/C=XX/A=400NET/S=Doe/ <" UPN ">", ENVELOPE),

/* Control characters, and headers that want to be born */
BECOMES("a line break and a header in the name", "John\nBcc: victim@y.example <j@x.example>", "\"John Bcc: victim@y.example\" <" UPN ">", "\"John Bcc: victim@y.example\" <j@x.example>"),
BECOMES("a line break and a header in quotes", "\"John\nBcc: victim@y.example\" <j@x.example>", "\"John Bcc: victim@y.example\" <" UPN ">", "\"John Bcc: victim@y.example\" <j@x.example>"),
BECOMES("CR LF and a header in quotes", "\"John\r\nBcc: victim@y.example\" <j@x.example>", "\"John Bcc: victim@y.example\" <" UPN ">", "\"John Bcc: victim@y.example\" <j@x.example>"),
BECOMES("a quoted line break", "\"John\\\nBcc: victim@y.example\" <j@x.example>", "\"John\\ Bcc: victim@y.example\" <" UPN ">", "\"John\\ Bcc: victim@y.example\" <j@x.example>"),
BECOMES("a line break and a header in a comment", "j@x.example (John\nBcc: victim@y.example)", "\"John Bcc: victim@y.example\" <" UPN ">", "j@x.example (John Bcc: victim@y.example)"),
BECOMES("a line break and a header behind the address", "John <j@x.example>\nBcc: victim@y.example", "John <" UPN ">", "John <j@x.example>"),
BECOMES("a line break in the address", "John <j\n@x.example>", "John <" UPN ">", ENVELOPE),
BECOMES("a line break and a header behind a bare address", "j@x.example\nBcc: you", "\"" ENVELOPE "\" <" UPN ">", ENVELOPE),
BECOMES("a line break and a body", "John <j@x.example>\n\nBuy now", "John <" UPN ">", "John <j@x.example>"),
BECOMES("a line break and a body in quotes", "\"John\n\nBuy now\" <j@x.example>", "\"John  Buy now\" <" UPN ">", "\"John  Buy now\" <j@x.example>"),
BECOMES("a line break at the end", "John <j@x.example>\n", "John <" UPN ">", "John <j@x.example>"),
BECOMES("a bare CR in the name", "\"John\rDoe\" <j@x.example>", "\"John Doe\" <" UPN ">", "\"John Doe\" <j@x.example>"),
BECOMES("a fold with CR LF", "John\r\n Doe <j@x.example>", "John\n Doe <" UPN ">", "John\n Doe <j@x.example>"),
BECOMES("a blank line in a fold", "John\n \n Doe <j@x.example>", "John \n Doe <" UPN ">", "John \n Doe <j@x.example>"),
BECOMES("a blank line in quotes", "\"John\n \n Doe\" <j@x.example>", "\"John \n Doe\" <" UPN ">", "\"John \n Doe\" <j@x.example>"),
BECOMES("a fold, control characters and a fold in a comment", "John (a\n \x07\x07\n b) <j@x.example>", "John (a   \n b) <" UPN ">", "John (a   \n b) <j@x.example>"),
BECOMES("a NUL in quotes", "\"John\0Doe\" <j@x.example>", "\"John Doe\" <" UPN ">", "\"John Doe\" <j@x.example>"),
BECOMES("a NUL in the name", "John\0Doe <j@x.example>", "\"John Doe\" <" UPN ">", "\"John Doe\" <j@x.example>"),
BECOMES("a NUL in the address", "John <j\0@x.example>", "John <" UPN ">", ENVELOPE),
BECOMES("a NUL in a bare address", "j\0ohn@x.example", "\"" ENVELOPE "\" <" UPN ">", ENVELOPE),
BECOMES("a NUL in a quoted local part", "John <\"j\0\"@x.example>", "John <" UPN ">", ENVELOPE),
BECOMES("a quoted NUL", "\"John\\\0\" <j@x.example>", "\"John\\ \" <" UPN ">", "\"John\\ \" <j@x.example>"),
BECOMES("a NUL behind the UPN", "relay@contoso.example\0", "\"" ENVELOPE "\" <" UPN ">", ENVELOPE),
BECOMES("an escape sequence in quotes", "\"\x1b[31mJohn\x7f\" <j@x.example>", "\" [31mJohn \" <" UPN ">", "\" [31mJohn \" <j@x.example>"),
BECOMES("a control character in the UPN's name", "\"Re\x01lay\" <relay@contoso.example>", "\"Re lay\" <relay@contoso.example>", NULL),
BECOMES("the UPN and a header", "Relay <relay@contoso.example>\nX-Spam: no", "Relay <relay@contoso.example>", NULL),
BECOMES("the UPN with CR LF in the fold", "Relay\r\n <relay@contoso.example>", "Relay\n <relay@contoso.example>", NULL),

/* No From: at all */
{"no From:", .want_from = "\"" ENVELOPE "\" <" UPN ">", .want_reply_to = ENVELOPE},
{"no From:, an envelope sender in angles", .envelope = "<" ENVELOPE ">", .want_from = "\"" ENVELOPE "\" <" UPN ">", .want_reply_to = ENVELOPE},
{"no From:, the null sender", .envelope = "", .want_from = UPN},
{"no From:, the null sender in angles", .envelope = "<>", .want_from = UPN},
{"no From:, the UPN as the envelope sender", .envelope = "Relay@Contoso.Example", .want_from = UPN},
{"no From:, an alias as the envelope sender", .envelope = "alias@contoso.example", .want_from = "\"alias@contoso.example\" <" UPN ">", .want_reply_to = "alias@contoso.example"},
{"no From:, an envelope sender without a domain", .envelope = "root", .want_from = "\"root\" <" UPN ">"},
{"no From:, a quoted envelope sender", .envelope = "\"a \\\"b\"@x.example", .want_from = "\"\\\"a \\\\\\\"b\\\"@x.example\" <" UPN ">", .want_reply_to = "\"a \\\"b\"@x.example"},
{"no From:, an internationalized envelope sender", .envelope = "j\xc3\xb6rg@x.example", .want_from = "\"j\xc3\xb6rg@x.example\" <" UPN ">", .want_reply_to = "j\xc3\xb6rg@x.example"},
{"no From:, a header in the envelope sender", .envelope = "a@x.example\nBcc: b@y.example", .want_from = "\"a@x.example Bcc: b@y.example\" <" UPN ">"},
{"no From:, but a Reply-To:", .reply_to = {TEXT("j@x.example")}, .want_from = "\"" ENVELOPE "\" <" UPN ">", .want_reply_to = "j@x.example"},
{"no From:, but a Sender:", .sender = {TEXT("j@x.example")}, .want_from = "\"" ENVELOPE "\" <" UPN ">", .want_reply_to = ENVELOPE},
{"an empty From:", {TEXT("")}, .want_from = "\"" ENVELOPE "\" <" UPN ">", .want_reply_to = ENVELOPE},
{"a blank From:", {TEXT("  \t")}, .want_from = "\"" ENVELOPE "\" <" UPN ">", .want_reply_to = ENVELOPE},
{"a From: of a fold", {TEXT("\n ")}, .want_from = "\"" ENVELOPE "\" <" UPN ">", .want_reply_to = ENVELOPE},
{"a From: of a NUL", {TEXT("\0")}, .want_from = "\"" ENVELOPE "\" <" UPN ">", .want_reply_to = ENVELOPE},
{"a broken From:, the null sender", {TEXT("a@b@c")}, .envelope = "", .want_from = UPN, .want_original = AS_WRITTEN},
{"an empty group, the null sender", {TEXT("MAILER-DAEMON:;")}, .envelope = "", .want_from = UPN, .want_original = AS_WRITTEN},
{"a user name, the null sender", {TEXT("root")}, .envelope = "", .want_from = "root <" UPN ">", .want_original = AS_WRITTEN},
{"a bounce", {TEXT("MAILER-DAEMON@host.example (Mail Delivery System)")}, .envelope = "", .want_from = "\"Mail Delivery System\" <" UPN ">", .want_reply_to = "MAILER-DAEMON@host.example (Mail Delivery System)", .want_original = AS_WRITTEN},

/* Several From: headers */
{"two From:", {TEXT("A <a@x.example>"), TEXT("B <b@y.example>")}, .want_from = "A <" UPN ">", .want_reply_to = "A <a@x.example>, B <b@y.example>", .want_original = AS_WRITTEN, .keeps_name = true},
{"three From:", {TEXT("a@x.example"), TEXT("B <b@y.example>"), TEXT("c@z.example")}, .want_from = "\"a@x.example\" <" UPN ">", .want_reply_to = "a@x.example, B <b@y.example>, c@z.example", .want_original = AS_WRITTEN},
{"the UPN in the first From:", {TEXT("Relay <relay@contoso.example>"), TEXT("B <b@y.example>")}, .want_from = "Relay <relay@contoso.example>", .want_reply_to = "Relay <relay@contoso.example>, B <b@y.example>", .want_original = AS_WRITTEN, .keeps_name = true},
{"the UPN in the second From:", {TEXT("A <a@x.example>"), TEXT("relay@contoso.example")}, .want_from = "A <" UPN ">", .want_reply_to = "A <a@x.example>, relay@contoso.example", .want_original = AS_WRITTEN, .keeps_name = true},
{"the UPN in two From:", {TEXT("Relay <relay@contoso.example>"), TEXT("relay@contoso.example")}, .want_from = "Relay <relay@contoso.example>", .want_original = AS_WRITTEN, .keeps_name = true},
{"an alias in the first From:", {TEXT("Al <alias@contoso.example>"), TEXT("b@y.example")}, .want_from = "Al <alias@contoso.example>", .want_reply_to = "Al <alias@contoso.example>, b@y.example", .want_original = AS_WRITTEN, .keeps_name = true},
{"the same twice", {TEXT("A <a@x.example>"), TEXT("A <a@x.example>")}, .want_from = "A <" UPN ">", .want_reply_to = "A <a@x.example>", .want_original = AS_WRITTEN, .keeps_name = true},
{"an empty From: first", {TEXT(""), TEXT("B <b@y.example>")}, .want_from = "B <" UPN ">", .want_reply_to = "B <b@y.example>", .want_original = AS_WRITTEN},
{"an empty From: second", {TEXT("A <a@x.example>"), TEXT("")}, .want_from = "A <" UPN ">", .want_reply_to = "A <a@x.example>", .want_original = AS_WRITTEN, .keeps_name = true},
{"an empty From: and the UPN", {TEXT(""), TEXT("Relay <relay@contoso.example>")}, .want_from = "Relay <relay@contoso.example>", .want_original = AS_WRITTEN},
{"a broken From: first", {TEXT("root"), TEXT("B <b@y.example>")}, .want_from = "B <" UPN ">", .want_reply_to = "B <b@y.example>", .want_original = AS_WRITTEN},
{"a broken From: second", {TEXT("A <a@x.example>"), TEXT("b@c@d")}, .want_from = "A <" UPN ">", .want_reply_to = "A <a@x.example>", .want_original = AS_WRITTEN, .keeps_name = true},
{"two that need mending", {TEXT("Doe, J <j@x.example>"), TEXT("[B] <b@y.example>")}, .want_from = "\"Doe, J\" <" UPN ">", .want_reply_to = "\"Doe, J\" <j@x.example>, \"[B]\" <b@y.example>", .want_original = AS_WRITTEN},
{"two broken From:", {TEXT("@"), TEXT("Cron")}, .want_from = "Cron <" UPN ">", .want_reply_to = ENVELOPE, .want_original = AS_WRITTEN},
{"an empty group and another From:", {TEXT("nobody:;"), TEXT("B <b@y.example>")}, .want_from = "B <" UPN ">", .want_reply_to = "B <b@y.example>", .want_original = AS_WRITTEN},

/* Reply-To:, X-Original-From: and Sender: */
{"a Reply-To: that is there", {TEXT("J <j@x.example>")}, .reply_to = {TEXT("Help <help@x.example>")}, .want_from = "J <" UPN ">", .want_reply_to = "Help <help@x.example>", .want_original = AS_WRITTEN, .keeps_name = true},
{"an empty Reply-To:", {TEXT("J <j@x.example>")}, .reply_to = {TEXT("")}, .want_from = "J <" UPN ">", .want_reply_to = "J <j@x.example>", .want_original = AS_WRITTEN, .keeps_name = true},
{"a blank Reply-To:", {TEXT("J <j@x.example>")}, .reply_to = {TEXT(" \n \t")}, .want_from = "J <" UPN ">", .want_reply_to = "J <j@x.example>", .want_original = AS_WRITTEN, .keeps_name = true},
{"a Reply-To: of nobody", {TEXT("J <j@x.example>")}, .reply_to = {TEXT("<>")}, .want_from = "J <" UPN ">", .want_reply_to = "J <j@x.example>", .want_original = AS_WRITTEN, .keeps_name = true},
{"a Reply-To: of a name and nobody", {TEXT("J <j@x.example>")}, .reply_to = {TEXT("J <>")}, .want_from = "J <" UPN ">", .want_reply_to = "J <j@x.example>", .want_original = AS_WRITTEN, .keeps_name = true},
{"a Reply-To: of a comment", {TEXT("J <j@x.example>")}, .reply_to = {TEXT("(none)")}, .want_from = "J <" UPN ">", .want_reply_to = "J <j@x.example>", .want_original = AS_WRITTEN, .keeps_name = true},
{"an address in Reply-To: that is a comment", {TEXT("J <j@x.example>")}, .reply_to = {TEXT("(k@x.example)")}, .want_from = "J <" UPN ">", .want_reply_to = "J <j@x.example>", .want_original = AS_WRITTEN, .keeps_name = true},
{"a Reply-To: of an empty group", {TEXT("J <j@x.example>")}, .reply_to = {TEXT("undisclosed-recipients:;")}, .want_from = "J <" UPN ">", .want_reply_to = "J <j@x.example>", .want_original = AS_WRITTEN, .keeps_name = true},
{"a Reply-To: of two empty groups", {TEXT("J <j@x.example>")}, .reply_to = {TEXT("a:;, b: (c) ;")}, .want_from = "J <" UPN ">", .want_reply_to = "J <j@x.example>", .want_original = AS_WRITTEN, .keeps_name = true},
{"a Reply-To: of a word", {TEXT("J <j@x.example>")}, .reply_to = {TEXT("none")}, .want_from = "J <" UPN ">", .want_reply_to = "J <j@x.example>", .want_original = AS_WRITTEN, .keeps_name = true},
{"a Reply-To: of a word in angles", {TEXT("J <j@x.example>")}, .reply_to = {TEXT("J <noreply>")}, .want_from = "J <" UPN ">", .want_reply_to = "J <j@x.example>", .want_original = AS_WRITTEN, .keeps_name = true},
{"a Reply-To: of names with a comma", {TEXT("J <j@x.example>")}, .reply_to = {TEXT("Doe, John")}, .want_from = "J <" UPN ">", .want_reply_to = "J <j@x.example>", .want_original = AS_WRITTEN, .keeps_name = true},
{"a Reply-To: of commas", {TEXT("J <j@x.example>")}, .reply_to = {TEXT(", ,")}, .want_from = "J <" UPN ">", .want_reply_to = "J <j@x.example>", .want_original = AS_WRITTEN, .keeps_name = true},
{"a broken Reply-To:", {TEXT("J <j@x.example>")}, .reply_to = {TEXT("<<>")}, .want_from = "J <" UPN ">", .want_reply_to = "J <j@x.example>", .want_original = AS_WRITTEN, .keeps_name = true},
{"a Reply-To: without a domain", {TEXT("J <j@x.example>")}, .reply_to = {TEXT("noreply@")}, .want_from = "J <" UPN ">", .want_reply_to = "J <j@x.example>", .want_original = AS_WRITTEN, .keeps_name = true},
{"a Reply-To: without a local part", {TEXT("J <j@x.example>")}, .reply_to = {TEXT("<@x.example>")}, .want_from = "J <" UPN ">", .want_reply_to = "J <j@x.example>", .want_original = AS_WRITTEN, .keeps_name = true},
{"a Reply-To: of a NUL", {TEXT("J <j@x.example>")}, .reply_to = {TEXT("\0")}, .want_from = "J <" UPN ">", .want_reply_to = "J <j@x.example>", .want_original = AS_WRITTEN, .keeps_name = true},
{"a Reply-To: with an obsolete spelling", {TEXT("J <j@x.example>")}, .reply_to = {TEXT("Help < help @ x.example >")}, .want_from = "J <" UPN ">", .want_reply_to = "Help < help @ x.example >", .want_original = AS_WRITTEN, .keeps_name = true},
{"a Reply-To: that needs quotes", {TEXT("J <j@x.example>")}, .reply_to = {TEXT("Help, Desk <help@x.example>")}, .want_from = "J <" UPN ">", .want_reply_to = "Help, Desk <help@x.example>", .want_original = AS_WRITTEN, .keeps_name = true},
{"a Reply-To: of two that need quotes", {TEXT("J <j@x.example>")}, .reply_to = {TEXT("Help, Desk <help@x.example>, Sales, Inc. <sales@x.example>")}, .want_from = "J <" UPN ">", .want_reply_to = "Help, Desk <help@x.example>, Sales, Inc. <sales@x.example>", .want_original = AS_WRITTEN, .keeps_name = true},
{"a Reply-To: with mailto", {TEXT("J <j@x.example>")}, .reply_to = {TEXT("<mailto:help@x.example>")}, .want_from = "J <" UPN ">", .want_reply_to = "<mailto:help@x.example>", .want_original = AS_WRITTEN, .keeps_name = true},
{"a Reply-To: that was cut", {TEXT("J <j@x.example>")}, .reply_to = {TEXT("<help@x.example.co\n m>")}, .want_from = "J <" UPN ">", .want_reply_to = "<help@x.example.co\n m>", .want_original = AS_WRITTEN, .keeps_name = true},
{"a Reply-To: in quotes", {TEXT("J <j@x.example>")}, .reply_to = {TEXT("\"help@x.example\"")}, .want_from = "J <" UPN ">", .want_reply_to = "\"help@x.example\"", .want_original = AS_WRITTEN, .keeps_name = true},
{"a Reply-To: of a group", {TEXT("J <j@x.example>")}, .reply_to = {TEXT("Desk: help@x.example;")}, .want_from = "J <" UPN ">", .want_reply_to = "Desk: help@x.example;", .want_original = AS_WRITTEN, .keeps_name = true},
{"a Reply-To: of two", {TEXT("J <j@x.example>")}, .reply_to = {TEXT("a@x.example, b@x.example")}, .want_from = "J <" UPN ">", .want_reply_to = "a@x.example, b@x.example", .want_original = AS_WRITTEN, .keeps_name = true},
{"an empty Reply-To: and a good one", {TEXT("J <j@x.example>")}, .reply_to = {TEXT(""), TEXT("Help <help@x.example>")}, .want_from = "J <" UPN ">", .want_reply_to = "Help <help@x.example>", .want_original = AS_WRITTEN, .keeps_name = true},
{"a good Reply-To: and an empty one", {TEXT("J <j@x.example>")}, .reply_to = {TEXT("Help <help@x.example>"), TEXT("<>")}, .want_from = "J <" UPN ">", .want_reply_to = "Help <help@x.example>", .want_original = AS_WRITTEN, .keeps_name = true},
{"two Reply-To: without an address", {TEXT("J <j@x.example>")}, .reply_to = {TEXT(""), TEXT("noreply")}, .want_from = "J <" UPN ">", .want_reply_to = "J <j@x.example>", .want_original = AS_WRITTEN, .keeps_name = true},
{"three Reply-To:, two empty", {TEXT("J <j@x.example>")}, .reply_to = {TEXT(""), TEXT("Help <help@x.example>"), TEXT("(none)")}, .want_from = "J <" UPN ">", .want_reply_to = "Help <help@x.example>", .want_original = AS_WRITTEN, .keeps_name = true},
{"two good Reply-To:", {TEXT("J <j@x.example>")}, .reply_to = {TEXT("Help <help@x.example>"), TEXT("k@x.example")}, .want_from = "J <" UPN ">", .want_reply_to = "Help <help@x.example>, k@x.example", .want_original = AS_WRITTEN, .keeps_name = true},
{"the same Reply-To: twice", {TEXT("J <j@x.example>")}, .reply_to = {TEXT("help@x.example"), TEXT("Help <HELP@x.example>")}, .want_from = "J <" UPN ">", .want_reply_to = "help@x.example", .want_original = AS_WRITTEN, .keeps_name = true},
{"two Reply-To:, one that needs quotes", {TEXT("J <j@x.example>")}, .reply_to = {TEXT("Help, Desk <help@x.example>"), TEXT("k@x.example")}, .want_from = "J <" UPN ">", .want_reply_to = "\"Help, Desk\" <help@x.example>, k@x.example", .want_original = AS_WRITTEN, .keeps_name = true},
{"an empty Reply-To:, none wanted", {TEXT("J <j@x.example>")}, .reply_to = {TEXT("")}, .no_reply_to = true, .want_from = "J <" UPN ">", .want_reply_to = "", .want_original = AS_WRITTEN, .keeps_name = true},
{"an empty Reply-To: beside the UPN", {TEXT("relay@contoso.example")}, .reply_to = {TEXT("")}, .want_reply_to = "", .keeps_name = true},
{"an empty Reply-To: and an alias in obsolete spelling", {TEXT("<alias @ contoso.example>")}, .reply_to = {TEXT("")}, .want_from = "alias@contoso.example", .want_reply_to = "", .want_original = AS_WRITTEN},
{"no From:, and an empty Reply-To:", .reply_to = {TEXT("")}, .want_from = "\"" ENVELOPE "\" <" UPN ">", .want_reply_to = ENVELOPE},
{"no From:, an empty Reply-To:, the null sender", .envelope = "", .reply_to = {TEXT("")}, .want_from = UPN, .want_reply_to = ""},
{"no Reply-To: wanted", {TEXT("J <j@x.example>")}, .no_reply_to = true, .want_from = "J <" UPN ">", .want_original = AS_WRITTEN, .keeps_name = true},
{"no Reply-To: wanted, several mailboxes", {TEXT("J <j@x.example>, K <k@x.example>")}, .no_reply_to = true, .want_from = "J <" UPN ">", .want_original = AS_WRITTEN},
{"an X-Original-From: that is there", {TEXT("J <j@x.example>")}, .original = TEXT("K <k@x.example>"), .want_from = "J <" UPN ">", .want_reply_to = "J <j@x.example>", .want_original = AS_WRITTEN, .keeps_name = true},
{"an X-Original-From: that is there, and a list's Reply-To:", {TEXT("J <j@x.example>")}, .reply_to = {TEXT("list@x.example")}, .original = TEXT("K <k@x.example>"), .want_from = "J <" UPN ">", .want_reply_to = "list@x.example", .want_original = AS_WRITTEN, .keeps_name = true},
{"what an earlier version made", {TEXT("J <relay@contoso.example>")}, .reply_to = {TEXT("J <j@x.example>")}, .original = TEXT("J <j@x.example>"), .want_reply_to = "J <j@x.example>", .keeps_name = true},
{"what another account was written into", {TEXT("J <other@contoso.example>")}, .reply_to = {TEXT("J <j@x.example>")}, .ours = TEXT("J <j@x.example>"), .want_from = "J <" UPN ">", .want_reply_to = "J <j@x.example>", .want_original = AS_WRITTEN, .keeps_name = true},
{"a Sender: that may not be", {TEXT("J <j@x.example>")}, .sender = {TEXT("K <k@x.example>")}, .want_from = "J <" UPN ">", .want_reply_to = "J <j@x.example>", .want_original = AS_WRITTEN, .keeps_name = true},
{"a Sender: that may not be, beside the UPN", {TEXT("Relay <relay@contoso.example>")}, .sender = {TEXT("K <k@x.example>")}, .keeps_name = true},
{"a Sender: that may be, beside a From: that may not", {TEXT("J <j@x.example>")}, .sender = {TEXT("Relay@contoso.example")}, .want_from = "J <" UPN ">", .want_reply_to = "J <j@x.example>", .want_original = AS_WRITTEN, .want_sender = "Relay@contoso.example", .keeps_name = true},
{"three Sender: that may not be", {TEXT("relay@contoso.example")}, .sender = {TEXT("a@x.example"), TEXT("b@x.example"), TEXT("c@x.example")}, .keeps_name = true},
{"three Sender:, the second may be", {TEXT("relay@contoso.example")}, .sender = {TEXT("a@x.example"), TEXT("alias@contoso.example"), TEXT("relay@contoso.example")}, .want_sender = "alias@contoso.example", .keeps_name = true},
{"two good Sender:", {TEXT("relay@contoso.example")}, .sender = {TEXT("R <relay@contoso.example>"), TEXT("relay@contoso.example")}, .want_sender = "R <relay@contoso.example>", .keeps_name = true},
{"a Sender: that does not parse", {TEXT("relay@contoso.example")}, .sender = {TEXT("Doe, R <relay@contoso.example>")}, .keeps_name = true},
{"an empty Sender:", {TEXT("relay@contoso.example")}, .sender = {TEXT("")}, .keeps_name = true},
{"a Sender: of two mailboxes", {TEXT("relay@contoso.example")}, .sender = {TEXT("relay@contoso.example, alias@contoso.example")}, .keeps_name = true},
{"a Sender: with a NUL", {TEXT("relay@contoso.example")}, .sender = {TEXT("\"\0\" <relay@contoso.example>")}, .keeps_name = true},
{"a Sender: with a header", {TEXT("relay@contoso.example")}, .sender = {TEXT("\"a\nBcc: b@y.example\" <relay@contoso.example>")}, .keeps_name = true},
{"several mailboxes and their Sender:", {TEXT("A <a@x.example>, B <b@y.example>")}, .sender = {TEXT("A <a@x.example>")}, .want_from = "A <" UPN ">", .want_reply_to = "A <a@x.example>, B <b@y.example>", .want_original = AS_WRITTEN},

/* Other accounts */
{"no Send As", {TEXT("Alias <alias@contoso.example>")}, .send_as = "", .want_from = "Alias <" UPN ">", .want_reply_to = "Alias <alias@contoso.example>", .want_original = AS_WRITTEN, .keeps_name = true},
{"Send As for one address is none for its subdomain", {TEXT("alias@sub.contoso.example")}, .want_from = "\"alias@sub.contoso.example\" <" UPN ">", .want_reply_to = "alias@sub.contoso.example", .want_original = AS_WRITTEN},
{"an UPN that needs quotes", {TEXT("J <j@x.example>")}, .upn = "\"the relay\"@contoso.example", .want_from = "J <\"the relay\"@contoso.example>", .want_reply_to = "J <j@x.example>", .want_original = AS_WRITTEN, .keeps_name = true},
{"an internationalized UPN", {TEXT("J <j@x.example>")}, .upn = "rel\xc3\xa4y@contoso.example", .want_from = "J <rel\xc3\xa4y@contoso.example>", .want_reply_to = "J <j@x.example>", .want_original = AS_WRITTEN, .keeps_name = true},
{"an UPN with capitals", {TEXT("relay@contoso.example, x@y.example")}, .upn = "Relay@Contoso.example", .want_from = "relay@contoso.example", .want_reply_to = "relay@contoso.example, x@y.example", .want_original = AS_WRITTEN},

/* Long ones */
{"a name of 20 words", {TEXT("one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen <j@x.example>")}, .want_from = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen\n <" UPN ">", .want_reply_to = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen <j@x.example>", .want_original = AS_WRITTEN, .keeps_name = true},
{"a name of 1800 octets is folded", .from_long = {"J", " Doe", 450, " <j@x.example>"}, .want_from = WITH_UPN, .want_reply_to = AS_WRITTEN, .want_original = AS_WRITTEN, .keeps_name = true},
{"a quoted name of 1500 octets without white space", .from_long = {"\"", "abcde", 300, "\" <j@x.example>"}, .want_from = "\"j@x.example\" <" UPN ">", .want_reply_to = "j@x.example", .want_original = AS_WRITTEN_BROKEN},
{"a name of 100 kB", .from_long = {"J", " Doe", 25000, " <j@x.example>"}, .want_from = "\"j@x.example\" <" UPN ">", .want_reply_to = "j@x.example", .want_original = AS_WRITTEN_CUT},
{"a name of 100 kB without white space", .from_long = {"", "abcde", 20000, " <j@x.example>"}, .want_from = "\"j@x.example\" <" UPN ">", .want_reply_to = "j@x.example", .want_original = AS_WRITTEN_CUT},
{"a raw UTF-8 name of 100 kB without white space", .from_long = {"", "\xe6\x97\xa5", 33333, " <j@x.example>"}, .want_from = "\"j@x.example\" <" UPN ">", .want_reply_to = "j@x.example", .want_original = AS_WRITTEN_CUT},
{"a local part of 100 kB", .from_long = {"", "abcde", 20000, "@x.example"}, .want_from = "\"" ENVELOPE "\" <" UPN ">", .want_reply_to = ENVELOPE, .want_original = AS_WRITTEN_CUT},
{"a domain of 100 kB", .from_long = {"J <j@x", ".example", 12500, ">"}, .want_from = "J <" UPN ">", .want_reply_to = ENVELOPE, .want_original = AS_WRITTEN_CUT},
{"white space of 100 kB", .from_long = {"J", "          ", 10000, "<j@x.example>"}, .want_from = "J <" UPN ">", .want_reply_to = "J <j@x.example>", .want_original = "J                                <j@x.example>"},
{"parentheses of 100 kB", .from_long = {"", "(", 100000, " <j@x.example>"}, .want_from = "\"j@x.example\" <" UPN ">", .want_reply_to = "j@x.example", .want_original = AS_WRITTEN_CUT},
{"quotes of 100 kB", .from_long = {"", "\"", 100001, " <j@x.example>"}, .want_from = "\"j@x.example\" <" UPN ">", .want_reply_to = "j@x.example", .want_original = AS_WRITTEN_CUT},
{"backslashes of 100 kB", .from_long = {"\"", "\\", 100001, "<j@x.example>"}, .want_from = "\"j@x.example\" <" UPN ">", .want_reply_to = "j@x.example", .want_original = AS_WRITTEN_CUT},
{"angles of 100 kB", .from_long = {"J ", "<", 100000, "j@x.example>"}, .want_from = "J <" UPN ">", .want_reply_to = "J <j@x.example>", .want_original = AS_WRITTEN_CUT},
{"commas of 100 kB", .from_long = {"J <j@x.example>", ",", 100000, ""}, .want_from = "J <" UPN ">", .want_reply_to = "J <j@x.example>", .want_original = AS_WRITTEN_CUT},
{"folds of 100 kB", .from_long = {"J", "\n x", 33333, " <j@x.example>"}, .want_from = "\"j@x.example\" <" UPN ">", .want_reply_to = "j@x.example", .want_original = AS_WRITTEN_CUT},
{"line breaks of 100 kB", .from_long = {"J <j@x.example>", "\n", 100000, ""}, .want_from = "J <" UPN ">", .want_reply_to = "J <j@x.example>", .want_original = "J <j@x.example>"},
{"the UPN and a comment of 100 kB", .from_long = {"relay@contoso.example (", "abcde", 20000, ")"}, .want_from = "relay@contoso.example", .want_original = AS_WRITTEN_CUT},
{"the UPN and a quoted name of 100 kB without white space", .from_long = {"\"", "abcde", 20000, "\" <relay@contoso.example>"}, .want_from = "relay@contoso.example", .want_original = AS_WRITTEN_CUT},
};
/* clang-format on */

#endif
