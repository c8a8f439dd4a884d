"""A process that waits, warm, for ranges of message ids: a line `first last` in, `done` out when it is through."""

import asyncio
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

PATIENCE = 300.0  # seconds


class Commanded:
    """Such a process, seen from outside."""

    def __init__(self, process: Process, log: Path) -> None:
        self._process, self._log = process, log

    async def do(self, ids: range) -> None:
        """Returns once it is done. Raises AssertionError when the process failed."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{ids.start} {ids.stop - 1}\n".encode())
        answer = await asyncio.wait_for(self._process.stdout.readline(), PATIENCE)
        assert answer == b"done\n", f"it failed; see {self._log}"


@asynccontextmanager
async def commanded(
    command: Sequence[str], environment: Mapping[str, str], folder: Path, log: Path
) -> AsyncIterator[Commanded]:
    """Started in `folder`; ends when its standard input does."""
    with log.open("ab") as out:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=folder, env=environment, stdin=PIPE, stdout=PIPE, stderr=out
        )
    try:
        yield Commanded(process, log)
    finally:
        assert process.stdin
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 15)
        except TimeoutError:
            process.kill()
            await process.wait()
