"""Free TCP ports on the loopback address for private servers."""

from __future__ import annotations

import atexit
import random
import socket
from contextlib import ExitStack

HOST = "127.0.0.1"
# Below what systems hand out for outgoing connections (32768 on Linux, 49152 on macOS): a client that keeps
# trying a port from that range while its server restarts may be given that very port, and so hold it.
# Above 25000 is RabbitMQ's standard 25672, which stays free for a node of the system's own.
PRIVATE_PORTS = range(20000, 25000)

# Of every port that was given out, the UDP port of the same number is held until this process ends. So nobody else
# is given it, also while its server is down for a moment.
_held = ExitStack()
atexit.register(_held.close)


def free_ports(count: int) -> list[int]:
    """Different ports, which no other process that asks here is given as long as this one lives."""
    found: list[int] = []
    for port in random.sample(PRIVATE_PORTS, len(PRIVATE_PORTS)):
        if len(found) == count:
            return found
        if is_free(port) and _hold(port):
            found.append(port)
    raise OSError(f"no {count} free ports in {PRIVATE_PORTS.start}-{PRIVATE_PORTS.stop}")


def _hold(port: int) -> bool:
    holder = socket.socket(type=socket.SOCK_DGRAM)
    try:
        holder.bind((HOST, port))
    except OSError:
        holder.close()
        return False
    _held.enter_context(holder)
    return True


def is_free(port: int, host: str = HOST) -> bool:
    with socket.socket() as listener:
        return _binds(listener, port, host)


def accepts(port: int) -> bool:
    """Whether something listens there."""
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex((HOST, port)) == 0


def _binds(listener: socket.socket, port: int, host: str = HOST) -> bool:
    # As servers do it; without this, connections in TIME_WAIT would make a port look taken for a minute.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError:
        return False
    return True
