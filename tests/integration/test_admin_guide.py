"""docs/ADMIN.md names what there is: commands with their options, causes, metrics with their labels."""

import re
import urllib.request

import pytest
from test_ctl import run

from harness import processes
from harness.entra import Entra
from harness.office365 import Office365
from harness.postfix import free_ports
from harness.relay import PASSWORD, UPN, Relay
from harness.workplace import PROJECT

FINE, ENDED = "fine@example.com", "ended@example.com"
GUIDE = (PROJECT / "docs" / "ADMIN.md").read_text()


def test_commands_and_options_are_those_of_the_program():
    known = set(re.findall(r"^  ([a-z]+) +[A-Z]", run("--help").stdout, re.M))
    used = re.findall(r"\bpost365 (" + "|".join(sorted(known)) + r")\b([^`\n]*)", GUIDE)
    assert {"status", "history", "pause", "resume", "explain"} <= {command for command, _ in used}
    for command, rest in used:
        told = run(command, "--help").stdout
        for option in re.findall(r"--[a-z-]+", rest):
            assert option in told, f"post365 {command} {option}"


def test_causes_and_links_are_there():
    completion = (PROJECT / "conf" / "post365.bash-completion").read_text()
    causes = re.search(r"^_post365_causes='(.*)'$", completion, re.M).group(1).split()
    table = GUIDE[GUIDE.index("| cause | do |"):GUIDE.index("**5.")]
    named = [name for row in re.findall(r"^\| (.*?) \|", table, re.M) for name in re.findall(r"`([a-z-]+)`", row)]
    assert len(named) >= 8 and set(named) <= set(causes)
    headings = {re.sub(r"[^a-z0-9 -]", "", line.lower()).replace(" ", "-") for line in re.findall(r"^#+ (.*)$", GUIDE, re.M)}
    assert set(re.findall(r"\]\(#([^)]*)\)", GUIDE)) <= headings
    for name in re.findall(r"\]\(([A-Z0-9_]+\.md)\)", GUIDE):
        assert (PROJECT / "docs" / name).exists()


@pytest.fixture
def pages(place):
    """What the two metrics pages say after a message, with an application that has a token and one whose secret has ended."""
    office365 = place.add(Office365(place.directory / "office365", mailboxes={UPN: {"password": PASSWORD}}))
    office365.start()
    entra = place.add(Entra(place.directory / "entra", office365)).start()
    fine, ended = (entra.app("certificate" if account == FINE else "secret", accounts=[account]) for account in (FINE, ENDED))
    ended.expire_secrets()
    ports = free_ports(2)
    relay = place.add(Relay(place.directory / "relay", office365, transport=[], post365={
        **entra.parameters(), "post365_oauth2_maps": {FINE: fine.file, ENDED: ended.file},
        "post365_meter": "delivery", "post365_metrics_listen": f"127.0.0.1:{ports[0]}",
        "post365_transport_metrics_listen": f"127.0.0.1:{ports[1]}"})).start()
    relay.deliver("app@intern.example", ["a@dest.example"], b"From: App <app@intern.example>\r\nSubject: x\r\n")

    def read():
        return "".join(urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).read().decode() for port in ports)
    assert processes.wait_until(lambda: "post365_account_paused{" in read(), 30)
    for name in ("post365_oauth2_failing_since_time_seconds{", "post365_oauth2_token_expiry_time_seconds{"):
        assert processes.wait_until(lambda name=name: name in read(), 30), name
    # Absent until Postfix's queue has been looked at for the first time.
    assert processes.wait_until(lambda: "post365_transport_queue_oldest_seconds " in read(), 90, 0.5)
    return read()


def test_metrics_are_those_of_the_daemons(pages):
    parameters = (PROJECT / "docs" / "PARAMETERS.md").read_text()
    begin = GUIDE.index("| alert when")
    alerts = GUIDE[begin:GUIDE.index("\n## ", begin)]
    named = {name for name in re.findall(r"post365_[a-z0-9_]+", alerts) if f"`{name}`" not in parameters}
    assert len(named) >= 8
    for name in named:
        assert re.search(rf"^{name}(?:\{{| )", pages, re.M), name
    for name, label in re.findall(r"(post365_[a-z0-9_]+)\{([a-z]+=\"[a-z_]+\")\}", alerts):
        assert re.search(rf"^{name}\{{.*{label}", pages, re.M), (name, label)
    for name in re.findall(r"post365_[a-z0-9_]+(?!\()\b", GUIDE.replace(alerts, "")):
        # of the service in master.cf, as of any service there
        assert f"`{name}`" in parameters or name.startswith("post365_destination_"), name
