"""How fast mail leaves through the transport, beside Postfix's own SMTP client, and what memory large messages take.

    make bench BENCH=transport [BENCH_MESSAGES=N] [BENCH_ROUNDS=N]

    transport             all that follows
    transport-account     one account on loopback
    transport-accounts    20 accounts by sender, 20 ms of round-trip delay (see network.py)
    transport-memory      50 messages of 100 MB at once
    transport-headers     messages with headers of 1 to 100 kB, without Postfix; with BENCH_BEFORE=DIR beside the
                          transport of another build directory, round by round: `git worktree add --detach /tmp/before
                          COMMIT && make -C /tmp/before all`, then BENCH_BEFORE=/tmp/before/build

How it is measured: everything runs in a network namespace of its own. Each relay has a private Postfix; a backlog of
small messages is put into its queue on hold, then let go, and its speed is that from the first acceptance to the last
in the stand-in's journal. The relays take turns, round after round; a ratio is that of two neighbours in one round, and
what is printed is the median of the rounds. The stand-in refuses nothing, and its own ceiling is measured with a client
that does nothing else.

The relays: "recipe" is Postfix's smtp(8) as the usual recipe for Office 365 sets it up (TLS, AUTH); "tuned" keeps TLS
sessions and connections (see TUNED). Both open up to twenty connections, although Microsoft allows an account three.
"3 at once" is tuned, within that limit; "60 at once" is tuned, with as many as the transport may have for 20 accounts;
"a service each" is tuned, with 20 services in master.cf of three connections each: with authentication by sender the only
one that is certain to stay within the limit. The transport is as post365 is shipped: three connections an account,
milter, the ledger flushed to disk.

Figures go to stdout and to <build>/bench/transport.json. Nothing about time is asserted: the exit status is not 0 only
if a message was refused, lost or doubled.
"""

import argparse
import contextlib
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import mailers, network  # noqa: E402
from bench.mailers import Mailer, by_postfix, by_transport  # noqa: E402
from bench.report import WrongAnswers, machine, median_of, print_table, ratio  # noqa: E402
from harness import processes, programs, workplace  # noqa: E402

MEGABYTE = 1 << 20
ACCOUNTS = 20
CONNECTIONS = 3
DELAY = 20
LARGE, LARGE_SIZE = 50, 100 * 1000 * 1000
HEADER_CONNECTIONS, HEADER_SIZE = ACCOUNTS * CONNECTIONS, 100 * 1000
WARM_UP = 100
# What Postfix offers against the cost of a new connection.
TUNED = {"smtp_tls_session_cache_database": "btree:$data_directory/smtp_scache", "smtp_tls_connection_reuse": "yes"}
AT_ONCE = {name: str(ACCOUNTS * CONNECTIONS)
           for name in ("smtp_destination_concurrency_limit", "smtp_initial_destination_concurrency")}
FIGURES = ("per_second", "machine_busy", "machine_us", "office365_us")


class Bench:
    """A run: where it happens, how much of it, and what it has found."""

    def __init__(self, place, messages, rounds, before=None):
        self.place = place
        self.before = before
        self.messages = messages
        self.rounds = rounds
        self.results = {"machine": machine(place.directory), "messages": messages, "rounds": rounds}

    def directory(self, name):
        return self.place.directory / name

    def standin(self, name, upns, **settings):
        return self.place.add(mailers.standin(self.directory(name), upns, **settings)).start()

    def mailer(self, name, relay, upns):
        return self.place.add(Mailer(name, relay, upns)).start()


# --- speed -------------------------------------------------------------------

def take_turns(bench, subjects):
    """{name: figures of each round}; a first one is not counted."""
    runs = {subject.name: [] for subject in subjects}
    for turn in range(bench.rounds + 1):
        for subject in subjects:
            count = subject.fill(bench.messages if turn > 0 else WARM_UP)
            figures = subject.drain(count)
            if turn > 0:
                runs[subject.name].append(figures)
    return runs


def summarize(bench, runs):
    """A row for each relay, against each of the others in its own rounds."""
    ours = runs["transport"]
    rows = []
    for name, some in runs.items():
        row = {"relay": name, **{key: round(median_of(some, key), 2) for key in FIGURES},
               "logins": round(median_of(some, "logins")),
               "sending_per_account": max(one["sending_per_account"] for one in some)}
        if name != "transport":
            row["transport_is_times_faster"] = round(ratio(ours, some, "per_second"), 2)
        else:
            row |= {key: round(median_of(some, key)) for key in ours[0] if key.startswith("post365-")}
        rows.append(row)
    return {"messages": ours[0]["messages"], "rows": rows, "runs": runs}


