"""post365 login, logout, token, oauth2 certificate with the real post365-tokend, against the stand-in for Entra's endpoint."""

import json
import os
import re
import shutil

import pytest

from harness import command, processes, programs, workplace
from harness.entra import USER, Entra
from harness.office365 import Office365
from harness.relay import Relay
from harness.terminal import Terminal

ACCOUNTS = {name: f"{name}@example.com" for name in ("relay", "joe", "late", "killed", "other", "renewed", "app")}

MAILBOXES = ("person@example.com", "machine@example.com")


class Tenant:
    """The endpoint, a configuration, and the daemon. As much of a Postfix as these need."""

    def __init__(self, directory):
        self.directory = directory
        self.config_directory = directory / "etc"
        self.queue_directory = directory / "spool"
        for path in (self.config_directory, self.queue_directory):
            path.mkdir(parents=True)
        self.maps = self.config_directory / "oauth2"
        self.entra = Entra(directory / "entra", device_interval=1)
        self.parameters = {}
        self.tokend = None

    @staticmethod
    def environment():
        return dict(os.environ)

    def start(self):
        self.entra.start()
        self.parameters = {
            "compatibility_level": "3.6", "queue_directory": str(self.queue_directory), "relayhost": "[smtp.office365.com]:587",
            "post365_user": workplace.USER, "post365_upn": "relay@example.com",
            "post365_oauth2_directory": str(self.directory / "grants"), "post365_oauth2_maps": f"texthash:{self.maps}",
            **self.entra.parameters()}
        (self.config_directory / "main.cf").write_text("".join(f"{name} = {value}\n" for name, value in self.parameters.items()))
        shutil.copy("/usr/share/postfix/master.cf.dist", self.config_directory / "master.cf")
        # Postfix reads a file that changed within the last two seconds again until it is quiet.
        os.utime(self.config_directory / "main.cf", (1, 1))
        return self

    def begin(self, lines):
        """Starts the daemon with these lines of the maps."""
        self.maps.write_text("".join(f"{account} {path}\n" for account, path in lines.items()))
        self.tokend = programs.Tokend(self, USER)
        self.tokend.start()

    def stop(self):
        if self.tokend:
            self.tokend.stop()
        self.entra.stop()

    def run(self, *words, **options):
        return command.run(self.config_directory, *words, **options)

    def token(self, account):
        """What `post365 token` says of one, for programs."""
        return json.loads(self.run("token", "--json", account).stdout)

    def wait_token(self, account, timeout=60, **wanted):
        """Until it is so."""
        found = processes.wait_until(lambda: (lambda told: all(told[name] == value for name, value in wanted.items()) and told)(
            self.token(account)), timeout)
        assert found, self.token(account)
        return found

    def has_no_grant(self, account):
        """Nothing was stored, and somebody has to log in."""
        return self.wait_token(account, needs="now", token=None, grant_since=None)

    def login(self, account):
        """`post365 login` on a terminal; use as a context."""
        return Terminal([command.PROGRAM, "-c", self.config_directory, "login", account])


def code_on(terminal):
    """The code that is shown."""
    return re.search(r"enter the code:\n\n    (\S+)\n\nWaiting", terminal.wait_for("^Waiting, ")).group(1)


@pytest.fixture(scope="module")
def tenant(module_place):
    tenant = module_place.add(Tenant(module_place.directory / "tenant")).start()
    tenant.people = tenant.entra.app("device", name="people")
    made = tenant.run("oauth2", "certificate", "relay")
    assert made.returncode == 0, made
    pair = tenant.config_directory.parent / "post365"
    tenant.app = tenant.entra.app("certificate", name="app", certificates=[(pair / "relay.pem").read_text()])
    # As it was said to write it.
    lines = dict(re.findall(r"^    (\w+_file) = (.*)$", made.stdout, re.M))
    assert set(lines) == {"certificate_file", "key_file"}
    path = tenant.app.write("made.cf", **lines)
    tenant.begin({**{account: tenant.people.file for account in ACCOUNTS.values()}, ACCOUNTS["app"]: path})
    return tenant


def test_the_certificate_that_was_made_gets_a_token(tenant):
    done = tenant.run("resume", ACCOUNTS["app"])  # there is no ledger here
    assert done.returncode == 69 and "post365-policyd is not running" in done.stderr
    told = tenant.wait_token(ACCOUNTS["app"], state="fresh")
    assert (told["credential"], told["needs"], told["account"]) == ("certificate", "nothing", None)
    assert tenant.entra.requests(kind="app", credential="certificate", status=200)
    done = tenant.run("token", ACCOUNTS["app"])
    assert done.returncode == 0 and re.search(r"credential +certificate, until \d{4}-\d\d-\d\d, in 7(?:29|30) days", done.stdout)


