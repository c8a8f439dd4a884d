"""RabbitMQ node from programs of this machine, with its own port mapper (epmd)."""

import secrets
import subprocess
import time
from pathlib import Path

from deploy.local.credentials import write_private
from deploy.local.leashed_process import Ending, LeashedProcess
from deploy.local.ports import HOST, accepts
from deploy.local.rabbitmq_files import PLUGINS, NodePorts, configuration, environment
from deploy.local.rabbitmq_programs import Programs

NODE_ENDING = Ending(signal="TERM", grace=30.0)
EPMD_ENDING = Ending(signal="TERM", grace=1.0)
EPMD_PATIENCE = 10.0  # seconds


class NativeNode:
    """Node and port mapper. Without the latter, the node would start one as a daemon and leave it behind."""

    def __init__(self, folder: Path, programs: Programs) -> None:
        self._folder = folder
        self._programs = programs
        self._epmd: LeashedProcess | None = None
        self._server: LeashedProcess | None = None

    def launch(self, ports: NodePorts, password: str, fresh: bool) -> None:
        self.stop()  # the port mapper of a node that has ended by itself
        self._write_files(ports, password)
        self._epmd = self._port_mapper(ports)
        with (self._folder / "console.log").open("wb") as log:
            self._server = LeashedProcess(
                [str(self._programs.server)],
                output=log,
                env=self._environment(ports),
                cwd=self._folder,
                ending=NODE_ENDING,
                lock=self._folder / "lock",
                leftover=self._folder / "data" if fresh else None,  # an interrupted first boot cannot continue
            )

    def stop(self) -> None:
        for process in (self._server, self._epmd):
            if process:
                process.stop()

    def kill(self) -> None:
        for process in (self._server, self._epmd):
            if process:
                process.kill()

    def is_running(self) -> bool:
        return self._server is not None and self._server.returncode() is None

    def _environment(self, ports: NodePorts) -> dict[str, str]:
        return environment(self._folder, ports)

    def _write_files(self, ports: NodePorts, password: str) -> None:
        home = self._folder / "home"
        home.mkdir(exist_ok=True)
        cookie = home / ".erlang.cookie"
        if not cookie.exists():
            write_private(cookie, secrets.token_hex(16))
            cookie.chmod(0o400)
        write_private(self._folder / "rabbitmq.conf", configuration(ports, password))
        (self._folder / "enabled_plugins").write_text(PLUGINS)

    def _port_mapper(self, ports: NodePorts) -> LeashedProcess | None:
        """Start the port mapper of this node."""
        return launch_port_mapper(self._programs, ports.epmd)


def launch_port_mapper(programs: Programs, port: int) -> LeashedProcess:
    """Start epmd and return when it accepts connections."""
    epmd = LeashedProcess(
        [str(programs.epmd), "-port", str(port), "-address", HOST],
        output=subprocess.DEVNULL,
        ending=EPMD_ENDING,
    )
    deadline = time.monotonic() + EPMD_PATIENCE
    while not accepts(port) and time.monotonic() < deadline:
        time.sleep(0.02)
    return epmd
