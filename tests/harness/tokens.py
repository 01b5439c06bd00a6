"""A client of post365_oauth2_socket (common/oauth2/tokens.h), for tests.

    with Tokens(tokend) as tokens:
        reply = tokens.ask("token", account="relay@example.com")
        assert reply["result"] == "done"
"""

import socket


class Tokens:
    """A connection to a running post365-tokend."""

    def __init__(self, tokend, timeout=20):
        self.socket = tokend.connect()
        self.socket.settimeout(timeout)
        self.data = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, request, tag=None, **attributes):
        lines = [("request", request), *([("tag", tag)] if tag else []), *attributes.items()]
        self.socket.sendall("".join(f"{name}={value}\n" for name, value in lines).encode() + b"\n")

    def pairs(self):
        """The next reply as (name, value), in its order."""
        while b"\n\n" not in self.data:
            more = self.socket.recv(65536)
            if not more:
                raise ConnectionError("post365-tokend has closed the connection")
            self.data += more
        reply, _, self.data = self.data.partition(b"\n\n")
        return [tuple(line.split("=", 1)) for line in reply.decode().splitlines()]

    def reply(self):
        return dict(self.pairs())

    def ask(self, request, **attributes):
        self.send(request, **attributes)
        return self.reply()

    def quiet(self, seconds):
        """Whether nothing arrives for so long."""
        self.socket.settimeout(seconds)
        try:
            return not self.data and not self.socket.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(20)
