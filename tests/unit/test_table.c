/* test_table.c - Postfix lookup tables, made by the real postmap(1) and asked through it */
#include "common/buffer.h"
#include "common/memory.h"
#include "common/table.h"
#include "tests/unit/memory_search.h"
#include "tests/unit/table_workplace.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define NOBODY 65534

static struct tables *open_value(const char *value, enum table_content content, struct error *error)
{
    error->text[0] = '\0';
    return tables_open("post365_test_maps", value, workplace_directory(), content, error);
}

static struct tables *must_open(const char *value)
{
    struct error error;
    struct tables *tables = open_value(value, TABLE_VALUES, &error);
    if (tables == NULL)
        fail_msg("%s: %s", value, error.text);
    return tables;
}

/* "type:DIRECTORY/name", valid until the eighth call after this one. */
static const char *table_of(const char *type, const char *name)
{
    static char values[8][600];
    static unsigned next;
    char *value = values[next++ % 8];
    snprintf(value, sizeof(values[0]), "%s:%s", type, workplace_path(name));
    return value;
}

/* `want` NULL: the table does not know the key. */
static void expect(struct tables *tables, const char *key, const char *want)
{
    struct error error = {.text = ""};
    char *got = NULL;
    enum table_answer answer = tables_find(tables, key, &got, &error);
    if (answer == TABLE_FAILED)
        fail_msg("\"%s\": got failure \"%s\", want \"%s\"", key, error.text, want);
    if (answer != (want != NULL ? TABLE_FOUND : TABLE_NONE) ||
        (want != NULL && strcmp(got, want) != 0))
        fail_msg("\"%s\": got \"%s\", want \"%s\"", key, got != NULL ? got : "(none)",
                 want != NULL ? want : "(none)");
    free(got);
}

static void expect_failure(struct tables *tables, const char *key, const char *part)
{
    struct error error = {.text = ""};
    char *got = NULL;
    assert_int_equal(tables_find(tables, key, &got, &error), TABLE_FAILED);
    assert_contains(error.text, part);
    assert_contains(error.text, "/main.cf: post365_test_maps = ");
}

static void expect_address(struct tables *tables, const char *address, const char *want)
{
    struct error error = {.text = ""};
    char *got = NULL;
    struct domains *local =
        domains_new("relay.example, localhost hash:/x, !not.local /etc/y [192.0.2.1]");
    enum table_answer answer = tables_find_address(tables, address, "+-", local, &got, &error);
    domains_free(local);
    if (answer != (want != NULL ? TABLE_FOUND : TABLE_NONE) ||
        (want != NULL && strcmp(got, want) != 0))
        fail_msg("<%s>: got \"%s\" %s, want \"%s\"", address, got != NULL ? got : "(none)",
                 error.text, want != NULL ? want : "(none)");
    free(got);
}

/* --- the types ----------------------------------------------------------------------------------
 */

#define ENTRIES                                                                                    \
    "# a comment\n"                                                                                \
    "alice@example.com  alice.m@contoso.com\n"                                                     \
    "BOB@Example.com\tbob@contoso.com  \n"                                                         \
    "\n"                                                                                           \
    "long@example.com one@x,\n"                                                                    \
    "   two@x,\n"                                                                                  \
    "# between\n"                                                                                  \
    "\tthree@x\n"                                                                                  \
    "\"quoted key\"@example.com quoted@x\n"                                                        \
    "JÖRG@bücher.example joerg@contoso.com\n"                                                    \
    "straße@example.com strasse@contoso.com\n"                                                    \
    "last@example.com end@x"

static void check_entries(const char *value)
{
    struct tables *tables = must_open(value);
    expect(tables, "alice@example.com", "alice.m@contoso.com");
    expect(tables, "ALICE@EXAMPLE.COM", "alice.m@contoso.com");
    expect(tables, "bob@example.com", "bob@contoso.com");
    expect(tables, "long@example.com", "one@x,   two@x,\tthree@x");
    expect(tables, "\"quoted key\"@example.com", "quoted@x");
    expect(tables, "Jörg@BÜCHER.example", "joerg@contoso.com");
    expect(tables, "STRASSE@example.com", "strasse@contoso.com");
    expect(tables, "STRAẞE@example.com", "strasse@contoso.com");
    expect(tables, "last@example.com", "end@x");
    expect(tables, "nobody@example.com", NULL);
    expect(tables, "#", NULL);
    expect(tables, "", NULL);
    expect(tables, "alice@example.com\n", NULL);
    tables_close(tables);
}

static void hash_btree_and_texthash_tables_are_read(void **state)
{
    (void)state;
    static const char *const types[] = {"hash", "btree"};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        workplace_write(types[i], ENTRIES);
        workplace_postmap(types[i], types[i]);
        check_entries(table_of(types[i], types[i]));
    }
    check_entries(table_of("texthash", "hash"));
    check_entries(table_of("proxy:hash", "hash"));
}

static void keys_are_folded_as_postmap_folds_them(void **state)
{
    (void)state;
    /* postmap writes its own folding of the key; ours must find it. */
    static const char *const keys[] = {"ÄÖÜ", "ΣΊΣΥΦΟΣ", "σίσυφος", "ПОЧТА", "ẞ", "ß", "İ",
                                       "ı",   "K",       "Å",       "ſ",     "µ", "Ǆ", "ΐ",
                                       "և",   "Ԛ",       "Ⴀ",       "Ａ",    "Ⓐ", "𐐀", "e\u0301"};
    struct tables *tables;
    char line[128];
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        snprintf(line, sizeof(line), "%s@x found\n", keys[i]);
        workplace_write("fold", line);
        unlink(workplace_path("fold.db"));
        workplace_postmap("hash", "fold");
        tables = must_open(table_of("hash", "fold"));
        snprintf(line, sizeof(line), "%s@x", keys[i]);
        expect(tables, line, "found");
        tables_close(tables);
    }
}

