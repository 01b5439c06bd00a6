"""post365-milter, post365-policyd, post365-transport and post365-tokend, as a private Postfix's queue directory sees them.

They read their settings from that Postfix's main.cf, log to a file, and run as post365_user.
"""

import os
import pwd
import shutil
import signal
import socket

from . import processes, workplace


def connect(place, queue_directory, timeout=30.0):
    """A connected socket to "unix:path" (below the queue directory) or "inet:host:port". However
    long the queue directory's name is: it is reached through a descriptor."""
    kind, _, where = place.partition(":")
    if kind == "inet":
        host, _, port = where.rpartition(":")
        return socket.create_connection((host or "127.0.0.1", int(port)), timeout)
    endpoint = socket.socket(socket.AF_UNIX)
    endpoint.settimeout(timeout)
    directory = os.open(queue_directory, os.O_PATH | os.O_DIRECTORY)
    try:
        endpoint.connect(f"/proc/self/fd/{directory}/{where}")
    except OSError:
        endpoint.close()
        raise
    finally:
        os.close(directory)
    return endpoint


class Daemon(processes.Program):
    """A post365 daemon beside `postfix`. Its log is <postfix.directory>/<program>.log."""

    build = workplace.BUILD
    program = None  # "post365-milter"
    parameter = None  # the main.cf parameter that says where it listens
    default = None

    def __init__(self, postfix, *options):
        arguments = [self.build / self.program, "-c", postfix.config_directory, "-e", *options]
        super().__init__(self.program, arguments, directory=postfix.directory,
                         environment=postfix.environment())
        self.postfix = postfix

    @property
    def place(self):
        """Where it listens, as main.cf says."""
        return self.postfix.parameters.get(self.parameter, self.default)

    def start(self):
        """Starts it and waits until it accepts connections."""
        super().start()
        self.wait_ready(self._answers)
        return self

    def connect(self):
        """A connection to its socket."""
        return connect(self.place, self.postfix.queue_directory)

    def _answers(self):
        try:
            self.connect().close()
        except OSError:
            return False
        return True

    def reload(self, timeout=30.0):
        """SIGUSR1, then waits until the log says what came of it. Returns the new part of the
        log."""
        before = len(self.log())
        self.signal(signal.SIGUSR1)
        processes.wait_until(lambda: "\n" in self.log()[before:], timeout)
        return self.log()[before:]


class Milter(Daemon):
    program = "post365-milter"
    parameter = "post365_milter_socket"
    default = "unix:post365/milter"


class Policyd(Daemon):
    program = "post365-policyd"
    parameter = "post365_policy_socket"
    default = "unix:post365/policy"


class Transport(Daemon):
    """With a postqueue(1) that post365_user may use on this Postfix: Debian's is setgid, and then takes no
    configuration directory that the system's main.cf does not name. See Relay.start() for the rest."""

    program = "post365-transport"
    parameter = "post365_transport_socket"
    default = "unix:post365/transport"

    def __init__(self, postfix, *options):
        commands = postfix.directory / "commands"
        commands.mkdir()
        shutil.copyfile("/usr/sbin/postqueue", commands / "postqueue")
        (commands / "postqueue").chmod(0o755)
        super().__init__(postfix, "-o", f"command_directory={commands}", *options)


class Tokend(Daemon):
    """With its directories as tmpfiles and the unit make them. `user`: post365_oauth2_user."""

    program = "post365-tokend"
    parameter = "post365_oauth2_socket"
    default = "unix:post365/oauth2/tokens"

    def __init__(self, postfix, user, *options):
        super().__init__(postfix, *options)
        self.user = pwd.getpwnam(user)

    def start(self):
        kind, _, where = self.place.partition(":")
        reader = pwd.getpwnam(self.postfix.parameters.get("post365_user", workplace.USER))
        if kind == "unix":
            directory = (self.postfix.queue_directory / where).parent
            if not directory.parent.exists():
                directory.parent.mkdir(mode=0o755)
                os.chown(directory.parent, reader.pw_uid, reader.pw_gid)
            directory.mkdir(mode=0o750, exist_ok=True)
            os.chown(directory, self.user.pw_uid, reader.pw_gid)
        kept = self.postfix.parameters.get("post365_oauth2_directory")
        if kept:
            os.makedirs(kept, mode=0o700, exist_ok=True)
            os.chown(kept, self.user.pw_uid, self.user.pw_gid)
        return super().start()
