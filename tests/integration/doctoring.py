"""What the tests of `post365 doctor` share: a relay with a stand-in behind it, and what the doctor says of it.

    found = examine(relay)          # --json
    assert found.status == 1
    assert found["auth"]["verdict"] == "wrong"
"""

import base64
import contextlib
import json
import os
import re
import subprocess

from harness import command
from harness.command import PROGRAM
from harness.relay import PASSWORD

_SECRETS = [form for text in (PASSWORD, f"relay@example.com\0{PASSWORD}", f"\0relay@example.com\0{PASSWORD}")
            for form in (text, base64.b64encode(text.encode()).decode().rstrip("="))]
_CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f]")


class Examination:
    """What one run has said. `examination["auth"]` is the finding of that name, the only one or the only that is not
    ok."""

    def __init__(self, done, as_json):
        self.status, self.text, self.errors = done.returncode, done.stdout, done.stderr
        self.findings = [json.loads(line) for line in done.stdout.splitlines()] if as_json else []
        for secret in _SECRETS:
            assert secret not in self.text + self.errors, "a password is shown"
        assert not _CONTROL.search(self.text), "control characters are shown"

    def all(self, check):
        return [finding for finding in self.findings if finding["check"] == check]

    def __getitem__(self, check):
        found = self.all(check)
        bad = [finding for finding in found if finding["verdict"] not in ("ok", "note")]
        assert len(bad or found) == 1, f"{check}: {found}\n{self.text}\n{self.errors}"
        return (bad or found)[0]

    def verdict(self, check):
        return self[check]["verdict"]

    def not_ok(self):
        """The checks that are not ok, in order; notes are none."""
        return [finding["check"] for finding in self.findings if finding["verdict"] not in ("ok", "note")]


def run(relay, *words, options=(), program=PROGRAM, **popen):
    """The command as an admin would call it; `options` stand before the subcommand."""
    return subprocess.run([program, "-c", relay.postfix.config_directory, *options, "doctor", *words], text=True,
                          capture_output=True, timeout=200, check=False, cwd="/",
                          env={"PATH": "/usr/sbin:/usr/bin:/bin", "LC_ALL": "C.UTF-8", **popen.pop("environment", {})}, **popen)


def examine(relay, *words, **how):
    return Examination(run(relay, "--json", *words, **how), True)


def read(relay, *words, **how):
    """The same for people."""
    return Examination(run(relay, *words, **how), False)


def stamp(relay, upn, port=None):
    """Where the doctor keeps the time of its last login."""
    return command.login_stamp(port or relay.office365.port, upn)


def forget(relay, *accounts, port=None):
    """As if the doctor had never been there."""
    for upn in accounts:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(stamp(relay, upn, port))
    with contextlib.suppress(OSError):
        os.rmdir(os.path.dirname(stamp(relay, "", port)))


def state(*directories):
    """Everything that is in there, for comparing: {path: owner, mode, times and contents}."""
    found = {}
    for directory in directories:
        for root, directories_in, files in os.walk(directory):
            for name in [*directories_in, *files]:
                path = os.path.join(root, name)
                status = os.lstat(path)
                contents = b""
                if os.path.isfile(path):
                    with open(path, "rb") as file:
                        contents = file.read()
                found[path] = (status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns, contents)
    return found