static void a_large_database_is_read_whole(void **state)
{
    (void)state;
    struct buffer text = {0};
    for (int i = 0; i < 30000; i++)
        buffer_format(&text, "user%d@example.com account%d@contoso.com\n", i, i);
    buffer_append_string(&text, "big@example.com ");
    for (int i = 0; i < 5000; i++)
        buffer_format(&text, "address%d@example.com,", i);
    buffer_append_string(&text, "\n");
    workplace_write("large", text.data);
    buffer_free(&text);
    static const char *const types[] = {"hash", "btree"};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        unlink(workplace_path("large.db"));
        workplace_postmap(types[i], "large");
        struct tables *tables = must_open(table_of(types[i], "large"));
        expect(tables, "user0@example.com", "account0@contoso.com");
        expect(tables, "user29999@example.com", "account29999@contoso.com");
        expect(tables, "user30000@example.com", NULL);
        char *value = NULL;
        assert_int_equal(tables_find(tables, "big@example.com", &value, NULL), TABLE_FOUND);
        assert_true(strlen(value) > 100000);
        free(value);
        tables_close(tables);
    }
}

static void an_entry_that_is_too_long_is_passed_over(void **state)
{
    (void)state;
    char *huge = memory_zero(1, 300001);
    memset(huge, 'x', 300000);
    struct buffer text = {0};
    buffer_format(&text, "a@x 1\nhuge@x %s\n%.3000s@x 2\nz@x 3\n", huge, huge);
    workplace_write("huge", text.data);
    buffer_free(&text);
    free(huge);
    workplace_postmap("hash", "huge");
    static const char *const types[] = {"hash", "texthash"};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        workplace_log_start();
        struct tables *tables = must_open(table_of(types[i], "huge"));
        const char *log = workplace_log_end();
        assert_int_equal(workplace_count(log, "longer than"), 2);
        expect(tables, "a@x", "1");
        expect(tables, "z@x", "3");
        expect(tables, "huge@x", NULL);
        tables_close(tables);
    }
}

