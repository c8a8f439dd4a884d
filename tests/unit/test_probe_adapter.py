"""The probe's API: the request, and the verdict on every possible reply."""

from datetime import UTC, datetime
from email.utils import format_datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.sender.adapter import Access, Sms
from services.sender.http.endpoint import Endpoint
from services.sender.http.exchange import Answer, NoAnswer, Request, RequestHead
from services.sender.providers.probe import ProbeAdapter
from services.sender.verdict import EMPTY, LONGEST_WAIT, TEXT_LIMIT, seconds_to_wait
from shared.contracts import Outcome

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC).timestamp()
OK = b'{"code": 0, "message": "OK"}'
ADAPTER = ProbeAdapter(Access(Endpoint.parse("https://example.org/base/"), "secret"))
judge = ADAPTER.judge


def outcome_of(status: int, body: bytes = b"{}") -> Outcome:
    return judge(Answer(status, body), NOW).outcome


@pytest.mark.parametrize(
    "body",
    [
        OK,
        b'{"code":0,"message":"OK"}',
        b'\n{ "message": "\xd0\x9e\xd0\x9a", "code": 0, "id": 4711 }\n',
        b'{"code": 0}',
    ],
)
def test_200_with_code_0_is_an_acceptance_however_it_is_written(body: bytes) -> None:
    verdict = judge(Answer(200, body), NOW)
    assert (verdict.outcome, verdict.provider_status, verdict.provider_text) == (Outcome.ACCEPTED, 200, None)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"OK",
        b"<html>",
        b"\xff\xfe\x00",
        b"0",
        b"null",
        b"[]",
        b'["code"]',
        b"{}",
        b'{"code": null}',
        b'{"code": "0"}',
        b'{"code": 0.0}',
        b'{"code": false}',
        OK[:-1],
        OK + b"}",
        b'{"code": 0, "text": "' + b"x" * 4000,  # cut at the limit
        b"[" * 4000,
    ],
)
def test_200_with_anything_else_is_uncertain(body: bytes) -> None:
    assert outcome_of(200, body) is Outcome.UNCERTAIN


@pytest.mark.parametrize("code", [1, -1, 2**63])
def test_200_with_another_code_is_uncertain_and_its_text_is_kept(code: int) -> None:
    verdict = judge(Answer(200, b'{"code": %d, "message": "no"}' % code), NOW)
    assert verdict.outcome is Outcome.UNCERTAIN
    assert verdict.provider_text == f'{{"code": {code}, "message": "no"}}'


@pytest.mark.parametrize(
    "status", [400, 402, 403, 404, 405, 406, 407, 409, 410, 411, 413, 414, 415, 421, 422, 451, 499]
)
def test_a_refusal_of_this_message_is_a_rejection(status: int) -> None:
    assert outcome_of(status) is Outcome.REJECTED


def test_a_refusal_of_our_token_is_deferred() -> None:
    assert outcome_of(401) is Outcome.DEFERRED


@pytest.mark.parametrize("status", [408, 425, 429, 503])
def test_a_status_that_means_later_is_deferred(status: int) -> None:
    assert outcome_of(status) is Outcome.DEFERRED


@pytest.mark.parametrize("status", [100, 199, 201, 202, 204, 301, 302, 304, 307, 500, 501, 502, 504, 599, 999])
def test_every_other_status_is_uncertain_even_with_a_good_body(status: int) -> None:
    assert outcome_of(status, OK) is Outcome.UNCERTAIN


def test_a_request_that_never_left_is_deferred() -> None:
    verdict = judge(NoAnswer(sent=False, reason="no connection: Connection refused"), NOW)
    assert verdict.outcome is Outcome.DEFERRED
    assert (verdict.provider_status, verdict.provider_text) == (None, "no connection: Connection refused")


def test_a_request_that_may_have_left_is_uncertain() -> None:
    assert judge(NoAnswer(sent=True, reason="reset"), NOW).outcome is Outcome.UNCERTAIN


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("1e3", None),
        ("٣", None),
        ("Mon, 99 Foo 2026", None),
        ("0", 0),
        ("120", 120),
        (" 7 ", 7),
        ("1.5", 1.5),
        ("-5", 0),
        ("9" * 5000, LONGEST_WAIT),
        ("Sun, 01 Mar 2026 12:00:30 GMT", 30),
        ("Sun, 01 Mar 2026 15:00:30 +0300", 30),
        ("Sun, 01 Mar 2026 12:00:30 -0000", 30),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0),
        ("Fri, 01 Jan 9999 00:00:00 GMT", LONGEST_WAIT),
    ],
)
def test_retry_after_is_parsed_in_both_forms_and_bounded(header: str | None, seconds: float | None) -> None:
    assert seconds_to_wait(header, NOW) == seconds


