"""post365 history: what was sent, against the limit."""

import json
import re

import pytest
from test_ctl import UPN, reserve, run
from test_policyd import Policyd

from harness import workplace
from harness.ledger import Ledger
from harness.terminal import Terminal

PROGRAM = workplace.BUILD / "post365"
NOW = 1764165930  # Wed Nov 26 14:05:30 UTC 2025
HOUR = 3600
TICKS = r" *(\d*) ([┤│⋮└])(.*)"


@pytest.fixture
def ledger(place):
    """Makes a ledger with this past."""
    made = []

    def make(sent, **options):
        made.append(Ledger(place.directory / f"ledger{len(made)}", NOW, sent, **options))
        return made[-1]
    yield make
    for one in made:
        one.stop()


def show(ledger, *words, lines=24, columns=80, environment=None):
    """What a terminal shows, and what was written."""
    with Terminal([PROGRAM, "-c", ledger.etc, "history", *words, UPN], lines, columns,
                  {"TZ": "UTC", **(environment or {})}) as terminal:
        assert terminal.wait_end() == 0, terminal.process.stderr.read()
        shown = terminal.shown()
        assert max(len(line) for line in terminal.raw_lines()) <= columns, terminal.raw
        return shown, terminal.raw


def plot(shown):
    """(number beside it or None, axis, columns) of each line of the plot, from the top."""
    found = [re.fullmatch(TICKS, line) for line in shown.splitlines()]
    return [(int(match[1]) if match[1] else None, match[2], match[3]) for match in found if match]


def column(shown, i):
    """A column's signs from the floor up."""
    return "".join(line[2].ljust(200)[i] for line in reversed(plot(shown)) if line[1] in "┤│").rstrip()


