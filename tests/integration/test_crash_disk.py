"""A ledger on a disk that fails, and on one that is full: nothing is granted that could not be written.

The disk that fails is a library between the program and the system (tests/crash/faults.c): writes and flushes below the
ledger fail with EIO or ENOSPC, or write less than they were told to, at random times. Berkeley DB may then give up: the
program ends with status 70, which is what it promises, and the next start recovers. It never ends with a signal, and what
clients have seen granted is counted, whatever happened between.

A full disk is a tmpfs. Space that comes back is used at once, without a restart; a daemon that starts on a full disk
answers 451 until there is space. policyd removes nothing to help itself.

What a failed request has cost is not asserted: 451 says that it is unknown (given <= counted <= asked).

POST365_CRASH_ROUNDS and POST365_CRASH_SEED: see crashing.py.
"""

import contextlib
import errno
import os
import shutil
import subprocess

import pytest

from crashing import SEED, Rig, rounds, with_faults
from harness import faults, processes

GAVE_UP = 70  # Berkeley DB cannot go on


def last_line(rig):
    return rig.policyd.log().splitlines()[-1]


def is_up(rig):
    """Whether the program goes on; if not, it has ended as it promises."""
    if rig.policyd.answers():
        return True
    assert rig.status_of_end() == GAVE_UP, f"POST365_CRASH_SEED={SEED}\n{rig.policyd.log()[-3000:]}"
    assert "Berkeley DB cannot go on; the next start recovers" in last_line(rig)
    return False


# --- a disk that fails ---

def fail_at_random(rig, disk):
    draw = rig.random.choice
    disk.clear()
    disk.set(fail=draw([1, 10, 100]), shorten=draw([0, 100, 1000]), code=draw([0, errno.EIO, errno.ENOSPC]),
             calls=draw([faults.WRITE, faults.SYNC, faults.WRITE | faults.SYNC]))


@pytest.mark.parametrize("sync", ["yes", "no"])
def test_writes_that_fail_at_random(place, sync):
    rig, disk = with_faults(place, post365_ledger_sync=sync)
    rig.start()
    ended = failed = 0
    for number in range(rounds(8)):
        fail_at_random(rig, disk)
        with rig.load("-n", str(rig.random.choice([300, 3000, 10000]))):
            rig.reserve(100)
        failed += disk.failed
        disk.clear()
        if is_up(rig):
            rig.check(f"round {number + 1}, before its end", learn=False)
            with rig.load("-n", "500") as figures:
                pass
            if is_up(rig):
                assert figures["temporary"] == 0, f"the disk is sound again: {figures}; POST365_CRASH_SEED={SEED}"
                rig.policyd.kill()
            else:
                ended += 1
        else:
            ended += 1
        rig.start()
        rig.check(f"round {number + 1}")
    print(f"sync={sync}: {failed} calls failed, {rig.load_totals['granted']} granted, "
          f"{rig.load_totals['temporary']} answered 451, Berkeley DB gave up {ended} times in {rounds(8)} rounds; seed {SEED}")
    assert failed > 0


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC], ids=lambda code: errno.errorcode[code])
@pytest.mark.parametrize("sync, calls", [("yes", faults.WRITE), ("yes", faults.SYNC), ("no", faults.WRITE)])
def test_what_cannot_be_written_is_never_granted(place, sync, calls, code):
    rig, disk = with_faults(place, post365_ledger_sync=sync)
    rig.start()
    with rig.load("-n", "1000"):
        rig.reserve(20)
    disk.set(fail=1000, calls=calls, code=code)
    granted = rig.tally.granted
    with rig.load("-n", "1000"):
        rig.reserve(20)
    assert disk.failed > 0
    assert rig.tally.granted == granted, f"{rig.tally.granted - granted} granted that were not written"
    went_on = is_up(rig)
    if went_on:
        disk.clear()
        with rig.load("-n", "1000") as figures:
            rig.reserve(20)
        assert figures["temporary"] == 0
        rig.policyd.kill()
    disk.clear()
    rig.start()
    rig.check("after the restart")
    print(f"{'went on' if went_on else 'gave up'}")


def test_a_flush_that_failed_is_not_taken_for_one_that_worked(place):
    """Linux says EIO once, takes the pages for clean and never writes them again. What is granted behind them in the log is
    lost with them when the machine ends. A program that ends itself instead can do no more: as long as the machine goes on,
    the next start reads what was written."""
    rig, disk = with_faults(place, post365_ledger_sync="yes")
    rig.start()

    def fail_once():
        """Whether that cost more than the page where the log goes on, which is written again anyhow."""
        disk.set(run=1, run_code=errno.EIO)
        processes.wait_until(lambda: disk.run == 0 or not rig.policyd.alive(), 1, 0.0005)
        return disk.lost_to > disk.lost_from + 1 or not rig.policyd.alive()

    disk.set(calls=faults.SYNC, files=faults.LOG)
    with rig.load():
        assert processes.wait_until(fail_once, 30, 0)
        disk.set(calls=0)
        ended = processes.wait_until(lambda: not rig.policyd.alive(), 0.2)
        rig.policyd.kill()
    if ended:
        assert rig.status_of_end() == GAVE_UP
    else:
        assert disk.lose(max(rig.ledger.glob("log.*"))) > 0
    rig.start()
    rig.check("ended at the flush" if ended else "after the machine had ended")


