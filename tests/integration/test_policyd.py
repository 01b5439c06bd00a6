"""post365-policyd over its own socket, without Postfix: requests in every shape, load, crashes, reloads.

What a real smtpd makes of the answers is tested elsewhere.
"""

import contextlib
import os
import pwd
import random
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import threading
import time

import pytest

from harness import processes, programs, workplace

MALFORMED = "451 4.3.0 Malformed policy request"
NOT_NOW = "451 4.3.0 The sending quota cannot be checked now; try again later"
MANY_CONNECTIONS = 10000
FEW_DESCRIPTORS = 200


class Policyd(processes.Program):
    """The program with a configuration directory of its own."""

    def __init__(self, directory, **parameters):
        self.directory = directory
        self.etc = directory / "etc"
        self.queue = directory / "spool"
        self.parameters = {
            "compatibility_level": "3.6", "queue_directory": self.queue, "data_directory": directory / "data",
            "relayhost": "[smtp.office365.com]:587", "post365_user": workplace.USER,
            "post365_ledger": directory / "ledger", "post365_upn": "relay@contoso.com",
            "post365_meter": "submission", "post365_policy_socket": "unix:post365/policy", **parameters}
        for path in (directory, self.etc, self.queue):
            path.mkdir(exist_ok=True)
        shutil.copy("/usr/share/postfix/master.cf.dist", self.etc / "master.cf")
        super().__init__("post365-policyd", [workplace.BUILD / "post365-policyd", "-c", self.etc, "-e"],
                         directory=directory)
        self.configure()

    def configure(self, **changes):
        self.parameters.update(changes)
        main_cf = self.etc / "main.cf"
        main_cf.write_text("".join(f"{name} = {value}\n" for name, value in self.parameters.items()))
        # Postfix reads a file that changed within the last two seconds again until it is quiet.
        os.utime(main_cf, (1, 1))

    def start(self, wait=True):
        super().start()
        if wait:
            self.wait_ready(self.answers)
        return self

    def refuses(self):
        """Whether it is there, and has no ledger."""
        try:
            with self.connect() as client:
                return client.ask(protocol_state="CONNECT") == NOT_NOW
        except OSError:
            return False

    def answers(self):
        try:
            with self.connect() as client:
                return client.ask(protocol_state="CONNECT") == "DUNNO"
        except OSError:
            return False

    def connect(self, timeout=30.0):
        return Client(programs.connect(self.parameters["post365_policy_socket"], self.queue, timeout))

    def reload(self):
        before = len(self.log())
        self.signal(signal.SIGUSR1)
        assert processes.wait_until(lambda: "reload" in self.log()[before:], 30)
        return self.log()[before:]

    def memory(self):
        """Resident bytes."""
        with open(f"/proc/{self.pid}/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * resource.getpagesize()

    def processor_time(self):
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Client:
    """One connection of smtpd's."""

    def __init__(self, endpoint):
        self.endpoint = endpoint
        self.received = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.endpoint.close()

    def send(self, data):
        self.endpoint.sendall(data)

    def reply(self):
        """The action of the next reply, None when the connection is closed."""
        while b"\n\n" not in self.received:
            try:
                data = self.endpoint.recv(65536)
            except ConnectionResetError:
                return None
            if not data:
                return None
            self.received += data
        text, _, self.received = self.received.partition(b"\n\n")
        name, _, action = text.decode().partition("=")
        assert name == "action" and "\n" not in action
        return action

    def ask(self, **attributes):
        self.send(request(**attributes))
        return self.reply()

    def closed(self):
        return self.reply() is None


_instances = iter(range(1, 1 << 60))


def request(**attributes):
    """What smtpd 3.7 sends, with some attributes changed."""
    values = {
        "request": "smtpd_access_policy", "protocol_state": "END-OF-MESSAGE", "protocol_name": "ESMTP",
        "client_address": "192.0.2.1", "client_name": "app.example.com", "client_port": "40000",
        "reverse_client_name": "app.example.com", "server_address": "192.0.2.2", "server_port": "25",
        "helo_name": "app.example.com", "sender": "app@example.com", "recipient": "", "recipient_count": "1",
        "queue_id": "4RQq0F0XyTz1", "instance": f"1a2b.{next(_instances):x}.0", "size": "1234", "etrn_domain": "",
        "stress": "", "sasl_method": "", "sasl_username": "", "sasl_sender": "", "ccert_subject": "",
        "ccert_issuer": "", "ccert_fingerprint": "", "ccert_pubkey_fingerprint": "", "encryption_protocol": "TLSv1.3",
        "encryption_cipher": "TLS_AES_256_GCM_SHA384", "encryption_keysize": "256", "policy_context": "",
        **attributes}
    return ("".join(f"{name}={value}\n" for name, value in values.items()) + "\n").encode()


@pytest.fixture
def start(place):
    """Starts a policyd with these parameters."""
    def start_one(**parameters):
        return place.add(Policyd(place.directory / "policyd", **parameters)).start()
    return start_one


@pytest.fixture(scope="module")
def policyd(module_place):
    """One without limits that matter, for whoever only talks to it."""
    return module_place.add(Policyd(module_place.directory / "policyd", post365_message_quota="none",
                                    post365_recipient_quota="none")).start()


def used(policyd, **attributes):
    """How many recipients the account has used, by asking for more than the rest of a quota of 10,000 a day."""
    with policyd.connect() as client:
        answer = client.ask(recipient_count="10000", **attributes)
    if answer == "DUNNO":
        return 0
    assert " has used " in answer, answer
    return int(answer.partition(" has used ")[2].split()[0])


# --- the protocol ---

def test_fragments_of_one_byte_are_put_together(policyd):
    with policyd.connect() as client:
        for _ in range(2):
            for byte in request():
                client.send(bytes([byte]))
            assert client.reply() == "DUNNO"


def test_ten_requests_in_one_write_get_ten_replies_in_order(start):
    policyd = start(post365_message_quota="5/1h")
    with policyd.connect() as client:
        client.send(b"".join(request() for _ in range(10)))
        replies = [client.reply() for _ in range(10)]
    assert replies[:5] == ["DUNNO"] * 5
    for reply in replies[5:]:
        assert reply.startswith("DEFER 4.7.1 relay@contoso.com has used 5 of 5 messages per 1h; room at ")


def test_more_requests_than_fit_into_a_turn_all_get_replies(policyd):
    with policyd.connect() as client:
        # Who does not read is not read from: it takes somebody who does both.
        sender = threading.Thread(target=client.send, args=(b"".join(request() for _ in range(1000)),))
        sender.start()
        assert [client.reply() for _ in range(1000)] == ["DUNNO"] * 1000
        sender.join()


@pytest.mark.parametrize("sync", ["yes", "no"])
def test_who_never_reads_holds_up_nobody(start, sync):
    policyd = start(post365_message_quota="none", post365_recipient_quota="none", post365_ledger_sync=sync)
    with contextlib.ExitStack() as stack:
        crowd = [stack.enter_context(policyd.connect()) for _ in range(30)]
        for client in crowd:
            client.endpoint.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                for _ in range(2000):
                    client.endpoint.send(request())
        with policyd.connect() as client:
            for _ in range(20):
                assert client.ask() == "DUNNO"


def test_unknown_attributes_are_passed_over(policyd):
    with policyd.connect() as client:
        assert client.ask(x_new_in_postfix_4="a=b=c", another="") == "DUNNO"


def test_the_connection_stays_open_after_a_reply(policyd):
    with policyd.connect() as client:
        for _ in range(20):
            assert client.ask() == "DUNNO"


def test_who_closes_his_side_still_gets_his_reply(policyd):
    with policyd.connect() as client:
        client.send(request())
        client.endpoint.shutdown(socket.SHUT_WR)
        assert client.reply() == "DUNNO"
        assert client.closed()


@pytest.mark.parametrize("garbage", [
    b"EHLO mail.example.com\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"\n",
    b"=value\n\n",
    b"request=smtpd_access_policy\nsender=\0\n\n",
    b"request=junk\n\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n",
    b"request=smtpd_access_policy\nrecipient_count=minus one\n\n",
    b"request=smtpd_access_policy\n" + b"a=b\n" * 1000,
    b"request=smtpd_access_policy\nsender=" + b"x" * 10000,
    b"request=smtpd_access_policy\n" + b"x=" + b"y" * 8000 + b"\n" + (b"z=" + b"y" * 8000 + b"\n") * 10,
], ids=lambda garbage: repr(garbage[:40]))
def test_garbage_is_answered_and_the_connection_closed(policyd, garbage):
    with policyd.connect() as other, policyd.connect() as client:
        client.send(garbage)
        assert client.reply() == MALFORMED
        assert client.closed()
        assert other.ask() == "DUNNO"


def test_requests_before_garbage_are_answered(policyd):
    with policyd.connect() as client:
        client.send(request() + request() + b"garbage\n")
        assert [client.reply() for _ in range(3)] == ["DUNNO", "DUNNO", MALFORMED]
        assert client.closed()


def test_random_bytes_do_no_harm(policyd):
    generator = random.Random(365)
    with policyd.connect() as other:
        for _ in range(200):
            with policyd.connect() as client, contextlib.suppress(OSError):
                data = bytearray(request())
                for _ in range(generator.randrange(1, 20)):
                    data[generator.randrange(len(data))] = generator.randrange(256)
                client.send(bytes(data))
        assert other.ask() == "DUNNO"
    assert policyd.alive()


def test_an_endless_line_is_cut_off(policyd):
    before = policyd.memory()
    with policyd.connect() as client:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(1000):
                client.send(b"x" * 65536)
            pytest.fail("64 MB were taken")
    with policyd.connect() as other:
        assert other.ask() == "DUNNO"
    assert policyd.memory() - before < 8 << 20


# --- counting ---

def test_over_quota_the_client_is_told_use_limit_and_time(start):
    policyd = start(post365_message_quota="3/2s", post365_quota_guard="0s")
    with policyd.connect() as client:
        assert [client.ask() for _ in range(3)] == ["DUNNO"] * 3
        refused = client.ask(protocol_state="RCPT", recipient="a@example.net", recipient_count="0")
        assert refused.startswith("DEFER 4.7.1 relay@contoso.com has used 3 of 3 messages per 2s; room at ")
        assert refused.endswith(("(in 1 s)", "(in 2 s)"))
        clock = refused.partition(" room at ")[2].partition(" (")[0]
        wait = time.strptime(clock[-8:], "%H:%M:%S").tm_sec - time.localtime().tm_sec
        assert 0 <= wait % 60 <= 3
        assert processes.wait_until(lambda: client.ask() == "DUNNO", 30)


def test_the_service_named_twice_counts_once(start):
    policyd = start(post365_message_quota="none")
    with policyd.connect() as client:
        for stage in ("DATA", "END-OF-MESSAGE", "END-OF-MESSAGE"):
            assert client.ask(protocol_state=stage, recipient_count="7", instance="77.1.2") == "DUNNO"
        client.send(b"".join(request(recipient_count="5", instance="77.1.3") for _ in range(10)))
        assert [client.reply() for _ in range(10)] == ["DUNNO"] * 10
    assert used(policyd) == 12


def test_a_message_larger_than_the_quota_is_refused_for_good(start):
    policyd = start()
    with policyd.connect() as client:
        assert client.ask(recipient_count="10001").startswith("REJECT 5.5.3 10001 recipients are more than ")
        assert client.ask(recipient_count="1501").startswith("REJECT 5.5.3 1501 recipients make 31 messages, more than ")
        assert client.ask(recipient_count="1500") == "DUNNO"


def test_connections_count_together(start):
    policyd = start(post365_message_quota="none")
    def send_some():
        with policyd.connect(timeout=60) as client:
            for _ in range(50):
                assert client.ask() == "DUNNO"
    threads = [threading.Thread(target=send_some) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert used(policyd) == 1000


def test_delivery_meter_counts_nothing(start):
    policyd = start(post365_meter="delivery", post365_message_quota="1/1d")
    with policyd.connect() as client:
        assert [client.ask(recipient_count="9000") for _ in range(5)] == ["DUNNO"] * 5
        assert client.ask(recipient_count="10001").startswith("REJECT 5.5.3 ")


# --- restarts and reloads ---

@pytest.mark.parametrize("sync", ["yes", "no"])
def test_a_restart_keeps_the_counts(start, sync):
    policyd = start(post365_ledger_sync=sync, post365_message_quota="none")
    with policyd.connect() as client:
        assert client.ask(recipient_count="123") == "DUNNO"
    assert policyd.stop() == 0
    assert not (policyd.queue / "post365" / "policy").exists()
    policyd.start()
    assert used(policyd) == 123


@pytest.mark.parametrize("sync", ["yes", "no"])
def test_a_kill_keeps_the_counts(start, sync):
    policyd = start(post365_ledger_sync=sync, post365_message_quota="none")
    counted = 0
    for _ in range(5):
        with policyd.connect() as client:
            for _ in range(20):
                assert client.ask(recipient_count="2") == "DUNNO"
                counted += 2
            policyd.kill()
        policyd.start()
        assert used(policyd) == counted


def test_a_kill_under_load_loses_no_answer_and_counts_none_twice(start):
    policyd = start(post365_message_quota="none")
    answered, sent = [0] * 8, [0] * 8

    def load(number):
        with contextlib.suppress(OSError), policyd.connect() as client:
            while True:
                sent[number] += 1
                if client.ask() != "DUNNO":
                    return
                answered[number] += 1

    threads = [threading.Thread(target=load, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    assert processes.wait_until(lambda: sum(answered) > 500, 20)
    policyd.kill()
    for thread in threads:
        thread.join()
    policyd.start()
    assert sum(answered) <= used(policyd) <= sum(sent)


def test_a_reload_changes_quotas_and_keeps_history(start):
    policyd = start(post365_message_quota="none")
    with policyd.connect() as client:
        assert client.ask(recipient_count="50") == "DUNNO"
        policyd.configure(post365_recipient_quota="60/1h")
        assert "reloaded" in policyd.reload()
        assert client.ask(recipient_count="11").startswith(
            "DEFER 4.7.1 relay@contoso.com has used 50 of 60 recipients per 1h, this one needs 11; room at ")
        assert client.ask(recipient_count="10") == "DUNNO"


def test_many_signals_at_once_are_few_reloads(start):
    policyd = start(post365_message_quota="none")
    with policyd.connect() as client:
        for _ in range(200):
            policyd.signal(signal.SIGUSR1)
            time.sleep(0.0005)  # the kernel itself makes one of two signals that meet
        assert client.ask() == "DUNNO"
        assert processes.wait_until(lambda: "reload" in policyd.log(), 30)
    assert policyd.stop() == 0
    assert 1 <= policyd.log().count("reloaded") < 50


def test_a_reload_with_an_error_keeps_the_old_settings(start):
    policyd = start(post365_recipient_quota="5/1h")
    with policyd.connect() as client:
        assert client.ask(recipient_count="5") == "DUNNO"
        policyd.configure(post365_recipient_quota="many")
        log = policyd.reload()
        assert "reload failed, the old settings stay in force: " in log
        assert "post365_recipient_quota = many" in log
        assert "has used 5 of 5 recipients per 1h" in client.ask()


def test_accounts_have_their_own_quotas_from_a_table(start, place):
    table = place.directory / "quotas"
    table.write_text("news@contoso.com recipients=3/1h\n")
    policyd = start(post365_quota_maps=f"texthash:{table}", post365_sender_upn_maps="inline:{ n@example.com=News@Contoso.com }")
    with policyd.connect() as client:
        assert client.ask(sender="n@example.com", recipient_count="3") == "DUNNO"
        assert "news@contoso.com has used 3 of 3 recipients per 1h" in client.ask(sender="N@example.com")
        assert client.ask(sender="other@example.com") == "DUNNO"


# --- one owner ---

def test_a_second_one_is_told_who_has_the_ledger(start):
    policyd = start()
    arguments = [*policyd.arguments, "-o", "post365_policy_socket=unix:post365/other",
                 "-o", "post365_control_socket=unix:post365/another"]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 78
    assert len(done.stderr.splitlines()) == 1
    assert f"post365_ledger = {policyd.directory}/ledger: is in use by process {policyd.pid}, " in done.stderr
    assert not (policyd.queue / "post365" / "other").exists()
    with policyd.connect() as client:
        assert client.ask() == "DUNNO"


def test_a_test_of_the_configuration_does_not_disturb_the_one_that_runs(start):
    policyd = start(post365_message_quota="none")
    with policyd.connect() as client:
        assert client.ask(recipient_count="10") == "DUNNO"
        done = subprocess.run([*policyd.arguments, "-t"], capture_output=True, text=True, timeout=20, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert client.ask(recipient_count="10") == "DUNNO"
    assert used(policyd) == 20


@pytest.mark.parametrize("mode, owner, piece", [
    (0o750, workplace.USER, "has mode 0750 and must be closed to others; run: chmod 700 "),
    (0o700, "postfix", "run: chown -R "),
])
def test_a_ledger_that_others_could_change_is_refused(place, mode, owner, piece):
    policyd = Policyd(place.directory / "policyd")
    ledger = policyd.directory / "ledger"
    ledger.mkdir()
    os.chown(ledger, pwd.getpwnam(owner).pw_uid, -1)
    ledger.chmod(mode)
    for option in ("-e", "-t"):
        done = subprocess.run([*policyd.arguments, option], capture_output=True, text=True, timeout=20, check=False)
        assert done.returncode == 78
        assert len(done.stderr.splitlines()) == 1
        assert f"main.cf: post365_ledger = {ledger}: " in done.stderr
        assert piece in done.stderr
    assert not (policyd.queue / "post365" / "policy").exists()


def test_a_full_disk_is_a_temporary_failure_and_heals(start, place):
    directory = place.directory / "small"
    directory.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m,mode=755", "tmpfs", directory], check=False)
    if mounted.returncode != 0:
        pytest.skip("no tmpfs can be mounted here")
    try:
        policyd = start(post365_ledger=directory / "ledger", post365_message_quota="none",
                        post365_recipient_quota="none", post365_ledger_sync="no")
        with policyd.connect() as client:
            (directory / "filler").write_bytes(b"x" * (directory_space(directory) - 65536))
            answers = fill(client, "451 4.3.0 The sending quota cannot be checked now; try again later")
            assert set(answers) == {"DUNNO", NOT_NOW}
            assert client.ask(protocol_state="RCPT", recipient_count="0") == "DUNNO"
            (directory / "filler").unlink()
            assert client.ask() == "DUNNO"
        assert "No space left on device" in policyd.log()
        assert policyd.alive()
        counted = answers.count("DUNNO") + 1
        policyd.kill()
        policyd.configure(post365_recipient_quota="10000000/1d")
        policyd.start()
        with policyd.connect() as client:
            assert f" has used {counted} of " in client.ask(recipient_count="10000000")
        policyd.stop()
    finally:
        subprocess.run(["umount", directory], check=False)


@pytest.mark.parametrize("meter", ["submission", "delivery"])
def test_a_damaged_ledger_is_no_guess_until_it_is_mended(start, meter):
    policyd = start(post365_message_quota="none")
    with policyd.connect() as client:
        assert client.ask(recipient_count="55") == "DUNNO"
    policyd.stop()
    turns = policyd.directory / "ledger" / "turns.db"
    sound = turns.read_bytes()
    turns.write_bytes(b"x" * len(sound))
    before = sorted(path.name for path in turns.parent.iterdir())
    policyd.configure(post365_meter=meter)
    policyd.start(wait=False)
    assert processes.wait_until(policyd.refuses if meter == "submission" else policyd.answers, 30)
    with policyd.connect() as client:
        for stage in ("RCPT", "DATA", "END-OF-MESSAGE"):
            assert client.ask(protocol_state=stage) == (NOT_NOW if meter == "submission" else "DUNNO")
    with contextlib.closing(programs.connect("unix:post365/control", policyd.queue, 10)) as control:
        control.sendall(b"request=status\naccount=relay@contoso.com\ntag=7\n\n")
        reply = control.recv(65536).decode()
    assert reply.startswith("tag=7\nresult=error\nreason=the ledger ") and "move it away" in reply
    assert " until that is mended" in policyd.log()
    assert sorted(path.name for path in turns.parent.iterdir()) == before
    turns.write_bytes(sound)
    policyd.configure(post365_meter="submission")
    if meter == "delivery":
        policyd.stop()
        policyd.start()
    assert processes.wait_until(policyd.answers, 70)
    assert used(policyd) == 55
    policyd.stop()


def test_a_disk_that_is_full_at_the_start_is_tried_again(start, place):
    directory = place.directory / "small"
    directory.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=14m,mode=755", "tmpfs", directory], check=False)
    if mounted.returncode != 0:
        pytest.skip("no tmpfs can be mounted here")
    try:
        # With `yes` the log has its space already.
        policyd = start(post365_ledger=directory / "ledger", post365_message_quota="none", post365_ledger_sync="no")
        with policyd.connect() as client:
            assert client.ask(recipient_count="55") == "DUNNO"
        policyd.kill()
        (directory / "filler").write_bytes(b"x" * directory_space(directory))
        policyd.start(wait=False)
        assert processes.wait_until(policyd.refuses, 30)
        assert f"error: the ledger {directory}/ledger cannot be opened: No space left on device; " in policyd.log()
        (directory / "filler").unlink()
        assert processes.wait_until(policyd.answers, 30)
        assert used(policyd) == 55
        policyd.stop()
    finally:
        subprocess.run(["umount", directory], check=False)


def directory_space(directory):
    status = os.statvfs(directory)
    return status.f_bavail * status.f_frsize


def fill(client, last, at_most=200000):
    """Counts messages until the answer is `last`. Every message has its own instance."""
    answers = []
    while len(answers) < at_most and (not answers or answers[-1] != last):
        client.send(b"".join(request() for _ in range(50)))
        answers += [client.reply() for _ in range(50)]
    return answers


# --- clients that misbehave ---

def test_who_never_reads_is_not_read_from(policyd):
    before = policyd.memory()
    data = request(protocol_state="CONNECT") * 100
    with policyd.connect() as client, policyd.connect() as other:
        client.endpoint.settimeout(1)
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < 200 << 20:
                client.send(data)
                sent += len(data)
        assert sent < 32 << 20
        assert other.ask() == "DUNNO"
        assert policyd.memory() - before < 8 << 20
        client.endpoint.settimeout(10)  # and when he reads at last, all is there
        assert client.reply() == "DUNNO"


def half_a_request(length):
    """The beginning of one, in lines that are not too long."""
    data = b"request=smtpd_access_policy\n"
    while len(data) < length:
        data += b"x=" + b"y" * 8000 + b"\n"
    return data


def test_half_requests_do_not_pile_up(start):
    policyd = start(post365_message_quota="none")
    before = policyd.memory()
    data = half_a_request(56000)
    with contextlib.ExitStack() as stack:
        hoarders = [stack.enter_context(policyd.connect()) for _ in range(1500)]
        for hoarder in hoarders:
            hoarder.send(data)
        with policyd.connect() as slow:
            for byte in request():
                slow.send(bytes([byte]))
            assert slow.reply() == "DUNNO"
        assert hoarders[0].closed()
        hoarders[-1].send(b"\n")
        assert hoarders[-1].reply() == "DUNNO"
        assert policyd.memory() - before < 96 << 20
    assert policyd.log().count("connections that have been idle for longest") == 1


def test_a_large_request_leaves_no_large_memory_behind(start):
    policyd = start(post365_message_quota="none")
    before = policyd.memory()
    data = half_a_request(56000) + b"\nrequest="
    with contextlib.ExitStack() as stack, policyd.connect() as other:
        for _ in range(500):
            client = stack.enter_context(policyd.connect())
            client.send(data[:40000])
            assert other.ask(protocol_state="CONNECT") == "DUNNO"  # until then the first part was read
            client.send(data[40000:])
            assert client.reply() == "DUNNO"
        assert policyd.memory() - before < 16 << 20


def test_idle_connections_make_room_for_new_ones(place):
    policyd = place.add(Policyd(place.directory / "policyd", post365_message_quota="none"))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    policyd.arguments = ["/usr/bin/prlimit", f"--nofile={FEW_DESCRIPTORS}", *policyd.arguments]
    policyd.start()
    with policyd.connect() as used_all_the_time, contextlib.ExitStack() as stack:
        idle = []
        for _ in range(3 * FEW_DESCRIPTORS):
            idle.append(stack.enter_context(policyd.connect()))
            assert used_all_the_time.ask() == "DUNNO"
        assert idle[-1].ask() == "DUNNO"
        assert idle[0].closed()
        assert policyd.log().count("closing those that have been idle for longest") == 1


def _latencies(client, count):
    """Seconds that each of so many requests took."""
    taken = []
    for _ in range(count):
        begun = time.monotonic()
        assert client.ask() == "DUNNO"
        taken.append(time.monotonic() - begun)
    return taken


def test_ten_thousand_connections_do_not_disturb_a_client(start):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < MANY_CONNECTIONS + 500:
        pytest.skip(f"only {hard} open files are allowed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    policyd = start(post365_message_quota="none", post365_recipient_quota="none", post365_ledger_sync="no")
    before = policyd.memory()
    try:
        with policyd.connect() as client, contextlib.ExitStack() as stack:
            alone = _latencies(client, 500)
            crowd = [stack.enter_context(policyd.connect()) for _ in range(MANY_CONNECTIONS)]
            for number, one in enumerate(crowd):  # a third is silent, a third half-way, a third has asked
                if number % 3 == 1:
                    one.send(b"request=smtpd_access_policy\nsender=")
                elif number % 3 == 2:
                    one.send(request(protocol_state="RCPT", recipient_count="0"))
            assert crowd[0].ask() == "DUNNO"
            crowded = _latencies(client, 500)
            memory = policyd.memory() - before
            processor = policyd.processor_time()
            time.sleep(1)
            idle = policyd.processor_time() - processor
        assert client_is_served(policyd)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    print(f"median {statistics.median(alone) * 1e6:.0f} us alone, {statistics.median(crowded) * 1e6:.0f} us beside "
          f"{MANY_CONNECTIONS} connections, {memory >> 20} MB for them, {idle:.2f} s of processor in a second")
    assert statistics.median(crowded) < 5 * statistics.median(alone) + 0.002
    assert memory < 64 << 20
    assert idle < 0.5


def client_is_served(policyd):
    with policyd.connect() as client:
        return client.ask() == "DUNNO"
