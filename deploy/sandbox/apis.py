"""The APIs that the stand-in provider speaks: the probe's, and the two worked examples of docs/providers.md. Pure.

Each knows its requests and has its own way to say what another API says with a status.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple
from urllib.parse import parse_qs

import orjson

from deploy.sandbox.behaviour import Speech, answer, speak

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
SEND = b"/v1/send/"


class Sms(NamedTuple):
    """A message that arrived: its id and number."""

    id: int
    phone: int


class WrongToken(Exception):
    """Raised for a request whose token is not ours."""


@dataclass(frozen=True, slots=True)
class Api:
    """Functions that read a request (path, Authorization header, body, our token) and answer a message."""

    read: Callable[[bytes, bytes, bytes, str], Sms | None]
    speech: Callable[[int], Speech]  # by the message's id


def find_api(method: bytes, path: bytes) -> Api | None:
    """Return the API that has this path."""
    if method != b"POST":
        return None
    return PROBE if path.startswith(SEND) else OTHERS.get(path.partition(b"?")[0])


# The probe's API: POST /v1/send/{msgId}


def _read_probe(path: bytes, authorization: bytes, body: bytes, token: str) -> Sms | None:
    """Take a body `{"id": <the id of the path>, "phone": <int64>, "text": <string>}`."""
    if authorization != b"Bearer " + token.encode():
        raise WrongToken
    sms = _json_object(body)
    if sms is None or type(sms.get("text")) is not str:
        return None
    id_, phone = sms.get("id"), sms.get("phone")
    if type(id_) is not int or type(phone) is not int:  # a bool is an int to isinstance
        return None
    return _checked(id_, phone) if path[len(SEND) :] == b"%d" % id_ else None


# The first example, JSON: POST /v2/messages, answered with 202 and an id of the provider's own


def _read_json(_path: bytes, authorization: bytes, body: bytes, token: str) -> Sms | None:
    if authorization != b"Bearer " + token.encode():
        raise WrongToken
    sms = _json_object(body) or {}
    recipient, reference = sms.get("to"), sms.get("reference")
    if not (isinstance(recipient, str) and isinstance(reference, str) and isinstance(sms.get("body"), str)):
        return None
    if type(sms.get("validity_seconds")) is not int or not recipient.startswith("+"):
        return None
    return _of_texts(reference, recipient[1:])


_JSON_ERRORS = {400: "invalid_recipient", 401: "unauthorized", 429: "rate_limited"}


def _speak_json(message_id: int, status: int, retry_after: int | None) -> bytes:
    if status == 200:
        return answer(202, orjson.dumps({"status": "queued", "message": {"id": f"m-{message_id}"}}))
    error = _JSON_ERRORS.get(status, "internal")
    body = orjson.dumps({"status": "error", "error": error})
    return answer(422 if status == 400 else status, body, retry_after=retry_after)


# The second example: POST /send.php with a form, always answered with 200 and a line of text


def _read_form(_path: bytes, _authorization: bytes, body: bytes, token: str) -> Sms | None:
    form = {name: values[0] for name, values in parse_qs(body.decode(errors="replace")).items()}
    if form.get("password") != token:
        raise WrongToken
    if not form.get("mes"):
        return None
    return _of_texts(form.get("id", ""), form.get("phones", ""))


_FORM_ERRORS = {400: (7, "invalid number"), 401: (2, "wrong password"), 429: (9, "too many requests")}


def _speak_form(message_id: int, status: int, retry_after: int | None) -> bytes:
    if status == 200:
        return answer(200, b"OK - 1 SMS, ID - %d" % message_id)
    if status == 500:
        return answer(500, b"<html>Internal Server Error</html>")
    code, text = _FORM_ERRORS.get(status, (5, "service unavailable"))
    return answer(200, f"ERROR = {code} ({text})".encode(), retry_after=retry_after)


PROBE = Api(_read_probe, lambda _message_id: speak)
OTHERS = {
    b"/v2/messages": Api(_read_json, lambda message_id: partial(_speak_json, message_id)),
    b"/send.php": Api(_read_form, lambda message_id: partial(_speak_form, message_id)),
}


def _json_object(body: bytes) -> dict[str, object] | None:
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return content if isinstance(content, dict) else None


def _of_texts(message_id: str, phone: str) -> Sms | None:
    is_plain = message_id.isascii() and message_id.isdecimal() and phone.isascii() and phone.isdecimal()
    return _checked(int(message_id), int(phone)) if is_plain else None


def _checked(message_id: int, phone: int) -> Sms | None:
    return Sms(message_id, phone) if 0 <= message_id <= INT64_MAX and INT64_MIN <= phone <= INT64_MAX else None
