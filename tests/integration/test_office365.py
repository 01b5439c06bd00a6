"""The stand-in for smtp.office365.com itself: what the other tests rely on must be true.

Each test speaks SMTP to the real program, byte by byte where that matters.
"""

import base64
import contextlib
import hashlib
import random
import re
import smtplib
import socket
import ssl
import struct
import threading
import time

import pytest

from harness.office365 import ControlError, Office365, exact

UPN = "relay@example.com"
OTHER = "sales@example.com"
PASSWORD = "correct horse"
STAMP = r" \[[A-Z0-9.]+ \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z 08D[0-9A-F]{13}\]$"
HOSTNAME = r" \[Hostname=[A-Z0-9.]+\]$"
UNLIMITED = {"recipients": None, "messages": None, "recipients_per_message": None, "connections": None}
HEADER = f"From: <{UPN}>\r\nSubject: test\r\n"


class Client:
    """An SMTP client that sends exactly what it is told."""

    def __init__(self, server, timeout=30):
        self.server = server
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.lines = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        with contextlib.suppress(OSError):
            self.lines.close()
            self.socket.close()

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())

    def reply(self):
        """One whole reply, without line ends; EOFError when the server has closed."""
        lines = []
        while True:
            line = self.lines.readline()
            if not line:
                raise EOFError("closed")
            assert line.endswith(b"\r\n"), line
            lines.append(line[:-2].decode())
            if line[3:4] != b"-":
                return "\n".join(lines)

    def ask(self, line):
        self.send(f"{line}\r\n")
        return self.reply()

    def hello(self):
        assert self.reply().startswith("220 ")
        return self.ask("EHLO client.example")

    def starttls(self, context=None):
        assert self.ask("STARTTLS") == "220 2.0.0 SMTP server ready"
        self.wrap(context)

    def wrap(self, context=None):
        context = context or ssl.create_default_context(cafile=self.server.ca_file)
        self.lines.close()
        self.socket = context.wrap_socket(self.socket, server_hostname="localhost")
        self.lines = self.socket.makefile("rb")

    def secure(self, context=None):
        self.hello()
        self.starttls(context)
        return self.ask("EHLO client.example")

    def login(self, upn=UPN, password=PASSWORD):
        """Everything up to the reply to AUTH."""
        self.secure()
        return self.auth(upn, password)

    def auth(self, upn=UPN, password=PASSWORD):
        assert self.ask("AUTH LOGIN") == "334 VXNlcm5hbWU6"
        assert self.ask(b64(upn)) == "334 UGFzc3dvcmQ6"
        return self.ask(b64(password))

    def mail(self, sender=UPN, recipients=("a@b.example",), body=HEADER + "\r\nhello\r\n"):
        """One transaction; the reply to the first command that was refused, or the last one."""
        for line in [f"MAIL FROM:<{sender}>", *(f"RCPT TO:<{recipient}>" for recipient in recipients)]:
            answer = self.ask(line)
            if not answer.startswith("250"):
                return answer
        answer = self.ask("DATA")
        if not answer.startswith("354"):
            return answer
        self.send(body)
        return self.ask(".")

    def ends(self):
        """True when the server has closed, however."""
        try:
            return self.lines.read(1) == b""
        except (ConnectionError, ssl.SSLError):
            return True


def b64(text):
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def bearer(upn, token):
    return b64(f"user={upn}\1auth=Bearer {token}\1\1")


@contextlib.contextmanager
def running(directory, **settings):
    settings.setdefault("mailboxes", {UPN: {"password": PASSWORD}})
    settings.setdefault("limits", UNLIMITED)
    server = Office365(directory, **settings)
    server.start()
    try:
        yield server
    finally:
        assert server.stop() == 0, server.log()
        assert "ERROR" not in server.log() and "runtime error" not in server.log(), server.log()


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory):
    with running(tmp_path_factory.mktemp("office365"), mailboxes={
            UPN: {"password": PASSWORD, "tokens": ["mine"], "send_as": ["alias@example.com", "@brand.example"]},
            OTHER: {"password": "another"}}) as server:
        yield server


@pytest.fixture
def server(shared_server):
    """Shared by the tests, and put back as it was."""
    yield shared_server
    shared_server.clear_faults()
    shared_server.control({"command": "drop_connections"})  # those that a test which failed has left
    shared_server.reset()
    shared_server.set(limits=UNLIMITED, null_sender="refuse", unknown_recipients={}, refuse_notes=[],
                      security_defaults=False, tenant_switch=False, basic_disabled=False, basic_retired=False,
                      app_tokens=[], messages_over="access-denied", recipients_over="recipient-quota",
                      send_as_denied="send-as-denied", wrong_password="wrong-password",
                      unauthenticated="unauthenticated", message_size=157286400, late_answer=0.05, receive_buffer=0)
    shared_server.set_mailbox(UPN, password=PASSWORD, state="ok", smtp_auth=None, limits=None)


@pytest.fixture
def client(server):
    with Client(server) as made:
        assert made.login().startswith("235")
        yield made


def last(server, event):
    return server.journal(event)[-1]


# ---- dialogue -------------------------------------------------------------------------------------------------------

def test_greeting_and_capabilities(server):
    with Client(server) as client:
        assert re.match(r"220 \S+\.outlook\.office365\.com Microsoft ESMTP MAIL Service ready at "
                        r"\w{3}, \d\d? \w{3} \d{4} \d\d:\d\d:\d\d \+0000 \[08D[0-9A-F]{13}\]$", client.reply())
        before = client.ask("EHLO client.example").split("\n")[1:]
        assert before == ["250-SIZE 157286400", "250-PIPELINING", "250-DSN", "250-ENHANCEDSTATUSCODES",
                          "250-STARTTLS", "250-8BITMIME", "250-BINARYMIME", "250-CHUNKING", "250 SMTPUTF8"]
        client.starttls()
        after = client.ask("EHLO client.example").split("\n")[1:]
        assert after == ["250-AUTH LOGIN XOAUTH2" if line == "250-STARTTLS" else line for line in before]
        assert "\n" not in client.ask("HELO client.example")
        assert client.ask("AUTH LOGIN").startswith("504 5.7.4")


def test_nothing_without_hello_tls_and_login(server):
    with Client(server) as client:
        client.reply()
        for line in ("MAIL FROM:<a@b.example>", "AUTH LOGIN", "STARTTLS"):
            assert client.ask(line).startswith("503 5.5.2 Send hello first"), line
        client.ask("EHLO x")
        assert client.ask("AUTH LOGIN").startswith("504")
        assert re.match("451 5.7.3 STARTTLS is required to send mail" + STAMP, client.ask("MAIL FROM:<a@b.example>"))
        client.starttls()
        assert client.ask("MAIL FROM:<a@b.example>").startswith("503")  # what was said before TLS is forgotten
        client.ask("EHLO x")
        assert re.match(r"530 5\.7\.57 Client not authenticated to send mail\." + STAMP,
                        client.ask("MAIL FROM:<a@b.example>"))
        server.set(unauthenticated="unauthenticated-old")
        assert "530 5.7.57 SMTP; Client was not authenticated" in client.ask("MAIL FROM:<a@b.example>")
        assert client.ask("AUTH PLAIN " + b64(f"\0{UPN}\0{PASSWORD}")).startswith("504 5.7.4 Unrecognized")


