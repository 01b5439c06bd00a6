"""post365 doctor on a relay that runs: what it says when all is well, when an account may not log in, and of a message
that it sends."""

import os
import pwd
import re
import shutil
import signal
import subprocess
import threading
import time

import pytest
from doctoring import examine, forget, read, run, stamp

from harness import journal, processes, workplace
from harness.command import PROGRAM
from harness.office365 import Office365
from harness.relay import PASSWORD, UPN, Relay

OTHERS = [f"account{number}@example.com" for number in range(1, 26)]
_spare = iter(OTHERS)
TOKEN = "eyJ0eXAiOiJKV1QifQ.token.of-a-test"


@pytest.fixture(scope="module")
def relay(module_place):
    everybody = [UPN, *OTHERS]
    office365 = module_place.add(Office365(
        module_place.directory / "office365", mailboxes={upn: {"password": PASSWORD, "tokens": [TOKEN]} for upn in everybody},
        unknown_recipients={"unknown-user": ["nobody@example.net"]})).start()
    passwords = {f"[localhost]:{office365.port}": f"{UPN}:{PASSWORD}", **{upn: f"{upn}:{PASSWORD}" for upn in OTHERS}}
    made = Relay(module_place.directory / "relay", office365, post365={"post365_upn": UPN}, transport=everybody,
                 passwords=passwords, parameters={"minimal_backoff_time": "3s", "queue_run_delay": "3s",
                                                     "authorized_submit_users": "root",
                                                     "smtpd_sender_login_maps": f"inline:{{ {{ {UPN} = joe }} }}"})
    yield module_place.add(made).start()
    forget(made, *everybody)


@pytest.fixture
def account():
    """One that no other test has used."""
    return next(_spare)


@pytest.fixture
def closed(relay):
    """Changes the stand-in's settings until the test is over."""
    changed = []

    def change(**settings):
        changed.extend(settings)
        relay.office365.set(**settings)
    yield change
    relay.office365.set(**dict.fromkeys(changed, False))


def logins(relay, upn):
    """Counts how often somebody tries to log in as this account from now on."""
    def count():
        return len([entry for entry in relay.office365.journal()
                    if entry["event"] in ("auth", "auth-refused") and entry["login"]["username"] == upn])
    before = count()
    return lambda: count() - before


def command(relay, *words, check=True):
    """Another subcommand. What it prints."""
    return subprocess.run([workplace.BUILD / "post365", "-c", relay.postfix.config_directory, *words], text=True,
                          capture_output=True, timeout=30, check=check).stdout


# --- all is well ---

def test_all_fine(relay):
    counts = [logins(relay, upn) for upn in [UPN, *OTHERS]]
    found = read(relay)
    assert found.status == 0, found.text
    words = {line[2:13].strip() for line in found.text.splitlines() if re.match("  [a-z]", line)}
    assert words == {"ok", "note"}  # the latter of what will be at the end of the year
    assert found.errors == "" and max(map(len, found.text.splitlines())) <= 100
    assert re.search(r"^\d+ ok, 0 warnings, 0 wrong, 0 not tried, 1 note$", found.text, re.M)
    for text in ("AUTH LOGIN of relay@example.com: 235 2.7.0 Authentication successful",
                 "MAIL FROM:<relay@example.com>, then RSET: 250 2.1.0 Sender OK", "TLSv1.3", "milter, as user postfix: answers",
                 "gate 3, SMTP AUTH of the mailbox: open", "relay@example.com in sender_dependent_default_transport_maps"):
        assert text in re.sub(r"\n +", " ", found.text), text
    assert "post365 setup shows" not in found.text
    assert [count() for count in counts] == [1] * (1 + len(OTHERS))
    assert relay.accepted() == [] and relay.postfix.queue() == []
    forget(relay, UPN, *OTHERS)


def test_all_fine_for_programs(relay, account):
    found = examine(relay, account)
    assert found.status == 0 and found.not_ok() == []
    assert {"check", "verdict", "account", "tried", "seen", "meaning", "remedy", "commands"} == set(found.findings[0])
    assert found["auth"]["account"] == account and found["mechanisms"]["seen"] == "LOGIN, XOAUTH2"
    assert found["gate-1"]["seen"].startswith("open")


