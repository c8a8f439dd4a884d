"""Any API that a TOML file describes. docs/providers.md explains the file, with examples."""

from urllib.parse import quote, quote_plus

import orjson

from services.sender.adapter import Access, Adapter, AdapterError, Sms
from services.sender.description.loading import DescriptionError, load_description
from services.sender.description.matching import find_message_id, find_rule
from services.sender.description.model import Description
from services.sender.description.template import Values, fill, fill_json, is_constant
from services.sender.http.exchange import Answer, NoAnswer, Reply, Request, RequestHead
from services.sender.verdict import Verdict, is_usual_outage, judge_silence, judge_status, seconds_to_wait, text_of
from shared.contracts import Outcome

OUTCOMES = {
    "accepted": Outcome.ACCEPTED,
    "refused": Outcome.REJECTED,
    "later": Outcome.DEFERRED,
    "unknown": Outcome.UNCERTAIN,
}
LINE_BREAKS = str.maketrans("", "", "\r\n\0")


class HttpAdapter:
    """An `Adapter`."""

    def __init__(self, description: Description, access: Access) -> None:
        self._description = description
        self._path = access.endpoint.path
        self._access: dict[str, str | int] = {"token": access.token, "sender": description.sender}
        self._headers = _headers(description)
        self._shared_head: RequestHead | None = None
        if all(is_constant(value) for _, value in self._headers):
            self._shared_head = self._head(self._access)

    def encode(self, sms: Sms) -> Request:
        """Return the request that sends the message."""
        values = {
            **self._access,
            "id": sms.id,
            "number": sms.number,
            "text": sms.text,
            "validity": sms.seconds_valid,
        }
        head = self._shared_head or self._head(values)
        if sms.traceparent is not None:
            head = RequestHead(head.method, (*head.headers, ("traceparent", sms.traceparent)))
        return Request(head, self._target(values), self._body(values))

    def judge(self, reply: Reply, now: float) -> Verdict:
        """Return the verdict on a reply. Never raises."""
        if isinstance(reply, NoAnswer):
            return judge_silence(reply)
        rule = find_rule(self._description.answers, reply)
        if rule is None:
            return judge_status(reply, now)
        if rule.verdict == "accepted":
            return Verdict(Outcome.ACCEPTED, reply.status, None, provider_message_id=self._message_id(reply))
        outcome = OUTCOMES[rule.verdict]
        wait = None if outcome is Outcome.REJECTED else seconds_to_wait(reply.retry_after, now)
        return Verdict(outcome, reply.status, text_of(reply), wait, is_declared_outage=rule.outage)

    def is_outage(self, verdict: Verdict) -> bool:
        """Return True if the verdict speaks against the provider as a whole."""
        return verdict.is_declared_outage or is_usual_outage(verdict)

    def _head(self, values: Values) -> RequestHead:
        filled = ((name, fill(value, values).translate(LINE_BREAKS)) for name, value in self._headers)
        return RequestHead(self._description.method, tuple(filled))

    def _target(self, values: Values) -> str:
        target = self._path + fill(self._description.path, values, lambda value: quote(value, safe=""))
        if self._description.query:
            separator = "&" if "?" in target else "?"
            target += separator + _encode_form(self._description.query, values)
        return target

    def _body(self, values: Values) -> bytes:
        description = self._description
        if description.json_body is not None:
            return orjson.dumps(fill_json(description.json_body, values))
        return _encode_form(description.form, values).encode() if description.form else b""

    def _message_id(self, answer: Answer) -> str | None:
        where = self._description.message_id
        return None if where is None else find_message_id(where, answer)


def open_adapter(access: Access) -> Adapter:
    """Return the adapter. Raise AdapterError if there is no usable description."""
    if access.description is None:
        raise AdapterError(
            "the provider adapter 'http' needs MAILING_PROVIDER_FILE, the file that describes the API"
        )
    try:
        return HttpAdapter(load_description(access.description), access)
    except DescriptionError as error:
        raise AdapterError("\n".join(error.args)) from None


def _headers(description: Description) -> tuple[tuple[str, str], ...]:
    headers = {"User-Agent": "mailing-sender"}
    if description.json_body is not None:
        headers["Content-Type"] = "application/json"
    elif description.form is not None:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    given = {name.lower() for name in description.headers}
    defaults = [(name, value) for name, value in headers.items() if name.lower() not in given]
    return (*defaults, *description.headers.items())


def _encode_form(form: dict[str, str], values: Values) -> str:
    return "&".join(f"{quote_plus(name)}={quote_plus(fill(value, values))}" for name, value in form.items())
