"""post365_metrics_listen on the real program: Prometheus' text format read strictly, health, hostile HTTP clients."""

import contextlib
import http.client
import os
import re
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest
from test_control import Control
from test_policyd import Policyd

from harness import processes, workplace
from harness.exposition import read_exposition

@pytest.mark.parametrize("text", [
    "post365_a 1\n", "# HELP post365_a A.\npost365_a 1\n", "# HELP post365_a A.\n# TYPE post365_a gauge\npost365_b 1\n",
    '# HELP post365_a A.\n# TYPE post365_a gauge\npost365_a{b="c"d"} 1\n',
    "# HELP post365_a A.\n# TYPE post365_a gauge\npost365_a 1\npost365_a 2\n",
    "# HELP post365_a A.\n# TYPE post365_a gauge\npost365_a 1",
    "# HELP post365_a A.\n# TYPE post365_a counter\npost365_a 1\n"])
def test_the_reader_of_these_tests_is_strict(text):
    with pytest.raises((AssertionError, KeyError)):
        read_exposition(text)


# --- the program ---

def free_port(host="127.0.0.1"):
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


class Measured(Policyd):
    """The policy service with its HTTP server."""

    def __init__(self, directory, host="127.0.0.1", **parameters):
        self.host, self.port = host, free_port(host)
        listen = f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"
        super().__init__(directory, post365_metrics_listen=listen, **parameters)

    def get(self, path, method="GET", timeout=10.0, **arguments):
        """Status, headers, body."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        with contextlib.closing(connection):
            connection.request(method, path, **arguments)
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read().decode()

    def metrics(self):
        status, headers, body = self.get("/metrics")
        assert status == 200 and headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        return read_exposition(body)

    def value(self, name, **labels):
        return self.metrics().get("post365_" + name, {}).get(frozenset(labels.items()))

    def settles(self, wanted, name, **labels):
        """Whether a figure becomes what it should be: pages are made once a second."""
        return processes.wait_until(lambda: self.value(name, **labels) == wanted, 5, 0.1)

    def raw(self):
        return socket.create_connection((self.host, self.port), 20)


@pytest.fixture
def start(place):
    def start_one(**parameters):
        return place.add(Measured(place.directory / f"p{len(os.listdir(place.directory))}", **parameters)).start()
    return start_one


@pytest.fixture(scope="module")
def measured(module_place):
    return module_place.add(Measured(module_place.directory / "measured", post365_message_quota="none")).start()


def test_decisions_are_counted_by_stage_and_outcome(start):
    measured = start(post365_recipient_quota="5/1h")
    before = measured.value("decisions_total", stage="other", outcome="passed")
    with measured.connect() as client:
        client.ask(protocol_state="RCPT", recipient_count="0")
        client.ask(recipient_count="3")
        client.ask(protocol_state="DATA", recipient_count="4")
        client.ask(recipient_count="6")
        client.ask(recipient_count="2")
        client.ask(recipient_count="1")
        client.ask(protocol_state="RCPT", recipient_count="0")
        client.ask(sender="x" * 2000 + "@example.com")
        client.ask(request="junk")
    assert measured.settles(1, "decisions_total", stage="end_of_message", outcome="malformed")
    found = {tuple(dict(labels)[key] for key in ("stage", "outcome")): value
             for labels, value in measured.metrics()["post365_decisions_total"].items() if value}
    assert found.pop(("other", "passed")) >= before
    assert found == {("rcpt", "passed"): 1, ("rcpt", "deferred"): 1, ("data", "deferred"): 1,
                     ("end_of_message", "counted"): 2, ("end_of_message", "rejected"): 1,
                     ("end_of_message", "deferred"): 1, ("end_of_message", "failed"): 1,
                     ("end_of_message", "malformed"): 1}


def test_use_and_limit_of_each_account_and_window(start, place):
    table = place.directory / "quotas"
    table.write_text("big@contoso.com recipients=70/2h messages=none\n")
    senders = place.directory / "senders"
    senders.write_text("big@example.com big@contoso.com\n")
    measured = start(post365_recipient_quota="50/1d", post365_message_quota="30/1m",
                     post365_quota_maps=f"texthash:{table}", post365_sender_upn_maps=f"texthash:{senders}")
    with measured.connect() as client:
        assert client.ask(recipient_count="3") == "DUNNO"
        assert client.ask(recipient_count="4", sender="big@example.com") == "DUNNO"
    assert measured.settles(3, "account_used", account="relay@contoso.com", measure="recipients", window="1d")
    found = measured.metrics()

    def of(name):
        return {tuple(dict(labels)[key] for key in ("account", "measure", "window")): value
                for labels, value in found["post365_" + name].items()}
    assert of("account_used") == {
        ("relay@contoso.com", "recipients", "1d"): 3, ("relay@contoso.com", "messages", "1m"): 1,
        ("big@contoso.com", "recipients", "2h"): 4, ("big@contoso.com", "messages", "unlimited"): 1}
    assert of("account_limit") == {
        ("relay@contoso.com", "recipients", "1d"): 50, ("relay@contoso.com", "messages", "1m"): 30,
        ("big@contoso.com", "recipients", "2h"): 70}
    assert set(of("account_reserved").values()) == {0}
    assert measured.value("accounts") == 2 and measured.value("accounts_omitted") == 0
    table.write_text("big@contoso.com recipients=71/2h messages=none\n")
    measured.reload()
    assert measured.settles(71, "account_limit", account="big@contoso.com", measure="recipients", window="2h")
    assert measured.value("reloads_total", result="ok") == 1


def test_who_waits_and_who_is_paused_is_shown(start):
    measured = start(post365_message_quota="1/10m", post365_meter="delivery")
    with Control(measured) as control:
        control.reserve()
        control.send("reserve", account="relay@contoso.com", recipients=1, wait=3_600_000_000)
        control.ask("pause", account="other@contoso.com", cause="535 5.7.3", least=60_000_000, most=60_000_000)
        assert measured.settles(1, "waiters")
        assert measured.settles(1, "account_paused", account="other@contoso.com")
        assert measured.value("account_waiting", account="relay@contoso.com") == 1
        assert measured.value("account_paused", account="relay@contoso.com") == 0
        assert measured.value("account_failures", account="other@contoso.com") == 1
        assert measured.value("reservations") == 1
    assert measured.settles(0, "waiters")


def test_more_accounts_than_are_shown_are_counted(start, place):
    table = place.directory / "senders"
    table.write_text("".join(f"app{i}@example.com upn{i}@contoso.com\n" for i in range(1003)))
    measured = start(post365_sender_upn_maps=f"texthash:{table}")
    with measured.connect() as client:
        for i in range(1003):
            assert client.ask(sender=f"app{i}@example.com") == "DUNNO"
    assert measured.settles(1003, "accounts")
    assert measured.settles(3, "accounts_omitted")
    found = measured.metrics()["post365_account_used"]
    shown = {dict(labels)["account"] for labels in found}
    assert shown == {f"upn{i}@contoso.com" for i in range(1000)}


def test_commits_connections_and_store_are_measured(start):
    measured = start(post365_recipient_quota="none", post365_message_quota="none")
    with measured.connect() as client:
        for _ in range(20):
            assert client.ask() == "DUNNO"
        assert measured.settles(20, "commit_duration_seconds_count")
        found = measured.metrics()
    assert found["post365_connections"][frozenset()] == 1
    assert found["post365_connections_accepted_total"][frozenset()] >= 2
    assert 20 <= found["post365_commit_records_sum"][frozenset()] <= 42
    assert found["post365_turn_replies_count"][frozenset()] >= 20
    assert found["post365_commit_duration_seconds_sum"][frozenset()] > 0
    on_disk = sum(entry.stat().st_blocks * 512 for entry in os.scandir(measured.parameters["post365_ledger"])
                  if entry.name != "lock")
    found_on_disk = sum(found["post365_store_size_bytes"].values())
    assert abs(found_on_disk - on_disk) <= 65536
    assert abs(found["post365_start_time_seconds"][frozenset()] - time.time()) < 60
    assert found["post365_reservations"][frozenset()] == 0


def test_the_upkeep_of_the_store_is_measured(start):
    measured = start(post365_recipient_quota="none", post365_message_quota="100/1s")
    with measured.connect() as client:
        assert client.ask() == "DUNNO"
        assert processes.wait_until(lambda: measured.value("expiry_duration_seconds_count") > 0, 30, 0.1)
        found = measured.metrics()
    assert found["post365_expiry_duration_seconds_sum"][frozenset()] > 0
    assert "post365_checkpoint_duration_seconds_count" in found


def test_a_reload_that_fails_is_counted(start):
    measured = start()
    measured.configure(post365_message_quota="junk")
    measured.reload()
    assert measured.settles(1, "reloads_total", result="failed")
    assert measured.value("reloads_total", result="ok") == 0


def test_health_says_why_not(start, place):
    ledger = place.directory / "small"
    ledger.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m,mode=0700", "tmpfs", ledger], check=True)
    try:
        shutil.chown(ledger, workplace.USER)
        measured = start(post365_ledger=ledger, post365_recipient_quota="none", post365_message_quota="none")
        assert measured.get("/healthz")[0::2] == (200, "ok\n")
        filler = ledger / "filler"
        with measured.connect(60) as client:
            with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
                while True:
                    file.write(bytes(4096))
            assert processes.wait_until(lambda: client.ask().startswith("451 4.3.0"), 30, 0)
            assert processes.wait_until(lambda: measured.get("/healthz")[0] == 503, 30, 0.1)
            status, _, body = measured.get("/healthz")
            assert status == 503 and str(ledger) in body and "No space" in body, body
            assert "not well" in measured.get("/")[2]
            # Upkeep may have been the first to fail: the log had its space already.
            assert processes.wait_until(lambda: measured.value("store_failures_total", work="commit") > 0, 30, 0.1)
            assert measured.value("decisions_not_stored_total") > 0
            filler.unlink()
            assert processes.wait_until(lambda: client.ask() == "DUNNO", 30)
            assert processes.wait_until(lambda: measured.get("/healthz")[0::2] == (200, "ok\n"), 30, 0.1)
        measured.stop()
    finally:
        subprocess.run(["umount", "-l", ledger], check=True)


def test_health_says_that_the_ledger_cannot_be_used(place):
    measured = place.add(Measured(place.directory / "measured"))
    measured.start()
    measured.stop()
    turns = measured.directory / "ledger" / "turns.db"
    turns.write_bytes(b"x" * len(turns.read_bytes()))
    measured.start(wait=False)
    assert processes.wait_until(measured.refuses, 30)
    status, _, body = measured.get("/healthz")
    assert status == 503 and "the ledger" in body
    status, _, body = measured.get("/metrics")
    assert (status, body) == (503, "there are no figures now\n")


def test_the_status_page_links_the_others(measured):
    status, headers, body = measured.get("/")
    assert status == 200 and headers["Content-Type"] == "text/html; charset=utf-8"
    assert 'href="/metrics"' in body and 'href="/healthz"' in body and "post365-policyd" in body


def test_nothing_else_is_there(measured):
    for path in ("/other", "/metrics/", "//metrics", "/..", "/metrics%00", "*"):
        assert measured.get(path)[0] in (404, 400), path


def test_a_query_is_passed_over(measured):
    assert measured.get("/healthz?x=1")[0::2] == (200, "ok\n")


@pytest.mark.parametrize("path", ["/", "/metrics", "/healthz"])
def test_head_gives_the_headers_alone(measured, path):
    with measured.raw() as client:
        client.sendall(f"HEAD {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ") and body == b""
    assert int(re.search(rb"\r\nContent-Length: (\d+)", head)[1]) > 0


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_other_methods_are_refused(measured, method):
    status, headers, _ = measured.get("/metrics", method)
    assert status == 405 and headers["Allow"] == "GET, HEAD"


def exchange(measured, data):
    with measured.raw() as client:
        with contextlib.suppress(OSError):
            client.sendall(data)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while data := client.recv(65536):
                answer += data
        return answer


@pytest.mark.parametrize("data", [
    b"GET /metrics HTTP/1.1\r\n" + b"X: y\r\n" * 10000 + b"\r\n",
    b"GET /" + b"x" * 100000 + b" HTTP/1.1\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: 100000\r\n\r\n" + bytes(100000),
    b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"800\r\n" + bytes(0x800) + b"\r\n" * 10000,
    b"\x00\xff" * 1000 + b"\r\n\r\n", b"TRACE / HTTP/1.1\r\n\r\n", b"GET\r\n\r\n",
    b"request=smtpd_access_policy\n\n"])
def test_what_is_too_large_or_no_request_is_refused(measured, data):
    answer = exchange(measured, data)
    assert answer == b"" or re.match(rb"HTTP/1\.[01] [45]\d\d ", answer), answer[:100]
    assert measured.get("/healthz")[0] == 200


def test_no_secret_and_no_path_is_shown(start):
    measured = start(smtp_sasl_password_maps="inline:{ { relay@contoso.com = relay@contoso.com:geheim } }")
    with measured.connect() as client:
        client.ask()
    for path in ("/metrics", "/", "/healthz"):
        body = measured.get(path)[2]
        assert "geheim" not in body and str(measured.directory) not in body


# --- clients that misbehave ---

def test_slow_clients_are_cut_off_and_hold_up_nobody(start):
    measured = start(post365_recipient_quota="none", post365_message_quota="none")
    descriptors = len(os.listdir(f"/proc/{measured.pid}/fd"))
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(measured.raw()) for _ in range(100)]
        for client in slow:
            with contextlib.suppress(OSError):
                client.sendall(b"GET /metrics HTTP/1.1\r\nX: ")
        begin = time.monotonic()
        assert measured.get("/healthz")[0] == 200
        assert time.monotonic() - begin < 5
        assert len(os.listdir(f"/proc/{measured.pid}/fd")) <= descriptors + 17
        with measured.connect() as client:
            assert client.ask() == "DUNNO"
        drip = stack.enter_context(measured.raw())
        drip.settimeout(0.3)
        begin = time.monotonic()
        while time.monotonic() - begin < 20:
            try:
                drip.sendall(b"x")
                if drip.recv(1000) == b"":
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        assert time.monotonic() - begin < 15
    assert processes.wait_until(lambda: len(os.listdir(f"/proc/{measured.pid}/fd")) <= descriptors + 1, 15, 0.2)
    assert "libevent" not in measured.log(), measured.log()


def test_who_does_not_read_is_cut_off(start, place):
    table = place.directory / "senders"
    table.write_text("".join(f"app{i}@example.com upn{i}-{'x' * 200}@contoso.com\n" for i in range(1000)))
    measured = start(post365_sender_upn_maps=f"texthash:{table}")
    with measured.connect() as client:
        for i in range(1000):
            client.ask(sender=f"app{i}@example.com")
    assert measured.settles(1000, "accounts") and measured.settles(0, "accounts_omitted")
    memory = measured.memory()
    for _ in range(40):
        with measured.raw() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
            time.sleep(0.05)
    assert measured.get("/healthz")[0] == 200
    assert measured.memory() < memory + (32 << 20)
    assert len(measured.get("/metrics")[2]) > 1 << 20


def latency(client, seconds):
    """The 99th percentile of a decision."""
    times = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        begin = time.perf_counter()
        client.ask()
        times.append(time.perf_counter() - begin)
    return sorted(times)[len(times) * 99 // 100]


def leave_descriptors(program, count):
    """Starts `program` anew, with so many more descriptors than it needs by itself."""
    limit = len(os.listdir(f"/proc/{program.pid}/fd")) + count
    program.stop()
    program.arguments = ["/usr/bin/prlimit", f"--nofile={limit}", *program.arguments]
    program.start()
    return limit


def busy_time(pid):
    """Seconds of the processor that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def starve(stack, program, port, idle, limit):
    """`idle()` makes connections that take all descriptors of `program`, so that accept(2) fails on its HTTP port. It
    lives through that, without haste, and answers when descriptors are there again."""
    with contextlib.ExitStack() as crowd:
        for _ in range(100):
            crowd.enter_context(idle())
        assert processes.wait_until(lambda: len(os.listdir(f"/proc/{program.pid}/fd")) == limit, 30)
        client = stack.enter_context(socket.create_connection(("127.0.0.1", port), 20))
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        client.settimeout(1.5)
        before = busy_time(program.pid)
        with pytest.raises(TimeoutError):
            client.recv(1)
        assert program.alive() and busy_time(program.pid) - before < 0.7
    client.settimeout(10)
    assert client.recv(65536).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("idle", ["raw", "connect"])
