"""Signing in and out in a real browser."""

from functools import partial

from playwright.async_api import Browser, expect
from pydantic import SecretStr

from services.console.session import PLAIN_COOKIE
from shared.access.roles import Role
from shared.cli import user
from shared.cli.database import in_transaction
from shared.ledger.users import NewUser
from tests.browser.browsing import Faults, accessibility_problems, visiting
from tests.browser.site import Site

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


async def test_a_viewer_is_told_what_the_role_does_not_allow(
    browser: Browser, site: Site, faults: Faults, database_url: str
) -> None:
    await site.add_clients("#masked", 1, 79_016_000_000)
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
    assert not faults.policy
