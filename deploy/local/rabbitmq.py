"""Private RabbitMQ node with management UI and Prometheus metrics, with its own ports and folder."""

import re
import socket
import time
from pathlib import Path

import httpx

from deploy.local.credentials import password_in
from deploy.local.errors import StartError
from deploy.local.lifetime import Startable
from deploy.local.plain_path import plain_folder
from deploy.local.ports import HOST, free_ports
from deploy.local.rabbitmq_docker import DockerNode
from deploy.local.rabbitmq_files import USER, NodePorts
from deploy.local.rabbitmq_native import NativeNode
from deploy.local.rabbitmq_programs import (
    DOCKER_IMAGE,
    Notify,
    docker_answers,
    docker_image_available,
    install,
    installed_programs,
)

START_PATIENCE = 120.0  # seconds: a predecessor that still stops, then a boot on a busy machine
AMQP_HEADER = b"AMQP\x00\x00\x09\x01"
METHOD_FRAME = b"\x01"
BOOTED = "booted"  # file that marks a complete first boot
FIRST_ERROR = re.compile(r"error|fail|crash", re.IGNORECASE)


class PrivateRabbitMQ(Startable):
    """Node with its data in `folder`. It keeps its ports while this object lives.

    It ends with this process, however that ends, and continues with the same data at its next start.
    """

    def __init__(self, folder: Path, notify: Notify = print, ports: NodePorts | None = None) -> None:
        self.folder = folder.absolute()
        self.ports = ports or NodePorts(*free_ports(5))
        self.user = USER
        self._notify = notify
        self._node: NativeNode | DockerNode | None = None

    @property
    def password_file(self) -> Path:
        return self.folder / "password"

    @property
    def password(self) -> str:
        return password_in(self.password_file)

    @property
    def url(self) -> str:
        return f"amqp://{self.user}:{self.password}@{HOST}:{self.ports.amqp}/"

    @property
    def masked_url(self) -> str:
        return f"amqp://{self.user}:***@{HOST}:{self.ports.amqp}/"

    @property
    def management_url(self) -> str:
        return f"http://{HOST}:{self.ports.management}"

    @property
    def metrics_url(self) -> str:
        return f"http://{HOST}:{self.ports.prometheus}/metrics"

    def start(self) -> None:
        self.launch()
        self.await_ready()

    def launch(self) -> None:
        """Begin the start, which takes seconds; `await_ready` waits for its end."""
        if self.is_running():
            return
        self.folder = plain_folder(self.folder)
        self._node = self._node or self._choose_node()
        self._node.launch(self.ports, self.password, fresh=not (self.folder / BOOTED).exists())

    def await_ready(self) -> None:
        try:
            self._poll_until_ready()
        except BaseException:
            self.stop()
            raise
        (self.folder / BOOTED).touch()

    def ensure_running(self) -> None:
        """Raise StartError, with the first error of the log, if the node has ended."""
        if not self.is_running():
            raise StartError(f"RabbitMQ did not start:\n{self._first_error()}")

    def stop(self) -> None:
        if self._node:
            self._node.stop()

    def kill(self) -> None:
        """End the node by SIGKILL, as a power failure would."""
        if self._node:
            self._node.kill()

    def is_running(self) -> bool:
        return self._node is not None and self._node.is_running()

    def _choose_node(self) -> NativeNode | DockerNode:
        if programs := installed_programs():
            return NativeNode(self.folder, programs)
        if docker_answers() and docker_image_available(DOCKER_IMAGE, self._notify):
            return DockerNode(self.folder)
        return NativeNode(self.folder, install(self._notify, self.folder / "install.log"))

    def _poll_until_ready(self) -> None:
        deadline = time.monotonic() + START_PATIENCE
        while time.monotonic() < deadline:
            self.ensure_running()
            if self._speaks_amqp() and self._management_answers():
                return
            time.sleep(0.1)
        raise StartError(f"RabbitMQ was not ready in {START_PATIENCE:.0f} s:\n{self._first_error()}")

    def _speaks_amqp(self) -> bool:
        try:
            with socket.create_connection((HOST, self.ports.amqp), timeout=5) as connection:
                connection.sendall(AMQP_HEADER)
                return connection.recv(1) == METHOD_FRAME
        except OSError:
            return False

    def _management_answers(self) -> bool:
        try:
            answer = httpx.get(
                f"{self.management_url}/api/overview",
                auth=(self.user, self.password),
                timeout=5,
                trust_env=False,  # no proxy for the loopback address
            )
        except httpx.HTTPError:
            return False
        return answer.status_code == httpx.codes.OK

    def _first_error(self) -> str:
        """Return the lines of the log from the first one about an error, or else the last lines."""
        logs = [*sorted((self.folder / "log").glob("*.log")), self.folder / "console.log"]
        lines = [line for log in logs if log.exists() for line in log.read_text(errors="replace").splitlines()]
        first = next((at for at, line in enumerate(lines) if FIRST_ERROR.search(line)), max(len(lines) - 10, 0))
        return "\n".join(lines[first : first + 10]) + f"\n(all logs: {self.folder})"
