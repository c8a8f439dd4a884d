"""Progress of the demo: a line with the time since the start, at most one every two seconds for what goes on."""

import time
from collections.abc import Mapping

INTERVAL = 2.0  # seconds between lines about the same work


class Progress:
    """Printer of lines with the seconds since the start before them."""

    def __init__(self) -> None:
        self._began = self._last_line = time.monotonic()

    def print_line(self, text: str) -> None:
        """Print a line."""
        self._last_line = time.monotonic()
        print(f"{self._last_line - self._began:6.1f} s  {text}", flush=True)

    def print_now_and_then(self, text: str) -> None:
        """Print a line unless another one came less than INTERVAL ago."""
        if time.monotonic() - self._last_line >= INTERVAL:
            self.print_line(text)

    def print_counts(self, counts: Mapping[str, int]) -> None:
        """Print a mailing's messages by status, now and then."""
        self.print_now_and_then(" ".join(f"{name}={count}" for name, count in counts.items()))