def test_an_account_with_a_token(relay, account):
    token = relay.postfix.config_directory / "token"
    token.write_text(TOKEN + "\n")
    token.chmod(0o600)
    shutil.chown(token, workplace.USER)
    maps = f"post365_token_maps=inline:{{ {{ {account} = {token} }} }}"
    found = examine(relay, account, options=["-o", maps])
    assert found["auth"]["tried"] == f"AUTH XOAUTH2 of {account}" and found.verdict("auth") == "ok"
    assert found["gate-1"]["seen"] == "does not matter to a token"
    assert TOKEN not in found.text


# --- who may not log in ---

GATES = [
    ({"security_defaults": True}, {}, "security-defaults", 1, "Manage security defaults: Disabled"),
    ({"tenant_switch": True}, {}, "tenant-switch", 2, "`Set-TransportConfig -SmtpClientAuthenticationDisabled $false`"),
    ({}, {"smtp_auth": False}, "mailbox-switch", 3, "`Set-CASMailbox -Identity {upn} -SmtpClientAuthenticationDisabled $false`"),
    ({}, {"password": "another"}, "credentials-refused", None, "`post365 resume {upn}`"),
    ({"basic_disabled": True}, {}, "basic-auth-disabled", None, "`Get-User -Identity {upn} | Format-List AuthenticationPolicy`"),
    ({"basic_retired": True}, {}, "basic-auth-retired", None, "with OAuth2"),
    ({}, {"state": "mailbox-disabled"}, "mailbox-disabled", None, "give it a licence"),
]


@pytest.mark.parametrize("settings, mailbox, cause, gate, remedy", GATES, ids=[row[2] for row in GATES])
def test_who_may_not_log_in(relay, account, closed, settings, mailbox, cause, gate, remedy):
    relay.office365.set_mailbox(account, **mailbox)
    closed(**settings)
    count = logins(relay, account)
    found = examine(relay, account)
    assert found.status == 1
    refused = found["auth"]
    assert refused["verdict"] == "wrong" and f"({cause})" in refused["seen"]
    reply = [entry["reply"] for entry in relay.office365.journal("auth-refused")
             if entry["login"]["username"] == account][-1]
    assert refused["seen"].split(" [")[0].split(" (")[0] in reply.replace("\n", " ")  # Microsoft's own words
    assert remedy.format(upn=account) in refused["remedy"] and "<UPN>" not in found.text
    for number in (1, 2, 3):
        assert found.verdict(f"gate-{number}") == ("wrong" if number == gate else "not tried")
    assert found.all("sender") == []  # nothing is asked of somebody who refused
    assert count() == 1
    text = read(relay, "--force", account)
    assert text.status == 1 and remedy.format(upn=account) in re.sub(r"\n +", " ", text.text)


def test_a_paused_account_is_said_and_not_resumed(relay, account):
    command(relay, "pause", account, "holiday \033[31m")
    found = examine(relay, account)
    assert found.status == 1 and set(found.not_ok()) == {"pause", "resume"}
    assert "until somebody resumes it: holiday" in found["pause"]["seen"]
    assert f"`post365 resume {account}`" in found["resume"]["remedy"]
    # The transport asks the table whenever it logs in, through its helper too.
    assert "restart" not in found["resume"]["remedy"]
    assert "is resumed" in command(relay, "resume", account)


def test_an_account_without_credentials(relay):
    count = logins(relay, "nobody@example.com")
    found = examine(relay, "nobody@example.com")
    assert found.verdict("credentials") == "wrong" and "nobody@example.com nobody@example.com:password" in found["credentials"]["seen"]
    assert "journalctl -u post365-transport" in found["account-socket"]["remedy"]
    assert found.all("auth") == [] and count() == 0


# --- not again and again ---