def test_no_descriptor_for_a_client_is_no_end(start, idle):
    measured = start()
    limit = leave_descriptors(measured, 6)
    with contextlib.ExitStack() as stack:
        if idle == "connect":  # the policy service closes idle connections itself, so that some are served
            for _ in range(100):
                stack.enter_context(measured.connect())
            for _ in range(20):
                stack.enter_context(measured.raw())
        else:
            for _ in range(3):
                starve(stack, measured, measured.port, measured.raw, limit)
        assert measured.alive()
    with measured.connect() as client:
        assert client.ask() == "DUNNO"
    assert measured.get("/healthz")[0] == 200


def test_the_newest_is_served_with_the_last_descriptor(start):
    """The policy service closes nobody to make place for a connection that does not exist."""
    measured = start()
    leave_descriptors(measured, 6)
    with contextlib.ExitStack() as stack:
        for _ in range(10):  # each takes a place that is free or another's; the newest is always served
            client = stack.enter_context(measured.connect())
            assert client.ask() == "DUNNO"


def test_decisions_do_not_wait_for_a_hail_of_scrapes(start):
    measured = start(post365_recipient_quota="none", post365_message_quota="none", post365_ledger_sync="no")
    stop = threading.Event()

    def scrape():
        while not stop.is_set():
            with contextlib.suppress(OSError, http.client.HTTPException):
                measured.get("/metrics")
    with measured.connect() as client:
        alone = latency(client, 1)
        scrapers = [threading.Thread(target=scrape) for _ in range(4)]
        for scraper in scrapers:
            scraper.start()
        try:
            disturbed = latency(client, 1)
        finally:
            stop.set()
            for scraper in scrapers:
                scraper.join()
    # Generous: the scrapers take this test's own processor time.
    assert disturbed < max(10 * alone, 0.1)


