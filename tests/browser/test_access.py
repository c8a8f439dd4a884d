"""People, programs and the audit in a real browser, as an admin works with them."""

import re

import httpx
from playwright.async_api import Browser, Page, expect

from tests.browser.browsing import NARROW, Faults, accessibility_problems, overflow, visiting
from tests.browser.site import Site
from tests.tokens import bearer


async def test_an_admin_lets_a_person_in_and_out_again(
    page: Page, browser: Browser, site: Site, faults: Faults
) -> None:
    await page.goto("/access/people/")
    await page.get_by_role("link", name="New user").click()
    await page.get_by_label("Login").fill("zoe")
    await page.get_by_label("Name").fill("Zoe Petrova")
    await page.get_by_label("Operator").check()
    await page.get_by_role("button", name="Save").click()
    await expect(page.locator("h1")).to_have_text("Zoe Petrova")
    await expect(page.get_by_label("Operator")).to_be_checked()
    assert not await accessibility_problems(page)
    address = page.url
    await page.get_by_role("button", name="Make a link").click()
    link = await page.get_by_label("One-time link").input_value()
    assert not await accessibility_problems(page)
    async with visiting(browser, site.url, None, faults) as context:
        theirs = await context.new_page()
        await theirs.goto(link)
        await theirs.get_by_role("button", name="Sign in").click()
        await expect(theirs).to_have_url(f"{site.url}/")
        await theirs.goto("/access/people/")
        await expect(theirs.locator("h1")).to_have_text("You may not do this")
        await page.goto(address)
        await page.get_by_role("button", name="Disable and sign out").click()
        await expect(page.locator(".headline")).to_contain_text("Disabled")
        await theirs.goto("/clients/")
        await expect(theirs.locator("h1")).to_have_text("Sign in")


async def test_a_login_that_is_taken_is_refused_and_what_was_typed_stays(page: Page, site: Site) -> None:
    await site.system.api.post("/api/user/", json={"login": "taken", "name": "First", "role": "viewer"})
    await page.goto("/access/people/new/")
    await page.get_by_label("Login").fill("taken")
    await page.get_by_label("Name").fill("Second")
    await page.get_by_label("Viewer").check()
    await page.get_by_role("button", name="Save").click()
    await expect(page.locator("#login-error")).to_be_visible()
    await expect(page.get_by_label("Name")).to_have_value("Second")


async def test_a_token_is_shown_once_works_and_is_revoked(page: Page, site: Site) -> None:
    await page.goto("/access/programs/")
    await page.get_by_label("Name of the program").fill("shop backend")
    await page.get_by_role("button", name="Create token").click()
    token = await page.get_by_label("Token").input_value()
    async with httpx.AsyncClient(base_url=site.system.api.base_url, trust_env=False) as http:
        assert (await http.get("/api/client/", headers=bearer(token))).status_code == 200
        await page.get_by_role("link", name="I have copied it").click()
        assert token not in await page.content()
        await page.get_by_role("button", name="Revoke shop backend").click()
        await expect(page.locator("tr", has_text="shop backend")).to_contain_text("Revoked")
        assert (await http.get("/api/client/", headers=bearer(token))).status_code == 401


async def test_the_audit_is_filtered_and_a_mailing_shows_who_changed_it(page: Page, site: Site) -> None:
    mailing = await site.add_mailing("#nobody", "Audited")
    await site.control(mailing, "cancel")
    await page.goto("/access/audit/")
    assert not await accessibility_problems(page)
    await page.get_by_label("Operation").fill("mailing.cancel")
    await page.get_by_role("button", name="Search").click()
    await expect(page).to_have_url(re.compile("operation=mailing.cancel"))
    await page.get_by_role("link", name=f"mailing {mailing}", exact=True).click()
    await expect(page.locator("tbody tr").first).to_contain_text("mailing.cancel")
    await expect(page.locator("tbody tr").last).to_contain_text("mailing.create")
    await page.goto(f"/mailings/{mailing}/")
    history = page.locator("section", has=page.get_by_role("heading", name="Who changed it"))
    await expect(history).to_contain_text("mailing.cancel")
    assert not await accessibility_problems(page)


async def test_signing_out_everywhere_ends_the_session_on_every_device(
    browser: Browser, site: Site, faults: Faults
) -> None:
    body = {"login": "igor", "name": "Igor", "role": "viewer", "password": "correct horse battery staple"}
    await site.system.api.post("/api/user/", json=body)
    tokens = [
        (await site.system.api.post("/api/session/", json={"login": "igor", "password": body["password"]})).json()
        for _ in range(2)
    ]
    async with visiting(browser, site.url, tokens[0]["token"], faults) as context:
        page = await context.new_page()
        await page.goto("/")
        await page.locator("details.menu summary").click()
        await page.get_by_role("button", name="Sign out everywhere").click()
        await expect(page.locator("h1")).to_have_text("Sign in")
    async with httpx.AsyncClient(base_url=site.system.api.base_url, trust_env=False) as http:
        for token in tokens:
            assert (await http.get("/api/me/", headers=bearer(token["token"]))).status_code == 401


async def test_the_pages_fit_a_narrow_window_in_russian(browser: Browser, site: Site, faults: Faults) -> None:
    await site.system.api.post("/api/user/", json={"login": "narrow", "name": "Narrow", "role": "admin"})
    async with visiting(browser, site.url, site.token, faults, size=NARROW, language="ru", dark=True) as context:
        page = await context.new_page()
        for path in ("people", "people/new", "programs", "audit"):
            await page.goto(f"/access/{path}/")
            assert await overflow(page) <= 0, path
            assert not await accessibility_problems(page)
