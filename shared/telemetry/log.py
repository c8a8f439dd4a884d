"""Logging by structlog: one constant event name in the past tense per line, with ids as fields.

A log holds no texts and no secrets, and phone numbers only masked. A line about a mailing, job, message, client
or request carries its `mailing_id`, `job_id`, `message_id`, `client_id` or `request_id`. A line about several
messages carries `message_ids` and, in the same order, `client_ids`. `shared.telemetry.stories` finds related
lines by these ids.
"""

import logging
import sys
import traceback
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Literal, TextIO

import structlog

from shared.telemetry.redaction import describe_error, without_numbers
from shared.telemetry.sampling import is_below, threshold

Level = Literal["debug", "info", "warning", "error"]

log = structlog.get_logger()


class MessageSample:
    """Messages for which each step is logged: all of them at level debug, a share of them at info.

    Callers check `is_active` before they build a line, so that at full speed no line costs anything.
    """

    def __init__(self, level: Level, share: float) -> None:
        self._is_debug = level == "debug"
        shares: dict[Level, float] = {"debug": 1, "info": share}
        self._threshold = threshold(shares.get(level, 0))
        self.is_active = self._threshold > 0

    def includes(self, message_id: int) -> bool:
        """Return True if the message is in the sample."""
        return is_below(message_id, self._threshold)

    def fields(self, message_ids: Sequence[int], client_ids: Sequence[int]) -> dict[str, list[int]]:
        """Return the log fields for the given messages that are in the sample; empty if there are none."""
        pairs = [pair for pair in zip(message_ids, client_ids, strict=True) if self.includes(pair[0])]
        return message_fields(*zip(*pairs, strict=True)) if pairs else {}

    def log(self, event: str, **fields: object) -> None:
        """Write a line about messages of the sample."""
        (log.debug if self._is_debug else log.info)(event, **fields)


NO_MESSAGES = MessageSample("info", 0)


def message_fields(message_ids: Sequence[int], client_ids: Sequence[int]) -> dict[str, list[int]]:
    """Return the log fields of several messages. Client 0 stands for none: such a message has only a number."""
    return {"message_ids": list(message_ids), "client_ids": list(client_ids)}


def configure(
    service: str,
    level: Level,
    form: Literal["auto", "console", "json"],
    stream: TextIO | None = None,
) -> None:
    """Log to standard error: readable lines on a terminal (`auto`) or for `console`, else JSON lines.

    A `stream` is written to instead, if there is one.
    Warnings of libraries, and an error that ends the process, take the same way.
    """
    readable = form == "console" or (form == "auto" and sys.stderr.isatty())
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if readable else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.ExceptionRenderer(_format_traceback),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.PrintLoggerFactory(stream or sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    sys.excepthook = _log_uncaught
    logging.basicConfig(level=logging.ERROR, handlers=[_LibraryHandler()])
    # These log a lost connection with a traceback each; `shared.broker.sessions` logs it in one line.
    for noisy in ("aio_pika", "aiormq"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)


class _LibraryHandler(logging.Handler):
    """Turns log records of libraries into lines of ours.

    Only the first line of a record is kept, because the rest may quote numbers or texts.
    """

    def emit(self, record: logging.LogRecord) -> None:
        first_line = (record.getMessage().splitlines() or [""])[0]
        log.error(
            "library_complained", logger=record.name, words=without_numbers(first_line), exc_info=record.exc_info
        )


def _log_uncaught(kind: type[BaseException], error: BaseException, traceback_: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback_)
    else:
        log.critical("process_failed", exc_info=(kind, error, traceback_))


def _format_traceback(exc_info: structlog.typing.ExcInfo) -> str:
    """Format a traceback without the values that errors quote, as these may be numbers and texts."""
    return "\n".join(_format_chain(exc_info[1]))


def _format_chain(error: BaseException) -> Iterator[str]:
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        yield from _format_chain(cause)
        yield "which led to"
    yield "".join(traceback.format_tb(error.__traceback__)) + describe_error(error)
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions:
            yield "of which"
            yield from _format_chain(member)
