"""post365 login, logout, token, oauth2, and what status and resume tell of tokens: the admin's side of OAuth2."""

import json
import os
import pwd
import re
import signal
import ssl
import stat
import subprocess
import time

import pytest
from test_ctl import reserve
from test_policyd import Policyd

from harness import command, workplace
from harness.fake_tokend import FakeTokend, subject
from harness.terminal import Terminal

UPN = "relay@contoso.com"
DAY = 86400
OWNER = pwd.getpwnam(workplace.USER)


class Settings:
    """A configuration directory for the command alone."""

    def __init__(self, directory, **parameters):
        self.directory = directory
        self.etc = directory / "etc"
        self.etc.mkdir()
        parameters = {"compatibility_level": "3.6", "queue_directory": directory, "relayhost": "[smtp.office365.com]:587",
                      "post365_user": workplace.USER, "post365_oauth2_user": workplace.USER, "post365_upn": UPN,
                      **parameters}
        (self.etc / "main.cf").write_text("".join(f"{name} = {value}\n" for name, value in parameters.items()))
        (self.etc / "master.cf").write_text("")
        # Postfix reads a file that changed within the last two seconds again until it is quiet.
        os.utime(self.etc / "main.cf", (1, 1))

    def run(self, *words, **options):
        return command.run(self.etc, *words, **options)


@pytest.fixture
def settings(place):
    return Settings(place.directory)


# --- oauth2 certificate ---

def test_a_pair_is_made_and_what_to_do_with_it_is_said(settings):
    done = settings.run("oauth2", "certificate", "relay")
    assert (done.returncode, done.stderr) == (0, "")
    key, certificate = settings.directory / "post365/relay.key", settings.directory / "post365/relay.pem"
    found = key.stat()
    assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (0o600, OWNER.pw_uid, OWNER.pw_gid)
    assert stat.S_IMODE(certificate.stat().st_mode) == 0o644 and certificate.stat().st_uid == 0
    shown = subprocess.run(["openssl", "x509", "-in", certificate, "-noout", "-fingerprint", "-sha256", "-enddate"],
                           capture_output=True, text=True, check=True).stdout
    sha256 = re.search("Fingerprint=(.*)", shown).group(1).replace(":", "")
    assert f"SHA-256       {sha256}\n" in done.stdout
    sha1 = subprocess.run(["openssl", "x509", "-in", certificate, "-noout", "-fingerprint", "-sha1"],
                          capture_output=True, text=True, check=True).stdout.partition("=")[2].strip().replace(":", "")
    assert f"SHA-1         {sha1}\n" in done.stdout
    left = ssl.cert_time_to_seconds(re.search("notAfter=(.*)", shown).group(1)) - time.time()
    assert 729 < left / 86400 < 730
    assert f"certificate_file = {certificate}\n" in done.stdout and f"key_file = {key}\n" in done.stdout
    assert "PRIVATE" not in done.stdout and "PRIVATE" not in certificate.read_text()


def test_nothing_is_overwritten(settings):
    assert settings.run("oauth2", "certificate", "relay").returncode == 0
    directory = settings.directory / "post365"
    before = {path.name: path.read_bytes() for path in directory.iterdir()}
    for gone in ("relay.pem", "relay.key"):
        done = settings.run("oauth2", "certificate", "relay")
        assert done.returncode == 73 and f"{directory}/relay." in done.stderr and "not overwritten" in done.stderr
        assert {path.name: path.read_bytes() for path in directory.iterdir()} == before
        (directory / gone).unlink()
        assert settings.run("oauth2", "certificate", "relay").returncode == 73
        (directory / gone).write_bytes(before[gone])
    assert settings.run("oauth2", "certificate", "relay-2").returncode == 0
    (directory / "relay-3.pem").symlink_to("/nowhere")
    assert settings.run("oauth2", "certificate", "relay-3").returncode == 73
    assert not (directory / "relay-3.key").exists()


def test_no_half_pair_is_left_on_a_disk_that_is_full(settings):
    """There is room for the key, and none for the certificate."""
    directory = settings.directory / "small"
    directory.mkdir()
    script = f"""mount -t tmpfs -o size=4k,mode=755 small {directory} || exit 99
        {command.PROGRAM} -c {settings.etc} oauth2 certificate --directory {directory} relay; echo status $?; ls -A {directory}"""
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, check=False, timeout=60)
    if done.returncode == 99:
        pytest.skip("no file system can be mounted here")
    assert "No space left" in done.stderr and f"{directory}/relay.pem" in done.stderr
    assert done.stdout == "status 73\n"


