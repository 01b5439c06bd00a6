"""What an admin gets wrong: one line with file, name, value and remedy, exit status 78, and -t finds the same."""

import os
import pwd
import shutil
import socket
import subprocess

import pytest

from harness import workplace

PROGRAMS = {"post365-milter": "post365_milter_socket", "post365-policyd": "post365_policy_socket"}
EX_CONFIG = 78
PASSWORDS = "inline:{ { [smtp.office365.com]:587 = relay@example.com:geheim } }"


class Configuration:
    """A configuration directory that Postfix's tools can read; nothing of Postfix runs."""

    def __init__(self, directory):
        self.directory = directory
        self.etc = directory / "etc"
        self.queue = directory / "spool"
        for path in (self.etc, self.queue):
            path.mkdir()
        shutil.copy("/usr/share/postfix/master.cf.dist", self.etc / "master.cf")
        self.set()

    def set(self, *lines):
        main_cf = self.etc / "main.cf"
        main_cf.write_text("\n".join([
            "compatibility_level = 3.6", f"queue_directory = {self.queue}",
            f"data_directory = {self.directory}/data", "relayhost = [smtp.office365.com]:587",
            f"post365_user = {workplace.USER}", f"post365_ledger = {self.directory}/ledger",
            *(line for line in lines if line)]) + "\n")
        # Postfix reads a file that changed within the last two seconds again until it is quiet.
        os.utime(main_cf, (1, 1))

    def run(self, program, *options, user=None):
        """Runs it to its end: (exit status, stdout, stderr)."""
        options = [self.directory / program if user else workplace.BUILD / program, "-c", self.etc, *options]
        if user:
            shutil.copy(workplace.BUILD / program, self.directory)
            (self.directory / program).chmod(0o755)
        as_user = {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []} if user else {}
        done = subprocess.run(options, cwd="/", capture_output=True, text=True, timeout=30, check=False, **as_user)
        return done.returncode, done.stdout, done.stderr


@pytest.fixture
def configuration(place):
    return Configuration(place.directory)


def refusal(configuration, program, user=None):
    """The line with which the program refuses to start, the same with -t."""
    started = configuration.run(program, "-e", user=user)
    checked = configuration.run(program, "-t", user=user)
    for status, output, errors in (started, checked):
        assert status == EX_CONFIG, errors
        assert output == ""
        assert len(errors.splitlines()) == 1, errors
        assert "fatal: " in errors
    lines = [errors.partition("fatal: ")[2].strip() for _, _, errors in (started, checked)]
    assert lines[0] == lines[1]
    return lines[0]


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("setting, pieces", [
    ("post365_sender_upn_map = hash:/x",
     ["main.cf, line 7", "unknown parameter post365_sender_upn_map;", "did you mean post365_sender_upn_maps?"]),
    ("post365_message_quota = 30 per minute",
     ["main.cf: post365_message_quota = 30 per minute: ", "no quota", "such as 30/1m"]),
    ("post365_quota_guard = soon", ["main.cf: post365_quota_guard = soon: ", "no period", "such as 1d"]),
    ("post365_user = nobody-of-this-name", ["post365_user = nobody-of-this-name: ", "no such system account", "adduser"]),
    ("post365_user = root", ["post365_user = root: ", "must not be root"]),
])
def test_a_wrong_value_is_named(configuration, program, setting, pieces):
    configuration.set(setting)
    line = refusal(configuration, program)
    for piece in pieces:
        assert piece in line


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("parameter", ["post365_sender_upn_maps", "smtp_sasl_password_maps"])
def test_a_missing_table_is_named_with_what_makes_it(configuration, program, parameter):
    missing = configuration.directory / "missing"
    configuration.set(f"{parameter} = hash:{missing}")
    line = refusal(configuration, program)
    ours = "post365_password_maps" if parameter.startswith("smtp") else parameter
    assert f"{ours} = hash:{missing}: " in line
    assert "No such file or directory" in line
    assert f"postmap hash:{missing}" in line


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_table_type_that_postfix_does_not_know_is_named(configuration, program):
    configuration.set("post365_sender_upn_maps = hsah:/etc/x")
    line = refusal(configuration, program)
    assert "post365_sender_upn_maps = hsah:/etc/x: " in line
    assert "hsah" in line.partition(": ")[2]


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("login", ["relay@example.com:geheim", "relay:geheim", "texthash:geheim"])
def test_a_password_in_place_of_its_table_is_not_shown(configuration, program, login):
    configuration.set(f"smtp_sasl_password_maps = {login}")
    line = refusal(configuration, program)
    assert f"post365_password_maps = {login.partition(':')[0]}:...: " in line and "geheim" not in line


