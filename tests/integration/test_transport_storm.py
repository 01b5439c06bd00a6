"""Everything goes wrong at once: nothing is lost, nothing doubled that need not be, and no limit of Microsoft's is met.

`make test` sends a few messages, `make storm` two thousand. See storm.py for how to replay a run.
"""

from storm import ACCOUNTS, SEED, WEATHER, Storm, messages
from storm_books import QUOTA, most_in_any

COUNT = messages(60)
IS_FULL = COUNT >= 1000
KILLS = 45 if IS_FULL else 6
DRAIN = 900 if IS_FULL else 60
LIMITS = {
    "recipients": {"limit": 2500, "period": 20}, "messages": {"limit": 60, "period": 3},
    "recipients_per_message": 500, "connections": 3,
}


def rows_of(storm):
    """The names of all the replies of the stand-in that say no, or, in a short run, of some, in the seed's order."""
    names = sorted(storm.office365.replies())
    storm.random.shuffle(names)
    return names if IS_FULL else names[:2 * len(ACCOUNTS)]


def check(storm):
    books = storm.books()
    print(f"POST365_STORM_SEED={SEED}: {books.figures()}")
    wrong = books.wrong()
    assert not wrong, f"POST365_STORM_SEED={SEED}: {len(wrong)} wrong:\n" + "\n".join(wrong[:20])
    assert len(books.doubled()) <= len(books.deaths)
    return books


def test_nothing_is_lost_and_nothing_doubled(place):
    storm = Storm(place, COUNT, LIMITS).start()
    storm.break_out(WEATHER, 1 if IS_FULL else 3)
    rows = rows_of(storm)
    storm.run(rows=rows, kills=KILLS)
    storm.drain(DRAIN)
    books = check(storm)
    assert not books.over(), books.over()[:10]
