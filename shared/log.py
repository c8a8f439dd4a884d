"""Logging: structlog, one constant past-tense event name a line, ids as fields.

No texts, no secrets; phone numbers only through `masked`.
"""

import logging
import sys
from typing import Literal

import structlog


def masked(number: int) -> str:
    """A phone number as logs may show it: 79057003050 → 7905*****50."""
    digits = str(number)
    return f"{digits[:4]}{'*' * max(len(digits) - 6, 0)}{digits[-2:]}"


def configure(service: str, level: str, form: Literal["auto", "console", "json"]) -> None:
    """JSON lines, or readable ones where a person watches (`auto`: on a terminal)."""
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
            *([] if readable else [structlog.processors.format_exc_info]),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    # Libraries tell of a lost connection with a traceback each; we tell it in a line of our own.
    logging.basicConfig(level=logging.ERROR, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
    for noisy in ("aio_pika", "aiormq"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
