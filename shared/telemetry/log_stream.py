"""Writing of log lines by a thread of its own, so that no reader of the log can hold up the process.

A pipe that nobody reads, or a terminal that is held, blocks its writer. Lines wait in a bounded queue. When
it is full, further lines are dropped and counted.
"""

import atexit
import os
import threading
from collections import deque

from prometheus_client import Counter

CAPACITY = 10_000  # lines
LAST_WAIT = 1.0  # seconds for the last lines at the end of the process

DROPPED = Counter("mailing_log_lines_dropped_total", "Log lines that were dropped, because nobody read the log")


class LogStream:
    """A text stream that never blocks: `write` only enqueues."""

    def __init__(self, file: int, capacity: int = CAPACITY) -> None:
        """Write to the file descriptor. It stays open."""
        self._file = file
        self._lines: deque[str] = deque()
        self._capacity = capacity
        self._changed = threading.Condition()
        self._is_writing = False
        threading.Thread(target=self._run, name="log", daemon=True).start()
        atexit.register(self.drain, LAST_WAIT)

    def write(self, text: str) -> None:
        """Enqueue some text, or drop it if too much waits already."""
        with self._changed:
            if len(self._lines) >= self._capacity:
                DROPPED.inc()
                return
            self._lines.append(text)
            self._changed.notify_all()

    def flush(self) -> None:
        """Do nothing: the thread writes without delay."""

    def drain(self, timeout: float) -> bool:
        """Wait until everything is written. Return False if that takes longer."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._lines and not self._is_writing, timeout)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._is_writing = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._lines)
                text = "".join(self._lines)
                self._lines.clear()
                self._is_writing = True
            self._write_all(text.encode(errors="backslashreplace"))

    def _write_all(self, data: bytes) -> None:
        # Not by `sys.stderr`: at the end of the process, the interpreter waits for its lock.
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._file, view) :]
            except BlockingIOError:  # somebody has made it non-blocking
                threading.Event().wait(0.05)
            except OSError:  # nobody reads it, and nobody will
                return
