"""Run a command that must not outlive its starter: `python leash.py [options] -- command…`.

The starter holds the other end of standard input and writes nothing to it. That end closes when the starter asks
for the end, and also when the starter dies, even by SIGKILL. The command then gets its stop signal and, after a
grace period, SIGKILL. A lock file is held meanwhile, so that a successor waits for the end of the command.

This is a separate program, because a process that is killed by SIGKILL cannot clean up after itself. The kernel's
parent-death signal alone does not do, because it is bound to a thread. It is used as a second safety net.
"""

import argparse
import contextlib
import ctypes
import fcntl
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

LOCK_BUSY = 75  # EX_TEMPFAIL of sysexits.h
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--signal", default="TERM", help="signal that stops the command")
    parser.add_argument("--grace", type=float, default=12, help="seconds until SIGKILL follows")
    parser.add_argument("--lock", type=Path, help="file to lock while the command runs")
    parser.add_argument("--lock-wait", type=float, default=60, help="seconds to wait for that lock")
    parser.add_argument("--remove", type=Path, help="leftover of a killed predecessor to remove under the lock")
    parser.add_argument("--user", help="uid:gid of the command")
    parser.add_argument("--pid-fd", type=int, help="file descriptor for the process id of the command")
    parser.add_argument("command", nargs="+")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    if options.lock and not _locked(options.lock, options.lock_wait):
        print(f"{options.lock} is held by another run", file=sys.stderr)
        return LOCK_BUSY
    if options.remove:
        _remove(options.remove)
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    pid = _spawn(options.command, options.user)
    if options.pid_fd is not None:
        os.write(options.pid_fd, f"{pid}\n".encode())
        os.close(options.pid_fd)
    _stop_at_end_of_input(pid, getattr(signal, f"SIG{options.signal}"), options.grace)
    status = _wait(pid)
    _kill_group(pid)
    _kill_orphans()
    return status if status >= 0 else 128 - status


def _locked(path: Path, patience: float) -> bool:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)  # released at the end of this process
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        closed, _, _ = select.select([sys.stdin], [], [], 0.1)
        if closed:
            return False
    return False


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _spawn(command: list[str], user: str | None) -> int:
    uid, gid = (int(number) for number in user.split(":")) if user else (None, None)
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        start_new_session=True,  # away from the terminal's Ctrl-C, and a group to sweep
        user=uid,
        group=gid,
        extra_groups=[] if user else None,
        # In case that the leash itself is killed by SIGKILL.
        preexec_fn=lambda: _prctl(PR_SET_PDEATHSIG, signal.SIGKILL),  # noqa: PLW1509 - no thread runs yet
    )
    child.returncode = 0  # `_wait` reaps it, so that Popen must not
    return child.pid


def _prctl(option: int, value: int) -> None:
    """Call prctl(2) on Linux; do nothing elsewhere."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value)


def _stop_at_end_of_input(pid: int, stop_signal: int, grace: float) -> None:
    def stop() -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, stop_signal)
        time.sleep(grace)
        _kill_group(pid)

    def wait_for_end_of_input() -> None:
        while os.read(sys.stdin.fileno(), 1024):
            pass
        stop()

    threading.Thread(target=wait_for_end_of_input, daemon=True).start()
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=stop, daemon=True).start())


def _wait(pid: int) -> int:
    """Wait like Popen.wait, and reap orphans of daemons, which this process inherits as a subreaper."""
    while True:
        ended, status = os.waitpid(-1, 0)
        if ended == pid:
            return os.waitstatus_to_exitcode(status)


def _kill_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _kill_orphans() -> None:
    """Kill processes of the command that have their own sessions, as PostgreSQL's backends have.

    They are children of this process by now, because it is a subreaper.
    """
    while True:
        for pid in _children():
            os.kill(pid, signal.SIGKILL)
        try:
            ended, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not ended:
            time.sleep(0.01)


def _children() -> list[int]:
    me = str(os.getpid())
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has just ended
            pid, after_name = int(stat.parent.name), stat.read_text().rpartition(")")[2]
            if after_name.split()[1] == me:
                found.append(pid)
    return found


if __name__ == "__main__":
    sys.exit(main())
