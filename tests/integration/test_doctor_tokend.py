"""post365 doctor and what post365-tokend tells it, the daemon played by the test: each step of the way, what a token says of
itself, and why Exchange Online refuses it. The tokens are the stand-in's for Entra ID, and the one for Office 365 judges them."""

import contextlib
import os
import shutil
import time

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from doctoring import examine, read

from harness.entra import TENANT, USER, Entra, make_certificate
from harness.fake_tokend import FakeTokend
from harness.office365 import Office365
from harness.relay import UPN, Relay
from harness.workplace import USER as POST365

SECOND, THIRD = "sales@example.com", "o'brien@example.com"
STEPS = ["resolve", "connect", "tls", "tenant", "clock"]


class PlayedTokend(FakeTokend):
    """Hands out tokens of `app`, made as its registration would get them."""

    def __init__(self, path, entra, app):
        super().__init__(path)
        self.entra, self.app = entra, app
        self.steps = {name: ("ok", f"{name} is as it should be") for name in ["file", *STEPS]}
        self.renewed = {"result": "done", "id": "0123abcd", "left": 3540, "registration": app.file}
        self.options = {}
        self.told = {"registration": app.file, "state": "fresh", "grant": "app", "credential": "secret", "tenant": TENANT,
                     "client_id": app.client_id, "cloud": "global", "left": 3540, "id": "0123abcd", "issued": int(time.time()), "requests": 1, "refused": 0,
                     "accounts": 2, "model": "rbac", "claim_aud": "https://outlook.office365.com", "claim_tid": TENANT,
                     "claim_app": app.client_id, "claim_oid": app.object_id}
        self.subjects.append(self.told)

    def _check(self, peer, _request):
        peer.say(result="done", lines=[("step", f"{name} {result} {text}") for name, (result, text) in self.steps.items()])

    def _renew(self, peer, _request):
        peer.say(**self.renewed)

    def _token(self, peer, _request):
        if self.renewed["result"] != "done":
            peer.say(**self.renewed)
        else:
            peer.say(result="done", token=self.entra.make_token(self.app.client_id, **self.options), id="0123abcd", left=3540,
                     registration=self.app.file)

    def _verdict(self, peer, _request):
        peer.say(result="done", again=0)

    def asked(self, kind):
        return [request for request in self.requests if request["request"] == kind]


@pytest.fixture(scope="module")
def stage(module_place):
    """A relay with an application of one secret for three accounts."""
    office365 = module_place.add(Office365(module_place.directory / "office365", mailboxes={
        UPN: {}, SECOND: {}, THIRD: {}})).start()
    entra = module_place.add(Entra(module_place.directory / "entra", office365)).start()
    app = entra.app("secret", accounts=[UPN, SECOND, THIRD])
    app.write(client_secret_expires="2035-01-01")
    relay = Relay(module_place.directory / "relay", office365, transport=[UPN, SECOND, THIRD],
                  passwords={SECOND: f"{SECOND}:password"},  # which OAuth2 comes before
                  parameters={"authorized_submit_users": "root", "smtpd_sender_login_maps": f"inline:{{ {{ {UPN} = joe }} }}"},
                  post365={"post365_upn": UPN, **entra.parameters(),
                           "post365_oauth2_maps": {upn: app.file for upn in (UPN, SECOND, THIRD)}})
    for daemon in (relay.policyd, relay.milter, relay.transport):
        module_place.add(daemon).start()
    return relay, entra, app


@pytest.fixture
def relay(stage):
    return stage[0]


@pytest.fixture
def app(stage):
    stage[2].allow(UPN, SECOND, THIRD)
    yield stage[2]
    stage[2].write(client_secret_expires="2035-01-01")
    stage[2].set_principal("right")


@pytest.fixture
def directory(relay):
    path = relay.postfix.queue_directory / "post365" / "oauth2"
    path.mkdir(mode=0o750, exist_ok=True)
    path.chmod(0o750)
    shutil.chown(path, USER, POST365)
    return path


