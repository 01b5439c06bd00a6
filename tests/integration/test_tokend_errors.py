"""Every error that Entra ID is known to answer, and every trouble that the stand-in can make, at once: each in a
registration of its own of one post365-tokend, which names it, harms no other, and goes on when it is over."""

import re
from pathlib import Path

import pytest
from entra.errors import ERRORS
from test_tokend import UPN, Setup, requests

from harness import workplace
from harness.entra import NAMED, Entra

# What is a token all the same: what is missing may be, and what is too much is cut.
GOOD = {"expires-missing", "expires-null", "expires-string", "expires-float", "expires-huge", "expires-long", "expires-overflow",
        "refresh-missing"}
TIMEOUT = "2s"


@pytest.fixture
def setup(place):
    made = Setup(place, place.add(Entra(place.directory / "entra")).start())
    yield made
    assert made.tokend.stop() == 0, made.tokend.log()


def rows():
    """{AADSTS number: the names of its rows} as post365 knows them; where there are two, `error` chooses."""
    table = (workplace.PROJECT / "common" / "entra" / "cause.c").read_text()
    found = {}
    for row in re.split(r"\n    \{\n", table):
        name = re.search(r'\.name = "([^"]+)"', row)
        numbers = re.search(r"\.numbers = {([^}]+)}", row)
        if name and numbers:
            for number in re.findall(r"\d+", numbers[1]):
                found.setdefault(int(number), set()).add(name[1])
    return found


def ask(setup, faults, request):
    """Of each registration what is answered to a request: {account: reply}."""
    with setup.tokens() as tokens:
        for account in faults:
            tokens.send(request, tag=account, account=account)
        return {reply["tag"]: reply for reply in (tokens.reply() for _ in faults)}


def start(setup, faults):
    """A tokend with a registration for each of {account: fault}, and the apps by account."""
    apps = {account: setup.entra.app(name=account.partition("@")[0]) for account in faults}
    for account, fault in faults.items():
        if fault:
            setup.entra.fault(client_id=apps[account].client_id, **fault)
    setup.start({account: app.file for account, app in apps.items()}, post365_oauth2_timeout=TIMEOUT)
    return apps


def check_after(setup, apps):
    """It goes on by itself or when it is asked to, has stayed small, and has told nobody a secret."""
    setup.entra.clear_faults()
    assert {reply["result"] for reply in ask(setup, apps, "renew").values()} == {"done"}, setup.tokend.log()
    memory = int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{setup.tokend.pid}/status").read_text())[1])
    assert memory < 60_000 or "sanitize" in str(workplace.BUILD), memory
    log = setup.tokend.log()
    assert not [account for account, app in apps.items() if app.secret in log]


def test_every_error_has_a_name(setup):
    known = rows()
    faults = {UPN: None, **{f"e{number}@example.com": {"error": number} for number in ERRORS}}
    apps = start(setup, faults)
    replies = ask(setup, faults, "token")
    assert replies[UPN]["result"] == "done"
    for number, (status, error, _) in ERRORS.items():
        reply = replies[f"e{number}@example.com"]
        wanted = "later" if status in (429, 503) or error == "authorization_pending" else "stopped"
        assert reply["result"] == wanted and reply["cause"] in known.get(number, {reply["cause"]}), (number, reply)
        assert f"AADSTS{number}: " in reply["reason"] and len(reply["reason"]) <= 400, reply
        if wanted == "stopped" and reply["cause"] != "clock-wrong":  # which is tried with the right time at once
            assert len(requests(setup.entra, apps[f"e{number}@example.com"])) == 1, number
    check_after(setup, apps)


def test_every_trouble_is_told(setup):
    faults = {UPN: None, **{f"{name}@example.com": {"named": name} for name, fault in NAMED.items()
                            if fault.get("stage", "answer") == "answer" and "certificate" not in fault}}
    apps = start(setup, faults)
    replies = ask(setup, faults, "token")
    for account, fault in faults.items():
        reply = replies[account]
        if fault is None or fault["named"] in GOOD:
            assert reply["result"] == "done" and int(reply["left"]) <= 86400, reply
        else:
            assert reply["result"] == ("stopped" if reply["cause"] == "request-refused" else "later"), reply
            assert reply["reason"].isprintable() and reply["registration"] == apps[account].file, reply
    check_after(setup, apps)
