"""post365-milter over its own socket, without Postfix: identity, protocol, load, hostile peers, reloads.

What a real Postfix makes of the edits is tested elsewhere; here they are applied as cleanup(8) does.
"""

import contextlib
import os
import pwd
import random
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

import pytest

from harness import milter_client, processes, programs, workplace
from harness.milter_client import strings

DEFAULT = "relay@contoso.com"
WANTED_ACTIONS = (milter_client.ADD_HEADERS | milter_client.CHANGE_HEADERS | milter_client.CHANGE_FROM
                  | milter_client.ADD_RECIPIENTS_WITH_PARAMETERS | milter_client.DELETE_RECIPIENTS)
NOT_WANTED = (milter_client.NO_CONNECT | milter_client.NO_HELO | milter_client.NO_DATA
              | milter_client.NO_END_OF_HEADERS | milter_client.NO_BODY | milter_client.NO_UNKNOWN)
CONNECTIONS = 2000


class Milter(processes.Program):
    """The program with a configuration directory of its own."""

    def __init__(self, directory, **parameters):
        self.directory = directory
        self.etc = directory / "etc"
        self.queue = directory / "spool"
        self.parameters = {
            "compatibility_level": "3.6", "queue_directory": self.queue, "data_directory": directory / "data",
            "mydestination": "relay.example", "relayhost": "[smtp.office365.com]:587",
            "post365_user": workplace.USER, "post365_upn": DEFAULT, "post365_ledger": directory / "ledger",
            **parameters}
        for path in (directory, self.etc, self.queue):
            path.mkdir(exist_ok=True)
        shutil.copy("/usr/share/postfix/master.cf.dist", self.etc / "master.cf")
        super().__init__("post365-milter", [workplace.BUILD / "post365-milter", "-c", self.etc, "-e"],
                         directory=directory)
        self.configure()

    def configure(self, **changes):
        self.parameters.update(changes)
        (self.etc / "main.cf").write_text("".join(f"{name} = {value}\n" for name, value in self.parameters.items()))
        # Postfix's programs wait for a moment where a file has just changed.
        os.utime(self.etc / "main.cf", (time.time() - 60,) * 2)

    def start(self):
        before = len(self.log())
        super().start()
        self.wait_ready(lambda: "started, version" in self.new_log(before))
        return self

    def stop(self, patience=30.0):
        status = super().stop(patience)
        assert "Sanitizer" not in self.log(), self.log()  # if it was built with one
        return status

    def endpoint(self, timeout=30.0):
        return programs.connect("unix:post365/milter", self.queue, timeout)

    def connect(self, **options):
        """A negotiated connection."""
        client = milter_client.Connection(self.endpoint())
        client.negotiate(**options)
        return client

    def ask(self, sender, headers=(), **options):
        """The Result of one message on a connection of its own."""
        with self.connect() as client:
            return client.message(sender, headers=headers, **options)

    def account(self, sender, **options):
        """The account that the message is sent as."""
        result = self.ask(sender, [("From", "somebody@elsewhere.example")], **options)
        assert result.verdict == "continue", result
        (value,) = result.values("From")
        return value.partition("<")[2].rstrip(">")

    def reload(self):
        before = len(self.log())
        self.signal(signal.SIGUSR1)
        assert processes.wait_until(lambda: "reload" in self.log()[before:], 30)
        return self.log()[before:]

    def new_log(self, before):
        """What it logged since its log was `before` bytes long."""
        return self.log()[before:]

    def memory(self):
        """Resident bytes."""
        with open(f"/proc/{self.pid}/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * resource.getpagesize()

    def holds(self, needle):
        """Whether the bytes are anywhere in its memory."""
        with open(f"/proc/{self.pid}/maps", encoding="ascii") as maps, open(f"/proc/{self.pid}/mem", "rb", 0) as memory:
            for line in maps:
                span, mode = line.split()[:2]
                start, end = (int(number, 16) for number in span.split("-"))
                if not mode.startswith("rw"):
                    continue
                with contextlib.suppress(OSError):
                    memory.seek(start)
                    if needle in memory.read(end - start):
                        return True
        return False

    def status(self):
        """{name: fields} of /proc/<pid>/status."""
        with open(f"/proc/{self.pid}/status", encoding="ascii") as lines:
            return {name: fields.split() for name, _, fields in (line.partition(":") for line in lines)}

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def works(self):
        return self.ask("<alice@example.com>", [("From", "alice@example.com")]).sender == f"<{DEFAULT}>"


def table(kind, path, entries):
    """Writes a lookup table and names it as main.cf does. The file appears whole, by rename."""
    if kind in ("inline", "static"):
        pairs = ", ".join(f"{{ {key} = {value} }}" for key, value in entries.items())
        return f"inline:{{ {pairs} }}" if kind == "inline" else f"static:{next(iter(entries.values()))}"
    pattern = "/^{}$/ {}\n" if kind in ("regexp", "pcre") else "{} {}\n"
    new = path.with_name(path.name + ".new")
    new.write_text("".join(pattern.format(key.replace(".", "\\.") if "/" in pattern else key, value)
                           for key, value in entries.items()))
    new.rename(path)
    if kind in ("hash", "btree"):
        subprocess.run(["postmap", "-c", path.parent / "etc", f"{kind}:{path}"], check=True)
    return f"{kind}:{path}"


@pytest.fixture(scope="module")
def milter(module_place):
    return module_place.add(Milter(module_place.directory / "shared")).start()


@pytest.fixture
def make(place):
    """Starts a milter with parameters of its own; a value that is a pair (kind, entries) is a table."""
    def start(**parameters):
        milter = place.add(Milter(place.directory))
        for name, value in parameters.items():
            if isinstance(value, tuple):
                parameters[name] = table(value[0], place.directory / name, value[1])
        milter.configure(**parameters)
        return milter.start()
    return start


# --- identity ---------------------------------------------------------------------------------

PASSWORDS = {"[smtp.office365.com]:587": "relay@contoso.com:secret-1", "own@contoso.com": "own@contoso.com:secret-2",
             "app@contoso.com": "app@contoso.com:secret-3", "printer": "printer@contoso.com:secret-4"}


def test_the_five_sources_answer_in_their_order(make):
    milter = make(post365_upn="", post365_password_maps=("texthash", PASSWORDS),
                  post365_login_upn_maps=("inline", {"alice": "login-map@contoso.com"}),
                  post365_sender_upn_maps=("hash", {"billing@corp.example": "sender-map@contoso.com"}))
    for sender, login, account, source in (
            ("<billing@corp.example>", "alice", "login-map@contoso.com", "login map"),
            ("<billing@corp.example>", "own@contoso.com", "sender-map@contoso.com", "sender map"),
            ("<app@contoso.com>", "own@contoso.com", "own@contoso.com", "login"),
            ("<app@contoso.com>", "printer", "printer@contoso.com", "login"),
            ("<app@contoso.com>", "nobody", "app@contoso.com", "sender"),
            ("<app@contoso.com>", None, "app@contoso.com", "sender"),
            ("<other@corp.example>", "nobody", "relay@contoso.com", "post365_upn"),
            ("<>", "alice", "login-map@contoso.com", "login map"),
            ("<>", None, "relay@contoso.com", "post365_upn")):
        before = len(milter.log())
        assert milter.account(sender, login=login) == account
        assert f", account={account} ({source}), " in milter.new_log(before)
    milter.configure(post365_upn="default@contoso.com")
    assert "reloaded" in milter.reload()
    assert milter.account("<other@corp.example>") == "default@contoso.com"
    assert "secret" not in milter.log()


def test_no_account_is_a_temporary_failure_that_says_what_to_set(make):
    milter = make(post365_upn="", relayhost="")
    before = len(milter.log())
    for sender, login in (("<alice@example.com>", "alice"), ("<" + "a" * 2000 + "@example.com>", "b" * 2000)):
        result = milter.ask(sender, login=login)
        assert (result.verdict, result.stage) == ("reply", "mail")
        assert result.reply.startswith("451 4.7.1 ") and "post365_upn" in result.reply
    lines = milter.new_log(before).splitlines()
    assert len(lines) == 2
    for line in lines:  # however long the sender is, the remedy is there
        assert "/main.cf set post365_upn, or give post365_password_maps a line for relayhost" in line


@pytest.mark.parametrize("kind", ["hash", "btree", "texthash", "inline", "static", "regexp"])
def test_every_kind_of_table_answers(make, kind):
    milter = make(post365_sender_upn_maps=(kind, {"app@example.com": "app@contoso.com"}))
    assert milter.account("<app@example.com>") == "app@contoso.com"
    assert milter.account("<APP@Example.COM>") == "app@contoso.com"
    assert milter.account("<other@example.com>") == ("app@contoso.com" if kind == "static" else DEFAULT)


def test_keys_are_tried_in_postfix_order(make):
    milter = make(recipient_delimiter="+", post365_sender_upn_maps=("hash", {
        "app+urgent@example.com": "urgent@contoso.com", "app@example.com": "app@contoso.com",
        "root": "root@contoso.com", "@example.com": "domain@contoso.com",
        "jörg@exämple.com": "joerg@contoso.com"}))
    for sender, account in (
            ("<app+urgent@example.com>", "urgent@contoso.com"), ("<App+Other@Example.com>", "app@contoso.com"),
            ("<\"app\"@example.com>", "app@contoso.com"), ("<x+y@example.com>", "domain@contoso.com"),
            ("<root@relay.example>", "root@contoso.com"), ("<root@elsewhere.example>", DEFAULT),
            ("<x@sub.example.com>", DEFAULT), ("<Jörg@EXÄMPLE.com>", "joerg@contoso.com")):
        assert milter.account(sender) == account, sender


@pytest.mark.parametrize("kind", ["hash", "btree", "texthash", "regexp"])
def test_a_changed_table_is_noticed_by_the_next_message(make, place, kind):
    milter = make(post365_sender_upn_maps=(kind, {"app@example.com": "old@contoso.com"}))
    with milter.connect() as client:
        for account in ("old@contoso.com", "new@contoso.com", "newer@contoso.com"):
            table(kind, place.directory / "post365_sender_upn_maps", {"app@example.com": account})
            assert client.message("<app@example.com>").sender == f"<{account}>"


def test_a_table_that_fails_is_a_temporary_failure_and_no_answer(make, place):
    milter = make(post365_sender_upn_maps=("regexp", {"app@example.com": "app@contoso.com"}))
    (place.directory / "post365_sender_upn_maps").unlink()
    before = len(milter.log())
    result = milter.ask("<app@example.com>")
    assert (result.verdict, result.stage) == ("reply", "mail")
    assert result.reply == "451 4.7.1 the sender's account cannot be looked up now"
    assert "No such file or directory" in milter.new_log(before)
    assert "post365_sender_upn_maps = regexp:" in milter.new_log(before)


def test_a_table_with_something_else_than_an_address_is_a_temporary_failure(make):
    milter = make(post365_sender_upn_maps=("inline", {"app@example.com": "app"}))
    before = len(milter.log())
    assert milter.ask("<app@example.com>").reply.startswith("451 4.7.1 ")
    assert '"app" for key "app@example.com" is no UPN' in milter.new_log(before)


def test_send_as_that_fails_after_the_start_is_a_temporary_failure(make, place):
    milter = make(post365_send_as_maps=("regexp", {DEFAULT: "@example.com"}))
    headers = [("From", "alice@example.com")]
    assert milter.ask("<alice@example.com>", headers).edits == []
    (place.directory / "post365_send_as_maps").unlink()
    result = milter.ask("<alice@example.com>", headers)
    assert (result.stage, result.reply[:9], result.edits) == ("end of message", "451 4.7.1", [])


# --- privileges and secrets -------------------------------------------------------------------

def test_it_runs_with_no_privilege_and_only_postfix_may_connect(milter):
    user = pwd.getpwnam(workplace.USER)
    status = milter.status()
    assert status["Uid"] == [str(user.pw_uid)] * 4
    assert status["Gid"] == [str(user.pw_gid)] * 4
    assert status["Groups"] == [str(user.pw_gid)]
    assert {status[name][0].strip("0") for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {""}
    endpoint = os.stat(milter.queue / "post365" / "milter")
    assert (endpoint.st_uid, endpoint.st_gid) == (user.pw_uid, pwd.getpwnam("postfix").pw_gid)
    assert endpoint.st_mode & 0o7777 == 0o660


@pytest.mark.skipif("sanitize" in str(workplace.BUILD), reason="sanitizers keep what was freed")
@pytest.mark.parametrize("kind", ["hash", "btree", "texthash"])
def test_no_password_stays_in_memory(make, place, kind):
    milter = make(post365_password_maps=(kind, PASSWORDS))
    path = place.directory / "post365_password_maps"
    for names in ("secret-", "changed-"):
        assert milter.account("<app@contoso.com>") == "app@contoso.com"
        assert milter.holds(b"app@contoso.com")
        assert not milter.holds(names.encode())
        table(kind, path, {key: value.replace("secret-", "changed-") for key, value in PASSWORDS.items()})
    assert "secret-" not in milter.log() and "changed-" not in milter.log()


# --- the message ------------------------------------------------------------------------------

@pytest.mark.parametrize("sender", ["<alice@example.com>", "alice@example.com", " <alice@example.com> ",
                                    "<jörg@exämple.com>", "<\"a b\"@example.com>", "<@a.example:alice@example.com>",
                                    "root", "<" + "a" * 1500 + "@example.com>"])
def test_every_form_of_sender_becomes_the_account(milter, sender):
    assert milter.ask(sender).sender == f"<{DEFAULT}>"


@pytest.mark.parametrize("sender", [f"<{DEFAULT}>", DEFAULT, "<Relay@CONTOSO.com>", "<>", ""])
def test_what_may_stay_stays(milter, sender):
    headers = [("From", f"Relay <{DEFAULT}>"), ("Sender", DEFAULT), ("Subject", "x")]
    assert milter.ask(sender, headers).edits == []


@pytest.mark.parametrize("sender", [f"<{DEFAULT}>", "<alice@example.com>", "root", "<>", ""])
def test_the_decision_goes_along_with_each_sender(milter, sender):
    client, mark, queue_id, account, seal = milter.ask(sender, [("From", DEFAULT)]).envid.split(";")
    assert (client, mark, queue_id, account) == ("", "365", "4Test", DEFAULT)
    assert len(seal) == 22


def test_the_clients_own_envid_stands_before_the_decision(milter):
    def given(*parameters):
        with milter.connect() as connection:
            return connection.message(strings("<alice@example.com>", *parameters).rstrip(b"\0").decode(),
                                      headers=[("From", DEFAULT)]).envid
    assert given("RET=HDRS", "ENVID=QQ+2B3+3D14").startswith("QQ+2B3+3D14;365;4Test;")
    sealed = given()
    assert given(f"ENVID={sealed}").startswith(f"{sealed};365;4Test;")  # it names no account by itself
    for odd in ("ENVID=", "ENVID=a+2", "ENVID=+C3+BC", "ENVID=a+0Ab", "RET=FULL"):
        assert given(odd) == sealed, odd


def test_where_submissions_are_metered_nobody_reads_the_decision(make, place):
    milter = make(post365_meter="submission")
    assert milter.ask(f"<{DEFAULT}>", [("From", DEFAULT)]).envid is None
    assert milter.ask("<alice@example.com>", [("From", DEFAULT)]).envid is None
    assert not (milter.directory / "ledger" / "handover.key").exists()


def test_the_key_is_made_once_and_nobody_else_may_read_it(milter):
    key = milter.directory / "ledger" / "handover.key"
    status, directory = key.stat(), key.parent.stat()
    user = pwd.getpwnam(workplace.USER)
    assert (status.st_uid, status.st_mode & 0o7777, status.st_size) == (user.pw_uid, 0o600, 32)
    assert (directory.st_uid, directory.st_mode & 0o7777) == (user.pw_uid, 0o700)
    before = milter.ask("<>", [("From", DEFAULT)]).envid
    milter.stop()
    milter.start()
    assert milter.ask("<>", [("From", DEFAULT)]).envid == before
    assert [path.name for path in key.parent.iterdir()] == ["handover.key"]
    key.unlink()
    assert milter.ask("<>", [("From", DEFAULT)]).envid == before  # it is known still


@pytest.mark.parametrize("spoil", ["open", "short", "directory", "link"])
def test_mail_goes_without_a_key(make, place, spoil):
    milter = make()
    milter.stop()
    key = milter.directory / "ledger" / "handover.key"
    octets = key.read_bytes()
    if spoil == "open":
        key.chmod(0o640)
    else:
        key.unlink()
    if spoil == "short":
        key.write_bytes(octets[:31])
        key.chmod(0o600)
        shutil.chown(key, workplace.USER)
    elif spoil == "directory":
        key.mkdir()
    elif spoil == "link":
        key.symlink_to("/dev/zero")
    before = len(milter.log())
    milter.start()
    for _ in range(3):
        result = milter.ask("<alice@example.com>", [("From", "alice@example.com")])
        assert (result.verdict, result.sender, result.envid) == ("continue", f"<{DEFAULT}>", None)
    assert milter.new_log(before).count("handover.key") == 1


def test_a_message_that_went_through_once_is_not_changed_again(milter):
    headers = [("From", "=?utf-8?q?J=C3=B6rg?= <joerg@example.com>, b@example.com"), ("from", "c@example.com"),
               ("Sender", "d@example.com"), ("Subject", "x")]
    once = milter.ask("<joerg@example.com>", headers)
    assert once.values("From") == [f"=?utf-8?q?J=C3=B6rg?= <{DEFAULT}>"]
    assert once.values("Sender") == []
    assert len(once.values("Reply-To")) == len(once.values("X-Post365-Original")) == 1
    twice = milter.ask(once.sender, once.headers)
    assert (twice.edits, twice.headers) == ([], once.headers)
    assert twice.sender is None


def test_settings_decide_what_is_rewritten(make):
    milter = make(post365_reply_to="no")
    headers = [("From", "Alice <alice@example.com>"), ("Sender", "alice@example.com")]
    result = milter.ask("<alice@example.com>", headers)
    assert result.headers == [("From", f"Alice <{DEFAULT}>"), ("X-Post365-Original", "Alice <alice@example.com>")]
    milter.configure(post365_rewrite_from="no")
    milter.reload()
    result = milter.ask("<alice@example.com>", headers)
    assert (result.sender, result.headers) == (f"<{DEFAULT}>", headers)


def test_a_bounce_keeps_its_null_sender_unless_submissions_are_metered(make):
    milter = make()
    headers = [("From", "MAILER-DAEMON@relay.example (Mail Delivery System)")]
    result = milter.ask("<>", headers, recipients=["<bob@example.net>"])
    assert result.sender is None
    assert result.values("From") == [f"\"Mail Delivery System\" <{DEFAULT}>"]
    assert result.values("Auto-Submitted") == result.values("X-Auto-Response-Suppress") == []
    milter.configure(post365_meter="submission")
    milter.reload()
    result = milter.ask("<>", headers, recipients=["<bob@example.net>", "<eve@example.net>"])
    assert result.sender == f"<{DEFAULT}>"
    assert result.deleted_recipients == ["<bob@example.net>", "<eve@example.net>"]
    assert result.added_recipients == [(one, "NOTIFY=NEVER") for one in result.deleted_recipients]
    assert result.values("Auto-Submitted") == ["auto-generated"]
    assert result.values("X-Auto-Response-Suppress") == ["All"]


def test_mail_of_the_null_sender_that_says_whose_answer_it_is_says_so_still(make):
    milter = make(post365_meter="submission", post365_rewrite_from="no")
    headers = [("From", "Alice <alice@example.com>"), ("Auto-Submitted", "auto-replied (vacation)")]
    result = milter.ask("<>", headers, recipients=["<bob@example.net>"])
    assert result.headers == [*headers, ("X-Auto-Response-Suppress", "All")]
    assert milter.ask("<alice@example.com>", headers).headers == headers


def test_nothing_a_sender_writes_forges_a_log_line(milter):
    before = len(milter.log())
    milter.ask("<a\r\npost365/milter[1]: fatal: forged\x1b[2J\x7f\u009b2J@example.com>", login="x\ny")
    lines = milter.new_log(before).splitlines()
    assert len(lines) == 1
    assert "fatal:forged?[2J?" in lines[0]
    assert not any(ord(character) < 32 or 0x7f <= ord(character) < 0xa0 for character in lines[0])


# --- the protocol -----------------------------------------------------------------------------

@pytest.mark.parametrize("offered", [
    milter_client.ALL_STEPS, milter_client.ALL_STEPS & ~milter_client.NO_REPLIES, milter_client.LEADING_SPACE,
    milter_client.NO_REPLY_HEADER, milter_client.NO_REPLY_RECIPIENT | milter_client.NO_BODY])
def test_only_what_is_used_is_asked_for_and_only_what_is_offered(milter, offered):
    client = milter_client.Connection(milter.endpoint())
    with client:
        version, actions, steps = client.negotiate(steps=offered)
        assert (version, actions) == (6, WANTED_ACTIONS)
        assert steps == offered & (NOT_WANTED | milter_client.NO_REPLY_HEADER | milter_client.NO_REPLY_RECIPIENT)
        for _ in range(2):  # an answer too many or too few would show in the second
            result = client.message("<a@example.com>", ["<b@example.net>"] * 3, [("From", "a@example.com")] * 2)
            assert (result.verdict, result.stage) == ("continue", "end of message")
            assert len(result.values("From")) == 1
        client.quit()
        assert client.is_closed()


def test_a_server_that_lets_a_milter_do_too_little_is_refused(milter):
    before = len(milter.log())
    with milter_client.Connection(milter.endpoint()) as client:
        with pytest.raises((milter_client.Closed, AssertionError)):
            client.negotiate(actions=milter_client.ALL_ACTIONS & ~milter_client.CHANGE_FROM)
    assert "set milter_protocol = 6 in main.cf" in milter.new_log(before)


def test_messages_of_one_connection_do_not_mix(milter):
    one = [("From", "One <one@example.com>"), ("Sender", "x@example.com")]
    other = [("From", "Other <other@example.com>")]
    with milter.connect() as client:
        for _ in range(3):
            assert client.message("<one@example.com>", headers=one).values("Reply-To") == ["One <one@example.com>"]
            client.mail("<gone@example.com>")
            client.recipient("<b@example.net>")
            client.header("From", "gone@example.com")
            client.header("Reply-To", "gone@example.com")
            client.abort()
            result = client.message("<other@example.com>", headers=other)
            assert result.values("Reply-To") == ["Other <other@example.com>"]
            client.mail("<gone@example.com>")  # and another MAIL without an abort
            client.header("Reply-To", "gone@example.com")


def test_after_a_failure_the_connection_serves_the_next_message(make):
    milter = make(post365_sender_upn_maps=("inline", {"bad@example.com": "nonsense"}))
    with milter.connect() as client:
        for _ in range(3):
            assert client.message("<bad@example.com>").reply.startswith("451 ")
            assert client.message("<a@example.com>", headers=[("From", "a@example.com")] * 300).reply.startswith("554 ")
            assert client.message("<a@example.com>").sender == f"<{DEFAULT}>"


@pytest.mark.parametrize("steps", [
    [(b"M", strings("<a@example.com>")), (b"R", strings("<b@example.net>")), (b"L", strings("From", "x")), (b"E", b"")],
    [(b"R", strings("<b@example.net>"))], [(b"L", strings("From", "x"))], [(b"E", b"")], [(b"B", b"x")], [(b"A", b"")],
    [(b"K", b""), (b"M", strings("<a@example.com>")), (b"E", b"")], [(b"Q", b"")]])
def test_a_peer_that_does_not_negotiate_disturbs_nobody(milter, steps):
    with milter_client.Connection(milter.endpoint()) as client:
        with contextlib.suppress(OSError):
            for command, data in steps:
                client.send(command, data)
    assert milter.works()
    assert milter.alive()


def test_a_connection_may_be_used_for_another_client(milter):
    with milter.connect() as client:
        for _ in range(3):
            assert client.message("<a@example.com>").sender == f"<{DEFAULT}>"
            client.send(b"K")
    assert milter.works()


def steps_in_bytes():
    """A whole dialogue, to be cut anywhere."""
    return [milter_client.packet(command, data) for command, data in (
        (b"O", struct.pack(">III", 6, milter_client.ALL_ACTIONS, milter_client.ALL_STEPS)),
        (b"D", b"M" + strings("{auth_authen}", "alice")), (b"M", strings("<a@example.com>")),
        (b"R", strings("<b@example.net>")), (b"L", strings("From", "a@example.com")),
        (b"D", b"E" + strings("i", "4")), (b"E", b""))]


def test_connections_that_drop_anywhere_leave_nothing_behind(milter):
    descriptors = milter.descriptors()
    pieces = steps_in_bytes()
    whole = b"".join(pieces)
    for length in range(0, len(whole) + 1, 3):
        endpoint = milter.endpoint()
        endpoint.sendall(whole[:length])
        endpoint.close()
    for count in range(len(pieces) + 1):  # with the milter's answers read, so that it is in that very state
        with milter.endpoint() as endpoint:
            for piece in pieces[:count]:
                endpoint.sendall(piece)
            time.sleep(0.01)
    assert milter.works()
    assert processes.wait_until(lambda: milter.descriptors() <= descriptors, 30)


def test_garbage_disturbs_nobody(milter):
    source = random.Random(20231122)
    descriptors = milter.descriptors()
    pieces = steps_in_bytes()
    endpoints = []
    for number in range(300):
        endpoint = milter.endpoint()
        endpoints.append(endpoint)
        if number % 3 == 0:
            data = source.randbytes(source.randrange(1, 2000))
        else:
            data = b"".join(pieces[:source.randrange(len(pieces))])
            data += struct.pack(">I", source.choice([0, 1, 2, 9, 0x7fffffff, 0xffffffff, 40]))
            data += bytes([source.randrange(256)]) + source.randbytes(50)
        with contextlib.suppress(OSError):
            endpoint.sendall(data)
    assert milter.works()
    for endpoint in endpoints:
        endpoint.close()
    assert processes.wait_until(lambda: milter.descriptors() <= descriptors, 30)


# --- load -------------------------------------------------------------------------------------

def test_large_and_many_headers_are_bounded(milter):
    name = "x" * 60000  # Postfix cuts what it shows a milter there, libmilter hangs up at 64 KiB
    result = milter.ask("<a@example.com>", [("From", f"{name} <a@example.com>"), ("Subject", name)])
    assert result.verdict == "continue"
    assert result.values("From") == [f"\"a@example.com\" <{DEFAULT}>"]
    assert result.values("Subject") == [name]
    for headers in ([("From", "a@example.com")] * 5000, [("Reply-To", name)] * 30):
        before = len(milter.log())
        result = milter.ask("<a@example.com>", headers)
        assert (result.reply[:9], result.edits) == ("554 5.6.0", [])
        assert "4Test: from=<a@example.com>: rejected: " in milter.new_log(before)
    assert milter.ask("<a@example.com>", [("Received", "x")] * 20000).sender == f"<{DEFAULT}>"


def test_two_thousand_connections_at_once_are_served(milter):
    descriptors = milter.descriptors()
    address = os.fspath(milter.queue / "post365" / "milter")
    clients = []
    for _ in range(CONNECTIONS):  # as Postfix: a full backlog would be an error at once
        endpoint = socket.socket(socket.AF_UNIX)
        endpoint.setblocking(False)
        endpoint.connect(address)
        clients.append(milter_client.Connection(endpoint, 30))
    for client in clients:
        client.send(b"O", struct.pack(">III", 6, milter_client.ALL_ACTIONS, milter_client.ALL_STEPS))
    for client in clients:
        client.read()
    for client in clients:
        client.send(b"M", strings("<a@example.com>"))
    assert milter.works()
    for client in clients:
        assert client.read() == (b"c", b"")
        client.close()
    assert processes.wait_until(lambda: milter.descriptors() <= descriptors, 30)


@pytest.mark.skipif("sanitize" in str(workplace.BUILD), reason="sanitizers keep what was freed")
def test_messages_leave_no_memory_behind(make):
    milter = make(post365_send_as_maps=("inline", {DEFAULT: "@brand.example"}))
    sender = "<" + "a" * 1000 + "@example.com>"
    headers = [("From", f"{'x' * 1000} <a@example.com>"), ("Reply-To", "y" * 1000), ("Sender", "b@brand.example")]
    with milter.connect() as client:
        for count in (500, 3000):
            before = milter.memory()
            for _ in range(count):
                client.message(sender, headers=headers, login="z" * 500)
                client.mail(sender)
                client.header("From", "x" * 1000)
                client.abort()
    assert milter.memory() - before < 1000 * 1000


class Load:
    """Clients that send messages until the block ends, and what came of them."""

    def __init__(self, milter, clients=6):
        self.milter = milter
        self.results = []
        self._interrupted = []  # appending is atomic, adding to a number is not
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(clients)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, number):
        try:
            with self.milter.connect() as client:
                while not self._stop.is_set():
                    self.results.append(client.message("<app@example.com>", ["<b@example.net>"],
                                                       [("From", f"App {number} <app@example.com>")]))
        except OSError:
            self._interrupted.append(number)

    @property
    def interrupted(self):
        """How many clients lost their connection."""
        return len(self._interrupted)

    def wait_for(self, count):
        """Until that many more messages went through."""
        want = len(self.results) + count
        assert processes.wait_until(lambda: len(self.results) >= want, 30)

    def accounts(self):
        """The accounts that messages went out as; each must be of one piece."""
        accounts = set()
        for result in self.results:
            assert result.verdict == "continue", result
            assert result.values("From")[0].endswith(result.sender)
            accounts.add(result.sender.strip("<>"))
        return accounts


def test_reloads_under_load_lose_nothing(make):
    milter = make(post365_upn="account-0@contoso.com")
    with Load(milter) as load:
        for number in range(1, 6):
            milter.configure(post365_upn=f"account-{number}@contoso.com")
            milter.reload()
            load.wait_for(20)
        milter.configure(post365_upn="no address")
        assert "reload failed, the old settings stay in force: " in milter.reload()
        load.wait_for(20)
    assert load.interrupted == 0
    assert load.accounts() == {f"account-{number}@contoso.com" for number in range(6)}


def test_tables_that_change_under_load_answer_old_or_new(make, place):
    path = place.directory / "post365_sender_upn_maps"
    milter = make(post365_sender_upn_maps=("hash", {"app@example.com": "account-0@contoso.com"}))
    with Load(milter) as load:
        for number in range(1, 6):
            table("hash", path, {"app@example.com": f"account-{number}@contoso.com"})
            load.wait_for(20)
    assert load.interrupted == 0
    assert load.accounts() == {f"account-{number}@contoso.com" for number in range(6)}


def test_sigterm_under_load_ends_at_once_and_cleanly(make):
    milter = make()
    with Load(milter) as load:
        load.wait_for(50)
        began = time.monotonic()
        assert milter.stop() == 0
        assert time.monotonic() - began < 2
        assert processes.wait_until(lambda: load.interrupted == 6, 30)
    assert load.accounts() == {DEFAULT}
    assert not (milter.queue / "post365" / "milter").exists()
    milter.start()
    assert milter.works()


def test_signals_that_the_starter_ignored_are_taken_all_the_same(place):
    milter = place.add(Milter(place.directory, post365_sender_upn_maps=table(
        "regexp", place.directory / "maps", {"app@example.com": "app@contoso.com"})))
    ignore = ("import os, signal, sys\n"
              "for name in ('SIGCHLD', 'SIGUSR1', 'SIGTERM'): signal.signal(getattr(signal, name), signal.SIG_IGN)\n"
              "os.execv(sys.argv[1], sys.argv[1:])")
    milter.arguments = [sys.executable, "-c", ignore, *milter.arguments]
    milter.start()
    assert milter.account("<app@example.com>") == "app@contoso.com"
    assert milter.account("<other@example.com>") == DEFAULT
    assert "reloaded" in milter.reload()
    assert milter.stop() == 0


def test_descriptors_are_as_many_as_the_host_allows(milter):
    with open(f"/proc/{milter.pid}/limits", encoding="ascii") as limits:
        soft, hard = next(line for line in limits if line.startswith("Max open files")).split()[3:5]
    assert soft == hard


def test_a_killed_milter_starts_again_over_its_stale_socket(make):
    milter = make()
    milter.kill()
    assert (milter.queue / "post365" / "milter").exists()
    milter.start()
    assert milter.works()
