"""The other end of post365_oauth2_socket (common/oauth2/tokens.h), played by a test.

    tokend = place.add(FakeTokend(place.directory / "tokens"))
    tokend.subjects.append(subject(left=3000, ...))
    tokend.answers["login"] = lambda peer, request: peer.say(result="none", reason="...")

What is not in `answers` is answered out of `subjects`. Real files: the socket, and a thread for each connection.
"""

import contextlib
import os
import socket
import threading


def subject(**changes):
    """What tokend tells of a registration, by the names of the protocol; None takes one out."""
    told = {"registration": "/etc/postfix/post365/contoso.cf", "state": "fresh", "grant": "app", "credential": "certificate",
            "tenant": "contoso.example", "client_id": "11111111-2222-3333-4444-555555555555", "cloud": "global", "requests": 3,
            "refused": 0, "accounts": 1, **changes}
    return {name: value for name, value in told.items() if value is not None}


class Peer:
    """A connection."""

    def __init__(self, connection):
        self.connection = connection
        self.tag = None
        self.gone = threading.Event()

    def say(self, lines=(), **attributes):
        """A reply to the last request; `lines` are (name, value) that may come again."""
        pairs = [("tag", self.tag)] * (self.tag is not None) + list(attributes.items()) + list(lines)
        self.connection.sendall("".join(f"{name}={value}\n" for name, value in pairs).encode() + b"\n")

    def hang_up(self):
        self.connection.shutdown(socket.SHUT_RDWR)

    def requests(self):
        data = b""
        while True:
            while b"\n\n" in data:
                request, _, data = data.partition(b"\n\n")
                yield dict(line.split("=", 1) for line in request.decode().splitlines())
            with contextlib.suppress(OSError):
                more = self.connection.recv(65536)
                if more:
                    data += more
                    continue
            self.gone.set()
            return


class FakeTokend:
    """`requests` are all that were made, `gone` is set when a connection has ended."""

    def __init__(self, path, mode=0o660):
        self.path = path
        self.subjects = []
        self.answers = {}
        self.requests = []
        self.gone = threading.Event()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(os.fspath(path))
        path.chmod(mode)
        self.listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.path.unlink(missing_ok=True)

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                peer = Peer(self.listener.accept()[0])
                threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer):
        with peer.connection, contextlib.suppress(OSError):
            for request in peer.requests():
                peer.tag = request.pop("tag", None)
                self.requests.append(request)
                self.answers.get(request["request"], getattr(self, f"_{request['request']}"))(peer, request)
        peer.gone.set()
        self.gone.set()

    @staticmethod
    def _without_claims(told):
        return {name: value for name, value in told.items() if not name.startswith("claim_")}

    def _watch(self, peer, _request):
        peer.say(result="done")
        for told in self.subjects:
            if told.get("account") or told["grant"] == "app":
                peer.say(result="subject", **self._without_claims(told))

    def _list(self, peer, _request):
        paths = dict.fromkeys(told["registration"] for told in self.subjects)
        peer.say(result="done", lines=[("registration", path) for path in paths])

    def _find(self, request):
        if "account" not in request:
            return next((told for told in self.subjects if told["registration"] == request["registration"]), None)
        own = [told for told in self.subjects if told.get("account") == request["account"]]
        return next(iter(own + [told for told in self.subjects if told["grant"] == "app"]), None)

    def _status(self, peer, request):
        told = self._find(request)
        if told and told["grant"] == "user" and "account" not in request:
            peer.say(result="error", reason="each account has a grant of its own there: name the account")
        elif told:
            peer.say(result="done", **told)
        else:
            peer.say(result="none", reason="post365_oauth2_maps does not know the account")

    def _renew(self, peer, request):
        told = self._find(request)
        peer.say(result="done", id="0123abcd", left=3000, registration=told["registration"])

    def _token(self, peer, _request):
        peer.say(result="none", reason="post365_oauth2_maps does not know the account")

    def _verdict(self, peer, _request):
        peer.say(result="done", again=0)

    def _login(self, peer, _request):
        peer.say(result="none", reason="its registration has grant = app")

    def _logout(self, peer, _request):
        peer.say(result="done")