@pytest.fixture
def tokend(stage, directory, app):
    made = PlayedTokend(directory / "tokens", stage[1], app)
    shutil.chown(made.path, USER, POST365)
    yield made
    made.stop()


def pem_of(key):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def look(relay, *words):
    return examine(relay, "--force", *words)


# --- all is well ---

def test_all_is_well(relay, app, tokend):
    found = look(relay, UPN, SECOND, THIRD)
    assert found.status == 0 and found.not_ok() == [], found.text
    assert TENANT in found["oauth2-registration"]["seen"] and "2035-01-01" in found["oauth2-secret-end"]["seen"]
    assert {finding["seen"] for finding in found.all("credentials")} == {f"OAuth2, by {app.file}, for localhost"}
    assert "good for 59 minutes" in found["oauth2-token"]["seen"]
    assert app.object_id in found["oauth2-object-id"]["seen"] and "RBAC" in found["oauth2-permission"]["seen"]
    for step in STEPS:
        assert found.verdict(f"oauth2-{step}") == "ok"
    for upn in (UPN, SECOND, THIRD):
        assert [finding["verdict"] for finding in found.all("auth") if finding["account"] == upn] == ["ok"]
    assert found.all("passwords") == []
    # Once for the registration, and what was accepted is told.
    assert len(tokend.asked("renew")) == len(tokend.asked("check")) == 1
    assert {request["account"] for request in tokend.asked("verdict")} == {UPN, SECOND, THIRD}
    assert app.secret not in found.text + found.errors


def test_all_is_well_for_people(relay, tokend):
    found = read(relay, "--force", UPN)
    assert found.status == 0, found.text
    assert "\nOAuth2\n" in found.text and max(map(len, found.text.splitlines())) <= 100


# --- files ---

@pytest.fixture
def other(stage, tokend):
    """Makes an application of a kind whose registration is the account's in this test."""
    def make(kind, **names):
        made = stage[1].app(kind, accounts=[UPN])
        made.write(**names)
        tokend.told.update(registration=made.file, client_id=made.client_id, claim_app=made.client_id, claim_oid=made.object_id)
        tokend.renewed["registration"] = made.file
        tokend.app = made
        return made
    return make


def look_with(relay, made):
    return examine(relay, "--force", UPN, options=["-o", f"post365_oauth2_maps=inline:{{ {{ {UPN} = {made.file} }} }}"])


def in_a_closed_directory(made):
    made.directory.chmod(0o700)


def empty(made):
    made.put("secret", "\n")


def the_id(made):
    made.put("secret", f"{made.secret_id}\n")


def a_pipe(made):
    os.unlink(made.directory / "secret")
    os.mkfifo(made.directory / "secret", 0o600)
    shutil.chown(made.directory / "secret", USER)


def a_link(made):
    os.rename(made.directory / "secret", made.directory / "elsewhere")
    os.symlink(made.directory / "elsewhere", made.directory / "secret")


def given_away(made):
    """With a group that may read, as that of the daemon does, but somebody else's."""
    shutil.chown(made.directory / "secret", "nobody", USER)
    (made.directory / "secret").chmod(0o640)


def two_lines(made):
    made.put("secret", f"{made.secret}\n{made.secret}\n")


SECRETS = [(in_a_closed_directory, "may not read it", "cannot be read"),
           (empty, "is empty", "does not hold what it should"), (the_id, "form of a secret's ID", "often it is the secret's ID"),
           (two_lines, "more than one line", "does not hold"), (a_link, "symbolic link", "does not hold"), (given_away, "of nobody", "by other"),
           (a_pipe, "no regular file", "no regular file")]


@pytest.mark.parametrize("spoil, seen, meaning", SECRETS, ids=[row[0].__name__ for row in SECRETS])
def test_a_secret_file(relay, other, spoil, seen, meaning):
    made = other("secret", client_secret_expires="2035-01-01")
    spoil(made)
    found = look_with(relay, made)
    wrong = found["oauth2-registration" if spoil == in_a_closed_directory else "oauth2-secret"]
    assert wrong["verdict"] == "wrong" and seen in wrong["seen"], found.text
    assert meaning in wrong["meaning"] and wrong["remedy"] and "<registration>" not in wrong["remedy"]
    assert made.secret not in found.text and made.secret_id not in found.text and found.errors == ""


