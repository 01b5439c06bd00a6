#!/usr/bin/env python3
"""Run the unit tests (cmocka programs) and the integration tests (pytest) and count them together.

The last line is "N passed, N failed, N skipped"; the exit status is 0 only if nothing failed and
something passed.
"""
import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent
UNIT_TIMEOUT = 300


class Count:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def add(self, passed, failed, skipped):
        self.passed += passed
        self.failed += failed
        self.skipped += skipped

    def __str__(self):
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def run_unit_program(program, count):
    """One cmocka program; its output is shown only if something failed."""
    started = time.monotonic()
    try:
        result = subprocess.run([program], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                timeout=UNIT_TIMEOUT, stdin=subprocess.DEVNULL)
        output, status = result.stdout.decode(errors="replace"), result.returncode
    except subprocess.TimeoutExpired as expired:
        output, status = (expired.stdout or b"").decode(errors="replace"), "timeout"
    passed = len(re.findall(r"^\[ +OK +\]", output, re.M))
    # Each is named twice: where it ran, and in the list at the end.
    skipped = len(set(re.findall(r"^\[  SKIPPED +\] (?!\d+ test)(\S+)$", output, re.M)))
    failed = len(set(re.findall(r"^\[  FAILED  \] (?!\d+ test)(?:.*: )?(\S+)$", output, re.M)))
    if status != 0 and failed == 0:
        failed = 1
    if passed + failed + skipped == 0:
        failed, output = 1, output + "\nno test ran\n"
    count.add(passed, failed, skipped)
    verdict = "ok" if failed == 0 else f"FAILED (status {status})"
    print(f"{program.name}: {passed} passed, {failed} failed, {skipped} skipped, "
          f"{time.monotonic() - started:.1f} s: {verdict}", flush=True)
    if failed:
        print(output, flush=True)


def run_units(build, count):
    programs = sorted(path for path in (build / "tests").glob("test_*") if os.access(path, os.X_OK))
    if not programs:
        print(f"no unit test programs below {build}/tests", file=sys.stderr)
        count.add(0, 1, 0)
    for program in programs:
        run_unit_program(program, count)


def run_integration(build, count, arguments):
    environment = dict(os.environ, POST365_BUILD=str(build), PYTHONDONTWRITEBYTECODE="1")
    with tempfile.TemporaryDirectory() as directory:
        report = pathlib.Path(directory, "report.xml")
        status = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-ra", "--durations=10", "-p", "no:cacheprovider",
             f"--junitxml={report}", *(arguments or ["tests/integration"])],
            cwd=ROOT, env=environment, stdin=subprocess.DEVNULL).returncode
        if not report.exists():
            print(f"pytest ended with status {status} and no report", file=sys.stderr)
            count.add(0, 1, 0)
            return
        passed = failed = skipped = 0
        for suite in ElementTree.parse(report).getroot().iter("testsuite"):
            broken = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
            left_out = int(suite.get("skipped", 0))
            failed += broken
            skipped += left_out
            passed += int(suite.get("tests", 0)) - broken - left_out
        if status != 0 and failed == 0:
            failed = 1
        count.add(passed, failed, skipped)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default="build", help="where the programs are")
    parser.add_argument("--unit", action="store_true", help="the unit tests alone")
    parser.add_argument("pytest", nargs="*", help="arguments for pytest instead of tests/integration")
    options = parser.parse_args()
    os.umask(0o022)  # tests work as several users on the same files
    build, count = pathlib.Path(options.build).resolve(), Count()
    run_units(build, count)
    if not options.unit:
        run_integration(build, count, options.pytest)
    print(count)
    return 0 if count.failed == 0 and count.passed > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
