"""Fixtures for tests on real programs and a real private Postfix.

    place          a harness.workplace.Workplace for one test: an empty directory, and whatever was
                   added to it is stopped at the end
    module_place   the same for all tests of a module
    office365      a stand-in for smtp.office365.com with the account UPN and no limits that matter
                   (module)
    relay          a running Relay with post365 in front of `office365`, UPN as its account
                   (module)
    plain_relay    a running Relay without post365 in front of the same stand-in (module)

A test that changes a relay's configuration, stops its daemons or needs its own limits makes its
own:

    office365 = place.add(Office365(place.directory / "office365", ...)); office365.start()
    relay = place.add(Relay(place.directory / "relay", office365, post365={...})).start()

Without root the tests that use one of these are skipped, with the reason.
"""

import os
import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness import workplace  # noqa: E402
from harness.office365 import Office365  # noqa: E402
from harness.relay import PASSWORD, UPN, Relay  # noqa: E402

SEND_AS = ["billing@example.com", "@brand.example"]

ROOMY = {
    "recipients": {"limit": 100000, "period": 86400},
    "messages": {"limit": 100000, "period": 60},
    "recipients_per_message": 1000,
    "connections": 100,
}


@pytest.fixture(scope="session", autouse=True)
def _signals():
    """As in a terminal: what a script runs in the background, and every program under it, would ignore these two."""
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _built():
    """All programs are there: a test that runs yesterday's would prove nothing, but one that runs
    none even less."""
    missing = [name for name in ("post365-milter", "post365-policyd", "office365")
               if not os.access(workplace.BUILD / name, os.X_OK)]
    if missing:
        pytest.exit(f"{workplace.BUILD} has no {', '.join(missing)}: run `make all office365` first", 2)


def _skip_without_root():
    reason = workplace.why_not()
    if reason:
        pytest.skip(reason)


@pytest.fixture
def place():
    _skip_without_root()
    with workplace.Workplace("test", unique=True) as made:
        yield made


@pytest.fixture(scope="module")
def module_place():
    _skip_without_root()
    with workplace.Workplace("test", unique=True) as made:
        yield made


@pytest.fixture(scope="module")
def office365(module_place):
    standin = module_place.add(Office365(
        module_place.directory / "office365", limits=ROOMY,
        mailboxes={UPN: {"password": PASSWORD, "send_as": SEND_AS}},
        unknown_recipients={"unknown-user": ["nobody@example.net"]}))
    standin.start()
    return standin


@pytest.fixture(scope="module")
def relay(module_place, office365):
    return module_place.add(Relay(
        module_place.directory / "relay", office365, logins={"joerg": "geheim"},
        parameters={"smtp_line_length_limit": "0", "local_header_rewrite_clients": ""},
        post365={"post365_send_as_maps": {UPN: ", ".join(SEND_AS)}, "post365_message_quota": "none",
                 "post365_recipient_quota": "none"})).start()


@pytest.fixture(scope="module")
def plain_relay(module_place, office365):
    return module_place.add(Relay(
        module_place.directory / "plain", office365, logins={"joerg": "geheim"},
        parameters={"smtp_line_length_limit": "0", "local_header_rewrite_clients": ""})).start()
