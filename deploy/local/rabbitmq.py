"""A private RabbitMQ node with management UI and Prometheus metrics, on ports and in a folder of its own."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from types import TracebackType

import httpx

from deploy.local.credentials import password_in
from deploy.local.errors import StartError
from deploy.local.ports import HOST, free_ports
from deploy.local.rabbitmq_docker import DockerNode
from deploy.local.rabbitmq_files import USER, NodePorts
from deploy.local.rabbitmq_native import NativeNode
from deploy.local.rabbitmq_programs import Say, docker_answers, docker_image_at_hand, install, installed_programs

START_PATIENCE = 120.0  # seconds: a predecessor that still stops, then a boot on a busy machine
AMQP_HEADER = b"AMQP\x00\x00\x09\x01"
METHOD_FRAME = b"\x01"


class PrivateRabbitMQ:
    """A node in `folder`, started and stopped at will; it keeps its ports as long as this object lives.

    It ends with this process whatever happens, and starts again on what it left behind.
    """

    def __init__(self, folder: Path, say: Say = print) -> None:
        self.folder = folder.resolve()
        self.ports = NodePorts(*free_ports(5))
        self.user = USER
        self.password_file = self.folder / "password"
        self._say = say
        self._node: NativeNode | DockerNode | None = None
        self._booted = self.folder / "booted"

    @property
    def password(self) -> str:
        return password_in(self.password_file)

    @property
    def url(self) -> str:
        return f"amqp://{self.user}:{self.password}@{HOST}:{self.ports.amqp}/"

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
        """Starts the boot, which takes seconds, and returns: `await_ready` is the other half of `start`."""
        if self.is_running():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        self._node = self._node or self._choose_node()
        self._node.launch(self.ports, self.password, fresh=not self._booted.exists())

    def await_ready(self) -> None:
        try:
            self._poll_until_ready()
        except BaseException:
            self.stop()
            raise
        self._booted.touch()

    def stop(self) -> None:
        if self._node:
            self._node.stop()

    def kill(self) -> None:
        """SIGKILL, as if the power had gone."""
        if self._node:
            self._node.kill()

    def is_running(self) -> bool:
        return self._node is not None and self._node.is_running()

    def __enter__(self) -> PrivateRabbitMQ:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _choose_node(self) -> NativeNode | DockerNode:
        if programs := installed_programs():
            return NativeNode(self.folder, programs)
        if docker_answers() and docker_image_at_hand(self._say):
            return DockerNode(self.folder)
        return NativeNode(self.folder, install(self._say, self.folder / "install.log"))

    def _poll_until_ready(self) -> None:
        deadline = time.monotonic() + START_PATIENCE
        while time.monotonic() < deadline:
            if not self.is_running():
                raise StartError(f"RabbitMQ did not start:\n{self._log_tail()}")
            if self._speaks_amqp() and self._management_answers():
                return
            time.sleep(0.1)
        raise StartError(f"RabbitMQ was not ready in {START_PATIENCE:.0f} s:\n{self._log_tail()}")

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
                trust_env=False,  # a proxy has no business on the loopback
            )
        except httpx.HTTPError:
            return False
        return answer.status_code == httpx.codes.OK

    def _log_tail(self) -> str:
        logs = [self.folder / "console.log", *sorted((self.folder / "log").glob("*.log"))]
        lines = [line for log in logs if log.exists() for line in log.read_text(errors="replace").splitlines()]
        return "\n".join(lines[-20:]) + f"\n(all of it: {self.folder})"