def test_bad_sequence_and_bad_syntax(client):
    for line, answer in [
            ("RCPT TO:<a@b.example>", "503 5.5.2 Need mail"), ("DATA", "503 5.5.2 Need mail"),
            ("BDAT 0 LAST", "503"), ("STARTTLS", "503"), ("AUTH LOGIN", "503"), ("EHLO", "501"),
            ("MAIL", "501"), ("MAIL FROM: <a@b.example>", "501"), ("MAIL FROM:a@b.example", "501"),
            ("MAIL FROM:<a@b.example> SIZE=x", "501"), ("MAIL FROM:<a@b.example> FOO=1", "501"),
            ("MAIL FROM:<a@b.example>  SIZE=1", "501"), ("MAIL FROM:<a@b.example> SIZE=1 SIZE=2", "501"),
            ("MAIL FROM:<a@@b>", "501"), ("MAIL FROM:<a..b@c>", "501"), ("MAIL FROM:<jörg@b.example>", "553 5.6.7"),
            ("MAIL FROM:<a@b.example> BODY=9BIT", "501"), ("VRFY x", "252"), ("NOOP x", "250"), ("EXPN", "500"),
            ("MAIL FROM:<a@b.example> SIZE=157286401", "552 5.3.4"),
            ("MAIL FROM:<@x,@y:relay@example.com> SIZE=10 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=a+2Bb AUTH=<>", "250"),
            ("MAIL FROM:<a@b.example>", "503 5.5.2 Sender already"), ("DATA", "503 5.5.2 Need rcpt"),
            ("RCPT TO:<>", "501"), ("RCPT TO:<a>", "501"), ("RCPT TO:<a@b.example> NOTIFY=NEVER,DELAY", "501"),
            ("RCPT TO:<jörg@b.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a@b.example", "250"),
            ('RCPT TO:<"a b\\"c"@[127.0.0.1]>', "250"), ("DATA now", "501"), ("RSET", "250"), ("DATA", "503"),
            ("", "500"), (" NOOP", "500")]:
        assert client.ask(line).startswith(answer), line


def test_command_lines_end_with_crlf_alone_and_are_bounded(server, client):
    for data, answer in [(b"NOOP\nNOOP\r\n", "500"), (b"NOOP\rRSET\r\n", "500"), (b"NO\0OP\r\n", "500"),
                         (b"NOOP " + b"x" * 100_000 + b"\r\n", "500 5.5.2 Line too long"), (b"NOOP\r\n", "250")]:
        client.send(data)
        assert client.reply().startswith(answer), data[:20]
    for _ in range(30):
        client.send(b"y" * 100_000)  # without an end: thrown away as it comes
    client.send(b"\r\nNOOP\r\n")
    assert (client.reply()[:9], client.reply()[:3]) == ("500 5.5.2", "250")


def test_pipelining(server, client):
    client.send(f"MAIL FROM:<{UPN}>\r\nRCPT TO:<a@b.example>\r\nRCPT TO:<bad>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n")
    assert [client.reply()[:3] for _ in range(5)] == ["250", "250", "501", "250", "354"]
    client.send(HEADER + f"\r\nhello\r\n.\r\nMAIL FROM:<{UPN}>\r\nRSET\r\nNOOP\r\nQUIT\r\n")
    assert [client.reply()[:9] for _ in range(5)] == ["250 2.0.0", "250 2.1.0", "250 2.0.0", "250 2.0.0", "221 2.0.0"]
    assert client.ends()
    entry = last(server, "accepted")
    assert entry["recipients"] == ["a@b.example", "c@d.example"] and entry["notes"] == []


def test_a_client_that_does_not_read_is_not_listened_to_for_ever(server, client):
    client.socket.settimeout(0.3)
    sent = 0
    with pytest.raises(TimeoutError):
        while sent < 64 << 20:
            sent += client.socket.send(b"NOOP\r\n" * 1000)
    with Client(server) as other:
        assert other.hello()


def test_smtplib_is_content(server):
    with smtplib.SMTP("localhost", server.port, timeout=5) as smtp:
        smtp.starttls(context=ssl.create_default_context(cafile=server.ca_file))
        smtp.login(UPN, PASSWORD)
        assert smtp.sendmail(UPN, ["a@b.example", "c@d.example"], HEADER + "Message-ID: <x@y>\r\n\r\n.hello\r\n") == {}
    entry = server.wait_for(lambda entry: entry["event"] == "accepted" and entry["headers"]["Message-ID"] == [" <x@y>"])
    assert entry["body_sha256"] == hashlib.sha256(b".hello\r\n").hexdigest()
    assert re.match(r"250 2\.0\.0 OK <x@y>" + HOSTNAME, entry["reply"])
    assert (entry["mailbox"], entry["mechanism"], entry["tls"]) == (UPN, "LOGIN", "TLSv1.3")


# ---- TLS ------------------------------------------------------------------------------------------------------------

def legacy_context(server, version):
    context = ssl.create_default_context(cafile=server.ca_file)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    return context


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tls_1_2_is_the_oldest(server, tmp_path):
    with Client(server) as client:
        client.secure(legacy_context(server, ssl.TLSVersion.TLSv1_2))
        assert client.socket.version() == "TLSv1.2" and client.auth().startswith("235")
    for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
        with Client(server) as client, pytest.raises(ssl.SSLError):
            client.secure(legacy_context(server, version))
    server.wait_for(lambda entry: entry["event"] == "tls-failed")
    with running(tmp_path, legacy_tls=True) as legacy, Client(legacy) as client:
        client.secure(legacy_context(legacy, ssl.TLSVersion.TLSv1))
        assert client.ask("AUTH LOGIN").startswith("421 4.7.66 TLS 1.0 and 1.1 are not supported.")
        assert client.ends()


def test_plain_text_behind_starttls_is_discarded(server):
    with Client(server) as client:
        client.hello()
        client.send("STARTTLS\r\nEHLO injected\r\nNOOP\r\n")
        assert client.reply().startswith("220")
        client.wrap()
        assert client.ask("MAIL FROM:<a@b.example>").startswith("503")  # no EHLO has been heard
        assert client.ask("NOOP").startswith("250 2.0.0 OK")  # one reply, to this NOOP
    assert last(server, "plaintext-discarded")["size"] == len("EHLO injected\r\nNOOP\r\n")


def test_the_authority_survives_a_restart(tmp_path):
    names = []
    for _ in range(2):
        with running(tmp_path) as server:
            with Client(server) as client:
                client.secure()
                names.append(sorted(value for _, value in client.socket.getpeercert()["subjectAltName"]))
            names.append((tmp_path / "state" / "ca.pem").read_text())
    assert names[0] == ["0:0:0:0:0:0:0:1", "127.0.0.1", "localhost", "smtp.office365.com"]
    assert names[:2] == names[2:]
    assert (tmp_path / "state" / "ca.key").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("certificate, reason", [
    ("name", "Hostname mismatch"), ("expired", "expired"), ("self-signed", "self-signed"),
    ("untrusted", "unable to get local issuer")])
def test_wrong_certificates(server, certificate, reason):
    server.add_fault(stage="tls", certificate=certificate, times=1)
    with Client(server) as client, pytest.raises(ssl.SSLCertVerificationError, match=reason):
        client.secure()
    with Client(server) as client:
        client.secure()


# ---- AUTH -----------------------------------------------------------------------------------------------------------

