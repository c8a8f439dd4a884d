"""Folder with the data, passwords and logs of private servers, used by one run at a time."""

import fcntl
import os
import shutil
import time
from contextlib import suppress
from pathlib import Path

from deploy.local.errors import InUseError

PREDECESSOR_PATIENCE = 60.0  # seconds for the servers of a killed run to stop


class StateFolder:
    """Folder that is locked between `acquire` and `release`. The lock ends with the process."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Lock the folder, or raise InUseError if another run has locked it."""
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
        self.path.chmod(0o700)  # logs and queues hold texts and numbers
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self._descriptor = descriptor

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def clear(self) -> None:
        """Wait for the end of servers of a killed run, and remove everything but the lock."""
        for entry in self.path.iterdir():
            if entry.is_dir():
                _await_unlocked(entry / "lock")
                shutil.rmtree(entry.resolve())  # of `plain_folder`, the link's target
                entry.unlink(missing_ok=True)
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
    raise InUseError(f"a server of an earlier run still uses {lock.parent}")
