"""post365 status --watch: what is on the terminal, while it runs and afterwards."""

import os
import signal
import subprocess

import pytest
from test_control import Control
from test_policyd import Policyd

from harness import processes, workplace
from harness.terminal import Terminal

PROGRAM = workplace.BUILD / "post365"


@pytest.fixture
def policyd(place):
    return place.add(Policyd(place.directory / "policyd", post365_meter="delivery", post365_recipient_quota="50/1h",
                             post365_message_quota="30/1m")).start()


def watch(policyd, *accounts, **options):
    return Terminal([PROGRAM, "-c", policyd.etc, "status", "--watch", *accounts], **options)


def send(policyd, account, recipients):
    with Control(policyd) as control:
        reservation = control.reserve(recipients, account)["reservation"]
        assert control.ask("settle", reservation=reservation, recipients=recipients)["result"] == "done"


def state_of(process):
    with open(f"/proc/{process.pid}/stat", encoding="ascii") as stat:
        return stat.read().rpartition(")")[2].split()[0]


def names_of(shown):
    return [line for line in shown.splitlines() if "@" in line]


def test_what_needs_attention_comes_first_and_changes_are_seen(policyd):
    for number, recipients in enumerate((5, 20, 1)):
        send(policyd, f"user{number}@contoso.com", recipients)
    with watch(policyd) as terminal:
        shown = terminal.wait_for("user2")
        assert names_of(shown) == ["user1@contoso.com", "user0@contoso.com", "user2@contoso.com"]
        assert "3 accounts  q ends" in shown.splitlines()[0] and "20 of 50 per 1h" in shown
        assert terminal.modes == {1049: True, 25: False, 7: False}
        with Control(policyd) as control:
            control.ask("pause", account="user2@contoso.com", cause="holiday")
        send(policyd, "user0@contoso.com", 30)
        shown = terminal.wait_for("holiday")
        assert names_of(shown) == ["user2@contoso.com", "user0@contoso.com", "user1@contoso.com"]
        assert "3 accounts, 1 paused  q ends" in shown.splitlines()[0] and "35 of 50 per 1h" in shown
        terminal.press("q")
        assert terminal.wait_end() == 0
        assert terminal.is_as_before()


def test_an_account_that_is_to_be_probed_needs_attention(policyd):
    send(policyd, "busy@contoso.com", 40)
    with Control(policyd) as control:
        control.ask("pause", account="ill@contoso.com", cause="password", least=1000, most=1000)
    with watch(policyd) as terminal:
        shown = terminal.wait_for("busy")
        assert names_of(shown) == ["ill@contoso.com", "busy@contoso.com"] and "was paused" in shown


def test_named_accounts_in_their_order(policyd):
    send(policyd, "a@contoso.com", 1)
    send(policyd, "b@contoso.com", 9)
    with watch(policyd, "a@contoso.com", "b@contoso.com", "new@contoso.com") as terminal:
        assert names_of(terminal.wait_for("new")) == ["a@contoso.com", "b@contoso.com", "new@contoso.com"]


def test_never_more_lines_than_fit(policyd):
    for number in range(12):
        send(policyd, f"user{number:02}@contoso.com", 1)
    with watch(policyd, lines=24, columns=100) as terminal:
        shown = terminal.wait_for("more")
        assert len(names_of(shown)) == 5 and shown.splitlines()[-1] == "… and 7 accounts more"
        terminal.resize(11, 40)
        shown = terminal.wait_for("and 10 accounts more")
        assert len(names_of(shown)) == 2 and shown.splitlines()[0].endswith("q ends")
        terminal.resize(3, 24)
        shown = terminal.wait_for("and 12 accounts more")
        assert len(shown.splitlines()) == 3
        terminal.resize(60, 120)
        shown = terminal.wait_for("user11")
        assert len(names_of(shown)) == 12 and "more" not in shown
        terminal.resize(20, 30)
        assert "  recipients █" + "░" * 16 in terminal.wait_for("accounts more").splitlines()
        terminal.resize(1, 120)
        assert "@" not in terminal.wait_for("q ends")