def test_login_with_and_without_initial_response(server):
    for first in ([f"AUTH LOGIN {b64(UPN)}"], ["auth login", b64(UPN.upper())]):
        with Client(server) as client:
            client.secure()
            for line in first:
                answer = client.ask(line)
            assert answer == "334 UGFzc3dvcmQ6"
            assert client.ask(b64(PASSWORD)) == "235 2.7.0 Authentication successful"
            assert client.ask("AUTH LOGIN").startswith("503")


def test_login_that_fails(server):
    with Client(server) as client:
        assert re.match("535 5.7.3 Authentication unsuccessful" + STAMP, client.login(password="wrong"))
        assert client.auth(upn="nobody@example.com").startswith("535 5.7.3")
        server.set(wrong_password="credentials-incorrect")
        assert "535 5.7.139 Authentication unsuccessful, the user credentials were incorrect" in client.auth(password="")
        for answer in ("*", "not base64", b64("a\0b")):
            client.ask("AUTH LOGIN")
            assert client.ask(answer).startswith("501"), answer
        assert client.auth().startswith("235")


def test_xoauth2(server):
    server.set(app_tokens=["everybody"])
    for upn, token, answer in [(UPN, "mine", "235"), (UPN, "other", "535 5.7.3"), (OTHER, "mine", "535 5.7.3"),
                               (OTHER, "everybody", "235"), ("nobody@example.com", "everybody", "535 5.7.3")]:
        with Client(server) as client:
            client.secure()
            assert client.ask(f"AUTH XOAUTH2 {bearer(upn, token)}").startswith(answer), (upn, token)
        with Client(server) as client:
            client.secure()
            assert client.ask("AUTH XOAUTH2") == "334 "
            assert client.ask(bearer(upn, token)).startswith(answer), (upn, token)
    assert last(server, "auth-refused")["login"] == {"username": "nobody@example.com", "mechanism": "XOAUTH2"}
    with Client(server) as client:
        client.secure()
        for broken in ("x", b64(f"user={UPN}\1"), b64(f"user={UPN}\1auth=Basic mine\1\1"), b64("user=a\1\1")):
            assert client.ask(f"AUTH XOAUTH2 {broken}").startswith("501"), broken
        assert client.ask(f"AUTH XOAUTH2 {bearer(UPN, 'x' * 9000)}").startswith("535")


GATES = [
    (dict(security_defaults=True), {}, "535 5.7.139 Authentication unsuccessful, user is locked by your organization's "
     "security defaults policy. Contact your administrator.", False),
    (dict(tenant_switch=True), {}, "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for "
     "the Tenant. Visit https://aka.ms/smtp_auth_disabled", True),
    ({}, dict(smtp_auth=False), "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for "
     "the Mailbox. ", True),
    (dict(basic_disabled=True), {}, "535 5.7.139 Authentication unsuccessful, basic authentication is disabled", False),
    (dict(basic_retired=True), {}, "550 5.7.30 Basic authentication is not supported for Client Submission.", False),
    ({}, dict(state="conditional-access"), "535 5.7.139 Authentication unsuccessful, the request did not meet the "
     "criteria to be authenticated successfully", True),
    ({}, dict(state="federation"), "535 5.7.139 Authentication unsuccessful, federated STS service was unreachable", True),
    ({}, dict(state="mailbox-disabled"), "550 5.2.1 ", True),
]


@pytest.mark.parametrize("tenant, mailbox, text, for_tokens", GATES)
def test_gates(server, tenant, mailbox, text, for_tokens):
    server.set(**tenant)
    server.set_mailbox(UPN, **mailbox)
    with Client(server) as client:
        answer = client.login()
        assert answer.startswith(text) and re.search(STAMP, answer)
        assert client.ask(f"AUTH XOAUTH2 {bearer(UPN, 'mine')}").startswith(text if for_tokens else "235")


def test_the_mailbox_switch_overrides_the_tenants(server):
    server.set(tenant_switch=True)
    server.set_mailbox(UPN, smtp_auth=True)
    with Client(server) as client:
        assert client.login().startswith("235")


def test_refusals_are_late(server):
    server.set(late_answer=0.2)
    with Client(server) as client:
        client.secure()
        for question in (lambda: client.auth(password="wrong"), lambda: client.ask("MAIL FROM:<a@b.example>")):
            began = time.monotonic()
            assert question().startswith("53")
            assert 0.19 < time.monotonic() - began < 1
        began = time.monotonic()
        assert client.auth().startswith("235") and time.monotonic() - began < 0.15


def test_passwords_and_tokens_are_written_nowhere(tmp_path):
    secret, token = "Nobody-Knows-1", "Token-Nobody-Knows-2"
    with running(tmp_path / "run", mailboxes={UPN: {"password": secret, "tokens": [token]}}) as server:
        for attempt in (lambda c: c.auth(password=secret), lambda c: c.auth(password=secret + "x"),
                        lambda c: c.ask(f"AUTH XOAUTH2 {bearer(UPN, token)}"),
                        lambda c: c.ask(f"AUTH XOAUTH2 {bearer(UPN, token + 'x')}"),
                        lambda c: c.ask(f"AUTH PLAIN {b64(secret)}"), lambda c: c.ask(b64(secret))):
            with Client(server) as client:
                client.secure()
                attempt(client)
        text = server.journal_path.read_text() + server.log() + repr(server.stats())
        assert len(server.journal("auth")) == 2 and len(server.journal("auth-refused")) == 2
    for word in (secret, token, b64(secret), b64(secret + "x")):
        assert word not in text


# ---- identity -------------------------------------------------------------------------------------------------------

SENDER = "550 5.7.60 SMTP; Client does not have permissions to send as this sender"
DENIED = "554 5.2.252 SendAsDenied; relay@example.com not allowed to send as {}; STOREDRV.Submission.Exception:SendAs"
MULTIPLE = "550 5.1.20 Multiple From addresses are not allowed without Sender address"
INVALID = "550 5.7.512 Access denied, message must be RFC 5322 section 3.6.2 compliant and include a valid From address"
FINE = "250 2.0.0 OK"


@pytest.mark.parametrize("sender, answer", [
    (UPN, FINE), (UPN.upper(), FINE), ('"relay"@example.com', FINE), ("alias@example.com", FINE),
    ("anyone@brand.example", FINE), ("anyone@sub.brand.example", SENDER), ("relay+x@example.com", SENDER),
    ("x@example.com", SENDER), ("", SENDER)])
def test_envelope_sender(server, client, sender, answer):
    assert client.mail(sender).startswith(answer)
    entry = last(server, "accepted" if answer == FINE else "refused")
    assert entry["sender"] == sender and entry["reply"].startswith(answer)


def test_null_sender_can_be_accepted(server, client):
    server.set(null_sender="accept")
    assert client.mail("").startswith(FINE)


