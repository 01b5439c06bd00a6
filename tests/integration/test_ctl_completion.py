"""conf/post365.bash-completion in a real bash: what TAB offers."""

import re
import shutil
import subprocess

import pytest
from test_ctl import PROGRAM, UPN, reserve, run
from test_policyd import Policyd

from harness.fake_tokend import FakeTokend, subject
from harness.workplace import PROJECT

COMPLETION = PROJECT / "conf" / "post365.bash-completion"
BREAKS = " \t\n\"'@><=;|&(:"  # bash's own COMP_WORDBREAKS
COMPLETE = """
source "$1"; shift
COMP_LINE=$1 COMP_POINT=${#1}; shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_post365
[[ ${#COMPREPLY[@]} == 0 ]] || printf '%s\\n' "${COMPREPLY[@]}"
"""

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")


@pytest.fixture(scope="module")
def policyd(module_place):
    policyd = module_place.add(Policyd(module_place.directory / "policyd", post365_meter="delivery")).start()
    for account in (UPN, "joe@contoso.com", "o'neil@contoso.com"):
        reserve(policyd, account, 1)
    return policyd


def offered(line, program=PROGRAM, **options):
    """What bash would put in place of the last of its words, with `post365` as the program under test."""
    line = line.replace("post365", str(program), 1)
    words = [word for word in re.split(r"\s+|([@=:]+)", line) if word]
    if line[-1].isspace():
        words.append("")
    done = subprocess.run(["bash", "--norc", "-c", COMPLETE, "bash", COMPLETION, line, *words], capture_output=True, text=True,
                          timeout=20, check=False, env={"PATH": "/usr/sbin:/usr/bin:/bin"}, **options)
    assert done.stderr == "", done.stderr
    return done.stdout.splitlines()


def commands():
    """The subcommands, by the program's own help."""
    return re.findall(r"^  ([a-z][a-z0-9]*) +[A-Z]", run("--help").stdout, re.M)


def test_all_commands_of_the_help_are_offered():
    assert {"status", "history", "pause", "resume", "explain"} <= set(commands())
    assert offered("post365 ") == commands()
    assert offered("post365 st") == ["status"]
    assert offered("post365 -") == ["-c", "-o", "--help", "--version"]


@pytest.mark.parametrize("command", commands())
def test_all_options_of_a_command_are_offered(command):
    usage = run(command, "--help").stdout
    told = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", usage)) | {"--help"}
    assert set(offered(f"post365 {command} -")) == told
    for option in told:
        assert offered(f"post365 {command} {option}") == [option] or len(offered(f"post365 {command} {option}")) > 1


def test_each_option_that_is_offered_is_one(tmp_path):
    for command in commands():
        for option in set(offered(f"post365 {command} -")) - {"--help"}:
            assert "no such option" not in run("-c", str(tmp_path), command, option, "1h").stderr, (command, option)


def test_accounts(policyd):
    at = f"post365 -c {policyd.etc}"
    known = [UPN, "joe@contoso.com", r"o\'neil@contoso.com"]
    for command in ("status", "history", "pause", "resume", "history --minutes"):
        assert offered(f"{at} {command} ") == known, command
    assert offered(f"{at} status jo") == ["joe@contoso.com"]
    # What stands before the @ is another word of bash's.
    assert offered(f"{at} status {UPN} joe@") == ["contoso.com"]
    assert offered(f"{at} status joe@cont") == ["contoso.com"]
    assert offered(f"{at} queue --account jo") == ["joe@contoso.com"]
    assert offered(f"{at} queue --account=jo") == ["joe@contoso.com"]
    assert offered(f"{at} -o post365_upn=x status jo") == ["joe@contoso.com"]


def test_accounts_that_log_in(place, policyd):
    """Those that the token daemon knows of, and the ledger's."""
    tokend = place.add(FakeTokend(place.directory / "tokens"))
    tokend.subjects = [subject(), *(subject(grant="user", account=account) for account in ("new@contoso.com", "joe@contoso.com"))]
    policyd.configure(post365_oauth2_maps="static:/etc/user.cf", post365_oauth2_socket=f"unix:{tokend.path}")
    for command in ("login", "logout", "token"):
        assert offered(f"post365 -c {policyd.etc} {command} ") == ["new@contoso.com", "joe@contoso.com", UPN, r"o\'neil@contoso.com"]
    assert offered(f"post365 -c {policyd.etc} login n") == ["new@contoso.com"]
    policyd.configure(post365_oauth2_maps="")


def test_a_name_is_no_pattern_for_files(tmp_path):
    (tmp_path / "x@contoso.com").touch()
    program = tmp_path / "told"
    program.write_text("""#!/bin/sh\ncase $1 in status) echo '{"account": "*@contoso.com"}' ;; *) echo '  status  What' ;; esac\n""")
    program.chmod(0o755)
    assert offered("post365 status ", program, cwd=tmp_path) == [r"\*@contoso.com"]


def test_without_a_ledger_it_is_silent(tmp_path):
    assert offered(f"post365 -c {tmp_path} status ") == []


def test_causes_and_other_values():
    said = run("queue", "--cause", "junk").stderr
    causes = said.partition("there are: ")[2].split()
    assert len(causes) > 10 and offered("post365 queue --cause ") == causes
    assert offered("post365 queue --cause submission-q") == ["submission-quota"]
    assert offered("post365 queue --cause=submission-q") == ["submission-quota"]
    assert offered("post365 queue --queue h") == ["hold"]
    assert offered("post365 pause --for ") == ["30m", "1h", "2h", "1d"]
    assert offered("post365 queue fl") == ["flush"]
    if "queue" in commands():
        assert all(action in run("queue", "--help").stdout for action in offered("post365 queue "))
    assert offered("post365 explain ") == []
    assert offered("post365 oauth2 ") == ["certificate"]
    assert offered("post365 oauth2 certificate ") == []
    assert any(name.endswith("/etc") for name in offered("post365 oauth2 certificate --directory /et"))
    assert any(name.endswith("/etc") for name in offered("post365 -c /et"))


def test_it_loads_without_a_word():
    done = subprocess.run(["bash", "--norc", "-c", f"source {COMPLETION}; complete -p post365"], capture_output=True, text=True,
                          timeout=20, check=False)
    assert done.stdout == "complete -F _post365 post365\n" and done.stderr == ""