def test_a_key_that_is_another_certificates(relay, other):
    made = other("certificate")
    key, _ = make_certificate()
    made.put("key.pem", pem_of(key))
    found = look_with(relay, made)
    assert found.not_ok() == ["oauth2-key"] and found["oauth2-key"]["meaning"] == "The key is not the certificate's."


def test_a_certificate_that_is_right(relay, other):
    made = other("certificate")
    found = look_with(relay, made)
    assert found.status == 0 and found.not_ok() == [], found.text
    assert made.certificate.fingerprint(hashes.SHA1()).hex().upper() in found["oauth2-certificate"]["seen"]
    assert "it is the certificate's" in found["oauth2-key"]["seen"]


@pytest.mark.parametrize("days, verdict, seen", [(5.5, "warning", "in 5 days"), (40, "ok", "good until")])
def test_a_certificate_that_ends(relay, other, days, verdict, seen):
    made = other("certificate")
    made.new_certificate(days=days)
    made.write()
    found = look_with(relay, made)
    assert found.verdict("oauth2-certificate") == verdict and seen in found["oauth2-certificate"]["seen"]
    assert (found["oauth2-certificate"]["remedy"] is None) == (verdict == "ok")


def test_a_certificate_that_is_none(relay, other):
    made = other("certificate")
    made.put("certificate.pem", "-----BEGIN NOTHING-----\n", 0o644)
    found = look_with(relay, made)
    assert found.verdict("oauth2-certificate") == "wrong" and "RSA" in found["oauth2-certificate"]["meaning"]


@pytest.mark.parametrize("days, verdict, seen", [(5, "warning", "in 4 days"), (-1, "warning", "ended on"), (None, "note", "not said")])
def test_the_end_that_is_declared(relay, other, days, verdict, seen):
    day = None if days is None else time.strftime("%Y-%m-%d", time.gmtime(time.time() + days * 86400))
    found = look_with(relay, other("secret", client_secret_expires=day))
    end = [finding for finding in found.findings if finding["check"] == "oauth2-secret-end"][0]
    assert end["verdict"] == verdict and seen in end["seen"] and "client_secret_expires" in end["remedy"]
    assert found.status == (verdict == "warning")


@pytest.mark.parametrize("names, seen", [({"tenat": TENANT}, "tenat"), ({"client_secret_file": None}, "client_secret_file"), ({"tenant": "common"}, "common")])
def test_a_registration_with_a_mistake(relay, other, names, seen):
    made = other("secret", **names)
    found = look_with(relay, made)
    wrong = found["oauth2-registration"]
    assert wrong["verdict"] == "wrong" and seen in wrong["seen"] and made.file in wrong["seen"], wrong
    assert "post365_oauth2(5)" in wrong["remedy"] and found.errors == ""


def test_a_registration_that_is_not_there_or_anybodys(relay, other):
    made = other("secret", client_secret_expires="2035-01-01")
    os.chmod(made.file, 0o664)
    found = look_with(relay, made)
    assert found.not_ok() == ["oauth2-registration"] and found.verdict("oauth2-registration") == "warning"
    assert "another authority" in found["oauth2-registration"]["meaning"]
    os.chmod(made.file, 0o666)
    assert "every user of this host may write it" in look_with(relay, made)["oauth2-registration"]["seen"]
    os.unlink(made.file)
    assert "No such file" in look_with(relay, made)["oauth2-registration"]["seen"]


def test_a_credential_of_systemds(relay, other):
    made = other("secret", client_secret_file="credential:contoso", client_secret_expires="2035-01-01")
    found = look_with(relay, made)
    assert found.not_ok() == ["oauth2-secret"] and found.verdict("oauth2-secret") == "not tried"
    assert "while post365-tokend runs" in found["oauth2-secret"]["seen"]