def test_login(tenant):
    account = ACCOUNTS["relay"]
    assert tenant.wait_token(account, needs="now")["failure"]["cause"] == "login-needed"
    assert f"post365 login {account}" in tenant.run("token", account).stdout
    with tenant.login(account) as terminal:
        tenant.entra.type_code(code_on(terminal), account)
        assert terminal.wait_end(60) == 0
        assert f"{account} has logged in" in " ".join(terminal.shown().split())
    assert tenant.entra.requests(kind="refresh", status=200)  # it was used once
    told = tenant.token(account)
    assert (told["state"], told["needs"], told["model"], told["claims"]["wrong"]) == ("fresh", "nothing", "delegated", [])
    done = tenant.run("token", account)
    assert done.returncode == 0 and re.search(r"grant +login of \d{4}-\d\d-\d\d, ends on ", done.stdout), done.stdout
    # Nothing that is secret was shown, or lies where others read.
    kept = [path for path in (tenant.directory / "grants").rglob("*") if path.is_file()]
    assert kept and all(path.stat().st_mode & 0o077 == 0 for path in kept)


def test_a_login_that_is_declined(tenant):
    with tenant.login(ACCOUNTS["joe"]) as terminal:
        tenant.entra.decline_code(code_on(terminal))
        assert terminal.wait_end(60) == 1
        assert "has failed" in terminal.process.stderr.read().decode() and re.search("cause +", terminal.shown())
    assert tenant.has_no_grant(ACCOUNTS["joe"])


def test_a_login_that_nobody_answers_in_time(tenant):
    tenant.entra.set(device_lifetime=1)
    with tenant.login(ACCOUNTS["joe"]) as terminal:
        assert terminal.wait_end(60) == 1
        assert re.search(r"^  cause +\S*expired", terminal.shown(), re.M) and "post365 login" in terminal.shown()
    tenant.entra.set(device_lifetime=900)


def test_a_login_of_somebody_else(tenant):
    with tenant.login(ACCOUNTS["other"]) as terminal:
        tenant.entra.type_code(code_on(terminal), ACCOUNTS["joe"])
        assert terminal.wait_end(60) == 1
        screen = " ".join(terminal.shown().split())
        assert "grant-of-another" in screen and ACCOUNTS["joe"] in screen and f"post365 login {ACCOUNTS['other']}" in screen
    assert tenant.has_no_grant(ACCOUNTS["other"])


def test_a_login_without_a_refresh_token(tenant):
    tenant.entra.fault("refresh-missing", kind="poll")
    with tenant.login(ACCOUNTS["other"]) as terminal:
        tenant.entra.type_code(code_on(terminal), ACCOUNTS["other"])
        assert terminal.wait_end(60) == 1
        assert "refresh-token-missing" in terminal.shown()
    tenant.entra.clear_faults()
    assert tenant.has_no_grant(ACCOUNTS["other"])


def test_an_account_of_an_application_cannot_log_in(tenant):
    done = tenant.run("login", ACCOUNTS["app"])
    assert done.returncode == 2 and "no `grant = user`" in done.stderr and done.stdout == ""
    done = tenant.run("login", "nobody@example.com")
    assert done.returncode == 2 and "post365_oauth2_maps" in done.stderr


def test_ctrl_c_ends_a_login_at_the_daemon_too(tenant):
    with tenant.login(ACCOUNTS["late"]) as terminal:
        code = code_on(terminal)
        terminal.press("\x03")
        assert terminal.wait_end() == -2
    tenant.entra.type_code(code, ACCOUNTS["late"])
    # Nobody asks for it any more: another login can begin, and is the only one that is polled.
    with tenant.login(ACCOUNTS["late"]) as terminal:
        terminal.wait_for("^Waiting, ")
        terminal.press("\x03")
        terminal.wait_end()
    assert tenant.has_no_grant(ACCOUNTS["late"])


def test_logout(tenant):
    account = ACCOUNTS["relay"]
    assert tenant.run("logout", account).returncode == 0
    assert tenant.wait_token(account, needs="now", token=None)["failure"]["cause"] == "login-needed"
    done = tenant.run("logout", account)
    assert done.returncode == 1 and "no login of relay@example.com is stored" in done.stderr
    assert tenant.run("logout", ACCOUNTS["app"]).returncode == 1


def test_all_tokens_at_once(tenant):
    done = tenant.run("token", "--json")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1 and {told["account"] for told in found} == {*ACCOUNTS.values(), None} - {ACCOUNTS["app"]}
    for words in (("token",), ("token", "--json")):
        shown = tenant.run(*words)
        assert "eyJ" not in shown.stdout + shown.stderr  # how a JWT begins