@pytest.mark.parametrize("field, answer", [
    ("relay@example.com", FINE), ("<relay@example.com>", FINE), ("Relay <RELAY@Example.COM>", FINE),
    ('"Relay, the \\"first\\"" <relay@example.com>', FINE), ("=?utf-8?q?J=C3=B6rg?= <relay@example.com>", FINE),
    ("Jörg <relay@example.com>", FINE), ("J. Random Hacker <relay@example.com>", FINE),
    ("(a (nested \\) comment)) relay (x) @ (y) example . com (z)", FINE),
    ("Relay\r\n <relay@example.com>", FINE), ("\r\n\trelay@example.com", FINE), ('"relay"@example.com', FINE),
    ("<@a.example,@b.example:relay@example.com>", FINE), ("Team: relay@example.com;", FINE), (", relay@example.com,", FINE),
    ("billing <alias@example.com>", FINE), ("x@brand.example", FINE), ('"@x.example" <relay@example.com>', FINE),
    ("other@example.com", DENIED.format("other@example.com")),
    ('"relay@example.com" <other@example.com>', DENIED.format("other@example.com")),
    ("relay@example.com (<other@example.com>", INVALID), ("(relay@example.com) other@example.com", DENIED.format("other@example.com")),
    ('"a b"@example.com', DENIED.format('"a?b"@example.com')),
    ("relay@example.com, alias@example.com", MULTIPLE), ("Team: relay@example.com, x@y.example;", MULTIPLE),
    ("relay@example.com <relay@example.com>", INVALID), ("relay", INVALID), ("", INVALID), ("<>", INVALID),
    ("Nobody:;", INVALID), ("relay@example.com x", INVALID), ("<relay@example.com", INVALID),
    ("a@b@example.com", INVALID), (".a@example.com", INVALID), ("a..b@example.com", INVALID),
    ("Relay <relay@example.com> <relay@example.com>", INVALID), ('"open <relay@example.com>', INVALID),
    ("relay@example.com\0", INVALID), ('"\0" <relay@example.com>', INVALID), ("(\0) relay@example.com", INVALID), ("relay@exa\nmple.com", INVALID), ("A:B:relay@example.com;;", INVALID),
    ("relay@example.com; x", INVALID), ("relay@[127.0.0.1]", DENIED.format("relay@[127.0.0.1]")),
    ("(" * 20000 + ")" * 20000 + "relay@example.com", FINE)])
def test_from_field(client, field, answer):
    got = client.mail(body=f"Subject: x\r\nFrom: {field}\r\n\r\nhello\r\n")
    assert got.startswith(answer), got
    assert re.search(HOSTNAME if answer[:3] in ("250", "554") else STAMP, got)


@pytest.mark.parametrize("header, answer", [
    ("Subject: nothing\r\n", INVALID), ("From: relay@example.com\r\nFrom: relay@example.com\r\n", INVALID),
    ("From : relay@example.com\r\nfrom: x@y.example\r\n", INVALID), ("X-From: relay@example.com\r\n", INVALID),
    ("From: relay@example.com, alias@example.com\r\nSender: relay@example.com\r\n", FINE),
    ("From: relay@example.com, x@y.example\r\nSender: relay@example.com\r\n", DENIED.format("x@y.example")),
    ("From: relay@example.com\r\nSender: root@example.com\r\n", DENIED.format("root@example.com")),
    ("From: relay@example.com\r\nSender: relay@example.com\r\nSender: relay@example.com\r\n", INVALID),
    ("From: relay@example.com\r\nSender: a@b.example, c@d.example\r\n", INVALID),
    ("From: relay@example.com\r\nSender:\r\n", INVALID), ("", INVALID),
    ("From: relay@example.com\r\nReply-To: x@y.example\r\nX-Sender: z\r\n", FINE)])
def test_from_and_sender_together(client, header, answer):
    assert client.mail(body=header + "\r\nFrom: not@a.header\r\n").startswith(answer)


def test_older_texts(server, client):
    server.set(send_as_denied="send-as-denied-old")
    assert "554 5.2.0 STOREDRV.Submission.Exception:SendAsDeniedException.MapiExceptionSendAsDenied; " in client.mail(
        body="From: x@y.example\r\n\r\n")


def test_identity_comes_before_limits_and_nothing_refused_counts(server, client):
    server.set(limits={"messages": {"limit": 0, "period": 60}})
    assert client.mail("x@y.example").startswith("550 5.7.60")
    assert client.mail().startswith("554 5.4.1")
    assert server.stats(UPN)["messages"] == {"used": 0, "max": 0}


# ---- recipients and limits ------------------------------------------------------------------------------------------

def test_unknown_recipients(server, client):
    server.set(unknown_recipients={"unknown-recipient": ["nobody@example.net"], "unknown-user": ["@gone.example"]})
    assert re.match("550 5.4.1 Recipient address rejected: Access denied" + STAMP,
                    client.mail(recipients=["Nobody@example.net"]))
    assert client.ask("RCPT TO:<x@gone.example>").startswith("550 5.1.1")
    assert client.ask("RCPT TO:<x@stays.example>").startswith("250 2.1.5")
    client.ask("DATA")
    client.send(HEADER + "\r\n")
    assert client.ask(".").startswith("250")
    entry = last(server, "accepted")
    assert entry["recipients"] == ["x@stays.example"]
    assert [r["accepted"] for r in entry["rcpt"]] == [False, False, True]
    assert last(server, "rcpt-refused")["recipient"]["address"] == "x@gone.example"


def test_recipients_per_message(server, client):
    server.set(limits={"recipients_per_message": 2})
    client.ask(f"MAIL FROM:<{UPN}>")
    answers = [client.ask(f"RCPT TO:<{i}@b.example>") for i in range(4)]
    assert [answer[:9] for answer in answers] == ["250 2.1.5"] * 2 + ["452 4.5.3"] * 2
    client.ask("DATA")
    client.send(HEADER + "\r\n")
    assert client.ask(".").startswith("250")
    assert server.stats(UPN)["recipients_accepted"] == 2


def test_recipient_quota_is_a_rolling_window(server, client):
    period = 0.6
    server.set(limits={"recipients": {"limit": 10, "period": period}})
    began = time.monotonic()
    assert client.mail(recipients=[f"{i}@b.example" for i in range(6)]).startswith("250")
    time.sleep(0.25)
    assert client.mail(recipients=[f"{i}@b.example" for i in range(4)]).startswith("250")
    full = client.mail()
    assert re.match(r"554 5\.2\.0 STOREDRV\.Submission\.Exception:SubmissionQuotaExceededException; .*"
                    r"the sender's submission quota was exceeded\." + HOSTNAME, full)
    server.set(recipients_over="access-denied")
    assert re.match("554 5.4.1 Recipient address rejected: Access denied" + STAMP, client.mail())
    assert time.monotonic() - began < period
    time.sleep(period + 0.02 - (time.monotonic() - began))
    assert client.mail(recipients=[f"{i}@b.example" for i in range(6)]).startswith("250")  # the first six are gone
    assert client.mail().startswith("554")  # the four are not
    assert server.stats(UPN)["recipients"] == {"used": 10, "max": 10}
    time.sleep(0.25)
    assert client.mail().startswith("250")


@pytest.mark.parametrize("row, answer", [
    ("access-denied", "554 5.4.1 Recipient address rejected"), ("recipient-quota", "554 5.2.0 STOREDRV")])
def test_messages_per_period(server, client, row, answer):
    server.set(messages_over=row, limits={"messages": {"limit": 2, "period": 0.3}})
    assert [client.mail()[:3] for _ in range(2)] == ["250", "250"]
    assert client.mail().startswith(answer)
    time.sleep(0.31)
    assert client.mail().startswith("250")


def test_messages_per_period_can_be_said_at_mail(server, client):
    server.set(messages_over="rate", limits={"messages": {"limit": 1, "period": 60}})
    assert client.mail().startswith("250")
    assert client.mail().startswith("421 4.4.2 Message submission rate for this client has exceeded")
    assert client.ends()


