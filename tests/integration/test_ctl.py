"""post365, the admin's command: what it says, what it needs, how it ends."""

import json
import pwd
import re
import shutil
import subprocess

import pytest
from test_control import Control
from test_policyd import Policyd

from entra import errors
from harness import command, workplace
from harness.command import PROGRAM, on_terminal

UPN = "relay@contoso.com"
OTHER = "other@contoso.com"
QUOTA = ("554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; Failed to process message due to a "
         "permanent exception with message The message can't be submitted because the sender's submission quota was exceeded.")
GATE = ("535 5.7.139 Authentication unsuccessful, user is locked by your organization's security defaults policy. "
        "Contact your administrator.")


@pytest.fixture
def policyd(place):
    return place.add(Policyd(place.directory / "policyd", post365_meter="delivery", post365_recipient_quota="50/1h",
                             post365_message_quota="30/1m")).start()


def run(*words, policyd=None, **options):
    """The command as a program would call it."""
    return command.run(policyd.etc if policyd else None, *words, **options)


def reserve(policyd, account, recipients):
    with Control(policyd) as control:
        reservation = control.reserve(recipients, account)["reservation"]
        assert control.ask("settle", reservation=reservation, recipients=recipients)["result"] == "done"


# --- explain ---

@pytest.mark.parametrize("text, cause, status", [
    (QUOTA, "submission-quota", 0), (GATE, "security-defaults", 1),
    (f"4D1F2: to=<a@b>, relay=smtp.office365.com[1.2.3.4]:587, dsn=5.2.0, status=bounced (host smtp.office365.com[1.2.3.4] "
     f"said: {QUOTA} (in reply to end of DATA command))", "submission-quota", 0)])
def test_a_reply_is_explained_however_it_was_pasted(text, cause, status):
    for words in ([text], text.split(" ")):
        done = run("explain", *words)
        assert done.returncode == status and done.stderr == ""
        assert f"cause     {cause}\n" in done.stdout
    found = json.loads(run("explain", "--json", text).stdout)
    assert found["cause"] == cause and found["temporary"] is True and found["needs_admin"] == bool(status)


def examples():
    """(cause, reply, stage) of every row of docs/OFFICE365_REPLIES.md."""
    page = (workplace.PROJECT / "docs" / "OFFICE365_REPLIES.md").read_text()
    return [(section.split("\n")[0], reply, stage) for section in page.split("\n### ")[1:]
            for reply, stage in re.findall(r"^- `(.*)` \((.*)\)$", section, re.M)]


def test_every_row_is_known_out_of_a_line_of_the_log():
    assert len(examples()) > 45
    stamp = "[SY4P300CA0001.AUSP300.PROD.OUTLOOK.COM 2023-09-12T20:59:57.214Z 08DBB276B7E699C4]"
    head = "Nov 26 14:00:01 relay postfix/lmtp[123]: 4D1F2: to=<a@b>, relay=x[1.2.3.4]:587, delay=1, dsn=4.0.0, status=deferred "
    wrong = []
    for cause, reply, stage in examples():
        said = f"host smtp.office365.com[1.2.3.4] said: {reply} {stamp}"
        command = {"RCPT": "RCPT TO command", "MAIL": "MAIL FROM command", "end of DATA": "end of DATA command"}.get(stage)
        if stage == "AUTH":
            said = f"SASL authentication failed; server smtp.office365.com[1.2.3.4] said: {reply} {stamp}"
        elif command:
            said += f" (in reply to {command})"
        elif stage == "connect":
            said = f"host smtp.office365.com[1.2.3.4] refused to talk to me: {reply} {stamp}"
        else:
            continue  # a report by mail, or what is said anywhere
        transport = f"host relay[post365/transport] said: 450 4.0.0 host x said: {reply} {stamp} (in reply to {stage})"
        for line in (f"{head}({said})", said, f"{head}({transport} (in reply to end of DATA command))"):
            found = json.loads(run("explain", "--json", line).stdout)
            if found["cause"] != cause:
                wrong.append((cause, found["cause"], line))
    assert not wrong


@pytest.mark.parametrize("text, cause, status", [
    ("AADSTS7000222: The provided client secret keys for app '0b5a' are expired.", "secret-expired", 1),
    ('{"error":"invalid_grant",\n "error_description":"AADSTS700082: The refresh\n token has expired"}', "grant-idle", 1),
    ('{"error": "temporarily_unavailable"}', "endpoint-trouble", 0), ("AADSTS7654321: invented tomorrow", "request-refused", 1),
    ("host relay[post365/accounts/a@b] said: 451 4.7.0 no access token: x; cloud-wrong: Set it (in reply to end of DATA "
     "command)", "cloud-wrong", 1)])
def test_what_the_token_endpoint_says_is_explained(text, cause, status):
    for words in ([text], text.split(" ")):
        done = run("explain", *words)
        assert (done.returncode, done.stderr) == (status, "")
        assert f"cause     {cause}\n" in done.stdout and "remedy    " in done.stdout
    found = json.loads(run("explain", "--json", text).stdout)
    assert found["cause"] == cause and found["needs_admin"] == bool(status)


