"""Runs Python modules as processes, each line that they write passed on under the process's name."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from deploy.local.errors import StoppedError
from deploy.local.leashed_process import Ending, LeashedProcess

REPOSITORY = Path(__file__).parents[2]
ENDING = Ending(signal="TERM", grace=12.0)

# What becomes of a line of output: the name of the process, the line without its end.
Sink = Callable[[str, str], None]


@dataclass(frozen=True)
class Service:
    """A process as it is to be run: `python -m <module> <arguments>` with these variables added."""

    name: str
    module: str
    environment: Mapping[str, str]
    arguments: Sequence[str] = ()


class Processes:
    """Those that run; all of them end with this process at the latest, and within the grace that they have."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._running: dict[str, tuple[Service, LeashedProcess, threading.Thread]] = {}

    def start(self, service: Service) -> None:
        """Also starts again one that has ended."""
        process = LeashedProcess(
            [sys.executable, "-m", service.module, *service.arguments],
            output=subprocess.PIPE,
            env={**service.environment, "PYTHONUNBUFFERED": "1"},
            cwd=REPOSITORY,
            ending=ENDING,
        )
        reader = threading.Thread(target=self._pass_on, args=(service.name, process), daemon=True)
        reader.start()
        self._running[service.name] = service, process, reader

    def ended(self) -> list[tuple[Service, int]]:
        """Those that have ended, with their status: 128 + N after signal N."""
        codes = ((service, process.returncode()) for service, process, _ in self._running.values())
        return [(service, code) for service, code in codes if code is not None]

    def ensure_running(self) -> None:
        """Raises StoppedError if one has ended."""
        for service, status in self.ended():
            raise StoppedError(f"{service.name} ended with status {status}")

    def stop(self) -> None:
        for _, process, _ in self._running.values():
            process.let_go()
        for _, process, reader in self._running.values():
            process.stop()
            reader.join(timeout=1)
        self._running.clear()

    def __enter__(self) -> Processes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _pass_on(self, name: str, process: LeashedProcess) -> None:
        if process.output is not None:
            with process.output as output:
                for line in output:
                    self._sink(name, line.decode(errors="replace").rstrip())
