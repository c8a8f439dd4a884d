"""Webhooks in a real browser, as an admin works with them."""

from playwright.async_api import Page, expect

from tests.browser.site import Site


async def test_an_admin_makes_a_webhook_sends_a_test_and_switches_it_off(site: Site, page: Page) -> None:
    await page.goto("/webhooks/")
    await page.get_by_label("Name").fill("Shop <b>backend</b>")
    await page.get_by_label("Address").fill("http://127.0.0.1:9/hook")
    await page.get_by_label("Messages have a final status").check()
    await page.get_by_role("button", name="Create the webhook").click()
    await expect(page.locator(".invalid-feedback")).to_contain_text("not public")
    await expect(page.get_by_label("Messages have a final status")).to_be_checked()
    await page.get_by_label("Address").fill("https://example.org/hook")
    await page.get_by_role("button", name="Create the webhook").click()
    await expect(page.locator("code")).to_contain_text("whsec_")
    await page.get_by_role("link", name="I have copied it").click()
    await expect(page.get_by_role("heading", name="Shop <b>backend</b>")).to_be_visible()
    await page.get_by_role("button", name="Send a test").click()
    await expect(page.get_by_role("row", name="webhook.test")).to_contain_text("It waits.")
    await page.get_by_role("button", name="New secret").click()
    await expect(page.get_by_text("The previous secret signs, too, until")).to_be_visible()
    await page.get_by_role("link", name="I have copied it").click()
    await page.get_by_role("button", name="Switch off").click()
    await expect(page.get_by_role("button", name="Switch on")).to_be_visible()
    await page.get_by_role("link", name="Delete").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    await expect(page.get_by_role("heading", name="No program is told of anything")).to_be_visible()