@pytest.mark.parametrize("program", PROGRAMS)
def test_an_unreadable_credential_file_is_named_with_who_may_read_it(configuration, program):
    passwords = configuration.directory / "sasl_passwd"
    passwords.write_text("[smtp.office365.com]:587 relay@example.com:geheim\n")
    passwords.chmod(0o600)
    configuration.set(f"smtp_sasl_password_maps = texthash:{passwords}")
    (configuration.queue / "post365").mkdir()
    os.chown(configuration.queue / "post365", pwd.getpwnam(workplace.USER).pw_uid, -1)
    line = refusal(configuration, program, user=workplace.USER)
    assert f"post365_password_maps = texthash:{passwords}: " in line
    assert "Permission denied" in line
    assert "root" in line
    assert "geheim" not in line


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_socket_in_use_is_named_with_its_user(configuration, program):
    directory = configuration.queue / "post365"
    directory.mkdir()
    os.chown(directory, pwd.getpwnam(workplace.USER).pw_uid, -1)
    configuration.set(f"{PROGRAMS[program]} = unix:post365/busy")
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(os.fspath(directory / "busy"))
        other.listen()
        line = refusal(configuration, program)
    assert f"main.cf: {PROGRAMS[program]} = unix:post365/busy: " in line
    assert f"{directory}/busy is in use by process {os.getpid()}" in line
    assert "stop it or choose another name" in line


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_port_in_use_is_named(configuration, program):
    with socket.create_server(("127.0.0.1", 0)) as other:
        place = f"inet:127.0.0.1:{other.getsockname()[1]}"
        configuration.set(f"{PROGRAMS[program]} = {place}")
        line = refusal(configuration, program)
    assert f"main.cf: {PROGRAMS[program]} = {place}: " in line
    assert "Address already in use" in line


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_socket_directory_of_somebody_else_is_named_with_the_remedy(configuration, program):
    directory = configuration.queue / "post365"
    directory.mkdir()
    os.chown(directory, pwd.getpwnam("postfix").pw_uid, -1)
    line = refusal(configuration, program)
    assert f"main.cf: {PROGRAMS[program]} = unix:post365/" in line
    assert f"chown {workplace.USER} {directory}" in line


@pytest.mark.parametrize("program", PROGRAMS)
def test_what_is_right_is_printed_and_nothing_is_made(configuration, program):
    configuration.set("post365_upn = relay@example.com")
    status, output, errors = configuration.run(program, "-t")
    assert (status, errors) == (0, "")
    assert "post365_upn = relay@example.com\n" in output
    assert not (configuration.queue / "post365").exists()
    assert not (configuration.directory / "ledger").exists()


@pytest.mark.parametrize("program", PROGRAMS)
def test_options_are_explained_and_checked(configuration, program):
    status, output, _ = configuration.run(program, "--help")
    assert status == 0 and output.startswith(f"Usage: {program} ")
    status, output, _ = configuration.run(program, "-V")
    assert status == 0 and output.startswith(f"{program} ")
    for wrong in (["-x"], ["surplus"], ["-o"]):
        status, _, errors = configuration.run(program, *wrong)
        assert status == 64
        assert f"{program} --help" in errors


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_check_names_the_default_account(configuration, program):
    configuration.set(f"smtp_sasl_password_maps = {PASSWORDS}")
    status, output, errors = configuration.run(program, "-t")
    assert (status, errors) == (0, "")
    assert "# mail that no table claims goes out with the account relay@example.com\n" in output


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_check_warns_that_there_is_no_default_account(configuration, program):
    configuration.set(f"smtp_sasl_password_maps = {PASSWORDS}", "relayhost = [smtp.office365.com]:25")
    status, output, errors = configuration.run(program, "-t")
    assert status == 0 and "post365_upn = \n" in output
    assert len(errors.splitlines()) == 1, errors
    assert "post365_password_maps a line for relayhost = [smtp.office365.com]:25" in errors
