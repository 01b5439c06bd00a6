"""post365 setup takes accounts over that log in with OAuth2 by other programs, and moves others when it is asked to."""

import json
import pwd

import pytest
from setup_shapes import RECIPE, SECOND, Shape, applied, make, run_setup, undone

from harness.relay import PASSWORD, UPN
from harness.workplace import USER

TENANT = "11111111-2222-3333-4444-555555555555"
CLIENT = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
SECRET = "s3~cret.Value-of/the+app"
REFRESH = "0.refresh-token-that-nobody-shall-see"
ENDPOINT = f"https://login.microsoftonline.com/{TENANT}/oauth2/v2.0/token"
OWNER = f"post365_oauth2_user = {USER}\n"


def rows(done, kind):
    return [row for row in map(json.loads, done.stdout.splitlines()) if row["kind"] == kind]


def shown(*calls):
    return "".join(done.stdout + done.stderr for done in calls)


def value(postfix, name):
    return postfix.command("postconf", "-hx", name).stdout.strip()


def registration_of(postfix, account=UPN):
    return postfix.command("postmap", "-q", account, value(postfix, "post365_oauth2_maps")).stdout.strip()


def lines_of(path):
    return dict(line.split(" = ") for line in path.read_text().splitlines() if not line.startswith("#"))


# --- sasl-xoauth2 ---

@pytest.fixture
def plugin(place):
    """A relay as that plugin's README has it; `chrooted` where its smtp(8) is."""
    def make_it(configuration, tokens=None, chrooted=False, more=""):
        path = f"{place.directory}/tokens/{UPN}"
        shape = Shape(RECIPE + "smtp_sasl_mechanism_filter = xoauth2\n" + OWNER + more,
                      passwords={"[localhost]:{port}": f"{UPN}:{path}"})
        postfix = make(place, shape)
        file = postfix.queue_directory / path[1:] if chrooted else postfix.config_directory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"access_token": "a", "expiry": "0", "refresh_token": REFRESH, **(tokens or {})}))
        named = place.directory / "sasl-xoauth2.conf"
        named.write_text(json.dumps(configuration))
        return postfix, str(named)
    return make_it


CONFIGURATION = {"client_id": CLIENT, "client_secret": "", "token_endpoint": ENDPOINT}


@pytest.mark.parametrize("chrooted", [False, True])
def test_the_plugin_is_taken_over(plugin, chrooted):
    postfix, named = plugin(CONFIGURATION, chrooted=chrooted)
    before = postfix.contents()
    done = run_setup(postfix, "--oauth2", named, "--json")
    assert done.returncode == 1 and postfix.contents() == before
    assert {row["name"] for row in rows(done, "change")} >= {f"{TENANT}.cf", "post365_oauth2_maps"}
    assert any(f"post365 login {UPN}" in row["text"] for row in rows(done, "remark"))
    assert not [row for row in rows(done, "duty") if "cannot log in" in row["text"]]
    applied(postfix, "--oauth2", named)
    registration = postfix.config_directory.parent / "post365" / f"{TENANT}.cf"
    assert registration_of(postfix) == str(registration) and registration.stat().st_mode & 0o777 == 0o644
    assert lines_of(registration) == {"tenant": TENANT, "client_id": CLIENT, "grant": "user"}
    assert postfix.command("postconf", "-n").stderr == ""
    again = run_setup(postfix, "--oauth2", named)
    assert again.returncode == 0 and "set up already" in again.stdout
    undone(postfix)
    assert postfix.contents() == before and not (postfix.config_directory.parent / "post365").exists()
    assert REFRESH not in shown(done, again)


def test_the_plugin_s_secret_becomes_a_file_of_its_own(plugin):
    """Of the token file, which comes before the configuration; another account has the same application."""
    postfix, named = plugin({"client_id": "of nobody"}, {**CONFIGURATION, "client_secret": SECRET})
    before = postfix.contents()
    calls = [run_setup(postfix, "--oauth2", named), run_setup(postfix, "--oauth2", named, "--json"), applied(postfix, "--oauth2", named)]
    secret = postfix.config_directory.parent / "post365" / f"{TENANT}.secret"
    status = secret.stat()
    assert (secret.read_text(), status.st_mode & 0o777, status.st_uid) == (SECRET, 0o600, pwd.getpwnam(USER).pw_uid)
    assert lines_of(secret.with_suffix(".cf"))["client_secret_file"] == str(secret)
    assert "(not shown: it is a secret)" in calls[0].stdout and f"client_secret_file = {secret}" in calls[0].stdout
    assert "systemctl enable post365-tokend" in calls[2].stdout
    assert calls[2].stdout.index(f"post365 login {UPN}") < calls[2].stdout.index("postfix reload")
    kept = "".join(path.read_text() for path in (postfix.config_directory / "post365-setup").rglob("*") if path.is_file())
    assert SECRET not in shown(*calls) + kept and REFRESH not in shown(*calls) + kept
    undone(postfix)
    assert postfix.contents() == before and not (postfix.config_directory.parent / "post365").exists()


