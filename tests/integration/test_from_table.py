"""What became of each row of tests/unit/from_table.h, read by Python's email package."""

import os
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tests" / "unit"))

import check_from_table  # noqa: E402

PROGRAM = Path(os.environ.get("POST365_BUILD", REPOSITORY / "build")) / "tests" / "test_rewrite"


@pytest.fixture(scope="module")
def rows():
    if not PROGRAM.exists():
        pytest.fail(f"{PROGRAM} is missing: run make unit-programs")
    return list(check_from_table.rows(PROGRAM))


def problems(rows, check):
    found = []
    for row in rows:
        try:
            check(row)
        except AssertionError as error:
            found.append(f"{row['about']}: {error}")
    return found


def test_the_table_holds_many_rows_and_most_of_them_are_changed(rows):
    assert len(rows) >= 170
    assert sum(row["touched"] for row in rows) >= 130


def test_no_header_is_born(rows):
    assert problems(rows, check_from_table.check_headers) == []


def test_lines_are_folded_within_limits(rows):
    assert problems(rows, check_from_table.check_lines) == []


def test_one_mailbox_is_left_and_the_account_may_send_as_it(rows):
    assert problems(rows, lambda row: check_from_table.check_person(row, "From")) == []


def test_a_sender_that_is_left_is_one_that_the_account_may_send_as(rows):
    with_sender = [row for row in rows if check_from_table.values(row["after"], "Sender")]
    assert with_sender
    assert problems(with_sender, lambda row: check_from_table.check_person(row, "Sender")) == []


def test_display_names_are_kept_octet_by_octet(rows):
    kept = [row for row in rows if row["keeps_name"]]
    assert len(kept) >= 80
    assert problems(kept, check_from_table.check_names) == []


def test_replies_can_go_somewhere(rows):
    assert problems(rows, check_from_table.check_reply_to) == []
