"""`make pictures`: draw every page of the console, light and dark, wide and narrow, in each language."""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from playwright.async_api import Browser, Page
from pydantic import SecretStr

from shared.ledger.migrations import migrate
from tests.browser.browsing import (
    NARROW,
    REPOSITORY,
    WIDE,
    Faults,
    accessibility_problems,
    prepare_browser,
    running_browser,
    visiting,
)
from tests.browser.scene import set_scene
from tests.browser.site import Site, running_site
from tests.browser.tour import pages
from tests.sandbox import running_sandbox
from tests.servers import Servers, found_servers, own_database, prepare_servers

EMPTY = {"overview-empty": "/", "mailings-empty": "/mailings/", "clients-empty": "/clients/"}
DRAFT = "?tag=%23AzbukaVkusa&text=Your+order+is+ready&end=2035-01-01T10:00&begin=09:00&until=21:00&rate=50"
LOOKS = (("light", WIDE, False), ("dark", WIDE, True), ("narrow", NARROW, False))
SETTLING = 500  # milliseconds for what a page loads by itself
MOVING = 8_000  # for the curve of a running mailing


@dataclass(slots=True)
class Album:
    """The pictures, and what was found while they were taken."""

    folder: Path
    pages: set[str] = field(default_factory=set)
    pictures: int = 0
    problems: list[str] = field(default_factory=list)
    faults: Faults = field(default_factory=Faults)
    slowest_ms: float = 0

    async def draw(self, page: Page, name: str, path: str, variant: str) -> None:
        """Open a page, look for problems, and take its picture."""
        await page.goto(path)
        took = await page.evaluate("performance.getEntriesByType('navigation')[0].duration")
        self.slowest_ms = max(self.slowest_ms, took)
        await page.wait_for_timeout(MOVING if name == "mailing" else SETTLING)
        self.problems += await accessibility_problems(page)
        await page.screenshot(path=self.folder / f"{name}-{variant}.png", full_page=True)
        self.pages.add(name)
        self.pictures += 1

    async def draw_all(self, browser: Browser, site: Site, paths: Mapping[str, str]) -> None:
        """Take a picture of every page in every variant."""
        for language in ("en", "ru"):
            for look, size, dark in LOOKS:
                async with visiting(
                    browser, site.url, site.token, self.faults, size=size, language=language, dark=dark
                ) as context:
                    page = await context.new_page()
                    for name, path in paths.items():
                        await self.draw(page, name, path, f"{language}-{look}")

    def line(self) -> str:
        """Return the last line of output."""
        return (
            f"pictures: pages={len(self.pages)} pictures={self.pictures} axe_violations={len(self.problems)} "
            f"console_errors={len(self.faults.console)} csp_violations={len(self.faults.policy)} "
            f"slowest_page_ms={self.slowest_ms:.0f}"
        )


async def draw(servers: Servers, folder: Path, logs: Path) -> Album:
    """Start the system, fill it, and draw all pages; the last one with the API away."""
    album = Album(folder)
    async with (
        running_sandbox() as sandbox,
        running_browser() as browser,
        running_site(servers, sandbox, logs) as site,
    ):
        print("drawing the empty console", flush=True)
        await album.draw_all(browser, site, EMPTY)
        print("filling it", flush=True)
        things = await set_scene(site)
        print("drawing all pages", flush=True)
        await album.draw_all(browser, site, pages(things, DRAFT))
        await _draw_scheduled(album, browser, site)
        await site.system.kill("api")
        await album.draw_all(browser, site, {"service-away": "/mailings/"})
    return album


async def _draw_scheduled(album: Album, browser: Browser, site: Site) -> None:
    mailings = (await site.system.api.get("/api/mailing/")).json()["items"]
    named = {
        f"mailing-{state}": f"/mailings/{next(m['id'] for m in mailings if m['state'] == state)}/"
        for state in ("scheduled", "finished", "canceled")
    }
    await album.draw_all(browser, site, named)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.browser", description=__doc__)
    parser.add_argument("--folder", type=Path, default=REPOSITORY / ".local" / "pictures", help="%(default)s")
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    prepare_servers(print)
    prepare_browser(print)
    with (
        found_servers() as servers,
        own_database(servers, "pictures") as url,
        tempfile.TemporaryDirectory() as logs,
    ):
        migrate(SecretStr(url.replace("postgresql://", "postgresql+psycopg://", 1)))
        album = asyncio.run(draw(Servers(url, servers.broker_url), folder, Path(logs)))
    for problem in [*album.problems, *album.faults.console, *album.faults.policy]:
        print(problem)
    print(f"the pictures are in {folder}")
    print(album.line())
    return 1 if album.problems or album.faults.console or album.faults.policy else 0


if __name__ == "__main__":
    sys.exit(main())