@pytest.mark.parametrize("configuration, reason", [
    ({"client_id": CLIENT}, "so that it is Google's"),
    ({**CONFIGURATION, "token_endpoint": "https://login.example.org/x/oauth2/v2.0/token"}, "none of Microsoft Entra"),
    ({**CONFIGURATION, "token_endpoint": ENDPOINT.replace(TENANT, "consumers")}, "personal accounts have no mailbox"),
    ({"token_endpoint": ENDPOINT}, "no client_id"),
    ({**CONFIGURATION, "client_id": "Thunderbird"}, "no GUID"),
])
def test_what_cannot_be_taken_over_from_the_plugin(plugin, configuration, reason):
    postfix, named = plugin(configuration)
    done = run_setup(postfix, "--oauth2", named, "--json")
    duties = " ".join(row["text"] for row in rows(done, "duty"))
    assert f"{UPN} logs in by sasl-xoauth2, and is not taken over" in duties and reason in duties
    assert "post365_oauth2_maps" not in {row["name"] for row in rows(done, "change")}


# --- email-oauth2-proxy ---

PROXY = f"""\
[Server setup]
documentation = Local servers are
    [SMTP-1587] for example

[SMTP-1587]
server_address = smtp-mail.outlook.com
server_port = 587
server_starttls = True
local_address = 127.0.0.1

[Account setup]
[your.office365.or.outlook.address@example.com]
token_url = https://login.microsoftonline.com/common/oauth2/v2.0/token
client_id = *** your client id here ***
client_secret = *** your client secret here ***

; the relay's
[{UPN}]
token_url: https://login.microsoftonline.com/{TENANT}/oauth2/v2.0/token
oauth2_scope = https://outlook.office365.com/.default
oauth2_flow = client_credentials
client_id = {CLIENT}
"""
RELAY = RECIPE.replace("[localhost]:{port}", "[127.0.0.1]:1587").replace("= secure", "= none") + OWNER


@pytest.fixture
def proxied(place):
    def make_it(section, passwords=None):
        postfix = make(place, Shape(RELAY, passwords=passwords or {"[127.0.0.1]:1587": f"{UPN}:{PASSWORD}"}))
        named = place.directory / "emailproxy.config"
        named.write_text(PROXY + section)
        return postfix, str(named)
    return make_it


def test_the_proxy_is_taken_over(proxied):
    postfix, named = proxied(f"client_secret = {SECRET}\n")
    before = postfix.contents()
    assert "email-oauth2-proxy" in run_setup(postfix).stdout
    calls = [run_setup(postfix, "--oauth2", named), applied(postfix, "--oauth2", named)]
    registration = postfix.config_directory.parent / "post365" / f"{TENANT}.cf"
    assert lines_of(registration) == {"tenant": TENANT, "client_id": CLIENT,
                                      "client_secret_file": str(registration.with_suffix(".secret"))}
    assert registration.with_suffix(".secret").read_text() == SECRET
    assert [value(postfix, name) for name in ("relayhost", "post365_upn")] == ["[smtp.office365.com]:587", UPN]
    assert registration_of(postfix) == str(registration)
    assert "login" not in calls[1].stdout and postfix.command("postconf", "-n").stderr == "" and postfix.check() == ""
    assert not [secret for secret in (SECRET, PASSWORD) if secret in shown(*calls)]
    assert "set up already" in run_setup(postfix).stdout
    undone(postfix)
    assert postfix.contents() == before and not (postfix.config_directory.parent / "post365").exists()


def test_the_proxy_s_certificate(proxied, place):
    files = {"jwt_certificate_path": place.directory / "c.pem", "jwt_key_path": place.directory / "k.pem"}
    for name, path in files.items():
        path.write_text(f"of {name}\n")
    postfix, named = proxied("".join(f"{name} = {path}\n" for name, path in files.items()))
    applied(postfix, "--oauth2", named)
    directory = postfix.config_directory.parent / "post365"
    assert lines_of(directory / f"{TENANT}.cf")["key_file"] == str(directory / f"{TENANT}.key")
    assert (directory / f"{TENANT}.key").read_text() == "of jwt_key_path\n"
    assert (directory / f"{TENANT}.key").stat().st_mode & 0o777 == 0o600
    assert (directory / f"{TENANT}.pem").read_text() == "of jwt_certificate_path\n"


