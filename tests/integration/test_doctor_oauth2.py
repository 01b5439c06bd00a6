"""post365 doctor with OAuth2 that does not work, each way in which it is known to: with post365-tokend, the stand-in for Entra ID
and the one for Office 365. It names each of them, and what to do.

All registrations are there from the start, an account each; the daemon reads what changes by itself, and is asked for a new token by
the doctor.
"""

import os
import re
import shutil
import subprocess
import time

import pytest
from doctoring import examine, read

from harness import command, processes, programs
from harness.entra import TENANT, USER, Entra, make_certificate
from harness.office365 import Office365
from harness.relay import UPN, Relay
from test_doctor_tokend import look, pem_of

FOREIGN = "0ddba115-365a-4365-8365-0123456789ab"  # a tenant of another cloud
NAMES = ["secret", "certificate", "federated", "managed", "person", "classic", "tenant", "cloud", "expired", "id", "unknown", "audience", "principal", "scope", "inside", "gate", "clock",
         "somebody", "nobody", "soon", "renewed", "typo", "missing", "open", "owner", "pair", "over"]


def upn(name):
    return f"{name}@example.com"


# --- what is wrong, from the start on: post365-tokend asks for tokens at once ---

def expired(app):
    app.expire_secrets()


def the_id(app):
    app.put("secret", app.secret_id)


def unknown(app):
    app.register(certificates=[])


def principal(app):
    app.set_principal("registration")


def missing(app):
    os.unlink(app.directory / "secret")


def open_to_all(app):
    os.chmod(app.directory / "secret", 0o644)


def somebody_elses(app):
    shutil.chown(app.directory / "secret", "nobody", "nogroup")


def another_key(app):
    app.put("key.pem", pem_of(make_certificate()[0]))


def over(app):
    app.new_certificate(days=-2)
    app.write()


SPOILT = {"expired": expired, "id": the_id, "unknown": unknown, "principal": principal, "missing": missing, "open": open_to_all,
          "owner": somebody_elses, "pair": another_key, "over": over}


class Stage:
    """What is there: the stand-ins, a relay, `apps` by name, each with the account upn(name)."""

    def __init__(self, place):
        self.office365 = place.add(Office365(place.directory / "office365", mailboxes={upn(name): {} for name in NAMES})).start()
        self.entra = place.add(Entra(place.directory / "entra", self.office365)).start()
        self.entra.set(device_interval=1)
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
        kind = {"certificate": "certificate", "federated": "federated", "managed": "managed", "person": "device", "unknown": "certificate", "clock": "certificate", "pair": "certificate", "over": "certificate",
                "somebody": "device", "nobody": "device"}.get(name, "secret")
        accounts = {"scope": [upn("inside")], "classic": []}.get(name, [upn(name)])
        app = self.entra.app(kind, name=name, accounts=accounts, model="classic" if name == "classic" else "rbac")
        names = {"client_secret_expires": "2035-01-01"} if kind == "secret" else {}
        names |= {"tenant": {"tenant": FOREIGN.replace("0", "1")}, "cloud": {"tenant": FOREIGN}, "typo": {"tenat": TENANT},
                  "audience": {"scope": "https://graph.microsoft.com/.default"},
                  "soon": {"client_secret_expires": time.strftime("%Y-%m-%d", time.gmtime(time.time() + 5 * 86400))}}.get(name, {})
        app.write(**names)
        SPOILT.get(name, lambda _: None)(app)
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

@pytest.mark.parametrize("name", ["secret", "certificate", "federated", "managed"])
def test_all_is_well(relay, stage, name):
    found = look(relay, upn(name))
    assert found.status == 0 and found.not_ok() == [], found.text
    assert found.verdict("oauth2-token") == found.verdict("auth") == "ok"
    assert name == "managed" or found.verdict("oauth2-tls") == found.verdict("oauth2-clock") == found.verdict("oauth2-tenant") == "ok"
    assert found.all("passwords") == [] and stage.apps[name].object_id in found["oauth2-object-id"]["seen"]
    assert stage.apps[name].secret is None or stage.apps[name].secret not in found.text
    people = read(relay, "--force", upn(name))
    assert people.status == 0 and "0 warnings, 0 wrong, 0 not tried\n" in people.text


