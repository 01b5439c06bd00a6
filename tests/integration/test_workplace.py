"""Whatever ends a run, nothing of its Postfix and its programs is left running."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness import processes, workplace

TESTS = Path(__file__).resolve().parents[1]

# A run with a Postfix and a program, that says where it works and waits.
RUN = """
import sys, time
from harness import postfix, processes, workplace
with workplace.Workplace("test", unique=True) as place:
    relay = place.add(postfix.Postfix(place.directory / "postfix"))
    sleeper = place.add(processes.Program("sleeper", ["/bin/sleep", "1000"], directory=place.directory))
    relay.start()
    sleeper.start()
    print(place.directory, flush=True)
    if "raise" in sys.argv:
        raise RuntimeError("as a failing test does")
    time.sleep(100)
"""


@pytest.fixture
def run(place):
    """Starts RUN as a program of its own; returns it and its directory."""
    started = []

    def start(*arguments):
        process = subprocess.Popen(
            [sys.executable, "-B", "-c", RUN, *arguments], stdout=subprocess.PIPE, text=True,
            stderr=subprocess.DEVNULL, cwd=TESTS,
            env={**os.environ, "POST365_BUILD": str(workplace.BUILD)},
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
        started.append(process)
        return process, Path(process.stdout.readline().strip())

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def left(directory):
    """What still runs of a workplace."""
    return processes.processes_in(directory / "postfix" / "spool", workplace.POSTFIX_PROGRAMS)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_all(run, number):
    process, directory = run()
    sleeper = int((directory / "sleeper.pid").read_text().split()[0])
    assert left(directory) and processes.start_time(sleeper)
    process.send_signal(number)
    assert process.wait(10) != 0
    assert left(directory) == [] and processes.start_time(sleeper) is None
    assert not directory.exists()


def test_an_exception_ends_all(run):
    process, directory = run("raise")
    assert process.wait(10) == 1
    assert left(directory) == []
    assert not directory.exists()


def test_the_next_run_clears_up_after_one_that_was_killed(run):
    process, directory = run()
    sleeper = int((directory / "sleeper.pid").read_text().split()[0])
    process.kill()
    process.wait()
    assert left(directory)
    with workplace.Workplace("test", unique=True):
        assert left(directory) == [] and processes.start_time(sleeper) is None
        assert not directory.exists()


def test_a_run_that_works_is_left_alone(run):
    process, directory = run()
    master = min(left(directory))  # the others come and go
    with workplace.Workplace("test", unique=True):
        pass
    assert master in left(directory)
    assert process.poll() is None


def test_a_pid_that_was_given_to_another_is_not_touched(place):
    """The pid file of a killed run may name a process that has nothing to do with it."""
    stranger = subprocess.Popen(["/bin/sleep", "100"])
    try:
        started = processes.start_time(stranger.pid)
        (place.directory / "program.pid").write_text(f"{stranger.pid} {started - 1}\n")
        workplace.stop_all(place.directory)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()
