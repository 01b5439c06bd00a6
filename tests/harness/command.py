"""post365, the admin's command, as a program would call it and as a person would see it."""

import fcntl
import os
import pty
import struct
import subprocess
import termios

from . import workplace

PROGRAM = workplace.BUILD / "post365"
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/bin", "LC_ALL": "C.UTF-8"}


def run(config_directory, *words, program=PROGRAM, environment=None, timeout=60, **options):
    """Runs it on this configuration. A subprocess.CompletedProcess with text."""
    return subprocess.run([program, "-c", config_directory, *words], capture_output=True, text=True, timeout=timeout, check=False,
                          env={**ENVIRONMENT, **(environment or {})}, cwd="/", **options)


def on_terminal(*words, columns, environment=None):
    """What it writes to a terminal so wide."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with subprocess.Popen([PROGRAM, *words], stdout=follower, env={**ENVIRONMENT, "TERM": "xterm", **(environment or {})}) as process:
        os.close(follower)
        written = b""
        while True:
            try:
                data = os.read(leader, 65536)
            except OSError:
                break
            written += data
        process.wait(30)
    os.close(leader)
    return written.decode()
