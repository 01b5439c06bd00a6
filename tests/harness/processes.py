"""A process that we started, and no other: a pid counts only together with its start time.

Pids are reused, so a pid file that a killed run left behind proves nothing by itself. What is kept
is the pid and the start time that the kernel gives in /proc/<pid>/stat (field 22).
"""

import os
import signal
import subprocess
import time
from pathlib import Path


class Died(RuntimeError):
    """A program ended although it should have kept running; the message says what it said last."""


def start_time(pid):
    """The kernel's start time of a process in clock ticks, None when there is no such process (or
    only its corpse)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def wait_until(condition, timeout, interval=0.02):
    """Asks `condition` until it is true or `timeout` seconds have passed; returns its last
    answer."""
    end = time.monotonic() + timeout
    while True:
        answer = condition()
        if answer or time.monotonic() >= end:
            return answer
        time.sleep(interval)


def end_process(pid, started, patience=5.0):
    """Ends the process `pid` if it still is the one that began at `started`: SIGTERM, and SIGKILL
    after `patience` seconds. Returns when it is gone."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if start_time(pid) != started:
            return
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        wait_until(lambda: _gone(pid, started), patience)


def _gone(pid, started):
    try:
        os.waitpid(pid, os.WNOHANG)  # a child of ours must not stay as a corpse
    except ChildProcessError:
        pass
    return start_time(pid) != started


def processes_in(directory, programs):
    """(pid, start time) of each process that works in `directory` and whose program lies below
    `programs`: what remains of a Postfix whose queue that is (and not somebody's shell there)."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            if os.readlink(f"/proc/{entry}/cwd") == os.fspath(directory) \
                    and os.readlink(f"/proc/{entry}/exe").startswith(programs):
                found.append((int(entry), start_time(int(entry))))
        except OSError:
            continue
    return [(pid, started) for pid, started in found if started is not None]


class Program:
    """A program of ours in the foreground mode: own session (so that Ctrl-C reaches the harness
    alone, which then stops things in order), both outputs in one file, and a pid file that lets the
    next run clean up if this one is killed."""

    def __init__(self, name, arguments, *, directory, environment=None):
        """`name` names <directory>/<name>.log and .pid. Nothing runs before start()."""
        self.name = name
        self.arguments = [os.fspath(argument) for argument in arguments]
        self.log_path = Path(directory) / f"{name}.log"
        self.pid_path = Path(directory) / f"{name}.pid"
        self.environment = environment
        self.launch = subprocess.Popen
        self.process = None

    @property
    def pid(self):
        return self.process.pid if self.process else None

    def start(self):
        with open(self.log_path, "ab") as log:
            self.process = self.launch(
                self.arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=self.environment, cwd="/", start_new_session=True)
        self.pid_path.write_text(f"{self.process.pid} {start_time(self.process.pid)}\n")

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def log(self):
        """All that the program has said so far."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def wait_ready(self, ready, timeout=30.0):
        """Waits until `ready()` is true. Died when the program ends first, TimeoutError when it
        takes longer."""
        if not wait_until(lambda: not self.alive() or ready(), timeout):
            raise TimeoutError(f"{self.name} was not ready within {timeout:g} s, "
                               f"see {self.log_path}\n{self.log()}")
        if not self.alive():
            raise Died(f"{self.name} ended with status {self.process.returncode}, "
                       f"see {self.log_path}\n{self.log()}")

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self, patience=30.0):
        """SIGTERM, SIGKILL after `patience` seconds. Returns the exit status (None if it did not
        run); may be called twice."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(patience)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.pid_path.unlink(missing_ok=True)
        return self.process.returncode

    def kill(self):
        """kill -9, as a crash would."""
        self.process.kill()
        self.process.wait()
        self.pid_path.unlink(missing_ok=True)


def end_leftovers(directory):
    """Ends what pid files below `directory` still name: "<pid> <start time>"."""
    for path in Path(directory).rglob("*.pid"):
        try:
            pid, started = (int(word) for word in path.read_text().split())
        except (OSError, ValueError):
            continue  # not ours: Postfix's master.pid has no start time
        end_process(pid, started)
        path.unlink(missing_ok=True)
