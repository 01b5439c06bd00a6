"""Everything goes wrong at once: nothing is lost, nothing doubled that need not be, and no limit of Microsoft's is met.

`make test` sends a few messages, `make storm` two thousand. See storm.py for how to replay a run.
"""

from storm import ACCOUNTS, SEED, WEATHER, Outage, Storm, messages
from storm_books import most_in_any

FEW = 40
IS_FULL = messages(FEW) >= 1000
KILLS = 45 if IS_FULL else 3  # each program as often
DRAIN = 600 if IS_FULL else 60  # seconds
WIDE = {
    "recipients": {"limit": 2500, "period": 20}, "messages": {"limit": 60, "period": 3},
    "recipients_per_message": 500, "connections": 3,
}
# A minute of 2 s, an hour of 120 s, a "day" that the run fills several times; or, in a short run, less of everything.
NARROW = {
    "recipients": {"limit": 2000, "period": 20}, "messages": {"limit": 30, "period": 2},
    "recipients_per_message": 500, "connections": 3,
} if IS_FULL else {
    "recipients": {"limit": 75, "period": 3}, "messages": {"limit": 4, "period": 1},
    "recipients_per_message": 50, "connections": 2,
}
BUSY = ACCOUNTS if IS_FULL else ACCOUNTS[:2]
OUTAGE = 120 if IS_FULL else 2


def rows_of(storm):
    """The names of all the replies of the stand-in that say no, or, in a short run, of some, in the seed's order."""
    names = sorted(storm.office365.replies())
    storm.random.shuffle(names)
    return names if IS_FULL else names[:2 * len(ACCOUNTS)]


def check(storm):
    """Each recipient was reached once, or its sender knows; or somebody had to die."""
    books = storm.books()
    print(f"POST365_STORM_SEED={SEED}: {books.figures()}")
    wrong = books.wrong()
    assert not wrong, f"POST365_STORM_SEED={SEED}: {len(wrong)} wrong:\n" + "\n".join(wrong[:20])
    assert len(books.doubled()) <= len(books.deaths)
    return books


def check_never_over(storm, books):
    """The stand-in has refused nothing for quota, rate, connections or recipients, and by its journal no interval holds
    more than it may."""
    over = books.over()
    assert not over, f"POST365_STORM_SEED={SEED}: {len(over)} refusals, {storm.kills_told()}:\n" + "\n".join(over[:20])
    for upn in storm.accounts:
        mine = [entry for entry in books.accepted if entry["mailbox"] == upn]
        for name, amount in (("messages", lambda entry: 1), ("recipients", lambda entry: len(entry["recipients"]))):
            most = most_in_any(mine, storm.limits[name]["period"], amount)
            assert most <= storm.limits[name]["limit"], f"POST365_STORM_SEED={SEED}: {most} {name} of {upn}"
        assert max(len(entry["recipients"]) for entry in mine) <= storm.limits["recipients_per_message"]


def most_used(storm):
    """{name: the most that any account has used of it} as the stand-in tells."""
    stats = [storm.office365.stats(upn) for upn in storm.accounts]
    return {"messages": max(one["messages"]["max"] for one in stats),
            "recipients": max(one["recipients"]["max"] for one in stats),
            "connections": max(one["sending"]["max"] for one in stats)}


def test_nothing_is_lost_and_nothing_doubled(place):
    storm = Storm(place, messages(FEW), WIDE).start()
    storm.break_out(WEATHER, 1 if IS_FULL else 3)
    rows = rows_of(storm)
    storm.run(rows=rows, kills=KILLS)
    storm.drain(DRAIN)
    books = check(storm)
    print(f"{len(storm.admin.said)} of {len(rows)} rows were said")
    assert len(storm.admin.said) >= (len(rows) if IS_FULL else 1)
    assert {kill.name for kill in storm.kills} == {"transport", "policyd", "postfix"}
    assert books.deaths or not IS_FULL  # a short run may be spared
    check_never_over(storm, books)


def test_no_limit_is_ever_exceeded(place):
    count = messages(FEW * 3 // 4)
    storm = Storm(place, count, NARROW, BUSY, post365_max_wait="1s").start()
    storm.most_under_way = count  # all that an outage leaves
    storm.break_out(WEATHER, 1 if IS_FULL else 2)
    outage = Outage(0.3, OUTAGE)
    storm.run(kills=KILLS, also=outage)
    storm.drain(DRAIN)
    books = check(storm)
    used = most_used(storm)
    print(f"backlog behind the outage: {outage.backlog}; most used: {used} of {NARROW}")
    check_never_over(storm, books)
    if IS_FULL:  # the limits have mattered; on a slow machine a short run may not meet them
        assert outage.backlog > 0
        assert "room at" in storm.relay.postfix.log()
        # A connection of a transport that was killed may be busy at the other side while the next one has its own.
        assert used["messages"] == NARROW["messages"]["limit"] and used["connections"] >= NARROW["connections"], used
        assert used["recipients"] > 0.9 * NARROW["recipients"]["limit"], used


def test_what_is_under_way_when_policyd_is_killed_counts_from_its_acceptance(place):
    limits = {"recipients": {"limit": 1000, "period": 60}, "messages": {"limit": 1, "period": 3},
              "recipients_per_message": 500, "connections": 3}
    storm = Storm(place, 1, limits, ACCOUNTS[:1], post365_quota_guard="200ms").start()
    storm.office365.add_fault(stage="dot", delay=2.5, commit="after", times=1)
    header = f"From: {ACCOUNTS[0]}\r\nSubject: x\r\n".encode()
    storm.relay.submit(ACCOUNTS[0], ["a@dest.example"], header)
    storm.office365.wait_for(lambda entry: entry["event"] == "fault", timeout=20)
    storm.relay.policyd.kill()
    storm.relay.policyd.start()
    storm.relay.submit(ACCOUNTS[0], ["b@dest.example"], header)
    storm.office365.wait_for_count(2, lambda entry: entry["event"] in ("accepted", "refused"), timeout=30)
    assert not storm.relay.refused()
