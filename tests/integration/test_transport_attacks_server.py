"""Whoever answers in Microsoft's place may say anything: mail stays in Postfix's queue with a reason, memory stays small, no
password is sent to a stranger, the other accounts do not notice, and the log says what happened."""

import itertools
import re
import threading
import time

import pytest

from attacking import FULL, HEADER, TO, _rig, rig  # noqa: F401  # fixtures
from harness import command, processes
from harness.hostile import PATIENCE

MEGABYTE = 1 << 20
LOST = "the connection was lost"
REPLY_MAX = 1000  # octets of a reply to Postfix


def put_off(rig, *plays, account=None, log, code="4", logged_in=True, **options):
    """A message whose connection gets these plays is put off for a reason with the text `log`, which the log has, too."""
    account = account or rig.account()
    reply = rig.attack(account, *plays, **options)
    assert reply.startswith(code), reply
    assert log in reply, reply
    assert f"account=<{account}>" in rig.log() and log in rig.log()
    assert len(reply) <= REPLY_MAX and not re.search("[\0-\x1f\x7f]", reply), reply
    assert rig.accepted(account) == []
    if not logged_in:
        assert not any(line.startswith(b"AUTH") for peer in rig.front.peers for line in peer.heard)
    return reply


@pytest.fixture(autouse=True)
def _no_peers(_rig):
    _rig.front.forget()


# --- before the password ---

def garbage_for_a_greeting(peer):
    peer.say(b"\0\xff\x1b[31m garbage\r\n" * 10)


def http_for_a_greeting(peer):
    peer.say("HTTP/1.1 400 Bad Request")


def endless_line_for_a_greeting(peer):
    peer.say(b"220 " + b"x" * 10 * MEGABYTE)


def endless_digits_for_a_greeting(peer):
    peer.say(b"2" * 10 * MEGABYTE)


def endless_lines_for_a_greeting(peer):
    for _ in itertools.repeat(None):
        peer.say(b"220-never\r\n" * 1000)


def greeting_of_another_code_in_its_second_line(peer):
    peer.say(b"220-one\r\n250 two\r\n")


def goodbye_for_a_greeting(peer):
    peer.say("554 5.7.1 no service for you")


def ehlo_of_ten_thousand_keywords(peer):
    peer.say("220 hostile.example")
    peer.expect(b"EHLO")
    peer.say(b"".join(b"250-KEYWORD%d\r\n" % number for number in range(10000)) + b"250 STARTTLS\r\n")


def ehlo_of_a_ten_megabyte_keyword(peer):
    peer.say("220 hostile.example")
    peer.expect(b"EHLO")
    peer.say(b"250-" + b"X" * 10 * MEGABYTE + b"\r\n250 STARTTLS\r\n")


def no_starttls(peer):
    peer.say("220 hostile.example")
    peer.expect(b"EHLO")
    peer.say(b"250-hostile.example\r\n250-XSTARTTLS\r\n250-STARTTLSX\r\n250 AUTH LOGIN PLAIN XOAUTH2\r\n")
    peer.wait_until_gone()


def starttls_refused(peer):
    peer.greet()
    peer.expect(b"STARTTLS")
    peer.say("501 5.5.4 not today")


def text_behind_starttls(peer):
    peer.greet()
    peer.expect(b"STARTTLS")
    peer.say(b"220 go on\r\n250-hostile.example\r\n250 AUTH LOGIN\r\n235 2.7.0 you are logged in\r\n")
    peer.wait_until_gone()


def half_a_line_behind_starttls(peer):
    peer.greet()
    peer.expect(b"STARTTLS")
    peer.say(b"220 go on\r\n250")
    peer.wait_until_gone()


def text_behind_starttls_a_moment_later(peer):
    peer.greet()
    peer.expect(b"STARTTLS")
    peer.say("220 go on")
    peer.connection.recv(1)  # the first octet of its handshake
    peer.say(b"250-hostile.example\r\n250 AUTH LOGIN\r\n")
    peer.wait_until_gone()


def no_tls_behind_starttls(peer):
    peer.greet()
    peer.expect(b"STARTTLS")
    peer.say("220 go on")
    peer.connection.recv(1)
    peer.connection.close()


def random_octets_for_a_handshake(peer):
    peer.greet()
    peer.expect(b"STARTTLS")
    peer.say("220 go on")
    peer.connection.recv(1)
    peer.say(bytes(range(256)) * 4096)


def no_auth_that_we_speak(peer):
    peer.start_tls()
    peer.expect(b"EHLO")
    peer.say(b"250-hostile.example\r\n250 AUTH PLAIN LOGIN-X XLOGIN\r\n")
    peer.wait_until_gone()


