"""RabbitMQ node as a container of the official image, with its ports on the loopback address only."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from deploy.local.leashed_process import Ending, LeashedProcess
from deploy.local.ports import HOST
from deploy.local.rabbitmq_files import USER, NodePorts
from deploy.local.rabbitmq_programs import DOCKER_IMAGE

# `docker run` passes the signal on to the container.
CONTAINER_ENDING = Ending(signal="TERM", grace=30.0)
# Where the image listens, inside its container.
AMQP, MANAGEMENT, PROMETHEUS = 5672, 15672, 15692


class DockerNode:
    """Container with the same interface as the node from installed programs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # The name follows from the folder: so the container of a killed run is found, and no other one.
        self._name = f"mailing-rabbitmq-{hashlib.sha256(str(folder).encode()).hexdigest()[:12]}"
        self._container: LeashedProcess | None = None

    def launch(self, ports: NodePorts, password: str, fresh: bool) -> None:
        self._remove_container()
        data = self._folder / "data"
        if fresh and data.exists():
            shutil.rmtree(data)  # an interrupted first boot cannot continue
        data.mkdir(exist_ok=True)
        # Not as arguments, which every user of the machine can read.
        credentials = {"RABBITMQ_DEFAULT_USER": USER, "RABBITMQ_DEFAULT_PASS": password}
        with (self._folder / "console.log").open("wb") as log:
            self._container = LeashedProcess(
                [*self._command(ports, data), *(f"--env={name}" for name in credentials), DOCKER_IMAGE],
                output=log,
                env={**os.environ, **credentials},
                ending=CONTAINER_ENDING,
                lock=self._folder / "lock",
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
        published = {ports.amqp: AMQP, ports.management: MANAGEMENT, ports.prometheus: PROMETHEUS}
        options = [f"--publish={HOST}:{outer}:{inner}" for outer, inner in published.items()]
        if sys.platform == "linux" and os.geteuid() != 0:
            options.append(f"--user={os.geteuid()}:{os.getegid()}")  # else its files belong to another user
        # `z` lets the container read and write these files under SELinux.
        mount = f"--volume={data}:/var/lib/rabbitmq:z"
        return ["docker", "run", "--rm", f"--name={self._name}", "--hostname=mailing", mount, *options]

    def _remove_container(self) -> None:
        _docker("rm", "--force", "--volumes", self._name)


def _docker(*arguments: str) -> None:
    subprocess.run(["docker", *arguments], capture_output=True, timeout=60, check=False)
