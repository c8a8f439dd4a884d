"""Signing in and out in a real browser."""

from datetime import timedelta
from functools import partial

from playwright.async_api import Browser, expect
from pydantic import SecretStr

from services.console.session import PLAIN_COOKIE
from shared.access.roles import Role
from shared.cli import user
from shared.cli.database import in_transaction
from shared.contracts import utc_now
from shared.ledger.users import NewUser
from tests.browser.browsing import Faults, accessibility_problems, visiting
from tests.browser.site import Site

CHANGES = "a[href*='/new/'], a[href*='/import/'], a[download], form[method=post]"
PASSWORD = "correct horse battery staple"


async def test_a_person_signs_in_with_a_password_and_returns_to_the_page(
    browser: Browser, site: Site, faults: Faults
) -> None:
    body = {"login": "anna", "name": "Anna", "role": "operator", "password": PASSWORD}
    await site.system.api.post("/api/user/", json=body)
    async with visiting(browser, site.url, None, faults) as context:
        page = await context.new_page()
        await page.goto("/clients/?tag=%23vip")
        await expect(page.locator("h1")).to_have_text("Sign in")
        assert not await accessibility_problems(page)
        await page.get_by_label("Login").fill("anna")
        await page.get_by_label("Password").fill("wrong password")
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("alert")).to_contain_text("Login or password is wrong")
        await expect(page.get_by_label("Login")).to_have_value("anna")
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Sign in").click()
        await expect(page).to_have_url(f"{site.url}/clients/?tag=%23vip")
        [cookie] = [cookie for cookie in await context.cookies() if cookie["name"] == PLAIN_COOKIE]
        assert cookie["httpOnly"]
        assert cookie["sameSite"] == "Lax"
        await page.locator("details.menu summary").click()
        await page.get_by_role("button", name="Sign out", exact=True).click()
        await expect(page.locator("h1")).to_have_text("Sign in")
        await page.goto("/clients/")
        await expect(page.locator("h1")).to_have_text("Sign in")
    assert not faults.policy
    assert not faults.console


async def test_a_link_signs_in_once_and_says_so_the_second_time(
    browser: Browser, site: Site, faults: Faults, database_url: str
) -> None:
    url = SecretStr(database_url)
    await in_transaction(url, partial(user.create, new=NewUser("boris", "Boris", Role.VIEWER)))
    link = (await in_transaction(url, partial(user.make_link, login="boris"))).secret
    async with visiting(browser, site.url, None, faults, language="ru") as context:
        page = await context.new_page()
        await page.goto(f"/sign-in/link/{link}")
        await page.get_by_role("button", name="Войти").click()
        await expect(page).to_have_url(f"{site.url}/")
        await page.goto(f"/sign-in/link/{link}")
        await page.get_by_role("button", name="Войти").click()
        await expect(page.get_by_role("alert")).to_contain_text("уже использована")
    assert not faults.policy


async def test_a_viewer_is_offered_only_what_the_role_allows(
    browser: Browser, site: Site, faults: Faults, database_url: str
) -> None:
    await site.add_clients("#masked", 1, 79_016_000_000)
    later, end = (utc_now() + timedelta(hours=1)).isoformat(), (utc_now() + timedelta(hours=2)).isoformat()
    mailing = await site.add_mailing("#masked", "Look only", starts_at=later, expired_at=end)
    url = SecretStr(database_url)
    await in_transaction(url, partial(user.create, new=NewUser("vera", "Vera", Role.VIEWER)))
    link = (await in_transaction(url, partial(user.make_link, login="vera"))).secret
    async with visiting(browser, site.url, None, faults) as context:
        page = await context.new_page()
        await page.goto(f"/sign-in/link/{link}")
        await page.get_by_role("button", name="Sign in").click()
        await page.goto("/clients/?tag=%23masked")
        await expect(page.locator("main")).to_contain_text("***-**-00")
        assert "79016000000" not in await page.content()
        changes = page.locator("main").locator(CHANGES)
        for path in ("/", "/mailings/", "/clients/", "/clients/stop-list/", "/messages/", f"/mailings/{mailing}/"):
            await page.goto(path)
            await expect(page.locator("h1")).to_be_visible()
            await expect(changes).to_have_count(0)
        await page.locator(".menu summary").click()
        menu = page.locator("#preferences")
        await expect(menu).to_contain_text("Vera")
        await expect(menu).to_contain_text("Viewer")
        await expect(menu.get_by_role("link")).to_have_count(0)
        await page.goto(f"/mailings/{mailing}/pause/")
        await page.get_by_role("button", name="Pause").click()
        await expect(page.locator("main")).to_contain_text("requires the role operator")
        await site.control(mailing, "cancel")
    assert not faults.policy
