"""Whoever may connect to the transport's socket may send anything: one message stays one message, memory stays small, the
others do not notice, and the log says what happened."""

import hashlib
import re
import socket
import threading
import time

import pytest

from attacking import FULL, HEADER, TO, _rig, rig  # noqa: F401  # fixtures
from harness import processes, workplace

MEGABYTE = 1 << 20
END = b"\r\n.\r\n"
INNER = (b"MAIL FROM:<smuggled@example.com>\r\nRCPT TO:<victim@dest.example>\r\nDATA\r\n"
         b"From: <ceo@example.com>\r\n\r\npay\r\n")


def passed(data):
    """The message that is to reach the stand-in: bare CRs and LFs are blanks, and the dots are undone."""
    text = re.sub(rb"(?<!\r)\n|\r(?!\n)", b" ", data)
    return re.sub(rb"(?m)(?<=\r\n)\.|\A\.", b"", text)


def arrived(rig, account, *messages):
    """That exactly these have arrived, each once, for TO alone. Returns the entry of the last one."""
    entries = rig.accepted(account)
    assert [entry["sha256"] for entry in entries] == [hashlib.sha256(passed(data)).hexdigest() for data in messages]
    assert all(entry["recipients"] == [TO] for entry in entries)
    return entries[-1]


# --- smuggling ---

SMUGGLING = [b"\n.\n", b"\r.\r", b"\n.\r\n", b"\r\n.\n", b"\r\n.\r", b"\r.\r\n", b"\n.\r", b"\r.\n", b"\r\n.\r\r\n", b"\r\n.\n\r\n",
             b"\r\n\0.\r\n", b"\r\n.\0\r\n", b"\r\n\r.\r\n", b"\r\n\n.\r\n", b"\r\n..\r\n", b"\r\n. \r\n", b"\r\n.\r\0\n",
             b"\r\n .\r\n", b"\n\n.\n\n", b"\r\r.\r\r", b"\r\n\xc2\x85.\r\n", b"\r\n.\xe2\x80\xa8\r\n"]


def at_once(client, data, start, length):
    del start, length
    client.say(data)


def octet_by_octet(client, data, start, length):
    """All around the sequence; the rest would only take time."""
    first, last = start - 4, start + length + 8
    client.say(data[:first])
    client.say_in_pieces(data[first:last])
    client.say(data[last:-8])
    client.say_in_pieces(data[-8:])


def cut_within(client, data, start, length):
    cut = start + length // 2
    client.say_in_pieces(data, cut)


@pytest.mark.parametrize("send", [at_once, octet_by_octet, cut_within])
def test_what_looks_like_an_end_but_is_none_ends_nothing(rig, send):
    account, before = rig.account(), HEADER + b"before"
    messages = [before + sequence + INNER for sequence in SMUGGLING]
    with rig.client() as client:
        for sequence, data in zip(SMUGGLING, messages):
            client.announce(account, [TO])
            assert client.ask("DATA").startswith("354")
            send(client, data + b".\r\n", len(before), len(sequence))
            assert client.reply().startswith("250 "), sequence
            assert client.is_silent(), sequence
    arrived(rig, account, *messages)
    assert "bare CR or LF became blanks" in rig.log()


def test_what_stands_behind_the_real_end_is_a_message_of_its_own(rig):
    """Nothing of it gets into the first one, and the stand-in sees two."""
    account = rig.account()
    first, second = HEADER + b"one\r\r", HEADER + b"two\r\n"
    with rig.client() as client:
        client.announce(account, [TO])
        assert client.ask("DATA").startswith("354")
        client.say(first + END + f"MAIL FROM:<{account}>\r\nRCPT TO:<b@dest.example>\r\nDATA\r\n".encode())
        assert [reply[:3] for reply in client.replies(4)] == ["250", "250", "250", "354"]
        client.say(second + b".\r\n")
        assert client.reply().startswith("250 ") and client.is_silent()
    entries = rig.accepted(account)
    assert [entry["recipients"] for entry in entries] == [[TO], ["b@dest.example"]]
    assert [entry["sha256"] for entry in entries] == [
        hashlib.sha256(text).hexdigest() for text in (HEADER + b"one  \r\n", second)]


def test_nul_and_every_other_octet_of_a_body_arrive_as_they_are(rig):
    account = rig.account()
    data = HEADER + bytes(octet for octet in range(256) if octet not in b"\r\n") * 64 + b"\r\n"
    with rig.client() as client:
        assert client.send(account, [TO], data)[0].startswith("250 ")
    assert "nul" in arrived(rig, account, data)["notes"]