def test_one_login_a_minute(relay, account):
    count = logins(relay, account)
    assert examine(relay, account).verdict("auth") == "ok" and count() == 1
    again = examine(relay, account)
    assert again.status == 1 and again.verdict("auth") == "not tried" and "seconds ago" in again["auth"]["seen"]
    assert "--force" in again["auth"]["seen"] and again.verdict("certificate") == "ok"
    assert count() == 1
    assert examine(relay, "--force", account).verdict("auth") == "ok" and count() == 2
    path = stamp(relay, account)
    status = os.stat(path)
    assert (status.st_uid, status.st_mode & 0o7777, os.stat(os.path.dirname(path)).st_mode & 0o7777) == (0, 0o600, 0o700)
    os.utime(path, (time.time() - 61,) * 2)
    assert examine(relay, account).verdict("auth") == "ok"
    os.utime(path, (time.time() + 3600,) * 2)  # the clock was set back
    assert examine(relay, account).verdict("auth") == "ok" and count() == 4


def test_a_stamp_that_cannot_be_kept_blocks_nothing(relay, account):
    elsewhere = relay.postfix.directory / "elsewhere"
    assert examine(relay, account).verdict("auth") == "ok"
    path = stamp(relay, account)
    os.unlink(path)
    os.symlink(elsewhere, path)
    found = examine(relay, account)
    assert found.verdict("auth") == "ok" and found.verdict("stamp") == "warning" and "symbolic links" in found["stamp"]["seen"]
    assert not elsewhere.exists()


# --- daemons ---

def test_a_daemon_that_is_down_or_does_not_answer(relay, account):
    relay.policyd.stop()
    relay.milter.signal(signal.SIGSTOP)
    try:
        found = examine(relay, account)
    finally:
        relay.milter.signal(signal.SIGCONT)
        before = len(relay.transport.log())
        relay.policyd.start()
    assert processes.wait_until(lambda: "the ledger answers" in relay.transport.log()[before:], 20)
    assert found["policy-socket"]["verdict"] == found["ledger"]["verdict"] == found["milter-socket"]["verdict"] == "wrong"
    assert "systemctl status post365-policyd" in found["policy-socket"]["remedy"]
    assert "no answer within" in found["milter-socket"]["seen"]
    assert found.verdict("transport-socket") == "ok" and found.verdict("auth") == "ok"


def test_a_quota_that_makes_no_sense(relay, account):
    found = examine(relay, account, options=["-o", f"post365_quota_maps=inline:{{ {{ {account} = messages=junk }} }}"])
    assert found.verdict("quota") == "wrong" and "junk" in found["quota"]["seen"]


# --- --send-to ---

def test_a_message_is_followed_to_its_delivery(relay, account):
    found = examine(relay, "--send-to", "a@dest.example", account)
    assert found.status == 0, found.text
    message_id = re.search("<.*>", found["send"]["seen"])[0]
    arrival = relay.arrival(message_id)
    assert arrival.sender == account and list(arrival.recipients) == ["a@dest.example"]
    assert found["queue"]["seen"].startswith("queue id ") and found["delivery"]["seen"].startswith("sent: 250 2.0.0")
    assert "OUTLOOK.COM" in found["delivery"]["seen"]


def test_a_message_of_a_paused_account_is_deferred(relay, account):
    command(relay, "pause", account, "quota of the day")
    try:
        found = examine(relay, "--send-to", "a@dest.example", account)
        assert found.status == 1
        assert found["delivery"]["seen"].startswith("deferred: ") and "quota of the day" in found["delivery"]["seen"]
        assert f"`post365 resume {account}`" in found["delivery"]["remedy"]
    finally:
        command(relay, "resume", account)
    relay.postfix.flush()
    assert relay.postfix.wait_empty(30) == []


def test_the_socket_of_an_account_in_trouble_answers(relay, account):
    """The transport turns Postfix away with a 421 and closes: that is an answer, too."""
    relay.office365.set_mailbox(account, smtp_auth=False)
    found = examine(relay, "--force", "--send-to", "a@dest.example", account)
    assert found["delivery"]["seen"].startswith("deferred: ")
    found = examine(relay, "--force", account)
    assert found.verdict("account-socket") == "ok" and "421 4.7.1" in found["account-socket"]["seen"], found.text
    assert "mailbox-switch: 435 4.7.139 host localhost said: 535 5.7.139" in found["pause"]["seen"]
    assert "PowerShell" not in found["pause"]["seen"]  # that is the remedy's
    relay.office365.set_mailbox(account, smtp_auth=None)
    command(relay, "resume", account)
    assert relay.postfix.wait_empty(30) == []


