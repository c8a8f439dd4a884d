"""The overview and the lists of mailings and results in a real browser."""

import re
from datetime import timedelta

import psycopg
from playwright.async_api import Page, expect

from shared.contracts import utc_now
from tests.browser.scene import until_finished
from tests.browser.site import Site


async def test_who_will_be_late_is_said_first(site: Site, page: Page) -> None:
    await site.add_clients("#late", 300, 79_014_000_000)
    soon = (utc_now() + timedelta(seconds=25)).isoformat()
    mailing_id = await site.add_mailing("#late", "Too slow", rate=4, expired_at=soon)
    await page.goto("/")
    await expect(page.locator(".alert-danger")).to_contain_text(f"will not get mailing {mailing_id} in time")
    await page.get_by_role("link", name="See to it").click()
    await expect(page.locator(".alert-danger")).to_contain_text("people will not get it in time")
    await page.get_by_role("link", name="raise its rate").click()
    await page.get_by_label("At most so many messages a second").fill("400")
    await page.get_by_role("button", name="Save the changes").click()
    await expect(page.locator("#facts")).to_contain_text("Finished")
    assert await site.count(mailing_id, "sent") == 300


async def test_an_alert_is_on_the_overview_until_it_ends_and_then_in_the_list(
    site: Site, page: Page, database_url: str
) -> None:
    statement = (
        "INSERT INTO alerts (kind, subject, severity, facts, began_at, notified_at)"
        " VALUES (%s, 'planner.events', 'ticket', '{}', now(), now())"
    )
    with psycopg.connect(database_url, autocommit=True) as database:
        database.execute(statement, ["dead_letters"])
        database.execute(statement, ["a kind of a later release"])
        try:
            await page.goto("/")
            await expect(page.get_by_text("The queue planner.events has messages")).to_be_visible()
            await expect(page.get_by_text("a kind of a later release")).to_be_visible()
            database.execute("UPDATE alerts SET ended_at = now() WHERE kind = 'dead_letters'")
            await page.goto("/")
            await expect(page.get_by_text("The queue planner.events has messages")).to_have_count(0)
            await page.locator(".menu summary").click()
            await page.get_by_role("link", name="Alerts").click()
            rows = page.locator("tbody tr")
            await expect(rows).to_have_count(2)
            ended = rows.filter(has_text="The queue planner.events has messages")
            await expect(ended.locator("time")).to_have_count(2)
            await expect(rows.filter(has_text="a kind of a later release")).to_contain_text("goes on")
        finally:
            database.execute("DELETE FROM alerts")


async def test_several_mailings_are_canceled_together_after_one_question(site: Site, page: Page) -> None:
    await site.add_clients("#bulk", 100, 79_012_500_000)
    for _ in range(2):
        await site.add_mailing("#bulk", "Never mind", rate=1)
    await page.goto("/mailings/?q=Never+mind")
    await expect(page.locator("tbody tr")).to_have_count(2)
    await page.get_by_label("All on this page").check()
    await page.get_by_role("button", name="Cancel the chosen ones").click()
    await expect(page.locator("h1")).to_have_text("Cancel 2 mailings?")
    await page.get_by_role("button", name=re.compile(r"Cancel it for \d+ people")).click()
    await page.goto("/mailings/?q=Never+mind&state=canceled")
    await expect(page.locator("tbody tr")).to_have_count(2)


async def test_an_operator_sees_the_results_of_all_attempts_and_those_of_the_week(site: Site, page: Page) -> None:
    await site.add_clients("#results", 12, 79_025_000_000)
    await site.sandbox.control.behave("reject", share=0.5, seed=3)
    mailing_id = await site.add_mailing("#results", "Half of them")
    await until_finished(site, mailing_id)
    await page.goto(f"/messages/results/?mailing={mailing_id}")
    await expect(page.locator("tbody tr")).to_have_count(12)
    refused = await site.count(mailing_id, "failed")
    await page.locator("select[name=outcome]").select_option(label="Refused by the provider")
    await expect(page.locator("tbody tr")).to_have_count(refused)
    assert "outcome=rejected" in page.url
    await page.locator("tbody a").first.click()
    await expect(page.locator(".timeline")).to_contain_text("Refused by the provider")
    await page.goto(f"/mailings/{mailing_id}/")
    await expect(page.locator(".reason-number")).to_have_text(str(refused))
    await page.goto("/")
    await expect(page.get_by_role("region", name="Last seven days")).to_contain_text(
        "The provider refused the message"
    )
