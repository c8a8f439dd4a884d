"""Programs of a RabbitMQ node: find them, or install them where that is possible.

A node that the system already runs is never touched.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from deploy.local.errors import NotInstalledError
from deploy.local.packages import apt_install, can_apt_install, exclusive, run_logged, succeeds

DOCKER_IMAGE = "rabbitmq:4.2.9-management"
# Debian's packages enable these, so that they would start on the standard ports at the next boot.
DEBIAN_UNITS = ("rabbitmq-server.service", "epmd.socket", "epmd.service")
HOW_TO_INSTALL = """RabbitMQ is not installed, Docker does not answer, and it cannot be installed from here.
Choose one of these:
  Debian, Ubuntu   sudo apt-get install rabbitmq-server
  Fedora           sudo dnf install rabbitmq-server
  macOS            brew install rabbitmq
  Docker           start it, so that `docker info` answers
  another broker   MAILING_BROKER_URL=amqp://user:password@host:5672/"""

Notify = Callable[[str], None]  # takes a line for the person who waits


@dataclass(frozen=True)
class Programs:
    """Start script of the node, and the port mapper that it needs."""

    server: Path
    epmd: Path


def installed_programs() -> Programs | None:
    server = next((path for path in _server_candidates() if os.access(path, os.X_OK)), None)
    epmd = next((path for path in _epmd_candidates() if os.access(path, os.X_OK)), None)
    return Programs(server, epmd) if server and epmd else None


def docker_answers() -> bool:
    return shutil.which("docker") is not None and succeeds("docker", "info", timeout=10)


def docker_image_available(image: str, notify: Notify) -> bool:
    """Return True if the image is here or could be pulled; a machine may have Docker and no registry."""
    if succeeds("docker", "image", "inspect", image, timeout=10):
        return True
    notify(f"pulling the Docker image {image}")
    return succeeds("docker", "pull", "--quiet", image, timeout=300)


def install(notify: Notify, log: Path) -> Programs:
    """Install RabbitMQ with the system's package manager, whose output goes to `log`.

    Of several processes that call this at the same time, one installs and the others wait.

    Raises:
        NotInstalledError: that failed; the message says what to install by hand.
    """
    with exclusive(log):
        if programs := installed_programs():
            return programs
        _install(notify, log)
    if (programs := installed_programs()) is None:
        raise NotInstalledError(HOW_TO_INSTALL)
    return programs


def _install(notify: Notify, log: Path) -> None:
    if can_apt_install():
        notify(
            "RabbitMQ is not installed: installing the package rabbitmq-server with apt-get (some minutes at most)"
        )
        apt_install("rabbitmq-server", log, DEBIAN_UNITS)
    elif shutil.which("brew"):
        notify("RabbitMQ is not installed: installing it with Homebrew (some minutes)")
        run_logged(["brew", "install", "rabbitmq"], log)


def _server_candidates() -> Iterator[Path]:
    # Debian's /usr/sbin/rabbitmq-server switches to its own system user, and then runs this one.
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