@pytest.mark.parametrize("name", ["token-refused", "mailbox-logon", "consent-missing"])
def test_a_cause_is_explained_by_its_name_and_names_the_new_permission_first(name):
    text = " ".join(run("explain", name).stdout.split())
    assert f"cause {name} meaning " in text
    assert 0 < text.index("Application SMTP.SendAsApp") < text.index("FullAccess" if name != "consent-missing" else "API permission")


def test_every_error_of_the_endpoint_has_words_of_its_own():
    general = {"request-refused", "login-again", "login-pending"}
    causes = {}
    for number, (status, error, text) in errors.ERRORS.items():
        answer = json.dumps({"error": error, "error_description": f"AADSTS{number}: {text}", "error_codes": [number]})
        causes[number] = json.loads(run("explain", "--json", answer).stdout)["cause"]
    assert len(causes) > 80 and {number for number, cause in causes.items() if cause in general} <= {70016}, causes
    assert (causes[7000215], causes[90002], causes[700023]) == ("secret-wrong", "tenant-unknown", "assertion-wrong")


def test_a_reply_without_text():
    assert "cause     other-permanent\n" in run("explain", "550").stdout
    found = json.loads(run("explain", "--json", "550").stdout)
    assert (found["code"], found["text"], found["cause"]) == (550, "", "other-permanent")


def test_text_without_a_reply_and_hostile_text():
    done = run("explain", "hello")
    assert done.returncode == 65 and "holds no reply code" in done.stderr and done.stdout == ""
    done = run("explain", "550 5.1.1 \033[31mred\033]0;title\007 \u009b2J")
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", done.stdout)


# --- status ---

def test_status_shows_use_room_and_pause(policyd):
    done = run("status", policyd=policyd)
    assert (done.returncode, done.stdout) == (0, "The ledger knows no account yet: nothing was sent.\n")
    reserve(policyd, UPN, 50)
    reserve(policyd, OTHER, 5)
    done = run("status", policyd=policyd)
    assert done.returncode == 0
    assert re.search(r"^relay@contoso\.com\n  recipients +█{20} 50 of 50 per 1h\n  messages +█░{19} 1 of 30 per 1m\n"
                     r"  room +(?:\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d \(in [^)]+\)\n", done.stdout, re.M), done.stdout
    assert re.search(r"^other@contoso\.com\n  recipients +██░{18} 5 of 50 per 1h\n.*\n  room +now\n", done.stdout, re.M)
    assert run("status", OTHER, policyd=policyd).stdout.startswith("other@contoso.com\n")
    assert run("pause", OTHER, "holiday", policyd=policyd).returncode == 0
    done = run("status", policyd=policyd)
    assert done.returncode == 1
    assert "paused until somebody resumes it\n  cause      holiday\n" in done.stdout


def test_status_for_programs(policyd):
    reserve(policyd, UPN, 7)
    run("pause", "--for", "2h", UPN, "a \033[31m cause", policyd=policyd)
    done = run("status", "--json", policyd=policyd)
    found = json.loads(done.stdout)
    assert done.returncode == 1
    assert found["account"] == UPN
    assert found["recipients"] == {"used": 7, "reserved": 0, "limit": 50, "period": 3600.0}
    assert found["pause"]["in_force"] is True and found["pause"]["cause"] == "a  [31m cause"  # as the ledger keeps it
    assert 7100 < found["pause"]["until"] - found["pause"]["since"] <= 7200


def test_an_account_without_limits(place):
    policyd = place.add(Policyd(place.directory / "policyd", post365_meter="delivery", post365_recipient_quota="none",
                                post365_message_quota="none")).start()
    reserve(policyd, UPN, 3)
    assert re.search(r"recipients +3, no limit\n", run("status", policyd=policyd).stdout)
    assert json.loads(run("status", "--json", policyd=policyd).stdout)["recipients"]["limit"] is None


# --- pause and resume ---

def test_pause_and_resume(policyd):
    done = run("pause", UPN, policyd=policyd)
    assert (done.returncode, done.stdout) == (0, f"{UPN} is paused until somebody resumes it\n")
    with Control(policyd) as control:
        assert control.reserve()["result"] == "later"
    assert "is resumed" in run("resume", UPN, policyd=policyd).stdout
    assert run("resume", UPN, policyd=policyd).stdout == f"{UPN} was not paused\n"
    with Control(policyd) as control:
        assert control.reserve()["result"] == "granted"
    assert re.fullmatch(rf"{UPN} is paused until .*\(in 2 h 0 min\)\n", run("pause", "--for", "2h", UPN, policyd=policyd).stdout)


