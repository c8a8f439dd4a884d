"""Run the whole system, its demo, or its servers on this machine."""

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
from deploy.local.run import run
from deploy.local.stack import Servers
from shared import __version__

STATE = REPOSITORY / ".local"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deploy.local", description=__doc__)
    parser.add_argument("--version", action="version", version=f"mailing {__version__}")
    commands = parser.add_subparsers(dest="action", required=True)
    running = commands.add_parser("run", help="run the whole system until Ctrl-C")
    running.add_argument(
        "--state", type=Path, default=STATE / "run", help="folder of data, ports and logs (default: %(default)s)"
    )
    running.add_argument(
        "--senders", type=_at_least_one, default=2, help="number of senders (default: %(default)s)"
    )
    commands.add_parser("demo", help="add 10,000 clients, send one mailing, and account for every message")
    only = commands.add_parser("servers", help="run PostgreSQL and RabbitMQ while a command runs")
    only.add_argument(
        "--state", type=Path, default=STATE / "servers", help="folder of the servers (default: %(default)s)"
    )
    only.add_argument(
        "command",
        nargs="+",
        metavar="-- COMMAND",
        help="command with MAILING_DATABASE_URL and MAILING_BROKER_URL set",
    )
    return parser.parse_args()


def main() -> int:
    options = arguments()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _raise_exit)
    try:
        match options.action:
            case "run":
                run(options.state, options.senders)
                return 0
            case "demo":
                return demo(STATE / "demo")
            case _:
                return with_servers(options.state, options.command)
    except LocalStackError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def with_servers(state: Path, command: list[str]) -> int:
    """Run the command in this terminal, with both servers, and return its exit status."""
    if shutil.which(command[0]) is None:
        raise NotInstalledError(f"there is no command {command[0]!r}")
    with Servers(state) as servers:
        process = subprocess.Popen(command, env={**os.environ, **servers.environment})
        # Ctrl-C reaches the command as well. The command decides what to do.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            return process.wait()
        except SystemExit:
            process.terminate()
            process.wait()
            raise


def _raise_exit(number: int, _: FrameType | None) -> None:
    """Raise SystemExit, so that everything that was started is stopped on the way out."""
    raise SystemExit(128 + number)


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


if __name__ == "__main__":
    sys.exit(main())
