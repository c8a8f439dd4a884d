"""Single messages and their stories in a real browser."""

import re

from playwright.async_api import Page, expect

from tests.browser.site import Site


async def test_a_single_message_is_sent_and_its_story_told(site: Site, page: Page) -> None:
    await page.goto("/messages/")
    await page.get_by_label("To the number").fill("+7 917 000-00-01")
    await page.get_by_label("Text").fill("Your code is 1234")
    await page.get_by_role("button", name="Send it to 1 person").click()
    await expect(page).to_have_url(re.compile(r"/messages/\d+/"))
    await expect(page.locator(".timeline")).to_contain_text("Accepted by the provider")
    await page.goto("/messages/?number=%2B7+917+000-00-01")
    await expect(page.locator("article")).to_contain_text("Your code is 1234")
    await page.goto("/messages/?number=12")
    await expect(page.locator("#number-error")).to_contain_text("must be a phone number")