def test_connections_sending_at_once(server):
    server.set(limits={"connections": 2})
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(server)) for _ in range(3)]
        for client in clients:
            assert client.login().startswith("235")
            assert client.ask(f"MAIL FROM:<{UPN}>").startswith("250")
        answers = []
        for client in clients:
            client.ask("RCPT TO:<a@b.example>")
            client.ask("DATA")
            client.send(HEADER + "\r\n")
            answers.append(client.ask("."))
        assert re.match(r"432 4\.3\.2 Concurrent connections limit exceeded\. Visit "
                        r"https://aka\.ms/concurrent_sending .*" + HOSTNAME, answers[0])
        assert [answer[:3] for answer in answers[1:]] == ["250", "250"]
        assert clients[0].mail().startswith("250")
        stats = server.stats(UPN)
        assert stats["sending"] == {"now": 0, "max": 3} and stats["connections"]["now"] == 3
        assert stats["replies"] == {"432 4.3.2": 1}


def test_limits_of_one_mailbox(server, client):
    server.set(limits={"messages": {"limit": 1, "period": 60}})
    server.set_mailbox(UPN, limits={"messages": {"limit": 2, "period": 60}})
    assert [client.mail()[:3] for _ in range(3)] == ["250", "250", "554"]
    with Client(server) as other:
        other.login(OTHER, "another")
        body = f"From: {OTHER}\r\n\r\n"
        assert [other.mail(OTHER, body=body)[:3] for _ in range(2)] == ["250", "554"]
    server.reset()
    assert client.mail().startswith("250")


@pytest.mark.parametrize("state, answer", [
    ("mailbox-full", "554 5.2.2 mailbox full; "), ("bad-sender", "550 5.1.8"), ("banned-501", "550 5.7.501"),
    ("logon-failure", "430 4.2.0 STOREDRV; mailbox logon failure; "), ("tenant-threshold", "550 5.7.705"),
    ("traffic-refused", "550 5.7.708")])
def test_states_of_a_mailbox(server, client, state, answer):
    server.set_mailbox(UPN, state=state)
    assert client.mail().startswith(answer)
    server.set_mailbox(UPN, state="ok")
    assert client.mail().startswith("250")


# ---- the message ----------------------------------------------------------------------------------------------------

BODIES = {
    "nothing": b"", "8 bit": bytes(range(128, 256)) * 3 + b"\r\n", "long lines": b"x" * 50_000 + b"\r\n" + b"y\r\n",
    "NUL": b"a\0b\r\n", "dots": b".\r\n..\r\n...\r\n.x\r\n", "blank lines": b"\r\n\r\n\r\n",
    "bare LF": b"a\nb\n.\nc\r\n", "bare CR": b"a\rb\r.\rc\r\r\n", "much": bytes(range(32, 127)) * 20_000 + b"\r\n",
}


@pytest.mark.parametrize("name", BODIES)
def test_hashes(server, client, name):
    body = BODIES[name]
    message = HEADER.encode() + b"\r\n" + body
    stuffed = re.sub(rb"(?:\A|(?<=\r\n))\.", b"..", message)
    assert client.mail(body=stuffed).startswith("250")
    entry = last(server, "accepted")
    assert entry["size"] == len(message) and entry["body_size"] == len(body)
    assert entry["sha256"] == hashlib.sha256(message).hexdigest()
    assert entry["body_sha256"] == hashlib.sha256(body).hexdigest()


def test_an_empty_message(client):
    assert client.mail(body="").startswith(INVALID)


def test_a_message_in_single_bytes(server, client):
    body = b"a\r\n..\r\n.\n.\r.\r\r\n..\r\r\n\r\n"
    client.ask(f"MAIL FROM:<{UPN}>")
    client.ask("RCPT TO:<a@b.example>")
    client.ask("DATA")
    for byte in HEADER.encode() + b"\r\n" + body + b".\r\n":
        client.send(bytes([byte]))
    assert client.reply().startswith("250")
    assert last(server, "accepted")["body_sha256"] == hashlib.sha256(
        b"a\r\n.\r\n\n.\r.\r\r\n.\r\r\n\r\n").hexdigest()


@pytest.mark.parametrize("end", [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r.\r\n", b"\r\n.\r", b"\n\n.\r\n",
                                 b"\r\n\0.\r\n", b"\r\n.\0\r\n", b"\r\r\n\n.\r\n", b"\r\n.\r\r\n", b"\r\n..\r\n"])
def test_smuggling(server, client, end):
    """Only CRLF.CRLF ends a message: what follows anything else stays part of it."""
    before = len(server.journal("accepted"))
    smuggled = b"MAIL FROM:<%b>\r\nRCPT TO:<x@y.example>\r\nDATA\r\nFrom: %b\r\n\r\nevil" % ((UPN.encode(),) * 2)
    assert client.mail(body=HEADER.encode() + b"\r\nhello" + end + smuggled + b"\r\n").startswith("250")
    assert client.ask("NOOP").startswith("250 2.0.0 OK")
    accepted = server.journal("accepted")[before:]
    assert len(accepted) == 1
    assert accepted[0]["body_size"] >= len(smuggled)


def test_notes_and_what_they_refuse(server, client):
    client.ask(f"MAIL FROM:<{UPN}> BODY=8BITMIME")
    client.ask("RCPT TO:<a@b.example>")
    client.ask("DATA")
    client.send(HEADER + "no field\r\n\r\nü\n" + "x" * 999 + "\r\n")
    assert client.ask(".").startswith("250")
    assert last(server, "accepted")["notes"] == ["bare-lf", "long-line", "8bit", "malformed-header"]
    assert client.mail(body=HEADER + "Comments: ü\r\n\r\nü\0\rx\r\n").startswith("250")
    assert last(server, "accepted")["notes"] == [
        "bare-cr", "nul", "8bit", "8bit-header", "undeclared-8bit", "undeclared-utf8"]
    server.set(refuse_notes=["bare-lf"])
    assert client.mail(body=HEADER + "\r\na\nb\r\n").startswith("554 5.6.0")
    assert client.mail().startswith("250")


def test_header_values_can_be_got_back_exactly(server, client):
    values = {"To": b" a@b.example,\r\n\t c@d.example ", "Subject": b"\xff\xfe raw ", "Reply-To": " Jörg <x@y>".encode(),
              "X-Post365-Original": b"no blank"}
    header = b"".join(b"%b:%b\r\n" % (name.encode(), value) for name, value in values.items())
    assert client.mail(body=HEADER.replace("Subject: test\r\n", "").encode() + header + header + b"\r\n").startswith("250")
    headers = last(server, "accepted")["headers"]
    for name, value in values.items():
        assert [exact(got) for got in headers[name]] == [value, value], name
    assert headers["Sender"] == [] and headers["From"] == [f" <{UPN}>"]


def test_only_a_line_that_crlf_ends_ends_the_header(server, client):
    for blank in (b"\n", b"\n\n", b"\r", b" \r\n", b"\n\r\n", b"\r\r\n"):
        assert client.mail(body=HEADER.encode() + blank + b"Sender: <%b>\r\n\r\nbody\r\n" % UPN.encode()).startswith("250")
        entry = last(server, "accepted")
        assert entry["body_sha256"] == hashlib.sha256(b"body\r\n").hexdigest(), blank


