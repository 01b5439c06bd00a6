"""HTTP/1.1 (RFC 9112) on one connection: requests read whole, answers written as they are, octet by octet if need be."""

import email.utils
import socket
import struct
import time
from dataclasses import dataclass

_LONGEST_HEADER = 64 * 1024
_LONGEST_BODY = 1024 * 1024
REASONS = {200: "OK", 302: "Found", 307: "Temporary Redirect", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden",
           404: "Not Found", 405: "Method Not Allowed", 407: "Proxy Authentication Required", 408: "Request Timeout",
           410: "Gone", 411: "Length Required", 413: "Content Too Large", 429: "Too Many Requests",
           431: "Request Header Fields Too Large", 500: "Internal Server Error", 502: "Bad Gateway",
           503: "Service Unavailable", 504: "Gateway Timeout"}


class Closed(Exception):
    """The client has gone, or is not understood."""


@dataclass
class Request:
    method: str
    target: str
    headers: dict  # in lower case
    body: bytes = b""


@dataclass
class Answer:
    status: int
    headers: dict
    body: bytes = b""


class Connection:
    """What is read ahead of a request stays for the next one."""

    def __init__(self, stream):
        self.stream = stream
        self._ahead = b""

    def _more(self):
        data = self.stream.recv(65536)
        if not data:
            raise Closed("the client has closed")
        self._ahead += data

    def read(self):
        """The next request, None when the client has closed between two. Closed when it breaks off in one."""
        while b"\r\n\r\n" not in self._ahead:
            if len(self._ahead) > _LONGEST_HEADER:
                raise Closed("the header is too long")
            before = self._ahead
            try:
                self._more()
            except Closed:
                if not before:
                    return None
                raise
        head, self._ahead = self._ahead.split(b"\r\n\r\n", 1)
        request = self._parse(head.decode("latin-1").split("\r\n"))
        length = request.headers.get("content-length", "0")
        if not length.isdigit() or int(length) > _LONGEST_BODY or "transfer-encoding" in request.headers:
            raise Closed("no length that is understood")
        if request.headers.get("expect", "").lower() == "100-continue":
            self.stream.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        while len(self._ahead) < int(length):
            self._more()
        request.body, self._ahead = self._ahead[:int(length)], self._ahead[int(length):]
        return request

    @staticmethod
    def _parse(lines):
        words = lines[0].split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            raise Closed(f"no request line: {lines[0]!r}")
        headers = {}
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if not colon or name != name.strip() or name.lower() in headers:
                raise Closed(f"no header field, or one twice: {name!r}")
            headers[name.lower()] = value.strip()
        return Request(words[0], words[1], headers)

    def write(self, data):
        self.stream.sendall(data)

    def trickle(self, data, interval):
        for octet in data:
            self.stream.sendall(bytes([octet]))
            time.sleep(interval)

    def wait_for_end(self):
        """Says nothing until the client goes away."""
        while self.stream.recv(65536):
            pass


def date(seconds):
    return email.utils.formatdate(seconds, usegmt=True)


def octets(answer, when=None):
    """An answer as it goes over the wire. `when`: its Date in seconds since 1970 or a literal; None leaves the field out."""
    headers = dict(answer.headers)
    if when is not None and "Date" not in headers:
        headers["Date"] = when if isinstance(when, str) else date(when)
    headers.setdefault("Content-Length", str(len(answer.body)))
    lines = [f"HTTP/1.1 {answer.status} {REASONS.get(answer.status, 'Odd')}", *(f"{name}: {value}" for name, value in
                                                                               headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + answer.body


def reset(stream):
    """Closes with a RST. `stream` is a plain or a TLS socket."""
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.close()
