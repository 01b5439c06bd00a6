"""How fast the policy service decides, and what it takes.

    make bench [BENCH=MODE] [BENCH_SECONDS=N]

    quick       throughput: the null server, policyd with post365_ledger_sync = no and yes; 1, 20 and 100 connections;
                1, 50 and 100,000 accounts; all granted and all refused; and the other policy services that are installed
    full        the same for longer, then history, memory and misbehaving
    throughput, others, history, memory, misbehaving    one of them
    soak        full load with everything expiring after ten seconds, BENCH_SECONDS (600) for each of sync no and yes

How it is measured: a closed loop (load.c) on one processor, the server on another. The servers of a table are all there
at the same time and take turns, round after round; a ratio is that of two neighbours in one round, and what is printed
is the median of the rounds. Latencies are medians of each round's percentile. Absolute figures are this machine's, and
those of what else ran on it.

Figures go to stdout and to <build>/bench/policy.json. Nothing about time is asserted: the exit status is not 0 only if
answers were wrong.
"""

import argparse
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import servers  # noqa: E402
from bench.report import WrongAnswers, machine, median_of, print_table, ratio  # noqa: E402
from bench.servers import Crowd, Null, Policyd, Probe, load  # noqa: E402
from harness import workplace  # noqa: E402

CONNECTIONS = (1, 20, 100)
ACCOUNTS = (1, 50, 100000)
DAY = 86400
MEGABYTE = 1 << 20
SOAK_PERIOD = "10s"
LONGEST = 5
# What full load of a day is spread over: nothing of it expires while it is measured.
PAST = 80000
CROWDS = (("idle", 5000), ("half", 5000), ("never-read", 100), ("vanish", 500), ("vanish-wait", 500))


class Bench:
    """A run: where it happens, for how long, and what it has found."""

    def __init__(self, place, mode, seconds, rounds):
        self.place = place
        self.mode = mode
        self.seconds = seconds
        self.rounds = rounds
        self.results = {"machine": machine(place.directory), "seconds": seconds, "rounds": rounds}

    def start(self, server):
        return self.place.add(server).start()

    def directory(self, name):
        path = self.place.directory / name
        path.mkdir()
        return path


def spent(runs):
    """Microseconds of the server's processor time for a decision."""
    decisions = sum(run["decisions"] for run in runs)
    return sum(run.get("server_processor_s", 0) for run in runs) / decisions * 1e6 if decisions else 0


def row(runs, floor=None):
    """What the rounds of one server say."""
    result = {key: median_of(runs, key) for key in ("per_second", "p50_us", "p99_us", "p999_us", "max_us", "longest_gap_us")}
    result["processor_us"] = round(spent(runs), 2)
    if floor is not None:
        result["of_floor"] = round(ratio(runs, floor, "per_second"), 3)
        result["p99_of_floor"] = round(ratio(runs, floor, "p99_us"), 2)
        result["processor_of_floor"] = round(spent(floor) / spent(runs), 3) if spent(runs) else None
    return result


# The last two are not disturbed by what else runs: the server's own processor time for a decision, and the floor's
# divided by it.
SERVER_HEADS = ("decisions/s", "of floor", "p50 us", "p99 us", "p99.9 us", "p99/floor", "cpu us", "of floor")


def server_cells(figures):
    return (f"{figures['per_second']:,.0f}", figures.get("of_floor", ""), f"{figures['p50_us']:.0f}",
            f"{figures['p99_us']:.0f}", f"{figures['p999_us']:.0f}", figures.get("p99_of_floor", ""),
            f"{figures['processor_us']:.2f}", figures.get("processor_of_floor", ""))


# --- throughput --------------------------------------------------------------

def throughput(bench):
    """The null server and policyd, side by side."""
    null = bench.start(Null(bench.directory("floor")))
    cells = []
    for accounts in ACCOUNTS:
        for outcome in ("granted", "refused"):
            cells += throughput_group(bench, null, accounts, outcome)
    null.stop()
    bench.results["throughput"] = cells
    compare_hot_account(bench, cells)


