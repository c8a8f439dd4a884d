"""The page of one mailing in a real browser: who got it, its control and its changes."""

import re
from datetime import timedelta

from playwright.async_api import Page, expect

from shared.contracts import utc_now
from tests.browser.browsing import accessibility_problems
from tests.browser.scene import until_finished
from tests.browser.site import Site


async def test_an_operator_sees_who_did_not_get_it_and_sends_it_to_them_again(site: Site, page: Page) -> None:
    await site.add_clients("#refused", 60, 79_011_000_000)
    await site.sandbox.control.behave("reject", share=0.5, seed=3)
    mailing_id = await site.add_mailing("#refused", "Try me")
    await page.goto(f"/mailings/{mailing_id}/")
    unsent = page.locator("#unsent")
    await expect(page.locator("#facts")).to_contain_text("Finished")
    await expect(unsent).to_contain_text("The provider refused the message")
    refused = await site.count(mailing_id, "failed")
    assert 0 < refused < 60
    await expect(unsent.locator(".reason-number")).to_have_text(str(refused))
    await expect(unsent).to_contain_text("400")
    await site.sandbox.control.behave()
    await unsent.get_by_role("link", name="Send again").first.click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text(f"{refused} Refused")
    await dialog.get_by_role("button", name="Send again").click()
    await expect(page.locator("#unsent")).to_contain_text("Everybody got it")
    assert await site.count(mailing_id, "sent") == 60


async def test_pausing_resuming_and_canceling_say_how_many_people_they_concern(site: Site, page: Page) -> None:
    await site.add_clients("#control", 500, 79_012_000_000)
    mailing_id = await site.add_mailing("#control", "Slowly", rate=20)
    await page.goto(f"/mailings/{mailing_id}/")
    await expect(page.locator("#facts")).to_contain_text("of 500 people")
    dialog = page.get_by_role("dialog")
    await page.get_by_role("link", name="Pause").click()
    await expect(dialog).to_contain_text("people keep waiting until you resume it")
    await dialog.get_by_role("button", name="Pause").click()
    await expect(page.locator("#facts")).to_contain_text("Paused")
    await page.get_by_role("link", name="Resume").click()
    await dialog.get_by_role("button", name="Resume").click()
    await expect(page.locator("#facts")).to_contain_text("Running")
    await page.get_by_role("link", name="Cancel mailing").click()
    await expect(dialog).to_contain_text("people will never get it")
    await dialog.get_by_role("button", name="Leave it as it is").click()
    await expect(dialog).to_be_hidden()
    await page.get_by_role("link", name="Cancel mailing").click()
    await dialog.get_by_role("button", name=re.compile(r"Cancel it for \d+ people")).click()
    await expect(page.locator("#facts")).to_contain_text("Canceled")
    await expect(page.locator("#unsent")).to_contain_text("The mailing was canceled")


async def test_two_people_who_change_the_same_thing_are_told(site: Site, page: Page) -> None:
    await site.add_clients("#two", 1, 79_014_500_000)
    later = (utc_now() + timedelta(hours=1)).isoformat()
    end = (utc_now() + timedelta(hours=2)).isoformat()
    mailing_id = await site.add_mailing("#two", "As it was", starts_at=later, expired_at=end)
    await page.goto(f"/mailings/{mailing_id}/change/")
    answer = await site.system.api.patch(f"/api/mailing/{mailing_id}/", json={"text": "From another person"})
    assert answer.is_success
    await page.get_by_label("At most so many messages a second").fill("7")
    await page.get_by_role("button", name="Save the changes").click()
    await expect(page.locator("main")).to_contain_text("at most 7 a second")
    await expect(page.locator(".sms")).to_have_text("From another person")
    await page.goto(f"/mailings/{mailing_id}/change/")
    await site.system.api.patch(f"/api/mailing/{mailing_id}/", json={"text": "Changed again"})
    await page.get_by_label("Text").fill("Mine")
    await page.get_by_role("button", name="Save the changes").click()
    await expect(page.locator("#text-error")).to_contain_text("Somebody else has changed this meanwhile")
    await expect(page.locator("#text-error")).to_contain_text("Changed again")
    await expect(page.get_by_label("Text")).to_have_value("Mine")
    await page.get_by_role("button", name="Save the changes").click()
    await expect(page.locator(".sms")).to_have_text("Mine")


async def test_an_operator_finds_mailings_by_their_kind_day_and_order(site: Site, page: Page) -> None:
    await site.add_clients("#days", 1, 79_015_100_000)
    for day, kind in ((1, "service"), (2, "service"), (3, "marketing")):
        start, end = (f"2041-05-0{day}T{hour}:00:00Z" for hour in (12, 18))
        await site.add_mailing("#days", f"Of the day {day}", starts_at=start, expired_at=end, kind=kind)
    await page.goto("/mailings/?q=of+the+DAY")
    rows = page.locator("#rows tbody tr")
    await expect(rows).to_have_count(3)
    await page.get_by_label("Kind").select_option("service")
    await expect(rows).to_have_count(2)
    await expect(rows.first).to_contain_text("Of the day 2")
    await page.get_by_label("Order").select_option("starts_at")
    await expect(rows.first).to_contain_text("Of the day 1")
    await page.get_by_label("Starts from").fill("2041-05-02")
    await expect(rows).to_have_count(1)
    await expect(page).to_have_url(re.compile("kind=service&from=2041-05-02.*sort=starts_at"))
    await page.reload()
    await expect(rows).to_have_count(1)
    await page.get_by_role("link", name="Running").click()
    await expect(page.locator("#rows")).to_contain_text("No mailing matches")