def ceiling(office365, host, upns, connections, messages):
    """Messages a second that the stand-in takes from a client that does nothing else."""
    places = [(f"inet:{host}:{office365.port}", upn) for upn in upns]
    return mailers.deliver(places, connections=connections, messages=max(1, messages // connections),
                           submission=True)["per_second"]


def print_speed(title, figures):
    print_table(f"{title}, {figures['messages']:,} messages of {mailers.MESSAGE_SIZE:,} octets", (
        "relay", "messages/s", "transport, times", "logins", "at once, of an account", "machine busy", "machine us",
        "stand-in us"), [
            (row["relay"], f"{row['per_second']:,.0f}", row.get("transport_is_times_faster", ""), row["logins"],
             row["sending_per_account"], f"{row['machine_busy']:.0%}", f"{row['machine_us']:,.0f}",
             f"{row['office365_us']:,.0f}") for row in figures["rows"]])
    ours = next(row for row in figures["rows"] if row["relay"] == "transport")
    print(f"\nOf processor time a message: post365-transport {ours['post365-transport_us']} us, post365-policyd "
          f"{ours['post365-policyd_us']} us. The stand-in alone takes {figures['standin_per_second']:,.0f} messages/s"
          + (f", the transport without Postfix {figures['without_postfix_per_second']:,.0f}"
             if "without_postfix_per_second" in figures else "") + ".")


def one_account(bench):
    """One account on loopback."""
    upns = mailers.accounts(1)
    office365 = bench.standin("o1", upns)
    relays = {"recipe": by_postfix(bench.directory("a1"), office365, "localhost", upns),
              "tuned": by_postfix(bench.directory("a2"), office365, "localhost", upns, **TUNED),
              "3 at once": by_postfix(bench.directory("a3"), office365, "localhost", upns, **TUNED,
                                      smtp_destination_concurrency_limit=str(CONNECTIONS)),
              "transport": by_transport(bench.directory("a4"), office365, "localhost", upns)}
    subjects = [bench.mailer(name, relay, upns) for name, relay in relays.items()]
    figures = summarize(bench, take_turns(bench, subjects))
    figures["standin_per_second"] = ceiling(office365, "127.0.0.1", upns, CONNECTIONS, 3 * bench.messages)
    figures["without_postfix_per_second"] = mailers.deliver(
        mailers.account_places(relays["transport"], upns), connections=CONNECTIONS, messages=bench.messages)["per_second"]
    for subject in subjects:
        subject.stop()
    print_speed("One account on loopback", figures)
    bench.results["account"] = figures


def many_accounts(bench):
    """20 accounts by sender, far away."""
    upns = mailers.accounts(ACCOUNTS)
    distance = bench.place.add(network.Distance(bench.place.directory, DELAY)).start()
    office365 = bench.standin("o2", upns, listen=f"{network.HERE}:0", hostnames=[network.FAR])
    relays = {"recipe": by_postfix(bench.directory("b1"), office365, network.FAR, upns),
              "tuned": by_postfix(bench.directory("b2"), office365, network.FAR, upns, **TUNED),
              "60 at once": by_postfix(bench.directory("b3"), office365, network.FAR, upns, **TUNED, **AT_ONCE),
              "a service each": by_postfix(bench.directory("b4"), office365, network.FAR, upns, **TUNED,
                                           **mailers.service_each(office365, network.FAR, upns, CONNECTIONS)),
              "transport": by_transport(bench.directory("b5"), office365, network.FAR, upns)}
    subjects = [bench.mailer(name, relay, upns) for name, relay in relays.items()]
    figures = summarize(bench, take_turns(bench, subjects))
    figures["round_trip_ms"] = round(network.measure_round_trip(office365.port), 1)
    figures["standin_per_second"] = ceiling(office365, network.HERE, upns, ACCOUNTS * CONNECTIONS, 3 * bench.messages)
    for subject in (*subjects, distance):
        subject.stop()
    print_speed(f"{ACCOUNTS} accounts by sender, {figures['round_trip_ms']} ms round trip", figures)
    bench.results["accounts"] = figures


# --- memory ------------------------------------------------------------------

def memory(bench):
    """Large messages at once, through the sockets of so many accounts that each has its connections."""
    upns = mailers.accounts(-(-LARGE // CONNECTIONS))
    office365 = bench.standin("o3", upns)
    relay = bench.place.add(by_transport(bench.directory("c1"), office365, "localhost", upns))
    relay.policyd.start()
    relay.transport.start()
    before = mailers.status(relay.transport.pid, "VmRSS")
    journal = mailers.Journal(office365)
    done = mailers.deliver(mailers.account_places(relay, upns), connections=LARGE, messages=1, size=LARGE_SIZE)
    figures = {"messages": LARGE, "octets": LARGE_SIZE, "accounts": len(upns), "together": done["together"],
               "megabytes_per_second": round(done["octets_per_second"] / 1e6), "accepted": journal.count(),
               "memory_before_mb": round(before / MEGABYTE, 1),
               "peak_memory_mb": round(mailers.status(relay.transport.pid, "VmHWM") / MEGABYTE, 1)}
    relay.stop()
    if figures["accepted"] != LARGE:
        raise WrongAnswers(f"{figures['accepted']} of {LARGE} large messages were accepted")
    print_table("Large messages at once, the transport's memory", [head.replace("_", " ") for head in figures],
                [figures.values()])
    bench.results["memory"] = figures


# --- long headers ------------------------------------------------------------

@contextlib.contextmanager
def built_in(directory):
    """Daemons that are made here are those of another build directory."""
    here, programs.Daemon.build = programs.Daemon.build, directory
    try:
        yield
    finally:
        programs.Daemon.build = here


def headers(bench):
    """The header is held back and judged, and nothing is changed. The same ledger and stand-in for both builds would
    share what one has left behind: each has its own."""
    upns = mailers.accounts(ACCOUNTS)
    builds = {"now": workplace.BUILD, **({"before": bench.before} if bench.before else {})}
    relays = {}
    for name, build in builds.items():
        office365 = bench.standin(f"h{name}", upns)
        with built_in(build):
            relays[name] = bench.place.add(by_transport(bench.directory(f"d{name}"), office365, "localhost", upns))
        relays[name].policyd.start()
        relays[name].transport.start()
        sockets = [Path(place.removeprefix("unix:")) for place, _ in mailers.account_places(relays[name], upns)]
        processes.wait_until(lambda paths=sockets: all(path.exists() for path in paths), 30)
    runs = {name: [] for name in builds}
    for turn in range(bench.rounds + 1):
        for name in list(builds)[::1 if turn % 2 else -1]:
            relay = relays[name]
            usage = mailers.Usage([relay.office365, relay.transport, relay.policyd])
            each = max(1, (bench.messages if turn > 0 else WARM_UP) // HEADER_CONNECTIONS)
            done = mailers.deliver(mailers.account_places(relay, upns), connections=HEADER_CONNECTIONS, messages=each,
                                   header=HEADER_SIZE)
            if turn > 0:
                runs[name].append({**done, **usage.figures(each * HEADER_CONNECTIONS)})
    rows = [{"build": name, "messages": sum(one["messages"] for one in some),
             "per_second": round(median_of(some, "per_second"), 1),
             "transport_us": round(median_of(some, "post365-transport_us")),
             "peak_memory_mb": round(mailers.status(relays[name].transport.pid, "VmHWM") / MEGABYTE, 1)}
            for name, some in runs.items()]
    figures = {"rows": rows, "runs": runs}
    if bench.before:
        figures["times_before"] = round(ratio(runs["now"], runs["before"], "per_second"), 3)
    for relay in relays.values():
        relay.stop()
    print_table(f"Headers of 1 to {HEADER_SIZE // 1000} kB, {HEADER_CONNECTIONS} at once over {ACCOUNTS} accounts",
                [head.replace("_", " ") for head in rows[0]], [row.values() for row in rows])
    bench.results["headers"] = figures


# --- what is aimed at --------------------------------------------------------

def print_aims(results):
    """What was measured beside what is aimed at. The other relays are no recipe, but show where the difference comes
    from."""
    lines = []
    for part, title, aim in (("account", "one account", ">= 1.0"), ("accounts", f"{ACCOUNTS} accounts", ">= 3")):
        rows = results[part]["rows"] if part in results else ()
        lines += [(f"{title}, times Postfix's, {row['relay']}", aim if row["relay"] in ("recipe", "tuned") else "",
                   row["transport_is_times_faster"]) for row in rows if row["relay"] != "transport"]
    if "times_before" in results.get("headers", ()):
        lines.append(("headers of 1 to 100 kB, times the build of before", ">= 0.95", results["headers"]["times_before"]))
    if "memory" in results:
        lines.append((f"{results['memory']['together']} messages of 100 MB at once, MB", "< 64",
                      results["memory"]["peak_memory_mb"]))
    print_table("What is aimed at", ("", "aim", "measured"), lines)


# --- the run -----------------------------------------------------------------

PARTS = {"transport-account": one_account, "transport-accounts": many_accounts, "transport-memory": memory,
         "transport-headers": headers}
MODES = {"transport": tuple(PARTS), **{name: (name,) for name in PARTS}}


def main():
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.partition("\n")[0])
    parser.add_argument("mode", choices=MODES, nargs="?", default="transport")
    parser.add_argument("--messages", type=int, default=2000, help="of a backlog")
    parser.add_argument("--rounds", type=int, default=5, help="a median is of so many figures")
    parser.add_argument("--before", type=Path, help="build directory of an older checkout, for transport-headers")
    arguments = parser.parse_args()
    if workplace.why_not():
        sys.exit(f"make bench: {workplace.why_not()}")
    network.enter()
    with workplace.Workplace("b", unique=True) as place:
        bench = Bench(place, arguments.messages, arguments.rounds, arguments.before)
        where = bench.results["machine"]
        print(f"{where['processor']}, {where['processors']} processors, Linux {where['kernel']}, queues and ledger on "
              f"{where['ledger_file_system']}, load average {where['load_average']:.2f}; {arguments.rounds} rounds of "
              f"{arguments.messages} messages")
        try:
            for name in MODES[arguments.mode]:
                PARTS[name](bench)
            print_aims(bench.results)
        except WrongAnswers as problem:
            sys.exit(f"\nmake bench: wrong answers: {problem}")
        finally:
            (workplace.BUILD / "bench" / "transport.json").write_text(json.dumps(bench.results, indent=1) + "\n")
    print(f"\nThe figures are in {workplace.BUILD / 'bench' / 'transport.json'}")


if __name__ == "__main__":
    main()