def compare_hot_account(bench, cells):
    """The two were measured one after the other: each counts relative to the floor of its own rounds."""
    hot = {(cell["connections"], cell["outcome"], cell["server"]): cell["of_floor"] for cell in cells
           if cell["accounts"] == 1 and cell["server"] != "floor"}
    bench.results["hot_account"] = [
        {"server": cell["server"], "connections": cell["connections"], "outcome": cell["outcome"],
         "of_50_accounts": round(hot[cell["connections"], cell["outcome"], cell["server"]] / cell["of_floor"], 3)}
        for cell in cells if cell["accounts"] == 50 and cell["server"] != "floor"]
    print_table("One hot account, decisions per second relative to 50 accounts", ("server", "connections", "", "ratio"),
                [(one["server"], one["connections"], one["outcome"], one["of_50_accounts"])
                 for one in bench.results["hot_account"]])


def throughput_group(bench, null, accounts, outcome):
    """All numbers of connections, on ledgers of their own."""
    directory = bench.directory(f"{accounts}-{outcome}")
    limit = servers.NO_LIMIT if outcome == "granted" else 1
    daemons = [bench.start(Policyd(directory, name=f"sync-{sync}", accounts=accounts, sync=sync,
                                   recipients=f"{limit}/1d")) for sync in ("no", "yes")]
    runs = {}
    for daemon in daemons:
        introduce(daemon, accounts)
    for _ in range(bench.rounds):
        for connections in CONNECTIONS:
            for server in (null, *daemons):
                expect = server.refused if outcome == "refused" and server is not null else server.granted
                runs.setdefault((connections, server.name), []).append(
                    load(server, expect, connections=connections, accounts=accounts, seconds=bench.seconds,
                         warm_up=bench.seconds / 10))
    for daemon in daemons:
        daemon.stop()
    cells = []
    for connections in CONNECTIONS:
        floor = runs[connections, null.name]
        for server in (null, *daemons):
            figures = row(runs[connections, server.name], None if server is null else floor)
            cells.append({"accounts": accounts, "outcome": outcome, "connections": connections,
                          "server": "floor" if server is null else f"policyd {server.name}", **figures})
    print_table(f"{accounts:,} account{'s' * (accounts > 1)}, all {outcome}",
                ("server", "connections", *SERVER_HEADS),
                [(cell["server"], cell["connections"], *server_cells(cell)) for cell in cells])
    return cells


def introduce(daemon, accounts):
    """Has every account send one message: it is known from then on, and has used a limit of one."""
    with servers.begin_load(daemon, connections=1 if accounts == 1 else 50, accounts=accounts, seconds=0.05,
                            prime=True) as process:
        process.communicate()
    if process.returncode != 0:
        raise WrongAnswers(f"{daemon.name}: not every account could send a message\n{daemon.log()[-2000:]}")


# --- other services ----------------------------------------------------------

def others(bench):
    """policyd and the other policy services: granted, 50 accounts."""
    directory = bench.directory("others")
    kinds = servers.others()
    bench.results["others"] = []
    if not kinds:
        print("\nNeither postfwd nor policyd-rate-limit is installed: they are not compared.")
        return
    daemons = [bench.start(Policyd(directory, name=f"sync-{sync}", accounts=50, sync=sync)) for sync in ("no", "yes")]
    daemons += [bench.start(kind(directory)) for kind in kinds]
    runs = {}
    for _ in range(bench.rounds):
        for connections in CONNECTIONS:
            for server in daemons:
                runs.setdefault((connections, server.name), []).append(
                    load(server, server.granted, connections=connections, accounts=50, seconds=max(bench.seconds, 1),
                         warm_up=0.1))  # some are too slow for less
    for server in daemons:
        server.stop()
    lines = []
    for connections in CONNECTIONS:
        for server in daemons[2:]:
            other = runs[connections, server.name]
            times = {daemon.name: round(ratio(runs[connections, daemon.name], other, "per_second"), 1)
                     for daemon in daemons[:2]}
            bench.results["others"].append({"server": server.name, "connections": connections, **row(other),
                                            "policyd_is_times_faster": times})
            lines.append((server.name, connections, f"{median_of(other, 'per_second'):,.0f}",
                          f"{median_of(other, 'p50_us'):.0f}", f"{median_of(other, 'p99_us'):.0f}",
                          times["sync-no"], times["sync-yes"]))
    print_table("Other policy services, 50 accounts, all granted", (
        "server", "connections", "decisions/s", "p50 us", "p99 us", "policyd sync-no, times", "sync-yes, times"), lines)


# --- cost of history ---------------------------------------------------------

