"""A server with dead IPv6 addresses before a living IPv4 one, in a network of its own where they swallow all packets.

The first test runs all others in that network (ip-netns(8), mount_namespaces(7)): they are skipped anywhere else.
"""

import contextlib
import os
import shutil
import socket
import struct
import subprocess
import sys
import time

import pytest
from doctoring import examine, forget

from harness import processes
from harness.office365 import Office365
from harness.relay import PASSWORD, UPN, Relay

INSIDE = "POST365_TEST_NETWORK" in os.environ
HOST = "smtp.office365.com"
DEAD = "dead0"
_ALL, _IPV6 = 3, 0x86DD  # linux/if_ether.h
HEADER = f"From: {UPN}\r\nSubject: x\r\n".encode()
TO = ["a@dest.example"]

_NETWORK = f"""
ip link set lo up &&
{{ ip link add {DEAD} type dummy 2>/dev/null || ip link add {DEAD} type ifb; }} &&
ip link set {DEAD} up &&
ip -6 addr add 2001:db8:ffff::2/64 dev {DEAD} nodad &&
ip -6 route add 2001:db8::/32 dev {DEAD} &&
exec "$@"
"""


@pytest.mark.skipif(INSIDE, reason="runs the others")
@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("ip"), reason="needs root, unshare and ip")
def test_in_a_network_of_its_own(tmp_path):
    probe = subprocess.run(["unshare", "-m", "-n", "sh", "-c", _NETWORK, "sh", "true"], capture_output=True, text=True, check=False)
    if probe.returncode != 0:
        pytest.skip(f"no network of our own can be made: {probe.stderr.strip()}")
    done = subprocess.run(["unshare", "-m", "-n", "sh", "-c", _NETWORK, "sh", sys.executable, "-m", "pytest", "-q", "-x",
                           "-p", "no:cacheprovider", "-p", "no:randomly", __file__],
                          env={**os.environ, "POST365_TEST_NETWORK": str(tmp_path)}, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-1000:]


inside = pytest.mark.skipif(not INSIDE, reason="runs in the network of the first test")


@contextlib.contextmanager
def hosts(*lines):
    """/etc/hosts of the network has these."""
    path = os.path.join(os.environ["POST365_TEST_NETWORK"], "hosts")
    with open(path, "w", encoding="ascii") as file:
        file.write("127.0.0.1 localhost\n" + "".join(f"{address} {HOST}\n" for address in lines))
    os.chmod(path, 0o644)
    subprocess.run(["mount", "--bind", path, "/etc/hosts"], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "/etc/hosts"], check=True)


EIGHT = [f"2001:db8:{number}::2" for number in range(1, 9)]


class Attempts:
    """Counts the connections over IPv6 that somebody has tried: first packets to where nobody is."""

    def __init__(self):
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ALL))
        self._socket.bind((DEAD, _ALL))
        self._socket.setblocking(False)

    def all(self):
        """The addresses of all packets of TCP since the last time."""
        found = []
        with contextlib.suppress(BlockingIOError):
            while True:
                packet, (_, kind, *_) = self._socket.recvfrom(2048)
                if kind != _IPV6 or len(packet) < 40:
                    continue
                _, _, protocol, _, _, to = struct.unpack_from("!IHBB16s16s", packet)
                if protocol == socket.IPPROTO_TCP:
                    found.append(socket.inet_ntop(socket.AF_INET6, to))
        return found

    def close(self):
        self._socket.close()


@pytest.fixture
def attempts():
    made = Attempts()
    yield made
    made.close()


@pytest.fixture
def office365(place):
    return place.add(Office365(place.directory / "office365", mailboxes={UPN: {"password": PASSWORD}})).start()


@pytest.fixture
def start(place, office365):
    def start_one(**parameters):
        place_of = f"[{HOST}]:{office365.port}"
        relay = place.add(Relay(place.directory / "relay", office365, post365={}, transport=[UPN], passwords={
            place_of: f"{UPN}:{PASSWORD}"}, parameters={"relayhost": place_of, "inet_protocols": "all", **parameters}))
        return relay.start()
    return start_one


def delivered(relay):
    """Seconds that a message took."""
    began = time.monotonic()
    relay.deliver(UPN, TO, HEADER)
    return time.monotonic() - began


def first_delivery(relay, attempts, limit):
    """Seconds that the first message after a start took; the best of three unless it is less than the limit."""
    took = []
    for _ in range(3):  # the machine may be busy
        relay.transport.stop()
        relay.transport.start()
        attempts.all()
        took.append(delivered(relay))
        if took[-1] < limit:
            break
    return min(took)


@inside
def test_eight_dead_addresses_before_a_living_one(start, attempts, office365):
    with hosts("127.0.0.1"):
        relay = start()
        floor = first_delivery(relay, attempts, 0)
    with hosts(*EIGHT, "127.0.0.1"):
        limit = 2 * floor + 0.8
        took = first_delivery(relay, attempts, limit)
        assert took < limit, (took, floor)
        print(f"the first message took {took:.2f} s, {floor:.2f} s where all addresses live")
        tried = attempts.all()
        assert set(tried) == {EIGHT[0]}
        office365.control({"command": "drop_connections"})
        delivered(relay)
        assert not attempts.all(), "it was known which family answers"


@inside
@pytest.mark.parametrize("parameters", [{"inet_protocols": "ipv4"}, {"smtp_address_preference": "ipv4"}])
def test_not_one_packet_over_ipv6(start, attempts, parameters):
    with hosts(*EIGHT, "127.0.0.1"):
        relay = start(**parameters)
        assert delivered(relay) < 10
        assert not attempts.all()
        found = examine(relay, "--force")
        forget(relay, UPN)
        assert found.verdict("connect") == "ok" and found.verdict("auth") == "ok"
        assert set(attempts.all()) <= (set() if "inet_protocols" in parameters else set(EIGHT))
        assert EIGHT[0] not in found["dns"]["seen"] or "inet_protocols" not in parameters


@inside
def test_the_doctor_says_what_each_family_does(start):
    with hosts(*EIGHT, "127.0.0.1"):
        relay = start()
        found = examine(relay, "--force")
        forget(relay, UPN)
    assert found.verdict("connect") == "ok" and found.verdict("auth") == "ok"
    assert "127.0.0.1 answers" in found["connect"]["seen"]
    assert "over IPv6 (8) no address answers: Connection timed out" in found["connect"]["seen"]


@inside
def test_where_every_address_is_dead_both_families_are_told(start):
    with hosts(*EIGHT[:3], "192.0.2.1"):
        relay = start(smtp_connect_timeout="2s")
        relay.submit(UPN, TO, HEADER)

        def find():
            return [recipient.get("delay_reason", "") for message in relay.postfix.queue() for recipient in message["recipients"]
                    if "no address answers" in recipient.get("delay_reason", "")]
        found = processes.wait_until(find, 60, 0.1)
        assert found and "IPv6: Connection timed out; IPv4: Network is unreachable" in found[0], relay.postfix.queue()
        seen = examine(relay)["connect"]
        assert seen["verdict"] == "wrong" and "no address answers" in seen["seen"]


@inside
def test_a_name_that_has_no_address_of_the_family_that_is_allowed(start):
    with hosts("127.0.0.1"):
        found = examine(start(), options=["-o", "inet_protocols=ipv6"])
    assert found.verdict("dns") == "wrong" and "inet_protocols allows IPv6 alone" in found["dns"]["seen"]
