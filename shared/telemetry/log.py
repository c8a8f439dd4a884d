"""Logging: structlog, one constant past-tense event name a line, ids as fields.

No texts, no secrets; phone numbers only through `masked`. A line that concerns a mailing, job, message, client or
request carries its `mailing_id`, `job_id`, `message_id`, `client_id` or `request_id`; one that concerns several
messages carries `message_ids` and, in the same order, `client_ids`. By these,
`shared.telemetry.stories` finds what belongs together.
"""

import logging
import sys
import traceback
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Literal

import structlog

from shared.telemetry.redaction import reason_of, without_numbers

Level = Literal["debug", "info", "warning", "error"]

log = structlog.get_logger()


def masked(number: int) -> str:
    """A phone number as logs may show it: 79057003050 → 7905*****50."""
    digits = str(number)
    return f"{digits[:4]}{'*' * max(len(digits) - 6, 0)}{digits[-2:]}"


class MessageLines:
    """The lines that tell of single messages: of every message at level debug; at info, of a share of them.

    Which those are follows from the id alone: all services tell of the same messages, or of none. Callers look at
    `any` before they do anything for a line, so that at full speed it costs nothing.
    """

    def __init__(self, level: Level, share: float) -> None:
        self._debug = level == "debug"
        shares: dict[Level, float] = {"debug": 1, "info": share}
        self._below = int(shares.get(level, 0) * 2**32)
        self.any = self._below > 0

    def tell_of(self, message_id: int) -> bool:
        """Whether the message is among them. Consecutive ids are spread evenly (Knuth's multiplicative hash)."""
        return message_id * 2_654_435_761 % 2**32 < self._below

    def fields(self, message_ids: Sequence[int], client_ids: Sequence[int]) -> dict[str, list[int]]:
        """The fields for those of several messages that are told of; empty if none is."""
        told = [pair for pair in zip(message_ids, client_ids, strict=True) if self.tell_of(pair[0])]
        return about_several(*zip(*told, strict=True)) if told else {}

    def tell(self, event: str, **fields: object) -> None:
        """A line about messages that are told of."""
        (log.debug if self._debug else log.info)(event, **fields)


NO_MESSAGE_LINES = MessageLines("info", 0)


def about_several(message_ids: Sequence[int], client_ids: Sequence[int]) -> dict[str, list[int]]:
    """The fields of a line about several messages. Client 0 is none: the message is for a number alone."""
    return {"message_ids": list(message_ids), "client_ids": list(client_ids)}


def configure(service: str, level: Level, form: Literal["auto", "console", "json"]) -> None:
    """JSON lines, or readable ones where a person watches (`auto`: on a terminal). What libraries complain of, and
    what ends the process, goes the same way."""
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
            structlog.processors.ExceptionRenderer(_told),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    sys.excepthook = _tell_of_the_end
    logging.basicConfig(level=logging.ERROR, handlers=[_OfLibraries()])
    # These tell of a lost connection with a traceback each; we tell it in a line of our own.
    for noisy in ("aio_pika", "aiormq"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)


class _OfLibraries(logging.Handler):
    """Makes lines of ours of what libraries log. The first line of it: more may quote anything."""

    def emit(self, record: logging.LogRecord) -> None:
        words = without_numbers((record.getMessage().splitlines() or [""])[0])
        log.error("library_complained", logger=record.name, words=words, exc_info=record.exc_info)


def _tell_of_the_end(kind: type[BaseException], error: BaseException, traceback_: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback_)
    else:
        log.critical("process_failed", exc_info=(kind, error, traceback_))


def _told(exc_info: structlog.typing.ExcInfo) -> str:
    """A traceback without the values that errors quote: there may be numbers and texts among them."""
    return "\n".join(_chain(exc_info[1]))


def _chain(error: BaseException) -> Iterator[str]:
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        yield from _chain(cause)
        yield "which led to"
    yield "".join(traceback.format_tb(error.__traceback__)) + reason_of(error)
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions:
            yield "of which"
            yield from _chain(member)