def test_a_key_that_its_user_could_not_read_is_not_made(settings):
    closed = settings.directory / "closed"
    closed.mkdir(mode=0o700)
    done = settings.run("oauth2", "certificate", "--directory", f"{closed}/deep/", "relay")
    assert done.returncode == 73 and "cannot read" in done.stderr and workplace.USER in done.stderr
    assert list(closed.iterdir()) == []
    opened = settings.directory / "opened"
    opened.mkdir()
    opened.chmod(0o777)
    done = settings.run("oauth2", "certificate", "--directory", str(opened), "relay")
    assert done.returncode == 73 and "others than its owner may write" in done.stderr and list(opened.iterdir()) == []
    opened.chmod(0o755)
    os.chown(opened, pwd.getpwnam("games").pw_uid, -1)
    done = settings.run("oauth2", "certificate", "--directory", str(opened), "relay")
    assert done.returncode == 73 and "chown root" in done.stderr and list(opened.iterdir()) == []


@pytest.mark.parametrize("words", [["certificate"], ["key", "relay"], [], ["certificate", "../relay"], ["certificate", ".relay"],
                                   ["certificate", "a b"], ["certificate", "x" * 51], ["certificate", "a", "b"],
                                   ["certificate", "--directory", "here", "relay"], ["certificate", "--days", "3", "relay"]])
def test_wrong_usage_of_oauth2(settings, words):
    done = settings.run("oauth2", *words)
    assert done.returncode == 2 and done.stdout == "" and len(done.stderr) > 20
    assert not (settings.directory / "post365").exists()