def test_federated_and_managed(relay, other):
    assert look_with(relay, other("federated")).not_ok() == []
    found = look_with(relay, other("managed"))
    assert found.not_ok() == [] and "managed identity" in found["oauth2-registration"]["seen"]


# --- the daemon ---

def test_tokend_is_down(relay, directory, app):
    found = look(relay, UPN)
    assert found.verdict("oauth2-daemon") == found.verdict("oauth2-socket") == "wrong"
    assert "systemctl status post365-tokend" in found["oauth2-daemon"]["remedy"]
    assert found.verdict("auth") == "not tried" and found.all("oauth2-token") == []
    directory.rmdir()
    assert "No such file" in look(relay, UPN)["oauth2-socket"]["seen"]


def test_the_transport_may_not_connect(relay, tokend, directory):
    directory.chmod(0o700)
    found = look(relay, UPN)
    assert found.not_ok() == ["oauth2-socket"] and found.verdict("oauth2-socket") == "wrong"
    assert f"of {USER}:{POST365}" in found["oauth2-socket"]["seen"] and "Permission denied" in found["oauth2-socket"]["seen"]
    assert "mode 2750" in found["oauth2-socket"]["remedy"]
    directory.chmod(0o755)
    assert look(relay, UPN).verdict("oauth2-socket") == "warning"


def test_whoever_is_not_root(relay, tokend):
    """What he may not see is not tried, and nothing is wrong for that."""
    found = examine(relay, "--force", UPN, options=["-o", "post365_password_maps="], user="nobody", group="nogroup", extra_groups=[])
    told = {finding["check"]: finding["verdict"] for finding in found.findings if finding["check"].startswith("oauth2-")}
    assert told == {"oauth2-registration": "ok", "oauth2-secret": "not tried", "oauth2-secret-end": "ok", "oauth2-socket": "not tried",
                    "oauth2-daemon": "not tried"}, found.text
    assert found.errors == "" and tokend.requests == []


def test_a_registration_that_tokend_does_not_know(relay, stage, tokend):
    made = stage[1].app("secret", accounts=[UPN])
    made.write(client_secret_expires="2035-01-01")
    found = look_with(relay, made)
    assert "systemctl reload post365-tokend" in found["oauth2-daemon"]["remedy"] and made.file in found["oauth2-daemon"]["tried"]
    assert tokend.asked("renew") == []


def garbage(peer, _request):
    peer.connection.sendall(b"\0\033[31m garbage\n\n")


def escapes(peer, _request):
    peer.say(result="error", reason="\033[31mnot now\033[2J")


def goodbye(peer, _request):
    peer.hang_up()


def endless(peer, _request):
    with contextlib.suppress(OSError):
        for _ in range(200):
            peer.connection.sendall(b"step=tls ok x\n" * 1000)


@pytest.mark.parametrize("request_, answer", [("list", garbage), ("list", endless), ("check", goodbye), ("check", escapes), ("status", garbage),
                                              ("renew", escapes), ("renew", endless), ("token", goodbye), ("token", escapes)],
                         ids=lambda value: getattr(value, "__name__", value))
def test_whatever_answers_there(relay, tokend, request_, answer):
    tokend.answers[request_] = answer
    found = look(relay, UPN)
    assert found.status == 1 and found.errors == "" and "\033" not in found.text
    assert [finding["verdict"] for finding in found.all("auth")] == (["ok"] if (request_, answer) in [
        ("check", escapes), ("renew", escapes)] else ["not tried"])


# --- the way ---

WAYS = [
    ("resolve", "endpoint-unresolved: login.microsoftonline.com: Name or service not known", "has no address", "getent hosts"),
    ("connect", "endpoint-timeout: nothing came within 30 s", "did not answer within", "firewall"),
    ("tls", "endpoint-expired: the certificate has expired", "not valid at this time", "timedatectl"),
    ("tenant", "no word of it", "no such organisation", "Directory (tenant) ID"),
]


