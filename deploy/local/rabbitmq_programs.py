"""Finds the programs of a RabbitMQ node, and installs them where that is possible.

Only programs are looked for here; a node that the system may be running already is never touched.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from deploy.local.errors import NotInstalledError
from deploy.local.packages import apt_install, can_apt_install, run_logged, succeeds

DOCKER_IMAGE = "rabbitmq:4-management"
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
    return shutil.which("docker") is not None and succeeds("docker", "info", timeout=10)


def docker_image_at_hand(say: Say) -> bool:
    """Whether the image is here or could be pulled; a machine may have Docker and no registry."""
    if succeeds("docker", "image", "inspect", DOCKER_IMAGE, timeout=10):
        return True
    say(f"RabbitMQ is not installed: pulling the Docker image {DOCKER_IMAGE}")
    return succeeds("docker", "pull", "--quiet", DOCKER_IMAGE, timeout=300)


def install(say: Say, log: Path) -> Programs:
    """Installs with the system's package manager.

    The manager's output goes to `log`. Raises NotInstalledError, which says what to install.
    """
    if can_apt_install():
        say(
            "RabbitMQ is not installed: installing the package rabbitmq-server with apt-get (some minutes at most)"
        )
        apt_install("rabbitmq-server", log, DEBIAN_UNITS)
    elif shutil.which("brew"):
        say("RabbitMQ is not installed: installing it with Homebrew (some minutes)")
        run_logged(["brew", "install", "rabbitmq"], log)
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
