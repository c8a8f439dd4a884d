"""The short form of `make faults`, and its last line."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.findings import Findings, last_line, line_of

REPOSITORY = Path(__file__).parents[2]
WELL = re.compile(
    r"faults: cases=[1-9]\d* broken=0 uncertain_never_posted=\d+ late_posts=0 early_posts=0"
    r" repeated_not_in_flight=0 planner_gap_s=[\d.]+ limited_used=[\d.]+"
)


def test_the_last_line_sums_up_what_was_not_skipped() -> None:
    findings = [
        Findings(late_posts=2, planner_gap_s=1.5, limited_used=0.97, broken=["2 late"]),
        Findings(late_posts=1, planner_gap_s=3.0),
        Findings(skipped="libfaketime is not installed", early_posts=9),
    ]
    assert last_line(findings) == (
        "faults: cases=2 broken=1 uncertain_never_posted=0 late_posts=3 early_posts=0 repeated_not_in_flight=0"
        " planner_gap_s=3.0 limited_used=0.970"
    )
    assert line_of("a-case", 2.04, findings[0]) == "   2.0 s  a-case: BROKEN: 2 late"
    assert line_of("a-case", 0.0, findings[2]) == "   0.0 s  a-case: skipped: libfaketime is not installed"


@pytest.mark.timeout(180)
def test_the_cases_of_the_short_form_break_no_promise() -> None:
    command = [sys.executable, "-m", "tests.faults", "--short", "--seed", "7"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert WELL.fullmatch(done.stdout.splitlines()[-1])
