/* test_socket.c - where a daemon may listen, and what is in its way */
#include "common/socket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char directory[64];

static struct settings settings_for_test(void)
{
    return (struct settings){.config_directory = "/etc/postfix",
                             .queue_directory = directory,
                             .mail_owner = "daemon",
                             .user = "daemon"};
}

static int make_directory(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/post365-test-XXXXXX");
    return mkdtemp(directory) == NULL ? -1 : chmod(directory, 0755);
}

static int remove_directory(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", directory);
    return system(command);
}

static void a_place_is_a_path_or_a_port(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        enum socket_family family;
        const char *path_or_host;
        const char *port;
    } cases[] = {
        {"unix:post365/x", SOCKET_UNIX, "/queue/post365/x", ""},
        {"unix:/run/x", SOCKET_UNIX, "/run/x", ""},
        {"inet:127.0.0.1:9999", SOCKET_INET, "127.0.0.1", "9999"},
        {"inet:localhost:25", SOCKET_INET, "localhost", "25"},
        {"inet:9999", SOCKET_INET, "127.0.0.1", "9999"},
        {"inet:[::1]:9999", SOCKET_INET, "::1", "9999"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct socket_place place;
        struct error error;
        if (!socket_parse(cases[i].value, "/queue", &place, &error))
            fail_msg("%s: got error %s", cases[i].value, error.text);
        assert_int_equal(place.family, cases[i].family);
        assert_string_equal(place.family == SOCKET_UNIX ? place.path : place.host,
                            cases[i].path_or_host);
        assert_string_equal(place.port, cases[i].port);
    }
}

static void what_is_no_place_is_refused(void **state)
{
    (void)state;
    char endless[200] = "unix:";
    memset(endless + 5, 'x', 150);
    const char *const cases[] = {"",           "unix:",       "unix:post365/", "inet:",
                                 "inet:host:", "inet:host:0", "inet:h:65536",  "inet:h:1x",
                                 "tcp:1:2",    "/tmp/socket", "inet:h:-1",     endless};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct socket_place place;
        struct error error = {{0}};
        if (socket_parse(cases[i], "/queue", &place, &error))
            fail_msg("\"%s\" was taken for a place", cases[i]);
        assert_true(error.text[0] != '\0');
    }
}

