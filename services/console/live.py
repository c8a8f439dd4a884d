"""Live mailings: one poll of the API for each mailing that is watched, however many people watch it."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import structlog

from services.console.pace import Sample
from services.console.rest.answers import Mailing
from services.console.rest.calls import Api
from services.console.rest.errors import ApiUnavailable, Forbidden, NotFound, SignInNeeded
from services.console.unsent import Group, unsent_groups
from services.console.words import is_over
from shared.contracts import utc_now

log = structlog.get_logger()

INTERVAL = 1.0  # seconds between two polls
REASONS_EVERY = timedelta(seconds=5)
KEPT_SAMPLES = 600  # ten minutes
KEPT_MAILINGS = 50  # of which the samples are kept after the last person has left


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A mailing at an instant. `away_since` is set while the API does not answer: the facts are older then."""

    mailing: Mailing
    at: datetime
    samples: Sequence[Sample]
    groups: Sequence[Group]
    away_since: datetime | None = None


@dataclass(eq=False, slots=True)
class _Watcher:
    """A person who watches. Only the newest snapshot waits for them; None ends the watching."""

    api: Api
    queue: asyncio.Queue[Snapshot | None] = field(default_factory=lambda: asyncio.Queue(1))

    def put(self, snapshot: Snapshot | None) -> None:
        with suppress(asyncio.QueueEmpty):
            self.queue.get_nowait()
        self.queue.put_nowait(snapshot)


@dataclass(eq=False, slots=True)
class _Watched:
    """A mailing that is watched, or was lately."""

    mailing_id: int
    watchers: list[_Watcher] = field(default_factory=list)
    samples: deque[Sample] = field(default_factory=lambda: deque(maxlen=KEPT_SAMPLES))
    task: asyncio.Task[None] | None = None
    last: Snapshot | None = None
    groups: Sequence[Group] = ()
    grouped: int = 0  # people in these groups
    grouped_at: datetime | None = None


class LiveMailings:
    """The mailings that people look at just now."""

    def __init__(self) -> None:
        self._watched: OrderedDict[int, _Watched] = OrderedDict()

    async def watch(self, mailing_id: int, api: Api) -> AsyncIterator[Snapshot]:
        """Yield a snapshot whenever there is a new one, until the mailing is over, gone or forbidden."""
        watched = self._watched.setdefault(mailing_id, _Watched(mailing_id))
        self._watched.move_to_end(mailing_id)
        watcher = _Watcher(api)
        watched.watchers.append(watcher)
        if watched.task is None or watched.task.done():
            watched.task = asyncio.create_task(_poll(watched))
        try:
            while (snapshot := await watcher.queue.get()) is not None:
                yield snapshot
        finally:
            self._leave(watched, watcher)

    def observe(self, mailings: Sequence[Mailing], now: datetime) -> None:
        """Note the progress of mailings that a page has just asked for anyway."""
        for mailing in mailings:
            samples = self._watched.setdefault(mailing.id, _Watched(mailing.id)).samples
            if not samples or now - samples[-1].at > timedelta(seconds=INTERVAL):
                samples.append(Sample(now, mailing.handled))
        self._forget()

    def samples(self, mailing_id: int) -> Sequence[Sample]:
        """Return what is known of the progress of the last minutes, if anybody watched it."""
        watched = self._watched.get(mailing_id)
        return tuple(watched.samples) if watched else ()

    def close(self) -> None:
        """End all watching, so that the process can end."""
        for watched in self._watched.values():
            if watched.task is not None:
                watched.task.cancel()
            for watcher in watched.watchers:
                watcher.put(None)

    def _leave(self, watched: _Watched, watcher: _Watcher) -> None:
        if watcher in watched.watchers:
            watched.watchers.remove(watcher)
        if not watched.watchers and watched.task is not None:
            watched.task.cancel()
            watched.task = None
        self._forget()

    def _forget(self) -> None:
        for mailing_id, idle in list(self._watched.items())[: max(0, len(self._watched) - KEPT_MAILINGS)]:
            if not idle.watchers:
                del self._watched[mailing_id]


async def _poll(watched: _Watched) -> None:
    """Ask the API once a second, and give the answer to everybody who watches."""
    while watched.watchers:
        watcher = watched.watchers[0]
        snapshot: Snapshot | None
        try:
            snapshot = await _look(watched, watcher.api)
        except ApiUnavailable:
            snapshot = _away(watched)
        except (SignInNeeded, Forbidden):  # of this person; the others go on
            watched.watchers.remove(watcher)
            watcher.put(None)
            continue
        except NotFound:
            _end(watched)
            return
        if snapshot is not None:
            watched.last = snapshot
            for each in watched.watchers:
                each.put(snapshot)
            if is_over(snapshot.mailing) and snapshot.away_since is None:
                await asyncio.sleep(INTERVAL)
                _end(watched)
                return
        await asyncio.sleep(INTERVAL)


async def _look(watched: _Watched, api: Api) -> Snapshot:
    mailing, now = await api.mailing(watched.mailing_id), utc_now()
    watched.samples.append(Sample(now, mailing.handled))
    is_due = watched.grouped_at is None or now - watched.grouped_at >= REASONS_EVERY or is_over(mailing)
    if mailing.unsent != watched.grouped and is_due:
        watched.groups = tuple(await unsent_groups(api, mailing))
        watched.grouped, watched.grouped_at = mailing.unsent, now
    return Snapshot(mailing, now, tuple(watched.samples), watched.groups)


def _away(watched: _Watched) -> Snapshot | None:
    last = watched.last
    return None if last is None else replace(last, away_since=last.away_since or utc_now())


def _end(watched: _Watched) -> None:
    for watcher in watched.watchers:
        watcher.put(None)
    watched.watchers.clear()
