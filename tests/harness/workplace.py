"""A directory of its own for one run, and the promise that nothing of it is left running.

    with Workplace("demo") as place:
        postfix = place.add(Postfix(place.directory / "postfix", ...))
        postfix.start()

What was added is stopped in reverse order when the block ends: normally, by an exception, by
Ctrl-C, SIGTERM or SIGHUP. A run that was killed with -9 is cleaned up by the next one that opens
any workplace: each says in its file `owner` which process it belongs to.

Workplaces lie in build/run. When the checkout is somewhere that the users postfix and daemon cannot
get to (/root, a mktemp -d), or its path suits no UNIX socket or main.cf, build/run is a symbolic
link to a directory under /tmp.
"""

import contextlib
import fcntl
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

from . import processes

PROJECT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("POST365_BUILD", "build"))
if not BUILD.is_absolute():
    BUILD = PROJECT / BUILD

USER = "daemon"  # post365_user here: a system account that every Debian has
POSTFIX_PROGRAMS = "/usr/lib/postfix/sbin/"
_SIGNALS = (signal.SIGTERM, signal.SIGHUP)
# sun_path holds 108 bytes, and <workplace>/postfix/spool/post365/control must fit with room to
# spare.
_LONGEST_RUN_PATH = 48


def why_not():
    """The reason why no private Postfix can run here, None if one can."""
    if os.geteuid() != 0:
        return ("a private Postfix needs root (its master changes to the user postfix): "
                "run this as root or with sudo")
    if not Path("/usr/sbin/postfix").exists():
        return "Postfix is not installed: run `make deps`"
    for user in ("postfix", USER):
        try:
            pwd.getpwnam(user)
        except KeyError:
            return f"there is no user {user} on this machine: run `make deps`"
    return None


def run_directory():
    """The directory that holds all workplaces, created if need be."""
    link = BUILD / "run"
    if _usable(link.resolve()) and (link.is_dir() or not link.is_symlink()):
        link.mkdir(parents=True, exist_ok=True)
        if _suits(link.resolve()):
            return link.resolve()
    BUILD.mkdir(parents=True, exist_ok=True)
    elsewhere = Path(tempfile.mkdtemp(prefix="post365-run-", dir="/tmp"))
    elsewhere.chmod(0o755)
    with contextlib.suppress(OSError):
        link.unlink() if link.is_symlink() else link.rmdir()  # dangling, or empty
    try:
        link.symlink_to(elsewhere)
    except FileExistsError:  # another run was quicker
        elsewhere.rmdir()
    return link.resolve()


def _usable(path):
    """A path that main.cf, shell scripts and UNIX sockets can all bear."""
    return len(str(path)) <= _LONGEST_RUN_PATH and re.fullmatch(r"[A-Za-z0-9_./+@-]+", str(path))


def _suits(directory):
    """Whether postfix and daemon get there, and the file system has sockets and owners."""
    for user in ("postfix", USER):
        reached = subprocess.run(["/usr/bin/test", "-x", directory, "-a", "-r", directory], user=user,
                                 group=pwd.getpwnam(user).pw_gid, extra_groups=[], cwd="/", check=False)
        if reached.returncode != 0:
            return False
    probe = Path(tempfile.mkdtemp(prefix=".probe-", dir=directory))
    try:
        owner = pwd.getpwnam("postfix").pw_uid
        os.chown(probe, owner, -1)
        with socket.socket(socket.AF_UNIX) as endpoint:
            endpoint.bind(os.fspath(probe / "socket"))
        return probe.stat().st_uid == owner
    except OSError:
        return False
    finally:
        shutil.rmtree(probe, ignore_errors=True)


