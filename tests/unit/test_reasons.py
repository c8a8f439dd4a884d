"""Description of a message that could not be handled: enough to understand the fault, and none of its content."""

import pytest
from pydantic import TypeAdapter, ValidationError
from sqlalchemy.exc import DBAPIError

from shared.contracts import EVENT, JOB, REPORT, STOPS, Job
from shared.telemetry.redaction import REASON_LIMIT, describe_error, summarize_body, without_numbers

NUMBER = "79057003050"
SECRET = "Ваш заказ готов"
SOME_JOB = (
    '{"version": 1, "job_id": 5, "release": 1, "mailing_id": 7, "revision": 0,'
    f' "text": "{SECRET}", "messages": [[1, {NUMBER}]]}}'
)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (NUMBER, "7905*****50"),
        (f"to {NUMBER} and +7 (905) 700-30-51.", "to 7905*****50 and +7905*****51."),
        (f"[[1,{NUMBER}],[2,79057003099]]", "[[1,7905*****50],[2,7905*****99]]"),
        ("8 905 700 30 50", "8905*****50"),
        ("9" * 6000, "9999*****99"),
        ("job 123456789, 2026-05-01T09:00:00", "job 123456789, 2026-05-01T09:00:00"),
    ],
)
def test_phone_numbers_are_masked_however_they_are_written(given: str, shown: str) -> None:
    assert without_numbers(given) == shown


def refused(contract: TypeAdapter[Job], body: str) -> str:
    with pytest.raises(ValidationError) as caught:
        contract.validate_json(body)
    return describe_error(caught.value)


@pytest.mark.parametrize(
    ("contract", "body", "expected"),
    [
        (JOB, "\x00garbage", "Invalid JSON"),
        (JOB, "[]", "not a valid Job: Input should be an object"),
        (JOB, SOME_JOB.replace('"version": 1', '"version": 2'), "version: Input should be 1"),
        (JOB, SOME_JOB.replace("[[1, ", f'[["{SECRET}", '), "messages.0.0: Input should be a valid integer"),
        (JOB, SOME_JOB.replace(NUMBER, f'"{NUMBER} {SECRET}"'), "messages.0.1: Input should be a valid integer"),
        (EVENT, f'{{"kind": "{SECRET} {NUMBER}", "mailing_id": 1}}', "kind: Input should be 'mailing.created'"),
        (STOPS, f'{{"revisions": {{"{SECRET}": 1, "{NUMBER}": "x"}}}}', "revisions.….[key]: Input should be"),
        (REPORT, '{"sender": "a\\u0000", "jobs": []}', "sender: String should match"),
    ],
)
def test_the_reason_describes_the_fault_and_quotes_nothing(
    contract: TypeAdapter[Job], body: str, expected: str
) -> None:
    reason = refused(contract, body)
    assert expected in reason
    assert NUMBER not in reason
    assert SECRET not in reason


def test_a_reason_is_short_however_much_is_wrong() -> None:
    messages = ",".join('["a", "b"]' for _ in range(1_000))
    reason = refused(JOB, SOME_JOB.replace(f"[[1, {NUMBER}]]", f"[{messages}]"))
    assert reason.endswith("and 1998 more")
    assert len(reason) <= REASON_LIMIT
    assert len(describe_error(ValueError("long " * 1_000))) == REASON_LIMIT


def test_quotations_of_other_errors_are_left_out() -> None:
    assert describe_error(KeyError(SECRET)) == "KeyError: …"
    assert (
        describe_error(ValueError(f"no zone '{SECRET}' for {NUMBER}\nand more"))
        == "ValueError: no zone … for 7905*****50"
    )
    assert describe_error(AssertionError()) == "AssertionError: "


def test_a_database_error_is_described_without_statement_and_row() -> None:
    original = ValueError(f"out of range\nDETAIL: Failing row contains ({SECRET})")
    reason = describe_error(DBAPIError("INSERT INTO clients", {"number": NUMBER}, original))
    assert reason == "ValueError: out of range"


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (SOME_JOB, "version=1 job_id=5 mailing_id=7"),
        ('{"kind": "mailing.created", "mailing_id": 3}', "kind=mailing.created mailing_id=3"),
        ('{"jobs": [{"job_id": 1}, {"job_id": 2}]}', "jobs=2 job_ids=1,2"),
        (f'{{"text": "{SECRET}", "{SECRET}": 1}}', "fields: text, …"),
        (f'{{"kind": "{SECRET}", "job_id": {NUMBER}}}', "kind=… job_id=7905*****50"),
        (SOME_JOB[:-5], '{"version": 1, "job_id": 5, "release": 1, "mailing_id": 7, …'),
        (f'{{"text": "{SECRET}', "{"),
        (f"[{NUMBER}]", "[7905*****50]"),
        ("\x1b[2Jgarbage\n", "·[2Jgarbage·"),
        ("", ""),
    ],
)
def test_a_message_is_recognised_by_its_ids_or_its_first_bytes(body: str, shown: str) -> None:
    assert summarize_body(body.encode()) == shown


def test_bytes_that_are_not_text_are_shown_as_replacement_characters() -> None:
    assert summarize_body(b"\xff\xfe") == "\N{REPLACEMENT CHARACTER}" * 2
