"""A running mailing before the eyes of people, and services that go away meanwhile."""

import asyncio
import contextlib
import re

import httpx
from playwright.async_api import Browser, Page, Route, expect

from services.console.session import PLAIN_COOKIE
from tests.browser.browsing import Faults, visiting
from tests.browser.site import Site
from tests.e2e.system import until


async def test_a_running_mailing_moves_before_the_eyes_of_two_people_at_once(
    site: Site, page: Page, browser: Browser, faults: Faults
) -> None:
    await site.add_clients("#live", 400, 79_013_000_000)
    mailing_id = await site.add_mailing("#live", "Watch me", rate=40)
    async with visiting(browser, site.url, site.token, faults, language="ru") as other:
        second = await other.new_page()
        await asyncio.gather(page.goto(f"/mailings/{mailing_id}/"), second.goto(f"/mailings/{mailing_id}/"))
        await expect(page.locator(".chart[data-live] canvas")).to_be_visible()
        first = await page.locator(".hero-number").inner_text()
        await expect(page.locator(".hero-number")).not_to_have_text(first)
        await expect(page.locator("#facts")).to_contain_text("Finished", timeout=30_000)
        await expect(second.locator("#facts")).to_contain_text("Завершено")
        await expect(second.locator("#unsent")).to_contain_text("Все получили")


async def test_however_many_look_the_service_is_asked_once_a_second(site: Site) -> None:
    await site.add_clients("#crowd", 200, 79_013_500_000)
    mailing_id = await site.add_mailing("#crowd", "Look at me", rate=5)
    async with httpx.AsyncClient(
        base_url=site.url, cookies={PLAIN_COOKIE: site.token}, trust_env=False, timeout=20
    ) as http:

        async def look() -> int:
            events = 0
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(6), http.stream("GET", f"/mailings/{mailing_id}/live/") as stream:
                    async for line in stream.aiter_lines():
                        events += line.startswith("event: ")
            return events

        before = await _calls(site)
        seen = await asyncio.gather(*(look() for _ in range(10)))
        asked = await _calls(site) - before
    assert min(seen) >= 5
    assert asked <= 10 + 8  # one look of each at the beginning, then one a second for all of them
    await site.control(mailing_id, "cancel")


async def test_the_console_says_that_the_service_is_away_and_comes_back_by_itself(site: Site, page: Page) -> None:
    await site.add_clients("#away", 300, 79_020_000_000)
    mailing_id = await site.add_mailing("#away", "Patience", rate=10)
    await page.goto(f"/mailings/{mailing_id}/")
    await expect(page.locator("#facts")).to_contain_text("of 300 people")
    await expect(page.locator(".chart[data-live] canvas")).to_be_visible()  # the page is live
    await site.system.kill("api")
    await expect(page.locator("#facts .alert-warning")).to_contain_text("The service has not answered since")
    other = await page.context.new_page()
    await other.goto("/mailings/")
    await expect(other.locator("h1")).to_have_text("The service does not answer")
    await site.system.start("api")
    await until(site.system.is_ready, timeout=30, what="the API is back")
    await expect(page.locator("#facts .alert-warning")).to_have_count(0)
    await expect(other.locator("h1")).to_have_text("Mailings")
    await other.close()
    await site.control(mailing_id, "cancel")


async def test_a_page_that_cannot_become_live_says_that_the_service_is_away(
    site: Site, page: Page, faults: Faults
) -> None:
    await site.add_clients("#early", 300, 79_022_000_000)
    mailing_id = await site.add_mailing("#early", "Too early", rate=10)

    async def answer_as_while_away(route: Route) -> None:
        is_page = route.request.resource_type == "document"
        await (route.continue_() if is_page else route.fulfill(status=503))

    await page.route(f"**/mailings/{mailing_id}/**", answer_as_while_away)
    await page.goto(f"/mailings/{mailing_id}/")
    await expect(page.locator("#service")).to_be_visible()
    await page.unroute(f"**/mailings/{mailing_id}/**")
    await expect(page.locator(".chart[data-live] canvas")).to_be_visible()
    await expect(page.locator("#service")).to_be_hidden()
    faults.console.clear()  # the browser's words on the stream that did not begin
    await site.control(mailing_id, "cancel")


async def test_a_console_that_was_killed_is_noticed_and_found_again(
    site: Site, page: Page, faults: Faults
) -> None:
    await site.add_clients("#killed", 300, 79_021_000_000)
    mailing_id = await site.add_mailing("#killed", "Still here", rate=10)
    await page.goto(f"/mailings/{mailing_id}/")
    await expect(page.locator(".chart[data-live] canvas")).to_be_visible()
    await site.system.kill("console")
    await expect(page.locator("#connection")).to_be_visible()
    await site.system.start("console", environment=site.console_environment)
    await site.until_console_ready()
    await expect(page.locator("#connection")).to_be_hidden()
    faults.console.clear()  # the browser's words on the connection that broke
    await site.control(mailing_id, "cancel")


async def _calls(site: Site) -> float:
    """Return how often the API was asked for mailings."""
    metrics = (await site.system.api.get("/metrics")).text
    found = re.findall(r'duration_seconds_count\{method="GET",route="/api/mailing/"[^}]*\} (\S+)', metrics)
    assert found
    return sum(map(float, found))
