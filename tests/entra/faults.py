"""What goes wrong on demand: when, and what then happens instead of the ordinary answer.

The first fault in the order of their setting that fits and fires wins. `NAMED` are the troubles that each client of a
token endpoint meets some day, for tests that go through all of them.
"""

import fnmatch
import json
import random
import threading

from . import certificates, http
from .problem import Problem, take

_PIECE = b" " * 4096
STAGES = ("connect", "tls", "answer")
_WHEN = {"stage", "kind", "tenant", "client_id", "account", "skip", "every", "times", "probability"}
_ACTIONS = ("none", "drop", "reset", "silence", "cut", "half", "endless", "endless-header", "trickle", "garbage")
_WHAT = {"delay", "action", "certificate", "error", "status", "suberror", "text", "word", "headers", "body", "replace",
         "remove", "raw", "append", "token", "interval", "bytes", "commit", "named", "retry_after"}


def _plain(status, text, **further):
    return {"status": status, "headers": {"Content-Type": "text/plain"}, "body": text, **further}


_HTML = "<!DOCTYPE html><html><head><title>Sign in</title></head><body><form>Welcome to the guest network</form></body></html>"

# name: what a fault does. `raw` is a literal in place of a value of the JSON, `replace` a value.
NAMED = {
    "plain-401": _plain(401, "Unauthorized"),
    "plain-403": _plain(403, "Forbidden"),
    "plain-404": _plain(404, "Not Found"),
    "plain-408": _plain(408, "Request Timeout"),
    "plain-429": _plain(429, "Too many requests"),
    "plain-500": _plain(500, "Internal Server Error"),
    "plain-502": _plain(502, "Bad Gateway"),
    "plain-503": _plain(503, "Service Unavailable"),
    "plain-504": _plain(504, "Gateway Timeout"),
    "html": {"status": 200, "headers": {"Content-Type": "text/html"}, "body": _HTML},
    "empty": {"status": 200, "body": ""},
    "empty-400": {"status": 400, "body": ""},
    "redirect": {"status": 302, "headers": {"Location": "https://captive.example/login?next=token"}, "body": ""},
    "redirect-307": {"status": 307, "headers": {"Location": "https://captive.example/token"}, "body": ""},
    "array": {"status": 200, "body": "[]"},
    "number": {"status": 200, "body": "42"},
    "null": {"status": 200, "body": "null"},
    "deep": {"status": 200, "body": "[" * 5000 + "]" * 5000},
    "not-utf-8": {"raw": {"token_type": '"Bear\udcff"'}},
    "half": {"action": "half"},
    "cut": {"action": "cut"},
    "duplicate": {"append": '"expires_in": 5, "access_token": "another"'},
    "nul": {"raw": {"scope": '"a\x00b"'}},
    "nul-escaped": {"raw": {"token_type": '"Bearer\\u0000"'}},
    "expires-missing": {"remove": ["expires_in", "ext_expires_in"]},
    "expires-string": {"replace": {"expires_in": "3599"}},
    "expires-word": {"replace": {"expires_in": "soon"}},
    "expires-negative": {"replace": {"expires_in": -3599}},
    "expires-zero": {"replace": {"expires_in": 0}},
    "expires-huge": {"raw": {"expires_in": "1e18"}},
    "expires-long": {"raw": {"expires_in": "1000000000000000000"}},
    "expires-overflow": {"raw": {"expires_in": "99999999999999999999999999"}},
    "expires-float": {"raw": {"expires_in": "3599.5"}},
    "expires-null": {"replace": {"expires_in": None}},
    "expires-object": {"replace": {"expires_in": {"seconds": 3599}}},
    "token-crlf": {"replace": {"access_token": "eyJ0\r\nMAIL FROM:<evil@example.com>"}},
    "token-blank": {"replace": {"access_token": "eyJ0 eyJ0"}},
    "token-control": {"replace": {"access_token": "eyJ0\u0001auth=Bearer x"}},
    "token-not-ascii": {"replace": {"access_token": "eyJ0é"}},
    "token-huge": {"token": "huge"},
    "token-missing": {"remove": ["access_token"]},
    "token-empty": {"replace": {"access_token": ""}},
    "token-number": {"replace": {"access_token": 42}},
    "token-null": {"replace": {"access_token": None}},
    "type-missing": {"remove": ["token_type"]},
    "type-mac": {"replace": {"token_type": "mac"}},
    "refresh-missing": {"remove": ["refresh_token"]},
    "error-unknown-number": {"error": 9999999, "word": "invalid_client", "status": 401, "text": "Something that nobody has seen."},
    "error-unknown-word": {"error": 9999998, "word": "odd_weather", "status": 400, "text": "Something that nobody has seen."},
    "error-object": {"status": 400, "body": '{"error": {"code": "odd"}, "error_codes": "7000215"}'},
    "error-alone": {"status": 400, "body": '{"error": "invalid_client"}'},
    "error-none": {"status": 400, "body": "{}"},
    "endless": {"action": "endless"},
    "endless-header": {"action": "endless-header"},
    "trickle": {"action": "trickle"},
    "garbage": {"action": "garbage"},
    "silence": {"action": "silence"},
    "silence-at-connect": {"stage": "connect", "action": "silence"},
    "drop": {"action": "drop"},
    "drop-at-connect": {"stage": "connect", "action": "drop"},
    "reset": {"action": "reset"},
    **{f"certificate-{kind}": {"stage": "tls", "certificate": kind} for kind in certificates.WRONG},
}