def test_an_account_that_does_not_exist_is_not_paused(place):
    """A misspelt name would hold up nobody."""
    credentials = f"inline:{{ {{ {UPN} = {UPN}:geheim }}, {{ {OTHER} = {OTHER}:geheim }} }}"
    policyd = place.add(Policyd(place.directory / "policyd", post365_meter="delivery", post365_password_maps=credentials)).start()
    for name in ("relai@contoso.com", "relay@contoso.co", "info@contoso.com"):
        done = run("pause", name, policyd=policyd)
        assert (done.returncode, done.stdout) == (2, "") and f"there is no account {name}" in done.stderr
        assert UPN in done.stderr and OTHER in done.stderr and "geheim" not in done.stderr
        assert run("status", name, policyd=policyd).returncode == 0
    assert run("pause", UPN.upper(), policyd=policyd).returncode == 0
    assert run("pause", OTHER, policyd=policyd).returncode == 0
    assert "is resumed" in run("resume", OTHER, policyd=policyd).stdout


@pytest.mark.parametrize("words", [
    (), ("junk",), ("status", "--junk"), ("pause",), ("pause", "--for", "soon", UPN), ("pause", "--for"), ("resume",),
    ("resume", "a@b.c", "d@e.f"), ("explain",), ("history",), ("-x",)])
def test_wrong_usage_is_said_and_changes_nothing(policyd, words):
    done = run(*words, policyd=policyd)
    assert done.returncode == 2 and done.stderr != "" and done.stdout == ""


def test_an_account_that_is_no_upn(policyd):
    for words in (("status",), ("status", UPN), ("history",), ("pause",), ("resume",)):
        done = run(*words, "nobody", policyd=policyd)
        assert done.returncode == 2 and '"nobody" is no account' in done.stderr and done.stdout == "", done


# --- what may go wrong ---

def test_values_of_main_cf_cannot_command_the_terminal(policyd):
    done = run("-o", "post365_recipient_quota=\033[31mred\u202e", "status", policyd=policyd)
    assert done.returncode == 78 and "?[31mred? is no quota" in done.stderr.replace('"', ""), done
    assert "\033" not in done.stderr and "\u202e" not in done.stderr


def test_without_policyd_it_says_so(policyd):
    policyd.stop()
    for words in (("status",), ("history", UPN), ("pause", UPN), ("resume", UPN)):
        done = run(*words, policyd=policyd)
        assert done.returncode == 69 and "post365-policyd" in done.stderr, done


def test_a_wrong_configuration_names_the_parameter(policyd):
    policyd.configure(post365_message_quota="junk")
    done = run("status", policyd=policyd)
    assert done.returncode == 78 and "post365_message_quota = junk" in done.stderr


def test_who_may_not_change_or_not_even_ask(policyd):
    group = pwd.getpwnam(workplace.USER).pw_gid
    reserve(policyd, UPN, 1)
    program = policyd.directory / "post365"  # where others may run it, wherever the checkout lies
    shutil.copy(PROGRAM, program)
    other = {"policyd": policyd, "program": program, "user": "games", "extra_groups": []}
    assert run("status", group=group, **other).returncode == 0
    done = run("pause", UPN, group=group, **other)
    assert done.returncode == 77 and done.stderr != ""
    done = run("status", group=pwd.getpwnam("games").pw_gid, **other)
    assert done.returncode == 69 and "ermission" in done.stderr


def test_a_pipe_that_was_closed_and_a_full_disk(policyd):
    reserve(policyd, UPN, 1)
    done = subprocess.run(["/bin/sh", "-c", f"{PROGRAM} -c {policyd.etc} status | true"], capture_output=True, text=True,
                          timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    with open("/dev/full", "w", encoding="ascii") as full:
        done = subprocess.run([PROGRAM, "explain", QUOTA], stdout=full, stderr=subprocess.PIPE, text=True, timeout=30, check=False)
    assert done.returncode == 74 and "cannot write" in done.stderr


@pytest.mark.parametrize("environment, coloured", [
    ({"TERM": "xterm"}, True), ({"TERM": "dumb"}, False), ({"TERM": "xterm", "NO_COLOR": "1"}, False), ({}, False)])
def test_colour_is_for_terminals_and_lines_fit(environment, coloured):
    written = on_terminal("explain", QUOTA, columns=60, environment=environment)
    assert ("\033[" in written) is coloured
    plain = re.sub("\033\\[[0-9]*m", "", written)
    words = max(len(word) for word in plain.split())
    assert max(len(line) for line in plain.splitlines()) <= max(60, 10 + words)
    assert "\033" not in run("explain", QUOTA, environment=environment).stdout


def test_help_fits_on_a_terminal():
    told = run("--help").stdout
    names = re.findall(r"^  ([a-z]+) +[A-Z]", told, re.M)
    assert {"status", "queue", "doctor", "setup"} <= set(names)
    for text in (told, *(run(name, "--help").stdout for name in names)):
        assert max(map(len, text.splitlines())) <= 80, text


def test_help_and_version():
    assert run("--help").returncode == 0 and "explain" in run("--help").stdout
    assert run("--version").stdout.startswith("post365 ")
    for name in ("status", "history", "pause", "resume", "explain", "setup"):
        done = run(name, "--help")
        assert done.returncode == 0 and done.stdout.startswith(f"usage: post365 {name} ")
        assert run(name, "--json", "--help").stdout == done.stdout