def history(bench):
    """What a decision costs with 10 events of the account in the window, and with 10,000."""
    directory = bench.directory("history")
    accounts = 1000 if bench.mode != "quick" else 200
    few, many = (Policyd(directory, name=name, accounts=accounts) for name in ("10", "10000"))
    for daemon in (few, many):
        daemon.fill(accounts, int(daemon.name), PAST)
    bench.results["history"] = []
    for outcome in ("refused", "granted"):
        history_outcome(bench, (few, many), accounts, outcome)
    print_table(f"10,000 events in the window against 10 ({accounts:,} accounts, 100 connections, sync no)",
                ("outcome", "decisions/s with 10", "with 10,000", "cost, ratio", "processor time, ratio"),
                [(one["outcome"], f"{one['10']['per_second']:,.0f}", f"{one['10000']['per_second']:,.0f}",
                  one["cost_ratio"], one["processor_ratio"]) for one in bench.results["history"]])


def history_outcome(bench, daemons, accounts, outcome):
    """Refused: the window stays as full as it is. Granted: it grows while it is measured, by little."""
    runs = {daemon.name: [] for daemon in daemons}
    arguments = {daemon.name: list(daemon.arguments) for daemon in daemons}
    for daemon in daemons:
        if outcome == "refused":
            daemon.arguments += ["-o", f"post365_recipient_quota={daemon.name}/1d"]
        bench.start(daemon)
    for _ in range(2 * bench.rounds):
        for daemon in daemons:
            runs[daemon.name].append(load(daemon, daemon.granted if outcome == "granted" else daemon.refused,
                                          connections=100, accounts=accounts, seconds=min(bench.seconds, 0.5),
                                          warm_up=0.05))
    for daemon in daemons:
        daemon.stop()
        daemon.arguments = arguments[daemon.name]
    few, many = runs["10"], runs["10000"]
    bench.results["history"].append({
        "outcome": outcome, "accounts": accounts, "10": row(few), "10000": row(many),
        "added_per_account": round(sum(run["decisions"] for run in few) / accounts) if outcome == "granted" else 0,
        "cost_ratio": round(ratio(few, many, "per_second"), 3),
        "processor_ratio": round(spent(many) / spent(few), 3) if spent(few) else None})


# --- memory ------------------------------------------------------------------

def memory(bench):
    """Resident memory, ledger on disk and start-up with a full day, and with many idle accounts."""
    bench.results["memory"] = []
    for accounts, events in ((1000, 10000), (100000, 1), (1, 1)):
        daemon = Policyd(bench.directory(f"memory-{accounts}"), accounts=0)
        filled = daemon.fill(accounts, events, PAST)
        bench.start(daemon)
        figures = {"accounts": accounts, "events_per_account": events, "fill_s": round(filled, 1),
                   "start_s": round(daemon.start_seconds, 2), "memory_mb": round(daemon.memory() / MEGABYTE, 1),
                   "peak_memory_mb": round(daemon.peak_memory() / MEGABYTE, 1),
                   "disk_mb": round(daemon.disk() / MEGABYTE, 1)}
        daemon.kill()
        bench.start(daemon)
        figures["start_after_kill_s"] = round(daemon.start_seconds, 2)
        daemon.stop()
        bench.results["memory"].append(figures)
    heads = list(bench.results["memory"][0])
    print_table("Memory (the ledger's files are in the page cache at the start)",
                [head.replace("_", " ") for head in heads], [one.values() for one in bench.results["memory"]])


# --- clients that misbehave --------------------------------------------------

def misbehaving(bench):
    """Others' p99 beside clients that misbehave, against without them, round by round."""
    bench.results["misbehaving"] = []
    for sync in ("no", "yes"):
        directory = bench.directory(f"misbehaving-{sync}")
        daemon = bench.start(Policyd(directory, name=f"sync-{sync}", accounts=50, sync=sync))
        for kind, count in CROWDS:
            alone, beside = [], []
            for _ in range(bench.rounds):
                alone.append(misbehaving_run(bench, daemon))
                with Crowd(daemon, kind, count):
                    beside.append(misbehaving_run(bench, daemon))
            bench.results["misbehaving"].append({
                "server": f"policyd {daemon.name}", "kind": kind, "count": count, "alone": row(alone), "beside": row(beside),
                "p99_ratio": round(ratio(beside, alone, "p99_us"), 2),
                "throughput_ratio": round(ratio(beside, alone, "per_second"), 3)})
        daemon.stop()
    print_table("Beside clients that misbehave (20 connections, 50 accounts, granted)",
                ("server", "kind", "count", "p99 us alone", "beside", "p99, ratio", "decisions/s, ratio"),
                [(one["server"], one["kind"], one["count"], f"{one['alone']['p99_us']:.0f}", f"{one['beside']['p99_us']:.0f}",
                  one["p99_ratio"], one["throughput_ratio"]) for one in bench.results["misbehaving"]])


