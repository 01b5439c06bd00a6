"""setup, the transport and the doctor mean the same by "each account", whatever the tables: what setup sends to a socket finds it."""

import base64
import re
import shutil
import subprocess

import pytest
from setup_shapes import PROGRAM, RECIPE, applied, run_setup

from harness import client, message, processes, programs
from harness.given import GivenPostfix
from harness.office365 import Office365
from harness.relay import PASSWORD, UPN
from harness.workplace import USER

ANN, BEN = "ann@example.com", "ben@example.com"
TOKEN = "eyJ0eXAi.abc-_~+/=="


@pytest.fixture
def office365(place):
    return place.add(Office365(place.directory / "office365", mailboxes={
        UPN: {"password": PASSWORD, "tokens": [TOKEN]}, ANN: {"password": "ann's", "tokens": [TOKEN]},
        BEN: {"password": "ben's", "tokens": [TOKEN]}})).start()


def make(place, office365, passwords, more="", files=None):
    main = RECIPE.replace("hash:{etc}/sasl_passwd", passwords)
    main = main.replace("{port}", str(office365.port)).replace("{ca_file}", office365.ca_file) + more
    postfix = place.add(GivenPostfix(place.directory / "relay", main))
    for name, text in (files or {}).items():
        path = postfix.config_directory / name
        path.write_text(text.replace("{port}", str(office365.port)).replace("{etc}", str(postfix.config_directory)))
        path.chmod(0o600)
        if name.startswith("token"):
            shutil.chown(path, USER)
    return postfix


def start(place, postfix):
    started = [place.add(daemon(postfix)).start() for daemon in (programs.Policyd, programs.Milter, programs.Transport)]
    postfix.start()
    (postfix.queue_directory / "public").chmod(0o755)
    return started[-1]


def deliver(postfix, office365, sender):
    message_id, data = message.compose(f"From: <{sender}>\r\nSubject: x\r\n".encode(), b"hello\n")
    assert client.send(postfix.smtp_port, sender, ["a@dest.example"], data).accepted
    def arrived():
        return [entry for entry in office365.journal("accepted") if message_id in str(entry)]
    assert processes.wait_until(arrived, 20, 0.1), postfix.log()[-3000:]
    return arrived()[0]["sender"]


def planned(postfix):
    """The accounts whose mail main.cf sends to a socket of their own."""
    return set(re.findall(r"post365/accounts/([^\s,}]+)", (postfix.config_directory / "main.cf").read_text()))


def sockets(postfix):
    return {path.name for path in (postfix.queue_directory / "post365" / "accounts").iterdir()}


STATIC = f"static:{{ {UPN}:{PASSWORD} }}"
PATTERNS = f"/^\\[localhost\\]:{{port}}$/ {UPN}:{PASSWORD}\n/^ann@/ {ANN}:ann's\n/^ben@/ {BEN}:ben's\n"
SHAPES = {
    # passwords, more of main.cf, files; senders and by whom they leave; accounts with a destination
    "static": (STATIC, "", {}, {"app@intern.example": UPN, UPN: UPN, "": UPN}, {UPN}),
    "static beside a named account": (STATIC, f"post365_upn = {ANN}\npost365_token_maps = inline:{{ {{ {ANN} = {{etc}}/token }} }}\n",
                                      {"token": TOKEN + "\n"}, {ANN: ANN, "": ANN}, {UPN, ANN}),
    "patterns": ("regexp:{etc}/passwd", f"post365_sender_upn_maps = inline:{{ {{ news@intern.example = {ANN} }} }}\n",
                 {"passwd": PATTERNS}, {"news@intern.example": ANN, "app@intern.example": UPN, BEN: BEN}, {UPN, ANN}),
    "proxy": ("proxy:texthash:{etc}/passwd", "", {"passwd": f"[localhost]:{{port}} {UPN}:{PASSWORD}\n{BEN} {BEN}:ben's\n"},
              {BEN: BEN, "app@intern.example": UPN}, {UPN, BEN}),
    "tokens alone": ("", f"post365_upn = {UPN}\npost365_token_maps = texthash:{{etc}}/tokens.map\n",
                     {"tokens.map": f"{UPN} {{etc}}/token\n{ANN} {{etc}}/token\n", "token": TOKEN},
                     {ANN: ANN, "app@intern.example": UPN}, {UPN, ANN}),
    "a token for all of a domain": ("texthash:{etc}/passwd", "post365_token_maps = inline:{ { @example.com = {etc}/token } }\n",
                                    {"passwd": f"[localhost]:{{port}} {UPN}:{PASSWORD}\n", "token": TOKEN},
                                    {ANN: UPN, UPN: UPN}, {UPN}),
}