@pytest.mark.parametrize("play, log", [
    (garbage_for_a_greeting, "does not speak SMTP"), (http_for_a_greeting, "does not speak SMTP"),
    (endless_line_for_a_greeting, "a line of more than 8192 octets"), (endless_digits_for_a_greeting, "a line of more than 8192 octets"),
    (endless_lines_for_a_greeting, "one line too many"), (greeting_of_another_code_in_its_second_line, "another code"),
    (goodbye_for_a_greeting, "no service for you"), (ehlo_of_ten_thousand_keywords, "one line too many"),
    (ehlo_of_a_ten_megabyte_keyword, "a line of more than 8192 octets"), (no_starttls, "STARTTLS is not offered"),
    (starttls_refused, "not today"), (text_behind_starttls, "in plain text behind STARTTLS"),
    (half_a_line_behind_starttls, "in plain text behind STARTTLS"), (text_behind_starttls_a_moment_later, "TLS with localhost failed"),
    (no_tls_behind_starttls, "TLS with localhost failed"), (random_octets_for_a_handshake, "TLS with localhost failed"),
    (no_auth_that_we_speak, "AUTH LOGIN is not offered")], ids=lambda value: getattr(value, "__name__", ""))
def test_what_is_said_before_the_password_never_gets_it(rig, play, log):
    put_off(rig, play, log=log, logged_in=False)


@pytest.mark.parametrize("certificate, log", [
    ("name", "is for another name"), ("expired", "is not valid now"), ("self-signed", "is not trusted"), ("untrusted", "is not trusted")])
def test_a_wrong_certificate_never_gets_the_password(rig, certificate, log):
    account = rig.account()
    rig.bystander_sends()  # whose connection is there before
    rig.office365.add_fault(stage="tls", certificate=certificate, times=1)
    with rig.client() as client:
        [reply] = client.send(account, [TO], HEADER + b"hello\r\n")
    assert reply.startswith("451 4.4.1 ") and log in reply
    assert log in rig.log() and rig.logged_in(account) == []


# --- with the password ---

def challenge_for_ever(peer):
    peer.encrypt()
    for _ in itertools.repeat(None):
        peer.hear()
        peer.say("334 VXNlcm5hbWU6")


def challenges_without_being_asked(peer):
    peer.encrypt()
    peer.expect(b"AUTH")
    peer.say(b"334 VXNlcm5hbWU6\r\n" * 1000)
    peer.wait_until_gone()


def endless_challenge(peer):
    peer.encrypt()
    peer.expect(b"AUTH")
    peer.say(b"334 " + b"A" * 10 * MEGABYTE)


def refused_with_controls(peer):
    peer.encrypt()
    peer.expect(b"AUTH")
    peer.say(b"535 5.7.3 \x1b[2J\0\x9b31m\rpost365/transport[1]: forged\x0b\xff\xfe\xc2\x9b" + b"y" * 6000 + b"\r\n")


@pytest.mark.parametrize("play, log", [
    (challenge_for_ever, "the server goes on asking"), (challenges_without_being_asked, "the server goes on asking"),
    (endless_challenge, "a line of more than 8192 octets"), (refused_with_controls, "535 5.7.3 ?[2J?")],
    ids=lambda value: getattr(value, "__name__", ""))
def test_a_login_that_leads_nowhere_ends(rig, play, log):
    put_off(rig, play, log=log)


# --- with a message ---

def says(*replies):
    """A play: the envelope is answered with this, whatever it was. What ends a message that nobody is to get is answered
    by the connection's end."""
    def play(peer):
        peer.envelope()
        peer.say(b"".join(replies))
        while peer.hear() not in (b"RSET", b"."):
            pass
    play.__name__ = repr(b"".join(replies)[:40])
    return play


def says_at_the_end(*replies):
    def play(peer):
        peer.message()
        peer.say(b"".join(replies))
        peer.wait_until_gone()
    play.__name__ = repr(b"".join(replies)[:40])
    return play


MAIL, RCPT, GO_ON = b"250 2.1.0 Ok\r\n", b"250 2.1.5 Ok\r\n", b"354 Go on\r\n"


