"""post365 queue: filters, one message explained, flush, hold, release and delete, on a real Postfix."""

import json
import os
import pwd
import re
import subprocess

import pytest
from harness import processes, workplace
from harness.command import on_terminal, run
from harness.office365 import Office365
from harness.relay import UPN, Relay

OTHER = "other@example.com"
SLOW = {"minimal_backoff_time": "4000s", "maximal_backoff_time": "4000s", "queue_run_delay": "1000s"}


@pytest.fixture
def relay(place):
    """Two accounts, both paused by hand; each has a message to ann, the other one also one to two at bob's."""
    office365 = place.add(Office365(place.directory / "office365",
                                    mailboxes={UPN: {"password": "well"}, OTHER: {"password": "well"}})).start()
    made = place.add(Relay(place.directory / "relay", office365, transport=[UPN, OTHER], parameters=SLOW,
                           passwords={UPN: f"{UPN}:well", OTHER: f"{OTHER}:well"}, post365={"post365_upn": UPN})).start()
    for upn in (UPN, OTHER):
        assert run(made.postfix.config_directory, "pause", upn).returncode == 0
    return made


def submit(relay, upn, *recipients):
    outcome, message_id = relay.submit(upn, list(recipients), f"From: {upn}\r\nTo: {recipients[0]}\r\nSubject: x\r\n".encode())
    assert outcome.accepted
    assert processes.wait_until(lambda: f"message-id={message_id}" in relay.postfix.log(), 30)
    queue_id = re.search(rf"\]: (\w+): message-id={re.escape(message_id)}", relay.postfix.log()).group(1)
    assert processes.wait_until(lambda: any(message["queue_id"] == queue_id and message["queue_name"] == "deferred"
                                            for message in relay.postfix.queue()), 20, 0.1), relay.postfix.queue()
    return queue_id


@pytest.fixture
def messages(relay):
    return [submit(relay, UPN, "ann@dest.example"), submit(relay, OTHER, "ann@dest.example"),
            submit(relay, OTHER, "bob@dest.example", "eve@elsewhere.example")]


def queue(relay, *words, **options):
    return run(relay.postfix.config_directory, "queue", *words, **options)


def listed(relay, *words):
    return {json.loads(line)["id"] for line in queue(relay, "--json", *words).stdout.splitlines()}


def in_queue(relay, name):
    return {message["queue_id"] for message in relay.postfix.queue() if message["queue_name"] == name}


# --- what is listed ---

def test_filters(relay, messages):
    one, two, three = messages
    for words, found in {
            (): {one, two, three},
            ("--account", UPN.upper()): {one},
            ("--account", OTHER): {two, three},
            ("--account", "nobody@example.com"): set(),
            ("--cause", "paused-by-hand"): {one, two, three},
            ("--cause", "security-defaults"): set(),
            ("--recipient", "Ann@dest.example"): {one, two},
            ("--recipient", "@elsewhere.example"): {three},
            ("--recipient", "ann"): set(),
            ("--older", "1h"): set(),
            ("--queue", "deferred"): {one, two, three},
            ("--queue", "hold"): set(),
            ("--account", OTHER, "--recipient", "bob@dest.example"): {three}}.items():
        assert listed(relay, *words) == found, words
    assert processes.wait_until(lambda: listed(relay, "--older", "1s") == {one, two, three}, 30)
    assert queue(relay, "--account", "nobody@example.com").stdout == "Nothing in the queue fits.\n"


