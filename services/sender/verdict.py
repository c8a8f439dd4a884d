"""Verdict on a reply of the provider, and the rules that all providers share. Pure."""

import re
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from services.sender.http.exchange import Answer, NoAnswer
from shared.contracts import Outcome

TEXT_LIMIT = 200  # characters of `provider_text`
LONGEST_WAIT = 86_400.0  # seconds; a longer Retry-After is cut to it
EMPTY = "(empty answer)"
LATER = frozenset({401, 408, 425, 429, 503})
OUTAGES = frozenset({401, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Verdict:
    """Outcome of a request, and the parts of the reply that are kept."""

    outcome: Outcome
    provider_status: int | None
    provider_text: str | None  # at most `TEXT_LIMIT` printable characters; none for an acceptance
    retry_after: float | None = None  # seconds from now, 0 … `LONGEST_WAIT`
    provider_message_id: str | None = None
    is_declared_outage: bool = False  # the provider's description says so


def judge_status(answer: Answer, now: float) -> Verdict:
    """Return the verdict on an answer from its status alone, for any provider that uses statuses as HTTP does.

    - 401 refuses our token, not this message, and would refuse every message. It is deferred: the operator
      corrects the token, and the mailing continues. Any other 4xx refuses the message.
    - 408 and 425 mean that the provider has not taken the request, or not yet: deferred, like 429 and 503.
    - Everything else is uncertain. A 2xx needs a look at its body, which is the adapter's part.
    """
    if answer.status in LATER:
        outcome = Outcome.DEFERRED
    elif 400 <= answer.status < 500:
        return Verdict(Outcome.REJECTED, answer.status, text_of(answer))
    else:
        outcome = Outcome.UNCERTAIN
    return Verdict(outcome, answer.status, text_of(answer), seconds_to_wait(answer.retry_after, now))


def judge_silence(reply: NoAnswer) -> Verdict:
    """Return the verdict on a request without an answer: only one that was not written can be repeated safely."""
    return Verdict(Outcome.UNCERTAIN if reply.sent else Outcome.DEFERRED, None, printable(reply.reason) or None)


def is_usual_outage(verdict: Verdict) -> bool:
    """Return True if the provider as a whole, or our access to it, has failed, whatever the message was.

    A failure that came after the request was written may be the fault of the message. 429 only means "busy".
    """
    if verdict.provider_status is None:
        return verdict.outcome is Outcome.DEFERRED
    return verdict.provider_status in OUTAGES and verdict.outcome is not Outcome.REJECTED


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


def text_of(answer: Answer) -> str | None:
    """Return the body as text. Without one, return the phrase of the status."""
    beginning = answer.body[: 8 * TEXT_LIMIT]  # enough for the limit, unless nearly all of it is unprintable
    return printable(beginning.decode(errors="replace")) or _phrase(answer.status)


def printable(text: str) -> str:
    """Return one line without control characters. PostgreSQL takes no NUL."""
    line = " ".join(text.split())
    return "".join(character for character in line if character.isprintable())[:TEXT_LIMIT]


def _phrase(status: int) -> str | None:
    if 200 <= status < 300:
        return EMPTY  # "OK" would read as if the provider had said so
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return None