@pytest.mark.parametrize("filling", [b"x", b".", b"\r", b"\n", b"\0"])
def test_a_line_of_ten_megabytes_passes_in_constant_memory(rig, filling):
    account = rig.account()
    data = HEADER + b"y" + filling * (10 * MEGABYTE) + b"y\r\n"
    with rig.client() as client:
        assert client.send(account, [TO], data)[0].startswith("250 ")
    arrived(rig, account, data)


# --- commands ---

LONG = b"x" * (10 * MEGABYTE)
BAD_COMMANDS = [
    (b"\0", "500"), (b"NOOP\0", "500"), (b"NO\0OP", "500"), (b"NOOP \x1b[31m", "500"), (LONG, "500"), (b"MAIL FROM:<" + LONG + b">", "500"),
    (b"NOOP\nRSET", "500"), (b"NOOP\rRSET", "500"), (b"GET / HTTP/1.1", "500"), (b"EHLO x", "500"), (b"BDAT 5 LAST", "500"),
    (b"MAIL FROM:<a@b.c\rRCPT TO:<x@y.z>>", "500"), (b"MAIL FROM:<a@b.c\0>", "500"),
    (b"MAIL FROM:a@b.c", "501"), (b"MAIL FROM:<<a@b.c>>", "501"), (b"MAIL FROM:<a@b.c>>", "501"), (b"MAIL FROM:< a@b.c>", "250"),
    (b"MAIL FROM:<a@b.c> RCPT TO:<x@y.z>", "555"), (b"MAIL FROM:<a@b.c>SIZE=1", "501"), (b"MAIL FROM:<a b@b.c>", "250"),
    (b'MAIL FROM:<"a@b.c>', "501"), (b'MAIL FROM:<"a\\">@b.c>', "501"), (b'MAIL FROM:<a"b>"@b.c>', "250"),
    (b"MAIL FROM:<a@b.c> ENVID=x+0D+0ARCPT", "555|250"), (b"MAIL FROM:<a@b.c> ENVID=x y", "555"), (b"MAIL FROM:<a@b.c> ENVID=x+", "250"),
    (b"MAIL FROM:<a@b.c> SIZE=-1", "250"), (b"MAIL FROM:<a@b.c> SIZE=99999999999999999999", "552"),
    (b"MAIL FROM:<a@b.c> SIZE=999999999999999999999", "552"), (b"MAIL FROM:<a@b.c> AUTH=<>", "555"),
    (b"MAIL FROM:<a@b.c> BODY=BINARYMIME", "250"), ("MAIL FROM:<ä@b.c>".encode(), "250"), (b"MAIL FROM:<\xff@b.c> SMTPUTF8", "250"),
    (b"MAIL FROM:<\xc0\xae@b.c> SMTPUTF8", "250"),
]


def test_a_bad_command_is_refused_and_nothing_else_happens(rig):
    for command, code in BAD_COMMANDS:
        with rig.client() as client:
            client.say(command + b"\r\n")
            reply = client.reply()
            assert re.match(code, reply), (command[:100], reply)
            assert client.is_silent(), command[:100]
    assert "the LMTP client was told: 500 5.5.2" in rig.log()


BAD_RECIPIENTS = [
    b"<>", b"<a@b.c", b"a@b.c", b"<a@b.c\n>", b"<a@b.c\r>", b"<a@b.c\0>", b"<a@b.c><x@y.z>", b"<a@b.c>\rRCPT TO:<x@y.z>", b"<a@b.c> X=Y",
    b"<a@b.c> ORCPT=rfc822;\x7f", b"<" + b"x" * 1500 + b"@b.c>", b"<@a,@b:>", b"<a@[1.2.3.4>", b'<"a"b@c.d>', b"<\xed\xa0\x80@b.c>",
]
GOOD_RECIPIENTS = [
    ('"a>b"@dest.example', ""), ('"a\\"b"@dest.example', ""), ('"a b"@dest.example', ""), ('"@"@dest.example', ""),
    ("a@[127.0.0.1]", ""), ("b@dest.example", "NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x+0D+0ARCPT+20TO:<v@x.y>"), ("-oQ/tmp@dest.example", ""),
    ("|x@dest.example", ""), ('"\\\\"@dest.example', ""),
]


