"""The API `POST /v1/send/{msgId}` with `{"id", "phone", "text"}` and a bearer token.

200 with `{"code": 0}` is the only acceptance. The meaning of 200 with anything else, another code included, is not
documented. It is uncertain, so that a provider that is not idempotent gets no second POST.
"""

from typing import Final

import orjson

from services.sender.adapter import Access, Adapter, Sms
from services.sender.http.exchange import NoAnswer, Reply, Request, RequestHead
from services.sender.verdict import Verdict, is_usual_outage, judge_silence, judge_status, text_of
from shared.contracts import Outcome

# The documented body in its usual encodings. Nearly every answer is one of them, and needs no parser.
PLAIN_BODIES = frozenset({b'{"code": 0, "message": "OK"}', b'{"code":0,"message":"OK"}'})
ACCEPTED: Final = Verdict(Outcome.ACCEPTED, 200, None)


class ProbeAdapter:
    """An `Adapter`."""

    def __init__(self, access: Access) -> None:
        self._target = f"{access.endpoint.path}/v1/send/"
        self._headers = (
            ("Authorization", f"Bearer {access.token}"),
            ("Content-Type", "application/json"),
            ("User-Agent", "mailing-sender"),
        )
        self._head = RequestHead("POST", self._headers)

    def encode(self, sms: Sms) -> Request:
        """Return the request that sends the message."""
        head = self._head
        if sms.traceparent is not None:
            head = RequestHead("POST", (*self._headers, ("traceparent", sms.traceparent)))
        body = orjson.dumps({"id": sms.id, "phone": sms.number, "text": sms.text})
        return Request(head, f"{self._target}{sms.id}", body)

    def judge(self, reply: Reply, now: float) -> Verdict:
        """Return the verdict on a reply. Never raises."""
        if isinstance(reply, NoAnswer):
            return judge_silence(reply)
        if reply.status != 200:
            return judge_status(reply, now)
        if reply.body in PLAIN_BODIES or _code(reply.body) == 0:
            return ACCEPTED
        return Verdict(Outcome.UNCERTAIN, 200, text_of(reply))

    def is_outage(self, verdict: Verdict) -> bool:
        """Return True if the verdict speaks against the provider as a whole."""
        return is_usual_outage(verdict)


def open_adapter(access: Access) -> Adapter:
    """Return the adapter."""
    return ProbeAdapter(access)


def _code(body: bytes) -> int | None:
    """Return the integer `code` of the body, if that is a JSON object with one."""
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    code = content.get("code") if isinstance(content, dict) else None
    return code if type(code) is int else None  # a bool is not a code
