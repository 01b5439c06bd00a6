"""What became of each recipient of a storm: delivered once, reported, or more than that, and then why.

Three witnesses: the stand-in's journal (what arrived, and whose reply got lost), Postfix's log (what it knew to be
delivered, and when), and the reports in the senders' mailbox.

A delivery may happen twice only where nobody can know of the first one. Such a death is

    a reply lost    the stand-in accepted, and its reply did not get through
    a kill          transport or Postfix ended before Postfix had noted what was accepted
    forgotten       Postfix ended after pickup(8) had a message queued and before it removed what sendmail(1) had
                    left; or after it had put down that a recipient is to be reported, and before it had noted that

Each is found without looking at what was doubled, and counted by transactions.
"""

import email
import re
from collections import Counter, defaultdict
from dataclasses import dataclass

_DELIVERY = re.compile(r"^.{15} \S+ [^\[:]+\[\d+\]: (?P<queue_id>\w+): to=<(?P<recipient>[^>]*)>, .*?"
                       r"status=(?P<status>\w+) \((?P<reply>.*)\)$")
GONE = "lost connection with"
MAYBE = "it may have been delivered"
# The rows of the stand-in that are about this message or recipient, for good. All others pass.
PERMANENT = {"multiple-from", "invalid-from", "too-large", "header-too-large", "unknown-recipient", "unknown-user",
             "recipient-limit"}
_REFUSALS = ("mail-refused", "rcpt-refused", "data-refused", "refused")


@dataclass(frozen=True)
class Kill:
    """`logged`: how much Postfix had logged before. `undone`: of Postfix itself, the recipients that its queue files
    still had to do when it had ended."""
    name: str
    begun: float
    ended: float
    restarted: float
    logged: int
    undone: frozenset = frozenset()


@dataclass(frozen=True)
class Logged:
    """A delivery as Postfix's log tells it, at its place there."""
    place: int
    queue_id: str
    status: str
    reply: str


