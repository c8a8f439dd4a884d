"""`mailing dead-letters`: list messages that a service could not handle, put them back, or drop them."""

import argparse
import asyncio
import sys

from pydantic import SecretStr

from shared.broker.connection import CONNECTION_ERRORS
from shared.broker.dead_letter_admin import LIMIT, QUEUES_WITH_DEAD_LETTERS, Action, Choice, handle_dead_letters
from shared.broker.dead_letters import DeadLetter
from shared.errors import NotPublished, PublishUnknown
from shared.settings import BrokerSettings, load
from shared.telemetry.log import configure

SUMMARY = "list messages that could not be handled, put them back, or drop them"
DESCRIPTION = (
    "List the messages in the dead-letter queues of MAILING_BROKER_URL: one line each with queue, id, time, "
    "service, reason, size and beginning. `put-back` returns them to the queue that they came from. `drop` "
    "deletes them. Exit status: 0 done, 1 RabbitMQ refused or the id was not found, 2 wrong use."
)

DONE = {Action.LIST: "listed", Action.PUT_BACK: "put_back", Action.DROP: "dropped"}
FAILED = 1
WRONG_USE = 2  # as argparse has it


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    actions = [action.value for action in Action]
    parser.add_argument("action", nargs="?", default="list", choices=actions, help="default: %(default)s")
    parser.add_argument("--queue", choices=QUEUES_WITH_DEAD_LETTERS, help="only those that came from this queue")
    parser.add_argument(
        "--limit", type=_count, default=LIMIT, help="only the first LIMIT of each queue; default: %(default)s"
    )
    parser.add_argument("--id", default="all", help="only the one with this id; default: %(default)s")
    parser.add_argument("--yes", action="store_true", help="do not ask before putting back or dropping")


def run(arguments: argparse.Namespace) -> int:
    """Carry the command out and return the exit status."""
    action = Action(arguments.action)
    ask = action is not Action.LIST and not arguments.yes
    if ask and not sys.stdin.isatty():
        return _fail(f"{action} needs --yes where there is no terminal to ask at", WRONG_USE)
    queues = [arguments.queue] if arguments.queue else QUEUES_WITH_DEAD_LETTERS
    choice = Choice(queues, arguments.limit, None if arguments.id == "all" else arguments.id)
    settings = load(BrokerSettings)
    configure("operator", "error", settings.log_format)
    done: list[DeadLetter] = []
    try:
        (_ask_and_do if ask else _do)(settings.broker_url, action, choice, done)
    except (*CONNECTION_ERRORS, NotPublished, PublishUnknown) as error:
        if done:
            _print_count(action, done)
        return _fail(f"RabbitMQ cannot be reached or refused the login: {error!r}", FAILED)
    status = 0
    if choice.id and not done:
        status = _fail(
            f"{choice.id} is not among the first {choice.limit} of each queue, or was not confirmed", FAILED
        )
    _print_count(action, done)
    return status


def _do(url: SecretStr, action: Action, choice: Choice, done: list[DeadLetter]) -> None:
    def note(letter: DeadLetter) -> None:
        done.append(letter)
        print(letter.line(), flush=True)

    asyncio.run(handle_dead_letters(url, action, choice, note))


def _ask_and_do(url: SecretStr, action: Action, choice: Choice, done: list[DeadLetter]) -> None:
    """List the dead letters, ask, and act on exactly these. No message is held during the question."""
    listed: list[DeadLetter] = []
    _do(url, Action.LIST, choice, listed)
    if listed and _confirms(f"{action} these {len(listed)}? [y/N] "):
        asyncio.run(handle_dead_letters(url, action, choice, done.append, shown=set(listed)))


def _confirms(question: str) -> bool:
    try:
        return input(question).strip().lower() in {"y", "yes"}
    except EOFError:
        return False


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _print_count(action: Action, done: list[DeadLetter]) -> None:
    print(f"dead-letters: {DONE[action]}={len(done)}", flush=True)


def _fail(problem: str, status: int) -> int:
    print(f"dead-letters: {problem}", file=sys.stderr)
    return status