async def test_the_keyboard_alone_pauses_a_mailing(site: Site, page: Page) -> None:
    await site.add_clients("#keys", 200, 79_023_000_000)
    mailing_id = await site.add_mailing("#keys", "No mouse", rate=5)
    await page.goto(f"/mailings/{mailing_id}/")
    await expect(
        page.locator(".chart[data-live] canvas")
    ).to_be_visible()  # the page of a running mailing, not of one that waits
    await page.keyboard.press("Tab")
    await expect(page.locator(".skip-link")).to_be_focused()
    await page.keyboard.press("Enter")
    for _ in range(3):
        await page.keyboard.press("Tab")
        if "pause/" in (await page.evaluate("document.activeElement.getAttribute('href')") or ""):
            break
    await page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    await page.keyboard.press("Enter")
    await expect(dialog).to_be_visible()
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.locator("#facts")).to_contain_text("Paused")
    await site.control(mailing_id, "cancel")


async def test_a_test_of_a_mailing_goes_to_a_telephone_and_its_outcome_is_shown(site: Site, page: Page) -> None:
    await site.add_clients("#trial", 1, 79_027_000_000)
    later, end = (utc_now() + timedelta(hours=1)).isoformat(), (utc_now() + timedelta(hours=2)).isoformat()
    mailing_id = await site.add_mailing("#trial", "Look at it", starts_at=later, expired_at=end)
    await page.goto(f"/mailings/{mailing_id}/")
    await page.get_by_role("link", name="Send a test message").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Numbers").fill("12")
    await dialog.get_by_role("button", name="Send the test").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("must be a phone number")
    await dialog.get_by_label("Numbers").fill("+7 927 000-00-03")
    await dialog.get_by_role("button", name="Send the test").click()
    await expect(dialog.locator("li")).to_have_text(re.compile("Sent.*-03", re.DOTALL))
    assert not await accessibility_problems(page)
    await dialog.get_by_role("button", name="Close").click()
    await expect(page.locator("#facts")).to_contain_text("Scheduled")


async def test_a_mailing_that_will_be_late_gets_more_time(site: Site, page: Page) -> None:
    await site.add_clients("#more", 200, 79_027_500_000)
    soon = (utc_now() + timedelta(seconds=40)).isoformat()
    mailing_id = await site.add_mailing("#more", "More time", rate=2, expired_at=soon)
    await page.goto(f"/mailings/{mailing_id}/")
    await page.locator(".alert-danger").get_by_role("link", name="Extend it").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("people have not got it yet")
    await expect(dialog).to_contain_text("people will not get it in time")
    await expect(dialog.locator(".offers button")).to_have_count(4)
    await dialog.locator(".offers button").first.click()
    await expect(page.locator("#facts")).to_contain_text("Running")
    await expect(page.locator(".alert-danger")).to_have_count(0)
    await page.get_by_role("link", name="Extend").click()
    await dialog.get_by_label("or another one").fill("2020-01-01T10:00")
    await dialog.get_by_role("button", name="Move the end").click()
    await expect(page.locator("#extend-error")).to_be_visible()
    await expect(page.get_by_label("or another one")).to_have_value("2020-01-01T10:00")
    await site.control(mailing_id, "cancel")


async def test_each_reason_leads_to_its_people_their_export_and_the_next_step(site: Site, page: Page) -> None:
    await site.add_clients("#reasons", 30, 79_028_000_000)
    stopped = {"number": 79_028_000_000, "scope": "marketing"}
    assert (await site.system.api.post("/api/stop/", json=stopped)).is_success
    await site.sandbox.control.behave("reject", share=0.4, seed=3)
    mailing_id = await site.add_mailing("#reasons", "For many reasons")
    await until_finished(site, mailing_id)
    refused = await site.count(mailing_id, "failed")
    await page.goto(f"/mailings/{mailing_id}/")
    group = page.locator(".reason", has_text="The provider refused the message")
    await expect(group.get_by_role("link", name="Send again")).to_be_visible()
    async with page.expect_download() as download:
        await group.get_by_role("link", name="Export them").click()
    assert (await download.value).suggested_filename == f"mailing-{mailing_id}-failed-answer.csv"
    assert len((await (await download.value).path()).read_text().splitlines()) == 1 + refused
    await group.get_by_role("link", name="Who they are").click()
    await expect(page.locator("tbody tr")).to_have_count(refused)
    await page.goto(f"/mailings/{mailing_id}/")
    group = page.locator(".reason", has_text="The number is on the stop list")
    await group.locator(".reason-number").click()
    await expect(page.locator("tbody tr")).to_have_count(1)
    await page.get_by_role("link", name="For any reason").click()
    await expect(page.locator("tbody tr")).to_have_count(1)