class Books:
    def __init__(self, attempts, journal, log, transport_log, kills, reports, rows):
        self.attempts = {recipient: attempt for attempt in attempts for recipient in attempt.recipients}
        self.messages = len(attempts)
        self.kills = kills
        self.rows = rows
        self.journal = journal
        self.accepted = [entry for entry in journal if entry["event"] == "accepted"]
        self.logged = defaultdict(list)
        self._read_log(log)
        self.gone = set(re.findall(r": 250 .*?(<[^ >]+>).*\(Postfix has gone\)$", transport_log, re.M))
        self.reported = self._read_reports(reports)
        self.began, self.ended = {}, {}
        for entry in journal:
            if entry["event"] == "connect":
                self.began[entry["connection"]] = entry["time"]
            elif entry["event"] == "disconnect":
                self.ended[entry["connection"]] = entry["time"]
        self.injected, self.genuine = self._refusals()
        self.deliveries = defaultdict(list)  # recipient: entries
        for entry in self.accepted:
            for recipient in entry["recipients"]:
                self.deliveries[recipient].append(entry)
        self.deaths = self._deaths()

    # --- witnesses ---

    def _read_log(self, log):
        place = 0
        for line in log.split("\n"):
            place += len(line.encode()) + 1
            match = _DELIVERY.match(line)
            if match:
                self.logged[match["recipient"]].append(
                    Logged(place, match["queue_id"], match["status"], match["reply"]))

    @staticmethod
    def _read_reports(directory):
        """The recipients that senders were told not to have been reached."""
        found = set()
        for path in directory.glob("**/new/*"):
            with open(path, "rb") as file:
                report = email.message_from_binary_file(file)
            for part in report.walk():
                if part.get_content_type() == "message/delivery-status":
                    found |= {block["Final-Recipient"].partition(";")[2].strip() for block in part.get_payload()
                              if block["Action"] == "failed"}
        return found

    def _refusals(self):
        """(those that a fault ordered: {recipient: rows}, those that the stand-in meant)."""
        ordered, injected, genuine = {}, defaultdict(set), []
        for entry in self.journal:
            if entry["event"] == "fault":
                ordered[entry["connection"]] = entry
            elif entry["event"] in _REFUSALS:
                fault = ordered.pop(entry["connection"], None)
                if not self._is_order(fault, entry):
                    genuine.append(entry)
                    continue
                for recipient in refused_recipients(entry):
                    injected[recipient].add(self.rows.get(fault["fault"], ""))
        return injected, genuine

    def _is_order(self, fault, entry):
        """Whether this fault is why something was refused. At the end of the data the verdict is the stand-in's own
        even if nobody hears it, unless the fault says otherwise."""
        if fault is None or fault["stage"] != entry["stage"]:
            return False
        if fault["stage"] == "dot":
            return fault["fault"] in self.rows
        return fault["action"] not in ("none", "trickle")

    # --- deaths ---

    def _deaths(self):
        """{name of the accepted message: why Postfix may not know}."""
        found = {}
        for entry in self.accepted:
            if not entry["known"]:
                found[entry["message"]] = "reply lost"
            elif self._message_id(entry) in self.gone:
                found[entry["message"]] = "Postfix had gone"
            else:
                for kill in self.kills:
                    if self._is_open(entry, kill):
                        found[entry["message"]] = f"{kill.name} killed"
                        break
        return found

    @staticmethod
    def _message_id(entry):
        return "".join(entry["headers"]["Message-ID"]).strip()

    def _is_open(self, entry, kill):
        """Whether it had been accepted when the program was killed, and Postfix did not know that then."""
        if kill.name == "postfix":
            return entry["time"] <= kill.ended and any(recipient in kill.undone for recipient in entry["recipients"])
        if kill.name == "transport" and self.began[entry["connection"]] <= kill.begun:
            return any(self._is_unheard(recipient, kill.logged) for recipient in entry["recipients"])
        return False

    def _is_unheard(self, recipient, logged):
        """Not delivered as far as Postfix knew, and what it notices next is that the transport has gone. Microsoft may
        have closed the connection already: the reply was on its way through the transport."""
        before = [one for one in self.logged[recipient] if one.place <= logged]
        after = [one for one in self.logged[recipient] if one.place > logged]
        return not any(one.status == "sent" for one in before) and bool(after) and GONE in after[0].reply

    def by_kill(self, entry):
        """A reply that got lost since the transport had ended."""
        return any(kill.name == "transport" and self.began[entry["connection"]] < kill.begun
                   and self.ended.get(entry["connection"], kill.begun) >= kill.begun - 0.01
                   and entry["time"] <= kill.restarted for kill in self.kills)

    def forgotten(self, recipient):
        """How often Postfix, killed, has forgotten about this recipient what nobody else knows: that pickup(8) has
        queued the message, or that a report is on its way."""
        kills = [kill for kill in self.kills if kill.name == "postfix"]
        queued = len({one.queue_id for one in self.logged[recipient]})
        again = max(0, queued - 1) if kills and self.attempts[recipient].mail.by_sendmail else 0
        return again + sum(recipient in kill.undone and any(one.status == "bounced" and one.place <= kill.logged
                                                            for one in self.logged[recipient]) for kill in kills)

    # --- verdicts ---

    def wrong(self):
        """All that should not be, a line each."""
        found = []
        for recipient, attempt in self.attempts.items():
            found += self._judge(recipient, attempt)
        found += [f"{recipient} got mail that nobody sent" for recipient in self.deliveries
                  if recipient not in self.attempts]
        found += self._damaged() + self._untold()
        return found

    def _judge(self, recipient, attempt):
        entries = self.deliveries[recipient]
        times = len(entries) + (recipient in self.reported)
        if times == 0 and attempt.is_sure:
            return [f"{recipient} is lost: {[(one.status, one.reply[:200]) for one in self.logged[recipient]]}"]
        wrong = []
        if recipient in self.reported and not (recipient.endswith("@" + attempt.mail.gone)
                                               or self.injected[recipient] & PERMANENT):
            wrong.append(f"{recipient} was returned for {[one.reply for one in self.logged[recipient]][-1:]}")
        earlier = entries if recipient in self.reported else entries[:-1]
        idle = [entry for entry in earlier if entry["message"] not in self.deaths]
        if len(idle) > self.forgotten(recipient):
            seen = [(entry["message"], entry["time"], entry["known"]) for entry in entries]
            wrong.append(f"{recipient} was reached {times} times, although {idle[0]['message']} was known to have "
                         f"arrived: {seen} {self.logged[recipient]}")
        return wrong

    def _damaged(self):
        return [f"{entry['message']} arrived damaged" for entry in self.accepted
                if entry["body_sha256"] != self.attempts[entry["recipients"][0]].body_sha256]

    def _untold(self):
        """Replies that got lost, and not by a kill: Postfix must have been told so, unless it was killed itself."""
        found = []
        for entry in self.accepted:
            if entry["known"] or self.by_kill(entry) or self._is_shadowed(entry):
                continue
            if not any(MAYBE in one.reply for recipient in entry["recipients"] for one in self.logged[recipient]):
                found.append(f"{entry['message']}: its reply got lost, and Postfix was not told \"{MAYBE}\"")
        return found

    def _is_shadowed(self, entry):
        return any(kill.name in ("postfix", "transport") and kill.begun - 5 <= entry["time"] <= kill.restarted
                   for kill in self.kills)

    def doubled(self):
        """Transactions that delivered what was delivered again, or reported, later."""
        found = set()
        for recipient, entries in self.deliveries.items():
            last = len(entries) if recipient in self.reported else len(entries) - 1
            found |= {entry["message"] for entry in entries[:max(0, last)]}
        return found

    def over(self):
        """Refusals for quota, rate, connections or recipients that nobody ordered."""
        return [f"{entry['event']} {entry.get('mailbox')} {entry['time']}: {entry['reply']}" for entry in self.genuine
                if not (entry["event"] == "rcpt-refused" and "5.1.1" in str(entry["reply"]))]

    def figures(self):
        sure = [recipient for recipient, attempt in self.attempts.items() if attempt.is_sure]
        maybe = {attempt.message_id for attempt in self.attempts.values() if not attempt.is_sure}
        extra = sum(len(entries) - 1 for entries in self.deliveries.values() if entries)
        return (f"{self.messages - len(maybe)} messages taken, {len(maybe)} perhaps; {len(sure)} recipients of those "
                f"taken: "
                f"{sum(1 for recipient in sure if self.deliveries[recipient])} delivered, "
                f"{sum(1 for recipient in sure if recipient in self.reported)} reported; "
                f"{len(self.accepted)} transactions accepted, "
                f"{sum(entry['size'] for entry in self.accepted) >> 20} MB; kills "
                f"{dict(Counter(kill.name for kill in self.kills))}; deaths {dict(Counter(self.deaths.values()))}; "
                f"{len(self.doubled())} transactions doubled, {extra} recipients twice")


def refused_recipients(entry):
    """Whom a refusal concerns."""
    if entry["event"] == "rcpt-refused":
        return [entry["recipient"]["address"]] if "recipient" in entry else []
    return entry.get("recipients", [])


def most_in_any(entries, period, amount):
    """The most that any interval of the period's length holds."""
    window, used, most, first = [], 0, 0, 0
    for entry in entries:
        window.append(entry)
        used += amount(entry)
        while entry["mono"] - window[first]["mono"] >= period:
            used -= amount(window[first])
            first += 1
        most = max(most, used)
    return most
