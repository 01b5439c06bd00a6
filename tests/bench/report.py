"""What the benchmarks say alike: where they ran, medians of rounds, tables."""

import os
import platform
import statistics
import sys
import time
from pathlib import Path


class WrongAnswers(Exception):
    """A server did not answer what it had to. What was measured means nothing."""


def machine(directory):
    """Where this was measured."""
    model = next((line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), platform.machine())
    return {"processor": model, "processors": len(os.sched_getaffinity(0)), "kernel": platform.release(),
            "ledger_file_system": file_system(directory), "load_average": os.getloadavg()[0],
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}


def file_system(directory):
    """The type of the file system that a directory lies in."""
    directory = str(Path(directory).resolve())
    best = ("", "unknown")
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, rest = line.partition(" - ")
        point = fields.split()[4]
        if (directory + "/").startswith(point.rstrip("/") + "/") and len(point) >= len(best[0]):
            best = (point, rest.split()[0])
    return best[1]


def median_of(runs, key):
    return statistics.median(run[key] for run in runs)


def ratio(runs, others, key):
    """The median of the rounds' ratios."""
    return statistics.median(one[key] / other[key] for one, other in zip(runs, others, strict=True) if other[key])


def print_table(title, heads, rows):
    """Left: the first column; right: all others."""
    cells = [[str(cell) for cell in line] for line in (heads, *rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(heads))]
    print(f"\n{title}\n")
    for line in cells:
        print("  ".join(cell.ljust(width) if i == 0 else cell.rjust(width)
                        for i, (cell, width) in enumerate(zip(line, widths, strict=True))).rstrip())
    sys.stdout.flush()
