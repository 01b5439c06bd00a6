"""A server that means no good, in front of the stand-in for smtp.office365.com.

    front = place.add(Hostile(office365)).start()
    relay = Relay(..., parameters={"relayhost": f"[localhost]:{front.port}"})
    front.arm(play)          # the next connection gets play(peer); all others reach the stand-in, octet for octet

A play is a function of the Peer, run in a thread of its own; when it returns, the connection is closed. TLS is done with
the stand-in's own certificate, so that the client believes it.
"""

import collections
import contextlib
import select
import socket
import ssl
import threading
from pathlib import Path

PATIENCE = 400  # seconds that a play waits for its peer; longer than any deadline of the transport but one
_CHUNK = 65536


class Gone(Exception):
    """The client has closed the connection, or has been silent for PATIENCE seconds."""


class Peer:
    """The client of one play. `heard` are the lines that it has said, without their ends."""

    def __init__(self, connection, context):
        self.connection = connection
        self.heard = []
        self.dropped = threading.Event()  # by us
        self._context = context
        self._input = b""

    def say(self, data):
        """Octets as they are; a str gets its CRLF."""
        if isinstance(data, str):
            data = data.encode() + b"\r\n"
        try:
            self.connection.sendall(data)
        except OSError as error:
            raise Gone(str(error)) from error

    def hear(self):
        """The next line."""
        while b"\n" not in self._input:
            self._input += self._receive()
        line, _, self._input = self._input.partition(b"\n")
        self.heard.append(line.rstrip(b"\r"))
        return self.heard[-1]

    def expect(self, verb):
        line = self.hear()
        assert line.upper().startswith(verb), f"{verb} was awaited, not {line[:100]!r}"
        return line

    def hear_message(self):
        """The octets of a message up to its end, which is not among them."""
        while not self._input.endswith(b"\r\n.\r\n"):
            self._input += self._receive()
        message, self._input = self._input, b""
        return message.removesuffix(b".\r\n")

    def wait_until_gone(self):
        """Until the client closes the connection: what it says is thrown away."""
        with contextlib.suppress(Gone):
            while True:
                self._receive()

    def drop(self):
        """Ends the connection, from any thread."""
        self.dropped.set()
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    # --- as it should be, up to some stage ---

    def greet(self, *keywords):
        """Greeting and the first EHLO."""
        self.say("220 hostile.example ESMTP")
        self._ehlo("STARTTLS", *keywords)

    def start_tls(self):
        self.greet()
        self.expect(b"STARTTLS")
        self.say("220 2.0.0 SMTP server ready")
        self.wrap()

    def wrap(self):
        try:
            self.connection = self._context.wrap_socket(self.connection, server_side=True)
        except OSError as error:  # ssl.SSLError is one
            raise Gone(str(error)) from error

    def encrypt(self, *keywords):
        """All up to the reply to the second EHLO."""
        self.start_tls()
        self._ehlo("AUTH LOGIN XOAUTH2", *(keywords or ("PIPELINING", "SIZE 157286400", "DSN", "8BITMIME")))

    def log_in(self, *keywords):
        """All up to a connection that waits for its first message."""
        self.encrypt(*keywords)
        self.expect(b"AUTH LOGIN")
        for reply in ("334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6"):
            self.say(reply)
            self.hear()
        self.say("235 2.7.0 Authentication successful")

    def envelope(self):
        """Logs in and hears MAIL, RCPT and DATA, which arrive together."""
        self.log_in()
        for verb in (b"MAIL", b"RCPT", b"DATA"):
            self.expect(verb)

    def message(self):
        """Takes a message whole, but for the reply behind its end."""
        self.envelope()
        self.say(b"250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 Go on\r\n")
        return self.hear_message()

    def _ehlo(self, *keywords):
        self.expect(b"EHLO")
        lines = ["hostile.example", *keywords]
        self.say(b"".join(f"250{'-' if line is not lines[-1] else ' '}{line}\r\n".encode() for line in lines))

    def _receive(self):
        try:
            data = self.connection.recv(_CHUNK)
        except OSError as error:
            raise Gone(str(error)) from error
        if not data:
            raise Gone("closed")
        return data


class Hostile:
    """Listens on `port` from start() on. `peers` are those of all plays so far, the last one last; `problems` is what
    plays have failed with, other than the client's leaving."""

    def __init__(self, office365):
        self.office365 = office365
        self.peers, self.problems = [], []
        self._plays = collections.deque()
        self._threads, self._sockets = [], []
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self._listening.getsockname()[1]

    def start(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(Path(self.office365.settings["state_directory"]) / "server.pem")
        self._context = context
        self._run(self._accept)
        return self

    def arm(self, *plays):
        """One connection each."""
        self._plays.extend(plays)

    def armed(self):
        """The plays that have no connection yet."""
        return list(self._plays)

    def drop(self):
        """Closes the connections of all plays."""
        for peer in list(self.peers):
            peer.drop()

    def forget(self):
        """Plays, peers and problems are those of another test."""
        self._plays.clear()
        self.peers.clear()
        self.problems.clear()

    def stop(self):
        """Ends all connections. May be called twice."""
        self._plays.clear()
        self.drop()
        for endpoint in (self._listening, *self._sockets):
            with contextlib.suppress(OSError):
                endpoint.shutdown(socket.SHUT_RDWR)
            endpoint.close()
        for thread in self._threads:
            thread.join()

    def _run(self, function, *arguments):
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self._sockets.append(connection)
            if self._plays:
                self._run(self._perform, self._plays.popleft(), connection)
            else:
                self._run(self._pass_on, connection)

    def _perform(self, play, connection):
        connection.settimeout(PATIENCE)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer = Peer(connection, self._context)
        self.peers.append(peer)
        try:
            play(peer)
        except Gone:
            pass
        except Exception as error:  # pylint: disable=broad-exception-caught  # shown by the test, whatever it is
            self.problems.append(f"{play.__name__}: {error!r}")
        finally:
            peer.connection.close()

    def _pass_on(self, connection):
        """To the stand-in and back, until either closes."""
        with connection, contextlib.suppress(OSError):
            with socket.create_connection(("127.0.0.1", self.office365.port)) as other:
                self._sockets.append(other)
                ways = {connection.fileno(): (connection, other), other.fileno(): (other, connection)}
                ready = select.poll()
                for descriptor, (source, _) in ways.items():
                    source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    ready.register(descriptor, select.POLLIN)
                while True:
                    for descriptor, _ in ready.poll():
                        source, sink = ways[descriptor]
                        data = source.recv(_CHUNK)
                        if not data:
                            return
                        sink.sendall(data)