def test_header_limit(server, client):
    filler = "".join(f"X-Filler-{i}: {'x' * 900}\r\n" for i in range(300))
    assert client.mail(body=HEADER + filler + "\r\nbody\r\n").startswith("552 5.3.4 Header size exceeds")
    assert last(server, "refused")["body_sha256"] == hashlib.sha256(b"body\r\n").hexdigest()


def test_size_limit(server, client):
    server.set(message_size=1000)
    assert client.ask("EHLO x").split("\n")[1] == "250-SIZE 1000"
    assert client.ask(f"MAIL FROM:<{UPN}> SIZE=1001").startswith("552 5.3.4 Message size exceeds fixed maximum")
    assert client.mail(body=HEADER + "\r\n" + "x" * 1000 + "\r\n").startswith("552 5.3.4")
    assert client.mail(body=HEADER + "\r\n" + "x" * 900 + "\r\n").startswith("250")


def test_bdat(server, client):
    message = HEADER.encode() + b"\r\n.\r\nbare\n\0 \xff and no end"
    client.ask(f"MAIL FROM:<{UPN}> BODY=BINARYMIME")
    client.ask("RCPT TO:<a@b.example>")
    assert client.ask("DATA").startswith("503")
    client.send(b"BDAT 10\r\n" + message[:10] + b"BDAT 0\r\nBDAT %d\r\n" % (len(message) - 20) + message[10:-10]
                + b"BDAT 10 LAST\r\n" + message[-10:] + b"NOOP\r\n")
    assert [client.reply()[:9] for _ in range(5)] == ["250 2.6.0"] * 3 + ["250 2.0.0"] * 2
    entry = last(server, "accepted")
    assert entry["sha256"] == hashlib.sha256(message).hexdigest() and entry["chunked"]
    assert "unfinished-line" in entry["notes"]


def test_bdat_out_of_order(server, client):
    client.send("BDAT 4 LAST\r\nQUITMAIL FROM:<x@y.example>\r\nBDAT 4\r\nQUITNOOP\r\n")
    assert [client.reply()[:3] for _ in range(4)] == ["503", "250", "503", "250"]
    client.ask("RSET")
    client.ask(f"MAIL FROM:<{UPN}>")
    client.ask("RCPT TO:<a@b.example>")
    client.send("BDAT 2\r\nxy")
    assert client.reply().startswith("250 2.6.0")
    for line in ("DATA", "RCPT TO:<c@d.example>", "MAIL FROM:<a@b.example>", "BDAT", "BDAT x", "BDAT 1 FIRST"):
        assert client.ask(line)[:2] == "50", line
    assert client.ask("RSET").startswith("250")
    assert client.mail().startswith("250")
    server.set(message_size=5)
    client.ask(f"MAIL FROM:<{UPN}>")
    client.ask("RCPT TO:<a@b.example>")
    client.send("BDAT 6\r\n123456BDAT 1 LAST\r\n7")
    assert [client.reply()[:3] for _ in range(2)] == ["552", "503"]


def test_messages_can_be_saved(tmp_path):
    message = (HEADER + "\r\n.dot\r\n").encode()
    with running(tmp_path / "run", save_directory=str(tmp_path / "saved")) as server, Client(server) as client:
        client.login()
        assert client.mail(body=message.replace(b"\r\n.", b"\r\n..")).startswith("250")
        entry = last(server, "accepted")
    with open(entry["file"], "rb") as file:
        assert file.read() == message


# ---- faults ---------------------------------------------------------------------------------------------------------

def converse(client):
    """The stages of a session, one after another; each yields its name and the reply."""
    yield "banner", client.reply()
    yield "ehlo", client.ask("EHLO x")
    yield "starttls", client.ask("STARTTLS")
    client.wrap()
    yield "ehlo", client.ask("EHLO x")
    yield "auth", client.auth()
    yield "mail", client.ask(f"MAIL FROM:<{UPN}>")
    yield "rcpt", client.ask("RCPT TO:<a@b.example>")
    yield "data", client.ask("DATA")
    client.send(HEADER + "\r\nhello\r\n")
    yield "dot", client.ask(".")
    yield "rset", client.ask("RSET")
    yield "quit", client.ask("QUIT")


LOST = (EOFError, ConnectionError, ssl.SSLError)


@pytest.mark.parametrize("action", ["drop", "reset"])
@pytest.mark.parametrize("stage", ["connect", "banner", "ehlo", "starttls", "tls", "auth", "mail", "rcpt", "data", "body",
                                   "dot", "after-reply", "rset", "quit"])
def test_connection_lost_at_a_stage(server, stage, action):
    server.add_fault(stage=stage, action=action, times=1)
    reached = []
    with pytest.raises(LOST), Client(server) as client:
        reached.extend(name for name, _ in converse(client))
    stages = ["banner", "ehlo", "starttls", "ehlo", "auth", "mail", "rcpt", "data", "dot", "rset", "quit"]
    before = {"connect": "banner", "tls": "ehlo", "body": "dot", "after-reply": "rset"}.get(stage, stage)
    expected = 3 if stage == "tls" else stages.index(before)
    assert reached == stages[:expected]
    reason = {"drop": "dropped", "reset": "reset"}[action]
    entry = server.wait_for(lambda entry: entry["event"] == "disconnect"
                            and entry["connection"] == server.stats()["connections"]["total"])
    assert entry["reason"] == reason
    if stage == "dot":
        assert last(server, "accepted")["known"] is False  # and yet it was accepted
        assert server.stats(UPN)["messages"]["used"] == 1
    if stage in ("rcpt", "data", "body"):  # MAIL had begun a transaction
        assert last(server, "aborted")["connection"] == entry["connection"]
    with Client(server) as client:
        assert [name for name, _ in converse(client)] == stages


@pytest.mark.parametrize("stage", ["banner", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "dot", "rset", "quit"])
def test_any_reply_at_any_stage(server, stage):
    server.add_fault(stage=stage, reply="451-4.7.0 first line\n451 4.7.0 second line", times=1)
    with Client(server) as client:
        for name, answer in converse(client):
            if answer.startswith("451"):
                break
        assert (name, answer) == (stage, "451-4.7.0 first line\n451 4.7.0 second line")
        if stage not in ("banner", "quit"):
            assert client.ask("NOOP").startswith("250")
    assert server.stats(UPN)["accepted"] == (1 if stage in ("rset", "quit") else 0)


def test_every_row_of_the_table_can_be_a_reply(server, client):
    rows = server.replies()
    assert len(rows) > 40
    for name, row in rows.items():
        fault = server.add_fault(stage="dot", row=name, close=False)
        answer = client.mail()
        assert answer[:3] == row["text"][:3] and answer.split(" ")[1] == row["text"].split(" ")[1], name
        server.control({"command": "remove_fault", "id": fault})
    assert server.stats(UPN)["refused"] == len(rows) and server.stats(UPN)["accepted"] == 0


def test_a_421_closes_unless_told_otherwise(server):
    server.add_fault(stage="mail", row="unavailable", times=1)
    with Client(server) as client:
        client.login()
        assert client.ask(f"MAIL FROM:<{UPN}>").startswith("421 4.3.2 Service not available")
        assert client.ends()
    server.add_fault(stage="mail", reply="450 4.7.1 later", close=True, times=1)
    with Client(server) as client:
        client.login()
        client.send(f"MAIL FROM:<{UPN}>\r\nRCPT TO:<a@b.example>\r\nDATA\r\n")
        assert client.reply() == "450 4.7.1 later"
        assert client.ends()


