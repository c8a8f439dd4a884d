"""Descriptions of a provider's API: what they make of a message, and how a wrong one is refused."""

import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.sender.adapter import Access, AdapterError, Sms
from services.sender.description.loading import DescriptionError, load_description
from services.sender.http.endpoint import Endpoint
from services.sender.http.exchange import Answer, NoAnswer, RequestHead
from services.sender.providers import load_adapter
from services.sender.providers.http import HttpAdapter
from shared.contracts import Outcome

REPOSITORY = Path(__file__).parents[2]
EXAMPLES = REPOSITORY / "docs" / "providers"
ACCESS = Access(Endpoint.parse("https://example.org/base"), "secret")
MINIMAL = 'path = "/send?to={number}&text={text}"\n[[answers]]\nverdict = "accepted"\n'


def adapter_of(text: str, folder: Path) -> HttpAdapter:
    file = folder / "provider.toml"
    file.write_text(text)
    return HttpAdapter(load_description(file), ACCESS)


@pytest.mark.parametrize("example", ["json.toml", "form.toml"])
@given(text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1), number=st.integers(1, 10**15 - 1))
def test_every_text_arrives_as_it_is(example: str, text: str, number: int) -> None:
    adapter = HttpAdapter(load_description(EXAMPLES / example), ACCESS)
    request = adapter.encode(Sms(1, number, text))
    assert request.target.isascii()
    if example == "json.toml":
        body = json.loads(request.body)
        assert (body["to"], body["body"]) == (f"+{number}", text)
    else:
        form = parse_qs(request.body.decode(), keep_blank_values=True, strict_parsing=True)
        assert (form["phones"], form["mes"]) == ([str(number)], [text])