# --- what Entra refuses ---

def refused(found, cause, check="oauth2-token"):
    """There is no token for this cause, nobody has logged in, and the remedy is shown with all names filled in."""
    line = found[check]
    assert line["verdict"] == "wrong" and cause in line["seen"], found.text
    assert line["meaning"] and line["remedy"] and not re.search("<(registration|client id|tenant|UPN)>", line["remedy"]), line
    assert found.status == 1 and [finding["verdict"] for finding in found.all("auth")] == ["not tried"] and found.errors == ""
    return line


def test_a_tenant_that_is_none(relay, stage):
    found = look(relay, upn("tenant"))
    assert "tenant-unknown" in refused(found, "(tenant-unknown)")["seen"]
    assert "tenant-unknown" in refused(found, "tenant-unknown", "oauth2-tenant")["seen"] and stage.apps["tenant"].file in found["oauth2-tenant"]["remedy"]
    assert found.verdict("oauth2-tls") == "ok"


def test_a_tenant_of_another_cloud(relay):
    found = look(relay, upn("cloud"))
    refused(found, "cloud-wrong", "oauth2-tenant")
    assert "usgov (GCC High)" in refused(found, "(cloud-wrong)")["remedy"]


def test_a_secret_that_has_expired(relay):
    assert "AADSTS7000222" in refused(look(relay, upn("expired")), "(secret-expired)")["seen"]


def test_the_secrets_id_in_place_of_its_value(relay, stage):
    app = stage.apps["id"]
    found = look(relay, upn("id"))
    refused(found, "form of a secret's ID", "oauth2-secret")
    assert "not Secret ID" in refused(found, "(secret-wrong)")["remedy"] and app.secret_id not in found.text


def test_a_certificate_that_was_not_uploaded(relay):
    found = look(relay, upn("unknown"))
    assert "Upload" in refused(found, "(certificate-unknown)")["remedy"]
    assert found.verdict("oauth2-certificate") == found.verdict("oauth2-key") == "ok"


# --- tokens that are for something else ---

def test_the_wrong_audience(relay):
    found = look(relay, upn("audience"))
    line = found["oauth2-audience"]
    assert line["verdict"] == "wrong" and "https://graph.microsoft.com" in line["seen"] and "`scope`" in line["remedy"]
    assert found.verdict("oauth2-token") == "ok" and "(token-refused)" in found["auth"]["seen"]
    assert "(token-unfit)" in found["oauth2-refusal"]["seen"] and found.all("oauth2-permission-rbac") == []


# --- what Exchange Online refuses ---

def test_the_wrong_principal(relay, stage):
    app = stage.apps["principal"]
    found = look(relay, upn("principal"))
    assert wrong(found) == ["auth", "oauth2-refusal"] and "(principal-or-scope)" in found["oauth2-refusal"]["seen"]
    assert f"# If ObjectId is not {app.object_id}:" in found["oauth2-refusal"]["commands"]
    text = "\n".join(found["oauth2-permission-rbac"]["commands"])
    assert f"-AppId {app.client_id} -ObjectId {app.object_id}" in text and f"-Member {upn('principal')}" in text


def test_a_mailbox_outside_the_scope(relay):
    """First what the same run shows, then what post365-tokend remembers."""
    found = look(relay, upn("scope"), upn("inside"))
    for seen in (found, look(relay, upn("scope"))):
        assert wrong(seen) == ["auth", "oauth2-refusal"]
        assert seen["oauth2-refusal"]["account"] == upn("scope")
        assert f"another account, {upn('inside')} (outside-scope)" in seen["oauth2-refusal"]["seen"]
        assert "two hours ago, wait" in seen["oauth2-refusal"]["remedy"]


