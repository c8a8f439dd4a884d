"""Circuit breaker: while the provider is out, only a probe is POSTed now and then. Pure.

It judges the provider and not one mailing. A failure that came after the request was written may be the fault of
the message, so it counts against the mailing only, and the other mailings go on. They prove that the provider is
alive, or fail as well.

Libraries of this kind wrap a call and raise an error. Here the breaker is one more check before a POST, and a
message that may not go now is returned. So we have our own. Instants are seconds of a monotonic clock.
"""

import math
from dataclasses import dataclass
from enum import Enum, auto

MANY_MAILINGS = 3  # failing at the same time without a success in between: that is the provider
LONGEST_PAUSE = 10.0  # seconds between the probes of a mailing that fails while others succeed
MOST_CIRCUITS = 1000


class Sign(Enum):
    """Evidence that the end of a POST gives."""

    ALIVE = auto()  # the provider has accepted or refused a message
    OUT = auto()  # the provider as a whole failed, or our access to it
    FAILED = auto()  # the provider or the message
    NONE = auto()


class Passage(Enum):
    """Answer of the breaker to a message."""

    FREE = auto()
    PROBE = auto()
    BLOCKED = auto()


@dataclass(slots=True)
class _Circuit:
    """The failures in a row of one mailing, or of the provider."""

    failures: int = 0
    opened_at: float = -math.inf
    next_probe: float = 0.0
    pause: float = 0.0
    is_probed: bool = False

    def count(self, now: float, threshold: int, probe_every: float) -> None:
        self.failures += 1
        if self.failures == threshold:
            self.opened_at, self.pause = now, probe_every
            self.next_probe = now + probe_every

    def admit_probe(self, now: float) -> None:
        self.next_probe = now + self.pause
        self.is_probed = True


class Breaker:
    """Circuits of the provider and of each mailing that fails, all closed at first.

    One opens after `threshold` failures in a row. While it is open, one probe may begin every `probe_every`
    seconds. It closes with the first success.
    """

    def __init__(self, threshold: int, probe_every: float) -> None:
        self._threshold = threshold
        self._probe_every = probe_every
        self._provider = _Circuit(pause=probe_every)
        self._mailings: dict[int, _Circuit] = {}
        self._last_success = -math.inf

    @property
    def is_out(self) -> bool:
        """True if the provider is out, as far as is known: nothing has succeeded since a circuit opened."""
        if not self._mailings:
            return self._provider.failures >= self._threshold
        return self._provider.failures >= self._threshold or self._count_open() > 0

    @property
    def has_failures(self) -> bool:
        """True if any mailing has failed since it last succeeded."""
        return bool(self._mailings)

    def is_suspended(self, mailing_id: int) -> bool:
        """Return True if this mailing fails while others succeed."""
        return mailing_id in self._mailings and mailing_id in self.suspended_mailings()

    def suspended_mailings(self) -> frozenset[int]:
        """Return the mailings that fail while others succeed."""
        if not self._mailings or self.is_out:
            return frozenset()
        return frozenset(known for known, circuit in self._mailings.items() if self._is_open(circuit))

    def passage(self, mailing_id: int, now: float) -> Passage:
        """Return whether a POST of the mailing may begin now."""
        if not self._mailings and not self._provider.failures:
            return Passage.FREE
        circuit = self._gate_of(mailing_id)
        if circuit is None:
            return Passage.FREE
        return Passage.BLOCKED if now < circuit.next_probe else Passage.PROBE

    def admits(self, mailing_id: int, now: float) -> bool:
        """Return True if a POST may begin now. While a circuit is open, that POST is the probe."""
        passage = self.passage(mailing_id, now)
        if passage is Passage.PROBE:
            circuit = self._gate_of(mailing_id)
            assert circuit is not None
            circuit.admit_probe(now)
        return passage is not Passage.BLOCKED

    def until_probe(self, mailing_id: int, now: float) -> float:
        """Return the seconds until the mailing may be probed; 0 if its circuit is closed."""
        circuit = self._gate_of(mailing_id)
        return 0.0 if circuit is None else max(0.0, circuit.next_probe - now)

    def learn(self, mailing_id: int, sign: Sign, now: float) -> None:
        """Take note of how a POST ended."""
        if sign is Sign.ALIVE:
            self._last_success = now
            if self._mailings or self._provider.failures:
                self._provider.failures = 0
                self._mailings.pop(mailing_id, None)
        elif sign is Sign.OUT:
            self._provider.count(now, self._threshold, self._probe_every)
        elif sign is Sign.FAILED:
            self._count_against(mailing_id, now)

    def _count_against(self, mailing_id: int, now: float) -> None:
        circuit = self._mailings.get(mailing_id)
        if circuit is None:
            if len(self._mailings) >= MOST_CIRCUITS:
                del self._mailings[next(iter(self._mailings))]
            circuit = self._mailings[mailing_id] = _Circuit()
        circuit.count(now, self._threshold, self._probe_every)
        if circuit.is_probed:
            circuit.is_probed = False
            others_succeed = self._last_success > circuit.opened_at
            circuit.pause = min(2 * circuit.pause, LONGEST_PAUSE) if others_succeed else self._probe_every
            circuit.next_probe = now + circuit.pause
        if self._count_open() == MANY_MAILINGS and self._provider.next_probe < now:
            self._provider.next_probe = now + self._probe_every

    def _gate_of(self, mailing_id: int) -> _Circuit | None:
        """Return the circuit that holds up the mailing's messages, if one is open."""
        if self._provider.failures >= self._threshold or self._count_open() >= MANY_MAILINGS:
            return self._provider
        circuit = self._mailings.get(mailing_id)
        return circuit if circuit is not None and self._is_open(circuit) else None

    def _is_open(self, circuit: _Circuit) -> bool:
        return circuit.failures >= self._threshold

    def _count_open(self) -> int:
        """Count the mailings whose circuit has opened since the last success of any mailing."""
        open_since = self._last_success
        return sum(one.opened_at > open_since for one in self._mailings.values() if self._is_open(one))