class Fault:
    def __init__(self, number, value):
        value = dict(take(value, _WHEN | _WHAT, "a fault"))
        named = value.pop("named", None)
        if named is not None:
            if named not in NAMED:
                raise Problem(f'no fault is called "{named}"')
            value = {**NAMED[named], **value}
        if value.get("action", "none") not in _ACTIONS:
            raise Problem(f'"action" must be one of {", ".join(_ACTIONS)}')
        if "certificate" in value and value["certificate"] not in certificates.WRONG:
            raise Problem(f'"certificate" must be one of {", ".join(certificates.WRONG)}')
        self.number = number
        self.value = value
        self.stage = value.get("stage", "tls" if "certificate" in value else "answer")
        if self.stage not in STAGES:
            raise Problem(f'"stage" must be one of {", ".join(STAGES)}')
        if self.commit is False and self._spoils_true_answer():
            raise Problem('without effect there is no true answer: "commit": false needs an error, a body or an action')
        self.seen = self.hits = 0

    def __getattr__(self, name):
        return self.value.get(name)

    def fits(self, stage, who):
        """Whether it is about this occasion; `who`: kind, tenant, client_id, account as far as they are known."""
        return self.stage == stage and all(
            fnmatch.fnmatch((who.get(name) or "").lower(), self.value[name].lower())
            for name in ("kind", "tenant", "client_id", "account") if name in self.value)

    def fires(self, chance):
        """Counts an occasion that fits."""
        self.seen += 1
        if self.seen <= (self.skip or 0) or (self.times and self.hits >= self.times):
            return False
        if self.every and (self.seen - (self.skip or 0)) % self.every:
            return False
        if self.probability is not None and chance >= self.probability:
            return False
        self.hits += 1
        return True

    @property
    def commits(self):
        """Whether the request has its effect all the same. If nobody says so: when the true answer is needed."""
        if self.commit is not None:
            return self.commit
        return self._spoils_true_answer()

    def _spoils_true_answer(self):
        return self.body is None and self.error is None and self.value.get("action", "none") in (
            "none", "cut", "half", "trickle")


class Faults:
    """All that are set. Safe to use from any thread."""

    def __init__(self, seed=365):
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._last = 0
        self._all = []

    def add(self, value):
        with self._lock:
            fault = Fault(self._last + 1, value)
            self._last += 1
            self._all.append(fault)
            return fault.number

    def remove(self, number):
        with self._lock:
            if not any(fault.number == number for fault in self._all):
                raise Problem("there is no such fault")
            self._all = [fault for fault in self._all if fault.number != number]

    def clear(self):
        with self._lock:
            self._all = []

    def describe(self):
        with self._lock:
            return [{**fault.value, "id": fault.number, "seen": fault.seen, "hits": fault.hits} for fault in self._all]

    def match(self, stage, **who):
        """The fault that fires at this occasion, None."""
        with self._lock:
            for fault in self._all:
                if fault.fits(stage, who) and fault.fires(self._random.random()):
                    return fault
        return None

    def octets(self, count):
        with self._lock:
            return self._random.randbytes(count)

    def act(self, fault, connection, data):
        """Writes what the fault leaves of `data`. Returns whether the connection goes on."""
        action = fault.action or "none"
        if action == "none":
            connection.write(data)
        elif action == "trickle":
            connection.trickle(data, fault.interval or 60)
        elif action == "reset":
            http.reset(connection.stream)
        elif action == "silence":
            connection.wait_for_end()
        elif action == "garbage":
            connection.write(self.octets(fault.bytes or 4096))
        elif action in ("half", "cut"):
            connection.write(_half(data, action == "half"))
        elif action.startswith("endless"):
            _without_end(connection, action == "endless-header")
        return action in ("none", "trickle")


def _half(data, honest):
    """Half of the body; `honest`: with a length that fits."""
    head, _, body = data.partition(b"\r\n\r\n")
    body, whole = body[:len(body) // 2], len(body)
    if honest:
        head = head.replace(b"Content-Length: %d" % whole, b"Content-Length: %d" % len(body))
    return head + b"\r\n\r\n" + body


def _without_end(connection, header):
    connection.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
    piece = b"X-Filler: " + _PIECE[:1000] + b"\r\n"
    if not header:
        connection.write(b"\r\n{\"token_type\":")
        piece = _PIECE
    while True:
        connection.write(piece)


def change(answer, fault):
    """The text of an answer's JSON with what the fault changes in it."""
    answer = {name: value for name, value in answer.items() if name not in (fault.remove or [])}
    answer.update(fault.replace or {})
    if fault.token == "huge":
        answer["access_token"] = "eyJ0" + "A" * (100 * 1024)
    parts = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in answer.items() if name not in (fault.raw or {})]
    parts += [f"{json.dumps(name)}: {literal}" for name, literal in (fault.raw or {}).items()]
    parts += [fault.append] if fault.append else []
    return ("{" + ", ".join(parts) + "}").encode(errors="surrogateescape")
