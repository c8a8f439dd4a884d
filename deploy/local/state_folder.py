"""The folder that holds a private stack's data, passwords and logs, used by one run at a time."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from contextlib import suppress
from pathlib import Path

from deploy.local.errors import InUseError

PREDECESSOR_PATIENCE = 60.0  # seconds for the servers of a killed run to stop, as leash.py makes them


class StateFolder:
    """Locked between `acquire` and `release`; the lock goes with the process, however that ends."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Raises InUseError when another run has it."""
        self.path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode().strip()
            os.close(descriptor)
            raise InUseError(
                f"{self.path} is in use by another run (process {holder}): stop that one first"
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self._descriptor = descriptor

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def clear(self) -> None:
        """Removes everything but the lock, once the servers of a run that was killed have ended."""
        for entry in self.path.iterdir():
            if entry.is_dir():
                _await_unlocked(entry / "lock")
                shutil.rmtree(entry)
            elif entry.name != "lock":
                entry.unlink()


def _await_unlocked(lock: Path) -> None:
    if not lock.exists():
        return
    deadline = time.monotonic() + PREDECESSOR_PATIENCE
    with lock.open("rb") as file:
        while time.monotonic() < deadline:
            with suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            time.sleep(0.1)
    raise InUseError(f"a server of an earlier run still works in {lock.parent}")