def misbehaving_run(bench, daemon):
    return load(daemon, daemon.granted, connections=20, accounts=50, seconds=bench.seconds, warm_up=bench.seconds / 10)


# --- soak --------------------------------------------------------------------

def soak(bench):
    """Full load with expiry running: memory, disk, pauses over time, and what the machine itself had its programs wait for."""
    bench.results["soak"] = []
    null = bench.start(Null(bench.directory("soak-floor")))
    floor = load(null, null.granted, connections=100, accounts=50, seconds=min(bench.seconds, 30))
    null.stop()
    lines, pauses, work = [], [], []
    for sync in ("no", "yes"):
        daemon = bench.start(Policyd(bench.directory(f"soak-{sync}"), name=f"sync-{sync}", accounts=50, sync=sync,
                                     recipients=f"{servers.NO_LIMIT}/{SOAK_PERIOD}",
                                     messages=f"{servers.NO_LIMIT}/{SOAK_PERIOD}",
                                     post365_metrics_listen=f"127.0.0.1:{servers.free_ports(1)[0]}"))
        with Probe(bench.place.directory / f"probe-{sync}") as probe:
            samples, whole = soak_run(bench, daemon, probe)
            time.sleep(2)  # the figures are published once a second
            longer = {bound: daemon.longer_than(bound) for bound in (0.025, 0.05)}
        daemon.stop()
        bench.results["soak"].append({"server": f"policyd {daemon.name}", "floor": floor, "whole": whole, "samples": samples,
                                      "longer_than": longer})
        lines += [soak_line(daemon, samples, part) for part in range(5)]
        pauses += pause_lines(daemon, samples)
        work += [(f"policyd {daemon.name}", name, *(longer[bound][name] for bound in longer)) for name in servers.WORK]
        print(f"\npolicyd {daemon.name}: {whole['per_second']:,} decisions/s, longest time without an answer "
              f"{whole['longest_gap_us'] / 1000:.1f} ms (floor {floor['longest_gap_us'] / 1000:.1f} ms in "
              f"{floor['seconds']:.0f} s)")
    print_table(f"Soak, everything expires after {SOAK_PERIOD}", (
        "server", "seconds", "decisions/s", "memory MB", "disk MB", "largest disk", "longest gap ms"), lines)
    print_table("How often what decisions wait for took long", ("server", "work", "> 25 ms", "> 50 ms"), work)
    print_table(f"The {LONGEST} longest gaps beside what the machine kept other programs waiting for then, ms", (
        "server", "second", "gap", "processor", "disk"), pauses)


def soak_run(bench, daemon, probe):
    samples = []
    with servers.begin_load(daemon, connections=100, accounts=50, seconds=bench.seconds,
                            interval=max(1.0, bench.seconds / 600)) as process:
        for line in process.stdout:
            figures = json.loads(line)
            if "actions" in figures:
                break
            samples.append({"per_second": figures["per_second"], "p99_us": figures["p99_us"],
                            "longest_gap_us": figures["longest_gap_us"], "memory": daemon.memory(), "disk": daemon.disk(),
                            **probe.take()})
    if process.returncode != 0 or set(figures["actions"]) != {daemon.granted}:
        raise WrongAnswers(f"{daemon.name}: {figures}\n{daemon.log()[-2000:]}")
    return samples, figures


