"""The unit of post365-tokend as systemd runs it, installed by `make install`: what its sandbox allows, and what it does not."""

import re
import shutil
import subprocess
from types import SimpleNamespace

import pytest

from harness import machine as machines
from harness.entra import Entra
from harness.machine import Machine
from harness.processes import wait_until
from harness.relay import UPN
from harness.workplace import BUILD, PROJECT

UNIT = "post365-tokend"
SOCKET = "/var/spool/postfix/post365/oauth2/tokens"
MAIN = f"""\
compatibility_level = 3.6
relayhost = [smtp.office365.com]:587
post365_oauth2_CAfile = /etc/post365/ca.pem
"""
# As post365-transport asks. "refused" where there is no way to the socket.
ASK = """\
import socket, sys
try:
    with socket.socket(socket.AF_UNIX) as channel:
        channel.settimeout(60)
        channel.connect(sys.argv[1])
        channel.sendall(f"request=token\\naccount={sys.argv[2]}\\n\\n".encode())
        reply = b""
        while b"\\n\\n" not in reply and (block := channel.recv(65536)):
            reply += block
        print(reply.decode(), end="")
except OSError as error:
    print(f"result=unreachable\\nreason={error}")
"""


def test_it_is_exposed_as_little_as_it_can_be():
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")
    done = subprocess.run(["systemd-analyze", "security", "--offline=yes", "--threshold=15", "--no-pager",
                           PROJECT / "conf" / f"{UNIT}.service"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def host(module_place):
    """A machine on which post365 is installed, and Entra with an application that has a secret."""
    reason = machines.why_not()
    if reason:
        pytest.skip(reason)
    entra = module_place.add(Entra(module_place.directory / "entra")).start()
    app = entra.app("secret")
    machine = module_place.add(Machine(module_place.directory / "machine", [PROJECT, BUILD, module_place.directory])).start()
    machine.run("make", "-s", "-C", PROJECT, "-o", "all", "install", f"BUILD={BUILD}")
    machine.write("/etc/post365/ca.pem", open(entra.ca_file, encoding="ascii").read())
    machine.write("/etc/post365/app.secret", app.secret, "post365-token", 0o600)
    registration = open(app.file, encoding="ascii").read()
    machine.write("/etc/post365/app.cf", registration.replace(f"{app.directory}/secret", "/etc/post365/app.secret"))
    return SimpleNamespace(machine=machine, entra=entra, app=app, registration=registration)


@pytest.fixture
def tokend(host):
    """Running, with that application for all accounts."""
    def beginnings():
        return len(re.findall("started, version|reloaded,", host.machine.journal(UNIT)))
    before = beginnings()
    host.machine.write("/etc/postfix/main.cf", MAIN + "post365_oauth2_maps = static:/etc/post365/app.cf\n")
    host.machine.run("systemctl", "reload-or-restart", UNIT)
    # A reload is a signal: nobody may write to main.cf until it was read.
    assert wait_until(lambda: beginnings() > before, 60), host.machine.journal(UNIT)
    return host.machine


def ask(machine, user):
    as_user = [] if user == "root" else ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
    told = machine.run(*as_user, "/usr/bin/python3", "-c", ASK, SOCKET, UPN).stdout
    return dict(line.split("=", 1) for line in told.splitlines() if line)


def status_of(machine):
    pid = machine.show(UNIT, "MainPID")["MainPID"]
    return pid, dict(line.split(":", 1) for line in machine.run("cat", f"/proc/{pid}/status").stdout.splitlines())


def test_a_token_comes_through_the_sandbox(host, tokend):
    reply = ask(tokend, "post365")
    assert reply["result"] == "done" and reply["token"].count(".") == 2, (reply, tokend.journal(UNIT))
    assert ask(tokend, "root")["result"] == "done"
    for user in ("mail", "postfix", "daemon"):
        assert ask(tokend, user)["result"] == "unreachable"
    assert host.entra.requests(kind="app", client_id=host.app.client_id)[-1]["status"] == 200
    assert "warning" not in tokend.journal(UNIT)


def test_what_the_process_is(tokend):
    pid, status = status_of(tokend)
    own = tokend.run("id", "-u", "post365-token").stdout.strip()
    assert status["Uid"].split() == [own] * 4 and status["Groups"].split() in ([], [own])
    assert {status[name].strip() for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert (status["NoNewPrivs"].strip(), status["Seccomp"].strip()) == ("1", "2")
    assert "Max core file size        0                    0" in tokend.run("cat", f"/proc/{pid}/limits").stdout
    assert tokend.run("stat", "-c", "%U:%G %a", SOCKET).stdout == "post365-token:post365 660\n"
    assert tokend.run("stat", "-c", "%U %a", "/var/lib/post365-tokens").stdout == "post365-token 700\n"


def test_a_changed_secret_is_read_in_there_and_a_restart_needs_no_root(host, tokend):
    assert ask(tokend, "post365")["result"] == "done"
    secret = host.app.new_secret(keep=False, write=False)
    tokend.write("/etc/post365/app.secret", secret, "post365-token", 0o600)
    tokend.run("systemctl", "restart", UNIT)
    assert ask(tokend, "post365")["result"] == "done", tokend.journal(UNIT)


def test_tables_that_postmap_looks_up(tokend):
    """Which asks for this host's addresses, by netlink."""
    tokend.write("/etc/postfix/oauth2", "/@example\\.com$/ /etc/post365/app.cf\n")
    tokend.write("/etc/postfix/main.cf", MAIN + "post365_oauth2_maps = regexp:/etc/postfix/oauth2\n")
    tokend.run("systemctl", "reload", UNIT)
    reply = {}
    assert wait_until(lambda: reply.update(ask(tokend, "post365")) or reply["result"] == "done", 60), (reply, tokend.journal(UNIT))


def test_a_reload_with_a_mistake_fails_and_the_old_settings_serve(tokend):
    tokend.write("/etc/postfix/main.cf", MAIN + "post365_oauth2_maps = static:/etc/post365/app.cf\npost365_oauth2_timeout = soon\n")
    assert tokend.run("systemctl", "reload", UNIT, check=False).returncode != 0
    assert ask(tokend, "post365")["result"] == "done"


def test_a_credential_of_systemd_s(host, tokend):
    tokend.write("/root/app.secret", host.app.secret, "root", 0o600)
    tokend.write(f"/etc/systemd/system/{UNIT}.service.d/secret.conf", "[Service]\nLoadCredential=app.secret:/root/app.secret\n")
    tokend.write("/etc/post365/sealed.cf", host.registration.replace(f"{host.app.directory}/secret", "credential:app.secret"))
    tokend.write("/etc/postfix/main.cf", MAIN + "post365_oauth2_maps = static:/etc/post365/sealed.cf\n")
    tokend.run("systemctl", "daemon-reload")
    tokend.run("systemctl", "restart", UNIT)
    assert ask(tokend, "post365")["result"] == "done", tokend.journal(UNIT)


def test_with_nothing_to_do_it_ends_well(host):
    host.machine.write("/etc/postfix/main.cf", MAIN)
    host.machine.run("systemctl", "restart", UNIT)
    assert wait_until(lambda: host.machine.show(UNIT, "ActiveState")["ActiveState"] == "inactive", 60)
    told = host.machine.show(UNIT, "Result", "ExecMainStatus")
    assert (told["Result"], told["ExecMainStatus"]) == ("success", "0")


def test_it_goes_without_a_trace_but_what_is_precious(host):
    """The last one: it is uninstalled."""
    done = host.machine.run("make", "-s", "-C", PROJECT, "uninstall", f"BUILD={BUILD}")
    assert "rm -rf /var/lib/post365 /var/lib/post365-tokens /etc/post365" in done.stdout
    left = host.machine.run("sh", "-c", "ls -d /usr/sbin/post365* /lib/systemd/system/post365* /var/spool/postfix/post365*", check=False)
    assert left.stdout == ""
    assert host.machine.run("ls", "-d", "/var/lib/post365-tokens").returncode == 0
