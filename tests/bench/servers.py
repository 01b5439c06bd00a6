"""What is measured: the null server, post365-policyd, and other policy services where they are installed.

Every server runs on the last processor that this process may use, the load generator on the first: all of them pinned
alike, and none of them shared, where there are two.
"""

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

from bench.report import WrongAnswers
from harness import processes, workplace

PROGRAMS = workplace.BUILD / "bench"
PROCESSORS = sorted(os.sched_getaffinity(0))
POSTFWD = "/usr/sbin/postfwd2"
RATE_LIMIT = "/usr/bin/policyd-rate-limit"
NO_LIMIT = 2000000000
START_LIMIT = 120
# What policyd does to its ledger; decisions wait for each.
WORK = ("commit", "checkpoint", "expiry")


def pinned(processor, arguments):
    """The command, on that processor alone."""
    return ["/usr/bin/taskset", "-c", str(processor), *(str(argument) for argument in arguments)]


class Server(processes.Program):
    """A policy service on `place`. What it is asked about is a message of one recipient at `stage`; `granted` and
    `refused` are the first words of its answers."""

    stage = "END-OF-MESSAGE"
    granted = "DUNNO"
    refused = "DEFER"
    may_close = False  # connections, whenever it likes

    def __init__(self, name, arguments, place, directory):
        super().__init__(name, pinned(PROCESSORS[-1], arguments), directory=directory)
        self.place = place
        self.start_seconds = None

    def start(self):
        """Returns when it has answered. `start_seconds` is how long that took."""
        begun = time.monotonic()
        super().start()
        self.wait_ready(self.answers, START_LIMIT)
        self.start_seconds = time.monotonic() - begun
        return self

    def answers(self):
        kind, _, where = self.place.partition(":")
        try:
            if kind == "inet":
                host, _, port = where.rpartition(":")
                endpoint = socket.create_connection((host, int(port)), 10)
            else:
                endpoint = socket.socket(socket.AF_UNIX)
                endpoint.connect(where)
            with endpoint:
                endpoint.settimeout(10)
                endpoint.sendall(b"request=smtpd_access_policy\nprotocol_state=CONNECT\n\n")
                return endpoint.recv(1024).endswith(b"\n\n")
        except OSError:
            return False

    def _status(self, name):
        with open(f"/proc/{self.pid}/status", encoding="ascii") as status:
            for line in status:
                if line.startswith(f"{name}:"):
                    return int(line.split()[1]) << 10
        raise KeyError(name)

    def memory(self):
        """Resident bytes."""
        return self._status("VmRSS")

    def peak_memory(self):
        return self._status("VmHWM")

    def processor_time(self):
        """Seconds of processor time, of all threads."""
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Null(Server):
    def __init__(self, directory):
        place = f"unix:{directory}/null"
        super().__init__("null", [PROGRAMS / "null", place], place, directory)


class Policyd(Server):
    """post365-policyd with a configuration directory of its own. Every sender is an account, by post365_sender_upn_maps,
    when there is a number of `accounts`. Limits are "how many/how long"."""

    def __init__(self, directory, *, name="policyd", accounts=0, sync="no", recipients=f"{NO_LIMIT}/1d",
                 messages=f"{NO_LIMIT}/1m", **parameters):
        self.directory = Path(directory) / name
        self.etc = self.directory / "etc"
        self.ledger = self.directory / "ledger"
        spool = self.directory / "spool"
        for path in (self.directory, self.etc, spool):
            path.mkdir(exist_ok=True)
        shutil.copy("/usr/share/postfix/master.cf.dist", self.etc / "master.cf")
        parameters = {
            "compatibility_level": "3.6", "queue_directory": spool, "data_directory": self.directory / "data",
            "relayhost": "[smtp.office365.com]:587", "post365_user": workplace.USER, "post365_ledger": self.ledger,
            "post365_upn": "relay@contoso.com", "post365_meter": "submission", "post365_ledger_sync": sync,
            "post365_policy_socket": "unix:post365/policy", "post365_recipient_quota": recipients,
            "post365_message_quota": messages, **parameters}
        self.control = f"unix:{spool}/post365/control"
        self.metrics = parameters.get("post365_metrics_listen")
        if accounts:
            table = self.etc / "accounts"
            table.write_text("".join(f"user{i:06}@example.com user{i:06}@example.com\n" for i in range(accounts)))
            os.utime(table, (1, 1))
            parameters["post365_sender_upn_maps"] = f"texthash:{table}"
        main_cf = self.etc / "main.cf"
        main_cf.write_text("".join(f"{key} = {value}\n" for key, value in parameters.items()))
        os.utime(main_cf, (1, 1))  # Postfix reads a file that has just changed again until it is quiet
        super().__init__(name, [workplace.BUILD / "post365-policyd", "-c", self.etc, "-e"],
                         f"unix:{spool}/post365/policy", self.directory)

    def fill(self, accounts, events, seconds):
        """Gives the ledger a past, see fill.c. Returns how long that took."""
        begun = time.monotonic()
        subprocess.run([PROGRAMS / "fill", self.etc, str(accounts), str(events), str(seconds)], check=True)
        return time.monotonic() - begun

    def disk(self):
        """Bytes that the ledger takes on the disk."""
        total = 0
        for path in self.ledger.iterdir():
            try:
                total += path.stat().st_blocks * 512
            except FileNotFoundError:
                pass  # a log file that is needed no more
        return total

    def longer_than(self, seconds):
        """How often each kind of work took longer than so many seconds (a bound of the daemon's scale) since the start."""
        with urllib.request.urlopen(f"http://{self.metrics}/metrics", timeout=10) as reply:
            figures = dict(line.rsplit(" ", 1) for line in reply.read().decode().splitlines() if not line.startswith("#"))
        return {work: int(figures[f"post365_{work}_duration_seconds_count"])
                - int(figures[f'post365_{work}_duration_seconds_bucket{{le="{seconds:.6f}"}}']) for work in WORK}

    def stop(self, patience=60.0):
        return super().stop(patience)


