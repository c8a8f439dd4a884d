"""Stories: the lines of a log that concern one mailing, message, client or request."""

import argparse
import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from shared.cli.logs import add_arguments, run
from shared.telemetry.stories import Kind, parse, story

# Two mailings, 7 and 8; messages 11 and 12 of 7, to the clients 101 and 102, and 21 of 8, to 101 as well.
LOG: dict[str, dict[str, object]] = {
    "created": {"timestamp": "01", "event": "request_answered", "request_id": "r7", "mailing_id": 7},
    "waited": {"timestamp": "01", "event": "database_unavailable", "request_id": "r7"},
    "looked": {"timestamp": "02", "method": "GET", "status": 200, "request_id": "x", "mailing_id": 7},
    "missed": {"timestamp": "02", "method": "GET", "status": 404, "request_id": "y", "mailing_id": 7},
    "expanded": {"timestamp": "03", "event": "mailing_expanded", "mailing_id": 7, "request_id": "r7"},
    "released": {"timestamp": "04", "mailing_id": 7, "job_id": 5, "request_id": "r7"}
    | {"message_ids": [11, 12], "client_ids": [101, 102]},
    "redelivered": {"timestamp": "05", "event": "job_redelivered", "job_id": 5, "mailing_id": 7},
    "dead": {"timestamp": "05", "event": "message_dead_lettered", "job_id": 5},
    "posted": {"timestamp": "06", "mailing_id": 7, "job_id": 5, "message_id": 11, "client_id": 101},
    "posted too": {"timestamp": "06", "mailing_id": 7, "job_id": 5, "message_id": 12, "client_id": 102},
    "settled": {"timestamp": "07", "mailing_id": 7, "job_id": 5, "message_ids": [12], "client_ids": [102]},
    "settled late": {"timestamp": "09", "mailing_id": 7, "job_id": 6, "message_ids": [11], "client_ids": [101]},
    "other mailing": {"timestamp": "08", "mailing_id": 8, "request_id": "r8"},
    "other message": {"timestamp": "08", "mailing_id": 8, "job_id": 9, "message_id": 21, "client_id": 101},
    "same request": {"timestamp": "08", "mailing_id": 8, "request_id": "r7"},
    "client changed": {"timestamp": "00", "method": "PATCH", "status": 200, "client_id": 101, "request_id": "z"},
    "to a number": {"timestamp": "08", "mailing_id": 3, "job_id": 2, "message_ids": [31], "client_ids": [0]},
}
OF_JOB_5 = ["released", "redelivered", "dead", "posted", "posted too", "settled"]
OF_MAILING_7 = ["created", "waited", "missed", "expanded", *OF_JOB_5, "settled late"]
OF_MESSAGE_11 = ["created", "waited", "missed", "expanded", *OF_JOB_5[:4], "settled late"]


def names_of_story(kind: Kind, wanted: int | str, names: Iterable[str] = tuple(LOG)) -> list[str]:
    """Return the names of the lines in the story."""
    log = [{"name": name, **LOG[name]} for name in names]
    lines = [line for fields in log if (line := parse(json.dumps(fields)))]
    return [str(fields["name"]) for fields in story(lines, kind, wanted)]


def test_the_story_of_a_mailing_has_the_lines_of_its_requests_and_jobs() -> None:
    assert names_of_story("mailing", 7) == OF_MAILING_7


def test_the_story_of_a_message_goes_from_the_request_to_its_end_without_other_messages() -> None:
    assert names_of_story("message", 11) == OF_MESSAGE_11


def test_the_story_of_a_client_has_those_of_its_messages_and_its_own_changes() -> None:
    others = ["other mailing", "other message", "same request"]
    assert names_of_story("client", 101) == ["client changed", *OF_MESSAGE_11[:-1], *others, "settled late"]


def test_the_story_of_a_request_has_everything_that_it_caused() -> None:
    assert names_of_story("request", "r7") == ["created", "waited", "expanded", *OF_JOB_5, "same request"]


def test_a_message_to_a_number_without_a_client_belongs_to_no_client() -> None:
    assert names_of_story("message", 31) == ["to a number"]
    assert names_of_story("client", 0) == []


def test_lines_of_several_services_come_in_order_of_time() -> None:
    assert names_of_story("mailing", 7, reversed(LOG))[-1] == "settled late"
    assert sorted(names_of_story("mailing", 7, reversed(LOG))) == sorted(OF_MAILING_7)


def test_a_line_about_several_messages_is_narrowed_to_those_of_the_story() -> None:
    line = parse(json.dumps(LOG["released"]))
    assert line is not None
    (narrowed,) = story([line], "message", 12)
    assert narrowed["message_ids"] == [12]
    assert narrowed["client_ids"] == [102]
    (whole,) = story([line], "mailing", 7)
    assert whole["message_ids"] == [11, 12]


def test_a_line_about_many_clients_of_an_import_is_narrowed_to_one() -> None:
    line = parse(json.dumps({"event": "clients_changed", "request_id": "r", "client_ids": [5, 6, 7]}))
    assert line is not None
    (narrowed,) = story([line], "client", 6)
    assert narrowed["client_ids"] == [6]


@pytest.mark.parametrize("text", ["", "Traceback:", "{", "{'a': 1}", "[7]", '{"event": "started"}', "{" * 100_000])
def test_a_line_that_is_not_json_or_names_nothing_is_skipped(text: str) -> None:
    assert parse(text) is None


@pytest.mark.parametrize("text", ['{"mailing_id": {}}', '{"mailing_id": true}', '{"message_ids": 7}'])
def test_a_value_that_cannot_be_an_id_is_ignored(text: str) -> None:
    assert parse(text) is None


def test_text_before_the_json_is_skipped() -> None:
    line = parse('planner-1  | {"mailing_id": 7}\n')
    assert line is not None
    assert line.named["mailing"] == (7,)


def test_the_command_reads_several_files_and_says_what_it_does_not_find(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    first, second = tmp_path / "planner.log", tmp_path / "sender.log"
    first.write_bytes(b"\xff garbage\n" + json.dumps(LOG["settled late"]).encode())
    second.write_text(json.dumps(LOG["posted"] | {"exception": "a\nb", "tag": "\x1b[2J"}))

    assert run(parser.parse_args(["--message", "11", str(first), str(second)])) == 0
    posted, *exception, settled = capsys.readouterr().out.splitlines()
    assert posted.split()[0] == "06"
    assert "tag=·[2J" in posted
    assert exception == ["a", "b"]
    assert "message_ids=11" in settled

    assert run(parser.parse_args(["--mailing", "7", "--json", str(first)])) == 0
    assert json.loads(capsys.readouterr().out) == LOG["settled late"]

    assert run(parser.parse_args(["--client", "999", str(first)])) == 1
    assert "no line is about client 999" in capsys.readouterr().err
    assert run(parser.parse_args(["--client", "999", str(tmp_path / "none")])) == 2
