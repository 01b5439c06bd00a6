"""A journal as systemd-journald keeps it, without one: systemd-journal-remote(8) writes down what logs say.

    with Journal(directory, relay.postfix.log_path) as journal:
        subprocess.run([journal.reader(PROGRAM), ...])    # sees this journal, and no mail.log
    subprocess.run([without_log(directory, PROGRAM, relay.postfix.log_path), ...])    # sees neither
"""

import contextlib
import os
import re
import subprocess
import threading
import time
from pathlib import Path

_PROGRAM = "/lib/systemd/systemd-journal-remote"
_LINE = re.compile(r"\w{3} [ \d]\d [\d:]{8} (?P<host>\S+) (?P<who>[^\[\s]+)\[(?P<pid>\d+)\]: (?P<text>.*)")
_BOOT = "365" * 10 + "36"
_READER = """#!/bin/sh
exec unshare -m sh -c 'mount --bind "$1" /var/log && mount --bind /dev/null "$2" && shift 2 && exec "$@"' \\
    sh '{logs}' '{log}' '{program}' "$@"
"""


def without_log(directory, program, log):
    """What runs the program where /var/log is <directory>/log and the file `log` is none."""
    directory = Path(directory)
    (directory / "log").mkdir(exist_ok=True)
    path = directory / "reader"
    path.write_text(_READER.format(logs=directory / "log", log=log, program=program))
    path.chmod(0o755)
    return path


class Journal:
    """Below `directory`; whatever is added to the file `log` from now on is in it soon."""

    def __init__(self, directory, log):
        self.directory, self.log = Path(directory), Path(log)
        self.place = self.log.stat().st_size
        self.over = threading.Event()
        machine = Path("/etc/machine-id").read_text(encoding="ascii").strip()
        self.path = self.directory / "log" / "journal" / machine / "system.journal"
        self.path.parent.mkdir(parents=True)
        self.writer = subprocess.Popen([_PROGRAM, f"--output={self.path}", "--split-mode=none", "-"],
                                       stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        with contextlib.suppress(BrokenPipeError):
            self.writer.stdin.close()
        self.writer.wait(20)

    def reader(self, program):
        """What runs the program where this is the machine's journal."""
        return without_log(self.directory, program, self.log)

    def _follow(self):
        while not self.over.wait(0.05):
            with open(self.log, "rb") as log:
                log.seek(self.place)
                fresh = log.read()
            whole = fresh[:fresh.rfind(b"\n") + 1]
            self.place += len(whole)
            for line in whole.decode(errors="replace").splitlines():
                self._write(line)

    def _write(self, line):
        if match := _LINE.fullmatch(line):
            self.writer.stdin.write((
                f"__REALTIME_TIMESTAMP={time.time_ns() // 1000}\n__MONOTONIC_TIMESTAMP={time.monotonic_ns() // 1000}\n"
                f"_BOOT_ID={_BOOT}\n_HOSTNAME={match['host']}\nSYSLOG_FACILITY=2\nPRIORITY=6\n"
                f"SYSLOG_IDENTIFIER={match['who']}\nSYSLOG_PID={match['pid']}\nMESSAGE={match['text']}\n\n").encode())
            self.writer.stdin.flush()


def is_possible():
    return os.geteuid() == 0 and os.access(_PROGRAM, os.X_OK) and os.path.exists("/etc/machine-id")