@pytest.mark.parametrize("step, text, meaning, remedy", WAYS, ids=[row[0] for row in WAYS])
def test_a_step_that_fails(relay, tokend, step, text, meaning, remedy):
    tokend.steps[step] = ("wrong", text)
    if step in ("resolve", "connect", "tls"):
        tokend.steps |= {later: ("unknown", "not tried") for later in STEPS[STEPS.index(step) + 1:]}
        tokend.renewed = {"result": "later", "cause": text.split(":")[0], "reason": text, "until": int(time.time()) + 60,
                          "registration": tokend.told["registration"]}
    found = look(relay, UPN)
    assert found.status == 1
    wrong = found[f"oauth2-{step}"]
    assert wrong["verdict"] == "wrong" and wrong["seen"] == text, wrong
    assert meaning in wrong["meaning"] and remedy in wrong["remedy"] and "<registration>" not in found.text
    assert found.errors == ""
    if step in ("resolve", "connect", "tls"):
        assert found.verdict("oauth2-token") == "not tried" and tokend.asked("renew") == []


# --- the token ---

def test_what_tokend_is_told_by_the_endpoint(relay, tokend, app):
    tokend.renewed = {"result": "stopped", "cause": "secret-expired", "reason": "AADSTS7000222: The provided client secret keys are expired.",
                      "until": int(time.time()) + 3600, "registration": app.file}
    found = look(relay, UPN)
    token = found["oauth2-token"]
    assert token["verdict"] == "warning" and "7000222" in token["seen"] and "(secret-expired)" in token["seen"]
    assert "59 more minutes" in token["meaning"] and app.client_id in token["remedy"] and app.file in token["remedy"]
    assert "(secret-expired)" in found["auth"]["seen"]
    del tokend.told["left"], tokend.told["id"], tokend.told["issued"]
    tokend.told["state"] = "stopped"
    assert look(relay, UPN).verdict("oauth2-token") == "wrong"


def test_one_renewal_a_minute(relay, tokend):
    assert look(relay, UPN).verdict("oauth2-token") == "ok"
    again = examine(relay, UPN)
    assert again.verdict("oauth2-token") == "not tried" and "--force" in again["oauth2-token"]["seen"]
    assert len(tokend.asked("renew")) == 1


CLAIMS = [
    ({"claim_tid": "11111111-2222-4333-8444-555555555555"}, "tenant-id", "not the registration's", "`tenant`"),
    ({"claim_app": "11111111-2222-4333-8444-555555555555"}, "app-id", "not the registration's", "`client_id`"),
    ({"model": "delegated", "claim_scp": "User.Read"}, "permission", "SMTP.Send is not among it", "delegated permission"),
]


@pytest.mark.parametrize("claims, check, seen, remedy", CLAIMS, ids=[row[1] for row in CLAIMS])
def test_a_token_that_is_not_for_this(relay, tokend, claims, check, seen, remedy):
    tokend.told.update(claims)
    tokend.options = {"audience": "https://graph.microsoft.com"}
    found = look(relay, UPN)
    wrong = found[f"oauth2-{check}"]
    assert wrong["verdict"] == "wrong" and seen in wrong["seen"] and remedy in wrong["remedy"] and wrong["meaning"]
    assert "(token-refused)" in found["auth"]["seen"] and "(token-unfit)" in found["oauth2-refusal"]["seen"]
    assert found.all("oauth2-permission-rbac") == []


@pytest.fixture
def person(relay, stage, tokend, other):
    """The same with logins by device code: `grant = user`, one of each account."""
    made = other("device")
    tokend.told.update(account=UPN, grant="user", credential="none", model="delegated", claim_scp="SMTP.Send", claim_user=UPN,
                       claim_oid="0ddba115-365a-4365-8365-0123456789ab")
    tokend.options = {"claims": {"scp": "SMTP.Send", "upn": UPN}}
    return made


