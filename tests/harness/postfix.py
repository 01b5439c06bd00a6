"""A Postfix of our own: configuration, queue, data, log and ports, all below one directory.

/etc/postfix and /var/spool/postfix are never written, and /etc/postfix/main.cf need not exist. What
is here is a relay as an admin would set it up, with nothing chrooted and, so that a test need not
wait for minutes, whatever the caller asks for in `parameters`.
"""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path

from . import maillog, processes, sasl, workplace

# The programs that `postfix check` runs, as they call themselves in the log.
_CHECKERS = ("postfix", "postfix/postfix", "postfix/postfix-script", "postfix/post-install",
             "postfix/postsuper", "postfix/postconf", "postfix/postlog")

_MASTER = """\
# service type  private unpriv  chroot  wakeup  maxproc command + args
127.0.0.1:{smtp_port} inet n - n - - smtpd
127.0.0.1:{submission_port} inet n - n - - smtpd
  -o syslog_name=postfix/submission
  -o smtpd_sasl_auth_enable=yes
{submission_options}pickup    unix  n       -       n       60      1       pickup
cleanup   unix  n       -       n       -       0       cleanup
qmgr      unix  n       -       n       300     1       qmgr
tlsmgr    unix  -       -       n       1000?   1       tlsmgr
rewrite   unix  -       -       n       -       -       trivial-rewrite
bounce    unix  -       -       n       -       0       bounce
defer     unix  -       -       n       -       0       bounce
trace     unix  -       -       n       -       0       bounce
verify    unix  -       -       n       -       1       verify
flush     unix  n       -       n       1000?   0       flush
proxymap  unix  -       -       n       -       -       proxymap
proxywrite unix -       -       n       -       1       proxymap
smtp      unix  -       -       n       -       -       smtp
relay     unix  -       -       n       -       -       smtp
showq     unix  n       -       n       -       -       showq
error     unix  -       -       n       -       -       error
retry     unix  -       -       n       -       -       error
discard   unix  -       -       n       -       -       discard
local     unix  -       n       n       -       -       local
virtual   unix  -       n       n       -       -       virtual
lmtp      unix  -       -       n       -       -       lmtp
anvil     unix  -       -       n       -       1       anvil
scache    unix  -       -       n       -       1       scache
postlog   unix-dgram n  -       n       -       1       postlogd
"""