def test_a_fault_looks_at_who_is_involved(server, client):
    server.add_fault(stage="rcpt", recipient="*@slow.example", reply="450 4.1.1 slow")
    server.add_fault(stage="dot", recipient="c@*", sender="ALIAS@*", mailbox=UPN, reply="451 4.0.0 alias to c")
    server.add_fault(stage="mail", mailbox=OTHER, action="drop")
    server.add_fault(stage="ehlo", secure=False, reply="550 5.0.0 not in the clear", skip=0)
    assert client.mail(recipients=["a@slow.example"]) == "450 4.1.1 slow"
    client.ask("RSET")
    assert client.mail(recipients=["a@b.example", "c@d.example"]).startswith("250")
    assert client.mail("alias@example.com", recipients=["a@b.example", "c@d.example"]) == "451 4.0.0 alias to c"
    assert client.ask("EHLO x").startswith("250")
    with Client(server) as other:
        assert other.reply().startswith("220")
        assert other.ask("EHLO x").startswith("550")


def test_a_fault_counts(server, client):
    server.add_fault(stage="rset", reply="450 4.0.0 no", skip=1, every=2, times=2)
    assert [client.ask("RSET")[:1] for _ in range(8)] == list("22424222")
    server.clear_faults()
    server.add_fault(stage="rset", reply="450 4.0.0 no", probability=0.5)
    answers = [client.ask("RSET")[:1] for _ in range(100)]
    assert 25 < answers.count("4") < 75
    fault, = server.control({"command": "faults"})["faults"]
    assert (fault["seen"], fault["hits"]) == (100, answers.count("4"))


def test_a_fault_in_the_midst_of_a_message(server, client):
    server.add_fault(stage="body", after=5000, action="drop")
    with pytest.raises(LOST):
        client.mail(body=HEADER + "\r\n" + ("x" * 70 + "\r\n") * 500)
        client.mail()
    assert server.wait_for(lambda entry: entry["event"] == "aborted" and entry["size"] == 5000)
    server.clear_faults()
    server.add_fault(stage="body", after=10, delay=0.2)
    with Client(server) as again:
        again.login()
        began = time.monotonic()
        assert again.mail().startswith("250")
        assert time.monotonic() - began > 0.19


def test_delays(server, client):
    server.add_fault(stage="dot", delay=0.2)
    began = time.monotonic()
    assert client.mail().startswith("250")
    assert time.monotonic() - began > 0.19


@pytest.mark.parametrize("octets, is_reset", [(100, False), (300_000, False), (100, True), (4_000_000, True)])
def test_a_client_that_goes_away_in_a_delay_is_not_counted_any_more(server, octets, is_reset):
    """Also where so much waits to be read that nobody reads on: 256 KiB are read ahead, and more. A FIN arrives all the
    same as long as the kernel has room for what is before it, and it has room for as much again, whatever net.ipv4.tcp_rmem
    is; of a FIN behind more than it takes nobody knows."""
    server.set(receive_buffer=100_000)
    server.add_fault(stage="body", delay=1000)
    with Client(server) as client:
        client.login()
        connection = server.stats()["connections"]["total"]
        client.ask(f"MAIL FROM:<{UPN}>")
        client.ask("RCPT TO:<a@b.example>")
        client.ask("DATA")
        client.socket.settimeout(0.5)
        with contextlib.suppress(TimeoutError):
            client.send("x" * octets + "\r\n")
        server.wait_for(lambda entry: entry["event"] == "fault" and entry["connection"] == connection)
        if is_reset:
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    server.wait_for(lambda entry: entry["event"] == "disconnect" and entry["connection"] == connection)
    assert server.stats(UPN)["sending"]["now"] == 0


@pytest.mark.parametrize("commit, event", [("before", "accepted"), ("after", "aborted"), ("never", "refused")])
def test_who_waits_for_the_reply_decides_what_became_of_it(server, client, commit, event):
    server.add_fault(stage="dot", delay=0.3, commit=commit, times=1)
    client.ask(f"MAIL FROM:<{UPN}>")
    client.ask("RCPT TO:<a@b.example>")
    client.ask("DATA")
    client.send(HEADER + "\r\n.\r\n")
    server.wait_for(lambda entry: entry["event"] == "fault" and entry["stage"] == "dot")
    client.close()
    connection = server.stats()["connections"]["total"]
    server.wait_for(lambda entry: entry["event"] == "disconnect" and entry["connection"] == connection)
    entry = last(server, event)
    assert entry["connection"] == connection and not entry.get("known")
    assert server.stats(UPN)["accepted"] == (1 if commit == "before" else 0)


def test_commit_never_loses_the_message(server, client):
    server.add_fault(stage="dot", commit="never")
    assert client.mail().startswith("250")
    assert last(server, "refused")["known"] is True and server.stats(UPN)["accepted"] == 0


def test_garbage_and_endless_replies(server):
    server.add_fault(stage="ehlo", action="garbage", bytes=3000, times=1)
    with Client(server) as client:
        client.reply()
        client.send("EHLO x\r\n")
        assert len(client.lines.read(3000)) == 3000
    server.add_fault(stage="ehlo", action="endless", times=1)
    with Client(server) as client:
        client.reply()
        client.send("EHLO x\r\n")
        for _ in range(20_000):
            assert client.lines.readline().startswith(b"250-")
    server.wait_for(lambda entry: entry["event"] == "disconnect")


def test_a_reply_byte_by_byte(server, client):
    server.add_fault(stage="dot", action="trickle", interval=0.001)
    answer = client.mail()
    assert re.match(r"250 2\.0\.0 OK .*" + HOSTNAME, answer)
    assert last(server, "accepted")["reply"] == answer


def test_plain_text_injected_behind_the_reply_to_starttls(server):
    server.add_fault(stage="starttls", inject="250-evil.example\n250 AUTH PLAIN", times=1)
    with Client(server) as client:
        client.hello()
        client.send("STARTTLS\r\n")
        received = client.socket.recv(4096)
        assert received == b"220 2.0.0 SMTP server ready\r\n250-evil.example\r\n250 AUTH PLAIN\r\n"


def test_faults_of_the_configuration(tmp_path):
    with running(tmp_path, faults=[{"stage": "banner", "row": "unavailable", "times": 1}]) as server:
        with Client(server) as client:
            assert client.reply().startswith("421 4.3.2") and client.ends()
        with Client(server) as client:
            assert client.hello()


# ---- the program ----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("settings, text", [
    ({"colour": 1}, 'no setting "colour"'), ({"late_answer": "x"}, '"late_answer" must be'),
    ({"limits": {"messages": 3}}, '"messages" must be'), ({"listen": "nowhere"}, "is not an address and a port"),
    ({"mailboxes": {UPN: {"pasword": "x"}}}, 'has no "pasword"'), ({"mailboxes": {"x": {}}}, "needs a UPN"),
    ({"faults": [{"stage": "nowhere"}]}, 'bad value for "stage"'), ({"faults": [{}]}, 'with a "stage"'),
    ({"messages_over": "nothing"}, "name of a reply"), ({"hostnames": "a b"}, "neither a host name"),
    ({"journal": "/nonexistent/journal"}, "cannot open the journal")])