def test_a_login_of_the_account_itself(relay, tokend, person):
    found = look_with(relay, person)
    assert found.verdict("oauth2-user") == "ok" and found["oauth2-token"]["account"] == UPN
    assert "on behalf of the user" in found["oauth2-permission"]["seen"] and found.all("oauth2-object-id") == []
    assert tokend.asked("renew")[0]["account"] == UPN and "device code" in found["oauth2-registration"]["seen"]


# --- Exchange Online ---

def typed(finding):
    return "\n".join(finding["commands"])


def test_a_mailbox_outside_the_scope(relay, tokend, app):
    app.allow(UPN, SECOND)
    found = look(relay, UPN, SECOND, THIRD)
    refusal = found["oauth2-refusal"]
    assert refusal["account"] == THIRD and "(outside-scope)" in refusal["seen"]
    assert UPN in refusal["seen"] or SECOND in refusal["seen"]
    assert "less than two hours ago, wait" in refusal["remedy"]
    assert "Add-DistributionGroupMember -Identity post365 -Member 'o''brien@example.com'" in refusal["commands"]
    assert refusal["commands"][-1] == f"Test-ServicePrincipalAuthorization -Identity {app.client_id} -Resource 'o''brien@example.com'"
    assert [finding["verdict"] for finding in found.all("auth")].count("ok") == 2


def test_a_mailbox_outside_the_scope_by_what_tokend_knows(relay, tokend, app):
    app.allow(UPN)
    tokend.told.update(accepted_for=UPN, accepted_at=int(time.time()))
    refusal = look(relay, SECOND)["oauth2-refusal"]
    assert "(outside-scope)" in refusal["seen"] and UPN in refusal["seen"]
    # What it knows of the account itself says nothing of others.
    tokend.told.update(accepted_for=SECOND)
    assert "(principal-or-scope)" in look(relay, SECOND)["oauth2-refusal"]["seen"]


def test_no_principal(relay, tokend, app):
    app.set_principal(None)
    found = look(relay, UPN, SECOND)
    assert [finding["account"] for finding in found.all("oauth2-refusal")] == [UPN, SECOND]
    refusal = found.all("oauth2-refusal")[0]
    assert "(principal-or-scope)" in refusal["seen"] and "app registration" in refusal["meaning"]
    assert "two hours ago, wait" in refusal["remedy"] and f"# If ObjectId is not {app.object_id}:" in refusal["commands"]
    rbac, classic = found["oauth2-permission-rbac"], found["oauth2-permission-classic"]
    assert rbac["verdict"] == classic["verdict"] == "note"
    assert f"New-ServicePrincipal -AppId {app.client_id} -ObjectId {app.object_id} -DisplayName post365" in rbac["commands"]
    assert f"Add-DistributionGroupMember -Identity post365 -Member {SECOND}" in rbac["commands"]
    assert rbac["commands"][-1].startswith("Test-ServicePrincipalAuthorization")
    assert f"Add-MailboxPermission -Identity {UPN} -User {app.object_id} -AccessRights FullAccess" in classic["commands"]
    order = [finding["check"] for finding in found.findings]
    assert order.index("oauth2-permission-rbac") < order.index("oauth2-permission-classic")
    people = read(relay, "--force", UPN).text
    assert f"\n    New-ManagementRoleAssignment -Name post365 -Role 'Application SMTP.SendAsApp' -App {app.client_id} " in people


def test_the_gate_of_the_organisation_is_closed_and_the_token_good(relay, tokend):
    relay.office365.set(tenant_switch=True)
    try:
        found = look(relay, UPN)
    finally:
        relay.office365.set(tenant_switch=False)
    assert found.verdict("oauth2-token") == "ok" and "5.7.139" in found["auth"]["seen"]
    refusal = found["oauth2-refusal"]
    assert "(gate-closed)" in refusal["seen"] and "No new token" in refusal["meaning"]
    assert f"Set-CASMailbox -Identity {UPN} -SmtpClientAuthenticationDisabled $false" in refusal["commands"]
    assert found.all("oauth2-permission-rbac") == []