def test_a_message_that_bounces(relay, account):
    found = examine(relay, "--send-to", "nobody@example.net", account)
    assert found.status == 1 and found.verdict("delivery") == "wrong"
    assert found["delivery"]["seen"].startswith("bounced: ") and found["delivery"]["meaning"]


def test_without_a_log_the_queue_tells(relay, account):
    nowhere = ["-o", "maillog_file=/dev/null"]
    found = examine(relay, "--send-to", "a@dest.example", account, options=nowhere)
    assert found.verdict("delivery") == "not tried" and "left the queue" in found["delivery"]["seen"]
    relay.arrival(re.search("<.*>", found["send"]["seen"])[0])
    command(relay, "pause", account, "quota of the day")
    try:
        found = examine(relay, "--force", "--send-to", "b@dest.example", account, options=nowhere)
        assert found["queue"]["seen"].endswith("found in the queue")
        assert found["delivery"]["seen"].startswith("deferred: ") and found.verdict("delivery") == "wrong"
    finally:
        command(relay, "resume", account)
    relay.postfix.flush()
    assert relay.postfix.wait_empty(30) == []


@pytest.fixture
def by_journal(relay, tmp_path):
    """What runs the command on a machine that has a journal and no mail.log."""
    assert journal.is_possible(), "needs root and the package systemd-journal-remote: make deps"
    tmp_path.chmod(0o755)
    with journal.Journal(tmp_path, relay.postfix.log_path) as kept:
        yield kept.reader(PROGRAM)


def test_the_journal_tells(relay, account, by_journal):
    found = examine(relay, "--send-to", "a@dest.example", account, program=by_journal)
    assert found.status == 0 and found.verdict("delivery") == "ok", found.text
    assert found["queue"]["seen"].endswith("found in the journal")
    assert found["delivery"]["seen"].startswith("sent: 250 2.0.0 ")


def test_the_journal_tells_of_a_bounce(relay, account, by_journal):
    found = examine(relay, "--send-to", "nobody@example.net", account, program=by_journal)
    assert found.status == 1 and found.verdict("delivery") == "wrong"
    assert found["queue"]["seen"].endswith("found in the journal") and found["delivery"]["seen"].startswith("bounced: ")


def test_the_journal_tells_why_a_message_waits(relay, account, by_journal):
    command(relay, "pause", account, "quota of the day")
    try:
        found = examine(relay, "--force", "--send-to", "b@dest.example", account, program=by_journal)
        assert found["delivery"]["seen"].startswith("deferred: ") and "quota of the day" in found["delivery"]["seen"]
        done = subprocess.run([by_journal, "-c", relay.postfix.config_directory, "queue", "explain",
                               found["queue"]["seen"].split()[2].rstrip(",")], capture_output=True, text=True, timeout=60, check=False)
        assert re.search(r"\n1 attempt in the journal\n  .*status=deferred", done.stdout, re.S), done.stdout
    finally:
        command(relay, "resume", account)
    relay.postfix.flush()
    assert relay.postfix.wait_empty(30) == []


def test_with_neither_the_command_to_type_is_told(relay, account, tmp_path):
    reader = journal.without_log(tmp_path, PROGRAM, relay.postfix.log_path)
    found = examine(relay, "--send-to", "a@dest.example", account, program=reader)
    assert found.verdict("delivery") == "not tried" and "left the queue" in found["delivery"]["seen"]
    told = re.search(r"`journalctl --facility=mail --since='[-0-9]+ [0-9:]+' \| grep '(.*?)'`", found["delivery"]["seen"])
    assert told and any(told[1] in finding["seen"] for finding in found.all("send") + found.all("queue")), found.text
    assert "postconf -e maillog_file=/var/log/mail.log" in found["delivery"]["seen"]


