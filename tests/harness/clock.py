"""A wall clock that is wrong, for the programs that are given it: build/crash/clock.so.

    clock = Clock(directory / "clock")
    program.environment = {**os.environ, **clock.environment()}
    clock.set(3600)        # an hour ahead, from now on
"""

import mmap
import struct
import time

from . import workplace

LIBRARY = workplace.BUILD / "crash" / "clock.so"


class Clock:
    """`path` is a file that is made here."""

    def __init__(self, path):
        self.path, self.ahead = path, 0
        path.write_bytes(bytes(8))
        path.chmod(0o644)
        with open(path, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), 8)

    def environment(self):
        return {"LD_PRELOAD": str(LIBRARY), "POST365_CLOCK": str(self.path)}

    def set(self, ahead):
        """Seconds."""
        self.ahead = ahead
        struct.pack_into("=q", self.memory, 0, int(ahead * 1e6))

    def now(self):
        """What it shows, in seconds since the epoch."""
        return time.time() + self.ahead
