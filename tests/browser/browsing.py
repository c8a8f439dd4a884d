"""A browser that watches what goes wrong on the pages that it shows."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped] # it has no types
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, async_playwright

from deploy.local.chromium import HOW_TO_INSTALL, install_chromium, installed_chromium
from deploy.local.rabbitmq_programs import Notify
from services.console.session import PLAIN_COOKIE

REPOSITORY = Path(__file__).parents[2]
WIDE, NARROW = (1280, 900), (360, 740)
# A page that answers 404 or 422 on purpose is an error in the browser's eyes alone.
EXPECTED = "Failed to load resource: the server responded with a status of"
POLICY = "Content Security Policy"


@dataclass
class Faults:
    """Complaints of the browser."""

    console: list[str] = field(default_factory=list)
    policy: list[str] = field(default_factory=list)

    def hear(self, message: ConsoleMessage) -> None:
        """Note a message of the browser's console if it is a complaint."""
        if message.type not in {"error", "warning"} or message.text.startswith(EXPECTED):
            return
        (self.policy if POLICY in message.text else self.console).append(f"{message.text} ({message.location})")

    def watch(self, page: Page) -> None:
        """Listen to a page."""
        page.on("console", self.hear)
        page.on("pageerror", lambda error: self.console.append(str(error)))


def prepare_browser(notify: Notify) -> None:
    """Install a browser if there is none. That may take minutes, which a test with a time limit has not."""
    if installed_chromium() is None:
        install_chromium(notify, REPOSITORY / ".local" / "install.log")


@asynccontextmanager
async def running_browser() -> AsyncIterator[Browser]:
    """A headless Chromium."""
    program = installed_chromium()
    assert program is not None, HOW_TO_INSTALL
    async with async_playwright() as playwright:
        # As root, Chromium runs only without its sandbox. It shows nothing but our own pages here.
        browser = await playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        await browser.close()


@asynccontextmanager
async def visiting(
    browser: Browser,
    url: str,
    token: str | None,
    faults: Faults,
    *,
    size: tuple[int, int] = WIDE,
    language: str = "en",
    dark: bool = False,
    scripts: bool = True,
) -> AsyncIterator[BrowserContext]:
    """A visitor in Moscow, signed in if there is a token, with cookies of their own."""
    context = await browser.new_context(
        base_url=url,
        viewport={"width": size[0], "height": size[1]},
        locale=language,
        timezone_id="Europe/Moscow",
        color_scheme="dark" if dark else "light",
        java_script_enabled=scripts,
        accept_downloads=True,
    )
    context.set_default_timeout(15_000)
    context.on("page", faults.watch)
    # Known from the start, so that no first page is loaded twice.
    await context.add_cookies([{"name": "zone", "value": "Europe/Moscow", "url": url}])
    if token is not None:
        await context.add_cookies([{"name": PLAIN_COOKIE, "value": token, "url": url, "httpOnly": True}])
    yield context
    await context.close()


async def accessibility_problems(page: Page) -> list[str]:
    """Return what axe finds on the page, each with the elements concerned."""
    found = await Axe().run(page)
    return [
        f"{violation['id']} on {page.url}: {[node['target'] for node in violation['nodes']]}"
        for violation in found.response["violations"]
    ]


async def overflow(page: Page) -> int:
    """Return by how many pixels the page is wider than the window."""
    wider: int = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return wider
