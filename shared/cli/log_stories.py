"""The command `logs`: reads what the services logged, and tells the story that an operator asks for."""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from shared.telemetry.redaction import printable
from shared.telemetry.stories import Fields, Id, Kind, Line, parse, story

FOUND_NOTHING = 1  # exit status, as grep has it
CANNOT_READ = 2

# Told first, in columns.
_COLUMNS = (("timestamp", 27), ("level", 8), ("service", 8), ("event", 24))
_IDS_TOLD = 3  # of a longer list, the first and how many there are


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What can be said after `logs`."""
    parser.description = "Reads JSON lines of any number of services, in any order; passes over all other lines."
    wanted = parser.add_mutually_exclusive_group(required=True)
    for kind in ("mailing", "message", "client"):
        wanted.add_argument(f"--{kind}", type=int, metavar="ID")
    wanted.add_argument("--request", metavar="ID", help="its X-Request-ID")
    parser.add_argument("--json", action="store_true", help="the lines as JSON, for other programs")
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="default: standard input")


def run(arguments: argparse.Namespace) -> int:
    """Carries the command out; returns the exit status."""
    kind, wanted = _wanted(arguments)
    try:
        told = story(_lines(arguments.files), kind, wanted)
        for fields in told:
            print(json.dumps(fields) if arguments.json else _readable(fields))
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read it has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains of it at its end
        return 0
    except OSError as error:
        print(f"logs: {error}", file=sys.stderr)
        return CANNOT_READ
    if not told:
        print(f"logs: no line tells of {kind} {wanted}", file=sys.stderr)
    return 0 if told else FOUND_NOTHING


def _wanted(arguments: argparse.Namespace) -> tuple[Kind, Id]:
    kinds: tuple[Kind, ...] = ("mailing", "message", "client", "request")
    return next((kind, value) for kind in kinds if (value := getattr(arguments, kind)) is not None)


def _lines(files: list[Path]) -> Iterator[Line]:
    """Those that name something. Only these are held in memory."""
    for text in _texts(files):
        if (line := parse(text)) is not None:
            yield line


def _texts(files: list[Path]) -> Iterator[str]:
    if not files:
        sys.stdin.reconfigure(errors="replace")  # type: ignore[union-attr] # it is a TextIOWrapper
        yield from sys.stdin
    for file in files:
        with file.open(errors="replace") as opened:
            yield from opened


def _readable(fields: Fields) -> str:
    columns = [str(fields.get(name, "-")).ljust(width) for name, width in _COLUMNS]
    first = {name for name, _ in _COLUMNS}
    rest = [f"{name}={_value(value)}" for name, value in fields.items() if name not in first]
    exception = fields.get("exception")
    below = f"\n{exception}" if isinstance(exception, str) else ""
    return printable(" ".join([*columns, *(word for word in rest if not word.startswith("exception="))])) + below


def _value(value: object) -> str:
    if isinstance(value, list):
        few = ",".join(str(one) for one in value[:_IDS_TOLD])
        return few if len(value) <= _IDS_TOLD else f"{few},…({len(value)})"
    return str(value)
