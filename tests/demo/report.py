"""The page that the demo prints, and the promises that it checks.

For a reader who has never seen the project: first what is compared, then what became of the mail,
then why.
"""

import os
import re
import sys
from collections import Counter

from harness import message

from . import fate, traffic
from .fate import Fate
from .runs import DAY, MESSAGES, MINUTE, RECIPIENTS

SENDER_REFUSALS = ("5.7.60", "5.2.252", "5.7.512", "5.1.20")
UNKNOWN_USER = "550 5.1.1"
_WIDTH = 100


class Paper:
    """Where the page goes: colours on a terminal only, unless NO_COLOR is set."""

    _CODES = {"bold": "1", "good": "32", "bad": "31", "dim": "2"}

    def __init__(self, stream=sys.stdout):
        self.stream = stream
        self.terminal = stream.isatty()
        self._colours = self.terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        self._progress = 0

    def paint(self, text, style):
        return f"\033[{self._CODES[style]}m{text}\033[0m" if self._colours and style else text

    def line(self, text="", style=None):
        self._wipe()
        print(self.paint(text, style), file=self.stream, flush=True)

    def heading(self, text):
        self.line()
        self.line(text, "bold")
        self.line("-" * len(text), "dim")

    def progress(self, text):
        """One line that is replaced by the next on a terminal; elsewhere progress is left out."""
        if self.terminal:
            self._wipe()
            text = text[:_WIDTH]
            print(text, end="", file=self.stream, flush=True)
            self._progress = len(text)

    def _wipe(self):
        if self._progress:
            print("\r" + " " * self._progress + "\r", end="", file=self.stream)
            self._progress = 0


def print_setting(paper):
    paper.line("post365: the same mail through a relayhost for Microsoft 365, twice", "bold")
    paper.line(f"""
  A company relays through one mailbox, {traffic.UPN}. Cron jobs, monitoring, people, devices and
  applications hand their mail to Postfix; Postfix sends it to smtp.office365.com with the mailbox's
  password. Here a stand-in plays smtp.office365.com: it refuses what the real one refuses, in the
  same words and at the same point. Its clock is short, so that you need not wait for a day:

      {MESSAGES} messages per "minute" of {MINUTE} s
      {RECIPIENTS} recipients per "day" of {DAY} s
      3 connections at once

  Run 1 is Postfix as the usual recipe sets it up, run 2 is the same Postfix with post365. Postfix
  is real, and private to this demo: nothing of this machine's own mail system is touched.""")
    paper.line()


# --- what became of the mail -------------------------------------------------

# title, width, what is counted; a message that its sender still holds waits, too
_COLUMNS = (("delivered", 10, (Fate.DELIVERED,)), ("returned", 9, (Fate.RETURNED,)),
            ("waiting", 8, (Fate.DEFERRED, Fate.KEPT)), ("lost", 5, (Fate.LOST,)))


def print_fates(paper, runs):
    paper.heading("What became of the mail (counted per recipient)")
    paper.line(f"{'':31}{'run 1: without post365':^32} | {'run 2: with post365':^32}", "bold")
    titles = "".join(f"{title:>{width}}" for title, width, _ in _COLUMNS)
    paper.line(f"{'':26}{'sent':>5}{titles} | {titles}", "dim")
    all_records = [fate.records(run) for run in runs]
    for kind in (*traffic.KINDS, None):
        counts = [Counter(record.fate for record in records if kind in (None, record.mail.kind))
                  for records in all_records]
        _fate_row(paper, kind.description if kind else "together", sum(counts[0].values()), counts)
    _fate_row(paper, "Postfix's own reports", "",
              [Counter(report.fate for report in fate.reports(run).values()) for run in runs])
    paper.line("""
  returned  refused for good, and the sender has Postfix's report
  waiting   in Postfix's queue, or its sender was told to try later
  lost      nobody has it, and nobody was told""", "dim")
    _print_causes(paper, all_records)
    return all_records


def _print_causes(paper, all_records):
    """For each kind of mail the last reply that each recipient's copy met, if any, most frequent
    first."""
    paper.heading("The replies that it met on its way")
    for number, records in enumerate(all_records, 1):
        paper.line(f"  run {number}", "bold")
        for kind in traffic.KINDS:
            met = Counter(_said(record) for record in records if record.mail.kind is kind and record.reply)
            lost = sum(record.fate is Fate.LOST for record in records if record.mail.kind is kind)
            if met:
                replies = ", ".join(f"{count} x {reply}" for reply, count in met.most_common())
                outcome = paper.paint(f"{lost} lost", "bad") if lost else paper.paint("none lost", "good")
                paper.line(f"  {kind.description:24} {replies}: {outcome}")


