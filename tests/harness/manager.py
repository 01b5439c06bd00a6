"""What systemd does for a service, by its protocols and no more: it keeps descriptors for it, gives them to its next
process, and starts another one when it has died (sd_notify(3), sd_listen_fds(3); KillMode=process, RestartSec=100ms).

    manager = place.add(Manager(relay.milter))
    manager.start()      # returns when the service says that it is ready
    manager.restart()    # as `systemctl restart`
    manager.watch()      # from now on a crash is followed by another start

Messages count from the main process alone, as with NotifyAccess=main.
"""

import array
import fcntl
import os
import socket
import struct
import subprocess
import threading
import time

from . import processes

RESTART_SECONDS = 0.1
_FIRST = 3  # SD_LISTEN_FDS_START
_WRAPPER = ["/bin/sh", "-c", 'LISTEN_PID=$$; export LISTEN_PID; exec "$@"', "sh"]


class Manager:
    def __init__(self, program, stored=64):
        self.program = program
        self.store = []  # (name, descriptor)
        self.starts = 0
        self._lock = threading.RLock()  # the store and the program
        self._ready = threading.Event()
        self._stopped = threading.Event()
        self._watching = False
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.bind(f"\0post365-manager-{os.getpid()}-{id(self)}")
        name = self._socket.getsockname().decode().replace("\0", "@", 1)
        program.environment = {**(program.environment or os.environ), "NOTIFY_SOCKET": name, "FDSTORE": str(stored)}
        program.launch = self._launch
        self._threads = [threading.Thread(target=one, daemon=True) for one in (self._listen, self._watch)]
        for thread in self._threads:
            thread.start()

    # --- what the service says ---

    def _listen(self):
        while not self._stopped.is_set():
            data, ancillary, _, _ = self._socket.recvmsg(4096, 65536)
            pid, descriptors = None, array.array("i")
            for level, kind, value in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
                    pid = struct.unpack("3i", value)[0]
                elif (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    descriptors.frombytes(value[:len(value) - len(value) % descriptors.itemsize])
            with self._lock:
                self._hear(pid, dict(line.split("=", 1) for line in data.decode().splitlines() if "=" in line),
                           list(descriptors))

    def _hear(self, pid, message, descriptors):
        if pid == self.program.pid:
            if message.get("FDSTORE") == "1":
                self.store += [(message.get("FDNAME", "stored"), os.dup(one)) for one in descriptors]
            if message.get("FDSTOREREMOVE") == "1":
                for _, descriptor in [one for one in self.store if one[0] == message["FDNAME"]]:
                    os.close(descriptor)
                self.store = [one for one in self.store if one[0] != message["FDNAME"]]
            if message.get("READY") == "1":
                self._ready.set()
        for descriptor in descriptors:
            os.close(descriptor)

    # --- what it is given ---

    def _launch(self, arguments, *, env, **options):
        high = [os.dup(descriptor) for _, descriptor in self.store]

        def place():
            most = _FIRST + len(high)
            moved = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, most) for descriptor in high]
            for number, descriptor in enumerate(moved, _FIRST):
                os.dup2(descriptor, number, inheritable=True)

        try:
            names = ":".join(name for name, _ in self.store)
            listening = {"LISTEN_FDS": str(len(high)), "LISTEN_FDNAMES": names} if high else {}
            return subprocess.Popen([*_WRAPPER, *arguments], env={**env, **listening}, close_fds=False,
                                    preexec_fn=place, **options)
        finally:
            for descriptor in high:
                os.close(descriptor)

    def start(self, timeout=20.0):
        with self._lock:
            self._ready.clear()
            self.starts += 1
            processes.Program.start(self.program)
        assert self._ready.wait(timeout), f"not ready within {timeout:g} s\n{self.program.log()}"
        return self

    def restart(self, patience=40.0):
        """SIGTERM to the main process, its end, another start."""
        with self._lock:
            self.program.process.terminate()
            self.program.process.wait(patience)
        return self.start()

    # --- a crash ---

    def watch(self):
        self._watching = True

    def _watch(self):
        while not self._stopped.wait(0.01):
            with self._lock:
                process = self.program.process
                if self._watching and process is not None and process.poll() not in (None, 0, 64, 78):
                    time.sleep(RESTART_SECONDS)
                    self.starts += 1
                    processes.Program.start(self.program)

    def stop(self):
        """Ends the service; what was kept is kept no more."""
        self._stopped.set()
        with self._lock:
            self.program.stop()
            for _, descriptor in self.store:
                os.close(descriptor)
            self.store = []