def test_the_list_and_the_summary(relay, messages):
    done = queue(relay)
    assert done.returncode == 0 and done.stderr == ""
    assert re.search(rf"^{OTHER}  paused-by-hand\n  waiting 2 messages to 3 recipients, the oldest \d+s old\n", done.stdout, re.M), \
        done.stdout
    assert re.search(rf"^    {messages[2]} +\d+s +bob@dest.example and 1 more +when resumed$", done.stdout, re.M)
    assert done.stdout.endswith("\n3 messages to 4 recipients\n")
    assert f"`post365 resume {OTHER}`" in done.stdout
    summary = queue(relay, "--summary").stdout
    assert messages[0] not in summary and summary.endswith("\n3 messages to 4 recipients\n")
    groups = [json.loads(line) for line in queue(relay, "--summary", "--json").stdout.splitlines()]
    assert {(group["account"], group["messages"], group["recipients"], group["when"], group["needs_admin"]) for group in groups} == \
        {(UPN, 1, 1, "resumed", False), (OTHER, 2, 3, "resumed", False)}


@pytest.mark.parametrize("columns", [20, 40, 60, 80, 200])
def test_lines_fit_the_terminal(relay, messages, columns):
    written = on_terminal("-c", str(relay.postfix.config_directory), "queue", columns=columns)
    plain = re.sub("\033\\[[0-9]*m", "", written)
    # What is one word is not broken: an account with its cause, a queue id.
    longest = max(len(word) for word in plain.split()) + 12
    assert max(len(line) for line in plain.splitlines()) <= max(columns, longest, len(f"{OTHER}  paused-by-hand")), plain
    assert all(queue_id in plain for queue_id in messages)


def test_one_message_is_explained(relay, messages):
    done = queue(relay, "explain", messages[2])
    assert done.returncode == 0, done
    assert done.stdout.startswith(f"{messages[2]}  in the deferred queue, arrived ")
    for text in (f"account {OTHER}", f"sender  <{OTHER}>", "to      bob@dest.example\n  to      eve@elsewhere.example",
                 "cause   paused-by-hand: Somebody has paused the account.", "goes    when the account is resumed",
                 "reason  host relay.example.com[post365/accounts/"):
        assert text in done.stdout, (text, done.stdout)
    assert re.search(r"\n2 attempts in \S+\n  \w.* to=<bob@dest.example>,.* status=deferred", done.stdout, re.S), done.stdout
    found = json.loads(queue(relay, "explain", "--json", messages[2]).stdout)
    assert found["account"] == OTHER and found["attempts_seen"] == 2 and len(found["attempts"]) == 2
    assert {recipient["address"] for recipient in found["recipients"]} == {"bob@dest.example", "eve@elsewhere.example"}
    done = queue(relay, "explain", "ABCDEF0123")
    assert done.returncode == 65 and "no message ABCDEF0123 is in the queue" in done.stderr


@pytest.mark.parametrize("layout", [{"hash_queue_depth": 3, "enable_long_queue_ids": "yes"}, {"hash_queue_depth": 2},
                                    {"hash_queue_names": "defer"}], ids=["long", "short", "flat"])
def test_the_time_of_the_next_attempt_however_the_queue_is_laid_out(relay, layout):
    relay.postfix.configure(layout)
    relay.postfix.reload()
    queue_id = submit(relay, UPN, "ann@dest.example")
    # Without the ledger's word it is Postfix's schedule alone.
    done = run(relay.postfix.config_directory, "-o", "post365_meter=submission", "queue", "--json")
    (file,) = (relay.postfix.directory / "spool" / "deferred").rglob(queue_id)
    assert [cause["at"] for cause in json.loads(done.stdout)["causes"]] == [int(file.stat().st_mtime)]


# --- what is done ---