def _said(record):
    match = re.search(r"\b[45]\d\d \d\.\d+\.\d+", record.reply)
    return match[0] if match else _short(record.reply, 40)


def _fate_row(paper, name, sent, counts):
    cells = []
    for count in counts:
        cells.append("")
        for title, width, fates in _COLUMNS:
            number = sum(count[one] for one in fates)
            style = {"lost": "bad", "delivered": "good"}.get(title) if number else "dim"
            cells[-1] += paper.paint(f"{number or '-':>{width}}", style)
    paper.line(f"  {name:24}{sent:>5}{cells[0]} | {cells[1]}")


# --- what Microsoft said -----------------------------------------------------

def code_of(reply):
    """"550 5.7.60 SMTP; Client ..." -> "550 5.7.60"."""
    match = re.match(r"\d{3}(?: \d\.\d+\.\d+)?", reply)
    return match[0] if match else reply[:20]


def refusals(run):
    """Counter of the stand-in's replies that said no, by code."""
    return Counter(code_of(entry["reply"]) for entry in run.relay.refused())


def print_replies(paper, runs):
    paper.heading("What Microsoft said no to")
    texts = {}
    for run in runs:
        for entry in run.relay.refused():
            texts.setdefault(code_of(entry["reply"]), entry["reply"])
    counts = [refusals(run) for run in runs]
    paper.line(f"  {'run 1':>7}{'run 2':>8}   reply", "dim")
    for code in sorted(texts, key=lambda code: (-counts[0][code], code)):
        text = re.sub(r" \[[^]]*\]$", "", texts[code])
        numbers = [f"{count[code] or '-':>7}" for count in counts]
        sender = code.partition(" ")[2] in SENDER_REFUSALS
        text = paper.paint(_short(text, _WIDTH - 20), "bad" if sender else None)
        paper.line(f"  {numbers[0]} {numbers[1]}   {text}")
    paper.line("""
  5.7.60, 5.2.252, 5.7.512 and 5.1.20 are about the sender. 554 5.2.0 and 554 5.4.1 are a limit that
  was reached: that passes in a while, but the code says "permanent", so Postfix gives up at once.
  With post365 a message is sent when there is room for it; what is refused then is an address that
  does not exist.""")


def _short(text, width):
    return text if len(text) <= width else text[:width - 3] + "..."


# --- From: before and after --------------------------------------------------

def print_headers(paper, run):
    paper.heading("From: as it was sent, and as it arrived in run 2")
    arrivals = {arrival.message_id: arrival for arrival in run.relay.accepted()}
    for mail in run.mails:
        if mail.kind in (traffic.BURST, traffic.UNDELIVERABLE, traffic.CRON) and mail.id != "cron-1":
            continue  # one is like the other
        sent = b" / ".join(message.fields(mail.data, "From")) or b"(none)"
        arrival = arrivals.get(mail.message_id)
        paper.line(f"  {mail.kind.name:11} {_text(sent)}")
        if arrival is None:
            paper.line(f"  {'':11} did not arrive", "bad")
            continue
        now = b" / ".join(arrival.fields("From"))
        paper.line(f"  {'':11} {paper.paint('unchanged' if now == sent else _text(now), 'good')}")
        for value in arrival.fields("Reply-To"):
            paper.line(f"  {'':11} Reply-To: {_text(value)}", "dim")


def _text(value):
    return _short(value.decode("utf-8", "replace"), _WIDTH - 16)


# --- the queue ---------------------------------------------------------------

def print_queue(paper, run):
    paper.heading("The deferred queue of run 2, when it was longest")
    reasons = Counter()
    for queued in run.longest_queue:
        for recipient in queued["recipients"]:
            if queued["queue_name"] == "deferred":
                reasons[_reason(recipient.get("delay_reason", "no attempt yet"))] += 1
    if not reasons:
        paper.line("  nothing had to wait in Postfix's queue")
    for reason, number in reasons.most_common():
        paper.line(f"  {number:4}   {_short(reason, _WIDTH - 9)}")
    paper.line()
    left = sum(len(queued["recipients"]) for queued in run.queue)
    paper.line(f"  At the end {left or 'nothing'} {'are' if left else 'is'} left in the queue.")


