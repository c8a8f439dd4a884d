"""Installs programs with the system's package manager, without letting it start any server."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

POLICY_FILE = Path("/usr/sbin/policy-rc.d")
POLICY_MARK = "# of mailing-service, for the time of one installation"


def can_apt_install() -> bool:
    """Whether there is apt-get, and root can be had without asking."""
    return shutil.which("apt-get") is not None and _root_prefix() is not None


def apt_install(package: str, log: Path, units: Collection[str]) -> None:
    """Installs a Debian package; apt-get's output goes to `log`. Whether it worked shows in what is there then.

    `units` of systemd, which the package would start at the next boot, are switched off if they were not on.
    """
    prefix = _root_prefix()
    assert prefix is not None
    log.parent.mkdir(parents=True, exist_ok=True)
    apt = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", "DPkg::Lock::Timeout=120"]
    install_package = [*apt, "install", "--yes", "--no-install-recommends", package]
    units_before = _enabled(units)
    with _no_service_starts(prefix):
        # A fresh image has no package lists, or ones too old for what the mirror holds.
        if not run_logged(install_package, log) and run_logged([*apt, "update"], log):
            run_logged(install_package, log)
    for unit in _enabled(units) - units_before:
        run_logged([*prefix, "systemctl", "disable", unit], log)


def run_logged(command: list[str], log: Path) -> bool:
    """Whether it succeeded; its output is added to `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, timeout=900, check=False)
    return done.returncode == 0


def succeeds(*command: str, timeout: float) -> bool:
    """Whether it ended in time, with status 0."""
    try:
        return subprocess.run(command, capture_output=True, timeout=timeout, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _root_prefix() -> list[str] | None:
    """What to put before a command that needs root; None where root cannot be had without asking."""
    if os.geteuid() == 0:
        return []
    return ["sudo", "-n"] if shutil.which("sudo") and succeeds("sudo", "-n", "true", timeout=10) else None


@contextmanager
def _no_service_starts(prefix: list[str], policy: Path = POLICY_FILE) -> Iterator[None]:
    """Debian starts a server as soon as it is installed, unless this file forbids it."""
    # One with our mark was left by an installation that was killed: it must not stay.
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
