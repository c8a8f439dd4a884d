"""Start of a service: its command line, its settings, its log and its traces."""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import time, timedelta
from typing import TextIO, cast

import structlog

from shared import __version__
from shared.cli.known_settings import unknown_settings
from shared.http_server import refuse_taken_port
from shared.lifecycle import run
from shared.settings import LogSettings, Settings, SettingsError, load, variable
from shared.telemetry.log import configure
from shared.telemetry.log_stream import LogStream
from shared.telemetry.tracing import export_traces

log = structlog.get_logger()


def run_service(
    service: str,
    kind: type[Settings],
    main: Callable[[Settings, asyncio.Event], Awaitable[None]],
    description: str,
) -> None:
    """Run a service as a process until SIGTERM or SIGINT; `--help` and `--version` end it at once."""
    service_parser(service, kind, description).parse_args()
    settings = load(kind)
    stream = cast(TextIO, LogStream(sys.stderr.fileno()))
    configure(service, settings.log_level, settings.log_format, stream)
    for problem in unknown_settings():
        log.warning("setting_ignored", problem=problem)
    try:
        refuse_taken_port(*settings.address())
        with export_traces(service, settings):
            run(lambda stopping: main(settings, stopping))
    except SettingsError as error:  # one that shows only when the settings are used
        print(*error.args, sep="\n", file=sys.stderr)
        sys.exit(2)


def service_parser(service: str, kind: type[LogSettings], description: str) -> argparse.ArgumentParser:
    """Build a parser with `--version`, and a `--help` that lists the settings with their defaults."""
    parser = argparse.ArgumentParser(
        prog=f"python -m services.{service}",
        description=description,
        epilog=f"settings (environment variables, or lines of a file .env in this folder):\n{_table(kind)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"mailing {__version__}")
    return parser


def _table(kind: type[LogSettings]) -> str:
    lines = []
    for name, field in sorted(kind.model_fields.items(), key=lambda item: not item[1].is_required()):
        default = "required" if field.is_required() else _default(field.get_default())
        lines.append(f"  {variable(name):32} {default:12} {field.description or ''}".rstrip())
    return "\n".join(lines)


def _default(value: object) -> str:
    """Write a default as an environment variable has it; "-" for none."""
    match value:
        case timedelta():
            return f"{value.total_seconds():g}"
        case bool():
            return str(value).lower()
        case time():
            return value.isoformat("minutes")
        case int() | float() | str():
            return str(value)
    return "-"
