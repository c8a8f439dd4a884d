"""A child process that cannot outlive this one: the handle on a command that runs under `leash.py`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO

LEASH = Path(__file__).with_name("leash.py")
REAPING = 5.0  # seconds that the leash gets for SIGKILL and its own end, after the command's grace


@dataclass(frozen=True)
class Ending:
    """How a command is asked to end: the signal's name without SIG, seconds until SIGKILL follows."""

    signal: str = "TERM"
    grace: float = 12.0


class LeashedProcess:
    """Starts at once. May be started from any thread; ends with this process at the latest.

    `lock` is a file that is locked while the command runs; a second command on it waits for the first to end.
    `leftover`, a file or folder that only a killed predecessor can have left, is removed once that lock is held.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        output: int | IO[bytes],
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        ending: Ending = Ending(),
        lock: Path | None = None,
        leftover: Path | None = None,
        user: str | None = None,
    ) -> None:
        self.ending = ending
        self._pid_end, report_end = os.pipe()
        options = [f"--signal={ending.signal}", f"--grace={ending.grace}", f"--pid-fd={report_end}"]
        options += [f"--lock={lock}"] if lock else []
        options += [f"--remove={leftover}"] if leftover else []
        options += [f"--user={user}"] if user else []
        self._leash = subprocess.Popen(
            [sys.executable, "-I", "-S", str(LEASH), *options, "--", *command],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=env,
            cwd=cwd,
            pass_fds=[report_end],
            start_new_session=True,
        )
        os.close(report_end)

    @cached_property
    def pid(self) -> int | None:
        """The command's own process id, once it has started; None if it never did."""
        with os.fdopen(self._pid_end, "rb") as report:
            line = report.read()
        return int(line) if line else None

    @property
    def output(self) -> IO[bytes] | None:
        return self._leash.stdout

    def returncode(self) -> int | None:
        """None while it runs; 128 + N after signal N."""
        return self._leash.poll()

    def wait(self, timeout: float) -> int:
        """Its status, once it has ended by itself."""
        status = self._leash.wait(timeout)
        self.let_go()
        self.pid  # noqa: B018 - reads and closes its pipe
        return status

    def let_go(self) -> None:
        """Asks for the end without waiting for it."""
        if self._leash.stdin and not self._leash.stdin.closed:
            self._leash.stdin.close()

    def stop(self) -> int:
        self.let_go()
        self.pid  # noqa: B018 - reads and closes its pipe
        try:
            return self._leash.wait(self.ending.grace + REAPING)
        except subprocess.TimeoutExpired:
            self._leash.kill()  # and with it, on Linux, the command
            raise

    def kill(self) -> None:
        """SIGKILL, as if the power had gone."""
        if self.pid is not None and self.returncode() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        self.stop()
