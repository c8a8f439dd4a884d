"""`python -m deploy.local run | demo | servers | prepare`: the whole system, or its servers, on this machine."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

from deploy.local.demo import demo
from deploy.local.errors import LocalStackError, NotInstalledError
from deploy.local.processes import REPOSITORY
from deploy.local.rabbitmq_programs import docker_answers, install, installed_programs
from deploy.local.run import run
from deploy.local.stack import BROKER_VARIABLE, Servers
from shared import __version__

STATE = REPOSITORY / ".local"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deploy.local", description=__doc__)
    parser.add_argument("--version", action="version", version=f"mailing {__version__}")
    commands = parser.add_subparsers(dest="action", required=True)
    running = commands.add_parser("run", help="the whole system, until Ctrl-C")
    running.add_argument("--senders", type=_at_least_one, default=2, help="how many (default: %(default)s)")
    commands.add_parser("demo", help="10,000 clients, one mailing, and a reckoning at the end")
    commands.add_parser(
        "prepare", help="install RabbitMQ if there is none, nor Docker: once, before several start it"
    )
    only = commands.add_parser("servers", help="PostgreSQL and RabbitMQ for one command, then stop them")
    only.add_argument("--state", type=Path, default=STATE / "servers", help="their folder (default: %(default)s)")
    only.add_argument(
        "command", nargs="+", metavar="-- COMMAND", help="gets MAILING_DATABASE_URL, MAILING_BROKER_URL"
    )
    return parser.parse_args()


def main() -> int:
    options = arguments()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _exit_in_order)
    try:
        match options.action:
            case "run":
                run(STATE / "run", options.senders)
            case "demo":
                return demo(STATE / "demo")
            case "prepare":
                prepare()
                return 0
            case _:
                return with_servers(options.state, options.command)
    except LocalStackError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def prepare() -> None:
    """Makes sure that a broker can be had: two that find none at the same time would install it both."""
    if not (os.environ.get(BROKER_VARIABLE) or installed_programs() or docker_answers()):
        install(print, STATE / "install.log")


def with_servers(state: Path, command: list[str]) -> int:
    """Runs the command in this terminal, so that one with a prompt of its own works too."""
    if shutil.which(command[0]) is None:
        raise NotInstalledError(f"there is no command {command[0]!r}")
    with Servers(state) as servers:
        process = subprocess.Popen(command, env={**os.environ, **servers.environment})
        # Ctrl-C reaches the command as well, and it is for the command to say what comes of it.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            return process.wait()
        except SystemExit:
            process.terminate()
            process.wait()
            raise


def _exit_in_order(number: int, _: FrameType | None) -> None:
    """As an exception, so that whatever was started is stopped on the way out."""
    raise SystemExit(128 + number)


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


if __name__ == "__main__":
    sys.exit(main())
