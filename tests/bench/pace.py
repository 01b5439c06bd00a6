"""Whether mail leaves at exactly the speed that the limits allow.

    make bench BENCH=pace [BENCH_SECONDS=60]

    backlog     300 messages of one account against 30 per period (BENCH_SECONDS, 60 as Microsoft has it), and five of
                another account behind them
    reopening   messages that a longer limit keeps in Postfix's deferred queue, with Postfix's own next attempt five
                minutes away: how long after the limit's reopening the first, and the last, of them has gone
    paused      5,000 messages in the queue of an account whose login fails: how long until all of them are set aside,
                and how long after the account works again until they begin to go

A real Postfix, the transport and the stand-in, which enforces the same limits strictly. Times are those of the
stand-in's journal. The ideal is the stand-in's own window: message number n may come when n / 30 periods, rounded down,
have passed. post365 keeps post365_quota_guard (here a sixtieth of the period, as its default is of a minute) away from it.
Nothing about time is asserted: the exit status is not 0 only if a message was refused, lost or doubled.
"""

import argparse
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.report import WrongAnswers, machine, print_table  # noqa: E402
from harness import client, message, processes, workplace  # noqa: E402
from harness.office365 import Office365  # noqa: E402
from harness.relay import PASSWORD, UPN, Relay  # noqa: E402

OTHER = "other@example.com"
NONE = {"limit": 1000000, "period": 1}
LIMIT = 30
BACKLOG, BEHIND = 300, 5
DAY_LIMIT = 20
SLOW = {"minimal_backoff_time": "300s", "maximal_backoff_time": "4000s", "queue_run_delay": "300s"}
QUEUED = 5000


def standin(place, name, **limits):
    """Enforces these limits, and no others."""
    settings = {"limits": {"recipients": NONE, "messages": NONE, **limits}}
    return place.add(Office365(place.directory / name, mailboxes={UPN: {"password": PASSWORD}, OTHER: {"password": "other"}},
                               **settings)).start()


def relay_of(place, name, office365, parameters=None, **post365):
    relay = Relay(place.directory / f"{name}-relay", office365, post365=post365, transport=(UPN, OTHER),
                  passwords={UPN: f"{UPN}:{PASSWORD}", OTHER: f"{OTHER}:other", f"[localhost]:{office365.port}":
                             f"{UPN}:{PASSWORD}"}, parameters={**SLOW, **(parameters or {})})
    return place.add(relay).start()


def submit(relay, sender, count):
    """Returns when it began."""
    began = time.time()
    for number in range(count):
        _, data = message.compose(f"From: {sender}\r\nTo: r{number}@dest.example\r\nSubject: x\r\n".encode(), b"hello\n")
        outcome = client.send(relay.postfix.smtp_port, sender, [f"r{number}@dest.example"], data)
        if not outcome.accepted:
            raise WrongAnswers(f"Postfix does not accept: {outcome}")
    return began


def times(office365, sender):
    """When the messages of this sender were accepted, ascending."""
    return sorted(entry["time"] for entry in office365.journal("accepted") if entry["sender"] == sender)


def drained(office365, sender, count, patience):
    """The times, when there are so many."""
    if not processes.wait_until(lambda: len(times(office365, sender)) >= count, patience, 0.5):
        raise WrongAnswers(f"{len(times(office365, sender))} of {count} messages have gone within {patience:.0f} s")
    found = times(office365, sender)
    refused = [entry for entry in office365.journal() if entry["event"] in ("refused", "rcpt-refused")]
    if len(found) != count or refused:
        raise WrongAnswers(f"{len(found)} of {count} messages have gone, refused: {refused[:3]}")
    return found


