"""What a reply of the provider says about a message: the pure rules behind the table "Outcomes" of the design.

Some of them are decisions:

- 200 with `{"code": 0}` is the only acceptance. 200 with anything else, another code included, is an answer whose
  meaning nobody documented: uncertain, so that a provider that may not be asked twice is not.
- 401 speaks of our token, not of this message. It would refuse every message alike, so it is deferred: the
  operator mends the token, and the mailing goes on. Any other 4xx refuses the message.
- 408 and 425 say that the request was not taken in whole, or not yet: deferred, as 429 and 503 are.
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
LONGEST_WAIT = 86_400.0  # seconds; what a Retry-After beyond it is taken for

# The documented body, as it is usually encoded: nearly every answer is one of them and needs no parser.
PLAIN_BODIES = frozenset({b'{"code": 0, "message": "OK"}', b'{"code":0,"message":"OK"}'})
LATER = frozenset({401, 408, 425, 429, 503})


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome, and what is kept of the reply."""

    outcome: Outcome
    provider_status: int | None
    provider_text: str | None  # at most `TEXT_LIMIT` printable characters; nothing for an acceptance
    retry_after: float | None = None  # seconds from now, 0 … `LONGEST_WAIT`


ACCEPTED: Final = Verdict(Outcome.ACCEPTED, 200, None)


def judge(reply: Answer | NoAnswer, now: float) -> Verdict:
    """The verdict on one reply that came at `now`, in seconds since the epoch. Never raises, whatever it says."""
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
    """200 with a body that has to be looked at."""
    return ACCEPTED if _code(answer.body) == 0 else Verdict(Outcome.UNCERTAIN, 200, _text(answer))


def _judge_refusal(answer: Answer, now: float) -> Verdict:
    """Any status but 200."""
    if answer.status in LATER:
        outcome = Outcome.DEFERRED
    elif 400 <= answer.status < 500:
        return Verdict(Outcome.REJECTED, answer.status, _text(answer))
    else:
        outcome = Outcome.UNCERTAIN
    return Verdict(outcome, answer.status, _text(answer), seconds_to_wait(answer.retry_after, now))


def _code(body: bytes) -> int | None:
    """The integer `code` of a JSON object, if the body is one and has one."""
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    code = content.get("code") if isinstance(content, dict) else None
    return code if type(code) is int else None  # a bool is no code


def seconds_to_wait(header: str | None, now: float) -> float | None:
    """A Retry-After, in seconds or as an HTTP date, as seconds from `now`; None if it says nothing."""
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
    """The body as text, or else what the status means."""
    beginning = answer.body[: 8 * TEXT_LIMIT]  # more than 200 characters, save for odd ones
    return _printable(beginning.decode(errors="replace")) or _phrase(answer.status)


def _phrase(status: int) -> str | None:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return None


def _printable(text: str) -> str:
    """One line, without NULs and other control characters (PostgreSQL takes none of the former)."""
    line = " ".join(text.split())
    return "".join(character for character in line if character.isprintable())[:TEXT_LIMIT]
