"""post365 queue on what no healthy Postfix says: a postqueue(1) of our own tells it."""

import json
import os
import re
import resource
import subprocess

import pytest
from test_policyd import Policyd

from harness.command import PROGRAM, on_terminal, run

UPN = "relay@contoso.com"
HOSTILE = "host x said: 450 4.7.1 \033[31mred\033]0;title\007 \u009b2J \u202e <b>&amp;\r\nname: value\x00end"


@pytest.fixture
def policyd(place):
    return place.add(Policyd(place.directory / "policyd", post365_meter="delivery", post365_recipient_quota="50/1h",
                             post365_message_quota="30/1m", post365_upn=UPN)).start()


def message(queue_id="4D1F200001", queue="deferred", sender=UPN, recipients=(("a@dest.example", "connect to x[1.2.3.4]:587: refused"),),
            **more):
    return {"queue_name": queue, "queue_id": queue_id, "arrival_time": 1700000000, "message_size": 365, "forced_expire": False,
            "sender": sender, "recipients": [{"address": address, **({"delay_reason": reason} if reason else {})}
                                             for address, reason in recipients], **more}


@pytest.fixture
def tell(policyd):
    """Has `post365 queue` told these lines (dictionaries, or bytes as they are)."""
    def told(*lines, words=(), status=0, end="", before=(), **options):
        data = b"".join((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines)
        (policyd.directory / "told").write_bytes(data)
        program = policyd.directory / "postqueue"
        program.write_text(f"#!/bin/sh\ncat {policyd.directory}/told\n{end}\nexit {status}\n")
        program.chmod(0o755)
        return run(policyd.etc, "-o", f"command_directory={policyd.directory}", *before, "queue", *words, **options)
    return told


def has_no_controls(text):
    return not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", text)


def test_what_others_wrote_cannot_command_the_terminal(tell, policyd):
    lines = message(sender="x\033[2J\u061c\u2028@y", recipients=[("a\033]0;t\007@dest.example", HOSTILE), ("\u009b31m@x", "\033[1mother")])
    for words in ((), ("--summary",), ("explain", "4D1F200001")):
        done = tell(lines, words=words)
        assert done.returncode in (0, 1), done
        assert has_no_controls(done.stdout) and not re.search("[\u061c\u2028\u202e]", done.stdout), done.stdout
    done = tell(lines, words=("--json",))
    assert has_no_controls(done.stdout)
    found = json.loads(done.stdout)
    assert "?[31mred" in found["recipients"][0]["reason"]
    written = on_terminal("-c", str(policyd.etc), "-o", f"command_directory={policyd.directory}", "queue", columns=80)
    assert has_no_controls(re.sub("\033\\[[0-9]*m|\r\n", "", written))


@pytest.mark.parametrize("line", [
    b"", b"{", b"[]", b"null", b"{}", b'{"queue_name":"deferred"}', b"\xff\xfe", b"x" * 100000,
    json.dumps(message(queue_id="../../etc/passwd")).encode(), json.dumps(message(queue="junk")).encode(),
    json.dumps(message(recipients=[])).replace('"recipients": []', '"recipients": [{}]').encode(),
    json.dumps(message()).replace('"sender": "relay@contoso.com"', '"sender": 7').encode(),
    json.dumps(message(arrival_time=2**63 - 1)).encode(), json.dumps(message(arrival_time=-1)).encode()])
def test_a_line_that_makes_no_sense_is_told_of_and_the_others_are_shown(tell, line):
    done = tell(message("4D1F200001"), line, message("4D1F200002"))
    assert done.returncode == 69 and "1 messages in a way that makes no sense" in done.stderr, done
    assert "4D1F200001" in done.stdout and "4D1F200002" in done.stdout


def test_a_postqueue_that_fails_in_the_middle(tell):
    done = tell(message(), status=1)
    assert done.returncode == 69 and "not the whole queue" in done.stderr and "4D1F200001" in done.stdout
    done = tell(message(), end="kill -9 $$")
    assert done.returncode == 69 and "ended by signal 9" in done.stderr and "4D1F200001" in done.stdout
    done = tell(words=("delete", "--account", UPN, "--yes"), status=1)
    assert done.returncode == 69 and "Nothing in the queue" not in done.stdout


def test_without_a_postqueue(policyd):
    done = run(policyd.etc, "-o", "command_directory=/nowhere", "queue")
    assert done.returncode == 69 and "/nowhere/postqueue: No such file" in done.stderr and "Postfix installed" in done.stderr


def test_a_message_that_vanishes_meanwhile(tell, policyd):
    # Told once, gone at the second look, and with no file in the queue at all.
    end = f"cat /dev/null >{policyd.directory}/told"
    done = tell(message(), words=("explain", "4D1F200001"), end=end)
    assert done.returncode == 65 and "no message 4D1F200001 is in the queue (any more)" in done.stderr
    done = tell(message(), words=("--json",), end=end)
    assert (done.returncode, done.stdout) == (0, "")
    done = tell(message())
    assert done.returncode == 0 and "at Postfix's next attempt" in done.stdout, done
    # And one that comes between the two looks.
    later = json.dumps(message("4D1F2000FF"))
    done = tell(message(), words=("--json",), end=f"echo '{later}' >>{policyd.directory}/told")
    assert {json.loads(line)["id"] for line in done.stdout.splitlines()} == {"4D1F200001", "4D1F2000FF"}


def test_a_message_with_two_causes_is_one_message(tell):
    done = tell(message(recipients=[("a@dest.example", "connect to x[1.2.3.4]:587: refused"), ("b@dest.example", None),
                                    ("c@dest.example", None)]), words=("--summary",))
    assert done.stdout.count("  waiting 1 message to ") == 2 and done.stdout.endswith("\n1 message to 3 recipients\n"), done.stdout
    done = tell(message(recipients=[("a@dest.example", "connect to x[1.2.3.4]:587: refused"), ("b@dest.example", None)]),
                message("4D1F200002"), words=("--summary", "--recipient", "b@dest.example"))
    assert done.stdout.endswith("\n1 message to 1 recipient\n"), done.stdout


def test_a_table_that_cannot_tell_the_account(tell):
    done = tell(message(sender="app@intern.example"), words=("--summary",),
                before=["-o", "post365_sender_upn_maps=inline:{ { app@intern.example = no-address } }"])
    assert "(no account)" in done.stdout and "some accounts cannot be told: " in done.stderr and "no-address" in done.stderr, done


def test_a_long_queue_id_is_shown_whole(tell, policyd):
    queue_id = "3Pt2mN2VXxzbcdfghjk"  # the inode of a large file system
    where = ("-c", str(policyd.etc), "-o", f"command_directory={policyd.directory}", "queue")
    done = tell(message(queue_id, "active", recipients=[(f"{'a' * 70}@dest.example", None)]))
    assert re.search(rf"^    {re.escape(queue_id)}\* \d+d +a+", done.stdout, re.M), done.stdout
    for columns in (60, 82, 100):
        written = re.sub("\033\\[[0-9]*m", "", on_terminal(*where, columns=columns))
        assert queue_id in written and max(map(len, written.splitlines())) <= columns, written


@pytest.mark.parametrize("log", ["/dev/stdout", "pipe", "long line", "directory"])
def test_a_log_that_is_none(tell, policyd, log):
    path = policyd.directory / "log-that-is-none"
    if log == "pipe":
        os.mkfifo(path)
    elif log == "directory":
        path.mkdir()
    elif log == "long line":
        with open(path, "wb") as file:
            file.seek(1 << 29)  # takes no room on the disk
            file.write(b"\nNov 26 14:00:01 relay postfix/lmtp[1]: 4D1F200001: to=<a@dest.example>, status=deferred (no)\n")
    (policyd.etc / "main.cf").write_text((policyd.etc / "main.cf").read_text() +
                                         f"maillog_file = {log if log.startswith('/') else path}\n")
    limit = 1 << 29 if "sanitize" not in str(PROGRAM) else resource.RLIM_INFINITY
    done = tell(message(), words=("explain", "4D1F200001"), preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))
    assert done.returncode == 0, done
    assert re.search("\n1 attempt in /" if log == "long line" else "\n(No log file can be read here|0 attempts in /)", done.stdout), done.stdout


