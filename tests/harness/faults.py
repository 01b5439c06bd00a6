"""A disk that fails, for one program: build/crash/faults.so and what it is told to do.

    faults = Faults(directory / "faults", ledger, seed=7)
    program = Program(..., environment={**os.environ, **faults.environment()})
    program.start()
    faults.set(fail=5, shorten=20)        # from now on, until faults.clear()

See tests/crash/faults.c for what there is to set.
"""

import mmap
import struct

from . import workplace

LIBRARY = workplace.BUILD / "crash" / "faults.so"
WRITE, SYNC = 1, 2  # calls
FIRST_LOG, OTHER, LATER_LOG = 1, 2, 4  # files
LOG = FIRST_LOG | LATER_LOG
BEFORE, AFTER, HALFWAY = range(3)  # die_how
PAGE = 4096

_NAMES = ("calls", "files", "fail", "shorten", "code", "die_at", "die_how", "random", "seen", "failed", "run", "run_code",
          "dirty_from", "dirty_to", "lost_from", "lost_to")
_QUIET = {"calls": WRITE | SYNC, "files": LOG | OTHER, "fail": 0, "shorten": 0, "code": 0, "die_at": 0, "die_how": BEFORE,
          "seen": 0, "failed": 0, "run": 0, "run_code": 0}


class Faults:
    """`path` is a file that is made here; `directory` is where files are on the bad disk."""

    def __init__(self, path, directory, seed):
        self.path = path
        self.directory = directory
        size = 8 * len(_NAMES)
        path.write_bytes(bytes(size))
        with open(path, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), size)
        self.set(**_QUIET, random=seed or 1)  # the rest is zero

    def environment(self):
        """What the program needs in its environment."""
        return {"LD_PRELOAD": str(LIBRARY), "POST365_FAULTS": str(self.path),
                "POST365_FAULTS_DIRECTORY": str(self.directory)}

    def set(self, **values):
        for name, value in values.items():
            struct.pack_into("=Q", self.memory, 8 * _NAMES.index(name), value)

    def clear(self):
        """The disk is sound. What was counted is forgotten."""
        self.set(**_QUIET)

    def lose(self, log):
        """The machine has ended: what a flush has failed for is not on the disk. Returns how many bytes are lost."""
        size = PAGE * (self.lost_to - self.lost_from)
        with open(log, "r+b") as file:
            file.seek(PAGE * self.lost_from)
            file.write(bytes(size))
        self.set(lost_from=0, lost_to=0)
        return size

    def __getattr__(self, name):
        if name not in _NAMES:
            raise AttributeError(name)
        return struct.unpack_from("=Q", self.memory, 8 * _NAMES.index(name))[0]