def _reason(text):
    text = re.sub(r"^host \S+ said: ", "", text)
    return re.sub(r" \[[^]]*\](?= \(in reply|$)| \(in reply to .*\)$", "", text)


# --- the phone rings -----------------------------------------------------------

def print_screens(paper, run):
    paper.heading("What the admin sees, when mail waits: first for the limits, then for a switch at Microsoft's")
    _print_screens(paper, run.screens)


def print_last_day(paper, screens):
    paper.heading("The last day of passwords")
    paper.line("""
  Another company has two accounts: one logs in with OAuth2, by a certificate, the other with its
  password. Microsoft switches basic authentication off. This is what the admin sees, and types.""")
    _print_screens(paper, screens)


def _print_screens(paper, screens):
    for typed, seen in screens:
        paper.line()
        paper.line(f"  $ {typed}", "bold")
        for line in seen.splitlines():
            paper.line(f"  {line}")


# --- the promises ------------------------------------------------------------

def checks(runs, all_records):
    """[(what is promised, whether it holds, details)]."""
    plain, ours = runs
    before, after = (sum(number for code, number in refusals(run).items()
                         if code.partition(" ")[2] in SENDER_REFUSALS) for run in runs)
    arrivals = ours.relay.accepted()
    mails = {mail.message_id: mail for mail in ours.mails}
    known = [(arrival, mails[arrival.message_id]) for arrival in arrivals if arrival.message_id in mails]
    good_from = [arrival.fields("From") == [mail.arrives_from] for arrival, mail in known]
    good_reply = [arrival.fields("Reply-To") == ([mail.replies_to] if mail.replies_to else [])
                  for arrival, mail in known]
    good_sender = [_sender_is_right(arrival, mail) for arrival, mail in known]
    good_body = [arrival.body_sha256 == message.body_hash(mail.data) for arrival, mail in known]
    lost = [sum(record.fate is Fate.LOST for record in records) for records in all_records]
    open_ = sum(record.fate in (Fate.DEFERRED, Fate.KEPT) for record in all_records[1])
    twice = Counter((arrival.message_id, recipient)
                    for arrival in arrivals for recipient in arrival.recipients)
    limits = sum(number for code, number in refusals(ours).items()
                 if code != UNKNOWN_USER and code.partition(" ")[2] not in SENDER_REFUSALS)
    at_once = [outcome.attempts == 1 for outcome in ours.outcomes.values()]
    reports = list(fate.reports(ours).values())
    warned = ours.relay.postfix.command("postconf", "-n").stderr + ours.relay.postfix.check()
    return [
        ("without post365 senders are refused and mail is lost", before > 0 and lost[0] > 0,
         f"{before} refusals, {lost[0]} lost"),
        ("with it no sender is refused", after == 0, f"{after} refusals"),
        ("nothing is lost", lost[1] == 0, f"{lost[1]} lost"),
        ("nothing is left waiting", open_ == 0 and not ours.queue, f"{open_} waiting"),
        ("Microsoft's limits are never met", limits == 0, f"{limits} refusals"),
        ("no application is asked to come back", all(at_once), _of(at_once)),
        ("nothing arrives twice", max(twice.values(), default=0) == 1, f"{len(twice)} recipients"),
        ("envelope sender and Sender: are the account's or its alias's", all(good_sender), _of(good_sender)),
        ("From: is as it should be, display names byte for byte", all(good_from), _of(good_from)),
        ("replies go to the person", all(good_reply), _of(good_reply)),
        ("every body arrives unchanged, 8-bit and 32 kB lines included", all(good_body), _of(good_body)),
        ("who wrote to an unknown address is told so",
         [report.fate for report in reports] == [Fate.DELIVERED],
         f"{len(reports)} report{'s' * (len(reports) != 1)}"),
        ("postconf -n and postfix check have nothing to say", warned == "", warned.strip() or "silent"),
    ]


def _sender_is_right(arrival, mail):
    allowed = (traffic.UPN, *traffic.SEND_AS)
    wanted = mail.sender if mail.sender in allowed else traffic.UPN
    return arrival.sender == wanted and all(value.decode() in allowed for value in arrival.fields("Sender"))


def _of(flags):
    return f"{sum(flags)} of {len(flags)}"


def print_checks(paper, results):
    paper.heading("What post365 promises")
    for promise, holds, details in results:
        mark = paper.paint("yes", "good") if holds else paper.paint("NO ", "bad")
        paper.line(f"  {mark}  {promise:62} {paper.paint(details, 'dim')}")