# --- configuration ---

def test_it_is_off_by_default(place):
    policyd = place.add(Policyd(place.directory / "off")).start()
    assert len(os.listdir(f"/proc/{policyd.pid}/task")) == 1


def test_ipv6(start):
    try:
        measured = start(host="::1")
    except OSError as reason:
        pytest.skip(f"no IPv6 here: {reason}")
    assert measured.get("/healthz")[0::2] == (200, "ok\n")


def run_once(policyd, *arguments):
    return subprocess.run([workplace.BUILD / "post365-policyd", "-c", policyd.etc, "-e", *arguments],
                          capture_output=True, text=True, timeout=20, check=False)


@pytest.mark.parametrize("arguments", [["-t"], []])
def test_a_port_that_is_taken_is_found(place, arguments):
    measured = place.add(Measured(place.directory / "taken"))
    with socket.create_server(("127.0.0.1", measured.port)):
        result = run_once(measured, *arguments)
    assert result.returncode == 78
    assert f"/main.cf: post365_metrics_listen = 127.0.0.1:{measured.port}: " in result.stderr
    assert "in use" in result.stderr and "choose another port" in result.stderr


def test_a_test_of_the_configuration_does_not_mind_the_one_that_runs(start):
    measured = start()
    result = run_once(measured, "-t")
    assert result.returncode == 0, result.stderr
    assert f"post365_metrics_listen = 127.0.0.1:{measured.port}\n" in result.stdout
    assert measured.get("/healthz")[0] == 200
