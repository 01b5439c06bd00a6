"""Messages as bytes, and how to compare what was sent with what arrived."""

import hashlib
import itertools
import os
import re

_serial = itertools.count(1)


def compose(header, body):
    """(Message-ID, message): a message with a Message-ID that no other has. `header` and `body` are
    bytes with LF or CRLF line ends; `body` goes out as it is but for those."""
    message_id = f"<{os.getpid()}.{next(_serial)}@test.example.com>"
    return message_id, b"Message-ID: " + message_id.encode() + b"\r\n" + _wire(header) + b"\r\n" + _wire(body)


def _wire(text):
    return re.sub(rb"\r?\n", b"\r\n", text)


def canonical(message):
    """A message as it looks on the wire: CRLF line ends, one at the very end. For sendmail(1)
    input, whose lines end in LF; a lone CR stays."""
    lines = re.split(rb"\r\n|\n", message)
    if lines[-1] == b"":
        lines.pop()
    return b"".join(line + b"\r\n" for line in lines)


def split(message):
    """(header, body) of a canonical message; the empty line between belongs to neither."""
    if message.startswith(b"\r\n"):
        return b"", message[2:]
    header, separator, body = message.partition(b"\r\n\r\n")
    return header + b"\r\n" if separator else header, body


def body_hash(message):
    """SHA-256 (hex) of the body's bytes."""
    return hashlib.sha256(split(message)[1]).hexdigest()


def fields(message, name):
    """The values of all headers `name`, as they stand: bytes, unfolded only at the line ends."""
    header = split(message)[0]
    pattern = rb"(?im)^" + re.escape(name.encode()) + rb"[ \t]*:[ \t]*((?:[^\r\n]|\r(?!\n)|\n|\r\n(?=[ \t]))*)\r\n"
    return [value.replace(b"\r\n", b"") for value in re.findall(pattern, header)]