def soak_line(daemon, samples, part):
    """A fifth of the time."""
    some = samples[len(samples) * part // 5:len(samples) * (part + 1) // 5] or samples[-1:]
    return (f"policyd {daemon.name}", f"fifth {part + 1}", f"{median_of(some, 'per_second'):,.0f}",
            f"{some[-1]['memory'] / MEGABYTE:.1f}", f"{some[-1]['disk'] / MEGABYTE:.1f}",
            f"{max(one['disk'] for one in some) / MEGABYTE:.1f}",
            f"{max(one['longest_gap_us'] for one in some) / 1000:.1f}")


def pause_lines(daemon, samples):
    """A wait at the seam of two seconds may be in either of them."""
    longest = sorted(range(len(samples)), key=lambda second: samples[second]["longest_gap_us"], reverse=True)[:LONGEST]
    return [(f"policyd {daemon.name}", second, f"{samples[second]['longest_gap_us'] / 1000:.1f}",
             *(f"{max(one[wait] for one in samples[max(0, second - 1):second + 2]) / 1000:.1f}"
               for wait in ("processor_us", "disk_us"))) for second in longest]


# --- what is aimed at --------------------------------------------------------

def print_aims(results):
    """What was measured beside what is aimed at."""
    lines = []
    cells = {(cell["server"], cell["accounts"], cell["connections"], cell["outcome"]): cell
             for cell in results.get("throughput", ())}
    for sync, aim in (("no", 0.60), ("yes", 0.40)):
        cell = cells.get((f"policyd sync-{sync}", 50, 100, "granted"))
        if cell:
            lines += [(f"throughput of the floor, sync {sync}", f">= {aim:.2f}", cell["of_floor"]),
                      (f"p99 of the floor's, sync {sync}", "<= 3", cell["p99_of_floor"])]
    lines += [(f"hot account against 50, {one['server']}", ">= 0.8", one["of_50_accounts"])
              for one in results.get("hot_account", ()) if (one["connections"], one["outcome"]) == (100, "granted")]
    lines += [(f"times {one['server']}, {server}", ">= 20", times) for one in results.get("others", ())
              if one["connections"] == 100 for server, times in one["policyd_is_times_faster"].items()]
    lines += [(f"cost with 10,000 events against 10, {one['outcome']}", "<= 1.2", one["cost_ratio"])
              for one in results.get("history", ())]
    for one in results.get("memory", ()):
        if one["events_per_account"] == 10000:
            lines += [("10 million events, memory MB", "< 400", one["memory_mb"]),
                      ("10 million events, disk MB", "< 1500", one["disk_mb"]),
                      ("10 million events, start-up s", "< 20", max(one["start_s"], one["start_after_kill_s"]))]
        elif one["accounts"] == 100000:
            lines.append(("100,000 idle accounts, memory MB", "< 100", one["memory_mb"]))
    lines += [(f"p99 beside {one['kind']}, {one['server']}", "<= 2", one["p99_ratio"])
              for one in results.get("misbehaving", ())]
    lines += [(f"longest time without an answer ms, {one['server']}", "<= 50", round(one["whole"]["longest_gap_us"] / 1000, 1))
              for one in results.get("soak", ())]
    print_table("What is aimed at (100 connections, granted, where nothing else is said)", ("", "aim", "measured"), lines)


# --- the run -----------------------------------------------------------------

PARTS = {"throughput": throughput, "others": others, "history": history, "memory": memory,
         "misbehaving": misbehaving, "soak": soak}
MODES = {"quick": ("throughput", "others"), "full": ("throughput", "others", "history", "memory", "misbehaving"),
         **{name: (name,) for name in PARTS}}
SECONDS = {"quick": 0.4, "full": 2.0, "soak": 600.0}


def main():
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.partition("\n")[0])
    parser.add_argument("mode", choices=MODES, nargs="?", default="quick")
    parser.add_argument("--seconds", type=float, help="for each figure")
    parser.add_argument("--rounds", type=int, help="a median is of so many figures")
    arguments = parser.parse_args()
    if workplace.why_not():
        sys.exit(f"make bench: {workplace.why_not()}")
    seconds = arguments.seconds or SECONDS.get(arguments.mode, 1.0)
    rounds = arguments.rounds or (3 if arguments.mode == "quick" else 5)
    with workplace.Workplace("bench", unique=True) as place:
        bench = Bench(place, arguments.mode, seconds, rounds)
        where = bench.results["machine"]
        print(f"{where['processor']}, {where['processors']} processors, Linux {where['kernel']}, the ledger on "
              f"{where['ledger_file_system']}, load average {where['load_average']:.2f}; {rounds} rounds of {seconds:g} s")
        try:
            for name in MODES[arguments.mode]:
                PARTS[name](bench)
            print_aims(bench.results)
        except WrongAnswers as problem:
            sys.exit(f"\nmake bench: wrong answers: {problem}")
        finally:
            (servers.PROGRAMS / "policy.json").write_text(json.dumps(bench.results, indent=1) + "\n")
    print(f"\nThe figures are in {servers.PROGRAMS / 'policy.json'}")


if __name__ == "__main__":
    main()