def test_the_ledger_goes_away_and_comes_back(policyd):
    send(policyd, "a@contoso.com", 1)
    with watch(policyd) as terminal:
        terminal.wait_for("a@contoso.com")
        policyd.stop()
        shown = terminal.wait_for("The ledger cannot be asked; it is tried again.")
        assert "a@contoso.com" not in shown
        assert "post365-policyd" in terminal.wait_for("post365-policyd")
        policyd.start()
        terminal.wait_for("a@contoso.com")
        terminal.press("q")
        assert terminal.wait_end() == 0


def test_it_begins_without_a_ledger_too(policyd):
    policyd.stop()
    with watch(policyd) as terminal:
        terminal.wait_for("post365-policyd")
        policyd.start()
        terminal.wait_for("knows no account yet")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_the_terminal_is_put_in_order_at_the_end(policyd, number):
    send(policyd, "a@contoso.com", 1)
    with watch(policyd) as terminal:
        terminal.wait_for("a@contoso.com")
        assert not terminal.is_as_before()
        if number == signal.SIGINT:
            terminal.press("\x03")
        else:
            os.kill(terminal.process.pid, number)
        assert terminal.wait_end() == (0 if number == signal.SIGINT else -number)
        assert terminal.is_as_before() and terminal.process.stderr.read() == b""


def test_stopped_and_continued(policyd):
    send(policyd, "a@contoso.com", 1)
    with watch(policyd) as terminal:
        terminal.wait_for("a@contoso.com")
        # Of an orphaned process group the kernel stops nobody for a key: as a shell's child would see it.
        os.kill(terminal.process.pid, signal.SIGTSTP)
        assert processes.wait_until(lambda: state_of(terminal.process) == "T", 30)
        assert terminal.is_as_before()
        send(policyd, "a@contoso.com", 6)
        os.kill(terminal.process.pid, signal.SIGCONT)
        terminal.wait_for("7 of 50")
        assert not terminal.is_as_before() and terminal.modes[1049]


def test_a_terminal_that_is_gone_is_the_end(policyd):
    send(policyd, "a@contoso.com", 1)
    with watch(policyd) as terminal:
        terminal.wait_for("a@contoso.com")
        os.close(terminal.leader)
        assert terminal.process.wait(10) == -signal.SIGHUP
        terminal.leader = os.open("/dev/null", os.O_RDONLY)


def test_a_frame_is_written_at_once(policyd):
    """One write, which begins at the top: nothing is cleared that is not written again at once."""
    send(policyd, "a@contoso.com", 1)
    with watch(policyd) as terminal:
        terminal.wait_for("a@contoso.com")
        before = len(terminal.raw)
        terminal.press("x")
        terminal.wait_for("a@contoso.com")
        assert processes.wait_until(lambda: terminal.shown() and len(terminal.raw) > before, 30)
        frame = terminal.raw[before:]
        assert frame.startswith("\x1b[H\x1b[K") and "\x1b[2J" not in frame


@pytest.mark.parametrize("words, environment, reason", [
    (("--watch", "--json"), {}, "not both"), (("--watch",), {"TERM": "dumb"}, "TERM is dumb"), (("--watch", "--junk"), {}, "--junk"),
    (("--watch", "nobody"), {}, "nobody")])
def test_wrong_usage(words, environment, reason):
    with Terminal([PROGRAM, "status", *words], environment=environment) as terminal:
        assert terminal.wait_end() == 2
        assert reason in terminal.process.stderr.read().decode() and terminal.raw == ""


def test_only_on_a_terminal():
    done = subprocess.run([PROGRAM, "status", "--watch"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30,
                          check=False, env={"TERM": "xterm"})
    assert done.returncode == 2 and "draws on a terminal" in done.stderr and done.stdout == ""
