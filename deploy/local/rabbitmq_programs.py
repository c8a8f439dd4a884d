"""Finds the programs of a RabbitMQ node, and installs them where that is possible.

Only programs are looked for here; a node that the system may be running already is never touched.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.local.errors import NotInstalledError

DOCKER_IMAGE = "rabbitmq:4-management"
POLICY_FILE = Path("/usr/sbin/policy-rc.d")
POLICY_MARK = "# of mailing-service, for the time of one installation"
# What Debian's packages would start by themselves, on the standard ports, at the next boot.
DEBIAN_UNITS = ("rabbitmq-server.service", "epmd.socket", "epmd.service")
HOW_TO_INSTALL = """RabbitMQ is not installed, Docker does not answer, and it cannot be installed from here.
One of these will do:
  Debian, Ubuntu   sudo apt-get install rabbitmq-server
  Fedora           sudo dnf install rabbitmq-server
  macOS            brew install rabbitmq
  Docker           start it, so that `docker info` answers
  another broker   MAILING_BROKER_URL=amqp://user:password@host:5672/"""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Programs:
    """The node's start script and the port mapper that it needs."""

    server: Path
    epmd: Path


def installed_programs() -> Programs | None:
    server = next((path for path in _server_candidates() if os.access(path, os.X_OK)), None)
    epmd = next((path for path in _epmd_candidates() if os.access(path, os.X_OK)), None)
    return Programs(server, epmd) if server and epmd else None


def docker_answers() -> bool:
    return shutil.which("docker") is not None and _succeeds("docker", "info", timeout=10)


def docker_image_at_hand(say: Say) -> bool:
    """Whether the image is here or could be pulled; a machine may have Docker and no registry."""
    if _succeeds("docker", "image", "inspect", DOCKER_IMAGE, timeout=10):
        return True
    say(f"RabbitMQ is not installed: pulling the Docker image {DOCKER_IMAGE}")
    return _succeeds("docker", "pull", "--quiet", DOCKER_IMAGE, timeout=300)


def install(say: Say, log: Path) -> Programs:
    """Installs with the system's package manager.

    The manager's output goes to `log`. Raises NotInstalledError, which says what to install.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    if shutil.which("apt-get") and (prefix := _root_prefix()) is not None:
        say(
            "RabbitMQ is not installed: installing the package rabbitmq-server with apt-get (some minutes at most)"
        )
        _apt_install(prefix, log)
    elif shutil.which("brew"):
        say("RabbitMQ is not installed: installing it with Homebrew (some minutes)")
        _run_logged(["brew", "install", "rabbitmq"], log)
    if (programs := installed_programs()) is None:
        raise NotInstalledError(HOW_TO_INSTALL)
    return programs


def _server_candidates() -> Iterator[Path]:
    # Debian's /usr/sbin/rabbitmq-server switches to a system user of its own: take what it wraps.
    yield Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
    yield from _homebrew_files("sbin/rabbitmq-server")
    if found := shutil.which("rabbitmq-server"):
        yield Path(found)


def _epmd_candidates() -> Iterator[Path]:
    if found := shutil.which("epmd"):
        yield Path(found)
    yield from _homebrew_files("bin/epmd")
    for root in (Path("/usr/lib/erlang"), Path("/usr/lib64/erlang"), Path("/usr/local/lib/erlang")):
        yield from sorted(root.glob("erts-*/bin/epmd"), reverse=True)


def _homebrew_files(below_prefix: str) -> Iterator[Path]:
    if shutil.which("brew"):
        answer = subprocess.run(["brew", "--prefix"], capture_output=True, text=True, timeout=30, check=False)
        if answer.returncode == 0:
            yield Path(answer.stdout.strip()) / below_prefix


def _root_prefix() -> list[str] | None:
    """What to put before a command that needs root; None where root cannot be had without asking."""
    if os.geteuid() == 0:
        return []
    return ["sudo", "-n"] if shutil.which("sudo") and _succeeds("sudo", "-n", "true", timeout=10) else None


def _apt_install(prefix: list[str], log: Path) -> None:
    apt = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", "DPkg::Lock::Timeout=120"]
    install_package = [*apt, "install", "--yes", "--no-install-recommends", "rabbitmq-server"]
    units_before = _enabled_units()
    with _no_service_starts(prefix):
        # A fresh image has no package lists, or ones too old for what the mirror holds.
        if not _run_logged(install_package, log) and _run_logged([*apt, "update"], log):
            _run_logged(install_package, log)
    for unit in _enabled_units() - units_before:
        _run_logged([*prefix, "systemctl", "disable", unit], log)


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


def _enabled_units() -> set[str]:
    if not shutil.which("systemctl"):
        return set()
    return {unit for unit in DEBIAN_UNITS if _succeeds("systemctl", "is-enabled", "--quiet", unit, timeout=10)}


def _run_logged(command: list[str], log: Path) -> bool:
    with log.open("ab") as out:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, timeout=900, check=False)
    return done.returncode == 0


def _succeeds(*command: str, timeout: float) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=timeout, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