def test_the_key_needs_its_user(place):
    settings = Settings(place.directory, post365_oauth2_user="nobody-of-that-name")
    done = settings.run("oauth2", "certificate", "relay")
    assert done.returncode == 78 and "post365_oauth2_user = nobody-of-that-name" in done.stderr
    done = subprocess.run([command.PROGRAM, "-c", settings.etc, "-o", "post365_oauth2_user=daemon", "oauth2", "certificate", "relay"],
                          user="nobody", group="nogroup", extra_groups=[], capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 77 and "root" in done.stderr
    assert not (settings.directory / "post365").exists()


# --- login ---

@pytest.fixture
def tokend(place):
    return place.add(FakeTokend(place.directory / "tokens"))


@pytest.fixture
def oauth2(place, tokend):
    return Settings(place.directory, post365_oauth2_maps="inline:{ { relay@contoso.com = /etc/postfix/post365/user.cf } }",
                    post365_oauth2_socket=f"unix:{tokend.path}")


def user(**changes):
    return subject(**{"registration": "/etc/postfix/post365/user.cf", "account": UPN, "grant": "user", "credential": "none", **changes})


def login(*steps, pause=0):
    """Tells the code, and then these."""
    def answer(peer, _request):
        peer.say(result="code", user_code="ABCD-EFGH", verification_uri="https://microsoft.com/devicelogin",
                 expires=int(time.time()) + 900)
        for step in steps:
            if peer.gone.wait(pause):
                return
            peer.say(**({"result": "waiting", "expires": int(time.time()) + 880} if step == "waiting" else step))
    return answer


DONE = {"result": "done", "user": UPN, "registration": "/etc/postfix/post365/user.cf"}


def test_login(oauth2, tokend):
    tokend.answers["login"] = login("waiting", "waiting", DONE)
    done = oauth2.run("login", UPN)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\n    https://microsoft.com/devicelogin\n" in done.stdout and "\n    ABCD-EFGH\n" in done.stdout
    assert re.search(r"^Waiting, 1[45]:\d\d left; Ctrl-C ends it\.$", done.stdout, re.M) and "relay@contoso.com has logged in" in done.stdout
    assert "\x1b" not in done.stdout and "\r" not in done.stdout
    assert tokend.requests == [{"request": "login", "account": UPN}]


@pytest.mark.parametrize("cause, reason", [
    ("login-declined", "400 authorization_declined"), ("grant-of-another", "joe@contoso.com has logged in, not relay@contoso.com"),
    ("refresh-token-missing", "there was no refresh_token in the answer"), ("no-row-of-that-name", "something new")])
def test_a_login_that_came_to_nothing(oauth2, tokend, cause, reason):
    tokend.answers["login"] = login("waiting", {"result": "stopped", "cause": cause, "reason": reason})
    done = oauth2.run("login", UPN)
    assert done.returncode == 1 and "the login of relay@contoso.com has failed" in done.stderr
    assert re.search(rf"^  cause +{cause}", done.stdout, re.M) and re.search(rf"^  reason +{re.escape(reason)}$", done.stdout, re.M)
    if cause == "grant-of-another":
        assert f"post365 login {UPN}" in done.stdout  # of the remedy


def test_a_login_that_cannot_begin(oauth2, tokend, place):
    done = oauth2.run("login", UPN)
    assert done.returncode == 2 and "grant = app" in done.stderr and done.stdout == ""
    tokend.answers["login"] = lambda peer, request: peer.say(result="refused", reason="only root and daemon may log in")
    assert oauth2.run("login", UPN).returncode == 77
    tokend.answers["login"] = lambda peer, request: peer.say(result="error", reason="a login of this account is under way already")
    done = oauth2.run("login", UPN)
    assert done.returncode == 69 and "under way already" in done.stderr
    tokend.answers["login"] = lambda peer, request: peer.say(result="later", cause="endpoint-unreachable", reason="refused", until=5)
    done = oauth2.run("login", UPN)
    assert done.returncode == 1 and "endpoint-unreachable: " in done.stdout
    for words in ([], ["relay"], [UPN, UPN], ["--yes", UPN]):
        assert oauth2.run("login", *words).returncode == 2 and oauth2.run("logout", *words).returncode == 2
    tokend.stop()
    done = oauth2.run("login", UPN)
    assert done.returncode == 69 and "systemctl enable --now post365-tokend" in done.stderr


def test_without_oauth2_nobody_is_asked(settings):
    assert settings.run("login", UPN).returncode == 78 and settings.run("logout", UPN).returncode == 78
    done = settings.run("token")
    assert (done.returncode, done.stdout) == (0, "No account logs in with OAuth2: post365_oauth2_maps is empty.\n")
    assert settings.run("token", "--json").stdout == "" and settings.run("token", UPN).returncode == 2


def test_tokend_that_ends_in_the_middle_ends_the_login(oauth2, tokend):
    def end(peer, request):
        login("waiting")(peer, request)
        peer.hang_up()
    tokend.answers["login"] = end
    done = oauth2.run("login", UPN)
    assert done.returncode == 69 and "run this again" in done.stderr and "Waiting" in done.stdout


def test_a_login_on_a_terminal(oauth2, tokend):
    tokend.answers["login"] = login("waiting", "waiting", DONE, pause=0.7)
    with Terminal([command.PROGRAM, "-c", oauth2.etc, "login", UPN]) as terminal:
        screen = terminal.wait_for("ABCD-EFGH")
        screen = terminal.wait_for(r"^Waiting, 14:[0-5]\d left; Ctrl-C ends it\.$")
        assert screen.count("Waiting") == 1 and "\x1b[1mABCD-EFGH\x1b[0m" in terminal.raw
        assert terminal.wait_end() == 0
        screen = terminal.shown()
        assert "Waiting" not in screen and "relay@contoso.com has logged in. post365-tokend has stored it" in screen
        assert terminal.is_as_before() and all(len(line) <= 80 for line in screen.splitlines())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_login(oauth2, tokend, number):
    """And with the connection tokend's side of it."""
    tokend.answers["login"] = login("waiting")
    with Terminal([command.PROGRAM, "-c", oauth2.etc, "login", UPN]) as terminal:
        terminal.wait_for("^Waiting, ")
        if number == signal.SIGINT:
            terminal.press("\x03")
        else:
            terminal.process.send_signal(number)
        assert terminal.wait_end() == -number
        assert "ended; the code is of no use any more" in terminal.process.stderr.read().decode()
        assert "Waiting" not in terminal.shown()
    assert tokend.gone.wait(10)


def test_logout(oauth2, tokend):
    done = oauth2.run("logout", UPN)
    assert done.returncode == 0 and "relay@contoso.com is logged out" in done.stdout and "Revoke sessions" in done.stdout
    assert tokend.requests == [{"request": "logout", "account": UPN}]
    tokend.answers["logout"] = lambda peer, request: peer.say(result="none", reason="nobody has logged in")
    done = oauth2.run("logout", UPN)
    assert done.returncode == 1 and "no login of relay@contoso.com is stored: nobody has logged in" in done.stderr


# --- token ---

def stopped(**changes):
    now = int(time.time())
    return {"state": "stopped", "cause": "secret-expired", "reason": "AADSTS7000222: expired", "failed_since": now - 300,
            "failures": 3, "next": now + 600, **changes}


def fresh(**changes):
    now = int(time.time())
    return {"left": 3000, "id": "0123abcd", "issued": now - 600, "renewed": now - 600, "next": now + 1200, **changes}


RBAC = {"model": "rbac", "claim_aud": "https://outlook.office365.com", "claim_oid": "77777777-aaaa-bbbb-cccc-dddddddddddd"}


def test_token_that_is_fine(oauth2, tokend):
    now = int(time.time())
    tokend.subjects = [subject(**fresh(), **RBAC, credential_ends=now + 729 * DAY + 60, accepted_for=UPN, accepted_at=now - 300)]
    done = oauth2.run("token")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "/etc/postfix/post365/contoso.cf" and all(len(line) <= 100 for line in lines)
    for pattern in (r"token +good for 50 min, renewed (?:\S+ )?\d\d:\d\d:\d\d \(10m ago\), next .* \(in 20 min\)$",
                    r"credential +certificate, until \d{4}-\d\d-\d\d, in 729 days$", r"tenant +contoso\.example, cloud global$",
                    r"good at +https://outlook\.office365\.com, Exchange Online$", r"permission +RBAC for Applications: ",
                    r"object id +77777777-aaaa-bbbb-cccc-dddddddddddd, what `New-ServicePrincipal",
                    r"accounts +1 within a day; the last login was relay@contoso\.com's, "):
        assert re.search(rf"^  {pattern}", done.stdout, re.M), (pattern, done.stdout)
    assert oauth2.run("token", UPN).stdout == done.stdout
    found = json.loads(oauth2.run("token", "--json").stdout)
    assert found["needs"] == "nothing" and found["token"] == {"id": "0123abcd", "issued": now - 600, "left": 3000}
    assert found["claims"] == {"aud": RBAC["claim_aud"], "oid": RBAC["claim_oid"], "wrong": []}
    assert (found["model"], found["account"], found["failure"], found["skew"]) == ("rbac", None, None, None)


REFUSED = {"credential": "secret", "credential_cause": "secret-wrong", "credential_reason": "AADSTS7000215: Invalid"}


@pytest.mark.parametrize("told, need, words", [
    ({"state": "empty"}, "nothing", "token +none, no mail has needed one yet"),
    ({"state": "asking"}, "nothing", "token +none yet, one is asked for"),
    ({"state": "renewing", **fresh()}, "nothing", "token +good for 50 min"),
    ({**fresh(), "credential_ends": 40 * DAY}, "nothing", "certificate, until .*, in 39 days"),
    ({**fresh(), "credential_ends": 7 * DAY}, "soon", "certificate, ends on .*, in 6 days"),
    ({**fresh(), "credential_ends": 7 * DAY}, "soon", "remedy +`post365 oauth2 certificate` makes the next one"),
    ({**fresh(), "credential": "secret", "credential_ends": DAY}, "soon", "client secret, ends on .*, in (?:24 h|23 h)"),
    ({**fresh(), "credential": "secret"}, "nothing", "client secret; when it ends is not known"),
    ({**fresh(), "credential_ends": -DAY}, "now", "certificate, ended on "),
    ({**fresh(), **REFUSED}, "soon", "in use +the former one, until post365-tokend is restarted"),
    ({**fresh(), **REFUSED}, "soon", "cause +secret-wrong: The client secret is wrong"),
    ({**fresh(), **REFUSED}, "soon", "reason +AADSTS7000215: Invalid"),
    (stopped(), "now", "token +none, its mail waits"),
    (stopped(), "now", "tried +3 times without success, since .*; again .*"),
    (stopped(), "now", "cause +secret-expired: The client secret has expired"),
    (stopped(), "now", "reason +AADSTS7000222: expired"),
    (stopped(**fresh()), "now", "token +good for 50 min, and not renewed"),
    (stopped(state="waiting", cause="endpoint-timeout"), "now", "cause +endpoint-timeout: "),
    (stopped(cause="of-another-version"), "now", "cause +of-another-version$"),
    ({**fresh(), "skew": 420}, "soon", "clock +this machine's is 420 s behind Microsoft's: set it right"),
    ({**fresh(), "skew": -90}, "nothing", "clock +this machine's is 90 s ahead of Microsoft's$"),
    ({**fresh(), "claim_aud": "https://graph.microsoft.com"}, "now", "good at +https://graph.microsoft.com, which is not Exchange"),
    ({**fresh(), "claim_app": "22222222-2222-3333-4444-555555555555"}, "now", "app id +2222.*not the registration's `client_id`"),
    ({**fresh(), "model": "classic", "claim_roles": "SMTP.SendAsApp"}, "nothing", "permission +SMTP.SendAsApp: the classic"),
    ({**fresh(), "tenant": "99999999-2222-3333-4444-555555555555", "claim_tid": "88888888-2222-3333-4444-555555555555"}, "now",
     "tenant id +8888.* not the registration's `tenant`"),
])
def test_each_state_of_a_token(oauth2, tokend, told, need, words):
    if "credential_ends" in told:
        told = {**told, "credential_ends": int(time.time()) + told["credential_ends"] - 60}
    tokend.subjects = [subject(**told)]
    done = oauth2.run("token")
    assert re.search(rf"^  (?:\w+ +)?{words}", done.stdout, re.M), done.stdout
    found = json.loads(oauth2.run("token", "--json").stdout)
    assert found["needs"] == need and done.returncode == (need != "nothing")
    if "cause" in told:
        assert found["failure"]["cause"] == told["cause"] and found["failure"]["failures"] == 3


def test_tokens_of_users(oauth2, tokend):
    now = int(time.time())
    joe = "joe@contoso.com"
    tokend.subjects = [user(**fresh(), grant_since=now - 20 * DAY, model="delegated", claim_scp="SMTP.Send", claim_user="Relay@contoso.com"),
                       user(account=joe, **fresh(), model="delegated", claim_scp="User.Read", claim_user="bob@contoso.com"),
                       user(account="new@contoso.com", **stopped(cause="login-needed", reason="nobody has logged in")),
                       user(account=None, registration="/etc/postfix/post365/unused.cf", state="empty")]
    done = oauth2.run("token")
    assert done.returncode == 1
    parts = re.split(r"^(?=\S)", done.stdout, flags=re.M)[1:]
    assert [part.split("\n")[0] for part in parts] == [
        "relay@contoso.com by /etc/postfix/post365/user.cf", "joe@contoso.com by /etc/postfix/post365/user.cf",
        "new@contoso.com by /etc/postfix/post365/user.cf", "/etc/postfix/post365/unused.cf"]
    assert re.search(r"grant +login of \d{4}-\d\d-\d\d, ends on \d{4}-\d\d-\d\d if it is not renewed before", parts[0])
    assert "SMTP.Send: on behalf of the user" in parts[0]
    assert "bob@contoso.com has logged in, who is not the account" in parts[1] and "SMTP.Send is not among it" in parts[1]
    assert "post365 login new@contoso.com" in parts[2] and "nobody has logged in yet" in parts[3]
    assert oauth2.run("token", UPN).returncode == 0 and oauth2.run("token", UPN, joe).returncode == 1
    assert oauth2.run("token", joe).stdout == parts[1]
    assert [json.loads(line)["account"] for line in oauth2.run("token", "--json").stdout.splitlines()] == [
        UPN, joe, "new@contoso.com", None]


def test_accounts_without_a_token(oauth2, tokend):
    tokend.answers["status"] = lambda peer, request: peer.say(result="none", reason="it is not in post365_oauth2_maps")
    done = oauth2.run("token", "joe@contoso.com")
    assert done.returncode == 2 and "joe@contoso.com does not log in with OAuth2: it is not in" in done.stderr
    # The settings know this one.
    unread = oauth2.run("token", UPN)
    assert unread.returncode == 69 and f"post365-tokend does not know {UPN}, which has /etc/postfix/post365/user.cf" in unread.stderr
    assert "run: systemctl reload post365-tokend;" in unread.stderr
    assert oauth2.run("token").stdout == "post365-tokend knows no registration: post365_oauth2_maps names none.\n"
    assert oauth2.run("token", "relay").returncode == 2 and oauth2.run("token", "--show").returncode == 2
    tokend.answers["watch"] = lambda peer, request: peer.say(result="refused", reason="only root")
    assert oauth2.run("token").returncode == 69


def test_what_others_say_is_harmless(oauth2, tokend):
    tokend.subjects = [subject(**stopped(reason="\x1b[31mred\x07", tenant="\x9b2J"))]
    done = oauth2.run("token")
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", done.stdout)
    tokend.answers["login"] = lambda peer, request: peer.say(
        result="code", user_code="\x1b]0;x\x07", verification_uri="https://\u202ereversed", expires=1) or peer.hang_up()
    done = oauth2.run("login", UPN)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", done.stdout)


@pytest.mark.parametrize("said", [b"HTTP/1.1 400 Bad Request\n\n", b"result=done\n\n", b"\0", b"result=code\n\n" * 3])
def test_garbage_instead_of_tokend(oauth2, tokend, said):
    for name in ("watch", "login", "logout", "status", "renew"):
        tokend.answers[name] = lambda peer, request: peer.connection.sendall(said) or peer.hang_up()
    for words in (["token"], ["token", UPN], ["login", UPN]):
        done = oauth2.run(*words)
        assert done.returncode == 69 and len(done.stderr) > 20, words


def test_colours_on_a_terminal_alone(oauth2, tokend):
    now = int(time.time())
    tokend.subjects = [subject(**fresh(), credential_ends=now + 3 * DAY)]
    for words in (["token"],):
        with Terminal([command.PROGRAM, "-c", oauth2.etc, *words], lines=40) as terminal:
            assert terminal.wait_end() == 1
            assert "\x1b[32mgood for" in terminal.raw and "\x1b[31mcertificate, ends on" in terminal.raw
            assert all(len(line) <= 80 for line in terminal.raw_lines())
        assert "\x1b" not in oauth2.run(*words).stdout


# --- status, resume ---

@pytest.fixture
def policyd(place, tokend):
    return place.add(Policyd(place.directory / "policyd", post365_meter="delivery", post365_oauth2_socket=f"unix:{tokend.path}",
                             post365_oauth2_maps="inline:{ { relay@contoso.com = /etc/postfix/post365/contoso.cf } }")).start()


def test_status_tells_of_tokens(policyd, tokend):
    reserve(policyd, UPN, 1)
    tokend.subjects = [subject(**fresh(), credential_ends=int(time.time()) + 40 * DAY + 60)]
    done = command.run(policyd.etc, "status")
    assert done.returncode == 0
    assert re.search(r"^/etc/postfix/post365/contoso\.cf\n  token +good for 50 min.*\n  credential +certificate, until ", done.stdout, re.M)
    assert "client id" not in done.stdout and done.stdout.index(UPN) < done.stdout.index("contoso.cf")
    assert command.run(policyd.etc, "status", UPN).stdout == done.stdout
    tokend.subjects = [subject(**fresh(), credential_ends=int(time.time()) + 7 * DAY)]
    done = command.run(policyd.etc, "status")
    assert done.returncode == 1 and "certificate, ends on " in done.stdout
    assert command.run(policyd.etc, "-o", "post365_oauth2_warn_time=6d", "status").returncode == 0
    found = [json.loads(line) for line in command.run(policyd.etc, "status", "--json").stdout.splitlines()]
    assert [list(line)[0] for line in found] == ["account", "registration"] and found[1]["needs"] == "soon"
    tokend.subjects = [subject(**stopped())]
    done = command.run(policyd.etc, "status")
    assert done.returncode == 1 and "cause      secret-expired: The client secret has expired." in done.stdout


def test_status_without_tokend(policyd, tokend):
    tokend.stop()
    done = command.run(policyd.etc, "status")
    assert done.returncode == 1 and "No tokens of OAuth2" in done.stdout and "systemctl enable --now post365-tokend" in done.stdout
    found = json.loads(command.run(policyd.etc, "status", "--json").stdout.splitlines()[-1])
    assert found["service"] == "post365-tokend" and found["up"] is False
    assert command.run(policyd.etc, "-o", "post365_oauth2_maps=", "status").returncode == 0


def test_status_that_is_watched(policyd, tokend):
    for number in range(30):
        reserve(policyd, f"user{number}@contoso.com", 1)
    tokend.subjects = [subject(**fresh()), *(subject(registration=f"/etc/{number}.cf", **stopped()) for number in range(9))]
    with Terminal([command.PROGRAM, "-c", policyd.etc, "status", "--watch"]) as terminal:
        screen = terminal.wait_for(r"and \d+ more: post365 token$")
        assert "secret-expired: The client secret has expired" in screen and "contoso.cf" not in screen and "@contoso.com" in screen
        tokend.subjects = [subject(**fresh())]
        terminal.wait_for("^user.@contoso")
        terminal.press("q")
        assert terminal.wait_end() == 0 and terminal.is_as_before()


REGISTRATION = """tenant = 99999999-2222-3333-4444-555555555555
client_id = 11111111-2222-3333-4444-555555555555
grant = app
client_secret_file = /etc/postfix/post365/contoso.secret
"""


def queue(policyd, reason, *words):
    """`post365 queue`, with one message that waits for this."""
    told = {"queue_name": "deferred", "queue_id": "4D1F200001", "arrival_time": int(time.time()) - 60, "message_size": 365,
            "forced_expire": False, "sender": UPN, "recipients": [{"address": "a@dest.example", "delay_reason": reason}]}
    program = policyd.directory / "postqueue"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(told)}\nEND\n")
    program.chmod(0o755)
    return command.run(policyd.etc, "-o", f"command_directory={policyd.directory}", "queue", *words)