def test_hold_release_and_delete_what_a_filter_takes(relay, messages):
    one, two, three = messages
    done = queue(relay, "hold", "--account", OTHER)
    assert done.returncode == 2 and "add --yes" in done.stderr and in_queue(relay, "hold") == set()
    done = queue(relay, "hold", "--account", OTHER, "--yes")
    assert done.returncode == 0 and "2 messages" in done.stdout, done
    assert in_queue(relay, "hold") == {two, three} and in_queue(relay, "deferred") == {one}
    held = queue(relay, "--queue", "hold").stdout
    assert f"{two}!" in held and "when it is released from hold" in held and held.count("when released") == 2 and "2 on hold" in held
    done = queue(relay, "release", "--recipient", "@elsewhere.example", "--yes")
    assert done.returncode == 0 and in_queue(relay, "hold") == {two}
    done = queue(relay, "delete", "--yes")
    assert done.returncode == 2 and "delete the whole queue?" in done.stderr
    done = queue(relay, "delete", "--account", UPN, "--yes")
    assert done.returncode == 0 and "1 message" in done.stdout
    assert in_queue(relay, "hold") == {two} and one not in {message["queue_id"] for message in relay.postfix.queue()}
    done = queue(relay, "delete", "--account", UPN, "--yes")
    assert (done.returncode, done.stdout) == (0, "Nothing in the queue to delete.\n")


def test_flush_hands_over_what_a_filter_takes(relay, messages):
    # The accounts stay paused: nothing but this has them tried again.
    def attempts():
        return {queue_id: len(re.findall(rf"\]: {queue_id}: to=<.* status=deferred", relay.postfix.log())) for queue_id in messages}
    assert attempts() == dict(zip(messages, (1, 1, 2), strict=True))
    done = queue(relay, "flush", "--account", OTHER, "--yes")
    assert (done.returncode, done.stdout) == (0, "2 messages are handed to Postfix for another attempt\n"), done
    assert processes.wait_until(lambda: attempts() == dict(zip(messages, (1, 2, 4), strict=True)), 20, 0.1), attempts()
    done = queue(relay, "flush", "--yes")
    assert (done.returncode, done.stdout) == (0, "3 messages are handed to Postfix for another attempt\n"), done
    assert processes.wait_until(lambda: attempts() == dict(zip(messages, (2, 3, 6), strict=True)), 20, 0.1), attempts()


def test_the_question_is_asked_on_a_terminal(relay, messages):
    for answer, left in (("n\n", {messages[0]}), ("y\n", set())):
        leader, follower = os.openpty()
        with subprocess.Popen([workplace.BUILD / "post365", "-c", relay.postfix.config_directory, "queue", "delete", "--account", UPN],
                              stdin=follower, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            os.write(leader, answer.encode())
            output, errors = process.communicate(timeout=30)
        os.close(leader)
        os.close(follower)
        assert "delete 1 message; they are lost, and nobody is told? [y/N] " in errors, (output, errors)
        assert in_queue(relay, "deferred") & {messages[0]} == left


# --- what may go wrong ---

def test_who_may_not_see_the_queue_or_change_it(relay, messages):
    program = relay.postfix.directory / "post365"
    program.write_bytes((workplace.BUILD / "post365").read_bytes())
    program.chmod(0o755)
    games = {"program": program, "user": "games", "group": pwd.getpwnam("games").pw_gid, "extra_groups": []}
    relay.postfix.parameters["authorized_mailq_users"] = "root"
    relay.postfix.configure({})
    commands = f"command_directory={relay.transport.postfix.directory / 'commands'}"
    done = run(relay.postfix.config_directory, "-o", commands, "queue", **games)
    assert done.returncode == 69 and "not allowed to view the mail queue" in done.stderr and done.stdout == "", done
    # Who may see it, but neither the passwords nor the ledger, is told what there is.
    relay.postfix.parameters["authorized_mailq_users"] = "static:anyone"
    relay.postfix.configure({})
    done = run(relay.postfix.config_directory, "-o", commands, "queue", **games)
    assert done.returncode == 1 and "the senders are taken for the accounts" in done.stderr, done
    assert f"{OTHER}  paused-by-hand" in done.stdout


def test_postfix_is_stopped(relay, messages):
    relay.postfix.stop()
    done = queue(relay)
    assert "ail system is down" in done.stderr, done
    assert f"{OTHER}  paused-by-hand" in done.stdout and done.stdout.endswith("3 messages to 4 recipients\n")
