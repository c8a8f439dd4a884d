"""`mailing logs`: find the log lines of one mailing, message, client or request, in order of time."""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from shared.telemetry.redaction import printable
from shared.telemetry.stories import Fields, Id, Kind, Line, parse, story

SUMMARY = "find the log lines of one mailing, message, client or request"
DESCRIPTION = (
    "Read JSON log lines of any number of services, in any order, and print those that belong to one mailing, "
    "message, client or request, in order of time. Other lines are skipped. Example: cat *.log | mailing logs "
    "--mailing 7. Exit status: 0 found, 1 no line found, 2 a file cannot be read."
)

FOUND_NOTHING = 1  # as grep has it
CANNOT_READ = 2

# Fields that every line begins with, and the width of their columns.
_COLUMNS = (("timestamp", 27), ("level", 8), ("service", 8), ("event", 24))
_IDS_SHOWN = 3  # of a longer list, followed by its length


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    wanted = parser.add_mutually_exclusive_group(required=True)
    for kind in ("mailing", "message", "client"):
        wanted.add_argument(f"--{kind}", type=int, metavar="ID")
    wanted.add_argument("--request", metavar="ID", help="the X-Request-ID of its answer")
    parser.add_argument("--json", action="store_true", help="print the lines as JSON, for other programs")
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="a log; default: standard input")


def run(arguments: argparse.Namespace) -> int:
    """Carry the command out and return the exit status."""
    kind, wanted = _wanted(arguments)
    try:
        found = story(_lines(arguments.files), kind, wanted)
        for fields in found:
            print(json.dumps(fields) if arguments.json else readable(fields))
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, `head` say, has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python reports the pipe at its end
        return 0
    except OSError as error:
        print(f"logs: {error}", file=sys.stderr)
        return CANNOT_READ
    if not found:
        print(f"logs: no line is about {kind} {wanted}", file=sys.stderr)
    return 0 if found else FOUND_NOTHING


def _wanted(arguments: argparse.Namespace) -> tuple[Kind, Id]:
    kinds: tuple[Kind, ...] = ("mailing", "message", "client", "request")
    return next((kind, value) for kind in kinds if (value := getattr(arguments, kind)) is not None)


def _lines(files: list[Path]) -> Iterator[Line]:
    """Yield the lines that carry an id. Only these are held in memory."""
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


def readable(fields: Fields) -> str:
    columns = [str(fields.get(name, "-")).ljust(width) for name, width in _COLUMNS]
    first = {name for name, _ in _COLUMNS}
    rest = [f"{name}={_value(value)}" for name, value in fields.items() if name not in first]
    exception = fields.get("exception")
    below = f"\n{exception}" if isinstance(exception, str) else ""
    return printable(" ".join([*columns, *(pair for pair in rest if not pair.startswith("exception="))])) + below


def _value(value: object) -> str:
    if isinstance(value, list):
        few = ",".join(str(one) for one in value[:_IDS_SHOWN])
        return few if len(value) <= _IDS_SHOWN else f"{few},…({len(value)})"
    return str(value)
