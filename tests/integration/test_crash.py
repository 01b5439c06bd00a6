"""kill -9 while post365-policyd counts, checkpoints, starts: every answer that was given is counted, none twice.

POST365_CRASH_ROUNDS=200 runs that many rounds of each test (`make crash`); by default a few. Every round ends with
kill -9 under the load of 50 policy connections and of control connections with reservations open, which count as sent
afterwards. After each restart every account is asked about: what was granted is counted; what was under way when the
process died may be; nothing else is. A failure names its seed, which POST365_CRASH_SEED replays: the same kinds of ends at
the same delays, though not the same interleaving.

The largest time from exec to the first answer is printed (pytest -s, make crash). It is asserted generously: this is no
place to find out how fast a machine is.
"""

import threading
import time

import pytest

from crashing import SEED, START_LIMIT, Rig, rounds, with_faults
from harness import faults
from harness.watch import Watch

# A checkpoint takes 4 MB of log.
CHECKPOINT_PATIENCE = 6


def end_under_load(rig, seconds):
    with rig.load():
        timer = rig.kill_later(seconds)
        rig.reserve()
        timer.join()
    rig.policyd.kill()


def end_in_a_checkpoint(rig):
    """At the moment when a database is written, which only a checkpoint does."""
    writes = rig.random.randint(1, 20)
    hit = []

    def wait():
        hit.append(watch.wait("turns.db", CHECKPOINT_PATIENCE, writes))
        rig.policyd.process.kill()

    with Watch(rig.ledger) as watch, rig.load():
        killer = threading.Thread(target=wait)
        killer.start()
        rig.reserve()
        killer.join()
    rig.policyd.kill()
    return hit[0]


def end_while_it_starts(rig, usual):
    """One to three starts that do not get to their end: after some time, or after some writes of the recovery."""
    for _ in range(rig.random.randint(1, 3)):
        if rig.random.random() < 0.5:
            seconds = rig.random.uniform(0, 1.2 * usual)
            rig.execute()
            rig.kill_later(seconds).join()
        else:
            writes = rig.random.randint(1, 12)
            with Watch(rig.ledger) as watch:
                rig.execute()
                watch.wait("", 1, writes)
        rig.policyd.kill()


@pytest.mark.parametrize("sync", ["yes", "no"])
def test_killed_at_any_moment(place, sync):
    rig = Rig(place, post365_ledger_sync=sync)
    rig.start()
    usual = rig.slowest_start
    checkpoints = starts = 0
    count = rounds(6)
    for number in range(count):
        kind = rig.random.random()
        # They take seconds: a short run has one.
        if number == count - 1 or (kind < 0.1 and count > 20):
            checkpoints += end_in_a_checkpoint(rig)
        else:
            end_under_load(rig, rig.random.uniform(0, 0.25))
        if kind > 0.6 or number == 0:
            end_while_it_starts(rig, usual)
            starts += 1
        rig.start()
        usual = time.monotonic() - rig.begun
        rig.check(f"round {number + 1} of {count}")
    print(f"sync={sync}: {count} rounds, {rig.load_totals['granted']} granted by the policy service, {checkpoints} ended "
          f"in a checkpoint, {starts} in a start; slowest start {rig.slowest_start * 1000:.0f} ms, with "
          f"{(rig.ledger / 'turns.db').stat().st_size >> 20} MB of events in the end; seed {SEED}")
    assert rig.load_totals["temporary"] == 0
    assert rig.slowest_start < START_LIMIT


# --- at each write ---

def aim(rig, disk, most):
    """The program shall die at one of its next `most` writes: before it, after it, or with half of it done."""
    disk.clear()
    disk.set(die_how=rig.random.choice([faults.BEFORE, faults.AFTER, faults.HALFWAY]), die_at=rig.random.randint(1, most))


@pytest.mark.parametrize("sync", ["yes", "no"])
def test_killed_at_a_write(place, sync):
    rig, disk = with_faults(place, post365_ledger_sync=sync)
    rig.start()
    begun = died = 0
    for number in range(rounds(5)):
        aim(rig, disk, rig.random.choice([3, 30, 300]))
        with rig.load():
            rig.reserve()
        assert rig.status_of_end() == -9
        while rig.random.random() < 0.7:  # and again before it is ready
            aim(rig, disk, 12)
            rig.execute()
            begun += 1
            if rig.wait_started():
                rig.policyd.kill()
            else:
                died += rig.status_of_end() == -9
        disk.clear()
        rig.start()
        rig.check(f"round {number + 1}")
    print(f"sync={sync}: {rounds(5)} ended at a write, {died} of {begun} starts did; slowest start "
          f"{rig.slowest_start * 1000:.0f} ms; seed {SEED}")


@pytest.mark.parametrize("sync", ["yes", "no"])
def test_killed_at_a_write_of_a_checkpoint(place, sync):
    rig, disk = with_faults(place, post365_ledger_sync=sync)
    rig.start()
    for number in range(max(1, rounds(1) // 10)):
        aim(rig, disk, 60)
        disk.set(files=faults.OTHER)  # the databases
        with rig.load():
            rig.reserve()
        assert rig.status_of_end() == -9
        disk.clear()
        rig.start()
        rig.check(f"round {number + 1}")