@pytest.mark.parametrize("reason, cause, needs", [
    ("host relay.example[post365/transport] said: 451 4.7.0 no access token for relay@contoso.com: 401 invalid_client: AADSTS7000222: The "
     "provided client secret keys are expired; secret-expired: Make a new one (in reply to end of DATA command)", "secret-expired", True),
    ("host relay.example[post365/transport] said: 451 4.7.0 no access token for relay@contoso.com; token-daemon-down: start it "
     "(in reply to RCPT TO command)", "token-daemon-down", True),
    ("host relay.example[post365/transport] said: 451 4.7.0 relay@contoso.com is paused until 14:05:00 (in 61 s): endpoint-unreachable: "
     "login.microsoftonline.com port 443: Connection refused (in reply to RCPT TO command)", "endpoint-unreachable", False)])
def test_the_queue_names_what_is_wrong_with_a_token(policyd, reason, cause, needs):
    registration = policyd.directory / "contoso.cf"
    registration.write_text(REGISTRATION)
    policyd.configure(post365_oauth2_maps=f"static:{registration}")
    done = queue(policyd, reason)
    assert re.search(rf"^relay@contoso\.com  {cause}$", done.stdout, re.M), done.stdout
    found = json.loads(queue(policyd, reason, "--json").stdout)["causes"][0]
    assert (found["cause"], found["needs_admin"]) == (cause, needs)
    assert not re.search("<(?:UPN|client id|tenant|registration)>", found["remedy"])
    if cause == "secret-expired":
        assert "the application `11111111-2222-3333-4444-555555555555`" in found["remedy"] and str(registration) in found["remedy"]
        registration.unlink()  # then at least which one it is
        assert f"in {registration} names" in json.loads(queue(policyd, reason, "--json").stdout)["causes"][0]["remedy"]
    assert f"{cause}: " in queue(policyd, reason, "explain", "4D1F200001").stdout