class Postfwd(Server):
    """postfwd 2 as Debian has it, one rule: a rate for each sender. It changes into the background."""

    granted = "DUNNO"
    refused = "450"
    may_close = True  # a process of it ends after a thousand requests

    def __init__(self, directory):
        rules = Path(directory) / "postfwd.cf"
        rules.write_text("id=RATE; protocol_state==END-OF-MESSAGE; "
                         f"action=rate(sender/{NO_LIMIT}/86400/450 4.7.1 too many messages)\n")
        self.pid_file = Path(directory) / "postfwd2.pid"
        port, cache_port = free_ports(2)
        super().__init__("postfwd", [
            POSTFWD, "-n", "-P", "-f", rules, "-i", "127.0.0.1", "-p", port, "--cache_port", cache_port,
            "-u", "nobody", "-g", "nogroup", "--pidfile", self.pid_file], f"inet:127.0.0.1:{port}", directory)

    def alive(self):
        return super().alive() or self.process.returncode == 0

    def stop(self, patience=10.0):
        super().stop(patience)
        if self.pid_file.exists():
            pid = int(self.pid_file.read_text())
            started = processes.start_time(pid)
            if started is not None:
                os.kill(pid, signal.SIGTERM)
                if not processes.wait_until(lambda: processes.start_time(pid) != started, patience):
                    processes.end_process(pid, started)


class RateLimit(Server):
    """policyd-rate-limit as Debian has it, with SQLite, limits by sender. It counts at RCPT."""

    stage = "RCPT"
    granted = "dunno"
    refused = "defer_if_permit"

    def __init__(self, directory):
        home = Path(directory) / "rate-limit"
        home.mkdir()
        user = pwd.getpwnam("policyd-rate-limit")
        os.chown(home, user.pw_uid, user.pw_gid)
        configuration = home / "configuration.yaml"
        # JSON is YAML.
        configuration.write_text(json.dumps({
            "debug": False, "user": user.pw_name, "group": user.pw_name, "pidfile": f"{home}/pid", "backend": 0,
            "sqlite_config": {"database": f"{home}/db.sqlite3"}, "SOCKET": f"{home}/socket", "socket_permission": 0o666,
            "limits": [[NO_LIMIT, 60], [NO_LIMIT, 86400]], "limits_by_id": {}, "limit_by_sasl": True,
            "limit_by_sender": True, "limit_by_ip": False, "limited_networks": [], "success_action": "dunno",
            "fail_action": "defer_if_permit Rate limit reach, retry later", "db_error_action": "dunno", "report": False,
            "delay_to_close": 300}))
        super().__init__("rate-limit", [RATE_LIMIT, "-f", configuration], f"unix:{home}/socket", directory)


def free_ports(count):
    """So many TCP ports of the loopback interface that nobody uses now."""
    with_ports = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [endpoint.getsockname()[1] for endpoint in with_ports]
    for endpoint in with_ports:
        endpoint.close()
    return ports


def others():
    """The other policy services that are installed here."""
    return [kind for kind, program in ((Postfwd, POSTFWD), (RateLimit, RATE_LIMIT)) if os.access(program, os.X_OK)]


def _load_command(server, *, connections, accounts, seconds, prime=False, warm_up=0.0, interval=0.0):
    return pinned(PROCESSORS[0], [
        PROGRAMS / "load", "-c", connections, "-a", accounts, "-s", seconds, *(["-p"] if prime else []),
        "-w", warm_up, "-i", interval, "-S", server.stage, *(["-r"] if server.may_close else []), server.place])


def load(server, expect, **options):
    """One run of the load generator. Returns its figures, with the server's processor time; WrongAnswers unless every
    answer began with the word `expect`."""
    before = server.processor_time() if server.process.poll() is None else None
    done = subprocess.run(_load_command(server, **options), stdout=subprocess.PIPE, text=True, check=False)
    figures = json.loads(done.stdout.splitlines()[-1]) if done.stdout else {}
    if done.returncode != 0 or not set(figures["actions"]) <= {expect}:  # none at all are slow, not wrong
        raise WrongAnswers(f"{server.name}: {expect} was to be answered, got {figures or 'nothing'}\n{server.log()[-2000:]}")
    if before is not None:
        figures["server_processor_s"] = round(server.processor_time() - before, 2)
    return figures


def begin_load(server, **options):
    """The load generator in the background: a process whose stdout has a line of figures for every interval."""
    return subprocess.Popen(_load_command(server, **options), stdout=subprocess.PIPE, text=True)


class Probe:
    """What the machine itself keeps a program waiting for, see probe.c: there inside the block."""

    def __init__(self, file):
        self.arguments = [PROGRAMS / "probe", file]
        self.process = None

    def __enter__(self):
        self.process = subprocess.Popen(self.arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def take(self):
        """The longest waits since the last call, in microseconds: for a processor, for the disk."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


class Crowd:
    """Clients that misbehave, see misbehave.c: there inside the block."""

    def __init__(self, server, kind, count):
        place = server.control if kind == "vanish-wait" else server.place
        self.arguments = pinned(PROCESSORS[0], [PROGRAMS / "misbehave", kind, count, place])
        self.process = None

    def __enter__(self):
        self.process = subprocess.Popen(self.arguments, stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            self.process.wait()
            raise RuntimeError(f"{' '.join(self.arguments)} ended with status {self.process.returncode}")
        time.sleep(0.3)  # those who never read must have filled their sockets
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
