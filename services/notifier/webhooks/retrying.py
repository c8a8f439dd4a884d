"""Retries of deliveries. Pure."""

from datetime import timedelta

FIRST_PAUSE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(hours=1)
OFF_AFTER = timedelta(days=1)  # of failures without a success; then the webhook is switched off
_FACTOR = 3


def pause_before_retry(tries: int, wanted: float | None, jitter: float) -> timedelta:
    """Return the pause after so many failed tries, in seconds or as the receiver `wanted`.

    `jitter` from 0 to 1 spreads receivers that failed together by up to a tenth.
    """
    growth: int = _FACTOR ** min(max(tries - 1, 0), 10)
    pause = min(FIRST_PAUSE * growth, LONGEST_PAUSE)
    if wanted is not None:
        pause = min(max(pause, timedelta(seconds=wanted)), LONGEST_PAUSE)
    return pause * (1 + jitter / 10)
