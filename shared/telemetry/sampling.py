"""Samples of ids: a fixed share of them, spread evenly. Pure.

Membership follows from the id alone, so all services pick the same messages and jobs.
"""

_MULTIPLIER = 2_654_435_761  # Knuth's multiplicative hash
_RANGE = 2**32


def threshold(share: float) -> int:
    """Return the number that stands for a share between 0 and 1 in `is_below`."""
    return int(share * _RANGE)


def is_below(number: int, limit: int) -> bool:
    """Return True if the id `number` is in the sample whose `threshold` is `limit`."""
    return number * _MULTIPLIER % _RANGE < limit
