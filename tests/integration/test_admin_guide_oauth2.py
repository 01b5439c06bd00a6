"""docs/ADMIN.md, "The application itself, with a certificate", as it stands there: on a machine of its own with systemd and
Debian's Postfix, whose smtp.office365.com and login.microsoftonline.com are the stand-ins."""

import re
from pathlib import Path

import pytest

from harness import machine as machines
from harness.entra import Entra
from harness.machine import Machine
from harness.office365 import Office365
from harness.processes import wait_until
from harness.workplace import BUILD, PROJECT

GUIDE = (PROJECT / "docs" / "ADMIN.md").read_text()
README = (PROJECT / "README.md").read_text()
# Those of the guide.
TENANT, CLIENT = "11111111-2222-3333-4444-555555555555", "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
OBJECT = "0b1ec700-0000-4000-8000-00000000000b"
ACCOUNT, FURTHER = "relay@contoso.com", "joe@contoso.com"
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")


def commands(text, begin, end):
    """The blocks of shell commands between two headings, without those of PowerShell."""
    part = text[text.index(begin):]
    return re.findall(r"^```\n(.*?)^```$", part[:part.index(end, 1)], re.M | re.S)


def step(number):
    """The commands of one of the steps."""
    begin = GUIDE.index("### The application itself, with a certificate")
    part = GUIDE[GUIDE.index(f"**{number}. ", begin):]
    return commands(part, "**", f"**{number + 1}. ")


@pytest.fixture
def host(place):
    reason = machines.why_not()
    if reason:
        pytest.skip(reason)
    machine = place.add(Machine(place.directory / "machine", [PROJECT, BUILD, place.directory], alone=True)).start()
    office365 = Office365(place.directory / "office365", listen="127.0.0.1:587", basic_retired=True,
                          mailboxes={ACCOUNT: {"password": "geheim"}, FURTHER: {}})
    place.add(machine.take_in(office365)).start()
    entra = Entra(place.directory / "entra", office365, tenants={TENANT: {"domains": ["contoso.com"]}}, ports={"token": 443})
    place.add(machine.take_in(entra)).start()
    machine.write("/etc/hosts", "127.0.0.1 localhost smtp.office365.com login.microsoftonline.com\n")
    machine.write(AUTHORITIES, AUTHORITIES.read_text() + Path(office365.ca_file).read_text())
    machine.run("make", "-s", "-C", PROJECT, "-o", "all", "install", f"BUILD={BUILD}")
    relay_of(machine)
    return machine, office365, entra


def relay_of(machine):
    """What the reader has already: the README's second step."""
    machine.run("rm", "-f", "/etc/postfix/main.cf")
    machine.run("cp", "/usr/share/postfix/master.cf.dist", "/etc/postfix/master.cf")
    mine = "compatibility_level = 3.6\nmyhostname = relay.contoso.com\ninet_interfaces = loopback-only\n"
    machine.write("/etc/postfix/main.cf", mine + commands(README, "**2. What", "**3. ")[0])
    machine.write("/etc/postfix/sasl_passwd", f"[smtp.office365.com]:587 {ACCOUNT}:geheim\n", mode=0o600)
    machine.run("postmap", "/etc/postfix/sasl_passwd")
    machine.run("systemctl", "start", "postfix@-")


def follow(machine, block):
    """Runs it as it stands there; whom setup would ask is not here. What it says."""
    return machine.run("bash", "-e", "-c", block.replace(" --apply", " --apply --yes")).stdout


def test_from_the_admin_centre_to_the_first_message(host):
    machine, office365, entra = host
    for block in commands(README, "**3. Start", "By hand it is this"):
        follow(machine, re.sub(r"^post365 (setup|doctor)$\n?", "", block, flags=re.M))  # these end with 1, to be read
    machine.run("sendmail", "-f", "app@contoso.com", "you@example.com", stdin="Subject: first\n\nhello\n")
    assert wait_until(lambda: "basic-auth-retired" in machine.run("post365", "queue", check=False).stdout, 30)

    assert "/etc/post365/contoso.pem" in follow(machine, step(2)[0])
    # In Entra: steps 1 and 3. In Exchange: step 4.
    entra.control({"command": "set_app", "client_id": CLIENT, "settings": {
        "tenant": TENANT, "object_id": OBJECT, "certificates": [machine.run("cat", "/etc/post365/contoso.pem").stdout]}})
    entra.principal(CLIENT, OBJECT, scope=[ACCOUNT])
    assert "systemctl restart post365-tokend" in follow(machine, step(5)[0])
    *before, doctor = step(6)[0].splitlines()
    assert doctor == "post365 doctor"
    told = follow(machine, "\n".join(before))
    assert "certificate" in told and "/etc/post365/contoso.cf" in told
    seen = machine.run("post365", "doctor", check=False).stdout
    assert re.search(rf"^  ok +AUTH XOAUTH2 of {ACCOUNT}", seen, re.M), seen

    assert wait_until(lambda: office365.journal("accepted"), 60), machine.run("post365", "queue", check=False).stdout
    [arrival] = office365.journal("accepted")
    assert arrival["sender"] == ACCOUNT
    # The daemon's own, and the doctor's.
    assert 1 <= len(entra.requests(kind="app", status=200, client_id=CLIENT)) <= 2
    add_an_account(machine, office365, entra)


def add_an_account(machine, office365, entra):
    """While everything runs: the transport, root no more, makes a socket that Postfix may connect to."""
    entra.principal(CLIENT, OBJECT, scope=[ACCOUNT, FURTHER])
    machine.write("/etc/postfix/sasl_passwd",
                  f"[smtp.office365.com]:587 {ACCOUNT}:geheim\n{FURTHER} {FURTHER}:geheim\n", mode=0o600)
    machine.run("postmap", "/etc/postfix/sasl_passwd")
    follow(machine, "post365 setup --oauth2 /etc/post365/contoso.cf --apply\nsystemctl reload post365-tokend\n" + "\n".join(
        line for line in step(6)[0].splitlines() if "reload" in line))
    machine.run("sendmail", "-f", FURTHER, "you@example.com", stdin="Subject: second\n\nhello\n")
    assert wait_until(lambda: FURTHER in [arrival["sender"] for arrival in office365.journal("accepted")], 60), \
        machine.run("post365", "queue", check=False).stdout
