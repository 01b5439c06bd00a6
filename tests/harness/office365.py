"""The stand-in for smtp.office365.com (tests/office365/), started and stopped by a test.

    office365 = Office365(directory, mailboxes={"relay@example.com": {"password": "geheim"}})
    office365.start()
    ... port, ca_file, host ...
    office365.add_fault(stage="dot", action="drop", times=1)
    entry = office365.wait_for(lambda entry: entry["event"] == "accepted", timeout=5)
    office365.stop()

tests/office365/README.md lists settings, control commands and journal entries.
"""

import base64

from . import standin, workplace
from .standin import ControlError

__all__ = ["ControlError", "Office365", "exact"]


class Office365(standin.StandIn):
    """One stand-in below `directory`. `settings` are those of its config.json; unless they say otherwise it
    listens on a free port of 127.0.0.1, journals to <directory>/journal.jsonl, and answers a failed AUTH
    after 0.05 s instead of 5 s. `ca_file` is to be trusted, the certificate is good for "localhost" and
    "smtp.office365.com"."""

    host = "localhost"

    def __init__(self, directory, **settings):
        super().__init__("office365", [workplace.BUILD / "office365"], directory, {"late_answer": 0.05, **settings})
        self.ca_file = str(self.directory / "state" / "ca.pem")

    def keep_ports(self):
        self.settings.setdefault("listen", f"127.0.0.1:{self.port}")

    @property
    def port(self):
        return self.ready["port"]

    def set_mailbox(self, upn, **settings):
        """Changes (or makes) a mailbox of the running program."""
        self.control({"command": "set_mailbox", "mailbox": upn, "settings": settings})

    def reset(self):
        """Empties windows and counts."""
        self.control({"command": "reset"})

    def stats(self, mailbox=None):
        """The statistics of one mailbox, or the whole answer."""
        if mailbox is None:
            return self.control({"command": "stats"})
        return self.control({"command": "stats", "mailbox": mailbox})["mailboxes"][mailbox]

    def replies(self):
        """{name: {"stage": ..., "text": ...}} of all refusals that it knows."""
        return {row["name"]: row for row in self.control({"command": "replies"})["replies"]}

    def journal(self, event=None):
        """All entries so far (of this kind). `known` of a message tells whether its reply could be written, as far
        as is known by now."""
        entries = super().journal()
        lost = {entry["message"] for entry in entries if entry["event"] == "reply-lost"}
        for entry in entries:
            if "known" in entry:
                entry["known"] = entry["known"] and entry["message"] not in lost
        return [entry for entry in entries if event is None or entry["event"] == event]


def exact(value):
    """The bytes that a value of the journal stands for: a string is UTF-8, an object is base64."""
    return base64.b64decode(value["base64"]) if isinstance(value, dict) else value.encode()
