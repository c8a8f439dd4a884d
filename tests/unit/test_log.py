"""Content of the logs, and what they never hold."""

import json
import subprocess
import sys

import pytest

from shared.telemetry.log import MessageSample

SECRET = "Ваш заказ готов"
NUMBER = "79057003050"


@pytest.mark.parametrize(
    ("level", "share", "expected"),
    [("debug", 0, 1), ("info", 0, 0), ("info", 0.01, 0.01), ("info", 0.5, 0.5), ("info", 1, 1), ("warning", 1, 0)],
)
def test_the_configured_share_of_the_messages_is_in_the_sample(level: str, share: float, expected: float) -> None:
    lines = MessageSample(level, share)  # type: ignore[arg-type] # pytest gives a str
    assert lines.is_active is (expected > 0)
    told = sum(lines.includes(message_id) for message_id in range(10**9, 10**9 + 100_000))
    assert told / 100_000 == pytest.approx(expected, rel=0.02)


def test_all_services_log_the_same_messages() -> None:
    a, b = MessageSample("info", 0.1), MessageSample("info", 0.1)
    ids = list(range(1, 200))
    fields = a.fields(ids, [one * 2 for one in ids])
    assert fields == b.fields(ids, [one * 2 for one in ids])
    assert [one * 2 for one in fields["message_ids"]] == fields["client_ids"]
    assert a.fields([], []) == {}


# The secrets are arguments: tracebacks of Python 3.13 and later show the lines of this program.
PROGRAM = """
import logging, sys
import structlog
from shared.contracts import JOB
from shared.telemetry.log import configure

_, form, secret, number = sys.argv
configure("tests", "info", form)
logging.getLogger("some.library").error("failed for %s\\nbecause of %s", int(number), secret)
try:
    JOB.validate_json('{"text": "%s %s"}' % (secret, number))
except ValueError:
    structlog.get_logger().exception("something_failed")
raise KeyError(f"{secret} for {number}")
"""


@pytest.mark.parametrize("form", ["json", "console"])
def test_every_failure_is_logged_without_texts_and_numbers(form: str) -> None:
    command = [sys.executable, "-c", PROGRAM, form, SECRET, NUMBER]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 1
    assert SECRET not in ended.stderr
    assert NUMBER not in ended.stderr
    for event in ("library_complained", "something_failed", "process_failed"):
        assert event in ended.stderr
    assert "not a valid Job" in ended.stderr
    if form == "json":
        assert all(json.loads(line)["service"] == "tests" for line in ended.stderr.splitlines())