def test_resume_asks_for_a_token_before(policyd, tokend):
    tokend.subjects = [subject(**fresh())]
    command.run(policyd.etc, "pause", UPN)
    done = command.run(policyd.etc, "resume", UPN)
    assert done.returncode == 0 and "is resumed" in done.stdout and done.stderr == ""
    assert tokend.requests == [{"request": "renew", "account": UPN}]
    command.run(policyd.etc, "pause", UPN)
    tokend.answers["renew"] = lambda peer, request: peer.say(result="stopped", cause="secret-expired", reason="AADSTS7000222",
                                                             until=5, registration="/etc/postfix/post365/contoso.cf")
    done = command.run(policyd.etc, "resume", UPN)
    assert done.returncode == 1 and "is resumed" in done.stdout
    assert "there is no new token for relay@contoso.com" in done.stderr and "`client_secret_file` in /etc/postfix/post365/contoso.cf" in " ".join(done.stdout.split())
    tokend.answers["renew"] = lambda peer, request: peer.say(result="none", reason="not in post365_oauth2_maps")
    assert command.run(policyd.etc, "resume", UPN).returncode == 0
    tokend.stop()
    done = command.run(policyd.etc, "resume", UPN)
    assert done.returncode == 1 and "was not paused" in done.stdout and "post365-tokend is not running" in done.stderr