@pytest.mark.parametrize("status", [401, 429, 500, 503])
def test_retry_after_is_kept_with_an_outcome_that_may_be_repeated(status: int) -> None:
    assert judge(Answer(status, b"", "30"), NOW).retry_after == 30


def test_retry_after_is_ignored_with_a_rejection() -> None:
    assert judge(Answer(400, b"", "30"), NOW).retry_after is None


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "Internal Server Error"),
        (b"\x00\x00", "Internal Server Error"),
        (b"a\x00b\x1b[31m\r\n  c", "ab[31m c"),
        (b"caf\xe9", "caf\ufffd"),
        ("нет".encode(), "нет"),
        (b"x" * 4096, "x" * TEXT_LIMIT),
    ],
)
def test_the_text_of_the_provider_is_kept_in_a_form_that_can_be_stored_and_shown(body: bytes, text: str) -> None:
    assert judge(Answer(500, body), NOW).provider_text == text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["code", "message"]), inner),
    max_leaves=5,
)
ANSWERS = st.builds(
    Answer,
    st.integers(-1, 1000) | st.sampled_from([200, 400, 429, 500]),
    st.binary(max_size=4096) | JSON.map(orjson.dumps),
    st.none() | st.text() | st.integers().map(str) | st.datetimes().map(lambda when: format_datetime(when)),
)


@given(ANSWERS | st.builds(NoAnswer, st.booleans(), st.text()))
def test_every_reply_gives_a_verdict_that_can_be_stored(reply: Answer | NoAnswer) -> None:
    verdict = judge(reply, NOW)
    assert verdict.outcome in {Outcome.ACCEPTED, Outcome.REJECTED, Outcome.DEFERRED, Outcome.UNCERTAIN}
    assert verdict.retry_after is None or 0 <= verdict.retry_after <= LONGEST_WAIT
    text = verdict.provider_text
    assert text is None or (0 < len(text) <= TEXT_LIMIT and text.isprintable())
    assert text is None or text.encode()  # no lone surrogates


@given(JSON)
def test_only_the_integer_0_as_the_code_of_an_object_is_an_acceptance(content: object) -> None:
    code = content.get("code") if isinstance(content, dict) else None
    accepted = judge(Answer(200, orjson.dumps(content)), NOW).outcome is Outcome.ACCEPTED
    assert accepted == (type(code) is int and code == 0)


@given(st.integers(0, 80_000))
def test_an_http_date_and_a_number_of_seconds_mean_the_same(seconds: int) -> None:
    date = format_datetime(datetime.fromtimestamp(NOW + seconds, UTC), usegmt=True)
    assert seconds_to_wait(date, NOW) == seconds_to_wait(str(seconds), NOW) == seconds


def test_a_message_becomes_the_documented_request() -> None:
    headers = (
        ("Authorization", "Bearer secret"),
        ("Content-Type", "application/json"),
        ("User-Agent", "mailing-sender"),
    )
    body = orjson.dumps({"id": 7, "phone": 79, "text": "Привет"})
    assert ADAPTER.encode(Sms(7, 79, "Привет")) == Request(RequestHead("POST", headers), "/base/v1/send/7", body)
    traced = ADAPTER.encode(Sms(7, 79, "Привет", traceparent="00-ab"))
    assert traced.head.headers == (*headers, ("traceparent", "00-ab"))


def test_an_empty_200_is_not_kept_as_if_the_provider_had_said_ok() -> None:
    assert judge(Answer(200, b""), NOW).provider_text == EMPTY


@pytest.mark.parametrize(
    ("reply", "is_outage"),
    [
        (NoAnswer(False, "refused"), True),
        (NoAnswer(True, "reset"), False),
        (Answer(401, b""), True),
        (Answer(503, b""), True),
        (Answer(502, b""), True),
        (Answer(500, b""), False),
        (Answer(429, b""), False),
        (Answer(400, b""), False),
        (Answer(200, b"what?"), False),
        (Answer(200, OK), False),
    ],
)
def test_only_what_no_message_can_cause_is_an_outage(reply: Answer | NoAnswer, is_outage: bool) -> None:
    assert ADAPTER.is_outage(judge(reply, NOW)) is is_outage