def test_a_queue_directory_of_any_length(tell):
    # No socket's path is made of it then.
    sockets = [word for name in ("milter", "policy", "transport", "control", "oauth2")
               for word in ("-o", f"post365_{name}_socket=unix:/nowhere/{name}")]
    done = tell(message(), before=["-o", f"queue_directory=/{'x' * 2000}", *sockets])
    assert done.returncode == 1 and "4D1F200001" in done.stdout and "at Postfix's next attempt" in done.stdout, done


def test_an_empty_queue(tell):
    done = tell()
    assert (done.returncode, done.stdout, done.stderr) == (0, "The queue is empty.\n", "")


def test_a_closed_pipe_and_a_full_disk(tell, policyd):
    tell(*[message(f"4D1F2{number:05X}") for number in range(5000)])
    for words in ("queue", "queue --json", "queue --summary"):
        done = subprocess.run(["/bin/sh", "-c", f"{PROGRAM} -c {policyd.etc} -o command_directory={policyd.directory} {words} | head -1"],
                              capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0 and done.stderr == "" and done.stdout.count("\n") == 1, done
    with open("/dev/full", "w", encoding="ascii") as full:
        done = subprocess.run([PROGRAM, "-c", policyd.etc, "-o", f"command_directory={policyd.directory}", "queue"], stdout=full,
                              stderr=subprocess.PIPE, text=True, timeout=30, check=False)
    assert done.returncode == 74 and "cannot write" in done.stderr


@pytest.mark.parametrize("words", [
    ("junk",), ("--cause", "junk"), ("--older", "soon"), ("--queue", "junk"), ("--account",), ("explain",), ("explain", "a/b"),
    ("explain", "A", "B"), ("hold", "A"), ("delete", "--yes"), ("--junk",), ("--yes",), ("hold", "--yes", "--json"),
    ("hold", "--yes", "--summary"), ("explain", "A", "--summary"), ("explain", "A", "--queue", "hold"), ("explain", "A", "--account", UPN)])
def test_wrong_usage(tell, words):
    done = tell(message(), words=words)
    assert done.returncode == 2 and done.stderr != "" and done.stdout == ""


def test_a_message_with_many_recipients_and_causes(tell):
    reasons = [None, "connect to smtp.office365.com[1.2.3.4]:587: Connection refused", "host smtp.office365.com[1.2.3.4] said: 450 4.2.0 wait (in reply to RCPT TO command)",
               "host smtp.office365.com[1.2.3.4] said: 550 5.7.60 SMTP; Client does not have permissions to send as this sender (in reply to end of DATA command)"]
    done = tell(message(recipients=[(f"r{number}@dest.example", reasons[number % 4]) for number in range(20000)]), words=("--json",))
    (found,) = map(json.loads, done.stdout.splitlines())
    assert {cause["cause"]: cause["recipients"] for cause in found["causes"]} == {
        "on-its-way": 5000, "server-unreachable": 5000, "other-temporary": 5000, "send-as": 5000}
    assert len(found["recipients"]) == 20000
