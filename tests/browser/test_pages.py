"""Every page: accessible, safe, readable without JavaScript, in the chosen language."""

import asyncio
import re
from collections.abc import Sequence

import httpx
import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.browsing import NARROW, WIDE, Faults, accessibility_problems, overflow, visiting
from tests.browser.scene import until_finished
from tests.browser.site import Site
from tests.browser.tour import Things, pages

TABS = 3  # pages that are looked at together
EVIL = "<img src=x onerror=\"document.title='broken into'\"><script>document.title='broken into'</script>"


@pytest.mark.parametrize(("language", "size", "dark"), [("en", WIDE, False), ("ru", NARROW, True)])
async def test_every_page_is_accessible_and_fits(
    site: Site, browser: Browser, faults: Faults, language: str, size: tuple[int, int], dark: bool
) -> None:
    serial = 79_024_000_000 + 10 * dark
    await site.add_clients("#pages", 3, serial)
    mailing_id = await site.add_mailing("#pages", "On every page")
    await until_finished(site, mailing_id)
    found = (await site.system.api.get("/api/client/", params={"number": serial})).json()["items"][0]["id"]
    message = (await site.system.api.get(f"/api/mailing/{mailing_id}/messages/")).json()["items"][0]["id"]
    paths = list(pages(Things(mailing_id, found, message, serial)).values())
    async with visiting(browser, site.url, site.token, faults, language=language, size=size, dark=dark) as context:
        tabs = [await context.new_page() for _ in range(TABS)]
        seen = await asyncio.gather(*(_problems(tab, paths[number::TABS]) for number, tab in enumerate(tabs)))
    assert [problem for problems in seen for problem in problems] == []
    assert faults == Faults()


async def _problems(page: Page, paths: Sequence[str]) -> list[str]:
    problems: list[str] = []
    for path in paths:
        await page.goto(path)
        problems += await accessibility_problems(page)
        if wider := await overflow(page):
            problems.append(f"{path} is {wider} pixels too wide")
    return problems


async def test_nothing_that_others_wrote_becomes_part_of_a_page(site: Site, page: Page) -> None:
    await site.add_clients(EVIL.replace('"', "'")[:90], 2, 79_018_000_000)
    mailing_id = await site.add_mailing(EVIL.replace('"', "'")[:90], EVIL)
    await until_finished(site, mailing_id)
    history = "/messages/?number=79018000000"
    for path in (
        "/",
        "/mailings/",
        f"/mailings/{mailing_id}/",
        f"/mailings/{mailing_id}/change/",
        "/clients/",
        history,
    ):
        await page.goto(path)
        assert "broken into" not in await page.title()
        assert await page.locator("main script, main img").count() == 0
    await expect(page.locator("article")).to_contain_text("<script>")


async def test_reading_works_without_javascript(site: Site, browser: Browser, faults: Faults) -> None:
    await site.add_clients("#plain", 20, 79_019_000_000)
    async with visiting(browser, site.url, site.token, faults, scripts=False) as context:
        plain = await context.new_page()
        await plain.goto("/")
        mailing_id = await site.add_mailing("#plain", "Without scripts")
        await until_finished(site, mailing_id)
        await plain.goto("/")  # a page that is opened is never an older one
        await plain.get_by_role("link", name="Without scripts").first.click()
        await expect(plain.locator("#facts")).to_contain_text("20")
        await plain.locator(".tile-sent").click()
        await expect(plain.locator("tbody tr")).to_have_count(20)
        await plain.goto(f"/mailings/{mailing_id}/delete/")
        await plain.get_by_role("button", name="Delete").click()
        await expect(plain).to_have_url(re.compile("/mailings/$"))
        await plain.goto(f"/mailings/{mailing_id}/")
        await expect(plain.locator("h1")).to_have_text("There is no such thing")


async def test_language_theme_and_zone_are_chosen_and_kept(site: Site, page: Page) -> None:
    await page.goto("/help/")
    await page.locator(".menu summary").click()
    await page.locator("select[name=language]").select_option("ru")
    await expect(page.locator("h1")).to_have_text("Справка")
    await page.locator(".menu summary").click()
    await page.locator("select[name=theme]").select_option("dark")
    await expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
    await page.locator(".menu summary").click()
    await page.locator("input[name=zone]").fill("Asia/Omsk")
    await page.get_by_role("button", name="Применить").click()
    await expect(page.locator("footer")).to_contain_text("Asia/Omsk, UTC+6")
    await page.goto("/mailings/")
    await expect(page.locator("h1")).to_have_text("Рассылки")


async def test_another_site_cannot_change_anything(site: Site) -> None:
    async with httpx.AsyncClient(base_url=site.url, trust_env=False) as http:
        for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://evil.example"}):
            answer = await http.post("/clients/new/", data={"number": "79022000000"}, headers=headers)
            assert answer.status_code == httpx.codes.FORBIDDEN
        answer = await http.get("/")
        assert "unsafe" not in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