@pytest.mark.parametrize("play, log", [
    (says(b"\0garbage\xff\r\n"), "does not speak SMTP"), (says(b"x" * 10 * MEGABYTE), "a line of more than 8192 octets"),
    (says(b"250-\r\n" * 100000), "one line too many"), (says(b"250-one\r\n251 two\r\n"), "another code"),
    (says(b"199 wrong class\r\n"), "does not speak SMTP"), (says(b"600 wrong class\r\n"), "does not speak SMTP"),
    (says(b"25\r\n"), "does not speak SMTP"), (says(b"250\tOk\r\n"), "does not speak SMTP"), (says(b"\r\n"), "does not speak SMTP"),
    (says(MAIL, RCPT, b"250 2.0.0 Ok\r\n"), "answers DATA with 250"),         # 2xx to DATA
    (says(MAIL, MAIL, RCPT, GO_ON), "answers DATA with 250"),                 # one more than asked for
    (says(GO_ON, MAIL, RCPT), "354 Go on"),                                   # in another order
    (says(MAIL, GO_ON, RCPT), "answers DATA with 250"),
    (says(b"334 \r\n", b"334 \r\n", b"334 \r\n"), "334"),                     # AUTH again
    (says(MAIL, RCPT, GO_ON, b"250 2.0.0 Queued\r\n"), "Queued"),             # before the message
    (says(MAIL, RCPT, GO_ON, b"garbage\r\n"), "does not speak SMTP"),
    (says(MAIL, RCPT, GO_ON, b"250-" * 1000000), "a line of more than 8192 octets"),
    (says(MAIL, b"450 4.2.1 not now\r\n", GO_ON), "not now"),                 # 354 without a recipient
    (says(b"451 4.3.0 no\r\n", b"503 5.5.1 no MAIL\r\n", b"503 5.5.1 no MAIL\r\n"), "451 4.3.0 no"),
    (says(b"421 4.3.2 closing\r\n"), "closing"), (says(MAIL, b"421 4.3.2 closing\r\n"), "closing"),
    (says(MAIL, RCPT, b"421 4.3.2 closing\r\n"), "closing"), (says(MAIL, RCPT, b"451 4.3.0 no\r\n"), "451 4.3.0 no"),
    (says(MAIL, RCPT, b"503 5.5.1 Bad sequence of commands\r\n"), "Bad sequence"),
], ids=lambda value: getattr(value, "__name__", ""))
def test_answers_to_an_envelope_that_make_no_sense_put_the_message_off(rig, play, log):
    # The body is long: what is said before the message must be read before it has left.
    put_off(rig, play, log=log, data=HEADER + (b"x" * 998 + b"\r\n") * 4000)


@pytest.mark.parametrize("play, log", [
    (says_at_the_end(b"\0garbage\xff\r\n"), "may have been delivered"), (says_at_the_end(b"2" * 10 * MEGABYTE), "may have been delivered"),
    (says_at_the_end(b"250-\r\n" * 100000), "may have been delivered"), (says_at_the_end(GO_ON), "354"),
    (says_at_the_end(b"421 4.3.2 closing\r\n"), "closing"), (says_at_the_end(b"250"), "may have been delivered"),
    (says_at_the_end(b"451 4.3.0 " + b"\x1b]0;x\x07\xc3\xa4\xe2\x82" * 700 + b"\r\n"), "451 4.3.0"),
], ids=lambda value: getattr(value, "__name__", ""))
def test_answers_to_a_message_that_make_no_sense_put_it_off(rig, play, log):
    def closes(peer):
        threading.Timer(1, peer.drop).start()
        play(peer)
    put_off(rig, closes if log == "may have been delivered" else play, log=log)


def test_a_reply_too_many_is_not_the_next_message_s(rig):
    """It comes with the last reply, or a moment later: either way the connection is not used again."""
    for extra in (b"250 2.0.0 extra\r\n", b"550 5.1.1 extra\r\n", b"354 extra\r\n", b"250-extra", b"250-extra\r\n", b"x" * 100000):
        account = rig.account()

        def too_many(peer, extra=extra):
            peer.message()
            peer.say(b"250 2.0.0 Ok\r\n" + extra)
            peer.wait_until_gone()
        assert rig.attack(account, too_many).startswith("250 "), extra
        assert rig.attack(account).startswith("250 "), extra
        assert len(rig.accepted(account)) == 1, extra


PAUSE = 60  # seconds, after a login that got no answer
STAGES = ["connect", "banner", "ehlo", "starttls", "tls", "auth", "mail", "rcpt", "data", "body", "dot"]


