"""One connection of a mail server to a milter, spoken as Postfix speaks it (milter protocol 6).

    with milter_client.Connection(endpoint) as client:
        client.negotiate()
        result = client.message("<alice@example.com>", ["<bob@example.net>"],
                                [("From", "alice@example.com")], login="alice")
        result.verdict, result.reply, result.sender, result.headers

Every step can be sent alone, in any order and in any shape: send() for one command, raw() for bytes
that are none. What Postfix leaves out because the milter asked it to is left out here, too.
"""

import dataclasses
import socket
import struct

# What a mail server lets a milter do (SMFIF_*); Postfix 3.7 offers all of these.
ADD_HEADERS, CHANGE_BODY, ADD_RECIPIENTS, DELETE_RECIPIENTS, CHANGE_HEADERS, QUARANTINE, CHANGE_FROM, \
    ADD_RECIPIENTS_WITH_PARAMETERS, SET_SYMBOLS = (1 << bit for bit in range(9))
ALL_ACTIONS = 0x1ff

# Steps to be left out (SMFIP_NO*) or not to be answered (SMFIP_NR_*).
NO_CONNECT, NO_HELO, NO_MAIL, NO_RECIPIENT, NO_BODY, NO_HEADERS, NO_END_OF_HEADERS, NO_REPLY_HEADER, \
    NO_UNKNOWN, NO_DATA, SKIP, REJECTED_RECIPIENTS, NO_REPLY_CONNECT, NO_REPLY_HELO, NO_REPLY_MAIL, \
    NO_REPLY_RECIPIENT, NO_REPLY_DATA, NO_REPLY_UNKNOWN, NO_REPLY_END_OF_HEADERS, NO_REPLY_BODY, \
    LEADING_SPACE = (1 << bit for bit in range(21))
ALL_STEPS = 0x1fffff
NO_REPLIES = (NO_REPLY_HEADER | NO_REPLY_CONNECT | NO_REPLY_HELO | NO_REPLY_MAIL | NO_REPLY_RECIPIENT | NO_REPLY_DATA
              | NO_REPLY_UNKNOWN | NO_REPLY_END_OF_HEADERS | NO_REPLY_BODY)

VERDICTS = {b"a": "accept", b"c": "continue", b"d": "discard", b"r": "reject", b"t": "tempfail", b"s": "skip",
            b"y": "reply"}
PROGRESS = b"p"


class Closed(ConnectionError):
    """The milter closed the connection where an answer was due."""


@dataclasses.dataclass
class Result:
    """What a milter made of one message."""

    verdict: str  # "continue", "tempfail", "reply", ...
    stage: str  # the last step that was answered: "mail", "rcpt", "header", "end of message", ...
    reply: str = ""  # "451 4.7.1 ..." with the verdict "reply"
    sender: str = None  # the new envelope sender, None if it stays
    added_recipients: list = dataclasses.field(default_factory=list)  # (address, parameters)
    deleted_recipients: list = dataclasses.field(default_factory=list)
    headers: list = None  # (name, value) after the edits, as Postfix applies them
    edits: list = dataclasses.field(default_factory=list)  # as they came, (command, ...)
    envid: str = None  # what the sender was given along: the milter's decision, as xtext
    given: str = ""  # the envelope sender before

    def values(self, name):
        """The values of all headers of this name."""
        return [value for label, value in self.headers if label.lower() == name.lower()]


def packet(command, data=b""):
    return struct.pack(">I", len(data) + 1) + command + data


def _bytes(text):
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")


def _text(data):
    return data.decode("utf-8", "surrogateescape")


def strings(*texts):
    return b"".join(_bytes(text) + b"\0" for text in texts)


