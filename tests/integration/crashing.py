"""What the tests of crashes share: a policyd whose ledger may end badly, load on it, and the bookkeeping beside it.

POST365_CRASH_ROUNDS    how many rounds; a few if it is not set. `make crash` runs 200
POST365_CRASH_SEED      the seed that a failing test named: the same choices again, as far as they are ours
"""

import contextlib
import itertools
import json
import os
import random
import subprocess
import threading
import time

import pytest

from harness import workplace
from harness.faults import Faults
from harness.tally import Tally
from test_control import Control
from test_policyd import Policyd

LOAD = workplace.BUILD / "crash" / "load"
CONNECTIONS = 50
ACCOUNTS = 40
NAMES = [f"user{number:06}@example.com" for number in range(ACCOUNTS)]
START_LIMIT = 30  # seconds; for machines that are busy with something else
PATIENCE = 60
# Our library comes before the sanitizer's; and when Berkeley DB cannot go on, it frees nothing any more.
SANITIZER = "verify_asan_link_order=0:detect_leaks=0"

SEED = int(os.environ.get("POST365_CRASH_SEED") or random.SystemRandom().randrange(1, 1 << 32))


def rounds(few):
    return int(os.environ.get("POST365_CRASH_ROUNDS") or few)


class Ended(Exception):
    """The service has closed the connection."""


class Rig:
    """A policyd with one ledger, and what its clients know. Every number that is drawn comes from `random`."""

    def __init__(self, place, environment=None, **parameters):
        if not os.access(LOAD, os.X_OK):
            pytest.fail(f"{LOAD} is not there: run `make crash-programs` first")
        self.random = random.Random(SEED)
        self.tally = Tally()
        directory = place.directory / "policyd"
        directory.mkdir(exist_ok=True)
        table = directory / "accounts"
        table.write_text("".join(f"{name} {name}\n" for name in NAMES))
        os.utime(table, (1, 1))
        self.policyd = place.add(Policyd(directory, **{
            "post365_sender_upn_maps": f"texthash:{table}", "post365_recipient_quota": "2000000000/1d",
            "post365_message_quota": "none", **parameters}))
        options = ":".join(filter(None, (os.environ.get("ASAN_OPTIONS"), SANITIZER)))
        self.policyd.environment = {**os.environ, "ASAN_OPTIONS": options, **(environment or {})}
        self.ledger = self.policyd.parameters["post365_ledger"]
        self.slowest_start = 0.0
        self.load_totals = {"granted": 0, "temporary": 0}

    # --- starting and ending ---

    def execute(self):
        """Starts it and waits for nothing."""
        self.begun = time.monotonic()
        super(Policyd, self.policyd).start()

    def wait_started(self):
        """Until it has answered. False if it cannot use its ledger, or has ended before."""
        while self.policyd.alive():
            if self.policyd.answers():
                self.slowest_start = max(self.slowest_start, time.monotonic() - self.begun)
                return True
            if self.policyd.refuses():
                return False
            assert time.monotonic() < self.begun + START_LIMIT, f"does not start\n{self.policyd.log()[-3000:]}"
            time.sleep(0.001)
        return False

    def start(self):
        self.execute()
        assert self.wait_started(), f"ended with status {self.policyd.process.returncode}\n{self.policyd.log()[-3000:]}"

    def refusal(self, *statuses):
        """What a start has said that did not succeed: it waits for better times, answering 451, or it has ended with one
        of these."""
        log = self.policyd.log()
        if self.policyd.alive():
            self.policyd.kill()
            return [line for line in log.splitlines() if " until that is mended" in line][-1]
        status = self.status_of_end()
        assert status in statuses, f"status {status}, POST365_CRASH_SEED={SEED}\n{log[-3000:]}"
        return log.splitlines()[-1]

    def status_of_end(self):
        """Of a program that ends by itself, or has."""
        status = self.policyd.process.wait(PATIENCE)
        self.policyd.pid_path.unlink(missing_ok=True)
        return status

    def kill_later(self, seconds):
        """kill -9 when so much time has passed. Returns a thread to be joined."""
        timer = threading.Timer(seconds, self.policyd.process.kill)
        timer.start()
        return timer

    def begin(self, ledger):
        """Starts with a new ledger, where nothing was counted yet."""
        self.policyd.configure(post365_ledger=ledger)
        self.ledger = ledger
        self.tally = Tally()
        self.start()

    # --- looking ---

    def counted(self):
        """Of each account, by the control socket."""
        with Control(self.policyd, PATIENCE) as control:
            for name in NAMES:
                control.send("status", account=name)
            return {name: int(dict(control.reply())["recipients_used"]) for name in NAMES}

    def check(self, what, learn=True):
        """Every answer that was given is counted, and nothing that was not asked. With `learn` that is what the ledger
        holds from now on: right behind a start."""
        counted = self.counted()
        wrong = self.tally.check(counted)
        assert not wrong, f"{what}, POST365_CRASH_SEED={SEED}:\n" + "\n".join(wrong) + f"\n{self.policyd.log()[-3000:]}"
        if learn:
            self.tally.learn(counted)
        return counted

    # --- load ---

    @contextlib.contextmanager
    def load(self, *options):
        """CONNECTIONS clients ask during the block; waits for their end behind it. Yields a dictionary that has their
        figures then."""
        figures = {}
        with open(self.policyd.directory / "load.log", "w+", encoding="ascii") as log, subprocess.Popen(
                [LOAD, "-c", str(CONNECTIONS), "-a", str(ACCOUNTS), "-r", str(self.random.randrange(1, 1 << 60)), *options,
                 f"unix:{self.policyd.queue}/post365/policy"], stdout=subprocess.PIPE, stderr=log, text=True) as process:
            try:
                process.stdout.readline()  # all are connected, or it has ended
                yield figures
                output = process.stdout.read()  # it has a time limit of its own
            except BaseException:
                process.kill()
                raise
            log.seek(0)
            said = log.read()
        if process.returncode == 69:  # could not even connect
            figures.update({"asked": [0] * ACCOUNTS, "granted": [0] * ACCOUNTS, "temporary": 0, "other": 0})
        else:
            assert process.returncode == 0, said
            figures.update(json.loads(output))
        assert figures["other"] == 0, figures
        for name, asked, granted in zip(NAMES, figures["asked"], figures["granted"]):
            self.tally.asked(name, asked)
            self.tally.was_granted(name, granted)
        self.load_totals["granted"] += sum(figures["granted"])
        self.load_totals["temporary"] += figures["temporary"]

    def reserve(self, requests=None):
        """Reserves, settles and releases on some control connections, closes one now and then, and leaves much open,
        until the program has ended, or so many times."""
        with contextlib.suppress(Ended, OSError):
            owners = [Owner(self) for _ in range(3)]
            for _ in itertools.count() if requests is None else range(requests):
                owner = self.random.choice(owners)
                if len(owner.open) > 20:
                    owner.close()
                    owners[owners.index(owner)] = Owner(self)
                else:
                    owner.act()


