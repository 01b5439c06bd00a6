"""A program on a terminal of its own: what it writes becomes the screen that somebody would see.

Knows what post365 uses (and fails on anything else): lines, colours, erasing, the other screen, the cursor that is
hidden, lines that are cut off. Characters are one column wide.
"""

import codecs
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

CONTROL = re.compile(r"\x1b\[(\??)([0-9;]*)([A-Za-z])")


class Terminal:
    """Use as a context; the program is ended with it."""

    def __init__(self, words, lines=24, columns=80, environment=None):
        self.words = [str(word) for word in words]
        self.lines, self.columns = lines, columns
        self.environment = {"PATH": "/usr/sbin:/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TERM": "xterm", **(environment or {})}
        self.modes = {}         # number → set?
        self.decoder = codecs.getincrementaldecoder("utf-8")()
        self.written = ""       # what is not understood yet
        self.raw = ""           # all that was written
        self.cells = []
        self.row = self.column = 0

    def __enter__(self):
        self.leader, self.follower = pty.openpty()
        self.resize(self.lines, self.columns, tell=False)
        self.settings = termios.tcgetattr(self.follower)
        self.process = subprocess.Popen(  # pylint: disable=consider-using-with
            self.words, stdin=self.follower, stdout=self.follower, stderr=subprocess.PIPE, env=self.environment,
            start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait(10)
        self.process.stderr.close()
        os.close(self.leader)
        os.close(self.follower)

    def resize(self, lines, columns, tell=True):
        """The kernel sends SIGWINCH itself to who is in the foreground."""
        self.lines, self.columns = lines, columns
        self.cells = [[" "] * columns for _ in range(lines)]
        self.row = self.column = 0
        before = fcntl.ioctl(self.follower, termios.TIOCGWINSZ, bytes(8))
        size = struct.pack("HHHH", lines, columns, 0, 0)
        assert before != size or not tell
        fcntl.ioctl(self.follower, termios.TIOCSWINSZ, size)

    def press(self, keys):
        os.write(self.leader, keys.encode())

    def read(self, seconds=0.05):
        """Takes what was written within a moment."""
        while select.select([self.leader], [], [], seconds)[0]:
            try:
                data = self.decoder.decode(os.read(self.leader, 65536))
            except OSError:
                return
            self.raw += data
            self.written += data
            self._obey()
            seconds = 0.02

    def raw_lines(self):
        """What was written, without colours."""
        return CONTROL.sub("", self.raw).replace("\r", "").splitlines()

    def shown(self):
        self.read()
        return "\n".join("".join(row).rstrip() for row in self.cells).rstrip("\n")

    def wait_for(self, pattern, seconds=10):
        """Until the screen shows it; the screen."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            shown = self.shown()
            if re.search(pattern, shown, re.M):
                return shown
        raise AssertionError(f"no {pattern!r} on the screen:\n{self.shown()}")

    def wait_end(self, seconds=10):
        """The exit status, when all that was written is on the screen."""
        end = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < end, f"it goes on:\n{self.shown()}"
            self.read()
        self.read()
        return self.process.returncode

    def is_as_before(self):
        """The first screen, a visible cursor, whole lines, and the keys as they were."""
        self.read()
        return (not self.modes.get(1049) and self.modes.get(25, True) and self.modes.get(7, True)
                and termios.tcgetattr(self.follower) == self.settings)

    def _obey(self):
        while self.written:
            character = self.written[0]
            if character == "\x1b":
                found = CONTROL.match(self.written)
                if found is None:
                    assert len(self.written) < 16, f"what is this? {self.written[:16]!r}"
                    return
                self._control(*found.groups())
                self.written = self.written[found.end():]
                continue
            self._put(character)
            self.written = self.written[1:]

    def _put(self, character):
        if character == "\r":
            self.column = 0
        elif character == "\n":
            if self.row + 1 < self.lines:
                self.row += 1
            else:
                self.cells = [*self.cells[1:], [" "] * self.columns]
        else:
            assert character >= " ", f"a control character: {character!r}"
            if self.column == self.columns:  # behind the last column
                if self.modes.get(7, True):
                    self._put("\r")
                    self._put("\n")
                else:
                    self.column -= 1
            self.cells[self.row][self.column] = character
            self.column += 1

    def _control(self, private, numbers, letter):
        if private and letter in "hl":
            self.modes[int(numbers)] = letter == "h"
            if numbers == "1049":
                self.cells = [[" "] * self.columns for _ in range(self.lines)]
        elif letter == "H":
            assert numbers == ""
            self.row = self.column = 0
        elif letter == "K":
            at = min(self.column, self.columns - 1)
            self.cells[self.row][at:] = [" "] * (self.columns - at)
        elif letter == "J":
            at = min(self.column, self.columns - 1)
            self.cells[self.row][at:] = [" "] * (self.columns - at)
            for row in range(self.row + 1, self.lines):
                self.cells[row] = [" "] * self.columns
        else:
            assert letter == "m", f"unknown: {letter}"
