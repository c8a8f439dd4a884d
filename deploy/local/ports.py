"""Free TCP ports on the loopback address for private servers."""

import atexit
import json
import random
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

HOST = "127.0.0.1"
# Below what systems use for outgoing connections (32768 on Linux, 49152 on macOS): otherwise a client that retries
# while its server restarts may get the server's port as its own.
# RabbitMQ's standard port 25672 lies above and stays free for a node of the system.
PRIVATE_PORTS = range(20000, 25000)

# For every port that was handed out, this process holds the UDP port of the same number until it ends. Nobody else
# gets that port, not even while its server is down for a moment.
_held = ExitStack()
atexit.register(_held.close)


def free_ports(count: int) -> list[int]:
    """Return different ports that no other caller gets while this process lives."""
    found: list[int] = []
    for port in random.sample(PRIVATE_PORTS, len(PRIVATE_PORTS)):
        if len(found) == count:
            return found
        if _take(port):
            found.append(port)
    raise OSError(f"no {count} free ports in {PRIVATE_PORTS.start}-{PRIVATE_PORTS.stop}")


def same_ports(file: Path, names: Sequence[str]) -> list[int]:
    """Return a port per name: the one of the last call with this file where it is free, else another one."""
    try:
        before = json.loads(file.read_text())
    except (OSError, ValueError):
        before = {}
    found = dict(before)
    for name in names:
        port = before.get(name)
        found[name] = port if isinstance(port, int) and _take(port) else free_ports(1)[0]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(found))
    return [found[name] for name in names]


def is_free(port: int, host: str = HOST) -> bool:
    """Return True if a server can listen on the port."""
    with socket.socket() as listener:
        # As servers do it; otherwise a port looks taken for a minute, for connections in TIME_WAIT.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError:
            return False
    return True


def accepts(port: int) -> bool:
    """Return True if a server listens on the port."""
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex((HOST, port)) == 0


def _take(port: int) -> bool:
    return is_free(port) and _hold(port)


def _hold(port: int) -> bool:
    holder = socket.socket(type=socket.SOCK_DGRAM)
    try:
        holder.bind((HOST, port))
    except OSError:
        holder.close()
        return False
    _held.enter_context(holder)
    return True
