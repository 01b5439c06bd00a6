"""What an account may have been charged, seen from outside: at least what was granted, at most what was asked.

An answer that never came says nothing: the service may have counted the request, or not. So every account has two
bounds, and what the service says it has counted must lie between them. What was seen once becomes both bounds.
"""

from collections import defaultdict


class Tally:
    def __init__(self):
        self.low = defaultdict(int)
        self.high = defaultdict(int)
        self.granted = self.unknown = 0  # in total

    def asked(self, account, amount):
        self.high[account] += amount
        self.unknown += amount

    def was_granted(self, account, amount):
        """After asked()."""
        self.low[account] += amount
        self.granted += amount
        self.unknown -= amount

    def was_refused(self, account, amount):
        """After asked()."""
        self.high[account] -= amount
        self.unknown -= amount

    def may_be_less(self, account, amount):
        """Somebody asks to have so much taken off."""
        self.low[account] -= amount

    def is_less(self, account, amount):
        """After may_be_less()."""
        self.high[account] -= amount

    def check(self, counted):
        """`counted` has the amount of each account. Returns what is wrong, a line for each account."""
        wrong = [f"{account}: {counted.get(account, 0)} counted, at least {self.low[account]} granted, "
                 f"at most {self.high[account]} asked"
                 for account in sorted(self.high) if not self.low[account] <= counted.get(account, 0) <= self.high[account]]
        wrong += [f"{account}: {amount} counted, never asked" for account, amount in counted.items()
                  if amount and account not in self.high]
        return wrong

    def learn(self, counted):
        """From now on it is known."""
        for account in list(self.high):
            self.low[account] = self.high[account] = counted.get(account, 0)
