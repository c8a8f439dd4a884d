"""The command `dead-letters`: what an operator types, is asked and is told."""

import argparse
import asyncio
import sys

from pydantic import SecretStr

from shared.broker.connection import CONNECTION_ERRORS
from shared.broker.dead_letter_admin import LIMIT, QUEUES_WITH_DEAD_LETTERS, Action, Choice, attend
from shared.broker.dead_letters import DeadLetter
from shared.errors import NotPublished, PublishUnknown
from shared.settings import BrokerSettings, load
from shared.telemetry.log import configure

DONE = {Action.LIST: "listed", Action.PUT_BACK: "put_back", Action.DROP: "dropped"}
WRONG_USE = 2  # exit status, as argparse has it


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What can be said after `dead-letters`."""
    parser.add_argument("action", nargs="?", default="list", choices=[action.value for action in Action])
    parser.add_argument("--queue", choices=QUEUES_WITH_DEAD_LETTERS, help="that they came from; default: any")
    parser.add_argument("--limit", type=_count, default=LIMIT, help=f"of each queue; default: the first {LIMIT}")
    parser.add_argument("--id", default="all", help="one of them, as listed; default: all")
    parser.add_argument("--yes", action="store_true", help="do not ask before putting back or dropping")


def run(arguments: argparse.Namespace) -> int:
    """Carries the command out; returns the exit status."""
    action = Action(arguments.action)
    ask = action is not Action.LIST and not arguments.yes
    if ask and not sys.stdin.isatty():
        return _complain(f"{action} needs --yes where there is no terminal to ask at", WRONG_USE)
    queues = [arguments.queue] if arguments.queue else QUEUES_WITH_DEAD_LETTERS
    choice = Choice(queues, arguments.limit, None if arguments.id == "all" else arguments.id)
    settings = load(BrokerSettings)
    configure("operator", "error", settings.log_format)
    done: list[DeadLetter] = []
    status = 0
    try:
        (_after_asking if ask else _at_once)(settings.broker_url, action, choice, done)
    except (*CONNECTION_ERRORS, NotPublished, PublishUnknown) as error:
        status = _complain(f"RabbitMQ cannot be reached, or refused: {error!r}", 1)
    if choice.id and not done and not status:
        status = _complain(
            f"{choice.id} is not among the first {choice.limit} of each queue, or was not agreed to", 1
        )
    _say(f"dead-letters: {DONE[action]}={len(done)}")
    return status


def _at_once(url: SecretStr, action: Action, choice: Choice, done: list[DeadLetter]) -> None:
    def note(letter: DeadLetter) -> None:
        done.append(letter)
        _say(letter.line())

    asyncio.run(attend(url, action, choice, note))


def _after_asking(url: SecretStr, action: Action, choice: Choice, done: list[DeadLetter]) -> None:
    """Shows what is meant, and does it to exactly these. Nothing is held while the person thinks."""
    shown: list[DeadLetter] = []
    _at_once(url, Action.LIST, choice, shown)
    if shown and _agrees(f"{action} these {len(shown)}? [y/N] "):
        asyncio.run(attend(url, action, choice, done.append, shown=set(shown)))


def _agrees(question: str) -> bool:
    try:
        return input(question).strip().lower() in {"y", "yes"}
    except EOFError:
        return False


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _complain(words: str, status: int) -> int:
    print(words, file=sys.stderr)
    return status


def _say(line: str) -> None:
    print(line, flush=True)
