"""post365 queue on what no healthy Postfix says: a postqueue(1) of our own tells it."""

import json
import re
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
    def told(*lines, words=(), status=0, end=""):
        data = b"".join((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines)
        (policyd.directory / "told").write_bytes(data)
        program = policyd.directory / "postqueue"
        program.write_text(f"#!/bin/sh\ncat {policyd.directory}/told\n{end}\nexit {status}\n")
        program.chmod(0o755)
        return run(policyd.etc, "-o", f"command_directory={policyd.directory}", "queue", *words)
    return told


def has_no_controls(text):
    return not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", text)


def test_what_others_wrote_cannot_command_the_terminal(tell, policyd):
    lines = message(sender="x\033[2J@y", recipients=[("a\033]0;t\007@dest.example", HOSTILE), ("\u009b31m@x", "\033[1mother")])
    for words in ((), ("--summary",), ("explain", "4D1F200001")):
        done = tell(lines, words=words)
        assert done.returncode in (0, 1), done
        assert has_no_controls(done.stdout) and "\u202e" not in done.stdout, done.stdout
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
    json.dumps(message()).replace('"sender": "relay@contoso.com"', '"sender": 7').encode()])
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
    ("explain", "A", "B"), ("hold", "A"), ("delete", "--yes"), ("--junk",)])
def test_wrong_usage(tell, words):
    done = tell(message(), words=words)
    assert done.returncode == 2 and done.stderr != "" and done.stdout == ""


def test_a_message_with_many_recipients_and_causes(tell):
    reasons = [None, "connect to x[1.2.3.4]:587: Connection refused", "host x[1.2.3.4] said: 450 4.2.0 wait (in reply to RCPT TO command)",
               "host x said: 550 5.7.60 SMTP; Client does not have permissions to send as this sender (in reply to end of DATA command)"]
    done = tell(message(recipients=[(f"r{number}@dest.example", reasons[number % 4]) for number in range(20000)]), words=("--json",))
    (found,) = map(json.loads, done.stdout.splitlines())
    assert {cause["cause"]: cause["recipients"] for cause in found["causes"]} == {
        "on-its-way": 5000, "server-unreachable": 5000, "other-temporary": 5000, "send-as": 5000}
    assert len(found["recipients"]) == 20000