def test_it_rises_to_the_limit_and_falls_again(ledger):
    """5000 at 10:xx, 5000 at 12:xx: half of it counts until 10:xx tomorrow."""
    shown, _ = show(ledger([(4 * HOUR, 5000, 10), (2 * HOUR, 5000, 10)]))
    rows = plot(shown)
    assert rows[0] == (10000, "┤", "━" * 48) and rows[-1][:2] == (0, "└")
    assert [row[0] for row in rows if row[0] is not None] == [10000, 5000, 0]
    height = len(rows) - 2
    heights = [len(column(shown, i).rstrip("━ ")) for i in range(48)]
    # Hour by hour: the present one, 14:00, is number 23.
    assert heights[:19] == [0] * 19 and heights[19:21] == [height // 2] * 2
    assert heights[21:43] == [height] * 22 and heights[43:45] == [height // 2] * 2 and heights[45:] == [0] * 3
    assert column(shown, 19).rstrip("━ ") == "█" * (height // 2)
    assert column(shown, 21).startswith("░" * (height // 2) + "█" * (height // 2))
    assert column(shown, 22).startswith("░" * height)
    assert "10000 of 10000 recipients are used in the last 1d" in shown
    assert "(what is older than 1d is not known)" in shown.replace("\n", " ")
    assert re.search(r"^ +18:00 00:00 06:00   now 18:00 00:00 06:00 12:00$", shown, re.M), shown


def test_what_is_far_below_the_limit_is_seen_nevertheless(ledger):
    shown, _ = show(ledger([(23 * HOUR, 3, 1), (HOUR, 300, 1)]))
    rows = plot(shown)
    assert (rows[0][0], rows[1][:2], rows[2][0]) == (10000, (None, "⋮"), 400)
    assert column(shown, 0).rstrip("━ ") == "▁" and "█" in column(shown, 22)


def test_more_than_the_limit_passes_its_line(ledger):
    shown, raw = show(ledger([(HOUR, 150, 1)], limits={"recipients": ("100", 86400)}))
    line = next(row for row in plot(shown) if row[0] == 100)
    assert line[2] == "━" * 22 + "█" + "░" * 23 + "━" * 2 and plot(shown)[0][0] == 150
    assert "\x1b[31m" in raw and "\x1b[31m" not in show(ledger([(HOUR, 80, 1)], limits={"recipients": ("100", 86400)}))[1]


def test_a_use_with_more_digits_than_the_limit_fits(ledger):
    for columns in (20, 56, 60, 80):
        shown, _ = show(ledger([(HOUR, 1000, 1)], limits={"recipients": ("99", 86400)}), lines=40, columns=columns)
        assert plot(shown)[0][0] == 1000


def test_messages_by_minute(ledger):
    """14:05 has 15 of 30, 13:35 had 30; nothing is expected."""
    shown, _ = show(ledger([(20, 1, 15), (30 * 60, 1, 30)]), "--minutes")
    rows = plot(shown)
    height = len(rows) - 2
    assert rows[0] == (30, "┤", "━" * 60)
    assert column(shown, 59).rstrip("━ ") == "█" * (height // 2) and column(shown, 29).startswith("█" * height)
    assert [i for i in range(60) if column(shown, i).strip(" ━")] == [29, 59]
    assert "15 of 30 messages are used in the last 1m" in shown and "not known" not in shown
    assert re.search("^ +13:15 +13:30 +13:45 +now$", shown, re.M)


@pytest.mark.parametrize("lines, columns", [(24, 80), (50, 200), (10, 30), (5, 20)])
@pytest.mark.parametrize("words", [(), ("--minutes",)])
def test_it_fits(ledger, lines, columns, words):
    past = [(hour * HOUR + 7, 100, 1) for hour in range(24)] + [(minute * 60 + 5, 1, minute % 30) for minute in range(60)]
    shown, raw = show(ledger(past), *words, lines=max(lines, 40), columns=columns)
    assert "now" in shown and plot(shown)
    if lines >= 24:
        shown, raw = show(ledger(past), *words, lines=lines, columns=columns)
        assert raw.count("\n") < lines and UPN in shown


def test_without_utf8_and_without_colour(ledger):
    shown, raw = show(ledger([(HOUR, 9500, 1)]), environment={"LC_ALL": "C", "NO_COLOR": "1"})
    assert raw.isascii() and "\x1b" not in raw
    assert re.search(r"^10000 \+=+$", shown, re.M) and "# sent in that hour; : sent before" in shown
    assert re.search(r"^ 5000 \+ +#:+$", shown, re.M)


def test_no_limit_and_one_that_says_nothing_about_hours(ledger):
    for limit in (("none", 0), ("50", 60)):
        shown, _ = show(ledger([(HOUR, 250, 1)], limits={"recipients": limit}))
        rows = plot(shown)
        assert "━" not in shown and "░" not in shown and rows[0][0] == 400 and len(rows[-1][2]) == 24 * 3
    assert "There is no limit to its recipients." in show(ledger([(HOUR, 1, 1)], limits={"recipients": ("none", 0)}))[0]


def test_a_half_hour_zone_and_summer_time_have_their_labels(ledger):
    shown, _ = show(ledger([(HOUR, 5000, 1)]), environment={"TZ": "Asia/Kolkata"})
    assert re.search(r"^ +\d\d:30 ", shown, re.M)


def test_room_and_pause_are_told(ledger):
    sent = [(HOUR, 10000, 1)]
    shown, _ = show(ledger(sent, earliest=(NOW + 600) * 1000000))
    assert "room at 14:15:30 (in 10 min)" in shown
    shown, _ = show(ledger(sent, pause_since=NOW * 1000000, pause_failures=0, pause_cause="x"), columns=120)
    assert "it is paused, see post365 status" in shown


def test_a_real_ledger(place):
    policyd = place.add(Policyd(place.directory / "policyd", post365_meter="delivery", post365_recipient_quota="50/1h",
                                post365_message_quota="30/1m")).start()
    assert "Nothing was sent in the last 24 hours.\n0 of 50 recipients" in run("history", UPN, policyd=policyd).stdout
    assert "Nothing was sent in the last hour.\n" in run("history", "--minutes", UPN, policyd=policyd).stdout
    reserve(policyd, UPN, 20)
    reserve(policyd, UPN, 5)
    done = run("history", UPN, policyd=policyd)
    assert done.returncode == 0 and done.stdout.startswith(f"{UPN}\nRecipients by hour, limit 50/1h\n\n50 ┤━━━")
    assert "25 of 50 recipients are used in the last 1h" in done.stdout
    assert "2 of 30 messages" in run("history", "--minutes", UPN, policyd=policyd).stdout
    for words, length in ((("--minutes",), 60), ((), 3600)):
        slots = [json.loads(line) for line in run("history", "--json", *words, UPN, policyd=policyd).stdout.splitlines()]
        assert sum(slot["recipients"] for slot in slots) == 25 and sum(slot["messages"] for slot in slots) == 2
        assert all(slot["begin"] % length == 0 for slot in slots)
