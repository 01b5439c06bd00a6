"""What `post365 queue --summary` takes on a long queue.

    make bench BENCH=queue [BENCH_MESSAGES=100000] [BENCH_ROUNDS=7]

A real Postfix whose deferred queue holds that many messages of 20 accounts: copies of real queue files, with the reasons of
a dozen causes in the files beside them, each with a stamp of its own as Office 365 writes them. policyd runs, so that there is
a ledger to ask. In each round `postqueue -j >/dev/null` (the floor) and `post365 queue --summary >/dev/null` take turns;
the ratio is the median of the rounds' ratios. Memory is the largest resident set of post365 and postqueue in its rounds.
Nothing is asserted but that all messages are counted.
"""

import argparse
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.report import WrongAnswers, machine, print_table, ratio  # noqa: E402
from harness import processes, workplace  # noqa: E402
from harness.command import PROGRAM  # noqa: E402
from harness.office365 import Office365  # noqa: E402
from harness.relay import UPN, Relay  # noqa: E402

ACCOUNTS = [f"account{number}@example.com" for number in range(20)]
# As they stand in the queue; "host ..." is lmtp(8)'s, what follows is the transport's.
LMTP = "host relay.example.com[post365/accounts/{account}] said: "
SAID = "host smtp.office365.com said: "
REASONS = [
    LMTP + "450 4.7.1 {account} has used 30 of 30 messages per 1m; room at 14:05:00 (in 47 s) (in reply to DATA command)",
    LMTP + "450 4.7.1 {account} has used 9999 of 10000 recipients per 1d, this one needs 2; room at 14:05:00 (in 47 s)",
    LMTP + "450 4.7.1 {account} is paused until 14:05:00 (in 61 s): security-defaults: 435 4.7.139 " + SAID + "535 5.7.139 [{stamp}]",
    LMTP + "435 4.7.139 " + SAID + "535 5.7.139 Authentication unsuccessful, user is locked by your organization's security defaults "
           "policy. Contact your administrator. [{stamp}] (in reply to AUTH); security-defaults: Microsoft Entra admin centre, "
           "Identity, Overview, Properties, Manage security defaults: Disabled (in reply to end of DATA command)",
    LMTP + "454 4.2.0 " + SAID + "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; Failed to process message "
           "due to a permanent exception with message The message can't be submitted because the sender's submission quota was "
           "exceeded. [Hostname={stamp}] (in reply to end of DATA); submission-quota: Nothing (in reply to end of DATA command)",
    LMTP + "451 4.7.500 " + SAID + "451 4.7.500 Server busy. Please try again later from [1.2.3.4]. [{stamp}] (in reply to MAIL)",
    LMTP + "451 4.4.1 smtp.office365.com:587: no address answers: Connection refused (connect) (in reply to DATA command)",
    LMTP + "451 4.3.0 the sending quota cannot be checked now: post365-policyd is down: nobody listens",
    LMTP + "450 4.2.0 " + SAID + "450 4.2.0 something that nobody knows yet [{stamp}] (in reply to RCPT)",
    "connect to relay.example.com[post365/accounts/{account}]: Connection refused",
    "lost connection with smtp.office365.com[1.2.3.4] while sending message body",
    "mail transport unavailable",
]


def relay_of(place):
    """Mail is deferred at once, since no transport listens, and stays so."""
    office365 = place.add(Office365(place.directory / "office365", mailboxes={UPN: {"password": "well"}})).start()
    relay = place.add(Relay(place.directory / "relay", office365, transport=ACCOUNTS,
                            passwords={upn: f"{upn}:well" for upn in [UPN, *ACCOUNTS]}, post365={"post365_upn": UPN}, parameters={
                                "minimal_backoff_time": "40000s", "maximal_backoff_time": "40000s", "queue_run_delay": "20000s"}))
    for daemon in (relay.policyd, relay.milter):
        daemon.start()
    relay.postfix.start()
    return relay


def templates(relay):
    """A deferred message of each account: {account: (queue file, defer file)}"""
    for upn in ACCOUNTS:
        relay.postfix.sendmail(b"Subject: x\nTo: a@dest.example\n\nhello\n", "-f", upn, "a@dest.example")
    if not processes.wait_until(lambda: len(relay.postfix.queue()) == len(ACCOUNTS) and
                                all(message["queue_name"] == "deferred" for message in relay.postfix.queue()), 30, 0.2):
        raise WrongAnswers(relay.postfix.queue())
    spool = relay.postfix.queue_directory
    return {message["sender"]: tuple(spool / name / message["queue_id"][0] / message["queue_id"] for name in ("deferred", "defer"))
            for message in relay.postfix.queue()}


