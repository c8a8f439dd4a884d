"""Output of several processes on one terminal."""

import json
import sys
from itertools import cycle
from threading import Lock
from typing import TextIO

from shared.cli.logs import readable

COLOURS = (36, 33, 32, 35, 34, 31)  # of ANSI terminals
WIDTH = len("planner")


class TerminalSink:
    """Printer of lines, each behind the name of its process.

    On a terminal, names have colours and JSON is made readable. Elsewhere, lines stay as they are.
    """

    def __init__(self, out: TextIO = sys.stdout) -> None:
        self._out = out
        self._lock = Lock()
        self._free = cycle(COLOURS)
        self._colours: dict[str, int] = {}

    def __call__(self, name: str, line: str) -> None:
        with self._lock:
            self._out.write(self._format(name, line))
            self._out.flush()

    def _format(self, name: str, line: str) -> str:
        prefix = f"{name:<{WIDTH + 2}}|"
        if not self._out.isatty():
            return f"{prefix} {line}\n"
        if name not in self._colours:
            self._colours[name] = next(self._free)
        return f"\x1b[{self._colours[name]}m{prefix}\x1b[0m {_readable(line)}\n"


def _readable(line: str) -> str:
    try:
        fields = json.loads(line)
    except ValueError:
        return line
    return readable(fields) if isinstance(fields, dict) else line