def test_starts_on_a_disk_that_fails(place):
    rig, disk = with_faults(place)
    rig.start()
    refused = 0
    for number in range(rounds(8)):
        with rig.load("-n", "500"):
            rig.reserve(50)
        rig.policyd.kill()
        fail_at_random(rig, disk)
        disk.set(fail=rig.random.choice([10, 100, 1000]))
        rig.execute()
        if rig.wait_started():
            rig.check(f"round {number + 1}, bad disk", learn=False)
            rig.policyd.kill()
        else:
            refused += 1
            assert ": the ledger " in rig.refusal(GAVE_UP)
        disk.clear()
        rig.start()
        rig.check(f"round {number + 1}")
    print(f"{refused} of {rounds(8)} starts were refused; seed {SEED}")


# --- a disk that is full ---

@pytest.fixture
def small(place):
    """A file system of 24 MB of its own."""
    directory = place.directory / "small"
    directory.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m,mode=755", "tmpfs", directory], capture_output=True,
                             text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.strip()}")
    yield directory
    subprocess.run(["umount", "--lazy", directory], check=False)


def fill(directory, left):
    """Takes all space but so many bytes."""
    status = os.statvfs(directory)
    with contextlib.suppress(OSError), open(directory / "filler", "ab", buffering=0) as filler:
        filler.write(b"x" * max(0, status.f_bavail * status.f_frsize - left))


def files(ledger):
    return {path.name for path in ledger.iterdir()}


def nothing_is_gone(before, after):
    """But log files that are older than those that stayed: a checkpoint that worked needs them no more."""
    oldest = min(name for name in after if name.startswith("log."))
    return all(name.startswith("log.") and name < oldest for name in before - after)


@pytest.mark.parametrize("sync", ["yes", "no"])
def test_a_disk_that_fills_up_under_load(place, small, sync):
    rig = Rig(place, post365_ledger_sync=sync)
    refused = 0
    for number in range(rounds(4)):
        what = f"round {number + 1}"
        rig.begin(small / f"ledger{number}")
        with rig.load("-n", "2000"):
            rig.reserve(50)
        fill(small, rig.random.choice([0, 4096, 65536, 300000]))
        before = files(rig.ledger)
        for _ in range(20):  # log files that are there already have room for a while
            with rig.load("-n", "20000") as figures:
                rig.reserve(100)
            if figures["temporary"] > 0:
                break
        assert figures["temporary"] > 0
        assert rig.policyd.answers(), f"{what}\n{rig.policyd.log()[-3000:]}"
        rig.check(f"{what}, full", learn=False)
        assert nothing_is_gone(before, files(rig.ledger))
        if number % 2 == 0:
            (small / "filler").unlink()
            with rig.load("-n", "1000") as figures:
                rig.reserve(50)
            assert figures["temporary"] == 0  # without a restart
            rig.policyd.kill()
        else:
            rig.policyd.kill()
            fill(small, 0)
            refused += start_on_a_full_disk(rig)
            (small / "filler").unlink()
        rig.start()
        rig.check(f"{what}, with space")
        rig.policyd.kill()
        shutil.rmtree(rig.ledger)
    print(f"sync={sync}: {rounds(4)} rounds, {rig.load_totals['granted']} granted, {rig.load_totals['temporary']} "
          f"answered 451, {refused} starts refused; seed {SEED}")


def start_on_a_full_disk(rig):
    """Whether it is refused; both are right. What it writes then is checked by the next start."""
    before = files(rig.ledger)
    rig.execute()
    started = rig.wait_started()
    if started:
        rig.check("started on a full disk", learn=False)
        rig.policyd.kill()
    else:
        assert "No space left on device" in rig.refusal()
    assert nothing_is_gone(before, files(rig.ledger))
    return not started


@pytest.mark.parametrize("sync", ["yes", "no"])
def test_a_disk_that_is_full_when_the_log_needs_another_file(place, sync):
    rig, disk = with_faults(place, post365_ledger_sync=sync)
    rig.start()
    disk.set(fail=1000, files=faults.LATER_LOG, calls=faults.WRITE, code=errno.ENOSPC)
    for _ in range(100):  # a log file has 2 MB
        with rig.load("-n", "10000") as figures:
            pass
        if figures["temporary"] > 0:
            break
    assert disk.failed > 0
    if is_up(rig):
        rig.policyd.kill()
    disk.clear()
    rig.start()
    rig.check("with space")