@pytest.mark.parametrize("section, passwords, reason", [
    ("client_secret_encrypted = gAAAAA\n", None, "is encrypted"),
    ("oauth2_flow = password\nclient_secret = x\n", None, "oauth2_flow = password"),
    ("", None, "neither a client_secret"),
    (f"client_secret = {SECRET}\n", {"[127.0.0.1]:1587": f"{UPN}:{PASSWORD}", SECOND: f"{SECOND}:second secret"},
     f"the file has no section [{SECOND}]"),
])
def test_all_of_the_proxy_or_nothing(proxied, section, passwords, reason):
    """A password for the proxy must not be shown to Microsoft."""
    postfix, named = proxied(section, passwords)
    if passwords:
        main = postfix.config_directory / "main.cf"
        main.write_text(main.read_text() + "smtp_sender_dependent_authentication = yes\n")
    done = run_setup(postfix, "--oauth2", named, "--json")
    duties = " ".join(row["text"] for row in rows(done, "duty"))
    assert reason in duties and "leads to email-oauth2-proxy still" in duties
    assert not {"relayhost", "post365_oauth2_maps", "post365_upn"} & {row["name"] for row in rows(done, "change")}
    assert SECRET not in shown(done)


# --- a registration that the admin names ---

def test_accounts_move_from_passwords_when_it_is_asked(place):
    postfix = make(place, Shape(RECIPE + OWNER))
    before = postfix.contents()
    told = run_setup(postfix)
    assert "setup --oauth2 FILE" in " ".join(told.stdout.split()) and "post365_oauth2_maps" not in told.stdout
    registration = postfix.config_directory / "contoso.cf"
    registration.write_text(f"tenant = {TENANT}\nclient_id = {CLIENT}\ncertificate_file = /etc/c.pem\nkey_file = /etc/c.key\n")
    applied(postfix, "--oauth2", str(registration))
    assert registration_of(postfix) == str(registration)
    assert not (postfix.config_directory.parent / "post365").exists()
    registration.unlink()
    undone(postfix)
    assert postfix.contents() == before and not (postfix.config_directory.parent / "post365").exists()


@pytest.mark.parametrize("words, reason", [
    (["--oauth2", "/nonexistent"], "cannot read /nonexistent"),
    (["--oauth2", "contoso.cf"], "absolute path"),
    (["--undo", "--yes", "--oauth2", "/etc/x"], "needs no --oauth2"),
])
def test_a_file_that_is_none(place, words, reason):
    done = run_setup(make(place, Shape(RECIPE)), *words)
    assert done.returncode not in (0, 1) and reason in done.stderr


def test_a_registration_with_a_mistake_is_not_taken(place):
    postfix = make(place, Shape(RECIPE))
    registration = postfix.config_directory / "contoso.cf"
    registration.write_text(f"tenant = {TENANT}\nclient_secret = {SECRET}\n")
    done = run_setup(postfix, "--oauth2", str(registration))
    assert done.returncode == 78 and "line 2: client_secret" in done.stderr and SECRET not in shown(done)


# --- on the way, and back ---

def test_what_was_edited_since_is_left(plugin):
    postfix, named = plugin({**CONFIGURATION, "client_secret": SECRET})
    applied(postfix, "--oauth2", named)
    registration = postfix.config_directory.parent / "post365" / f"{TENANT}.cf"
    registration.write_text(registration.read_text() + "cloud = usgov\n")
    done = run_setup(postfix, "--undo", "--yes")
    assert done.returncode == 1 and f"{registration} was changed since post365 setup" in " ".join(done.stdout.split())
    assert registration.exists() and not registration.with_suffix(".secret").exists()


def test_postfix_check_fails_and_nothing_is_left(plugin):
    postfix, named = plugin({**CONFIGURATION, "client_secret": SECRET}, more="manpage_directory = relative\n")
    before = postfix.contents()
    done = run_setup(postfix, "--oauth2", named, "--apply", "--yes")
    assert done.returncode == 78 and "nothing was changed; all was put back" in done.stderr
    assert postfix.contents() == before and not (postfix.config_directory.parent / "post365").exists()


def test_without_the_account_of_the_token_daemon_nothing_is_changed(plugin):
    postfix, named = plugin({**CONFIGURATION, "client_secret": SECRET})
    main = postfix.config_directory / "main.cf"
    main.write_text(main.read_text().replace(OWNER, "post365_oauth2_user = nobody-of-that-name\n"))
    before = postfix.contents()
    done = run_setup(postfix, "--oauth2", named, "--apply", "--yes")
    assert done.returncode == 78 and "no such system account" in done.stderr
    assert postfix.contents() == before