class Connection:
    def __init__(self, endpoint, timeout=30.0):
        self.endpoint = endpoint
        endpoint.settimeout(timeout)
        self.steps = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.endpoint.close()

    # --- packets

    def raw(self, data):
        self.endpoint.sendall(data)

    def send(self, command, data=b""):
        self.raw(packet(command, data))

    def _read(self, length):
        data = b""
        while len(data) < length:
            try:
                piece = self.endpoint.recv(length - len(data))
            except ConnectionResetError:
                piece = b""
            if not piece:
                raise Closed(f"closed by the milter, {length - len(data)} bytes missing")
            data += piece
        return data

    def read(self):
        """The next answer: (command, data)."""
        (length,) = struct.unpack(">I", self._read(4))
        data = self._read(length)
        return data[:1], data[1:]

    def is_closed(self):
        """Whether the milter closes the connection without another word."""
        try:
            self.read()
        except (Closed, BrokenPipeError):
            return True
        except socket.timeout:
            return False
        return False

    # --- steps

    def negotiate(self, actions=ALL_ACTIONS, steps=ALL_STEPS, version=6):
        """(version, actions, steps) that the milter wants."""
        self.send(b"O", struct.pack(">III", version, actions, steps))
        command, data = self.read()
        assert command == b"O", command
        answer = struct.unpack(">III", data[:12])
        self.steps = answer[2]
        return answer

    def macros(self, command, **symbols):
        self.send(b"D", command + strings(*(text for pair in symbols.items() for text in pair)))

    def step(self, command, data=b"", left_out=0, no_reply=0, result=None):
        """Sends one step, unless the milter does not want it. The answer, "" where there is none."""
        if self.steps & left_out:
            return ""
        self.send(command, data)
        return "" if self.steps & no_reply else self.verdict(result or Result("", ""))

    def verdict(self, result):
        """Reads answers up to the verdict; what they change is noted in `result`."""
        while True:
            command, data = self.read()
            if command == PROGRESS:
                continue
            if command == b"y":
                result.reply = _text(data.rstrip(b"\0"))
            if command in VERDICTS:
                return VERDICTS[command]
            result.edits.append((command, data))

    def mail(self, sender, *parameters, result=None, **symbols):
        self.macros(b"M", **symbols)
        return self.step(b"M", strings(sender, *parameters), NO_MAIL, NO_REPLY_MAIL, result)

    def recipient(self, address, *parameters, result=None):
        return self.step(b"R", strings(address, *parameters), NO_RECIPIENT, NO_REPLY_RECIPIENT, result)

    def data(self, queue_id, result=None):
        self.macros(b"T", i=queue_id)
        return self.step(b"T", b"", NO_DATA, NO_REPLY_DATA, result)

    def header(self, name, value, result=None):
        return self.step(b"L", strings(name, value), NO_HEADERS, NO_REPLY_HEADER, result)

    def end_of_message(self, queue_id, result):
        """The verdict; the edits are applied to `result`."""
        self.macros(b"E", i=queue_id)
        verdict = self.step(b"E", result=result)
        for command, data in result.edits:
            _apply(result, command, data)
        if result.sender is None:  # it stays, and is set for what is given along
            result.edits = [edit for edit in result.edits if edit[0] != b"e"]
        return verdict

    def message(self, sender, recipients=("<bob@example.net>",), headers=(), body=b"hello\r\n", *, login=None,
                queue_id="4Test"):
        """A whole message. The Result has the headers as Postfix leaves them."""
        result = Result("continue", "mail", headers=list(headers), given=sender)
        for stage, act in self._stages(sender, recipients, headers, body, login, queue_id, result):
            verdict = act()
            if verdict:
                result.verdict, result.stage = verdict, stage
            if verdict not in ("", "continue", "skip"):
                break
        return result

    def _stages(self, sender, recipients, headers, body, login, queue_id, result):
        symbols = {"{auth_authen}": login} if login is not None else {}
        yield "mail", lambda: self.mail(sender, result=result, **symbols)
        for recipient in recipients:
            yield "rcpt", lambda: self.recipient(recipient, result=result)
        yield "data", lambda: self.data(queue_id, result)
        for name, value in headers:
            yield "header", lambda: self.header(name, value, result)
        yield "end of headers", lambda: self.step(b"N", b"", NO_END_OF_HEADERS, NO_REPLY_END_OF_HEADERS, result)
        yield "body", lambda: self.step(b"B", body, NO_BODY, NO_REPLY_BODY, result)
        yield "end of message", lambda: self.end_of_message(queue_id, result)

    def abort(self):
        self.send(b"A")

    def quit(self):
        self.send(b"Q")


def _apply(result, command, data):
    """One edit, as Postfix's cleanup(8) makes it."""
    if command == b"e":
        sender, parameters = (_text(text) for text in (data + b"\0\0").split(b"\0")[:2])
        result.envid = parameters.removeprefix("ENVID=") or None
        result.sender = sender if sender.strip("<>") != result.given.strip("<>") else None
    elif command == b"h":
        name, value = data.split(b"\0")[:2]
        result.headers.append((_text(name), _text(value)))
    elif command == b"m":
        (index,) = struct.unpack(">I", data[:4])
        name, value = (_text(text) for text in data[4:].split(b"\0")[:2])
        _change_header(result.headers, name, index, value)
    elif command == b"-":
        result.deleted_recipients.append(_text(data.rstrip(b"\0")))
    elif command in (b"+", b"2"):
        address, _, parameters = _text(data.rstrip(b"\0")).partition("\0")
        result.added_recipients.append((address, parameters))
    else:
        raise AssertionError(f"an edit that nobody asked for: {command} {data!r}")


def _change_header(headers, name, index, value):
    places = [place for place, (label, _) in enumerate(headers) if label.lower() == name.lower()]
    if index > len(places):
        assert value, f"deletes {name} number {index}, there are {len(places)}"
        headers.append((name, value))
    elif value:
        headers[places[index - 1]] = (headers[places[index - 1]][0], value)
    else:
        del headers[places[index - 1]]
