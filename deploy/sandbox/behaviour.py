"""Behaviour of the stand-in provider, and the pure decision on its reaction to a request.

A behaviour is data. `react` turns it into a `Reaction` to one request. A hash of seed, message id and attempt
decides which requests are affected and how late an answer is, so that a run can be repeated.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus

from pydantic import BaseModel, ConfigDict, Field


class Mode(StrEnum):
    """Reaction to an affected request."""

    OK = "ok"  # 200
    SLOW = "slow"  # 200, after the latency
    REJECT = "reject"  # 400
    UNAUTHORIZED = "unauthorized"  # 401, even with the right token
    THROTTLE = "throttle"  # 429 with Retry-After
    UNAVAILABLE = "unavailable"  # 503, with Retry-After if one is set
    ERROR = "error"  # 500
    GARBAGE = "garbage"  # accepts the message, answers 200 with a body that is not JSON
    HALF = "half"  # accepts the message, sends half an answer and closes
    HANG = "hang"  # accepts the message, answers when the behaviour ends
    RESET = "reset"  # accepts the message, then resets the connection
    DOWN = "down"  # refuses connections, resets open ones


# Modes in which the provider accepts the message, whatever answer the sender gets.
TAKING = frozenset({Mode.OK, Mode.SLOW, Mode.GARBAGE, Mode.HALF, Mode.HANG, Mode.RESET})


class Behaviour(BaseModel):
    """Behaviour to put in force. Requests outside `share` are answered at once, as in `ok`."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"mode": "throttle", "retry_after": 2, "share": 0.1, "seed": 7, "for_seconds": 5},
                {"mode": "slow", "latency_ms": 200, "latency_jitter_ms": 300},
                {"mode": "down", "for_seconds": 3},
            ]
        },
    )

    mode: Mode = Mode.OK
    latency_ms: float = Field(0, ge=0, le=600_000, description="Least delay of an affected answer")
    latency_jitter_ms: float = Field(0, ge=0, le=600_000, description="Largest random addition to the latency")
    retry_after: int | None = Field(
        None, ge=0, description="Seconds in Retry-After; without it, `throttle` sends 1 and other modes send none"
    )
    share: float = Field(1, ge=0, le=1, description="The fraction of requests affected; `down` affects all")
    seed: int = Field(0, description="A different seed affects different requests")
    for_seconds: float | None = Field(None, gt=0, description="Seconds until the mode returns to `ok` by itself")


class Ending(StrEnum):
    """State of the connection after the reply."""

    KEEP = "keep"
    CLOSE = "close"
    RESET = "reset"
    HANG = "hang"  # no reply until the behaviour ends, then an ordinary one


@dataclass(frozen=True, slots=True)
class Reaction:
    """Reaction to a request, `delay` seconds after its arrival."""

    reply: bytes = b""
    ending: Ending = Ending.KEEP
    delay: float = 0.0
    taken: bool = False


def answer(status: int, body: bytes, *, retry_after: int | None = None) -> bytes:
    """Return a complete HTTP/1.1 answer."""
    extra = b"" if retry_after is None else b"Retry-After: %d\r\n" % retry_after
    return b"HTTP/1.1 %d %b\r\nContent-Type: application/json\r\n%bContent-Length: %d\r\n\r\n%b" % (
        status,
        HTTPStatus(status).phrase.encode(),
        extra,
        len(body),
        body,
    )


BODIES = {
    200: b'{"code": 0, "message": "OK"}',
    400: b'{"code": 1, "message": "Bad request"}',
    401: b'{"code": 2, "message": "Bad token"}',
    429: b'{"code": 3, "message": "Too many requests"}',
    500: b'{"code": 5, "message": "Internal error"}',
    503: b'{"code": 4, "message": "Unavailable"}',
}
# An API's answer for what this status means in the first API, with a Retry-After.
Speech = Callable[[int, int | None], bytes]


def speak(status: int, retry_after: int | None = None) -> bytes:
    """Answer as the first API does."""
    return answer(status, BODIES[status], retry_after=retry_after)


ACCEPTED = speak(200)
PLAIN = Reaction(ACCEPTED, taken=True)


def react(behaviour: Behaviour, message_id: int, attempt: int, speech: Speech = speak) -> Reaction:
    """Return what to do with this arrival of a message. `attempt` counts its arrivals from 1."""
    if behaviour.share < 1 and _chance(behaviour.seed, "share", message_id, attempt) >= behaviour.share:
        return PLAIN if speech is speak else Reaction(speech(200, None), taken=True)
    reply, ending = _reply(behaviour, speech)
    return Reaction(reply, ending, _delay(behaviour, message_id, attempt), behaviour.mode in TAKING)


def _reply(behaviour: Behaviour, speech: Speech) -> tuple[bytes, Ending]:
    match behaviour.mode:
        case Mode.OK | Mode.SLOW:
            return speech(200, None), Ending.KEEP
        case Mode.REJECT:
            return speech(400, None), Ending.KEEP
        case Mode.UNAUTHORIZED:
            return speech(401, None), Ending.KEEP
        case Mode.THROTTLE:
            return speech(429, 1 if behaviour.retry_after is None else behaviour.retry_after), Ending.KEEP
        case Mode.UNAVAILABLE:
            return speech(503, behaviour.retry_after), Ending.KEEP
        case Mode.ERROR:
            return speech(500, None), Ending.KEEP
        case Mode.GARBAGE:
            return answer(200, b"<html>\x00\xff it works!"), Ending.KEEP
        case Mode.HALF:
            return speech(200, None)[:-10], Ending.CLOSE
        case Mode.HANG:
            return speech(200, None), Ending.HANG
        case Mode.RESET | Mode.DOWN:  # `down`: for a request that was read just before
            return b"", Ending.RESET


def _delay(behaviour: Behaviour, message_id: int, attempt: int) -> float:
    jitter = behaviour.latency_jitter_ms
    if jitter:
        jitter *= _chance(behaviour.seed, "delay", message_id, attempt)
    return (behaviour.latency_ms + jitter) / 1000


def _chance(seed: int, purpose: str, message_id: int, attempt: int) -> float:
    """Return a number in [0, 1) that depends on the arguments only."""
    key = f"{seed} {purpose} {message_id} {attempt}".encode()
    return int.from_bytes(hashlib.blake2b(key, digest_size=6).digest(), "big") / 2**48
