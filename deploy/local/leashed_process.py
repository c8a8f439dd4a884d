"""Child process that cannot outlive this one, because it runs under `leash.py`."""

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
REAPING = 5.0  # seconds for SIGKILL and the end of the leash, after the command's grace


@dataclass(frozen=True)
class Ending:
    """Stop signal without SIG, and the seconds until SIGKILL follows."""

    signal: str = "TERM"
    grace: float = 12.0


class LeashedProcess:
    """Command that starts at once, from any thread, and ends with this process at the latest.

    lock: a file that is locked while the command runs; a second command with this lock waits for it.
    leftover: a file or folder that only a killed predecessor leaves; it is removed under the lock.
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
        """Process id of the command, after its start; None if it could not start."""
        with os.fdopen(self._pid_end, "rb") as report:
            line = report.read()
        return int(line) if line else None

    @property
    def output(self) -> IO[bytes]:
        """Return the pipe with the command's output; only for `output=subprocess.PIPE`."""
        assert self._leash.stdout is not None
        return self._leash.stdout

    def returncode(self) -> int | None:
        """Return the exit status, 128 + N after signal N; None while the command runs."""
        return self._leash.poll()

    def wait(self, timeout: float) -> int:
        """Wait until the command ends by itself, and return its exit status."""
        status = self._leash.wait(timeout)
        self.request_end()
        self.pid  # noqa: B018 - reads and closes its pipe
        return status

    def request_end(self) -> None:
        """Send the stop signal, without waiting for the end."""
        if self._leash.stdin and not self._leash.stdin.closed:
            self._leash.stdin.close()

    def stop(self) -> int:
        self.request_end()
        self.pid  # noqa: B018 - reads and closes its pipe
        try:
            return self._leash.wait(self.ending.grace + REAPING)
        except subprocess.TimeoutExpired:
            self._leash.kill()  # on Linux, the command ends with it
            raise

    def kill(self) -> None:
        """End the command by SIGKILL, as a power failure would."""
        if self.pid is not None and self.returncode() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        self.stop()