static void inline_and_static_tables_need_no_file(void **state)
{
    (void)state;
    static const struct {
        const char *value, *key, *want;
    } cases[] = {
        {"inline:{ a@x=1, {b@x = 2 and 3} }", "a@x", "1"},
        {"inline:{ a@x=1, {b@x = 2 and 3} }", "b@x", "2 and 3"},
        {"inline:{ a@x=1, {b@x = 2 and 3} }", "c@x", NULL},
        {"inline:{A@X=b=c}", "a@x", "b=c"},
        {"inline:{{ {x} = {y} }}", "{x}", "{y}"},
        {"inline:{ a=1, a=2 }", "a", "2"},
        {"inline:{ {\"a=b\"@x = c} }", "\"a=b\"@x", "c"},
        {"static:all@x", "whatever", "all@x"},
        {"static:{ two words }", "whatever", "two words"},
        {"inline:{a=1} inline:{b=2},static:3", "a", "1"},
        {"inline:{a=1} inline:{b=2},static:3", "b", "2"},
        {"inline:{a=1}\n\tinline:{b=2},\tstatic:3", "c", "3"},
        {"", "a", NULL},
        {" , ", "a", NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct tables *tables = must_open(cases[i].value);
        expect(tables, cases[i].key, cases[i].want);
        tables_close(tables);
    }
}

static void inline_answers_are_those_of_postfix(void **state)
{
    (void)state;
    /* The same table once more, behind a unionmap that only postmap can ask. */
    struct tables *ours = must_open("inline:{ a@x=1, { b@x =  2 } }");
    struct tables *theirs = must_open("unionmap:{inline:{ a@x=1, { b@x =  2 } }}");
    static const char *const keys[] = {"a@x", "A@X", "b@x", "c@x"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        char *our = NULL, *their = NULL;
        assert_int_equal(tables_find(ours, keys[i], &our, NULL),
                         tables_find(theirs, keys[i], &their, NULL));
        if (their != NULL)
            assert_string_equal(our, their);
        free(our);
        free(their);
    }
    tables_close(ours);
    tables_close(theirs);
}

static void other_types_are_asked_through_postmap(void **state)
{
    (void)state;
    workplace_write("regexp", "/^(.*)@old\\.example$/ $1@contoso.com\n"
                              "/^-/ dash\n/^x y$/ blank\n/'/ quote\n");
    workplace_write("cidr", "192.0.2.0/24 net@contoso.com\n");
    struct tables *tables = must_open(table_of("regexp", "regexp"));
    expect(tables, "Alice@OLD.example", "alice@contoso.com");
    expect(tables, "alice@new.example", NULL);
    expect(tables, "-", "dash");
    expect(tables, "-q", "dash");
    expect(tables, "x y", "blank");
    expect(tables, "o'hara@x", "quote");
    expect(tables, "$(id)`id`@x", NULL);
    expect(tables, "a\nb@old.example", NULL);
    expect(tables, "jörg@old.example", "jörg@contoso.com");
    tables_close(tables);
    tables = must_open(table_of("cidr", "cidr"));
    expect(tables, "192.0.2.77", "net@contoso.com");
    expect(tables, "198.51.100.1", NULL);
    tables_close(tables);
}

static void the_first_table_that_knows_the_key_answers(void **state)
{
    (void)state;
    workplace_write("second", "a@x 2\nb@x 2\n");
    workplace_write("third", "/x$/ 3\n");
    char *value = memory_format("inline:{a@x=1},%s\t%s", table_of("texthash", "second"),
                                table_of("regexp", "third"));
    struct tables *tables = must_open(value);
    free(value);
    expect(tables, "a@x", "1");
    expect(tables, "b@x", "2");
    expect(tables, "c@x", "3");
    expect(tables, "c@y", NULL);
    tables_close(tables);
}

/* --- addresses ----------------------------------------------------------------------------------
 */

static void addresses_are_looked_up_in_postfix_order(void **state)
{
    (void)state;
    struct tables *tables =
        must_open("inline:{ user+ext@x=full, user@x=bare, @x=domain, local=local, local+e=local+e,"
                  " who@x=second, nodomain=as-it-is, {\"a b\"@x=quoted}, c@x=plain}"
                  " inline:{ who+more@x=first-key-second-table, @relay.example=relay }");
    static const struct {
        const char *address, *want;
    } cases[] = {
        {"user+ext@x", "full"},
        {"USER+EXT@X", "full"},
        {"user+other@x", "bare"},
        {"user-other@x", "bare"},
        {"user@x", "bare"},
        {"other@x", "domain"},
        {"other@y", NULL},
        {"local@relay.example", "local"},
        {"local@RELAY.Example", "local"},
        {"local+e@relay.example", "local+e"},
        {"local+f@relay.example", "local"},
        {"local@localhost", "local"},
        {"local@[192.0.2.1]", "local"},
        {"local@not.local", NULL},
        {"local@y", NULL},
        {"other@relay.example", "relay"},
        {"who+more@x", "first-key-second-table"},
        {"nodomain", "as-it-is"},
        {"nodomain+ext", NULL},
        {"\"a b\"@x", "quoted"},
        {"\"c\"@x", "plain"},
        {"\"c+ext\"@x", "plain"},
        {"\"user@x\"@relay.example", "relay"},
        {"", NULL},
        {"@x", "domain"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        expect_address(tables, cases[i].address, cases[i].want);
    tables_close(tables);
}

static void patterns_see_the_whole_address_only(void **state)
{
    (void)state;
    workplace_write("partial", "/^@x$/ domain\n/^user@x$/ bare\n/^user\\+ext@x$/ whole\n");
    struct tables *tables = must_open(table_of("regexp", "partial"));
    expect_address(tables, "user+ext@x", "whole");
    expect_address(tables, "user+other@x", NULL);
    expect_address(tables, "other@x", NULL);
    expect_address(tables, "user@x", "bare");
    tables_close(tables);
    char *value = memory_format("pipemap:{%s}", table_of("regexp", "partial"));
    tables = must_open(value);
    expect_address(tables, "user+other@x", NULL);
    tables_close(tables);
    free(value);
}

static void an_address_that_is_too_long_is_in_no_table(void **state)
{
    (void)state;
    struct tables *tables = must_open("static:all");
    char *address = memory_zero(1, 100001);
    memset(address, 'a', 100000);
    memcpy(address + 99990, "@x.example", 10);
    expect_address(tables, address, NULL);
    expect(tables, address, NULL);
    address[1500] = '\0';
    expect_address(tables, address, "all");
    free(address);
    tables_close(tables);
}

/* --- what can be wrong --------------------------------------------------------------------------
 */

static void what_cannot_be_opened_says_why_and_what_to_do(void **state)
{
    (void)state;
    workplace_write("text", "a b\n");
    workplace_write("broken.db", "this is no Berkeley DB\n");
    workplace_write("empty.db", "");
    workplace_write("huge", "");
    assert_int_equal(truncate(workplace_path("huge"), (257L << 20)), 0);
    assert_int_equal(mkdir(workplace_path("folder"), 0755), 0);
    workplace_write("tree", "a b\n");
    workplace_postmap("btree", "tree");
    static const struct {
        const char *type, *name; /* a name with a blank is the whole value */
        const char *want, *remedy;
    } cases[] = {
        {"hash", "missing", "/missing.db: No such file or directory", "run: postmap hash:/"},
        {"btree", "missing", "/missing.db: No such file or directory", "run: postmap btree:/"},
        {"texthash", "missing", "/missing: No such file or directory", "create it"},
        {"texthash", "folder", "/folder: not a regular file", "name a file"},
        {"texthash", "huge", "/huge: larger than 256 MB", "cdb:"},
        {"hash", "broken", "/broken.db: not a sound Berkeley DB hash file", "run: postmap hash:"},
        {"hash", "empty", "/empty.db: empty", "run: postmap hash:"},
        {"hash", "tree", "/tree.db: not a sound Berkeley DB hash file", "run: postmap hash:"},
        {"regexp", "missing", "/missing: No such file or directory", "postmap -q"},
        {"nosuchtype", "x", "does not support tables of type nosuchtype", "postconf -m"},
        {NULL, "hash:relative", "= hash:relative: ", "absolute path"},
        {NULL, "/etc/postfix/x", "= /etc/postfix/x: not a table", "write type:name"},
        {NULL, ":x", "not a table", "write type:name"},
        {NULL, "-v:x", "not a table", "write type:name"},
        {NULL, "inline:{", "missing '}'", "close the braces"},
        {NULL, "inline:a=b", "= inline:a=b: ", "write inline:{ key=value, ... }"},
        {NULL, "inline:{}", "an empty table", "write inline:{ key=value, ... }"},
        {NULL, "inline:{a=b, c}", "entry 2 has no key and value", "key=value"},
        {NULL, "inline:{=b}", "entry 1 has no key and value", "key=value"},
        {NULL, "inline:{a=b, {c=d}e}", "entry 2: text after '}'", "comma"},
        {NULL, "static:", "an empty value", "write static:value"},
        {NULL, "static:{ }", "an empty value", "write static:value"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error error;
        const char *value =
            cases[i].type != NULL ? table_of(cases[i].type, cases[i].name) : cases[i].name;
        struct tables *tables = open_value(value, TABLE_VALUES, &error);
        if (tables != NULL)
            fail_msg("%s: got open, want \"%s\"", value, cases[i].want);
        assert_contains(error.text, "/main.cf: post365_test_maps = ");
        assert_contains(error.text, cases[i].want);
        assert_contains(error.text, cases[i].remedy);
        assert_null(strchr(error.text, '\n'));
    }
}

static void bad_lines_are_named_and_passed_over(void **state)
{
    (void)state;
    workplace_write("lines", "  floating\n"
                             "good@x 1\n"
                             "novalue@x\n"
                             "good@x 2\n"
                             "\"open@x 3\n"
                             "colon: 4\n"
                             "crlf@x 5\r\n"
                             "last@x 6\n");
    workplace_log_start();
    struct tables *tables = must_open(table_of("texthash", "lines"));
    const char *log = workplace_log_end();
    assert_contains(log, "warning: ");
    assert_contains(log, "/lines: line 1: continues nothing");
    assert_contains(log, "/lines: line 3: no value");
    assert_contains(log, "/lines: line 4: the same key as on a line above");
    assert_contains(log, "/lines: line 5: a quote is not closed");
    assert_contains(log, "/lines: line 6: the key ends in ':'");
    assert_int_equal(workplace_count(log, "\n"), 5);
    expect(tables, "good@x", "1");
    expect(tables, "crlf@x", "5");
    expect(tables, "last@x", "6");
    tables_close(tables);
}

static void a_byte_order_mark_is_told(void **state)
{
    (void)state;
    workplace_write("windows", "\xef\xbb\xbfgood@x 1\n");
    workplace_log_start();
    struct tables *tables = must_open(table_of("texthash", "windows"));
    assert_contains(workplace_log_end(), "/windows: line 1: begins with a byte order mark");
    tables_close(tables);
}

static void a_flood_of_bad_lines_is_cut_short(void **state)
{
    (void)state;
    struct buffer text = {0};
    for (int i = 0; i < 5000; i++)
        buffer_append_string(&text, "novalue\n");
    workplace_write("flood", text.data);
    buffer_free(&text);
    workplace_log_start();
    struct tables *tables = must_open(table_of("texthash", "flood"));
    const char *log = workplace_log_end();
    assert_int_equal(workplace_count(log, "\n"), 21);
    assert_contains(log, "4980 more warnings");
    tables_close(tables);
}

static void a_nul_byte_does_not_hide_the_rest(void **state)
{
    (void)state;
    int descriptor = open(workplace_path("nul"), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_int_equal(write(descriptor, "a@x 1\nb\0@x 2\nc@x 3\n", 19), 19);
    close(descriptor);
    workplace_log_start();
    struct tables *tables = must_open(table_of("texthash", "nul"));
    assert_contains(workplace_log_end(), "line 2: holds a NUL byte");
    expect(tables, "a@x", "1");
    expect(tables, "b", NULL);
    expect(tables, "c@x", "3");
    tables_close(tables);
}

static void a_database_older_than_its_source_is_reported(void **state)
{
    (void)state;
    workplace_write("aged", "a@x 1\n");
    workplace_postmap("hash", "aged");
    time_t now = time(NULL);
    struct timespec source[2] = {{.tv_sec = now - 500}, {.tv_sec = now - 500}};
    struct timespec database[2] = {{.tv_sec = now - 1000}, {.tv_sec = now - 1000}};
    utimensat(AT_FDCWD, workplace_path("aged"), source, 0);
    utimensat(AT_FDCWD, workplace_path("aged.db"), database, 0);
    workplace_log_start();
    tables_close(must_open(table_of("hash", "aged")));
    const char *log = workplace_log_end();
    assert_contains(log, "/aged.db is older than source file ");
    assert_contains(log, "run: postmap hash:");
    utimensat(AT_FDCWD, workplace_path("aged.db"), source, 0);
    workplace_log_start();
    tables_close(must_open(table_of("hash", "aged")));
    assert_string_equal(workplace_log_end(), "");
}

static void an_empty_value_is_a_failure(void **state)
{
    (void)state;
    struct tables *tables = must_open("inline:{ a@x=, b@x=1 }");
    expect_failure(tables, "a@x", "key \"a@x\"");
    expect(tables, "b@x", "1");
    tables_close(tables);
}

static void what_postmap_cannot_look_up_is_a_failure(void **state)
{
    (void)state;
    workplace_write("vanishing", "/a/ 1\n");
    struct tables *tables = must_open(table_of("regexp", "vanishing"));
    expect(tables, "a", "1");
    unlink(workplace_path("vanishing"));
    expect_failure(
        tables, "a",
        "No such file or directory (status 1) for key \"a\"; try: postmap -q KEY 'regexp:/");
    workplace_write("vanishing", "/a/ 2\n");
    expect(tables, "a", "2");
    tables_close(tables);
    /* A table that always fails opens, since a server may be back soon, but says so; when it is
     * asked, it ends the search. */
    workplace_log_start();
    tables = must_open("inline:{b=1} fail:always static:never");
    assert_contains(workplace_log_end(), "query error");
    expect(tables, "b", "1");
    expect_failure(tables, "a", "query error");
    tables_close(tables);
}

static void warnings_of_postmap_do_not_change_an_answer(void **state)
{
    (void)state;
    workplace_write("main.cf", "compatibility_level = 3.6\nmyhostname = a.example\n"
                               "myhostname = b.example\n");
    workplace_write("warned", "nonsense\n/a/ 1\n");
    struct tables *tables = must_open(table_of("regexp", "warned"));
    expect(tables, "a", "1");
    expect(tables, "b", NULL);
    tables_close(tables);
    workplace_write("main.cf", "compatibility_level = 3.6\n");
}

/* --- changes ------------------------------------------------------------------------------------
 */

static void a_changed_text_is_noticed(void **state)
{
    (void)state;
    workplace_write("changing", "a@x 1\n");
    struct tables *tables = must_open(table_of("texthash", "changing"));
    expect(tables, "a@x", "1");
    /* Of the same size, and perhaps within the same tick of the file system's clock. */
    workplace_log_start();
    workplace_write("changing", "a@x 2\n");
    expect(tables, "a@x", "2");
    workplace_replace("changing", "a@x 3\n");
    expect(tables, "a@x", "3");
    workplace_write("changing", "b@x 4\n");
    expect(tables, "a@x", NULL);
    expect(tables, "b@x", "4");
    assert_contains(workplace_log_end(), "/changing changed, read again: 1 entries");
    tables_close(tables);
}

static void changes_that_follow_at_once_are_noticed(void **state)
{
    (void)state;
    workplace_write("quick", "a@x 0\n");
    struct tables *tables = must_open(table_of("texthash", "quick"));
    char line[32];
    workplace_log_start();
    for (int i = 1; i < 10; i++) {
        workplace_write("quick", "a@x none\n");
        snprintf(line, sizeof(line), "a@x %04d\n", i);
        workplace_write("quick", line);
        line[8] = '\0';
        expect(tables, "a@x", line + 4);
    }
    workplace_log_end();
    tables_close(tables);
}

static int64_t milliseconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void a_file_is_read_when_it_has_been_left_alone(void **state)
{
    (void)state;
    workplace_write("restless", "a@x 1\n");
    struct tables *tables = must_open(table_of("texthash", "restless"));
    workplace_write("restless", "a@x 2\n");
    /* As if it had been written 20 ms from now: nobody may read it before 70 ms have passed. */
    struct timespec written[2];
    int64_t start = milliseconds_now();
    clock_gettime(CLOCK_REALTIME, &written[1]);
    written[1].tv_nsec += 20000000;
    written[1].tv_sec += written[1].tv_nsec / 1000000000;
    written[1].tv_nsec %= 1000000000;
    written[0] = written[1];
    assert_int_equal(utimensat(AT_FDCWD, workplace_path("restless"), written, 0), 0);
    workplace_log_start();
    expect(tables, "a@x", "2");
    workplace_log_end();
    assert_true(milliseconds_now() - start >= 69);
    tables_close(tables);
}

static void a_version_tells_whether_anything_changed(void **state)
{
    (void)state;
    workplace_write("one", "a@x 1\n");
    workplace_write("two", "b@x 1\n");
    char *value = memory_format("static:s, texthash:%s, inline:{ a=b }, texthash:%s",
                                workplace_path("one"), workplace_path("two"));
    struct tables *tables = must_open(value);
    struct tables *none = must_open(""), *postmap = must_open("static:s, regexp:/dev/null");
    uint64_t version, next;
    workplace_log_start();
    assert_true(tables_refresh(none, &version));
    assert_false(tables_refresh(postmap, &version));
    assert_true(tables_refresh(tables, &version));
    assert_true(tables_refresh(tables, &next) && next == version);
    static const char *const names[] = {"two", "one", "one"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        workplace_replace(names[i], "a@x 2\n");
        assert_true(tables_refresh(tables, &next) && next > version);
        assert_true(tables_refresh(tables, &version) && version == next);
    }
    /* A look-up that was first makes no difference. */
    workplace_replace("one", "a@x 3\n");
    expect(tables, "a@x", "s");
    assert_true(tables_refresh(tables, &next) && next > version);
    /* A file that is gone leaves the contents, and what they are called. */
    unlink(workplace_path("one"));
    assert_true(tables_refresh(tables, &version) && version == next);
    assert_int_equal(workplace_count(workplace_log_end(), "put the file back"), 1);
    tables_close(tables);
    tables_close(none);
    tables_close(postmap);
    free(value);
}

static void a_changed_database_is_noticed(void **state)
{
    (void)state;
    static const char *const types[] = {"hash", "btree"};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        workplace_write("moving", "a@x 1\n");
        unlink(workplace_path("moving.db"));
        workplace_postmap(types[i], "moving");
        struct tables *tables = must_open(table_of(types[i], "moving"));
        expect(tables, "a@x", "1");
        workplace_log_start();
        workplace_write("moving", "a@x 2\n");
        workplace_postmap(types[i], "moving");
        expect(tables, "a@x", "2");
        workplace_write("other", "a@x 3\n");
        workplace_postmap(types[i], "other");
        rename(workplace_path("other.db"), workplace_path("moving.db"));
        expect(tables, "a@x", "3");
        workplace_log_end();
        tables_close(tables);
    }
}

static void a_changed_file_makes_cached_answers_void(void **state)
{
    (void)state;
    workplace_write("cached", "/a/ 1\n");
    struct tables *tables = must_open(table_of("regexp", "cached"));
    expect(tables, "a", "1");
    expect(tables, "b", NULL);
    workplace_write("cached", "/a/ 22\n/b/ 3\n");
    expect(tables, "a", "22");
    expect(tables, "b", "3");
    workplace_replace("cached", "/a/ 4\n");
    expect(tables, "a", "4");
    expect(tables, "b", NULL);
    tables_close(tables);
}

static void a_missing_file_is_reported_once_and_the_old_contents_stay(void **state)
{
    (void)state;
    workplace_write("coming", "a@x 1\n");
    struct tables *tables = must_open(table_of("texthash", "coming"));
    workplace_log_start();
    unlink(workplace_path("coming"));
    expect(tables, "a@x", "1");
    expect(tables, "a@x", "1");
    expect(tables, "b@x", NULL);
    workplace_replace("coming", "a@x 2\n");
    expect(tables, "a@x", "2");
    unlink(workplace_path("coming"));
    expect(tables, "a@x", "2");
    const char *log = workplace_log_end();
    assert_int_equal(workplace_count(log, "No such file or directory"), 2);
    assert_contains(log, "/main.cf: post365_test_maps = texthash:");
    assert_contains(log, "the old contents stay in use");
    tables_close(tables);
}

static void a_database_that_breaks_is_reported_once_and_the_old_contents_stay(void **state)
{
    (void)state;
    workplace_write("breaking", "a@x 1\n");
    workplace_postmap("hash", "breaking");
    struct tables *tables = must_open(table_of("hash", "breaking"));
    workplace_replace("breaking.db", "no database at all");
    struct timespec old[2] = {{.tv_sec = 1000000}, {.tv_sec = 1000000}};
    utimensat(AT_FDCWD, workplace_path("breaking.db"), old, 0);
    workplace_log_start();
    for (int i = 0; i < 5; i++)
        expect(tables, "a@x", "1");
    const char *log = workplace_log_end();
    assert_int_equal(workplace_count(log, "\n"), 1);
    assert_contains(log, "not a sound Berkeley DB hash file");
    unlink(workplace_path("breaking.db"));
    workplace_write("breaking", "a@x 2\n");
    workplace_log_start();
    workplace_postmap("hash", "breaking");
    expect(tables, "a@x", "2");
    workplace_log_end();
    tables_close(tables);
}

/* --- locks --------------------------------------------------------------------------------------
 */

struct holder {
    pid_t pid;
    int to_child;
};

/* A process that holds the lock that postmap would hold. */
static struct holder hold_lock(const char *path)
{
    int to_child[2], from_child[2];
    char byte = 0;
    assert_int_equal(pipe(to_child), 0);
    assert_int_equal(pipe(from_child), 0);
    struct holder holder = {.pid = fork(), .to_child = to_child[1]};
    if (holder.pid == 0) {
        int descriptor = open(path, O_RDWR);
        close(to_child[1]);
        byte = flock(descriptor, LOCK_EX) == 0 ? 'y' : 'n';
        if (write(from_child[1], &byte, 1) == 1 && read(to_child[0], &byte, 1) >= 0)
            _exit(0);
        _exit(1);
    }
    assert_int_equal(read(from_child[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    close(to_child[0]);
    close(from_child[0]);
    close(from_child[1]);
    return holder;
}

static void release_lock(struct holder holder)
{
    close(holder.to_child);
    assert_int_equal(waitpid(holder.pid, NULL, 0), holder.pid);
}

static void a_locked_database_is_not_read(void **state)
{
    (void)state;
    struct error error;
    workplace_write("locked", "a@x 1\n");
    workplace_postmap("hash", "locked");
    struct holder holder = hold_lock(workplace_path("locked.db"));
    int64_t start = milliseconds_now();
    assert_null(open_value(table_of("hash", "locked"), TABLE_VALUES, &error));
    assert_in_range(milliseconds_now() - start, 500, 10000);
    assert_contains(error.text, "/locked.db: cannot lock");
    assert_contains(error.text, "wait for postmap");
    release_lock(holder);
    tables_close(must_open(table_of("hash", "locked")));
}

static void while_a_database_is_locked_the_old_contents_answer_at_once(void **state)
{
    (void)state;
    workplace_write("busy", "a@x 1\n");
    workplace_postmap("hash", "busy");
    struct tables *tables = must_open(table_of("hash", "busy"));
    workplace_write("next", "a@x 2\n");
    workplace_postmap("hash", "next");
    struct holder holder = hold_lock(workplace_path("next.db"));
    rename(workplace_path("next.db"), workplace_path("busy.db"));
    workplace_log_start();
    int64_t start = milliseconds_now();
    for (int i = 0; i < 100; i++)
        expect(tables, "a@x", "1");
    assert_in_range(milliseconds_now() - start, 0, 900);
    assert_int_equal(workplace_count(workplace_log_end(), "cannot lock"), 1);
    release_lock(holder);
    workplace_log_start();
    expect(tables, "a@x", "2");
    workplace_log_end();
    tables_close(tables);
}

/* --- permissions and passwords ------------------------------------------------------------------
 */

static void write_secret(const char *name, const char *text)
{
    workplace_replace(name, text);
    assert_int_equal(chmod(workplace_path(name), 0600), 0);
}

static void as_nobody(void)
{
    assert_int_equal(seteuid(NOBODY), 0);
}

static void as_root(void)
{
    assert_int_equal(seteuid(0), 0);
}

static void a_file_that_root_alone_may_read_says_who_must_read_it(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    static const char *const types[] = {"texthash", "hash"};
    write_secret("secret", "[relay.example]:587 user@contoso.com:password\n");
    workplace_postmap("hash", "secret");
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        struct error error;
        as_nobody();
        struct tables *tables = open_value(table_of(types[i], "secret"), TABLE_USER_NAMES, &error);
        as_root();
        assert_null(tables);
        assert_contains(error.text, "Permission denied; (re)start ");
        assert_contains(error.text, "as root, who may read it");
    }
}

static void a_secret_that_changes_after_root_was_dropped_is_reported_once(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    struct error error;
    write_secret("dropped", "k user1@x:p\n");
    struct tables *tables = open_value(table_of("texthash", "dropped"), TABLE_USER_NAMES, &error);
    assert_non_null(tables);
    workplace_log_start();
    as_nobody();
    expect(tables, "k", "user1@x");
    as_root();
    assert_string_equal(workplace_log_end(), "");
    uint64_t version, next;
    assert_true(tables_refresh(tables, &version));
    write_secret("dropped", "k user2@x:p\n");
    struct timespec old[2] = {{.tv_sec = 1000000}, {.tv_sec = 1000000}};
    utimensat(AT_FDCWD, workplace_path("dropped"), old, 0);
    workplace_log_start();
    as_nobody();
    for (int i = 0; i < 5; i++)
        expect(tables, "k", "user1@x");
    expect(tables, "other", NULL);
    assert_true(tables_refresh(tables, &next) && next == version); /* the same answers */
    as_root();
    const char *log = workplace_log_end();
    assert_int_equal(workplace_count(log, "\n"), 1);
    assert_contains(log, " as root, who may read it");
    assert_int_equal(chmod(workplace_path("dropped"), 0644), 0);
    workplace_log_start();
    as_nobody();
    expect(tables, "k", "user2@x");
    as_root();
    workplace_log_end();
    tables_close(tables);
}

static void a_database_is_read_again_when_root_was_dropped_for_good(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    workplace_write("open", "k 1\n");
    workplace_postmap("hash", "open");
    struct tables *tables = must_open(table_of("hash", "open"));
    workplace_write("open", "k 2\n");
    workplace_postmap("hash", "open");
    pid_t pid = fork();
    if (pid == 0) {
        /* As a daemon does, which makes /proc/self root's. */
        char *value = NULL;
        if (prctl(PR_SET_DUMPABLE, 0) != 0 || setgid(NOBODY) != 0 || setuid(NOBODY) != 0)
            _exit(2);
        bool found = tables_find(tables, "k", &value, NULL) == TABLE_FOUND;
        _exit(found && strcmp(value, "2") == 0 ? 0 : 1);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
    tables_close(tables);
}

static void a_reload_goes_on_with_a_secret_it_may_no_longer_read(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    struct error error;
    write_secret("kept", "k user@x:p\n");
    const char *value = table_of("texthash", "kept");
    struct tables *old = open_value(value, TABLE_USER_NAMES, &error);
    assert_non_null(old);
    workplace_log_start();
    as_nobody();
    struct tables *new = tables_reopen(old, "post365_test_maps", value, workplace_directory(),
                                       TABLE_USER_NAMES, &error);
    as_root();
    assert_string_equal(workplace_log_end(), "");
    assert_non_null(new);
    tables_close(new);
    write_secret("kept", "k changed@x:p\n");
    workplace_log_start();
    as_nobody();
    new = tables_reopen(old, "post365_test_maps", value, workplace_directory(), TABLE_USER_NAMES,
                        &error);
    struct tables *values =
        tables_reopen(old, "post365_test_maps", value, workplace_directory(), TABLE_VALUES, &error);
    as_root();
    assert_contains(workplace_log_end(), "read earlier stay in use");
    assert_non_null(new);
    assert_null(values);
    tables_close(old);
    workplace_log_start();
    as_nobody();
    expect(new, "k", "user@x");
    as_root();
    workplace_log_end();
    tables_close(new);
}

static void tables_are_checked_as_the_user_who_will_ask(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    struct error error;
    write_secret("patterns", "/a/ 1\n");
    struct tables *tables = must_open(table_of("regexp", "patterns"));
    assert_true(tables_check(tables, &error));
    /* The check runs postmap, which takes the real user's identity; so does a daemon's. */
    pid_t pid = fork();
    if (pid == 0) {
        if (setgid(NOBODY) != 0 || setuid(NOBODY) != 0)
            _exit(2);
        bool refused = !tables_check(tables, &error);
        _exit(refused && strstr(error.text, "Permission denied") != NULL ? 0 : 1);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
    tables_close(tables);
}

static void of_passwords_only_the_user_names_are_kept(void **state)
{
    (void)state;
    workplace_write("passwords", "a user@x:pass:word\nb user only\nc :p\n");
    workplace_write("passwords.re", "/^a$/ user@x:pass\n/^b$/ useronly\n");
    workplace_postmap("hash", "passwords");
    char *values[] = {memory_copy(table_of("texthash", "passwords")),
                      memory_copy(table_of("hash", "passwords")),
                      memory_copy(table_of("regexp", "passwords.re")),
                      memory_copy("inline:{a=user@x:pass, {b=user only}}")};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        struct error error;
        struct tables *tables = open_value(values[i], TABLE_USER_NAMES, &error);
        assert_non_null(tables);
        expect(tables, "a", "user@x");
        expect_failure(tables, "b", "nothing usable for key \"b\"; write user:password");
        tables_close(tables);
        free(values[i]);
    }
}

static void a_password_in_main_cf_is_in_no_message(void **state)
{
    (void)state;
    struct error error;
    static const char *const values[] = {"inline:{k=user:secret",     "static:{user:secret",
                                         "inline:{k=user:secret, x}", "proxy:inline:k=secret",
                                         "inlin:{k=user:secret}",     "{ k=user:secret }"};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        assert_null(open_value(values[i], TABLE_USER_NAMES, &error));
        assert_null(strstr(error.text, "secret"));
        assert_null(open_value(values[i], TABLE_PASSWORDS, &error));
        assert_null(strstr(error.text, "secret"));
    }
}

static void note_key(void *context, const char *key)
{
    char *list = context;
    strcat(strcat(list, key), " ");
}

static void note_secret(void *context, const char *key, const struct secret *secret)
{
    note_key(context, key);
    note_key(context, secret_reveal(secret));
}

static void tables_that_can_be_enumerated_are(void **state)
{
    (void)state;
    workplace_write("listed", "K1@x u:p\n");
    workplace_postmap("hash", "listed");
    char *value = memory_format("%s, static:{s:t}, inline:{K2=v:q}, regexp:/dev/null, %s",
                                table_of("hash", "listed"), table_of("texthash", "listed"));
    struct error error;
    char keys[256] = "", secrets[256] = "";
    struct tables *tables = open_value(value, TABLE_VALUES, &error);
    tables_each_key(tables, note_key, keys);
    assert_string_equal(keys, "k1@x k2 k1@x ");
    tables_close(tables);
    tables = open_value(value, TABLE_PASSWORDS, &error);
    tables_each_secret(tables, note_secret, secrets);
    assert_string_equal(secrets, "k1@x u:p k2 v:q k1@x u:p ");
    tables_close(tables);
    free(value);
}

static void expect_secret(struct tables *tables, const char *key, const char *want)
{
    struct error error = {.text = ""};
    struct secret *got = NULL;
    assert_int_equal(tables_find_secret(tables, key, &got, &error), TABLE_FOUND);
    assert_string_equal(secret_reveal(got), want);
    secret_free(got);
}

static void passwords_are_kept_whole_and_as_secrets(void **state)
{
    (void)state;
    workplace_write("whole", "a user@x:pass:word \"x\"\nb user only\nc :p\n");
    workplace_write("whole.re", "/^a$/ user@x:pass:word \"x\"\n/^b$/ useronly\n/^c$/ :p\n");
    workplace_postmap("hash", "whole");
    char *values[] = {memory_copy(table_of("texthash", "whole")),
                      memory_copy(table_of("hash", "whole")),
                      memory_copy(table_of("regexp", "whole.re")),
                      memory_copy("inline:{{a=user@x:pass:word \"x\"}, {b=user only}, c=:p}")};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        struct error error;
        struct secret *got = NULL;
        struct tables *tables = open_value(values[i], TABLE_PASSWORDS, &error);
        assert_non_null(tables);
        for (int again = 0; again < 2; again++) {
            expect_secret(tables, "A", "user@x:pass:word \"x\"");
            expect_secret(tables, "c", ":p");
            assert_int_equal(tables_find_secret(tables, "d", &got, &error), TABLE_NONE);
            assert_null(got);
        }
        assert_int_equal(tables_find_secret(tables, "b", &got, &error), TABLE_FAILED);
        assert_null(got);
        assert_contains(error.text, "nothing usable for key \"b\"; write user:password");
        assert_null(strstr(error.text, "only"));
        tables_close(tables);
        free(values[i]);
    }
}

#ifdef MEMORY_CAN_BE_SEARCHED
/* Passwords are made of their disguise, so that this program holds none. */
static void write_disguised(const unsigned char *disguised, size_t length)
{
    pid_t pid = fork();
    if (pid == 0) {
        char line[256] = "k user@contoso.com:";
        memory_reveal(disguised, length, line + strlen(line));
        strcat(line, "\n");
        struct buffer text = {0};
        buffer_append_string(&text, line);
        for (int i = 0; i < 500; i++)
            buffer_format(&text, "filler%d %s", i, line + 2);
        workplace_write("vault", text.data);
        workplace_postmap("hash", "vault");
        workplace_write("vault2", text.data);
        workplace_postmap("btree", "vault2");
        memmove(line + 4, line + 1, strlen(line + 1) + 1);
        memcpy(line, "/k/ ", 4);
        workplace_write("vault.re", line);
        _exit(0);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
}

static void no_password_stays_in_memory(void **state)
{
    (void)state;
    unsigned char disguised[24];
    memory_make_disguise(disguised, sizeof(disguised), 0);
    write_disguised(disguised, sizeof(disguised));
    char *value =
        memory_format("%s %s %s %s", table_of("hash", "vault"), table_of("btree", "vault2"),
                      table_of("texthash", "vault"), table_of("regexp", "vault.re"));
    struct error error;
    struct tables *tables = open_value(value, TABLE_USER_NAMES, &error);
    free(value);
    assert_non_null(tables);
    expect(tables, "k", "user@contoso.com");
    expect(tables, "-k", "user@contoso.com");
    assert_int_equal(memory_count(disguised, sizeof(disguised)), 0);
    /* The search itself can find: here it is. */
    char *copy = memory_zero(1, sizeof(disguised) + 1);
    memory_reveal(disguised, sizeof(disguised), copy);
    assert_true(memory_count(disguised, sizeof(disguised)) > 0);
    explicit_bzero(copy, sizeof(disguised));
    free(copy);
    tables_close(tables);
}
#endif

/* --- threads ------------------------------------------------------------------------------------
 */

struct race {
    struct tables *tables;
    struct domains *local;
    atomic_bool stop;
    atomic_int wrong;
};

static void *look_up_until_stopped(void *argument)
{
    struct race *race = argument;
    while (!atomic_load(&race->stop)) {
        char *value = NULL;
        struct error error;
        enum table_answer answer = tables_find_address(race->tables, "User+ext@Example.com", "+",
                                                       race->local, &value, &error);
        if (answer != TABLE_FOUND || strncmp(value, "account", 7) != 0)
            atomic_fetch_add(&race->wrong, 1);
        free(value);
        value = NULL;
        if (tables_find(race->tables, "pattern", &value, &error) != TABLE_FOUND)
            atomic_fetch_add(&race->wrong, 1);
        free(value);
    }
    return NULL;
}

static void many_threads_may_look_up_while_tables_change(void **state)
{
    (void)state;
    workplace_write("shared", "user@example.com account0\n");
    workplace_postmap("hash", "shared");
    workplace_write("shared.text", "other@example.com account\n");
    workplace_write("shared.re", "/^pattern$/ 1\n");
    char *value = memory_format("%s %s %s", table_of("texthash", "shared.text"),
                                table_of("hash", "shared"), table_of("regexp", "shared.re"));
    struct race race = {.tables = must_open(value), .local = domains_new("")};
    free(value);
    pthread_t threads[12];
    workplace_log_start();
    for (size_t i = 0; i < 12; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, look_up_until_stopped, &race), 0);
    char line[64];
    for (int i = 1; i < 40; i++) {
        snprintf(line, sizeof(line), "user@example.com account%d\n", i);
        workplace_replace("shared", line);
        workplace_postmap("hash", "shared");
        workplace_replace("shared.text", "other@example.com account\n");
        if (i % 10 == 0)
            workplace_replace("shared.re", "/^pattern$/ 2\n");
    }
    atomic_store(&race.stop, true);
    for (size_t i = 0; i < 12; i++)
        pthread_join(threads[i], NULL);
    workplace_log_end();
    assert_int_equal(atomic_load(&race.wrong), 0);
    expect(race.tables, "user@example.com", "account39");
    tables_close(race.tables);
    domains_free(race.local);
}

struct question {
    struct tables *tables;
    pthread_barrier_t *start;
};

static void *ask_once(void *argument)
{
    const struct question *question = argument;
    char *value = NULL;
    struct error error;
    pthread_barrier_wait(question->start);
    enum table_answer answer = tables_find(question->tables, "popular", &value, &error);
    free(value);
    return answer == TABLE_FOUND ? argument : NULL;
}

/* More questions than processes at a time: those that wait are all to be woken by the first
 * answers. */
static void whoever_waits_for_the_same_answer_gets_it(void **state)
{
    (void)state;
    pthread_t threads[40];
    pthread_barrier_t start;
    struct timespec limit;
    workplace_write("popular.re", "/^popular$/ 1\n");
    struct question question = {must_open(table_of("regexp", "popular.re")), &start};
    assert_int_equal(pthread_barrier_init(&start, NULL, 40), 0);
    for (size_t i = 0; i < 40; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_once, &question), 0);
    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += 8; /* less than a question waits for its turn */
    for (size_t i = 0; i < 40; i++) {
        void *answered = NULL;
        assert_int_equal(pthread_timedjoin_np(threads[i], &answered, &limit), 0);
        assert_ptr_equal(answered, &question);
    }
    pthread_barrier_destroy(&start);
    tables_close(question.tables);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hash_btree_and_texthash_tables_are_read),
        cmocka_unit_test(keys_are_folded_as_postmap_folds_them),
        cmocka_unit_test(a_large_database_is_read_whole),
        cmocka_unit_test(an_entry_that_is_too_long_is_passed_over),
        cmocka_unit_test(inline_and_static_tables_need_no_file),
        cmocka_unit_test(inline_answers_are_those_of_postfix),
        cmocka_unit_test(other_types_are_asked_through_postmap),
        cmocka_unit_test(the_first_table_that_knows_the_key_answers),
        cmocka_unit_test(addresses_are_looked_up_in_postfix_order),
        cmocka_unit_test(patterns_see_the_whole_address_only),
        cmocka_unit_test(an_address_that_is_too_long_is_in_no_table),
        cmocka_unit_test(what_cannot_be_opened_says_why_and_what_to_do),
        cmocka_unit_test(bad_lines_are_named_and_passed_over),
        cmocka_unit_test(a_byte_order_mark_is_told),
        cmocka_unit_test(a_flood_of_bad_lines_is_cut_short),
        cmocka_unit_test(a_nul_byte_does_not_hide_the_rest),
        cmocka_unit_test(a_database_older_than_its_source_is_reported),
        cmocka_unit_test(an_empty_value_is_a_failure),
        cmocka_unit_test(what_postmap_cannot_look_up_is_a_failure),
        cmocka_unit_test(warnings_of_postmap_do_not_change_an_answer),
        cmocka_unit_test(a_changed_text_is_noticed),
        cmocka_unit_test(changes_that_follow_at_once_are_noticed),
        cmocka_unit_test(a_file_is_read_when_it_has_been_left_alone),
        cmocka_unit_test(a_version_tells_whether_anything_changed),
        cmocka_unit_test(a_changed_database_is_noticed),
        cmocka_unit_test(a_changed_file_makes_cached_answers_void),
        cmocka_unit_test(a_missing_file_is_reported_once_and_the_old_contents_stay),
        cmocka_unit_test(a_database_that_breaks_is_reported_once_and_the_old_contents_stay),
        cmocka_unit_test(a_locked_database_is_not_read),
        cmocka_unit_test(while_a_database_is_locked_the_old_contents_answer_at_once),
        cmocka_unit_test(a_file_that_root_alone_may_read_says_who_must_read_it),
        cmocka_unit_test(a_secret_that_changes_after_root_was_dropped_is_reported_once),
        cmocka_unit_test(a_database_is_read_again_when_root_was_dropped_for_good),
        cmocka_unit_test(a_reload_goes_on_with_a_secret_it_may_no_longer_read),
        cmocka_unit_test(tables_are_checked_as_the_user_who_will_ask),
        cmocka_unit_test(of_passwords_only_the_user_names_are_kept),
        cmocka_unit_test(a_password_in_main_cf_is_in_no_message),
        cmocka_unit_test(tables_that_can_be_enumerated_are),
        cmocka_unit_test(passwords_are_kept_whole_and_as_secrets),
#ifdef MEMORY_CAN_BE_SEARCHED
        cmocka_unit_test(no_password_stays_in_memory),
#endif
        cmocka_unit_test(many_threads_may_look_up_while_tables_change),
        cmocka_unit_test(whoever_waits_for_the_same_answer_gets_it),
    };
    return cmocka_run_group_tests(tests, workplace_make, workplace_remove);
}
