"""The RabbitMQ node as a container of the official image, its ports published on the loopback address alone."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from deploy.local.credentials import write_private
from deploy.local.leashed_process import Ending, LeashedProcess
from deploy.local.ports import HOST
from deploy.local.rabbitmq_files import STANDARD_PORTS, NodePorts, configuration
from deploy.local.rabbitmq_programs import DOCKER_IMAGE

# `docker run` passes the signal on to the container.
CONTAINER_ENDING = Ending(signal="TERM", grace=30.0)


class DockerNode:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # One folder, one name: what a killed run has left behind is found again, and nobody else's is touched.
        self._name = f"mailing-rabbitmq-{hashlib.sha256(str(folder).encode()).hexdigest()[:12]}"
        self._container: LeashedProcess | None = None

    def launch(self, ports: NodePorts, password: str, fresh: bool) -> None:
        self._remove_container()
        data = self._folder / "data"
        write_private(self._folder / "rabbitmq.conf", configuration(STANDARD_PORTS, password, listen_on="0.0.0.0"))
        with (self._folder / "console.log").open("wb") as log:
            self._container = LeashedProcess(
                self._command(ports, data),
                output=log,
                ending=CONTAINER_ENDING,
                lock=self._folder / "lock",
                leftover=data if fresh else None,
            )

    def stop(self) -> None:
        if self._container:
            self._container.stop()
            self._remove_container()

    def kill(self) -> None:
        _docker("kill", self._name)
        self.stop()

    def is_running(self) -> bool:
        return self._container is not None and self._container.returncode() is None

    def _command(self, ports: NodePorts, data: Path) -> list[str]:
        published = {
            ports.amqp: STANDARD_PORTS.amqp,
            ports.management: STANDARD_PORTS.management,
            ports.prometheus: STANDARD_PORTS.prometheus,
        }
        options = [f"--publish={HOST}:{outer}:{inner}" for outer, inner in published.items()]
        options.append(f"--volume={data}:/var/lib/rabbitmq")
        options.append(f"--volume={self._folder / 'rabbitmq.conf'}:/etc/rabbitmq/conf.d/90-mailing.conf:ro")
        if sys.platform == "linux" and os.geteuid() != 0:
            options.append(f"--user={os.geteuid()}:{os.getegid()}")  # or its files would be nobody's to remove
        return ["docker", "run", "--rm", f"--name={self._name}", "--hostname=mailing", *options, DOCKER_IMAGE]

    def _remove_container(self) -> None:
        _docker("rm", "--force", "--volumes", self._name)


def _docker(*arguments: str) -> None:
    subprocess.run(["docker", *arguments], capture_output=True, timeout=60, check=False)
