"""post365 setup and post365 doctor judge one relay by the same rules: what the one calls set up the other does not
call wrong, and the doctor sends nobody to setup in vain."""

import json
import re
from types import SimpleNamespace

import pytest
from doctoring import examine, read
from setup_shapes import ODD, SHAPES, applied, make, run_setup, undone

ALL = {**SHAPES, **ODD}
# What only a running relay has, or a file's mode.
BESIDE = {"milter-socket", "policy-socket", "transport-socket", "account-socket", "connect", "banner", "ehlo", "starttls", "tls",
          "certificate", "mechanisms", "auth", "ledger", "password-file", "address", "control-socket"}


@pytest.fixture(params=ALL)
def relay(request, place):
    shape = ALL[request.param]
    return SimpleNamespace(postfix=make(place, shape), shape=shape)


def told(relay):
    return [json.loads(line) for line in run_setup(relay.postfix, "--json").stdout.splitlines()]


def of_kind(rows, kind):
    return [row for row in rows if row["kind"] == kind]


def found_wrong(examination, *verdicts):
    return [finding for finding in examination.findings
            if finding["verdict"] in verdicts and finding["check"] not in BESIDE]


def check_that_warnings_have_remarks(examination, rows):
    """What is doubtful and stays is told by both."""
    said = " ".join(row["text"] for row in rows if row["kind"] in ("remark", "duty"))
    for finding in found_wrong(examination, "warning"):
        if finding["check"] in ("local-senders", "login-senders"):
            continue  # whom the admin trusts is no matter of what setup makes
        words = re.findall(r"(?:non_)?([a-z]+_[a-z_]+|mydestination)", finding["tried"])
        assert any(word in said for word in words), (finding, said)


def test_they_agree(relay):
    rows, shape = told(relay), relay.shape
    changes = {row["name"] for row in of_kind(rows, "change")}
    for name in (*shape.changed, *shape.removed):
        for key, port in {"{submission_port}": relay.postfix.submission_port, "{third_port}": 2}.items():
            name = name.replace(key, str(port))
        assert name in changes, rows
    for words in shape.remarked:
        assert any(words in row["text"] for row in rows if row["kind"] in ("remark", "duty")), rows
    # Setup would change something: the doctor is not content.
    assert changes and (found_wrong(examine(relay), "wrong", "warning") or "post365 setup shows" in read(relay).text)
    before = relay.postfix.contents()
    applied(relay.postfix)
    rows = told(relay)
    assert of_kind(rows, "change") == []
    examination = examine(relay)
    wrong = found_wrong(examination, "wrong")
    duties = of_kind(rows, "duty")
    # What is wrong still is the admin's, and setup says so, too.
    assert bool(wrong) == bool(duties), (wrong, duties)
    text = read(relay).text
    assert "post365 setup shows" not in text
    assert not ("set up already" in run_setup(relay.postfix).stdout and wrong), wrong
    assert not any(finding["check"] == "setup" for finding in examination.findings)
    check_that_warnings_have_remarks(examination, rows)
    undone(relay.postfix)
    assert relay.postfix.contents() == before