def copy(source, target, data):
    stat = source.stat()
    target.parent.mkdir(exist_ok=True)
    os.chown(target.parent, stat.st_uid, stat.st_gid)
    target.write_bytes(data)
    os.chown(target, stat.st_uid, stat.st_gid)
    target.chmod(stat.st_mode)


def fill(relay, count):
    chance = random.Random(365)
    made = {account: (files, files[0].read_bytes(), files[1].read_text()) for account, files in templates(relay).items()}
    spool, next_attempt = relay.postfix.queue_directory, time.time() + 40000
    for number in range(count - len(made)):
        account = ACCOUNTS[number % len(ACCOUNTS)]
        files, message, log = made[account]
        stamp = f"SY4P300CA{chance.randrange(10000):04}.AUSP300.PROD.OUTLOOK.COM 2026-11-26T14:00:00.000Z {chance.randrange(16**16):016X}"
        reason = chance.choice(REASONS).format(account=account, stamp=stamp)
        lines = [f"reason={reason}" if line.startswith("reason=") else f"<a@dest.example>: {reason}" if line.startswith("<") else line
                 for line in log.splitlines()]
        queue_id = f"{chance.randrange(1000000):05X}{number:06X}"
        target = spool / "deferred" / queue_id[0] / queue_id
        copy(files[0], target, message)
        copy(files[1], spool / "defer" / queue_id[0] / queue_id, "\n".join(lines).encode() + b"\n\n")
        os.utime(target, (next_attempt, next_attempt + number % 3600))


def timed(words):
    begun = time.monotonic()
    with open(os.devnull, "wb") as nowhere:
        status = subprocess.run(words, stdout=nowhere, timeout=600, check=False).returncode
    if status not in (0, 1):
        raise WrongAnswers(f"{words} ended with {status}")
    return {"seconds": time.monotonic() - begun}


def measure(relay, count, rounds):
    etc = relay.postfix.config_directory
    floor, ours = ["/usr/sbin/postqueue", "-c", etc, "-j"], [PROGRAM, "-c", etc, "queue", "--summary"]
    shown = subprocess.run([*ours, "--json"], capture_output=True, text=True, timeout=600, check=False)
    groups = [json.loads(line) for line in shown.stdout.splitlines()]
    if sum(group["messages"] for group in groups) != count:
        raise WrongAnswers(f"{sum(group['messages'] for group in groups)} of {count} messages are counted\n{shown.stderr}")
    timed(floor)
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    floors, runs = [], []
    for _ in range(rounds):
        floors.append(timed(floor))
        runs.append(timed(ours))
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return {"messages": count, "groups": len(groups), "causes": len({group["cause"] for group in groups}), "floor": floors,
            "summary": runs, "ratio": ratio(runs, floors, "seconds"), "largest_kB": peak, "largest_before_kB": before}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bench", choices=["queue"])
    parser.add_argument("--messages", type=int, default=100000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", help=argparse.SUPPRESS)
    options = parser.parse_args()
    with workplace.Workplace("bench", unique=True) as place:
        relay = relay_of(place)
        fill(relay, options.messages)
        found = {"machine": machine(place.directory), **measure(relay, options.messages, options.rounds)}
        shutil.rmtree(relay.postfix.queue_directory / "deferred", ignore_errors=True)
    print_table(f"post365 queue --summary, {found['messages']} messages, {found['groups']} groups, {found['causes']} causes",
                ["round", "postqueue -j", "summary", "ratio"],
                [[number + 1, f"{floor['seconds']:.2f} s", f"{run['seconds']:.2f} s", f"{run['seconds'] / floor['seconds']:.2f}"]
                 for number, (floor, run) in enumerate(zip(found["floor"], found["summary"], strict=True))])
    print(f"\nmedian of the ratios {found['ratio']:.2f}; the largest process had {found['largest_kB'] / 1024:.1f} MB")
    target = workplace.BUILD / "bench" / "queue.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
