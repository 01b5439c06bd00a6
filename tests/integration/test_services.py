"""A daemon that is not there is seen: by `post365 status` and `queue`, in policyd's metrics and health."""

import configparser
import contextlib
import http.client
import json
import shlex
import smtplib
import subprocess
from pathlib import Path

import pytest
from conftest import ROOMY

from harness import processes, workplace
from harness.exposition import read_exposition
from harness.office365 import Office365
from harness.postfix import free_ports
from harness.relay import PASSWORD, UPN, Relay

HEADER = f"From: {UPN}\r\nTo: a@dest.example\r\nSubject: x\r\n".encode()


@pytest.fixture
def relay(place):
    port = free_ports(1)[0]
    office365 = place.add(Office365(place.directory / "office365", limits=ROOMY,
                                    mailboxes={UPN: {"password": PASSWORD}})).start()
    made = place.add(Relay(place.directory / "relay", office365, transport=(UPN,),
                           post365={"post365_metrics_listen": f"127.0.0.1:{port}"})).start()
    made.port = port
    return made


def run(relay, *words, user=None):
    return subprocess.run([workplace.BUILD / "post365", "-c", relay.postfix.config_directory, *words],
                          capture_output=True, text=True, timeout=60, check=False, user=user)


def get(relay, path):
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", relay.port, timeout=10)) as connection:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()


def up(relay, program):
    return read_exposition(get(relay, "/metrics")[1])["post365_up"][frozenset({("program", program)})]


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_dead_daemon_is_told(relay, end):
    """The one and the other, and both at once, since it takes the policy service ten seconds to notice."""
    names = {"post365-milter": "milter", "post365-transport": "transport"}
    assert run(relay, "status").returncode == 0
    for program in names:
        assert processes.wait_until(lambda program=program: up(relay, program) == 1, 30)
    assert get(relay, "/healthz") == (200, "ok\n")
    for program, name in names.items():
        getattr(getattr(relay, name), end)()
        done = run(relay, "status")
        assert done.returncode == 1 and f"{program} does not answer on unix:post365/{name}" in done.stdout, done
        [told] = [line for line in map(json.loads, run(relay, "status", "--json").stdout.splitlines())
                  if line.get("service") == program]
        assert told["up"] is False
        if name == "milter":
            assert "post365-transport does not answer" not in done.stdout
    for program in names:
        assert processes.wait_until(lambda program=program: up(relay, program) == 0, 30, 0.2)
    status, text = get(relay, "/healthz")
    assert status == 503 and "post365-milter does not answer any more" in text
    relay.milter.start()
    done = run(relay, "status")
    assert done.returncode == 1 and "post365-milter does not answer" not in done.stdout
    assert processes.wait_until(lambda: up(relay, "post365-milter") == 1, 30, 0.2)
    status, text = get(relay, "/healthz")
    assert status == 503 and "post365-transport does not answer any more" in text
    relay.transport.start()
    assert run(relay, "status").returncode == 0
    assert processes.wait_until(lambda: get(relay, "/healthz") == (200, "ok\n"), 30, 0.2)


@pytest.mark.parametrize("clients, local, general, told", [
    ("{ unix:post365/milter, default_action=accept }", "$smtpd_milters", "tempfail",
     "mail comes in all the same, and post365-transport makes it right"),
    ("unix:post365/milter", "unix:post365/milter", "accept", "mail comes in all the same, and post365-transport makes it right"),
    ("{ unix:post365/milter, default_action=tempfail }", "$smtpd_milters", "accept",
     "clients are told to come again later, and mail of this machine stays in the maildrop"),
    ("{ unix:post365/milter, default_action=accept }", "unix:post365/milter", "tempfail",
     "mail of clients comes in all the same, and mail of this machine stays in the maildrop"),
    ("unix:post365/milter", "", "tempfail",
     "clients are told to come again later, and mail of this machine comes in all the same"),
])
def test_what_a_dead_milter_holds_up_is_what_main_cf_says(relay, clients, local, general, told):
    relay.milter.stop()
    relay.postfix.configure({"smtpd_milters": clients, "non_smtpd_milters": local, "milter_default_action": general})
    relay.postfix.reload()
    done = run(relay, "status")
    assert done.returncode == 1 and told in " ".join(done.stdout.split())
    with smtplib.SMTP("127.0.0.1", relay.postfix.smtp_port) as smtp:
        smtp.ehlo()
        assert (smtp.mail(UPN)[0] == 451) is ("clients are told" in told)