def free_ports(count):
    """Ports on 127.0.0.1 that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for endpoint in sockets:
            endpoint.bind(("127.0.0.1", 0))
        return [endpoint.getsockname()[1] for endpoint in sockets]
    finally:
        for endpoint in sockets:
            endpoint.close()


class Postfix:
    """One instance. Construct, then start(); stop() may be called at any time and more than once.

    directory      created here; holds etc/, spool/, data/ and log/
    parameters     {name: value} for main.cf, on top of the base in _base(); None takes a name out.
                   A minimal_backoff_time below 2s is no good: qmgr counts whole seconds, may find
                   the message "still being delivered", and then leaves it alone for a minute
    logins         {login: password} for the submission port
    submission     {name: value}: -o options of the submission port in master.cf
    services       further lines of master.cf
    """

    def __init__(self, directory, parameters=None, *, logins=None, submission=None, services="",
                 hostname="relay.example.com"):
        self.directory = Path(directory)
        self.config_directory = self.directory / "etc"
        self.queue_directory = self.directory / "spool"
        self.data_directory = self.directory / "data"
        self.log_path = self.directory / "log" / "maillog"
        self.hostname = hostname
        self.smtp_port, self.submission_port = free_ports(2)
        self._submission = submission or {}
        self._services = services
        for path in (self.directory, self.config_directory, self.queue_directory, self.log_path.parent):
            path.mkdir(mode=0o755)
        self.data_directory.mkdir(mode=0o755)
        shutil.chown(self.data_directory, "postfix", "postfix")
        self._sasl = sasl.create(self.config_directory, self.directory / "sasldb2", hostname, logins or {})
        self.parameters = self._base()
        self.configure(parameters or {})

    def _base(self):
        return {
            "compatibility_level": "3.6",
            "queue_directory": self.queue_directory,
            "data_directory": self.data_directory,
            # A log of our own, through postlogd: no syslog daemon needed.
            "maillog_file": self.log_path,
            "maillog_file_prefixes": self.log_path.parent,
            "myhostname": self.hostname,
            "mydomain": self.hostname.partition(".")[2],
            "myorigin": "$myhostname",
            "mydestination": "",
            "alias_maps": "",
            "alias_database": "",
            "local_recipient_maps": "",
            "mynetworks": "127.0.0.0/8",
            # Loopback only, and no name is ever asked of a DNS server.
            "inet_interfaces": "127.0.0.1",
            "inet_protocols": "ipv4",
            "smtp_dns_support_level": "disabled",
            "smtp_host_lookup": "native",
            "smtpd_peername_lookup": "no",
            "biff": "no",
            "smtputf8_enable": "yes",
            "cyrus_sasl_config_path": self._sasl,
            "smtpd_sasl_security_options": "noanonymous",
            "smtpd_relay_restrictions":
                "permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination",
            # 127.0.0.1 sends everything here: no limits of smtpd's own on clients.
            "smtpd_client_connection_count_limit": "0",
        }

    # --- configuration -------------------------------------------------------

    def configure(self, parameters):
        """Changes main.cf: {name: value}, None takes a name out. Takes effect at start() or
        reload()."""
        for name, value in parameters.items():
            if value is None:
                self.parameters.pop(name, None)
            else:
                self.parameters[name] = str(value)
        self._write("main.cf", "".join(f"{name} = {value}\n" for name, value in self.parameters.items()))
        options = "".join(f"  -o {{ {name} = {value} }}\n" for name, value in self._submission.items())
        self._write("master.cf", _MASTER.format(
            smtp_port=self.smtp_port, submission_port=self.submission_port,
            submission_options=options) + self._services)

    def _write(self, name, text):
        temporary = self.config_directory / f".{name}"
        temporary.write_text(text)
        age(temporary)
        temporary.replace(self.config_directory / name)

    def table(self, name, entries, type_="texthash", mode=0o644):
        """Writes a lookup table into the configuration directory, from {key: value} or text, with
        postmap where the type wants it. Returns "type:path" for main.cf."""
        path = self.config_directory / name
        if not isinstance(entries, str):
            entries = "".join(f"{key} {value}\n" for key, value in entries.items())
        path.write_text(entries)
        path.chmod(mode)
        age(path)
        if type_ in ("hash", "btree", "lmdb"):
            self.command("postmap", f"{type_}:{path}")
        return f"{type_}:{path}"

    def postconf(self, name):
        """The value of a parameter, expanded, as the programs see it."""
        return self.command("postconf", "-h", "-x", name).stdout.rstrip("\n")

    # --- life ----------------------------------------------------------------

    def command(self, program, *arguments, check=True, stdin=None):
        """Runs one of Postfix's commands on this instance (`-c` where it takes one, MAIL_CONFIG for
        all)."""
        words = [f"/usr/sbin/{program}"]
        if program != "sendmail":
            words += ["-c", os.fspath(self.config_directory)]
        words += map(os.fspath, arguments)
        result = subprocess.run(words, env=self.environment(), cwd="/", check=False, input=stdin,
                                capture_output=True, text=not isinstance(stdin, bytes))
        if check and result.returncode != 0:
            raise RuntimeError(f"{' '.join(words)} ended with status {result.returncode}: "
                               f"{result.stdout}{result.stderr}\n{self.log()[-2000:]}")
        return result

    def environment(self):
        """For programs that shall find this Postfix: sendmail, postqueue and friends."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("MAIL_")}
        return {**clean, "MAIL_CONFIG": os.fspath(self.config_directory),
                "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}

    def check(self):
        """`postfix check`: what it says on standard output, standard error and in the log, "" when
        all is well."""
        before = len(self.log())
        result = self.command("postfix", "check", check=False)
        logged = [record.text for record in maillog.records(self.log()[before:])
                  if record.program in _CHECKERS]
        said = result.stdout + result.stderr + "\n".join(logged)
        return said if result.returncode == 0 else said + f"\n(exit status {result.returncode})"

    def start(self):
        """Starts it and waits until it answers on its ports. A port that somebody else took
        meanwhile is replaced by another. `postfix start` includes `postfix check`."""
        for attempt in range(5):
            result = self.command("postfix", "start", check=False)
            if result.returncode == 0:
                break
            if "Address already in use" not in self.log() or attempt == 4:
                raise RuntimeError(f"Postfix does not start: {result.stdout}{result.stderr}\n{self.log()}")
            self.smtp_port, self.submission_port = free_ports(2)
            self.configure({})
        if not processes.wait_until(lambda: _listens(self.smtp_port) and _listens(self.submission_port), 30):
            raise TimeoutError(f"Postfix does not listen, see {self.log_path}\n{self.log()}")

    def running(self):
        """Whether a process of this instance is there."""
        return bool(self._processes())

    def _processes(self):
        return processes.processes_in(self.queue_directory.resolve(), workplace.POSTFIX_PROGRAMS)

    def reload(self):
        """`postfix reload`: a changed main.cf."""
        self.command("postfix", "reload")

    def stop(self):
        """Stops it. When this returns no process of it is left."""
        for pid, started in sorted(self._processes()):  # the master is the oldest and ends its children
            processes.end_process(pid, started)

    # --- mail ----------------------------------------------------------------

    def sendmail(self, message, *arguments):
        """Hands a message (bytes) to this instance's sendmail(1)."""
        return self.command("sendmail", *arguments, stdin=message)

    def queue(self):
        """What is queued: a dictionary a message, as `postqueue -j` gives it."""
        return [json.loads(line) for line in self.command("postqueue", "-j").stdout.splitlines()]

    def flush(self):
        """Has all deferred mail tried again now."""
        self.command("postqueue", "-f")

    def wait_empty(self, timeout):
        """Waits until nothing is queued. Returns what still is."""
        processes.wait_until(lambda: not self.queue(), timeout, 0.2)
        return self.queue()

    def log(self):
        """The whole log so far."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def wait_log(self, text, timeout=30.0):
        """Waits until the log holds `text`. Returns whether it does."""
        return processes.wait_until(lambda: text in self.log(), timeout)

    def deliveries(self):
        """All delivery attempts in the log, see maillog.Delivery."""
        return maillog.deliveries(self.log())


def age(path):
    """Makes a file look a little older than it is: Postfix reads a file that was changed within the
    last two seconds over and over, until it is sure that nobody is still writing."""
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns - 3_000_000_000))


@contextlib.contextmanager
def cooled(path):
    """age() for a file that others write: before, and whenever they have while this lasts. Neither they nor who comes
    next has to wait for two seconds."""
    is_over = threading.Event()

    def cool():
        with contextlib.suppress(OSError):  # it may be away, or for reading only
            if time.time() - path.stat().st_mtime < 3:
                age(path)

    def watch():
        while not is_over.wait(0.01):
            cool()
    cool()
    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        yield
    finally:
        is_over.set()
        watching.join()
        cool()


def _listens(port):
    with socket.socket() as endpoint:
        endpoint.settimeout(1)
        return endpoint.connect_ex(("127.0.0.1", port)) == 0

