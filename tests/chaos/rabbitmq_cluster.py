"""Private RabbitMQ cluster on one machine, for tests that kill its nodes."""

import secrets
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from deploy.local.errors import StartError
from deploy.local.leashed_process import LeashedProcess
from deploy.local.lifetime import Startable
from deploy.local.ports import HOST, free_ports
from deploy.local.rabbitmq_files import USER, NodePorts
from deploy.local.rabbitmq_native import NativeNode, launch_port_mapper
from deploy.local.rabbitmq_programs import Notify, Programs, install, installed_programs

PATIENCE = 120.0  # seconds, for the cluster to form and for a node to come back
NAMES = ("c1", "c2", "c3")


class ClusterNode(NativeNode):
    """Node without a port mapper of its own: the cluster's outlives each node."""

    def __init__(self, folder: Path, programs: Programs, name: str, cookie: str, peers: tuple[str, ...]) -> None:
        super().__init__(folder, programs)
        self.name = f"{name}@localhost"
        self._cookie = cookie
        self._peers = peers

    def _environment(self, ports: NodePorts) -> dict[str, str]:
        return super()._environment(ports) | {"RABBITMQ_NODENAME": self.name}

    def _write_files(self, ports: NodePorts, password: str) -> None:
        cookie = self._folder / "home" / ".erlang.cookie"
        if not cookie.exists():
            cookie.parent.mkdir(parents=True)
            cookie.write_text(self._cookie)
            cookie.chmod(0o400)
        super()._write_files(ports, password)
        lines = ["cluster_formation.peer_discovery_backend = classic_config"]
        lines += [
            f"cluster_formation.classic_config.nodes.{number} = {peer}@localhost"
            for number, peer in enumerate(self._peers, start=1)
        ]
        lines += ["cluster_partition_handling = pause_minority", ""]
        with (self._folder / "rabbitmq.conf").open("a") as configuration:
            configuration.write("\n".join(lines))

    def _port_mapper(self, ports: NodePorts) -> None:
        del ports  # the cluster has one


class PrivateCluster(Startable):
    """Three nodes that run inside the `with` block. `folder` must be new."""

    def __init__(self, folder: Path, notify: Notify = print) -> None:
        self._folder = folder
        programs = installed_programs() or install(notify, folder / "install.log")
        self._password, cookie = secrets.token_hex(16), secrets.token_hex(16)
        epmd, *ports = free_ports(1 + 4 * len(NAMES))
        self._ports = {}
        for name in NAMES:
            amqp, management, prometheus, distribution, *ports = ports
            self._ports[name] = NodePorts(amqp, management, prometheus, distribution, epmd)
        self._programs = programs
        self._epmd_port = epmd
        self._epmd: LeashedProcess | None = None
        self._nodes: dict[str, ClusterNode] = {
            name: ClusterNode(folder / name, programs, name, cookie, NAMES) for name in NAMES
        }

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._nodes)

    @property
    def url(self) -> str:
        """Return the URLs of all nodes, separated by commas, as MAILING_BROKER_URL takes them."""
        ports = (ports.amqp for ports in self._ports.values())
        return ",".join(f"amqp://{USER}:{self._password}@{HOST}:{port}/" for port in ports)

    def start_node(self, name: str) -> None:
        """Begin the start of a node; `await_whole` waits for its end."""
        folder = self._folder / name
        folder.mkdir(parents=True, exist_ok=True)
        self._nodes[name].launch(self._ports[name], self._password, fresh=False)

    def kill(self, name: str) -> None:
        """End a node by SIGKILL."""
        self._nodes[name].kill()

    def await_whole(self) -> None:
        """Return when every node reports that all nodes run."""
        _until(
            lambda: all(self._running_nodes(name) == len(self._nodes) for name in self._nodes), "a whole cluster"
        )

    def leader(self, queue: str) -> str:
        """Return the node that leads the quorum queue, as the first node that answers reports it."""
        for name in self._nodes:
            found = self._get(name, f"/api/queues/%2F/{queue}")
            if isinstance(found, dict) and isinstance(found.get("leader"), str):
                return str(found["leader"]).partition("@")[0]
        raise StartError(f"no node knows the leader of {queue}")

    def start(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            self._epmd = launch_port_mapper(self._programs, self._epmd_port)
            for name in self._nodes:
                self.start_node(name)
            self.await_whole()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Kill all nodes."""
        for node in self._nodes.values():
            node.kill()
        if self._epmd is not None:
            self._epmd.stop()

    def _running_nodes(self, name: str) -> int:
        nodes = self._get(name, "/api/nodes")
        return sum(1 for node in nodes if node.get("running")) if isinstance(nodes, list) else 0

    def _get(self, name: str, path: str) -> object:
        url = f"http://{HOST}:{self._ports[name].management}{path}"
        try:
            answer = httpx.get(url, auth=(USER, self._password), timeout=5, trust_env=False)
        except httpx.HTTPError:
            return None
        return answer.json() if answer.status_code == httpx.codes.OK else None


def _until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise StartError(f"waited {PATIENCE:.0f} s in vain for {what}")
        time.sleep(0.3)
