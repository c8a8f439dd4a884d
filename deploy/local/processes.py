"""Python modules as processes: each writes a log file of its name, and its lines to a terminal if wanted."""

import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.local.errors import StoppedError
from deploy.local.leashed_process import Ending, LeashedProcess

REPOSITORY = Path(__file__).parents[2]
ENDING = Ending(signal="TERM", grace=12.0)

# Takes a line of output: the name of the process, and the line without its end.
Sink = Callable[[str, str], None]


@dataclass(frozen=True)
class Service:
    """Command of a process: `python -m <module> <arguments>`, with its environment."""

    name: str
    module: str
    environment: Mapping[str, str]
    arguments: Sequence[str] = ()


class Processes:
    """Running processes. They end with this process at the latest, within their grace period."""

    def __init__(self, logs: Path, sink: Sink | None = None) -> None:
        """Write a log `<name>.log` per process into `logs`, and pass its lines to `sink` as well."""
        self._logs = logs
        self._sink = sink
        self._running: dict[str, tuple[Service, LeashedProcess, threading.Thread]] = {}

    def start(self, service: Service) -> None:
        """Start a process, or start it again after its end."""
        process = LeashedProcess(
            [sys.executable, "-m", service.module, *service.arguments],
            output=subprocess.PIPE,
            env={**service.environment, "PYTHONUNBUFFERED": "1"},
            cwd=REPOSITORY,
            ending=ENDING,
        )
        reader = threading.Thread(target=self._copy_output, args=(service.name, process), daemon=True)
        reader.start()
        self._running[service.name] = service, process, reader

    def ended(self) -> list[tuple[Service, int]]:
        """Return the processes that have ended, with their status; it is 128 + N after signal N."""
        codes = ((service, process.returncode()) for service, process, _ in self._running.values())
        return [(service, code) for service, code in codes if code is not None]

    def ensure_running(self) -> None:
        """Raise StoppedError if a process has ended."""
        for service, status in self.ended():
            log = self._logs / f"{service.name}.log"
            raise StoppedError(f"{service.name} ended with status {status}; see {log}")

    def stop(self) -> None:
        for _, process, _ in self._running.values():
            process.request_end()
        for _, process, reader in self._running.values():
            process.stop()
            reader.join(timeout=1)
        self._running.clear()

    def __enter__(self) -> "Processes":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _copy_output(self, name: str, process: LeashedProcess) -> None:
        self._logs.mkdir(parents=True, exist_ok=True)
        with process.output as output, (self._logs / f"{name}.log").open("ab", buffering=0) as log:
            for line in output:
                log.write(line)
                if self._sink:
                    self._sink(name, line.decode(errors="replace").rstrip())
