"""post365 and a ledger that answers what post365-policyd never would."""

import json
import re
import socket
import threading

import pytest
from test_policyd import Policyd

from harness.command import run

UPN = "relay@contoso.com"
STATUS = {"result": "done", "account": UPN, "now": 1790000100000000, "earliest": 1790000100000000,
          "recipients_used": 5, "recipients_reserved": 0, "recipients_limit": 10000, "recipients_period": 86400000000,
          "messages_used": 5, "messages_reserved": 0, "messages_limit": 30, "messages_period": 60000000,
          "recipients_per_message": 500, "waiting": 0}
COMMANDS = (("status", UPN), ("status", "--json", UPN), ("history", UPN), ("history", "--json", UPN), ("pause", UPN), ("resume", UPN),
            ("queue",), ("queue", "--json"))


class Ledger:
    """Answers each request with what `answers` has for it, or for "*": bytes, or a dictionary."""

    def __init__(self, directory, answers):
        self.path, self.answers = directory / "ledger", answers
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.path))
        self.listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def stop(self):
        self.listener.close()

    def _serve(self):
        while True:
            try:
                connection = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def _converse(self, connection):
        with connection:
            self._answer(connection)

    def _answer(self, connection):
        received = b""
        try:
            while data := connection.recv(65536):
                received += data
                while b"\n\n" in received:
                    request, received = received.split(b"\n\n", 1)
                    name = re.match(rb"request=(\w+)", request).group(1).decode()
                    answer = self.answers.get(name, self.answers.get("*"))
                    if isinstance(answer, dict):
                        answer = "".join(f"{key}={value}\n" for key, value in answer.items()).encode("utf-8", "surrogateescape") + b"\n"
                    connection.sendall(answer)
        except OSError:
            pass


@pytest.fixture
def ask(place):
    """Runs a command where a ledger answers so."""
    policyd = place.add(Policyd(place.directory / "policyd", post365_meter="delivery", post365_upn=UPN))
    policyd.configure()
    message = {"queue_name": "active", "queue_id": "4D1F200001", "arrival_time": 1700000000, "message_size": 1, "sender": UPN,
               "recipients": [{"address": "a@dest.example"}, {"address": "b@dest.example"}]}
    postqueue = policyd.directory / "postqueue"
    postqueue.write_text(f"#!/bin/sh\necho '{json.dumps(message)}'\n")
    postqueue.chmod(0o755)

    def asked(answers, *words):
        ledger = Ledger(policyd.directory, answers)
        try:
            return run(policyd.etc, "-o", f"command_directory={policyd.directory}",
                       "-o", f"post365_control_socket=unix:{ledger.path}", *words, timeout=20, errors="surrogateescape")
        finally:
            ledger.stop()
            ledger.path.unlink()
    return asked


GARBAGE = {"octets": b"\xff\x00\n\n" * 10, "other": b"result=granted\n\n", "escapes": b"result=error\nreason=\x1b[31mred\xff\n\n",
           "no reason": b"result=refused\nreason=\n\n", "flood": b"result=done\n" * 100000}


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("kind", GARBAGE)
def test_garbage_is_told_of_and_commands_no_terminal(ask, words, kind):
    done = ask({"*": GARBAGE[kind]}, *words)
    if words[0] == "queue":  # is shown all the same
        assert done.returncode == (0 if kind == "no reason" else 1) and "4D1F200001" in done.stdout, done
    else:
        assert done.returncode in (69, 77) and done.stdout == "" and done.stderr.startswith("post365: "), done
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\udcff]", done.stdout + done.stderr), done


HISTORY = {"result": "done", "account": UPN}


@pytest.mark.parametrize("change", [
    {"account": "a\x1b[31m\udcff@x"}, {"recipients_per_message": 0}, {"recipients_limit": 0}, {"waiting": 2**32 - 1},
    {"recipients_period": 2**63 - 1, "messages_period": 2**63 - 1}, {"now": 2**63 - 1}, {"earliest": 2**63 - 1},
    {"pause_since": 1, "pause_until": 2**63 - 2, "pause_failures": 2**32 - 1, "pause_cause": "\x1b[2J"}], ids=" ".join)
def test_odd_numbers_and_names(ask, change):
    for words in COMMANDS:
        if words[0] in ("status", "history", "queue"):
            done = ask({"status": STATUS | change, "history": HISTORY}, *words)
            assert done.returncode in (0, 1) and done.stderr == "", done
            assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\udcff]", done.stdout), done
            assert "--json" not in words or all(isinstance(json.loads(line), dict) for line in done.stdout.splitlines()), done
    found = json.loads(ask({"status": STATUS | change}, "status", "--json", UPN).stdout)
    assert found["waiting"] == change.get("waiting", 0) and (found["pause"] or {}).get("failures", 0) == change.get("pause_failures", 0)


def test_an_account_that_is_paused_is_shown_safely(ask):
    done = ask({"pause": {"result": "done", "account": "a\u202eb@x", "failures": 0}}, "pause", UPN)
    assert (done.returncode, done.stdout) == (0, "a?b@x is paused until somebody resumes it\n"), done