def test_bad_configuration(tmp_path, settings, text):
    server = Office365(tmp_path, **settings)
    with pytest.raises(RuntimeError, match=re.escape(text)):
        server.start()
    assert server.stop() in (73, 78)


def test_control_says_what_is_wrong(server):
    before = server.stats()
    for request in ({}, {"command": "dance"}, {"command": "set", "settings": {"late_answer": 1, "colour": 2}},
                    {"command": "set", "settings": {"journal": "x"}}, {"command": "set_mailbox", "mailbox": "x"},
                    {"command": "set_mailbox", "mailbox": UPN, "settings": {"password": "new", "state": "odd"}},
                    {"command": "add_fault"}, {"command": "remove_fault", "id": 99999},
                    {"command": "stats", "mailbox": "nobody@example.com"}, {"command": "reset", "mailbox": 1}):
        with pytest.raises(ControlError):
            server.control(request)
    with socket.socket(socket.AF_UNIX) as stream:
        stream.connect(server.settings["control_socket"])
        stream.sendall(b"garbage\n" + b'{"command":"ping"}\n' * 2)
        lines = stream.makefile("rb")
        assert b'"ok":false' in lines.readline()
        assert lines.readline() == lines.readline() == b'{"ok":true}\n'
    assert server.stats() == before
    with Client(server) as client:
        assert client.login().startswith("235")  # neither password nor delay have changed
    server.control({"command": "flush_journal"})


def test_connections_can_be_dropped(server, client):
    with Client(server) as other:
        other.login(OTHER, "another")
        assert server.control({"command": "drop_connections", "mailbox": UPN})["dropped"] == 1
        assert client.ends()
        assert other.ask("NOOP").startswith("250")


def test_idle_connections_are_closed(tmp_path):
    with running(tmp_path, idle_timeout=0.2) as server:
        with Client(server) as client:
            client.secure()
            assert client.reply().startswith("421 4.4.1 Connection timed out") and client.ends()
        assert server.wait_for(lambda entry: entry["event"] == "disconnect")["reason"] == "timeout"


def test_comes_back_where_it_was(tmp_path):
    server = Office365(tmp_path / ("long" * 25), mailboxes={UPN: {"password": PASSWORD}})
    places = []
    for stop in (server.kill, server.stop, server.stop):
        server.start()
        places.append((server.port, server.control({"command": "ping"})["ok"]))
        with Client(server) as client:
            assert client.login().startswith("235")
        stop()
    assert len(set(places)) == 1 and len(server.journal("ready")) == 3


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as endpoint:
            endpoint.bind(("::1", 0))
        return True
    except OSError:
        return False


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")
def test_listens_on_both_protocols(tmp_path):
    with running(tmp_path, listen=["127.0.0.1:0", "[::1]:0"]) as server:
        for place in server.ready["listen"]:
            with socket.create_connection((place["address"], place["port"]), 5) as plain:
                assert plain.recv(3) == b"220"


def test_many_connections_at_once(tmp_path):
    with running(tmp_path) as server:
        sockets = [socket.create_connection(("127.0.0.1", server.port), 10) for _ in range(900)]
        for plain in sockets:
            plain.sendall(b"EHLO x\r\n")
        for plain in sockets:
            assert plain.recv(3) == b"220"
        assert server.stats()["connections"]["now"] == 900
        for number, plain in enumerate(sockets):
            if number % 3 == 0:
                plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            plain.close()
        server.wait_for_count(900, lambda entry: entry["event"] == "disconnect")
        assert server.stats()["connections"] == {"now": 0, "max": 900, "total": 900}


def test_the_windows_hold_under_load(tmp_path):
    """Many clients at once, and no interval of the period's length ever has more than the limit."""
    limit, period, threads = 20, 0.3, 8
    stop = time.monotonic() + 1.1

    def work(server):
        with Client(server) as client:
            client.login()
            while time.monotonic() < stop:
                client.mail(recipients=["a@b.example", "c@d.example"])

    with running(tmp_path, limits={"messages": {"limit": limit, "period": period}, "connections": None,
                                   "recipients": {"limit": 2 * limit - 6, "period": period}}) as server:
        workers = [threading.Thread(target=work, args=(server,)) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        accepted = sorted(entry["mono"] for entry in server.journal("accepted"))
        stats = server.stats(UPN)
    most = max(sum(1 for moment in accepted if start <= moment < start + period - 1e-6) for start in accepted)
    assert most == limit - 3 and stats["recipients"]["max"] == 2 * limit - 6
    assert stats["accepted"] == len(accepted) > 2 * most
    assert set(stats["replies"]) == {"554 5.2.0"} and stats["replies"]["554 5.2.0"] == stats["refused"]


def test_whatever_happens_nothing_is_left_behind(tmp_path):
    """Faults of all kinds at all stages, clients that break off, and garbage: counts and journal stay true."""
    choose = random.Random(365)
    stages = ["connect", "banner", "ehlo", "starttls", "tls", "auth", "mail", "rcpt", "data", "body", "dot", "after-reply",
              "rset", "quit"]
    faults = [{"stage": stage, "action": action, "probability": 0.02, "delay": choose.choice([0, 0, 0.02]),
               "bytes": 2000, "interval": 0.0005, "commit": choose.choice(["before", "after", "never"]),
               **({"reply": choose.choice(["421 x", "450 x", "250 x"])} if action == "reply" else {}),
               **({"row": "busy"} if action == "row" else {})}
              for stage in stages for action in ("drop", "reset", "none", "garbage", "endless", "trickle", "reply", "row")]
    stop = time.monotonic() + 1.2

    def work(server, chance):
        while time.monotonic() < stop:
            with contextlib.suppress(*LOST, OSError, AssertionError, UnicodeDecodeError), Client(server, 0.5) as client:
                client.login()
                while chance.random() < 0.8:
                    kind = chance.random()
                    if kind < 0.1:
                        client.send(chance.randbytes(chance.randrange(500)) + b"\r\n")
                    elif kind < 0.2:
                        client.send(f"MAIL FROM:<{UPN}>\r\nRCPT TO:<a@b.example>\r\nBDAT 50 LAST\r\n" + "x" * 40)
                        break
                    client.mail(recipients=["a@b.example"] * chance.randrange(1, 4))
                client.ask("QUIT")

    with running(tmp_path, faults=faults, idle_timeout=0.5, limits={
            "recipients": {"limit": 60, "period": 0.5}, "messages": {"limit": 30, "period": 0.5}, "connections": 4}) as server:
        workers = [threading.Thread(target=work, args=(server, random.Random(number))) for number in range(8)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        total = server.stats()["connections"]["total"]
        server.wait_for_count(total, lambda entry: entry["event"] == "disconnect")
        stats, entries = server.stats(), server.journal()
    mailbox = stats["mailboxes"][UPN]
    assert stats["connections"]["now"] == mailbox["connections"]["now"] == mailbox["sending"]["now"] == 0
    assert mailbox["accepted"] == sum(entry["event"] == "accepted" for entry in entries) > 0
    assert mailbox["refused"] == sum(entry["event"] == "refused" for entry in entries)
    assert mailbox["messages"]["max"] <= 30 and mailbox["recipients"]["max"] <= 60
    assert sum(entry["event"] == "connect" for entry in entries) == total