def with_faults(place, **parameters):
    """A rig, and its disk that can be told to fail."""
    disk = Faults(place.directory / "faults", place.directory / "policyd" / "ledger", SEED)
    return Rig(place, disk.environment(), **parameters), disk


class Owner:
    """A control connection and its reservations."""

    def __init__(self, rig):
        self.random = rig.random
        self.tally = rig.tally
        self.control = Control(rig.policyd, PATIENCE)
        self.open = []

    def close(self):
        self.control.close()

    def ask(self, request, **attributes):
        self.control.send(request, **attributes)
        reply = self.control.reply()
        if reply is None:
            raise Ended
        return dict(reply)

    def act(self):
        if not self.open or self.random.random() < 0.6:
            self.reserve(self.random.choice(NAMES), self.random.randint(1, 9))
        else:
            self.end(*self.open.pop(self.random.randrange(len(self.open))))

    def reserve(self, account, amount):
        self.tally.asked(account, amount)
        answer = self.ask("reserve", account=account, recipients=amount)
        if answer["result"] == "granted":
            self.tally.was_granted(account, amount)
            self.open.append((answer["reservation"], account, amount))
        else:
            assert answer["result"] == "error", answer

    def end(self, reservation, account, amount):
        """Settles it, or releases it."""
        accepted = self.random.randint(0, amount)
        self.tally.may_be_less(account, amount - accepted)
        if accepted == 0:
            answer = self.ask("release", reservation=reservation)
        else:
            answer = self.ask("settle", reservation=reservation, recipients=accepted)
        if answer["result"] == "done":
            self.tally.is_less(account, amount - accepted)
        else:  # it may be settled again; here it is left to the connection's end
            assert answer["result"] == "error", answer