def test_a_gate_that_is_closed_with_a_good_token(relay, stage):
    stage.office365.set_mailbox(upn("gate"), smtp_auth=False)
    found = look(relay, upn("gate"))
    assert wrong(found) == ["auth", "gate-3", "oauth2-refusal"] and "(gate-closed)" in found["oauth2-refusal"]["seen"]
    assert f"Set-CASMailbox -Identity {upn('gate')} -SmtpClientAuthenticationDisabled $false" in found["oauth2-refusal"]["commands"]


def test_a_mailbox_that_the_classic_model_does_not_open(relay, stage, module_place):
    """AUTH is accepted; what comes at the end of a message is known from the account's pause."""
    module_place.add(relay.postfix).start()
    (relay.postfix.queue_directory / "public").chmod(0o755)
    relay.submit(upn("classic"), ["a@dest.example"], f"From: {upn('classic')}\nSubject: classic\n".encode())
    refused_by = stage.office365.wait_for(lambda entry: entry["event"] == "refused" and "4.2.0" in entry["reply"])
    assert refused_by
    assert processes.wait_until(lambda: "mailbox-logon" in look(relay, upn("classic")).text, 60)
    found = look(relay, upn("classic"))
    assert found.verdict("auth") == "ok" and "classic" in found["oauth2-permission"]["seen"]
    assert "(mailbox-permission)" in found["oauth2-refusal"]["seen"]
    assert any(line.startswith("New-ManagementRoleAssignment") for line in found["oauth2-permission-rbac"]["commands"])


# --- the clock, the way ---

def test_a_clock_that_is_20_minutes_off(relay, stage):
    stage.entra.set(clock=1200)
    try:
        found = look(relay, upn("clock"))
    finally:
        stage.entra.set(clock=0)
    clock = found["oauth2-clock"]
    assert clock["verdict"] == "wrong" and re.search(r"\b(1[12]\d\d s|20 min)", clock["seen"]) and "timedatectl" in clock["remedy"]


def test_tls_is_inspected(relay, stage):
    fault = stage.entra.fault(stage="tls", certificate="inspection")
    stage.entra.control({"command": "drop_connections"})
    try:
        found = look(relay, upn("secret"))
    finally:
        stage.entra.control({"command": "remove_fault", "id": fault})
    line = found["oauth2-tls"]
    assert line["verdict"] == "wrong" and "endpoint-untrusted" in line["seen"] and "nspection" in line["seen"]
    assert "post365_oauth2_CAfile" in line["remedy"] and "inspects TLS" in line["meaning"]
    assert found.verdict("oauth2-token") == found.verdict("oauth2-tenant") == "not tried"


def test_nobody_is_there(relay, stage):
    stage.entra.down()
    try:
        found = look(relay, upn("secret"))
    finally:
        stage.entra.up()
    assert "endpoint-unreachable" in found["oauth2-connect"]["seen"] and "port 443" in found["oauth2-connect"]["remedy"]
    # Mail, and the login here, go by the token that there is.
    assert found.verdict("auth") == "ok"


# --- logins by people ---

def log_in(stage, account, user):
    """`post365 login ACCOUNT`, and `user` types the code."""
    words = [command.PROGRAM, "-c", stage.relay.postfix.config_directory, "login", account]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        stage.entra.type_code(stage.entra.wait_for_code(), user)
        return process.wait(30), process.stdout.read()


def test_a_login_by_the_account_itself(relay, stage):
    status, text = log_in(stage, upn("person"), upn("person"))
    assert status == 0, text
    found = look(relay, upn("person"))
    assert found.status == 0 and found.verdict("oauth2-user") == "ok", found.text


def test_a_device_login_by_somebody_else(relay, stage):
    """It is refused, and remembered."""
    status, text = log_in(stage, upn("somebody"), upn("nobody"))
    assert status != 0 and "grant-of-another" in text
    line = refused(look(relay, upn("somebody")), "(grant-of-another)")
    assert f"{upn('nobody')} logged in" in line["seen"] and f"`post365 login {upn('somebody')}`" in line["remedy"]


