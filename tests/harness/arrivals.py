"""What reached the stand-in, as its journal tells."""

from dataclasses import dataclass

from .office365 import exact


@dataclass(frozen=True)
class Arrival:
    """One message that the stand-in accepted or refused at the end of DATA."""
    entry: dict

    @property
    def sender(self):
        return self.entry["sender"]

    @property
    def recipients(self):
        """Those that were accepted at RCPT."""
        return self.entry["recipients"]

    @property
    def reply(self):
        return self.entry["reply"]

    @property
    def body_sha256(self):
        return self.entry["body_sha256"]

    @property
    def message_id(self):
        """Without the white space around it; "" if there is none."""
        values = self.fields("Message-ID")
        return values[0].decode("ascii", "replace") if values else ""

    def fields(self, name):
        """The values of all headers of that name, as bytes, unfolded, without the white space
        around them. Of From, Sender, Reply-To, To, Subject, Message-ID, X-Post365-Original,
        Auto-Submitted and X-Auto-Response-Suppress."""
        return [exact(value).replace(b"\r\n", b"").strip(b" \t") for value in self.entry["headers"][name]]