@pytest.mark.parametrize("name", SHAPES)
def test_what_setup_plans_the_transport_has(place, office365, name):
    passwords, more, files, senders, accounts = SHAPES[name]
    postfix = make(place, office365, passwords, more, files)
    applied(postfix)
    assert planned(postfix) == accounts
    transport = start(place, postfix)
    assert sockets(postfix) >= accounts
    for sender, account in senders.items():
        assert deliver(postfix, office365, sender) == account
    # Whoever no table lists has a socket since he has logged in.
    assert processes.wait_until(lambda: sockets(postfix) == accounts | set(senders.values()), 30), transport.log()
    assert postfix.wait_empty(10) == [] and "No such file or directory" not in postfix.log()
    assert "set up already" in run_setup(postfix).stdout


@pytest.mark.parametrize("secret, word", [
    ("/etc/tokens/relay@example.com", "the path of a file"),
    ("/usr/share/xoauth2/x.json", "the path of a file"),
    ('{"refresh_token":"r","access_token":"a"}', "JSON"),
    ("eyJ0eXAiOiJKV1QifQ.eyJhdWQiOiJodHRwczovLzM2NSJ9.c2lnbmF0dXJl", "a token"),
    ("1.AVYA" + "x" * 300, "a token"),
])
def test_what_is_no_password_is_not_sent(place, office365, secret, word):
    postfix = make(place, office365, "texthash:{etc}/passwd", files={"passwd": f"[localhost]:{{port}} {UPN}:{secret}\n"})
    done = applied(postfix)
    told = " ".join(done.stdout.split())
    assert f"it is {word} and not sent; post365_token_maps is to name for {UPN}" in told
    transport = start(place, postfix)
    message_id, data = message.compose(b"From: <app@intern.example>\r\nSubject: x\r\n", b"hello\n")
    assert client.send(postfix.smtp_port, "app@intern.example", ["a@dest.example"], data).accepted
    def reasons():
        return [text for entry in postfix.queue() for recipient in entry["recipients"] if (text := recipient.get("delay_reason"))]
    assert processes.wait_until(reasons, 20, 0.1)
    assert f"it is {word} and not sent" in reasons()[0] and "post365_token_maps" in reasons()[0]
    assert not [entry for entry in office365.journal() if entry["event"].startswith("auth")]
    for text in (told, reasons()[0], transport.log(), postfix.log()):
        assert secret not in text and base64.b64encode(secret.encode()).decode() not in text
    assert f"it is {word} and not sent" in transport.log()


def test_a_filter_that_leaves_no_passwords(place, office365):
    postfix = make(place, office365, "texthash:{etc}/passwd", "smtp_sasl_mechanism_filter = xoauth2, !login\n",
                   {"passwd": f"[localhost]:{{port}} {UPN}:{PASSWORD}\n"})
    assert "leaves no mechanism for passwords" in " ".join(run_setup(postfix).stdout.split())
    program = [PROGRAM, "-c", postfix.config_directory, "doctor"]
    found = subprocess.run(program, capture_output=True, text=True, check=False, cwd="/").stdout
    assert "leaves no mechanism for passwords" in " ".join(found.split())
    assert not [entry for entry in office365.journal() if entry["event"].startswith("auth")]


def test_a_token_file_that_the_daemons_may_not_read(place, office365):
    """Root reads it all the same, and must not say that all is well."""
    postfix = make(place, office365, "texthash:{etc}/passwd", f"post365_token_maps = inline:{{ {{ {UPN} = {{etc}}/jwt }} }}\n",
                   {"passwd": f"[localhost]:{{port}} {UPN}:{PASSWORD}\n", "jwt": TOKEN})
    told = " ".join(run_setup(postfix).stdout.split())
    assert f"Permission denied; run: chown {USER}: " in told
    shutil.chown(postfix.config_directory / "jwt", USER)
    assert "Permission denied" not in run_setup(postfix).stdout
