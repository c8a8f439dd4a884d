"""The wizard of a new mailing in a real browser."""

import re

from playwright.async_api import Page, expect

from tests.browser.site import Site


async def test_an_operator_makes_a_mailing_in_four_steps_and_sees_it_end(site: Site, page: Page) -> None:
    await site.add_clients("#steps", 40, 79_010_000_000)
    await page.goto("/")
    await page.get_by_role("link", name="New mailing").first.click()
    await page.get_by_role("button", name="#steps", exact=True).click()
    await expect(page.get_by_label("Tags, one on each line")).to_have_value("#steps")
    await expect(page.get_by_role("button", name="#steps", exact=True)).to_have_attribute("aria-pressed", "true")
    await expect(page.locator("#preview")).to_contain_text("40 people would get it now")
    await page.get_by_role("button", name="Next: the text").click()
    await page.get_by_label("Text").fill("Привет, мир")
    await expect(page.locator("#parts")).to_contain_text("1 SMS part · UCS-2")
    await page.get_by_role("button", name="Next: the time").click()
    await page.get_by_label("from").fill("")
    await page.get_by_label("until").fill("")
    await expect(page.locator("#preview")).to_contain_text("Everybody would get it in time")
    await page.get_by_role("button", name="Next: check it").click()
    await expect(page.locator("main")).to_contain_text("40 people get it")
    await page.get_by_role("button", name="Send it to 40 people").click()
    await expect(page).to_have_url(re.compile(r"/mailings/\d+/$"))
    await expect(page.locator("#facts")).to_contain_text("Finished")
    await expect(page.locator("#unsent")).to_contain_text("Everybody got it")


async def test_a_draft_that_was_left_is_offered_again_and_a_reload_keeps_what_was_typed(
    site: Site, page: Page
) -> None:
    await page.goto("/mailings/new/")
    await expect(page.locator("#left-draft")).to_be_hidden()
    await page.get_by_label("Tags, one on each line").fill("#left")
    await expect(page).to_have_url(re.compile("/mailings/new/recipients/.*tag=%23left"))
    await page.reload()
    await expect(page.get_by_label("Tags, one on each line")).to_have_value("#left")
    await page.get_by_role("button", name="Next: the text").click()
    await page.get_by_label("Text", exact=True).fill("Half a sent")
    await expect(page).to_have_url(re.compile("text=Half"))
    await page.locator(".menu summary").click()
    await page.locator("select[name=language]").select_option("ru")
    await expect(page.get_by_label("Текст", exact=True)).to_have_value("Half a sent")
    await page.locator(".menu summary").click()
    await page.locator("select[name=language]").select_option("en")
    await expect(page.locator("h1")).to_have_text("New mailing")
    await page.goto("/mailings/")
    await page.get_by_role("link", name="New mailing").click()
    await page.get_by_role("link", name="Go on with it").click()
    await expect(page.get_by_label("Text", exact=True)).to_have_value("Half a sent")
    await page.goto("/mailings/new/")
    await page.get_by_role("button", name="forget it").click()
    await page.goto("/mailings/new/")
    await expect(page.locator("#left-draft")).to_be_hidden()


async def test_a_draft_is_sent_to_a_telephone_before_anybody_else_gets_it(site: Site, page: Page) -> None:
    await page.goto("/mailings/new/text/?tag=%23nobody&text=Look+at+this")
    await page.get_by_label("Numbers, with commas between").fill("12")
    await page.get_by_role("button", name="Send the test").click()
    await expect(page.locator("#tests")).to_contain_text("must be a phone number")
    await page.get_by_label("Numbers, with commas between").fill("+7 927 000-00-01, +7 927 000-00-02")
    await page.get_by_role("button", name="Send the test").click()
    await expect(page.locator("#tests li")).to_have_text(
        [re.compile("Sent.*-01", re.DOTALL), re.compile("Sent.*-02", re.DOTALL)]
    )
    await expect(page.get_by_label("Text", exact=True)).to_have_value("Look at this")


async def test_the_keyboard_alone_makes_a_mailing(site: Site, page: Page) -> None:
    await site.add_clients("#keyboard", 2, 79_029_500_000)
    await page.goto("/mailings/new/?tag=%23keyboard")
    await expect(page.get_by_label("Tags, one on each line")).to_be_focused()
    await _press(page, "Next: the text")
    await expect(page.get_by_label("Text", exact=True)).to_be_focused()
    await page.keyboard.type("No mouse at all")
    await _press(page, "Next: the time")
    await expect(page.locator("#preview")).to_contain_text("2 people would get it now")
    await _press(page, "Next: check it")
    await expect(page.locator("main")).to_contain_text("2 people get it")
    await _press(page, "Send it to 2 people")
    await expect(page.locator("#facts")).to_contain_text("No mouse at all")


async def _press(page: Page, name: str) -> None:
    """Go to a button with the key Tab, and press it."""
    for _ in range(100):
        await page.keyboard.press("Tab")
        if name in await page.evaluate("document.activeElement.innerText || ''"):
            await page.keyboard.press("Enter")
            return
    raise AssertionError(f"no way leads to the button {name!r}")
