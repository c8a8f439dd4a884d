"""Write the measurements into docs/benchmarks.md, and the plot beside it."""

import os
import platform
import re
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psycopg

from deploy.local.stack import Servers
from tests.bench.plot import svg
from tests.bench.results import Summary, last_line, markdown_table

REPOSITORY = Path(__file__).parents[2]
PAGE = REPOSITORY / "docs" / "benchmarks.md"
PLOT = REPOSITORY / "docs" / "bench.svg"
BEGIN, END = "<!-- written by `make bench` -->", "<!-- until here -->"


def machine() -> str:
    """Return a description of the machine, as far as Linux has one."""
    processor = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    system = platform.freedesktop_os_release()["PRETTY_NAME"]
    name = f" of {processor[1]}" if processor else ""
    return f"{os.cpu_count()} cores{name}, {memory:.0f} GiB, {system}"


def versions(servers: Servers, lock: Path, nginx: str) -> str:
    """Return the versions of all participants."""
    assert servers.rabbitmq
    with psycopg.connect(servers.database_url) as connection:
        postgres = connection.info.server_version // 10_000
    overview = httpx.get(
        f"{servers.rabbitmq.management_url}/api/overview",
        auth=(servers.rabbitmq.user, servers.rabbitmq.password),
        trust_env=False,
    )
    baselines = dict(re.findall(r"^(celery|dramatiq)==(\S+)", lock.read_text(), re.MULTILINE))
    found = {
        "Python": platform.python_version(),
        "PostgreSQL": postgres,
        "RabbitMQ": overview.raise_for_status().json()["rabbitmq_version"],
        "nginx": nginx,
        **{name.capitalize(): version for name, version in baselines.items()},
    }
    return ", ".join(f"{name} {version}" for name, version in found.items())


def publish(summaries: dict[str, Summary], machine: str, versions: str) -> None:
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    PLOT.write_text(svg(summaries, f"{today} · {machine}"))
    block = f"""{BEGIN}
Measured {today} on {machine}; {versions}.

{markdown_table(summaries)}

```
{last_line(summaries)}
```
{END}"""
    PAGE.write_text(with_block(PAGE.read_text(), block))


def with_block(text: str, block: str) -> str:
    """The text, with what stands between the marks replaced. Raises ValueError where they are not."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"there is no {BEGIN} … {END}")
    return before + block + after
