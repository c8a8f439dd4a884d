"""Where the services' output goes: to the terminal, or to a file."""

from __future__ import annotations

import sys
from itertools import cycle
from pathlib import Path
from threading import Lock
from typing import TextIO

COLOURS = (36, 33, 32, 35, 34, 31)  # of ANSI terminals
WIDTH = len("planner")


class TerminalSink:
    """Every line behind its process's name, in a colour of its own."""

    def __init__(self, out: TextIO = sys.stdout) -> None:
        self._out = out
        self._lock = Lock()
        self._free = cycle(COLOURS)
        self._colours: dict[str, int] = {}

    def __call__(self, name: str, line: str) -> None:
        with self._lock:
            self._out.write(f"{self._prefix(name)} {line}\n")
            self._out.flush()

    def _prefix(self, name: str) -> str:
        text = f"{name:<{WIDTH + 2}}|"
        if not self._out.isatty():
            return text
        if name not in self._colours:
            self._colours[name] = next(self._free)
        return f"\x1b[{self._colours[name]}m{text}\x1b[0m"


class FileSink:
    """One file for all, to be read in the order in which things happened."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", buffering=1)
        self._lock = Lock()

    def __call__(self, name: str, line: str) -> None:
        with self._lock:
            self._file.write(f"{name:<{WIDTH + 2}}| {line}\n")

    def close(self) -> None:
        self._file.close()