class Workplace:
    """`directory` is <build/run>/<name>, empty when the block begins; with unique=True, or when
    another run works there, a name of its own is made from `name`. With keep=True the directory
    stays afterwards, to be looked at; otherwise it goes with the workplace."""

    def __init__(self, name, *, unique=False, keep=False):
        self.name = name
        self.unique = unique
        self.keep = keep
        self.directory = None
        self._lock = None
        self._stack = contextlib.ExitStack()
        self._handlers = {}
        self._mask = None
        self._detached = False

    def __enter__(self):
        reason = why_not()
        if reason:
            raise RuntimeError(reason)
        # Several users work in here, whatever root's umask is elsewhere.
        self._mask = os.umask(0o022)
        run = run_directory()
        with _locked(run):
            sweep(run)
            self._create(run)
        with contextlib.suppress(ValueError):  # only the main thread may have handlers
            for number in _SIGNALS:
                self._handlers[number] = signal.signal(number, _end)
        return self

    def _create(self, run):
        self.directory = run / self.name
        if self.unique or in_use(self.directory):
            self.directory = Path(tempfile.mkdtemp(prefix=f"{self.name}-", dir=run))
        else:
            clear(self.directory)
            self.directory.mkdir()
        self.directory.chmod(0o755)
        # Held for as long as this process lives, however it ends.
        self._lock = open(self.directory / "owner", "w", encoding="ascii")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._lock.write(f"{os.getpid()} {processes.start_time(os.getpid())}\n")
        self._lock.flush()

    def add(self, thing):
        """Has thing.stop() called at the end, in reverse order. Returns `thing`."""
        self._stack.callback(thing.stop)
        return thing

    def detach(self):
        """Leaves all running after the block: what was added is not stopped, and later runs do not
        sweep it away. stop_detached() ends it."""
        (self.directory / "kept").touch()
        self._stack.pop_all()
        self._detached = True

    def __exit__(self, *_):
        for number in self._handlers:
            signal.signal(number, signal.SIG_IGN)  # stopping must come to its end
        with _interrupt_ignored():
            try:
                self._stack.close()
            finally:
                self._close()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        os.umask(self._mask)

    def _close(self):
        if self._detached:
            self._lock.close()
            return
        stop_all(self.directory)
        if self.keep:
            (self.directory / "owner").unlink()  # ended well: nothing to sweep
        else:
            shutil.rmtree(self.directory, ignore_errors=True)
        self._lock.close()


def _end(number, _frame):
    raise SystemExit(128 + number)


@contextlib.contextmanager
def _interrupt_ignored():
    try:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    except ValueError:
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def _locked(run):
    with open(run / ".lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def in_use(directory):
    """Whether the run that made this workplace is still there: it holds a lock on its file
    `owner`."""
    try:
        with open(directory / "owner", encoding="ascii") as owner:
            fcntl.flock(owner, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True


def sweep(run):
    """Stops what killed runs left behind, and removes their workplaces. Those kept on purpose
    stay."""
    for directory in run.iterdir():
        if directory.is_dir() and (directory / "owner").exists() and not (directory / "kept").exists() \
                and not in_use(directory):
            stop_all(directory)
            shutil.rmtree(directory, ignore_errors=True)


def stop_all(directory):
    """Stops every process that belongs to the workplace `directory`: programs by their pid files, a
    Postfix by the working directory of its processes. Returns how many were found running."""
    before = [pair for path in directory.rglob("*.pid") for pair in _read_pid(path)]
    processes.end_leftovers(directory)
    found = len([pid for pid, started in before if started is not None])
    for master in directory.rglob("pid/master.pid"):
        spool = master.parent.parent.resolve()
        remaining = processes.processes_in(spool, POSTFIX_PROGRAMS)
        found += len(remaining)
        for pid, started in sorted(remaining):  # the master is the oldest
            processes.end_process(pid, started)
    return found


def _read_pid(path):
    try:
        pid, started = (int(word) for word in path.read_text().split())
    except (OSError, ValueError):
        return []
    return [(pid, started)] if processes.start_time(pid) == started else []


def clear(directory):
    """Stops and removes a workplace that a former run left, kept or not."""
    if directory.exists():
        stop_all(directory)
        shutil.rmtree(directory)
