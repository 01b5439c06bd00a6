"""A ledger with a past: answers `status` and `history` on post365_control_socket (docs/post365_control.5), at a time of its own.

A real post365-policyd has no yesterday when a test begins.
"""

import os
import shutil
import socket
import threading

LIMITS = {"recipients": ("10000", 86400), "messages": ("30", 60)}


class Ledger:
    """`sent` is (seconds before now, recipients, messages) of each message; `now` seconds since the epoch."""

    def __init__(self, directory, now, sent=(), limits=None, **status):
        self.now, self.sent, self.status = now, list(sent), status
        self.limits = {**LIMITS, **(limits or {})}
        self.etc = directory / "etc"
        place = directory / "spool" / "post365"
        for path in (self.etc, place):
            path.mkdir(parents=True)
        shutil.copy("/usr/share/postfix/master.cf.dist", self.etc / "master.cf")
        (self.etc / "main.cf").write_text(
            f"compatibility_level = 3.6\nqueue_directory = {directory}/spool\nrelayhost = [smtp.office365.com]:587\n"
            f"post365_upn = relay@contoso.com\n")
        os.utime(self.etc / "main.cf", (1, 1))  # one that has just changed is read again until it is quiet
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(place / "control"))
        self.listener.listen()
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.listener.close()

    def used(self, measure):
        limit, period = self.limits[measure]
        return sum(one[1 if measure == "recipients" else 2] for one in self.sent if limit == "none" or one[0] < period)

    def _serve(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            with peer, peer.makefile("rw", encoding="utf-8") as stream:
                request = {}
                for line in stream:
                    if line != "\n":
                        name, _, value = line.rstrip("\n").partition("=")
                        request[name] = value
                        continue
                    stream.write("".join(f"{name}={value}\n" for name, value in self._answer(request)) + "\n")
                    stream.flush()
                    request = {}

    def _answer(self, request):
        yield "result", "done"
        yield "account", request["account"]
        if request["request"] == "status":
            yield "now", self.now * 1000000
            for measure, (limit, period) in self.limits.items():
                yield f"{measure}_used", self.used(measure)
                yield f"{measure}_reserved", 0
                yield f"{measure}_limit", limit
                if limit != "none":
                    yield f"{measure}_period", period * 1000000
            yield from {"recipients_per_message": 500, "earliest": self.now * 1000000, "waiting": 0, **self.status}.items()
            return
        yield from (("slot", f"{begin} {recipients} {messages}") for begin, (recipients, messages) in self._slots(request))

    def _slots(self, request):
        """All on one page, though policyd would give at most 200."""
        length = 60 if request["per"] == "minute" else 3600
        slots = {}
        for age, recipients, messages in self.sent:
            time = self.now - age
            if time * 1000000 < int(request["from"]):
                continue
            before = slots.get(time - time % length, (0, 0))
            slots[time - time % length] = (before[0] + recipients, before[1] + messages)
        return [(begin * 1000000, slot) for begin, slot in sorted(slots.items())]
