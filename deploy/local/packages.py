"""Installation of Debian packages, without a start of the servers in them."""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

POLICY_FILE = Path("/usr/sbin/policy-rc.d")
POLICY_MARK = "# of mailing-service, for the time of one installation"


def can_apt_install() -> bool:
    """Return True if there is apt-get, and it can run as root without a password."""
    return shutil.which("apt-get") is not None and _root_prefix() is not None


def apt_install(package: str, log: Path, units: Collection[str]) -> None:
    """Install a Debian package; apt-get's output goes to `log`. The caller looks whether the programs are there.

    `units` are the systemd units that the package enables. Those that were not enabled before are disabled.
    """
    prefix = _root_prefix()
    assert prefix is not None
    log.parent.mkdir(parents=True, exist_ok=True)
    apt = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", "DPkg::Lock::Timeout=120"]
    install_package = [*apt, "install", "--yes", "--no-install-recommends", package]
    units_before = _enabled(units)
    with _no_service_starts(prefix):
        # A fresh image has no package lists, or lists that are older than the mirror.
        if not run_logged(install_package, log) and run_logged([*apt, "update"], log):
            run_logged(install_package, log)
    for unit in _enabled(units) - units_before:
        run_logged([*prefix, "systemctl", "disable", unit], log)


@contextmanager
def exclusive(log: Path) -> Iterator[None]:
    """Let one process at a time write this log."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def run_logged(command: list[str], log: Path) -> bool:
    """Run a command, append its output to `log`, and return True if it succeeded."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, timeout=900, check=False)
    return done.returncode == 0


def succeeds(*command: str, timeout: float) -> bool:
    """Return True if the command ended in time with status 0."""
    try:
        return subprocess.run(command, capture_output=True, timeout=timeout, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _root_prefix() -> list[str] | None:
    """Return the words before a command that needs root; None if a password would be needed."""
    if os.geteuid() == 0:
        return []
    return ["sudo", "-n"] if shutil.which("sudo") and succeeds("sudo", "-n", "true", timeout=10) else None


@contextmanager
def _no_service_starts(prefix: list[str], policy: Path = POLICY_FILE) -> Iterator[None]:
    """Keep Debian from starting servers at their installation, by a policy file."""
    # A file with our mark is a leftover of a killed installation, and is replaced.
    if policy.exists() and POLICY_MARK not in policy.read_text(errors="replace"):
        yield
        return
    script = f"printf '#!/bin/sh\\n{POLICY_MARK}\\nexit 101\\n' > {policy} && chmod 755 {policy}"
    subprocess.run([*prefix, "sh", "-c", script], check=True, timeout=10)
    try:
        yield
    finally:
        subprocess.run([*prefix, "rm", "-f", str(policy)], check=True, timeout=10)


def _enabled(units: Collection[str]) -> set[str]:
    if not shutil.which("systemctl"):
        return set()
    return {unit for unit in units if succeeds("systemctl", "is-enabled", "--quiet", unit, timeout=10)}