@given(text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_a_text_in_the_query_cannot_change_the_request(
    text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    adapter = adapter_of(MINIMAL, tmp_path_factory.mktemp("description"))
    target = adapter.encode(Sms(1, 2, text)).target
    assert target.isascii()
    assert target.isprintable()
    assert " " not in target
    assert parse_qs(urlsplit(target).query, keep_blank_values=True) == {"to": ["2"], "text": [text]}


def test_all_placeholders_have_their_values(tmp_path: Path) -> None:
    adapter = adapter_of(
        """
        method = "PUT"
        path = "/{id}"
        sender = "ACME"
        [query]
        key = "{token}"
        [headers]
        X-Ref = "{id}-{number}"
        [json]
        list = ["{text}", {from = "{sender}"}, 7, true]
        number = "{number:integer}"
        until = "{validity}"
        [[answers]]
        verdict = "accepted"
        """,
        tmp_path,
    )
    request = adapter.encode(Sms(5, 79, "hi", seconds_valid=60, traceparent="00-ab"))
    assert request.target == "/base/5?key=secret"
    assert json.loads(request.body) == {"list": ["hi", {"from": "ACME"}, 7, True], "number": 79, "until": "60"}
    assert request.head == RequestHead(
        "PUT",
        (
            ("User-Agent", "mailing-sender"),
            ("Content-Type", "application/json"),
            ("X-Ref", "5-79"),
            ("traceparent", "00-ab"),
        ),
    )


def test_a_head_without_anything_of_the_message_is_shared(tmp_path: Path) -> None:
    adapter = adapter_of(MINIMAL, tmp_path)
    assert adapter.encode(Sms(1, 2, "a")).head is adapter.encode(Sms(2, 3, "b")).head


RULES = """
path = "/{number}/{text}"
[message_id]
pointer = "/ids/0"
[[answers]]
status = [200, "3xx"]
pointer = "/code"
equals = 0
verdict = "accepted"
[[answers]]
pointer = "/code"
pattern = "^5"
verdict = "later"
outage = true
[[answers]]
pattern = "bad"
status = ["2xx", 500]
verdict = "refused"
"""


@pytest.mark.parametrize(
    ("answer", "outcome", "is_outage"),
    [
        (Answer(200, b'{"code": 0}'), Outcome.ACCEPTED, False),
        (Answer(302, b'{"code": 0}'), Outcome.ACCEPTED, False),
        (Answer(201, b'{"code": 0}'), Outcome.UNCERTAIN, False),
        (Answer(200, b'{"code": "0"}'), Outcome.UNCERTAIN, False),
        (Answer(200, b'{"code": false}'), Outcome.UNCERTAIN, False),
        (Answer(202, b'{"code": 51}', "3"), Outcome.DEFERRED, True),
        (Answer(500, b"a bad thing"), Outcome.REJECTED, False),
        (Answer(501, b"a bad thing"), Outcome.UNCERTAIN, False),
        (Answer(200, b""), Outcome.UNCERTAIN, False),
        (Answer(404, b""), Outcome.REJECTED, False),
        (Answer(503, b""), Outcome.DEFERRED, True),
        (NoAnswer(False, "refused"), Outcome.DEFERRED, True),
        (NoAnswer(True, "reset"), Outcome.UNCERTAIN, False),
    ],
)
def test_rules_are_tried_in_order_and_statuses_decide_the_rest(
    answer: Answer, outcome: Outcome, is_outage: bool, tmp_path: Path
) -> None:
    adapter = adapter_of(RULES, tmp_path)
    verdict = adapter.judge(answer, 0)
    assert verdict.outcome is outcome
    assert adapter.is_outage(verdict) is is_outage


@pytest.mark.parametrize(
    ("body", "message_id"),
    [
        (b'{"code": 0, "ids": ["x-1"]}', "x-1"),
        (b'{"code": 0, "ids": [7]}', "7"),
        (b'{"code": 0, "ids": [true]}', None),
        (b'{"code": 0, "ids": ["a\\u0000"]}', None),
        (b'{"code": 0, "ids": ["%b"]}' % (b"x" * 201), None),
        (b'{"code": 0, "ids": {"1": 2}}', None),
        (b'{"code": 0}', None),
    ],
)
def test_the_message_id_of_the_provider_is_kept_if_it_can_be(
    body: bytes, message_id: str | None, tmp_path: Path
) -> None:
    assert adapter_of(RULES, tmp_path).judge(Answer(200, body), 0).provider_message_id == message_id


@given(st.binary(max_size=300), st.integers(100, 999), st.none() | st.text())
def test_any_answer_has_a_verdict(body: bytes, status: int, retry_after: str | None) -> None:
    for example in ("json.toml", "form.toml"):
        adapter = HttpAdapter(load_description(EXAMPLES / example), ACCESS)
        verdict = adapter.judge(Answer(status, body, retry_after), 0)
        assert verdict.outcome in {Outcome.ACCEPTED, Outcome.REJECTED, Outcome.DEFERRED, Outcome.UNCERTAIN}


GOOD = """
path = "/send"

[headers]
X-Key = "{token}"

[form]
to = "{number}"
text = "{text}"

[[answers]]
status = 200
verdict = "accepted"

[[answers]]
status = 400
verdict = "refused"
"""


@pytest.mark.parametrize(
    ("right", "wrong", "line", "reason"),
    [
        ('path = "/send"', 'path = "send"', 2, "begins with /"),
        ('path = "/send"', 'path = "/send me"', 2, "percent-encoded"),
        ('path = "/send"', 'path = "/{phone}"', 2, "{phone} is not one of"),
        ('path = "/send"', 'path = "/send"\ncolour = 1', 3, "colour"),
        ('path = "/send"', "", 1, "path"),
        ('X-Key = "{token}"', 'X-Key = "{text}"', 5, "{text} is not one of"),
        ('X-Key = "{token}"', 'X-Key = "a\\nb"', 5, "printable ASCII"),
        ('X-Key = "{token}"', 'Host = "a"', 5, "itself"),
        ('X-Key = "{token}"', '"X Key" = "a"', 5, "name of a header"),
        ('to = "{number}"', 'to = "{number"', 8, "brace"),
        ('to = "{number}"', 'to = "7"', 1, "does not contain {number}"),
        ('to = "{number}"', "to = 7", 8, "valid string"),
        ("status = 200", 'status = "2x"', 12, "status"),
        ("status = 200", 'pattern = "("', 12, "regular expression"),
        ('verdict = "accepted"', 'verdict = "acepted"', 13, "verdict"),
        ('verdict = "accepted"', 'verdict = "accepted"\noutage = true', 11, "outage"),
        ('verdict = "accepted"', 'verdict = "accepted"\nequals = 1', 11, "pointer"),
        ('verdict = "refused"', 'verdict = "refused"\npointer = "/a"', 15, "needs equals or pattern"),
        ('verdict = "accepted"', 'verdict = "later"', 1, "accepts anything"),
        ("[form]", '[json]\na = "{number}{text}"\n[form]', 1, "either form or json"),
        ("[form]", "[form", 7, "not TOML"),
    ],
)
def test_a_wrong_description_is_refused_with_line_and_reason(
    right: str, wrong: str, line: int, reason: str, tmp_path: Path
) -> None:
    assert right in GOOD
    adapter_of(GOOD, tmp_path)
    with pytest.raises(DescriptionError) as refused:
        adapter_of(GOOD.replace(right, wrong, 1), tmp_path)
    [problem] = refused.value.args
    assert f"line {line}" in problem
    assert reason in problem


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(DescriptionError) as refused:
        adapter_of(GOOD.replace("/send", "send").replace('"refused"', '"no"'), tmp_path)
    assert len(refused.value.args) == 2


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DescriptionError, match="cannot be read"):
        load_description(tmp_path / "none.toml")


def test_an_adapter_is_found_by_its_name(tmp_path: Path) -> None:
    file = tmp_path / "provider.toml"
    file.write_text(GOOD)
    access = Access(ACCESS.endpoint, "secret", file)
    assert isinstance(load_adapter("http", access), HttpAdapter)
    with pytest.raises(AdapterError, match="only http, probe"):
        load_adapter("nobody", access)
    with pytest.raises(AdapterError, match="MAILING_PROVIDER_FILE"):
        load_adapter("http", ACCESS)
    file.write_text("path = 1")
    with pytest.raises(AdapterError, match="line 1"):
        load_adapter("http", access)


@pytest.mark.parametrize(
    ("others", "line"),
    [
        ({}, "provider.toml, line 1: path: "),
        ({"MAILING_PROVIDER_CA_FILE": "nowhere.pem"}, "MAILING_PROVIDER_CA_FILE: No such file"),
        ({"MAILING_PROVIDER_PROXY": "http://proxy"}, "needs MAILING_PROVIDER_ENGINE=httpx"),
    ],
)
def test_a_sender_with_a_wrong_provider_does_not_start(others: dict[str, str], line: str, tmp_path: Path) -> None:
    file = tmp_path / "provider.toml"
    file.write_text('path = "send"\n' + GOOD.partition("\n\n")[2])
    environment = {
        "PATH": os.environ["PATH"],
        "MAILING_BROKER_URL": "amqp://nobody@localhost/",
        "MAILING_PROVIDER_URL": "https://example.org",
        "MAILING_PROVIDER_TOKEN": "secret",
        "MAILING_PROVIDER_ADAPTER": "http",
        "MAILING_PROVIDER_FILE": str(file),
        **others,
    }
    ended = subprocess.run(
        [sys.executable, "-m", "services.sender"],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 2
    assert line in ended.stderr
    assert "Traceback" not in ended.stderr
