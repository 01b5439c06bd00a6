"""post365-policyd's control socket: who may do what there, and what becomes of a connection's reservations."""

import contextlib
import pwd
import stat
import subprocess
import sys
import time

import pytest

from harness import processes, programs, workplace
from test_policyd import Policyd

UPN = "relay@contoso.com"
# Connects as another user, asks once, prints the reply.
ASK = """
import socket, sys
endpoint = socket.socket(socket.AF_UNIX)
endpoint.settimeout(10)
endpoint.connect(sys.argv[1])
endpoint.sendall(sys.argv[2].encode() + b"\\n\\n")
received = b""
while not received.endswith(b"\\n\\n"):
    received += endpoint.recv(65536)
print(received.decode(), end="")
"""


class Control:
    """One connection. Replies are lists of (name, value)."""

    def __init__(self, policyd, timeout=30.0):
        place = policyd.parameters.get("post365_control_socket", "unix:post365/control")
        self.endpoint = programs.connect(place, policyd.queue, timeout)
        self.received = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.endpoint.close()

    def send(self, request, **attributes):
        lines = [f"request={request}", *(f"{name}={value}" for name, value in attributes.items())]
        self.endpoint.sendall(("\n".join(lines) + "\n\n").encode())

    def reply(self):
        while b"\n\n" not in self.received:
            data = self.endpoint.recv(65536)
            if not data:
                return None
            self.received += data
        text, _, self.received = self.received.partition(b"\n\n")
        return [tuple(line.split("=", 1)) for line in text.decode().split("\n")]

    def pairs(self, request, **attributes):
        self.send(request, **attributes)
        return self.reply()

    def ask(self, request, **attributes):
        return dict(self.pairs(request, **attributes))

    def reserve(self, recipients=1, account=UPN, **attributes):
        return self.ask("reserve", account=account, recipients=recipients, **attributes)

    def used(self, account=UPN):
        status = self.ask("status", account=account)
        return int(status["recipients_used"]), int(status["recipients_reserved"])


@pytest.fixture
def start(place):
    """Starts a policyd with these parameters."""
    def start_one(**parameters):
        return place.add(Policyd(place.directory / "policyd", post365_meter="delivery", **parameters)).start()
    return start_one


def ask_as(policyd, user, group, request):
    """The reply that another user gets, or how connecting failed."""
    path = policyd.queue / "post365" / "control"
    done = subprocess.run([sys.executable, "-c", ASK, path, request.replace(" ", "\n")], capture_output=True,
                          text=True, timeout=20, check=False, user=user, group=group, extra_groups=[], cwd="/")
    return done.stdout if done.returncode == 0 else done.stderr.strip().splitlines()[-1]


def test_what_is_under_way_is_granted_without_room(start):
    policyd = start(post365_message_quota="1/1h")
    with Control(policyd) as control:
        assert control.reserve()["result"] == "granted"
        assert control.reserve()["result"] == "later"
        again = control.reserve(under_way=1)
        assert again["result"] == "granted"
        assert control.used() == (2, 2)
        assert control.ask("settle", reservation=again["reservation"], recipients=1)["result"] == "done"
        assert control.reserve(under_way=2)["result"] == "error"


# --- who may do what ---

def test_the_socket_is_for_the_group_of_post365_user(start):
    policyd = start()
    status = (policyd.queue / "post365" / "control").stat()
    user = pwd.getpwnam(workplace.USER)
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (user.pw_uid, user.pw_gid, 0o660)


def test_members_of_the_group_read_and_others_do_not_get_in(start):
    policyd = start()
    user = pwd.getpwnam(workplace.USER)
    change = f"request=reserve account={UPN} recipients=1"
    assert "result=refused\n" in ask_as(policyd, "games", user.pw_gid, change)
    assert "result=done\n" in ask_as(policyd, "games", user.pw_gid, f"request=status account={UPN}")
    assert "Permission" in ask_as(policyd, "games", pwd.getpwnam("games").pw_gid, "request=list")
    assert "Permission" in ask_as(policyd, "postfix", pwd.getpwnam("postfix").pw_gid, "request=list")
    assert "result=granted\n" in ask_as(policyd, workplace.USER, user.pw_gid, change)


