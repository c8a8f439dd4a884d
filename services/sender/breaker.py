"""Circuit breaker: while the provider is out, only a probe is POSTed now and then. Pure.

Libraries of this kind wrap a call and raise an error. Here the breaker is one more check before a POST, and a
message that may not go now is returned. So we have our own.
"""

from services.sender.judging import Verdict
from shared.contracts import Outcome


class Breaker:
    """Circuit breaker, closed at first: every POST may begin.

    It opens after `threshold` failures in a row. While it is open, one probe may begin every `probe_every`
    seconds. It closes with the first success. Instants are seconds of a monotonic clock.
    """

    def __init__(self, threshold: int, probe_every: float) -> None:
        self._threshold = threshold
        self._probe_every = probe_every
        self._failures = 0
        self._next_probe = 0.0

    @property
    def is_open(self) -> bool:
        """Return True while only probes may begin."""
        return self._failures >= self._threshold

    def admits(self, now: float) -> bool:
        """Return True if a POST may begin now. While the breaker is open, that POST is the probe."""
        if not self.is_open:
            return True
        if now < self._next_probe:
            return False
        self._next_probe = now + self._probe_every
        return True

    def until_probe(self, now: float) -> float:
        """Return the seconds until the next probe may begin, while the breaker is open."""
        return max(0.0, self._next_probe - now)

    def learn(self, verdict: Verdict, now: float) -> bool:
        """Count the end of a POST. Return True if that opened or closed the breaker."""
        was_open = self.is_open
        if verdict.outcome in {Outcome.ACCEPTED, Outcome.REJECTED}:
            self._failures = 0
        elif is_failure(verdict):
            self._failures += 1
            if not was_open and self.is_open:
                self._next_probe = now + self._probe_every
        return self.is_open is not was_open


def is_failure(verdict: Verdict) -> bool:
    """Return True if the provider as a whole, or our access to it, has failed. 429 only means that it is busy."""
    return verdict.outcome is Outcome.UNCERTAIN or (
        verdict.outcome is Outcome.DEFERRED and verdict.provider_status in {None, 401, 503}
    )
