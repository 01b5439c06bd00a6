"""A network of the benchmark's own: a loopback interface that nobody else uses, and one that is far away from itself.

What listens on HERE is reached as THERE (or by its name, FAR) with a round-trip delay, see far.c. `tc netem` would do the
same where the kernel has it.
"""

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time

from harness import processes, workplace

HERE, THERE, FAR = "10.9.0.1", "10.9.0.2", "far.example"
_INTERFACE = "far"
_INSIDE = "POST365_BENCH_NETWORK"


def enter():
    """Starts this program again in namespaces of its own. Returns there, once loopback is up and FAR has an address."""
    if os.environ.get(_INSIDE) is None:
        os.environ[_INSIDE] = "1"
        os.execvp("unshare", ["unshare", "--net", "--mount", "--", *sys.orig_argv])
    _run("ip", "link", "set", "lo", "up")
    with tempfile.NamedTemporaryFile("w") as hosts:
        hosts.write(f"127.0.0.1 localhost\n{THERE} {FAR}\n")
        hosts.flush()
        os.chmod(hosts.name, 0o644)
        _run("mount", "--bind", hosts.name, "/etc/hosts")


def _run(*command):
    subprocess.run(command, check=True)


class Distance(processes.Program):
    """There from start() to stop(). A question and its answer take so many milliseconds."""

    def __init__(self, directory, milliseconds):
        super().__init__("far", [workplace.BUILD / "bench" / "far", _INTERFACE, str(int(milliseconds * 500))],
                         directory=directory)

    def start(self):
        super().start()
        self.wait_ready(lambda: "ready" in self.log())
        _run("ip", "address", "add", f"{HERE}/24", "dev", _INTERFACE)
        _run("ip", "link", "set", _INTERFACE, "up", "txqueuelen", "10000")
        return self


def measure_round_trip(port):
    """Milliseconds that a connection to this port of THERE takes to open, the median of some."""
    times = []
    for _ in range(9):
        begun = time.monotonic()
        socket.create_connection((THERE, port), 10).close()
        times.append((time.monotonic() - begun) * 1000)
    return statistics.median(times)
