"""A machine with systemd as its first process, to try units on as they are: a container of this host's own files, over which
lies a layer that is forgotten.

    machine = place.add(Machine(place.directory / "machine", binds=[PROJECT])).start()
    machine.run("systemctl", "start", "post365-tokend")
    machine.write("/etc/postfix/main.cf", "...", owner="root", mode=0o644)
    machine.take_in(entra).start()     # a program of this host, on the machine's loopback

It has this host's network, or with `alone` a loopback of its own; of services only those of basic.target run in it.
"""

import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from . import processes

_LAYER = 'mount -t tmpfs layer "$1" && mkdir "$1/upper" "$1/work" "$1/root" && ' \
         'mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" layer "$1/root" && cd / && shift && exec "$@"'


@functools.cache
def why_not():
    """The reason why there can be none here, None if there can: tried once, with a container that ends at once."""
    if os.geteuid() != 0:
        return "a container needs root"
    for program in ("systemd-nspawn", "nsenter", "unshare"):
        if not shutil.which(program):
            return f"{program} is not installed: run `make deps`"
    with tempfile.TemporaryDirectory() as directory:
        try:
            done = subprocess.run([*_container(Path(directory), "trial"), "/bin/true"], stdin=subprocess.DEVNULL, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False)
        except subprocess.TimeoutExpired:
            return "a container that does nothing has not ended after 60 s"
    said = " ".join(done.stdout.split())
    return f"no container can be made here: {said or f'status {done.returncode}'}" if done.returncode else None


def _container(layer, name):
    """The words that make a container over the directory `layer`; the options and the command for it follow."""
    return ["unshare", "--mount", "sh", "-c", _LAYER, "sh", str(layer), "systemd-nspawn", "--quiet",
            f"--directory={layer}/root", f"--machine=post365-{name}-{os.getpid()}", "--keep-unit", "--register=no",
            "--link-journal=no", "--console=pipe", "--capability=CAP_IPC_LOCK"]


class Machine(processes.Program):
    """`binds` are directories of this host that it is to see and write, under the same names."""

    def __init__(self, directory, binds=(), alone=False):
        self.directory = Path(directory)
        seen = [f"--bind={bind}" for bind in binds] + ["--private-network"] * alone
        super().__init__("machine", [*_container(self.directory / "layer", "machine"), *seen, "--boot", "systemd.unit=basic.target"],
                         directory=self.directory)
        self._init = None

    def start(self, timeout=120.0):
        (self.directory / "layer").mkdir(parents=True)
        super().start()
        self.wait_ready(self._is_up, timeout)
        return self

    def _is_up(self):
        try:
            children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        except OSError:
            return False
        self._init = children[0] if children else None
        # What the host itself lacks may have failed: degraded.
        return self._init and self.run("systemctl", "is-system-running", check=False).stdout.strip() in ("running", "degraded")

    def run(self, *words, check=True, stdin="", timeout=180):
        """The finished command, run in the machine by root."""
        done = subprocess.run(["nsenter", "-t", self._init, "-a", "--", *map(str, words)], capture_output=True, text=True,
                              input=stdin, timeout=timeout, check=False)
        assert not check or done.returncode == 0, (words, done.stdout, done.stderr, self._said())
        return done

    def _said(self):
        return self.run("journalctl", "--no-pager", "-n", "50", check=False).stdout

    def take_in(self, program):
        """Has a Program run where the machine's network is."""
        def launch(arguments, **options):
            return subprocess.Popen(["nsenter", "-t", self._init, "-n", "--", *arguments], **options)
        program.launch = launch
        return program

    def write(self, path, text, owner="root", mode=0o644):
        """In one step: who reads it meanwhile finds the old or the new one."""
        self.run("install", "-D", "-o", owner, "-m", f"{mode:o}", "/dev/null", f"{path}.new")
        self.run("tee", f"{path}.new", stdin=text)
        self.run("mv", f"{path}.new", path)

    def show(self, unit, *names):
        """{name: value} of a unit."""
        told = self.run("systemctl", "show", unit, *(f"--property={name}" for name in names)).stdout
        return dict(line.split("=", 1) for line in told.splitlines())

    def journal(self, unit):
        return self.run("journalctl", "--no-pager", "-o", "cat", "-u", unit).stdout
