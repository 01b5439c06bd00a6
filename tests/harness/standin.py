"""What the stand-ins for Microsoft's services have in common: a JSON configuration, a control socket, a journal.

Each is a program that reads config.json, writes a line of JSON into `ready_file` when it listens, takes one JSON object a line on
its control socket, and appends to a journal as things happen.
"""

import json
import os
import shutil
import socket
import tempfile
from pathlib import Path

from . import processes

_LONGEST_SOCKET_PATH = 100  # sun_path holds 108


class ControlError(RuntimeError):
    """The stand-in did not do what it was told; the message says why."""


class StandIn(processes.Program):
    """A program below `directory`. `settings` are those of its config.json."""

    def __init__(self, name, arguments, directory, settings, environment=None):
        self.directory = Path(directory)
        super().__init__(name, [*arguments, "-c", self.directory / "config.json"], directory=self.directory,
                         environment=environment)
        self.journal_path = self.directory / "journal.jsonl"
        self.ready = None  # what the program said when it was ready
        self.settings = {
            "state_directory": str(self.directory / "state"),
            "journal": str(self.journal_path),
            "ready_file": str(self.directory / "ready"),
            **settings,
        }
        self._chooses_control = "control_socket" not in self.settings
        self._socket_directory = None  # of the control socket, if `directory` is too long for one

    def start(self, timeout=60.0):
        """Starts it and waits until it listens. Again after stop() or kill(): with the same authority, on the same
        port, and the journal goes on."""
        self.directory.mkdir(parents=True, exist_ok=True)
        ready_path = Path(self.settings["ready_file"])
        ready_path.unlink(missing_ok=True)
        if self._chooses_control:
            self.settings["control_socket"] = self._control_path()
        (self.directory / "config.json").write_text(json.dumps(self.settings, indent=2) + "\n")
        super().start()
        self.wait_ready(ready_path.exists, timeout)
        self.ready = json.loads(ready_path.read_text())
        self.keep_ports()
        return self

    def keep_ports(self):
        """Puts the ports that it has taken into its settings, for the next start."""
        raise NotImplementedError

    def stop(self, patience=30.0):
        """SIGTERM. Returns the exit status; may be called twice."""
        status = super().stop(patience)
        if self._socket_directory:
            shutil.rmtree(self._socket_directory, ignore_errors=True)
            self._socket_directory = None
        return status

    # -- control ------------------------------------------------------------------------------------------------

    def control(self, request, timeout=60.0):
        """Sends a request (a dict with "command") to the running program, returns its answer. ControlError when
        that says no."""
        with socket.socket(socket.AF_UNIX) as stream:
            stream.settimeout(timeout)
            stream.connect(self.settings["control_socket"])
            stream.sendall(json.dumps(request).encode() + b"\n")
            with stream.makefile("rb") as lines:
                answer = json.loads(lines.readline())
        if not answer["ok"]:
            raise ControlError(answer["error"])
        return answer

    def add_fault(self, **fault):
        """Adds a fault, returns its number."""
        return self.control({"command": "add_fault", "fault": fault})["id"]

    def clear_faults(self):
        self.control({"command": "clear_faults"})

    def set(self, **settings):
        """Changes settings of the running program."""
        self.control({"command": "set", "settings": settings})

    # -- journal ------------------------------------------------------------------------------------------------

    def journal(self, event=None):
        """All entries so far (of this kind)."""
        try:
            lines = self.journal_path.read_bytes().split(b"\n")[:-1]  # behind the last one: "", or half a line
        except FileNotFoundError:
            return []
        entries = [json.loads(line) for line in lines]
        return [entry for entry in entries if event is None or entry["event"] == event]

    def wait_for(self, predicate, timeout=60.0):
        """The first entry for which `predicate(entry)` is true, as soon as there is one. TimeoutError."""
        found = []
        with _Follower(self.journal_path) as follower:
            def look():
                found.extend(entry for entry in follower.new_entries() if predicate(entry))
                return found
            if not processes.wait_until(look, timeout):
                raise TimeoutError(f"{self.journal_path} has no such entry after {timeout:g} s")
        return found[0]

    def wait_for_count(self, count, predicate, timeout=60.0):
        """The first `count` entries for which `predicate(entry)` is true. TimeoutError."""
        found = []
        with _Follower(self.journal_path) as follower:
            def look():
                found.extend(entry for entry in follower.new_entries() if predicate(entry))
                return len(found) >= count
            if not processes.wait_until(look, timeout):
                raise TimeoutError(f"{self.journal_path} has {len(found)} such entries after {timeout:g} s, "
                                   f"not {count}")
        return found[:count]

    def _control_path(self):
        path = str(self.directory / "control")
        if len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH:
            return path
        self._socket_directory = self._socket_directory or tempfile.mkdtemp(prefix="office365-")
        return os.path.join(self._socket_directory, "control")


class _Follower:
    """Reads a journal as it grows, whole lines only."""

    def __init__(self, path):
        self._path = path
        self._file = None
        self._rest = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._file:
            self._file.close()

    def new_entries(self):
        if self._file is None:
            try:
                self._file = open(self._path, "rb")
            except FileNotFoundError:
                return []
        *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
        return [json.loads(line) for line in lines]
