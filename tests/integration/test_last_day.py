"""The last day of passwords, as `make demo` plays it: each promise holds, and the screens say what they should."""

from demo import passwords


def test_an_account_goes_on_and_the_other_one_moves_over(place):
    screens, promises = passwords.play(place, lambda text: None)
    assert all(holds for _, holds, _ in promises), promises
    queue, before, _, after = [seen for _, seen in screens]
    assert "relay@example.com  basic-auth-disabled" in queue and "waiting 3 messages" in queue
    assert "the last login was invoices@example.com's" in before
    assert "accounts   2 within a day" in after