def backlog(place, period):
    guard = period / 60
    office365 = standin(place, "backlog", messages={"limit": LIMIT, "period": period})
    relay = relay_of(place, "backlog", office365, post365_message_quota=f"{LIMIT}/{period * 1000:.0f}ms",
                     post365_quota_guard=f"{guard * 1000:.0f}ms")
    submit(relay, UPN, BACKLOG)
    behind = submit(relay, OTHER, BEHIND)
    gone = drained(office365, OTHER, BEHIND, period)
    found = drained(office365, UPN, BACKLOG, BACKLOG / LIMIT * period * 3)
    relay.stop()
    ideal = (BACKLOG // LIMIT - 1) * period
    return {"period_s": period, "ideal_s": ideal, "took_s": round(found[-1] - found[0], 2),
            "of_ideal": round((found[-1] - found[0]) / ideal, 4), "slot_s": period / LIMIT,
            "others_last_s": round(gone[-1] - behind, 3)}


def reopening(place, period):
    """The limit is a "day" of one period."""
    guard = period / 60
    office365 = standin(place, "reopening", recipients={"limit": DAY_LIMIT, "period": period})
    relay = relay_of(place, "reopening", office365, post365_recipient_quota=f"{DAY_LIMIT}/{period * 1000:.0f}ms",
                     post365_message_quota="none", post365_quota_guard=f"{guard * 1000:.0f}ms", post365_max_wait="1s")
    submit(relay, UPN, 2 * DAY_LIMIT)
    found = drained(office365, UPN, 2 * DAY_LIMIT, 4 * period + 60)
    relay.stop()
    opens = [one + period for one in found[:DAY_LIMIT]]
    return {"period_s": period, "first_after_s": round(found[DAY_LIMIT] - opens[0], 2),
            "last_after_s": round(found[-1] - opens[-1], 2)}


def paused(place):
    """5,000 messages of an account whose password is wrong; then it is put right."""
    office365 = standin(place, "paused")
    relay = relay_of(place, "paused", office365, {"smtpd_client_restrictions": "static:HOLD"}, post365_message_quota="none",
                     post365_recipient_quota="none")
    submit(relay, UPN, QUEUED)
    office365.set_mailbox(UPN, password="changed")
    began = time.time()
    relay.postfix.command("postsuper", "-r", "ALL")
    relay.postfix.flush()
    if not processes.wait_until(lambda: len(set_aside(relay)) == QUEUED, 300, 1):
        raise WrongAnswers(f"{len(set_aside(relay))} of {QUEUED} messages are set aside: {relay.transport.log()[-2000:]}")
    aside = time.time() - began
    attempts = relay.transport.log().count("account=<")
    logins = len(office365.journal("auth"))
    office365.set_mailbox(UPN, password="mended")
    mended = time.time()
    relay.postfix.table("sasl_passwd", {UPN: f"{UPN}:mended", f"[localhost]:{office365.port}": f"{UPN}:mended"}, mode=0o644)
    found = drained(office365, UPN, QUEUED, 900)
    relay.stop()
    return {"messages": QUEUED, "set_aside_s": round(aside, 1), "attempts_at_the_transport": attempts, "logins": logins,
            "first_after_s": round(found[0] - mended, 1), "all_after_s": round(found[-1] - mended, 1)}


def set_aside(relay):
    return [entry for entry in relay.postfix.queue() if entry["queue_name"] == "deferred"
            and any(recipient.get("delay_reason") for recipient in entry["recipients"])]


PARTS = {"backlog": backlog, "reopening": reopening}


def main():
    parser = argparse.ArgumentParser(prog="make bench BENCH=pace", description=__doc__.partition("\n")[0])
    parser.add_argument("mode")
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    part = options.mode.partition("-")[2]
    results = {}
    with workplace.Workplace("bench") as place:
        results["machine"] = machine(place.directory)
        for name, run in PARTS.items():
            if part in ("", name):
                results[name] = run(place, options.seconds)
        if part in ("", "paused"):
            results["paused"] = paused(place)
    for name, figures in results.items():
        if name != "machine":
            print_table(name, ("", "measured"), list(figures.items()))
    path = workplace.BUILD / "bench" / "pace.json"
    path.write_text(json.dumps(results, indent=2) + "\n")
    print(f"\nThe figures are in {path}")


if __name__ == "__main__":
    main()
