"""post365, the admin's command, as a program would call it and as a person would see it."""

import fcntl
import hashlib
import os
import pty
import struct
import subprocess
import termios

from . import workplace

PROGRAM = workplace.BUILD / "post365"
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/bin", "LC_ALL": "C.UTF-8"}


def run(config_directory, *words, program=PROGRAM, environment=None, timeout=60, **options):
    """Runs it on this configuration, or with None on none. A subprocess.CompletedProcess with text."""
    where = ["-c", config_directory] if config_directory else []
    return subprocess.run([program, *where, *words], capture_output=True, text=True, timeout=timeout, check=False,
                          env={**ENVIRONMENT, **(environment or {})}, cwd="/", **options)


def login_stamp(port, upn):
    """The file in which `post365 doctor` keeps when it last logged in at the stand-in's with this account."""
    return os.path.join("/run/post365-doctor", hashlib.sha256(f"localhost:{port} {upn}".encode()).hexdigest())


def on_terminal(*words, columns, environment=None):
    """What it writes to a terminal so wide; an xterm, if the environment does not say otherwise."""
    environment = {"TERM": "xterm"} if environment is None else environment
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with subprocess.Popen([PROGRAM, *words], stdout=follower, env={**ENVIRONMENT, **environment}) as process:
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