def test_an_inet_address_is_refused(place):
    policyd = Policyd(place.directory / "policyd", post365_control_socket="inet:127.0.0.1:9")
    done = subprocess.run([*policyd.arguments, "-t"], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 78
    assert "post365_control_socket = inet:127.0.0.1:9: write unix:path" in done.stderr


# --- reservations ---

def test_settled_counts_what_was_accepted_and_released_costs_nothing(start):
    policyd = start()
    with Control(policyd) as control:
        first, second = control.reserve(7), control.reserve(5)
        assert control.used() == (12, 12)
        assert control.ask("settle", reservation=first["reservation"], recipients=3)["result"] == "done"
        assert control.ask("release", reservation=second["reservation"])["result"] == "done"
        assert control.used() == (3, 0)


def test_a_closed_connection_s_reservations_count_as_sent(start):
    policyd = start()
    with Control(policyd) as reader:
        with Control(policyd) as control:
            for _ in range(10):
                assert control.reserve(2)["result"] == "granted"
            assert reader.used() == (20, 20)
        assert processes.wait_until(lambda: reader.used() == (20, 0), 30)


def test_another_connection_cannot_settle_them(start):
    policyd = start()
    with Control(policyd) as one, Control(policyd) as other:
        granted = one.reserve(2)
        assert other.ask("release", reservation=granted["reservation"])["result"] == "unknown"
        assert one.ask("release", reservation=granted["reservation"])["result"] == "done"


def test_what_was_granted_is_counted_after_a_crash(start):
    policyd = start()
    with Control(policyd) as control:
        for _ in range(5):
            control.reserve(2)
        settled = control.reserve(30)
        control.ask("settle", reservation=settled["reservation"], recipients=20)
        policyd.kill()
    policyd.start()
    with Control(policyd) as control:
        assert control.used() == (30, 0)


def test_the_quota_of_the_table_applies(start):
    policyd = start(post365_quota_maps="inline:{ { small@contoso.com = recipients=3/1h messages=none } }")
    with Control(policyd) as control:
        assert control.reserve(3, "Small@Contoso.com")["result"] == "granted"
        later = control.reserve(1, "small@contoso.com")
        assert (later["result"], later["measure"], later["used"], later["limit"]) == ("later", "recipients", "3", "3")
        assert control.reserve(4, "small@contoso.com")["result"] == "never"
        assert control.ask("status", account="small@contoso.com")["messages_limit"] == "none"


def test_connections_that_hold_reservations_do_not_make_room(place):
    limit = 200
    policyd = place.add(Policyd(place.directory / "policyd"))
    policyd.arguments = ["/usr/bin/prlimit", f"--nofile={limit}", *policyd.arguments]
    policyd.start()
    with Control(policyd) as control, contextlib.ExitStack() as stack:
        granted = control.reserve(2)
        crowd = [stack.enter_context(policyd.connect()) for _ in range(limit + 50)]
        assert crowd[-1].ask() == "DUNNO"
        assert control.ask("release", reservation=granted["reservation"])["result"] == "done"


# --- waiting ---

def test_waiters_are_served_first_come_first_served(start):
    policyd = start(post365_message_quota="2/400ms", post365_quota_guard="0s")
    waiting = [Control(policyd) for _ in range(6)]
    try:
        with Control(policyd) as first:
            for _ in range(2):
                granted = first.reserve()
                assert first.ask("settle", reservation=granted["reservation"], recipients=1)["result"] == "done"
            for i, control in enumerate(waiting):
                control.send("reserve", account=UPN, recipients=1, wait=10_000_000, tag=i)
                assert processes.wait_until(lambda: first.ask("status", account=UPN)["waiting"] == str(i + 1), 30)
            assert first.reserve()["result"] == "later"
            granted = []
            for i, control in enumerate(waiting):
                reply = dict(control.reply())
                assert (reply["tag"], reply["result"]) == (str(i), "granted")
                granted.append(int(reply["reservation"]))
                assert control.ask("settle", reservation=reply["reservation"], recipients=1)["result"] == "done"
            assert granted == sorted(granted)
            assert first.ask("status", account=UPN)["waiting"] == "0"
    finally:
        for control in waiting:
            control.close()


def test_replies_to_who_waits_come_behind_later_ones(start):
    policyd = start(post365_message_quota="1/10m")
    with Control(policyd) as control:
        granted = control.reserve(tag="held")
        control.send("reserve", account=UPN, recipients=1, wait=3_600_000_000, tag="late")
        assert control.ask("status", account=UPN, tag="soon")["tag"] == "soon"
        assert control.ask("reserve", account=UPN, recipients=1, wait=1000, tag="no")["result"] == "later"
        control.send("release", reservation=granted["reservation"], tag="end")
        replies = {dict(control.reply())["tag"]: None for _ in range(2)}
        assert set(replies) == {"end", "late"}


def test_a_lone_waiter_is_served_when_its_time_comes(start):
    policyd = start(post365_message_quota="1/300ms", post365_quota_guard="0s")
    with Control(policyd) as control:
        held = control.reserve()
        assert control.ask("settle", reservation=held["reservation"], recipients=1)["result"] == "done"
        late = []
        for _ in range(5):
            begun = time.monotonic()
            control.send("reserve", account=UPN, recipients=1, wait=10_000_000)
            reply = dict(control.reply())
            late.append(time.monotonic() - begun)
            assert reply["result"] == "granted"
            assert control.ask("settle", reservation=reply["reservation"], recipients=1)["result"] == "done"
        assert sorted(late)[2] < 0.6, late  # the tick that would serve it otherwise comes once a second


def test_requests_behind_many_that_wait_are_read(start):
    policyd = start(post365_message_quota="none")
    with Control(policyd) as control:
        control.ask("pause", account=UPN, cause="x", until=int(time.time() + 600) * 1_000_000)
        waiting = f"request=reserve\naccount={UPN}\nrecipients=1\nwait=3600000000\ntag=w\n\n" * 40
        control.endpoint.sendall((waiting + f"request=resume\naccount={UPN}\ntag=r\n\n").encode())
        replies = [dict(control.reply()) for _ in range(41)]
    assert sorted(reply["tag"] for reply in replies) == ["r"] + ["w"] * 40
    assert {reply["result"] for reply in replies} == {"done", "granted"}


def test_an_account_is_paused_and_resumed_whatever_its_quota_says(start):
    policyd = start(post365_quota_maps="inline:{ { relay@contoso.com = messages=many } }")
    with Control(policyd) as control:
        assert control.reserve()["result"] == "error"
        assert control.ask("pause", account=UPN, cause="535 5.7.3")["result"] == "done"
        assert control.ask("resume", account=UPN)["result"] == "done"


def test_who_waits_too_long_is_told_when(start):
    policyd = start(post365_message_quota="1/500ms", post365_quota_guard="0s")
    with Control(policyd) as control:
        held = control.reserve()
        control.send("reserve", account=UPN, recipients=1, wait=600_000)
        reply = dict(control.reply())
        assert (reply["result"], reply["measure"], reply["used"], reply["limit"]) == ("later", "messages", "1", "1")
        assert control.ask("release", reservation=held["reservation"])["result"] == "done"
        assert control.reserve()["result"] == "granted"


def test_who_vanishes_waits_no_more_and_the_next_is_served(start):
    policyd = start(post365_message_quota="1/10m")
    with Control(policyd) as owner, Control(policyd) as other:
        def waiting():
            return int(owner.ask("status", account=UPN)["waiting"])
        held = owner.reserve()
        with Control(policyd) as gone:
            for i in range(3):
                gone.send("reserve", account=UPN, recipients=1, wait=3_600_000_000)
                assert processes.wait_until(lambda: waiting() == i + 1, 30)
            other.send("reserve", account=UPN, recipients=1, wait=3_600_000_000)
            assert processes.wait_until(lambda: waiting() == 4, 30)
        assert processes.wait_until(lambda: waiting() == 1, 30)
        owner.ask("release", reservation=held["reservation"])
        assert dict(other.reply())["result"] == "granted"
        assert waiting() == 0


# --- pausing ---

def test_a_pause_outlives_a_crash(start):
    policyd = start()
    cause = "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox."
    with Control(policyd) as control:
        first = control.ask("pause", account=UPN, cause=cause, least=60_000_000, most=3_600_000_000)
        assert (first["result"], first["failures"]) == ("done", "1")
        policyd.kill()
    policyd.start()
    with Control(policyd) as control:
        status = control.ask("status", account=UPN)
        assert (status["pause_failures"], status["pause_cause"]) == ("1", cause)
        # The wall clock is measured against the time since boot anew, in two readings that something may come between.
        assert abs(int(status["pause_until"]) - int(first["until"])) < 100_000
        later = control.reserve()
        assert (later["result"], later["measure"], later["cause"]) == ("later", "pause", cause)
        assert control.ask("resume", account=UPN)["result"] == "done"
        assert control.reserve()["result"] == "granted"
        assert "pause_cause" not in control.ask("status", account=UPN)


def test_who_waits_is_turned_away_when_the_account_is_paused(start):
    policyd = start(post365_message_quota="1/1h")
    with Control(policyd) as control, Control(policyd) as admin:
        control.reserve()
        control.send("reserve", account=UPN, recipients=1, wait=3_600_000_000)
        assert dict(control.reply())["result"] == "later"  # never within the hour, with the guard
        admin.ask("pause", account="other@contoso.com", cause="x", until=int(time.time() + 2) * 1_000_000)
        control.send("reserve", account="other@contoso.com", recipients=1, wait=60_000_000)
        assert processes.wait_until(lambda: admin.ask("status", account="other@contoso.com")["waiting"] == "1", 30)
        admin.ask("pause", account="other@contoso.com", cause="by hand")
        reply = dict(control.reply())
        assert (reply["result"], reply["measure"], reply["cause"]) == ("later", "pause", "by hand")
        assert "earliest" not in reply


# --- reading ---

def test_accounts_history_and_settings_are_told(start):
    policyd = start()
    with Control(policyd) as control:
        for i in range(120):
            control.reserve(1, f"user{i}@contoso.com")
        names, after = [], 0
        while after is not None:
            page = control.pairs("list", after=after)
            names += [value.split()[0] for name, value in page if name == "account"]
            after = dict(page).get("after")
        assert names == [f"user{i}@contoso.com" for i in range(120)]
        settled = control.reserve(4)
        control.ask("settle", reservation=settled["reservation"], recipients=4)
        slots = [value for name, value in control.pairs("history", account=UPN, per="minute") if name == "slot"]
        assert [slot.split()[1:] for slot in slots] == [["4", "1"]]
        assert control.ask("settings")["post365_control_socket"] == "unix:post365/control"


def test_garbage_is_answered_and_closed(start):
    policyd = start()
    with Control(policyd) as control:
        control.endpoint.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert dict(control.reply())["result"] == "error"
        assert control.reply() is None
    with Control(policyd) as control:
        assert control.ask("nonsense") == {"result": "error", "reason": "unknown request"}
        assert control.ask("list")["result"] == "done"