static void listening_makes_directory_and_socket_with_owner_and_mode(void **state)
{
    (void)state;
    const struct settings settings = settings_for_test();
    struct socket_place place;
    struct error error = {{0}};
    int descriptor =
        socket_listen("post365_policy_socket", "unix:own/policy", &settings, &place, &error);
    if (descriptor < 0)
        fail_msg("got error %s", error.text);
    struct stat status;
    assert_int_equal(stat(place.path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0660);
    if (geteuid() == 0)
        assert_int_equal(status.st_uid, getpwnam("daemon")->pw_uid);
    close(descriptor);
    /* Nobody listens there any more: a stale socket is no obstacle. */
    descriptor =
        socket_listen("post365_policy_socket", "unix:own/policy", &settings, &place, &error);
    assert_true(descriptor >= 0);
    close(descriptor);
    socket_remove(&place);
    assert_int_equal(stat(place.path, &status), -1);
}

static void expect_refusal(const char *value, bool only_check, const char *one, const char *other)
{
    const struct settings settings = settings_for_test();
    struct socket_place place;
    struct error error = {{0}};
    if (socket_prepare("post365_policy_socket", value, &settings, only_check, &place, &error))
        fail_msg("%s: want an error with \"%s\"", value, one);
    if (strstr(error.text, "/etc/postfix/main.cf: post365_policy_socket = ") == NULL ||
        strstr(error.text, one) == NULL || strstr(error.text, other) == NULL)
        fail_msg("got \"%s\", want \"%s\" and \"%s\" in it", error.text, one, other);
}

/* Whether a check in another process, of this name or another, is content with the place. */
static bool prepared_by_child(const char *value, const char *name)
{
    const struct settings settings = settings_for_test();
    struct socket_place place;
    struct error error;
    pid_t child = fork();
    if (child == 0) {
        if (name != NULL)
            prctl(PR_SET_NAME, name);
        _exit(socket_prepare("p", value, &settings, true, &place, &error) ? 0 : 1);
    }
    int ended = -1;
    assert_int_equal(waitpid(child, &ended, 0), child);
    return ended == 0;
}

static void a_socket_in_use_is_named_with_its_user(void **state)
{
    (void)state;
    const struct settings settings = settings_for_test();
    struct socket_place place;
    struct error error = {{0}};
    int descriptor =
        socket_listen("post365_policy_socket", "unix:own/busy", &settings, &place, &error);
    assert_true(descriptor >= 0);
    char process[64];
    snprintf(process, sizeof(process), "is in use by process %d", (int)getpid());
    expect_refusal("unix:own/busy", false, process, "stop it or choose another name");
    struct stat status;
    assert_int_equal(stat(place.path, &status), 0);
    /* A check by the same program is content; one by another is not. */
    assert_true(prepared_by_child("unix:own/busy", NULL));
    assert_false(prepared_by_child("unix:own/busy", "somebody-else"));
    close(descriptor);
    socket_remove(&place);
}

static void a_port_in_use_is_named(void **state)
{
    (void)state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof(address);
    int descriptor = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(descriptor, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(descriptor, 1), 0);
    assert_int_equal(getsockname(descriptor, (struct sockaddr *)&address, &length), 0);
    char value[64];
    snprintf(value, sizeof(value), "inet:127.0.0.1:%u", ntohs(address.sin_port));
    expect_refusal(value, false, "Address already in use", "choose another port");
    if (geteuid() == 0)
        assert_true(prepared_by_child(value, NULL));
    assert_false(prepared_by_child(value, "somebody-else"));
    close(descriptor);
}

static void a_directory_of_somebody_else_is_refused(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    char path[128];
    snprintf(path, sizeof(path), "%s/foreign", directory);
    assert_int_equal(mkdir(path, 0755), 0);
    assert_int_equal(chown(path, 12345, 12345), 0);
    expect_refusal("unix:foreign/x", false, "belongs to user id 12345", "chown daemon");
    expect_refusal("unix:foreign/x", true, "belongs to user id 12345", "chown daemon");
    assert_int_equal(chown(path, 0, 0), 0);
    expect_refusal("unix:foreign/x", true, "belongs to user id 0", "chown daemon");
    assert_int_equal(chown(path, getpwnam("daemon")->pw_uid, 0), 0);
    assert_int_equal(chmod(path, 0777), 0);
    expect_refusal("unix:foreign/x", true, "others may write", "chmod 755");
}

static void a_file_that_is_no_socket_is_not_removed(void **state)
{
    (void)state;
    char path[128];
    snprintf(path, sizeof(path), "%s/own", directory);
    mkdir(path, 0755);
    snprintf(path, sizeof(path), "%s/own/file", directory);
    int descriptor = open(path, O_CREAT | O_WRONLY, 0644);
    assert_true(descriptor >= 0);
    close(descriptor);
    expect_refusal("unix:own/file", false, "is no socket", "remove it");
    assert_int_equal(access(path, F_OK), 0);
}

static void a_check_makes_nothing(void **state)
{
    (void)state;
    const struct settings settings = settings_for_test();
    struct socket_place place;
    struct error error = {{0}};
    socket_prepare("p", "unix:new/x", &settings, true, &place, &error);
    char path[128];
    snprintf(path, sizeof(path), "%s/new", directory);
    assert_int_equal(access(path, F_OK), -1);
}

static void daemons_that_start_at_once_do_not_disturb_one_another(void **state)
{
    (void)state;
    const struct settings settings = settings_for_test();
    for (int round = 0; round < 20; round++) {
        char value[64];
        pid_t children[4];
        snprintf(value, sizeof(value), "unix:together%d/x", round);
        for (size_t i = 0; i < 4; i++) {
            struct socket_place place;
            struct error error;
            children[i] = fork();
            if (children[i] == 0)
                _exit(socket_prepare("p", value, &settings, false, &place, &error) ? 0 : 1);
        }
        for (size_t i = 0; i < 4; i++) {
            int ended = -1;
            assert_int_equal(waitpid(children[i], &ended, 0), children[i]);
            assert_int_equal(ended, 0);
        }
    }
    char command[128];
    snprintf(command, sizeof(command), "! ls %s | grep -q '\\.'", directory);
    assert_int_equal(system(command), 0);
}

static void a_directory_that_cannot_be_made_is_found_by_a_check_too(void **state)
{
    (void)state;
    expect_refusal("unix:no/such/x", false, "/no/such: No such file or directory", "install -d");
    expect_refusal("unix:no/such/x", true, "/no/such: No such file or directory", "install -d");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_place_is_a_path_or_a_port),
        cmocka_unit_test(what_is_no_place_is_refused),
        cmocka_unit_test(listening_makes_directory_and_socket_with_owner_and_mode),
        cmocka_unit_test(a_socket_in_use_is_named_with_its_user),
        cmocka_unit_test(a_port_in_use_is_named),
        cmocka_unit_test(a_directory_of_somebody_else_is_refused),
        cmocka_unit_test(a_file_that_is_no_socket_is_not_removed),
        cmocka_unit_test(a_check_makes_nothing),
        cmocka_unit_test(daemons_that_start_at_once_do_not_disturb_one_another),
        cmocka_unit_test(a_directory_that_cannot_be_made_is_found_by_a_check_too),
    };
    return cmocka_run_group_tests_name("socket", tests, make_directory, remove_directory);
}