@pytest.mark.parametrize("action", ["drop", "reset", "garbage", "endless"])
def test_a_server_that_breaks_at_any_stage_puts_the_message_off_and_takes_the_next(rig, action):
    account = rig.account()
    rig.bystander_sends()
    for stage in STAGES:
        if stage in ("connect", "tls", "body") and action in ("garbage", "endless"):
            continue
        fault = rig.office365.add_fault(stage=stage, action=action, times=1, bytes=100000,
                                        **({"mailbox": account} if stage in STAGES[6:] else {}))
        with rig.client(timeout=PAUSE + 60) as client:
            [reply] = client.send(account, [TO], HEADER + b"hello\r\n" * (100000 if stage == "body" else 1))
            assert reply.startswith("451 4.4."), (stage, reply)
            is_unknown = "may have been delivered" in reply
            assert is_unknown if stage == "dot" else stage == "body" or not is_unknown, (stage, reply)
            if stage == "auth" and not FULL:  # a login without an answer is a pause, for whose end the next message would wait
                assert "is resumed" in command.run(rig.relay.postfix.config_directory, "resume", account).stdout
            assert client.send(account, [TO], HEADER + b"hello\r\n")[0].startswith("250 "), stage
        rig.office365.control({"command": "remove_fault", "id": fault})
        rig.office365.control({"command": "drop_connections", "mailbox": account})
    assert rig.log().count(f"account=<{account}>") == 2 * len(
        [stage for stage in STAGES if action in ("drop", "reset") or stage not in ("connect", "tls", "body")])


# --- a server that takes its time ---

def stalls(peer):
    peer.wait_until_gone()


def stalls_in_the_handshake(peer):
    peer.greet()
    peer.expect(b"STARTTLS")
    peer.say("220 go on")
    peer.wait_until_gone()


def stalls_in_the_login(peer):
    peer.encrypt()
    peer.wait_until_gone()


def stalls_at_mail(peer):
    peer.envelope()
    peer.wait_until_gone()


def stalls_in_the_message(peer):
    peer.envelope()
    peer.say(MAIL + RCPT + GO_ON)
    peer.dropped.wait(PATIENCE)


STALLS = [stalls, stalls_in_the_handshake, stalls_in_the_login, stalls_at_mail, stalls_in_the_message]


def test_a_server_that_stalls_holds_up_nobody_else(rig):
    """All at once, each with its own account; when it closes, each is put off."""
    replies = {}

    def send(account):
        with rig.client() as client:
            replies[account] = client.send(account, [TO], HEADER + b"hello\r\n")[0]
    rig.front.arm(*STALLS)
    sending = [threading.Thread(target=send, args=(rig.account(),), daemon=True) for _ in STALLS]
    for thread in sending:
        thread.start()
    assert processes.wait_until(lambda: not rig.front.armed(), 30)
    for _ in range(3):
        rig.bystander_sends()
    assert not replies
    rig.front.drop()
    for thread in sending:
        thread.join(20)
    assert len(replies) == len(STALLS) and all(reply.startswith("451 4.4.") for reply in replies.values()), replies


def says_one_octet_a_minute(peer):
    for octet in itertools.cycle(b"2"):
        peer.say(bytes([octet]))
        if peer.dropped.wait(20):
            return


def never_answers_what_ends_it(peer):
    peer.envelope()
    peer.say(MAIL + RCPT + b"451 4.3.0 no\r\n")
    peer.wait_until_gone()


@pytest.mark.skipif(not FULL, reason="takes four minutes: make attacks")
def test_every_stage_has_a_deadline(rig):
    """However long the server takes, and if it says an octet now and then: what Postfix is told, and after how long."""
    plays = {  # seconds at least and at most, what the reason says
        stalls: (60, 70, "does not answer (connect)"), stalls_in_the_handshake: (60, 70, "does not answer (STARTTLS)"),
        stalls_in_the_login: (60, 70, "does not answer"), says_one_octet_a_minute: (60, 70, "does not answer (connect)"),
        never_answers_what_ends_it: (20, 30, "451 4.3.0 no"), stalls_at_mail: (30, 40, "does not answer (MAIL)")}
    results = {}

    def send(play, account):
        began = time.monotonic()
        with rig.client(timeout=400) as client:
            replies = client.send(account, [TO], HEADER + b"hello\r\n")
        results[play] = (replies[0], time.monotonic() - began)
    sending = []
    for play in plays:
        rig.front.arm(play)
        sending.append(threading.Thread(target=send, args=(play, rig.account()), daemon=True))
        sending[-1].start()
        assert processes.wait_until(lambda: not rig.front.armed(), 30)
    for thread in sending:
        thread.join(300)
        rig.bystander_sends()
    for play, (least, most, text) in plays.items():
        reply, seconds = results[play]
        assert reply.startswith("451 ") and text in reply, (play.__name__, reply)
        assert least - 1 < seconds < most, (play.__name__, seconds)