def test_a_device_login_by_somebody_whom_the_token_does_not_name(relay, stage):
    """At the login, since it was encrypted: so that it was stored."""
    fault = stage.entra.fault(kind="poll", client_id=stage.apps["somebody"].client_id, replace={"access_token": "opaque"})
    status, text = log_in(stage, upn("somebody"), upn("nobody"))
    stage.entra.control({"command": "remove_fault", "id": fault})
    assert status == 0, text
    found = look(relay, upn("somebody"))
    user = found["oauth2-user"]
    assert user["verdict"] == "wrong" and upn("nobody") in user["seen"] and f"`post365 login {upn('somebody')}`" in user["remedy"]
    assert found.verdict("oauth2-token") == "ok" and "(token-unfit)" in found["oauth2-refusal"]["seen"]


def test_nobody_has_logged_in(relay):
    assert f"`post365 login {upn('nobody')}`" in refused(look(relay, upn("nobody")), "(login-needed)")["remedy"]


# --- files ---

def test_a_secret_that_ends_in_days(relay):
    found = look(relay, upn("soon"))
    assert found.not_ok() == ["oauth2-secret-end"] and re.search("in [45] days", found["oauth2-secret-end"]["seen"])


def test_a_new_secret_that_entra_does_not_know(relay, stage):
    stage.apps["renewed"].put("secret", "a new one that nobody knows\n")
    assert processes.wait_until(lambda: "the former one still serves" in stage.tokend.log(), 60)
    found = look(relay, upn("renewed"))
    line = found["oauth2-token"]
    assert line["verdict"] == "warning" and "(secret-wrong)" in line["seen"] and "AADSTS7000215" in line["seen"], found.text
    assert line["remedy"] and found.not_ok() == ["oauth2-token"]


def test_a_registration_with_a_mistake(relay):
    found = look(relay, upn("typo"))
    assert "tenat" in refused(found, "tenat", "oauth2-registration")["seen"]


def seen_by_both(found, check, row):
    """By the doctor's own eyes, and by post365-tokend's."""
    assert found.verdict(check) == found.verdict("oauth2-file") == "wrong"
    assert row in found["oauth2-file"]["seen"] and found[check]["meaning"] == found["oauth2-file"]["meaning"]
    refused(found, f"({row})")


def test_a_secret_file_that_is_not_there(relay):
    seen_by_both(look(relay, upn("missing")), "oauth2-secret", "secret-file-missing")


def test_a_secret_file_that_all_may_read(relay):
    seen_by_both(look(relay, upn("open")), "oauth2-secret", "secret-file-open")


def test_a_secret_file_of_somebody_else(relay):
    seen_by_both(look(relay, upn("owner")), "oauth2-secret", "secret-file-unreadable")


def test_a_key_that_is_another_certificates(relay):
    seen_by_both(look(relay, upn("pair")), "oauth2-key", "certificate-key-differs")


def test_a_certificate_that_is_over(relay):
    found = look(relay, upn("over"))
    assert "ended on" in refused(found, "ended on", "oauth2-certificate")["seen"]
    assert found.verdict("oauth2-token") == "wrong"


# --- the daemon and the proxy: last, since they end it ---

def test_tokend_is_down_and_a_proxy_wants_a_login(relay, stage):
    stage.tokend.stop()
    found = look(relay, upn("secret"))
    assert found.verdict("oauth2-daemon") == "wrong" and found.verdict("auth") == "not tried"
    assert "systemctl status post365-tokend" in found["oauth2-daemon"]["remedy"]
    stage.entra.set(proxy_login="somebody:secret")
    relay.postfix.configure({**relay.postfix.parameters, "post365_oauth2_proxy": stage.entra.proxy})
    stage.tokend.start()
    found = look(relay, upn("secret"))
    assert "407" in found["oauth2-connect"]["seen"] and "proxy-refused" in found["oauth2-connect"]["seen"]
    assert "407 means" in found["oauth2-connect"]["remedy"]
