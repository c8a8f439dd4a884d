"""A short run of the chaos suite; `make chaos` is the long one."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
WELL = re.compile(
    r"chaos: seed=\d+ messages=1500 kills=\d+ restarts=\d+ lost=0 unsettled=0 repeated=\d+"
    r" repeated_not_in_flight=0 counters=ok"
)


@pytest.mark.timeout(240)
def test_whatever_is_killed_cut_or_fails_every_message_is_accounted_for() -> None:
    command = [
        sys.executable,
        "-m",
        "tests.chaos",
        "--messages",
        "1500",
        "--minutes",
        "0.8",
        "--pause",
        "1",
        "--seed",
        "7",
    ]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert WELL.fullmatch(done.stdout.splitlines()[-1])
