"""Verdict on a reply of the provider: the rules that turn it into the outcome of a message. Pure.

Some of them are decisions:

- 200 with `{"code": 0}` is the only acceptance. The meaning of 200 with anything else, another code included, is
  not documented. It is uncertain, so that a provider that is not idempotent gets no second POST.
- 401 refuses our token, not this message, and would refuse every message. It is deferred: the operator corrects
  the token, and the mailing continues. Any other 4xx refuses the message.
- 408 and 425 mean that the provider has not taken the request, or not yet. They are deferred, like 429 and 503.
"""

import re
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final, assert_never

import orjson

from services.sender.replies import Answer, NoAnswer
from shared.contracts import Outcome

TEXT_LIMIT = 200  # characters of `provider_text`
LONGEST_WAIT = 86_400.0  # seconds; a longer Retry-After is cut to it

# The documented body in its usual encodings. Nearly every answer is one of them, and needs no parser.
PLAIN_BODIES = frozenset({b'{"code": 0, "message": "OK"}', b'{"code":0,"message":"OK"}'})
LATER = frozenset({401, 408, 425, 429, 503})


@dataclass(frozen=True, slots=True)
class Verdict:
    """Outcome of a POST, and the parts of the reply that are kept."""

    outcome: Outcome
    provider_status: int | None
    provider_text: str | None  # at most `TEXT_LIMIT` printable characters; none for an acceptance
    retry_after: float | None = None  # seconds from now, 0 … `LONGEST_WAIT`


ACCEPTED: Final = Verdict(Outcome.ACCEPTED, 200, None)


def judge(reply: Answer | NoAnswer, now: float) -> Verdict:
    """Return the verdict on a reply that came at `now`, in seconds since the epoch. Never raises."""
    match reply:
        case Answer(status=200, body=body):
            return ACCEPTED if body in PLAIN_BODIES else _judge_ok(reply)
        case Answer():
            return _judge_refusal(reply, now)
        case NoAnswer(sent=sent, reason=reason):
            return Verdict(Outcome.UNCERTAIN if sent else Outcome.DEFERRED, None, _printable(reason) or None)
        case _:
            assert_never(reply)


def _judge_ok(answer: Answer) -> Verdict:
    """Judge a 200 whose body must be parsed."""
    return ACCEPTED if _code(answer.body) == 0 else Verdict(Outcome.UNCERTAIN, 200, _text(answer))


def _judge_refusal(answer: Answer, now: float) -> Verdict:
    """Judge any status but 200."""
    if answer.status in LATER:
        outcome = Outcome.DEFERRED
    elif 400 <= answer.status < 500:
        return Verdict(Outcome.REJECTED, answer.status, _text(answer))
    else:
        outcome = Outcome.UNCERTAIN
    return Verdict(outcome, answer.status, _text(answer), seconds_to_wait(answer.retry_after, now))


def _code(body: bytes) -> int | None:
    """Return the integer `code` of the body, if that is a JSON object with one."""
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    code = content.get("code") if isinstance(content, dict) else None
    return code if type(code) is int else None  # a bool is not a code


def seconds_to_wait(header: str | None, now: float) -> float | None:
    """Parse a Retry-After, given in seconds or as an HTTP date. Return seconds from `now`, or None."""
    if header is None:
        return None
    header = header.strip()
    if re.fullmatch(r"-?[0-9]+(\.[0-9]*)?", header):
        wait = float(header)
    else:
        try:
            until = parsedate_to_datetime(header)
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
        # A date with the zone "-0000" comes out naive, and means UTC.
        wait = (until if until.tzinfo else until.replace(tzinfo=UTC)).timestamp() - now
    return min(max(wait, 0.0), LONGEST_WAIT)


def _text(answer: Answer) -> str | None:
    """Return the body as text. Without one, return the phrase of the status."""
    beginning = answer.body[: 8 * TEXT_LIMIT]  # enough for the limit, unless nearly all of it is unprintable
    return _printable(beginning.decode(errors="replace")) or _phrase(answer.status)


def _phrase(status: int) -> str | None:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return None


def _printable(text: str) -> str:
    """Return one line without control characters. PostgreSQL takes no NUL."""
    line = " ".join(text.split())
    return "".join(character for character in line if character.isprintable())[:TEXT_LIMIT]
