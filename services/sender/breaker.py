"""The circuit breaker: while the provider is out, nothing is POSTed to it but a probe now and then. Pure.

Our own, as the libraries of this kind wrap calls and raise; here it is one more thing to ask before a POST, and a
message that may not go now is handed back rather than failed.
"""

from services.sender.judging import Verdict
from shared.contracts import Outcome


class Breaker:
    """Closed: everything goes. After `threshold` failures in a row: open, one probe every `probe_every` seconds,
    until something succeeds. Instants are of a monotonic clock, in seconds."""

    def __init__(self, threshold: int, probe_every: float) -> None:
        self._threshold = threshold
        self._probe_every = probe_every
        self._failures = 0
        self._next_probe = 0.0

    @property
    def is_open(self) -> bool:
        return self._failures >= self._threshold

    def admits(self, now: float) -> bool:
        """Whether a POST may begin now. While open, one that is admitted is the probe."""
        if not self.is_open:
            return True
        if now < self._next_probe:
            return False
        self._next_probe = now + self._probe_every
        return True

    def until_probe(self, now: float) -> float:
        """Seconds until the next probe is admitted, while it is open."""
        return max(0.0, self._next_probe - now)

    def learn(self, verdict: Verdict, now: float) -> bool:
        """Takes note of how a POST ended; whether the breaker has opened or closed by that."""
        was_open = self.is_open
        if verdict.outcome in {Outcome.ACCEPTED, Outcome.REJECTED}:
            self._failures = 0
        elif is_failure(verdict):
            self._failures += 1
            if not was_open and self.is_open:
                self._next_probe = now + self._probe_every
        return self.is_open is not was_open


def is_failure(verdict: Verdict) -> bool:
    """Whether it speaks against the provider, or our access to it, as a whole. 429 does not: it is only busy."""
    return verdict.outcome is Outcome.UNCERTAIN or (
        verdict.outcome is Outcome.DEFERRED and verdict.provider_status in {None, 401, 503}
    )
