"""The end of the ledger's log is torn: what may be lost, and what never happens.

With post365_ledger_sync = yes no answer leaves before its record is on the disk, so that on sound hardware a torn tail
holds nothing that was answered; with `no` a crash of the machine may tear off what was. Here records that were answered
are torn off on purpose, behind a dead program, which is what a disk that lies about flushing, or a restored copy, would
do. A record that is gone cannot be counted, and nobody can know that it was there. What can be asked for is

    - all records before the damage are counted, and none behind it: not more than was asked, not some of a later batch;
    - what was torn off does not come back, when the log has grown over that place and is recovered again;
    - damage in front of the last checkpoint, which no torn tail explains, makes no difference to what the databases
      hold, or the daemon says clearly what is wrong and answers 451, and the directory, put right again, starts with
      everything;
    - no signal, no hang.

POST365_CRASH_ROUNDS and POST365_CRASH_SEED: see crashing.py.
"""

import re
import shutil
import subprocess

import pytest

from crashing import NAMES, SEED, Rig, rounds, with_faults
from harness import faults

MESSAGES = 60
PAGE = 4096
SLACK = 64  # a record may end with zeros: where it ends is not known exactly


def log_of(ledger):
    """The newest log file."""
    return max(ledger.glob("log.*"))


def log_end(ledger):
    """Where the last byte that was written is. The rest of a log file is zeros."""
    return len(log_of(ledger).read_bytes().rstrip(b"\0"))


def copy(source, target):
    shutil.rmtree(target, ignore_errors=True)
    subprocess.run(["cp", "-a", source, target], check=True)


