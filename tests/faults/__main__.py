"""`python -m tests.faults`: each case breaks something of the running system and holds a promise against it.

One line for each case. The last line is `faults: cases=… broken=0 uncertain_never_posted=… late_posts=…
early_posts=… repeated_not_in_flight=… planner_gap_s=… limited_used=…`; exit status 1 if a promise is broken.
"""

import argparse
import asyncio
import random
import shutil
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from deploy.local.stack import Servers as PrivateServers
from shared.ledger.migrations import migrate
from tests.faults.cases import CASES
from tests.faults.findings import Findings, last_line, line_of
from tests.faults.ground import Case, Ground
from tests.sandbox import running_sandbox

REPOSITORY = Path(__file__).parents[2]
CASE_LIMIT = 150.0  # seconds


@dataclass(frozen=True, slots=True)
class Options:
    seed: int
    short: bool
    only: str
    list: bool


def arguments() -> Options:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--short", action="store_true", help="run only the cases that take some seconds")
    parser.add_argument("--only", default="", metavar="WORD", help="run only the cases with this word in the name")
    parser.add_argument("--list", action="store_true", help="list the cases and end")
    return Options(**vars(parser.parse_args()))


def chosen(options: Options) -> list[Case]:
    """Return the cases that the options choose."""
    return [case for case in CASES if options.only in case.name and (case.is_short or not options.short)]


async def run_case(case: Case, ground: Ground) -> Findings:
    """Run one case. An error in it breaks the case and not the run."""
    try:
        async with asyncio.timeout(CASE_LIMIT):
            return await case.run(ground)
    except Exception as error:  # noqa: BLE001 - the other cases must run
        traceback.print_exc()
        return Findings(broken=[f"it ended with {error!r}"])


async def run(servers: PrivateServers, cases: Sequence[Case], seed: int, state: Path) -> bool:
    """Run the cases one after the other, and print their lines; return True if every promise held."""
    logs = state / "logs"
    shutil.rmtree(logs, ignore_errors=True)
    findings = []
    async with running_sandbox() as sandbox:
        for case in cases:
            # Its own numbers for each case: so one case alone does the same as among all others.
            ground = Ground(servers, sandbox, logs / case.name, random.Random(f"{seed} {case.name}"))
            began = time.monotonic()
            findings.append(await run_case(case, ground))
            print(line_of(case.name, time.monotonic() - began, findings[-1]), flush=True)
    print(last_line(findings))
    return not any(one.broken for one in findings)


def main() -> int:
    options = arguments()
    cases = chosen(options)
    if options.list:
        print("\n".join(case.name for case in cases))
        return 0
    state = REPOSITORY / ".local" / "faults"
    print(
        f"faults: seed {options.seed} (--seed {options.seed} repeats the run); logs in {state / 'logs'}",
        flush=True,
    )
    with PrivateServers(state / "servers", throwaway=True, environment={}) as servers:
        migrate(SecretStr(servers.database_url))
        return 0 if asyncio.run(run(servers, cases, options.seed, state)) else 1


if __name__ == "__main__":
    sys.exit(main())