def test_the_milters_own_line_is_shown(relay, account):
    """As where both log to mail.log: here each has a file of its own."""
    both = relay.postfix.directory / "both"
    both.touch()
    sources = [relay.postfix.log_path, relay.milter.log_path]
    places = {path: path.stat().st_size for path in sources}
    over = threading.Event()

    def new(path):
        with open(path, "rb") as file:
            file.seek(places[path])
            text = file.read()
        whole = text[:text.rfind(b"\n") + 1]
        places[path] += len(whole)
        return whole

    def rank(line):  # the milter's clock is not in its lines: its place is known
        return 1 if b"post365/milter" in line else 2 if b"qmgr" in line or b"lmtp" in line else 0

    def merge():
        while not over.wait(0.05):
            lines = sorted(b"".join(map(new, sources)).splitlines(keepends=True), key=rank)
            with open(both, "ab") as sink:
                for line in lines:
                    sink.write(line[:70])  # half a line is no line yet
                    sink.flush()
                    sink.write(line[70:])
    thread = threading.Thread(target=merge)
    thread.start()
    try:
        found = examine(relay, "--send-to", "a@dest.example", account, options=["-o", f"maillog_file={both}"])
    finally:
        over.set()
        thread.join()
    assert found.verdict("delivery") == "ok"
    assert found["log"]["tried"] == "post365/milter" and account in found["log"]["seen"]
    assert found["queue"]["seen"].split()[2].rstrip(",") in found["log"]["seen"]


# --- usage ---

def test_help(relay):
    done = run(relay, "--help")
    assert done.returncode == 0 and done.stdout.startswith("usage: post365 doctor [--json] [--force] [--send-to ADDRESS] [ACCOUNT]...\n")


@pytest.mark.parametrize("words", [("--junk",), ("--send-to",), ("--send-to", "nobody"), ("--send-to", "-x@y.z\n"), ("nobody",)])
def test_wrong_usage(relay, words):
    done = run(relay, *words)
    assert done.returncode == 2 and done.stderr != "" and done.stdout == ""


def test_a_table_that_makes_no_sense(relay):
    found = examine(relay, options=["-o", "post365_sender_upn_maps=inline:{ a@b.example = c@d.example }"])
    assert "inline:{ key=value, ... }" in found["default-account"]["seen"]
    assert found["default-account"]["remedy"] == "Do what the error says."


def test_settings_that_make_no_sense(relay):
    done = examine(relay, options=["-o", "post365_message_quota=junk"])
    assert done.status == 78 and "post365_message_quota = junk" in done["settings"]["seen"]


def test_who_is_not_root_is_told_what_he_cannot_know(relay):
    program = relay.postfix.directory / "post365"
    shutil.copy(workplace.BUILD / "post365", program)
    authorities = shutil.copy(relay.office365.ca_file, relay.postfix.config_directory)
    found = examine(relay, options=["-o", f"post365_tls_CAfile={authorities}"], program=program, user="games", group=pwd.getpwnam("games").pw_gid, extra_groups=[])
    assert found.status == 1 and found.errors == ""
    for check in ("credentials", "default-account", "milter-socket", "transport-socket", "ledger"):
        assert found.verdict(check) == "not tried", found[check]
    assert found.verdict("smtpd-milters") == found.verdict("certificate") == "ok"
    assert found.all("auth") == []


def test_lines_fit_a_narrow_terminal_and_are_coloured_there_alone(relay, account):
    from test_ctl import on_terminal
    written = on_terminal("-c", str(relay.postfix.config_directory), "doctor", account, columns=60,
                          environment={"LC_ALL": "C.UTF-8", "TERM": "xterm", "PATH": "/usr/sbin:/usr/bin:/bin"})
    assert "\033[32mok\033[0m" in written
    plain = re.sub("\033\\[[0-9]*m", "", written)
    words = max(len(word) for word in plain.split())
    assert max(len(line) for line in plain.splitlines()) <= max(60, 20 + words)
