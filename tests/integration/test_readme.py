"""What README.md tells an admin to write is what works."""

import re
import subprocess

import pytest

from harness import processes
from harness.office365 import Office365
from harness.relay import PASSWORD, SERVICE, UPN, Relay
from harness.workplace import BUILD, PROJECT

README = (PROJECT / "README.md").read_text()
STEP = "By hand it is this"
# What the other recipe takes out of that step.
TRANSPORT = ("default_transport", "sender_dependent_default_transport_maps", "post365_destination_concurrency_limit",
             "post365_destination_recipient_limit")
# What only a test has to set.
OWN = ("post365_user", "post365_ledger")


def block(heading):
    """{name: value} of the first block of main.cf lines behind these words."""
    text = re.search(r"```\n(.*?)```", README[README.index(heading):], re.S)[1]
    lines = []
    for line in text.splitlines():
        if line[:1].isspace():
            lines[-1] += "\n" + line
        elif line and not line.startswith("#"):
            lines.append(line)
    return {name.strip(): value.strip() for name, value in (line.split("=", 1) for line in lines)}


@pytest.fixture
def relay_of(place):
    """A relay that has of post365 what the README says, and no more."""
    def make(told, transport):
        office365 = place.add(Office365(place.directory / "office365", mailboxes={UPN: {"password": PASSWORD}})).start()
        relay = Relay(place.directory / "relay", office365, post365={}, transport=[] if transport else None)
        told = {name: value.replace("relay@contoso.com", UPN).replace("/usr/share/post365", str(PROJECT / "conf"))
                for name, value in told.items()}
        plain = Relay(place.directory / "plain", office365).postfix.parameters
        ours = {name: None for name in relay.postfix.parameters if name not in plain and name not in OWN}
        told["smtpd_milters"] += "".join(f"${{{name}?}}" for name in OWN)
        relay.postfix.configure({**ours, "smtp_reply_filter": None, **told})
        return place.add(relay).start()
    return make


def check(relay):
    relay.deliver("app@intern.example", ["a@dest.example"], b"From: App <app@intern.example>\r\nSubject: x\r\n")
    relay.postfix.command("sendmail", "-f", "root@relay.example.com", "b@dest.example", stdin="Subject: x\n\nhello\n")
    assert processes.wait_until(lambda: len(relay.accepted()) == 2, 20, 0.1), relay.postfix.log()[-2000:]
    assert {arrival.sender for arrival in relay.accepted()} == {UPN}
    assert relay.postfix.command("postconf", "-n").stderr == "" and relay.postfix.check() == ""


def test_the_recipe_with_the_transport(relay_of):
    relay = relay_of(block(STEP), True)
    check(relay)
    assert f"post365/accounts/{UPN}" in relay.postfix.log()


def test_the_recipe_without_the_transport(relay_of):
    step = {name: value for name, value in block(STEP).items() if name not in TRANSPORT}
    relay = relay_of({**step, **block("### Without the transport")}, False)
    check(relay)
    assert "status=sent" in relay.postfix.log()


def test_links_lead_somewhere_where_it_is_installed(tmp_path):
    done = subprocess.run(["make", "-s", "-o", "all", "install", f"DESTDIR={tmp_path}", f"BUILD={BUILD}"], cwd=PROJECT, capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stderr
    place = tmp_path / "usr/share/doc/post365"
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", (place / "README.md").read_text())
    assert len(links) > 5
    for link in links:
        assert link.startswith("http") or (tmp_path / link[1:] if link[0] == "/" else place / link).exists(), link
    for page in place.glob("*.md"):
        for link in re.findall(r"\]\(([^):#]+)[^)]*\)", page.read_text()):
            assert (tmp_path / link[1:] if link[0] == "/" else place / link).exists(), (page, link)


def test_master_cf_is_what_the_tests_use():
    lines = [line for line in (PROJECT / "conf" / "master.cf").read_text().splitlines() if not line.startswith("#")]
    assert lines == SERVICE.splitlines()
