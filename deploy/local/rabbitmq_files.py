"""Configuration of a private RabbitMQ node: ports, rabbitmq.conf and environment. No I/O."""

import os
from dataclasses import dataclass
from pathlib import Path

from deploy.local.ports import HOST

NODE = "mailing@localhost"
USER = "mailing"
PLUGINS = "[rabbitmq_management,rabbitmq_prometheus].\n"
LIMITS = """\
vm_memory_high_watermark.absolute = 1GiB
disk_free_limit.absolute = 256MB
"""


@dataclass(frozen=True)
class NodePorts:
    amqp: int
    management: int
    prometheus: int
    distribution: int
    epmd: int


def configuration(ports: NodePorts, password: str) -> str:
    """Return the text of rabbitmq.conf. User and password take effect at the first boot only."""
    return f"""\
listeners.tcp.default = {HOST}:{ports.amqp}
management.tcp.ip = {HOST}
management.tcp.port = {ports.management}
prometheus.tcp.ip = {HOST}
prometheus.tcp.port = {ports.prometheus}
default_user = {USER}
default_pass = {password}
{LIMITS}"""


def environment(folder: Path, ports: NodePorts) -> dict[str, str]:
    """Return the whole environment of the node, so that no RABBITMQ_* and ERL_* of the user reaches it."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder / "home"),  # where Erlang's cookie is
        "LANG": "C.UTF-8",
        "ERL_EPMD_ADDRESS": HOST,
        "ERL_EPMD_PORT": str(ports.epmd),
        "RABBITMQ_NODENAME": NODE,
        "RABBITMQ_NODE_IP_ADDRESS": HOST,
        "RABBITMQ_NODE_PORT": str(ports.amqp),
        "RABBITMQ_DIST_PORT": str(ports.distribution),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),  # no file: hides the system's file
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_CONFIG_FILES": str(folder / "conf.d"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        "RABBITMQ_GENERATED_CONFIG_DIR": str(folder / "generated"),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_SCHEDULER_BIND_TYPE": "u",  # several nodes on a machine would bind to the same cores
        # The start script then becomes the node instead of waiting for it, so that signals reach the node.
        "RUNNING_UNDER_SYSTEMD": "true",
    }