def test_what_main_cf_does_not_name_is_not_missed(relay):
    relay.milter.stop()
    relay.postfix.configure({"smtpd_milters": "", "non_smtpd_milters": ""})
    assert run(relay, "status").returncode == 0
    relay.transport.stop()
    assert run(relay, "status").returncode == 1
    relay.postfix.configure({"default_transport": "smtp", "sender_dependent_default_transport_maps": ""})
    assert run(relay, "status").returncode == 0


def test_a_milter_that_never_was_is_no_trouble_of_the_policy_service(place):
    port = free_ports(1)[0]
    office365 = place.add(Office365(place.directory / "office365", mailboxes={UPN: {"password": PASSWORD}})).start()
    relay = place.add(Relay(place.directory / "relay", office365, transport=(UPN,),
                            post365={"post365_metrics_listen": f"127.0.0.1:{port}"}))
    relay.port = port
    relay.policyd.start()
    assert up(relay, "post365-milter") == 0 and get(relay, "/healthz") == (200, "ok\n")


def test_mail_in_the_maildrop_is_explained(relay):
    relay.milter.stop()
    subprocess.run(["/usr/sbin/sendmail", "-C", relay.postfix.config_directory, "-f", UPN, "a@dest.example"],
                   input=b"Subject: x\n\nhello\n", check=True, timeout=30)
    def queued():
        return [json.loads(line) for line in run(relay, "queue", "--json").stdout.splitlines()]
    assert processes.wait_until(lambda: any(one["queue"] == "maildrop" for one in queued()), 20, 0.2), queued()
    [one] = queued()
    assert [cause["cause"] for cause in one["causes"]] == ["milter-down"]
    done = run(relay, "queue")
    assert done.returncode == 1 and "milter-down" in done.stdout and "systemctl status post365-milter" in done.stdout
    done = run(relay, "queue", "explain", one["id"])
    assert "milter-down" in done.stdout
    with smtplib.SMTP("127.0.0.1", relay.postfix.smtp_port) as smtp:
        smtp.ehlo()
        assert smtp.mail(UPN)[0] == 451
    relay.milter.start()
    assert "milter-down" not in run(relay, "queue").stdout


class Several(dict):
    """A name may be there more than once: its values, one a line."""

    def __setitem__(self, name, value):
        super().__setitem__(name, self[name] + value if name in self and isinstance(value, list) else value)


def reload_as_systemd(daemon):
    """Runs the unit's ExecReload= lines, each if the one before has worked, with the program and the configuration of the
    test; returns whether all have."""
    text = (Path(__file__).parents[2] / "conf" / f"{daemon.program}.service").read_text()
    unit = configparser.RawConfigParser(strict=False, dict_type=Several, interpolation=None)
    unit.optionxform = str
    unit.read_string(text)
    lines = unit["Service"]["ExecReload"].splitlines()
    assert len(lines) == 2
    for line in lines:
        assert line.startswith("+/bin/sh -c ")
        line = line.lstrip("+").replace("$MAINPID", str(daemon.pid)).replace(
            f"/usr/sbin/{daemon.program}", " ".join(map(str, daemon.arguments)))
        if subprocess.run(shlex.split(line), timeout=60, check=False, capture_output=True).returncode != 0:
            return False
    return True


@pytest.mark.parametrize("name", ["milter", "policyd", "transport"])
@pytest.mark.parametrize("wrong", [{"post365_message_quota": "junk"}, {"post365_max_wait": "soon"}, {"post365_upn": "nobody"}])
def test_a_reload_with_wrong_settings_fails_before_the_daemon_hears_of_it(relay, name, wrong):
    daemon = getattr(relay, name)
    pid, before = daemon.pid, len(daemon.log())
    kept = {key: relay.postfix.parameters.get(key) for key in wrong}
    relay.postfix.configure(wrong)
    assert not reload_as_systemd(daemon)
    assert daemon.alive() and daemon.pid == pid and "reload" not in daemon.log()[before:]
    relay.deliver(UPN, ["a@dest.example"], HEADER)
    relay.postfix.configure(kept)
    assert reload_as_systemd(daemon)
    assert processes.wait_until(lambda: "reloaded" in daemon.log()[before:], 20), daemon.log()
