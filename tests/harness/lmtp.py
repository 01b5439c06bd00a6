"""A client of post365-transport's socket that says whatever a test wants, octet for octet.

    with Lmtp(relay, "accounts/relay@example.com") as client:
        client.announce("relay@example.com", ["a@dest.example"])
        assert client.ask("DATA").startswith("354")
        client.say(b"Subject: x\r\n\r\nhello\r\n.\r\n")
        assert client.reply().startswith("250")
"""

import array
import contextlib
import fcntl
import termios
import time

from . import programs

_CHUNK = 65536


class Lmtp:
    """One connection, greeted and with LHLO said; with `lhlo=False` nothing is read or said yet. A reply is a str of
    its lines, joined by LF; "" when the server has closed the connection."""

    def __init__(self, relay, name="transport", *, lhlo=True, timeout=60):
        self.endpoint = programs.connect(f"unix:post365/{name}", relay.postfix.queue_directory, timeout)
        self._input = b""
        if lhlo:
            greeting = self.reply()
            assert greeting.startswith("220 "), greeting
            assert self.ask("LHLO client.example.com").startswith("250")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.endpoint.close()

    def say(self, data):
        """Octets as they are; a str gets its CRLF."""
        self.endpoint.sendall(data.encode() + b"\r\n" if isinstance(data, str) else data)

    def say_if_possible(self, data):
        """say(), for a thread: the server, or the test, may end it."""
        with contextlib.suppress(OSError):
            self.say(data)

    def say_in_pieces(self, data, size=1, timeout=30):
        """Each piece is sent when the server has read the one before."""
        for start in range(0, len(data), size):
            self.endpoint.sendall(data[start:start + size])
            self.wait_until_read(timeout)

    def wait_until_read(self, timeout=30):
        """Until nothing that was said is left in the socket."""
        end = time.monotonic() + timeout
        left = array.array("i", [1])
        while True:
            fcntl.ioctl(self.endpoint, termios.TIOCOUTQ, left)
            if left[0] == 0:
                return
            assert time.monotonic() < end, "the server does not read"
            time.sleep(0)

    def reply(self):
        lines = []
        while True:
            line = self._line()
            if line is None:
                return "\n".join(lines)
            lines.append(line)
            if line[3:4] != "-":
                return "\n".join(lines)

    def replies(self, count):
        return [self.reply() for _ in range(count)]

    def ask(self, command):
        self.say(command)
        return self.reply()

    def announce(self, sender, recipients):
        """MAIL and RCPT, all of which are taken."""
        self.say("".join([f"MAIL FROM:<{sender}>\r\n", *(f"RCPT TO:<{address}>\r\n" for address in recipients)]).encode())
        for reply in self.replies(1 + len(recipients)):
            assert reply.startswith("250 "), reply

    def send(self, sender, recipients, data):
        """A message as it is (dot-stuffed) but for the dot at its end. The reply to each recipient, or to DATA, if that
        is refused, as often."""
        self.announce(sender, recipients)
        answer = self.ask("DATA")
        if not answer.startswith("354"):
            return [answer] * len(recipients)
        self.say(data + b".\r\n")
        return self.replies(len(recipients))

    def is_silent(self):
        """Whether nothing was said beyond what was asked: a NOOP gets the next reply, and it is its own."""
        return self._input == b"" and self.ask("NOOP") == "250 2.0.0 Ok"

    def _line(self):
        while b"\r\n" not in self._input:
            try:
                data = self.endpoint.recv(_CHUNK)
            except ConnectionResetError:
                data = b""
            if not data:
                return None
            self._input += data
        line, _, self._input = self._input.partition(b"\r\n")
        return line.decode("utf-8", "surrogateescape")