def test_an_address_is_one_address_on_the_wire_or_is_refused(rig):
    account = rig.account()
    with rig.client() as client:
        assert client.ask(f"MAIL FROM:<{account}> ENVID=x+0D+0ADATA").startswith("250")
        for recipient in BAD_RECIPIENTS:
            client.say(b"RCPT TO:" + recipient + b"\r\n")
            reply = client.reply()
            assert re.match("50[01]|55[35]", reply), (recipient[:100], reply)
            assert client.is_silent(), recipient[:100]
        for address, parameters in GOOD_RECIPIENTS:
            assert client.ask(f"RCPT TO:<{address}> {parameters}").startswith("250"), address
        assert client.ask("DATA").startswith("354")
        client.say(HEADER + b"hello" + END)
        assert all(reply.startswith("250 ") for reply in client.replies(len(GOOD_RECIPIENTS)))
    [entry] = rig.accepted(account)
    assert entry["sender"] == account and entry["parameters"]["ENVID"] == "x+0D+0ADATA"
    assert entry["recipients"] == [address for address, _ in GOOD_RECIPIENTS]


def test_an_address_in_utf8_needs_smtputf8_and_arrives_as_it_is(rig):
    account = rig.account()
    with rig.client() as client:
        assert client.ask(f"MAIL FROM:<{account}>").startswith("250")
        assert client.ask("RCPT TO:<jörg@dest.example>").startswith("553 5.6.7")
        assert client.ask("RSET").startswith("250")
        assert client.ask(f"MAIL FROM:<{account}> SMTPUTF8").startswith("250")
        assert client.ask("RCPT TO:<jörg@dest.example>").startswith("250")
        assert client.ask("DATA").startswith("354")
        client.say(HEADER + b"hello" + END)
        assert client.reply().startswith("250 ")
    assert rig.accepted(account)[0]["recipients"] == ["jörg@dest.example"]


def test_xforward_writes_nothing_into_the_log_but_a_queue_id(rig):
    account = rig.account()
    forged = "+0D+0Apost365/transport[1]:+20account+20stolen"
    values = [f"IDENT=A1{forged}", f"HELO={forged}", f"NAME={forged} IDENT=A1+1B[31m", f"IDENT=+C2+9B31m{forged}",
              f"IDENT={'A' * 1900}", "IDENT=-oQ", "IDENT=ALL+20x", f"NAME={'+0A' * 600}"]
    for value in values:
        with rig.client() as client:
            assert client.ask(f"XFORWARD {value}").startswith("250"), value[:100]
            assert client.ask("RCPT TO:<x@y.z>").startswith("503")
            assert client.send(account, [TO], HEADER + b"hello\r\n")[0].startswith("250"), value[:100]
    assert "stolen" not in rig.log()
    assert all(len(line) < 1200 for line in rig.log().split("\n"))


def test_a_hundred_thousand_recipients_are_bounded_and_none_is_lost(rig):
    """What does not fit is put off with 452, which Postfix tries again."""
    account, count, kept, at_once = rig.account(), 100000, 1000, 500
    commands = b"".join(f"RCPT TO:<r{number}@dest.example>\r\n".encode() for number in range(count))
    with rig.client() as client:
        assert client.ask(f"MAIL FROM:<{account}>").startswith("250")
        talking = threading.Thread(daemon=True, target=client.say_if_possible, args=(commands,))
        talking.start()
        rig.bystander_sends()
        replies = client.replies(count)
        talking.join()
        assert all(reply.startswith("250 2.1.5") for reply in replies[:kept])
        assert all(reply.startswith("452 4.5.3") for reply in replies[kept:])
        assert client.ask("DATA").startswith("354")
        client.say(HEADER + b"hello" + END)
        replies = client.replies(kept)
    assert [reply[:3] for reply in replies] == ["250"] * at_once + ["452"] * (kept - at_once)
    assert rig.accepted(account)[0]["recipients"] == [f"r{number}@dest.example" for number in range(at_once)]
    assert "Too many recipients" in rig.log()


def test_one_who_speaks_something_else_is_sent_away(rig):
    with rig.client() as client:
        client.say(b"".join(b"Header-%d: value\r\n" % number for number in range(1000)))
        replies = list(iter(client.reply, ""))
    assert 1 < len(replies) < 100 and replies[-1].startswith("421 4.7.0")
    assert "Too many errors" in rig.log() or "Unknown command" in rig.log()


@pytest.mark.parametrize("octets", [1000, MEGABYTE])
def test_random_octets_end_in_a_reply_or_a_close(rig, octets):
    for _ in range(20):
        with rig.client() as client:
            sending = threading.Thread(daemon=True, target=client.say_if_possible, args=(rig.random.randbytes(octets) + b"\r\nQUIT\r\n",))
            sending.start()
            replies = list(iter(client.reply, ""))
            sending.join()
        assert all(re.match("[245][0-9][0-9] ", reply) for reply in replies), replies
        assert replies[-1][:3] in ("221", "421")


# --- clients that are slow, many, gone ---

