"""Clock of simulated days: it stands still until a file says when it began, and again when the days are over."""

import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

VARIABLE = "NOTIFY_CLOCK"


@dataclass(frozen=True, slots=True)
class SimulatedClock:
    """Shows `begins_at` until the file is there, and from then on a day after each `seconds_of_day`."""

    begins_at: datetime
    days: int
    seconds_of_day: float
    file: Path

    def start(self) -> None:
        """Let the days pass, here and in all other processes."""
        new = self.file.with_suffix(".new")
        new.write_text(str(time.time()))
        new.replace(self.file)

    def seconds_left(self) -> float:
        """Return our seconds until the days are over."""
        return (self.days - self._days_passed()) * self.seconds_of_day

    def now(self) -> datetime:
        """Return the simulated time."""
        return self.begins_at + timedelta(days=self._days_passed())

    def as_text(self) -> str:
        """Return what another process makes the same clock of."""
        return f"{self.begins_at.timestamp()} {self.days} {self.seconds_of_day} {self.file}"

    @classmethod
    def from_environment(cls) -> "SimulatedClock":
        """Return the clock of the process that started this one."""
        begins_at, days, seconds_of_day, file = os.environ[VARIABLE].split(maxsplit=3)
        return cls(datetime.fromtimestamp(float(begins_at), UTC), int(days), float(seconds_of_day), Path(file))

    def _days_passed(self) -> float:
        if not self.file.exists():
            return 0
        return min((time.time() - float(self.file.read_text())) / self.seconds_of_day, self.days)
