"""What was wrong with a setting or a control command: the message says what."""


class Problem(ValueError):
    """A request that was not taken; nothing has changed."""


def take(values, names, what):
    """`values` as a dict that has no other names than `names`."""
    if not isinstance(values, dict):
        raise Problem(f"{what} must be an object")
    for name in values:
        if name not in names:
            raise Problem(f'{what} has no "{name}"; there are {", ".join(sorted(names))}')
    return values