def test_a_thousand_idle_clients_hinder_nobody(rig):
    clients = []
    try:
        for _ in range(1100):
            clients.append(rig.client(lhlo=False))
        rig.bystander_sends()
    finally:
        for client in clients:
            client.close()
    assert "Too many connections" in rig.log()


def test_clients_that_never_read_are_not_read_from_and_lose_nothing(rig):
    count, clients = 200000, [rig.client() for _ in range(20)]
    talking = [threading.Thread(daemon=True, target=client.say_if_possible, args=(b"NOOP\r\n" * count,)) for client in clients]
    for thread in talking:
        thread.start()
    rig.bystander_sends()
    assert all(thread.is_alive() for thread in talking), "all was read, and all replies are kept somewhere"
    if "sanitize" not in str(workplace.BUILD):  # sanitizers keep what was freed
        assert rig.peak() < 32 * 1024
    for client, thread in zip(clients[:2], talking[:2]):
        assert all(reply == "250 2.0.0 Ok" for reply in client.replies(count))
        thread.join()
    for client, thread in zip(clients[2:], talking[2:]):
        client.endpoint.shutdown(socket.SHUT_RDWR)
        thread.join()
        client.close()


def vanish_at_once(client, account):
    del client, account


def vanish_in_a_command(client, account):
    client.say(f"MAIL FROM:<{account}".encode())


def vanish_in_the_envelope(client, account):
    client.announce(account, [TO])


def vanish_behind_data(client, account):
    client.announce(account, [TO])
    client.say("DATA")


def vanish_before_the_message(client, account):
    client.announce(account, [TO])
    assert client.ask("DATA").startswith("354")


def vanish_in_the_message(client, account):
    vanish_before_the_message(client, account)
    client.say(HEADER + b"x" * 100000)


def vanish_in_the_end(client, account):
    vanish_before_the_message(client, account)
    client.say(HEADER + b"x\r\n.")


@pytest.mark.parametrize("stage", [vanish_at_once, vanish_in_a_command, vanish_in_the_envelope, vanish_behind_data,
                                   vanish_before_the_message, vanish_in_the_message, vanish_in_the_end])
def test_a_client_that_vanishes_before_the_end_has_sent_nothing(rig, stage):
    account = rig.account()
    for _ in range(10):
        client = rig.client()
        stage(client, account)
        client.close()
    rig.bystander_sends()
    with rig.client() as client:  # no connection of the account's three is held by somebody who is gone
        assert client.send(account, [TO], HEADER + b"hello\r\n")[0].startswith("250")
    assert len(rig.accepted(account)) == 1


def test_a_client_that_vanishes_behind_the_end_has_sent_once(rig):
    account = rig.account()
    rig.office365.add_fault(stage="dot", mailbox=account, delay=2, times=5)

    def dots():
        return [entry for entry in rig.office365.journal() if entry["event"] == "fault" and entry["stage"] == "dot"]
    for _ in range(5):
        sent = len(dots())
        client = rig.client()
        vanish_before_the_message(client, account)
        client.say(HEADER + b"hello" + END)
        assert processes.wait_until(lambda: len(dots()) > sent, 20)  # the server has it and thinks
        client.close()
    assert processes.wait_until(lambda: rig.log().count("(Postfix has gone)") == 5, 20), rig.log()[-2000:]
    assert len(rig.accepted(account)) == 5, rig.log()[-3000:]
    rig.office365.clear_faults()


# --- the transport's own deadlines, in full ---

def silent(client, account):
    del client, account


def silent_in_the_message(client, account):
    vanish_before_the_message(client, account)
    client.say(HEADER)


def slow_in_a_command(client, account):
    del account
    return client, b"N"


def slow_in_the_message(client, account):
    vanish_before_the_message(client, account)
    return client, b"x"


@pytest.mark.skipif(not FULL, reason="takes five minutes: make attacks")
def test_one_octet_a_minute_has_an_end(rig):
    """Silent, or slow, in a command or in a message: all at once. Each is told 421 when its five minutes are over, though the
    slow ones have said something within each of them."""
    stages = [silent, silent_in_the_message, slow_in_a_command, slow_in_the_message]
    account, began = rig.account(), time.monotonic()
    clients = [rig.client(timeout=400) for _ in stages]
    slow = [one for one in (stage(client, account) for stage, client in zip(stages, clients)) if one]
    for _ in range(4):
        time.sleep(60)  # this is what is tested
        for client, octet in slow:
            client.say(octet)
        rig.bystander_sends()
    assert [client.reply() for client in clients] == ["421 4.4.2 Timeout"] * len(clients)
    assert 295 < time.monotonic() - began < 330
    assert rig.accepted(account) == []
    assert "421 4.4.2 Timeout" in rig.log() and rig.log().count("Postfix has gone before the end") == 2
