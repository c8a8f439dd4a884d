"""Records of the stand-in provider: one per message id, and the number of requests per second.

The records are columns, not objects: a million ids need about 165 MB and no work of the garbage collector.
Counts are kept up to date as requests arrive, so that reading them needs no pass over the records. Instants are
seconds since the Unix epoch.
"""

from array import array
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Annotated

from pydantic import Field

Instant = Annotated[float, Field(description="Seconds since the Unix epoch", examples=[1767268800.125])]


@dataclass(frozen=True, slots=True)
class Received:
    """Record of a message id. `accepted` counts even if the provider then hung or reset the connection."""

    id: Annotated[int, Field(examples=[4711])]
    phone: Annotated[int, Field(description="As in the last request", examples=[79057003050])]
    count: Annotated[int, Field(description="Requests that arrived with this id", examples=[1])]
    accepted: Annotated[bool, Field(description="Accepted at least once")]
    times_accepted: Annotated[int, Field(description="Number of its requests that were accepted", examples=[1])]
    first_at: Instant
    last_at: Instant
    repeated_at: Annotated[list[Instant], Field(description="Arrivals after the first")]


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts since the start or since the last `DELETE /sandbox/received`.

    Requests with a wrong token, body or path leave no record and are only counted as `invalid`.
    """

    received: Annotated[int, Field(description="Valid requests that arrived, answered or not", examples=[1003])]
    unique: Annotated[int, Field(description="Different message ids among them", examples=[1000])]
    duplicated: Annotated[int, Field(description="Ids that arrived more than once", examples=[3])]
    accepted: Annotated[int, Field(description="Ids that were accepted at least once", examples=[1000])]
    accepted_again: Annotated[int, Field(description="Ids that were accepted more than once", examples=[0])]
    invalid: Annotated[int, Field(description="Requests with a wrong token, body or path", examples=[0])]
    first_at: Instant | None
    last_at: Instant | None


@dataclass(frozen=True, slots=True)
class Page:
    """Records in the order of their ids; `next` is the `after` of the next page, null at the end."""

    items: list[Received]
    next: int | None


@dataclass(frozen=True, slots=True)
class Second:
    """Number of requests that arrived in [second, second + 1)."""

    second: Annotated[int, Field(examples=[1767268800])]
    requests: Annotated[int, Field(examples=[250])]


@dataclass(frozen=True, slots=True)
class Seconds:
    """Requests per second.

    `worst_window` is the largest number of requests within any second, [worst_window_at, worst_window_at + 1).
    """

    seconds: list[Second]
    worst_window: Annotated[int, Field(examples=[251])]
    worst_window_at: Instant | None


class Ledger:
    """Records and counts. Arrivals must come in order of time."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Delete all records and counts."""
        self._row: dict[int, int] = {}  # message id → row in the columns
        self._phone, self._count, self._taken = array("q"), array("I"), array("I")
        self._first_at, self._last_at = array("d"), array("d")
        self._repeats: dict[int, list[float]] = {}
        self._in_order: list[int] = []  # the ids, as sorted at the last listing
        self._seconds: dict[int, int] = {}
        self._window: deque[float] = deque()  # the arrivals of the last second
        self._worst = 0
        self._worst_at: float | None = None
        self._received = self._duplicated = self._accepted = self._accepted_again = 0
        self.invalid = 0
        self._begun_at: float | None = None
        self._ended_at: float | None = None

    def arrive(self, message_id: int, phone: int, now: float) -> int:
        """Record a valid request, and return the number of its message's requests so far."""
        self._count_request(now)
        row = self._row.get(message_id)
        if row is None:
            self._row[message_id] = len(self._phone)
            self._phone.append(phone)
            self._count.append(1)
            self._taken.append(0)
            self._first_at.append(now)
            self._last_at.append(now)
            return 1
        self._phone[row] = phone
        self._last_at[row] = now
        self._repeats.setdefault(message_id, []).append(now)
        count = self._count[row] = self._count[row] + 1
        self._duplicated += count == 2
        return count

    def accept(self, message_id: int) -> None:
        """Record that the provider accepted the last request of this message."""
        row = self._row[message_id]
        times = self._taken[row] = self._taken[row] + 1
        self._accepted += times == 1
        self._accepted_again += times == 2

    def _count_request(self, now: float) -> None:
        self._received += 1
        second = int(now)
        self._seconds[second] = self._seconds.get(second, 0) + 1
        window = self._window
        window.append(now)
        while window[0] <= now - 1:
            window.popleft()
        if len(window) > self._worst:
            self._worst, self._worst_at = len(window), window[0]
        if self._begun_at is None:
            self._begun_at = now
        self._ended_at = now

    def totals(self) -> Totals:
        return Totals(
            received=self._received,
            unique=len(self._row),
            duplicated=self._duplicated,
            accepted=self._accepted,
            accepted_again=self._accepted_again,
            invalid=self.invalid,
            first_at=self._begun_at,
            last_at=self._ended_at,
        )

    def seconds(self) -> Seconds:
        by_second = [Second(second, requests) for second, requests in sorted(self._seconds.items())]
        return Seconds(by_second, self._worst, self._worst_at)

    def message(self, message_id: int) -> Received | None:
        row = self._row.get(message_id)
        return None if row is None else self._received_at(message_id, row)

    def page(self, after: int, limit: int, *, repeated_only: bool = False) -> Page:
        """Return up to `limit` records with ids above `after`; `repeated_only` omits ids that arrived once."""
        candidates = self._ids_above(after)
        if repeated_only:
            candidates = (id_ for id_ in candidates if self._count[self._row[id_]] > 1)
        ids = list(islice(candidates, limit + 1))
        items = [self._received_at(id_, self._row[id_]) for id_ in ids[:limit]]
        return Page(items, items[-1].id if len(ids) > limit else None)

    def _ids_above(self, after: int) -> Iterator[int]:
        if len(self._in_order) != len(self._row):
            self._in_order = sorted(self._row)
        rows = range(bisect_right(self._in_order, after), len(self._in_order))
        return (self._in_order[row] for row in rows)

    def _received_at(self, message_id: int, row: int) -> Received:
        times = self._taken[row]
        return Received(
            id=message_id,
            phone=self._phone[row],
            count=self._count[row],
            accepted=times > 0,
            times_accepted=times,
            first_at=self._first_at[row],
            last_at=self._last_at[row],
            repeated_at=self._repeats.get(message_id, []),
        )