class Story:
    """A ledger of a policyd that was killed, and what it had counted when its log had which length."""

    def __init__(self, rig, sound):
        self.rig = rig
        self.sound = sound  # the copy
        self.marks = []
        self.counted = dict.fromkeys(NAMES, 0)

    def mark(self):
        self.marks.append((log_end(self.rig.ledger), dict(self.counted)))

    def tell(self):
        """Runs it. `marks[0]` is where the last checkpoint ends."""
        rig = self.rig
        self.ask(MESSAGES // 3)
        rig.policyd.kill()
        rig.start()  # recovery ends with a checkpoint
        self.mark()
        self.ask(MESSAGES, True)
        rig.policyd.kill()
        copy(rig.ledger, self.sound)

    def ask(self, count, with_marks=False):
        with self.rig.policyd.connect() as client:
            for _ in range(count):
                name = self.rig.random.choice(NAMES[:5])
                amount = self.rig.random.randint(1, 9)
                assert client.ask(sender=name, recipient_count=str(amount)) == "DUNNO"
                self.counted[name] += amount
                if with_marks:
                    self.mark()

    def expected(self, offset):
        """What may be counted when the log is sound up to `offset` alone: the last mark before it, and where that is
        very near the one before."""
        before = [mark for mark in self.marks if mark[0] <= offset]
        near = len(before) > 1 and offset - before[-1][0] < SLACK
        return [counted for _, counted in before[-2 if near else -1:]]


@pytest.fixture(scope="module")
def told(module_place):
    rig = Rig(module_place)
    rig.start()
    made = Story(rig, module_place.directory / "sound")
    made.tell()
    return made


@pytest.fixture
def story(told):
    yield told
    if told.rig.policyd.alive():
        told.rig.policyd.kill()


def cut(log, offset, _random):
    with open(log, "r+b") as file:
        file.truncate(offset)


def overwrite(log, offset, data):
    with open(log, "r+b") as file:
        file.seek(offset)
        file.write(data)


def zeros(log, offset, _random):
    overwrite(log, offset, bytes(max(1, log.stat().st_size - offset)))


def garbage(log, offset, random):
    overwrite(log, offset, random.randbytes(max(1, log.stat().st_size - offset)))


def scratch(log, offset, random):
    """A few bytes; what follows is sound."""
    overwrite(log, offset, bytes(byte ^ random.randint(1, 255) for byte in log.read_bytes()[offset:offset + 8]))


@pytest.mark.parametrize("damage", [cut, zeros, garbage, scratch], ids=lambda damage: damage.__name__)
def test_a_torn_tail_loses_what_was_in_it_and_no_more(story, damage):
    rig, random = story.rig, story.rig.random
    end = story.marks[-1][0]
    for number in range(rounds(4)):
        offset = random.randrange(story.marks[0][0], end)
        what = f"round {number + 1}, {damage.__name__} at {offset}, POST365_CRASH_SEED={SEED}"
        copy(story.sound, rig.ledger)
        damage(log_of(rig.ledger), offset, random)
        rig.start()
        counted = rig.counted()
        assert counted in story.expected(offset), f"{what}\n{rig.policyd.log()[-3000:]}"
        # The log grows over the place, in records as long as those that were there.
        story.counted = dict(counted)
        story.ask(random.randint(0, 20))
        rig.policyd.kill()
        rig.start()
        assert rig.counted() == story.counted, f"{what}: what was torn off came back\n{rig.policyd.log()[-3000:]}"
        rig.policyd.kill()


# Berkeley DB's checksum of a short record is little more than its bytes, added: these pass for one.
LOOKS_LIKE_A_RECORD = bytes.fromhex("1a0000001100000068000000" "0000000063")


def test_what_a_crash_left_behind_the_end_is_never_taken_for_a_record(place):
    """A recovery that is killed, too, after it has written over the beginning of what another crash had left."""
    rig, disk = with_faults(place, post365_ledger_sync="yes")
    rig.start()
    story = Story(rig, place.directory / "sound")
    story.tell()
    died = 0
    for shift in range(len(LOOKS_LIKE_A_RECORD)):
        for number in range(1, min(rounds(3), 10) + 1):
            copy(story.sound, rig.ledger)
            overwrite(log_of(rig.ledger), log_end(rig.ledger) + SLACK + shift, b"\x01" + LOOKS_LIKE_A_RECORD * 4000)
            disk.clear()
            disk.set(die_how=faults.AFTER, die_at=number, files=faults.LOG)
            rig.execute()
            if rig.wait_started():
                rig.policyd.kill()
            else:
                died += rig.status_of_end() == -9
            disk.clear()
            rig.start()
            assert rig.counted() == story.marks[-1][1], f"write {number}, shift {shift}"
            rig.policyd.kill()
    assert died > 0


# --- damage that no torn tail explains ---

def names(ledger):
    return {path.name for path in ledger.iterdir()}


def refused(rig, before):
    """A start that did not succeed has said why and removed nothing."""
    assert f"error: the ledger {rig.ledger} " in rig.refusal()
    assert before <= names(rig.ledger), f"policyd has removed {before - names(rig.ledger)}"


def put_right(story):
    """The sound log is restored, as the message asks for; the databases are what the refused start has left."""
    for log in story.sound.glob("log.*"):
        shutil.copyfile(log, story.rig.ledger / log.name)
    story.rig.start()
    assert story.rig.counted() == story.marks[-1][1]
    story.rig.policyd.kill()


def goes_on(story):
    """A start that succeeded has all that the databases hold, and works: what it grants is there after a crash."""
    rig = story.rig
    assert rig.counted() in [counted for _, counted in story.marks]
    for _ in range(3):
        story.counted = rig.counted()
        story.ask(10)
        rig.policyd.kill()
        rig.start()
        assert rig.counted() == story.counted
    rig.policyd.kill()


def test_a_torn_page_is_refused_and_heals_when_it_is_restored(story):
    """Only the end of the machine tears a page; the log alone cannot mend it (see the bugs in policyd/store/bdb.c)."""
    rig = story.rig
    copy(story.sound, rig.ledger)
    pages = rig.ledger / "turns.db"
    overwrite(pages, pages.stat().st_size - PAGE // 2, b"\xff" * (PAGE // 2))
    before = names(rig.ledger)
    rig.execute()
    assert not rig.wait_started()
    refused(rig, before)
    shutil.copyfile(story.sound / "turns.db", pages)
    rig.start()
    assert rig.counted() == story.marks[-1][1]


@pytest.mark.parametrize("damage", [cut, zeros, garbage, scratch], ids=lambda damage: damage.__name__)
def test_damage_before_the_last_checkpoint_is_refused_or_harmless(story, damage):
    rig, random = story.rig, story.rig.random
    for number in range(rounds(4)):
        offset = random.randrange(0, story.marks[0][0])
        print(f"round {number + 1}, {damage.__name__} at {offset}, POST365_CRASH_SEED={SEED}")
        copy(story.sound, rig.ledger)
        damage(log_of(rig.ledger), offset, random)
        before = names(rig.ledger)
        rig.execute()
        if rig.wait_started():
            goes_on(story)
        else:
            refused(rig, before)
            put_right(story)


@pytest.mark.parametrize("name", ["accounts.db", "turns.db"])
def test_a_log_that_ends_where_a_database_was_made_does_not_remove_it(story, name):
    rig = story.rig
    _, second = (match.end() for match in list(re.finditer(re.escape(name.encode()), log_of(story.sound).read_bytes()))[:2])
    copy(story.sound, rig.ledger)
    cut(log_of(rig.ledger), second + 20, None)
    before = names(rig.ledger)
    rig.execute()
    if rig.wait_started():
        goes_on(story)
    else:
        refused(rig, before)
        put_right(story)
