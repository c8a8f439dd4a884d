"""What the demo shows: live on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, TextColumn
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

PLAIN_INTERVAL = 2.0  # seconds between lines
STYLES = {"active": "yellow", "sent": "green", "failed": "red", "expired": "red", "uncertain": "red"}


class Progress:
    """Lines with the time since the start before them; a bar or a table where there is a terminal for it."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, soft_wrap=True)
        self._began = self._last_line = time.monotonic()
        self._live: Live | None = None

    def say(self, text: str) -> None:
        self._last_line = time.monotonic()
        self._console.print(Text.assemble((f"{self._last_line - self._began:6.1f} s  ", "dim"), text))

    @contextmanager
    def counting(self, what: str, total: int) -> Iterator[Counting]:
        """For something that is done `total` times."""
        counting = Counting(self, what, total)
        self._last_line = time.monotonic()
        if not self._console.is_terminal:
            yield counting
            return
        columns: tuple[ProgressColumn, ...] = (TextColumn(f"          {what}"), BarColumn(), MofNCompleteColumn())
        with Bars(*columns, console=self._console, transient=True) as bars:
            task = bars.add_task(what, total=total)
            counting.on_advance = lambda: bars.advance(task)
            yield counting

    @contextmanager
    def table(self) -> Iterator[None]:
        """Around calls of `show`."""
        if not self._console.is_terminal:
            yield
            return
        with Live(console=self._console, refresh_per_second=10) as self._live:
            yield
        self._live = None

    def show(self, counts: Mapping[str, int], until_start: timedelta) -> None:
        """The mailing's messages by status; `until_start` is negative once it has begun."""
        if self._live:
            self._live.update(_table(counts, until_start))
        else:
            self.say_now_and_then(" ".join(f"{name}={count}" for name, count in counts.items()))

    def say_now_and_then(self, text: str) -> None:
        if time.monotonic() - self._last_line >= PLAIN_INTERVAL:
            self.say(text)


class Counting:
    """How far something is."""

    def __init__(self, progress: Progress, what: str, total: int) -> None:
        self._progress, self._what, self._total, self._done = progress, what, total, 0
        self.on_advance = self._say

    def advance(self) -> None:
        self._done += 1
        self.on_advance()

    def _say(self) -> None:
        self._progress.say_now_and_then(f"{self._what}: {self._done} of {self._total}")


def _table(counts: Mapping[str, int], until_start: timedelta) -> Table:
    seconds = until_start.total_seconds()
    table = Table(title=f"starts in {seconds:.1f} s" if seconds > 0 else "messages by status")
    for name in counts:
        table.add_column(name, justify="right", style=STYLES.get(name), min_width=7)
    table.add_row(*(str(count) for count in counts.values()))
    return table