def test_more_users_than_one_reply_has_room_for(tenant):
    many = [f"user{number}@example.com" for number in range(1200)]
    before = tenant.maps.read_text()
    tenant.maps.write_text(before + "".join(f"{account} {tenant.people.file}\n" for account in many))
    tenant.wait_token(many[-1], needs="now")
    found = [json.loads(line)["account"] for line in tenant.run("token", "--json").stdout.splitlines()]
    assert set(many) <= set(found) and len(found) == len(set(found))
    tenant.maps.write_text(before)


def test_a_daemon_that_is_killed_in_the_middle(tenant):
    with tenant.login(ACCOUNTS["killed"]) as terminal:
        terminal.wait_for("^Waiting, ")
        tenant.tokend.kill()
        assert terminal.wait_end() == 69
        assert "run this again" in terminal.process.stderr.read().decode()
    done = tenant.run("token")
    assert done.returncode == 69 and "systemctl enable --now post365-tokend" in done.stderr
    tenant.tokend.start()
    assert tenant.wait_token(ACCOUNTS["killed"], needs="now")["failure"]["cause"] == "login-needed"


# --- with mail ---

@pytest.fixture(scope="module")
def mail(module_place):
    """(the endpoint, {account: its App}, a relay): one account logs in by a user, one by an application's secret."""
    office365 = Office365(module_place.directory / "office365", mailboxes={account: {"password": "unused"} for account in MAILBOXES})
    module_place.add(office365).start()
    entra = module_place.add(Entra(module_place.directory / "entra", office365, device_interval=1)).start()
    apps = {MAILBOXES[0]: entra.app("device"), MAILBOXES[1]: entra.app("secret", accounts=[MAILBOXES[1]])}
    parameters = entra.parameters(post365_oauth2_maps={account: app.file for account, app in apps.items()})
    relay = Relay(module_place.directory / "relay", office365, transport=list(MAILBOXES), post365=parameters)
    module_place.add(relay).start()
    return entra, apps, relay


def submit(relay, account):
    outcome, message_id = relay.submit(account, ["rita@dest.example"], f"From: {account}\nSubject: s\n".encode())
    assert outcome.accepted, outcome
    return message_id


def run(relay, *words):
    return command.run(relay.postfix.config_directory, *words)


def wait_cause(relay, account, cause, timeout=60):
    """Until `post365 queue` has the cause; what it says."""
    done = []

    def look():
        done[:] = [run(relay, "queue", "--account", account)]
        return f"{account}  {cause}\n" in done[0].stdout
    assert processes.wait_until(look, timeout), done[0].stdout
    return done[0]


def test_mail_that_waits_for_a_login_goes_after_it(mail):
    entra, _, relay = mail
    account = MAILBOXES[0]
    message_id = submit(relay, account)
    done = wait_cause(relay, account, "login-needed")
    assert done.returncode == 1 and f"post365 login {account}" in done.stdout
    done = run(relay, "status")
    assert done.returncode == 1 and "login-needed" in done.stdout
    with Terminal([command.PROGRAM, "-c", relay.postfix.config_directory, "login", account]) as terminal:
        entra.type_code(code_on(terminal), account)
        assert terminal.wait_end(60) == 0
    relay.arrival(message_id, timeout=60)
    assert run(relay, "status").returncode == 0 and run(relay, "token", account).returncode == 0
    assert run(relay, "pause", "nobody@example.com").returncode == 2
    assert run(relay, "pause", account).returncode == 0 and run(relay, "resume", account).returncode == 0


def test_mail_goes_after_a_secret_was_mended_and_the_account_resumed(mail):
    entra, apps, relay = mail
    account = MAILBOXES[1]
    app = apps[account]
    relay.arrival(submit(relay, account))
    told = json.loads(run(relay, "token", "--json", account).stdout)
    assert (told["accepted_for"], told["model"]) == (account, "rbac")
    app.expire_secrets()
    for daemon in (relay.transport, relay.tokend):  # without the token, and a connection, that are good still
        daemon.stop()
        daemon.start()
    message_id = submit(relay, account)
    done = wait_cause(relay, account, "secret-expired")
    assert app.client_id in done.stdout and app.file in done.stdout and "<" not in done.stdout.replace("<" + account, "")
    done = run(relay, "status", account)
    assert done.returncode == 1 and "secret-expired" in done.stdout
    done = run(relay, "resume", account)
    assert done.returncode == 1 and "secret-expired" in done.stdout
    app.new_secret()
    relay.arrival(message_id, timeout=60)
    done = run(relay, "resume", account)
    assert done.returncode == 0, done
    assert not entra.requests(number=7000215)
