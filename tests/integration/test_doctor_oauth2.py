"""post365 doctor with OAuth2 that does not work, each way in which it is known to: with post365-tokend, the stand-in for Entra ID
and the one for Office 365. It names each of them, and what to do.

All registrations are there from the start, an account each; the daemon reads what changes by itself, and is asked for a new token by
the doctor.
"""

import os
import re
import shutil
import time

import pytest
from doctoring import examine, read

from harness import processes, programs
from harness.entra import TENANT, USER, Entra, make_certificate
from harness.office365 import Office365
from harness.relay import UPN, Relay
from test_doctor_tokend import look, pem_of

FOREIGN = "0ddba115-365a-4365-8365-0123456789ab"  # a tenant of another cloud
NAMES = ["secret", "certificate", "tenant", "cloud", "expired", "id", "unknown", "audience", "principal", "scope", "inside", "gate", "clock",
         "somebody", "nobody", "soon", "typo", "missing", "open", "owner", "pair", "over"]


def upn(name):
    return f"{name}@example.com"


class Stage:
    """What is there: the stand-ins, a relay, `apps` by name, each with the account upn(name)."""

    def __init__(self, place):
        self.office365 = place.add(Office365(place.directory / "office365", mailboxes={upn(name): {} for name in NAMES})).start()
        self.entra = place.add(Entra(place.directory / "entra", self.office365)).start()
        self.entra.tenant(FOREIGN, domains=["agency.example"], cloud="usgov")
        self.apps = {name: self.make(name) for name in NAMES if name != "inside"}
        self.apps["inside"] = self.apps["scope"]
        maps = {upn(name): app.file for name, app in self.apps.items()}
        self.relay = Relay(place.directory / "relay", self.office365, transport=[upn(name) for name in NAMES],
                           passwords={upn("secret"): f"{upn('secret')}:password"},
                           parameters={"authorized_submit_users": "root", "smtpd_sender_login_maps": f"inline:{{ {{ {UPN} = joe }} }}"},
                           post365={"post365_upn": upn("secret"), **self.entra.parameters(), "post365_oauth2_maps": maps,
                                    "post365_oauth2_directory": str(place.directory / "grants")})
        self.tokend = programs.Tokend(self.relay.postfix, USER)
        for daemon in (self.tokend, self.relay.policyd, self.relay.milter, self.relay.transport):
            place.add(daemon).start()

    def make(self, name):
        kind = {"certificate": "certificate", "unknown": "certificate", "clock": "certificate", "pair": "certificate", "over": "certificate",
                "somebody": "device", "nobody": "device"}.get(name, "secret")
        app = self.entra.app(kind, name=name, accounts=[upn("inside" if name == "scope" else name)])
        names = {"client_secret_expires": "2035-01-01"} if kind == "secret" else {}
        names |= {"tenant": {"tenant": FOREIGN.replace("0", "1")}, "cloud": {"tenant": FOREIGN}, "typo": {"tenat": TENANT},
                  "audience": {"scope": "https://graph.microsoft.com/.default"},
                  "soon": {"client_secret_expires": time.strftime("%Y-%m-%d", time.gmtime(time.time() + 5 * 86400))}}.get(name, {})
        app.write(**names)
        return app


@pytest.fixture(scope="module")
def stage(module_place):
    return Stage(module_place)


@pytest.fixture
def relay(stage):
    return stage.relay


def wrong(found):
    return [finding["check"] for finding in found.findings if finding["verdict"] == "wrong"]


# --- all is well ---

@pytest.mark.parametrize("name", ["secret", "certificate"])
def test_all_is_well(relay, stage, name):
    found = look(relay, upn(name))
    assert found.status == 0 and found.not_ok() == [], found.text
    assert found.verdict("oauth2-token") == found.verdict("oauth2-tls") == found.verdict("oauth2-clock") == found.verdict("auth") == "ok"
    assert found.all("passwords") == [] and stage.apps[name].object_id in found["oauth2-object-id"]["seen"]
    assert stage.apps[name].secret is None or stage.apps[name].secret not in found.text
