"""Stories of operators, each in a real browser on the running system."""

import asyncio
import contextlib
import re
from datetime import timedelta
from pathlib import Path

import httpx
import psycopg
import pytest
from playwright.async_api import Browser, Page, Route, expect

from services.console.session import PLAIN_COOKIE
from shared.contracts import utc_now
from tests.browser.browsing import NARROW, WIDE, Faults, accessibility_problems, overflow, visiting
from tests.browser.scene import until_finished
from tests.browser.site import Site
from tests.browser.tour import Things, pages
from tests.e2e.system import until

expect.set_options(timeout=20_000)  # for machines that do much else at the same time

EVIL = "<img src=x onerror=\"document.title='broken into'\"><script>document.title='broken into'</script>"


async def test_an_operator_makes_a_mailing_in_four_steps_and_sees_it_end(site: Site, page: Page) -> None:
    await site.add_clients("#steps", 40, 79_010_000_000)
    await page.goto("/")
    await page.get_by_role("link", name="New mailing").first.click()
    await page.get_by_label("Tags, one on each line").fill("#steps")
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


async def test_an_operator_sees_who_did_not_get_it_and_sends_it_to_them_again(site: Site, page: Page) -> None:
    await site.add_clients("#refused", 60, 79_011_000_000)
    await site.sandbox.control.behave("reject", share=0.5, seed=3)
    mailing_id = await site.add_mailing("#refused", "Try me")
    await page.goto(f"/mailings/{mailing_id}/")
    unsent = page.locator("#unsent")
    await expect(page.locator("#facts")).to_contain_text("Finished")
    await expect(unsent).to_contain_text("The provider refused the message")
    refused = await _count(site, mailing_id, "failed")
    assert 0 < refused < 60
    await expect(unsent.locator(".reason-number")).to_have_text(str(refused))
    await expect(unsent).to_contain_text("400")
    await site.sandbox.control.behave()
    await unsent.get_by_role("link", name="Send again").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text(f"{refused} Refused")
    await dialog.get_by_role("button", name="Send again").click()
    await expect(page.locator("#unsent")).to_contain_text("Everybody got it")
    assert await _count(site, mailing_id, "sent") == 60


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


async def test_who_will_be_late_is_said_first(site: Site, page: Page) -> None:
    await site.add_clients("#late", 300, 79_014_000_000)
    soon = (utc_now() + timedelta(seconds=25)).isoformat()
    mailing_id = await site.add_mailing("#late", "Too slow", rate=4, expired_at=soon)
    await page.goto("/")
    await expect(page.locator(".alert-danger")).to_contain_text(f"will not get mailing {mailing_id} in time")
    await page.get_by_role("link", name="See to it").click()
    await expect(page.locator(".alert-danger")).to_contain_text("people will not get it in time")
    await page.get_by_role("link", name="Extend it or raise its rate").click()
    await page.get_by_label("At most so many messages a second").fill("400")
    await page.get_by_role("button", name="Save the changes").click()
    await expect(page.locator("#facts")).to_contain_text("Finished")
    assert await _count(site, mailing_id, "sent") == 300


async def test_an_alert_that_has_not_ended_is_on_the_overview(site: Site, page: Page, database_url: str) -> None:
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
        finally:
            database.execute("DELETE FROM alerts")


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


async def test_a_form_keeps_what_was_typed_and_shows_the_services_words_at_the_field(
    site: Site, page: Page
) -> None:
    await page.goto("/clients/new/")
    await page.get_by_label("Number").fill("8 905 700-30-50")
    await page.get_by_label("Tag").fill("#typed")
    await page.get_by_role("button", name="Save").click()
    await expect(page.locator("#number-error")).to_contain_text("must be a phone number")
    await expect(page.get_by_label("Tag")).to_have_value("#typed")
    await page.get_by_label("Number").fill("+7 (915) 700-30-50")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("+7 915 700-30-50")
    await page.get_by_role("link", name="Edit").click()
    await page.get_by_label("Time zone", exact=True).last.fill("Moscow")
    await page.get_by_role("button", name="Save").click()
    await expect(page.locator("#zone-error")).to_contain_text("IANA")


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


async def test_an_operator_finds_a_client_while_typing_and_deletes_it(site: Site, page: Page) -> None:
    await site.add_clients("#found", 3, 79_015_000_000)
    await page.goto("/clients/")
    search = page.locator("main form[role=search]")
    await search.get_by_label("Number").fill("+7 901 500-00-01")
    await expect(page.locator("#rows tbody tr")).to_have_count(1)
    await expect(page).to_have_url(re.compile("number="))
    await page.locator("#rows a").first.click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("+7 901 500-00-01")
    await page.get_by_role("link", name="Delete").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    await page.goto("/clients/?tag=%23found")
    await expect(page.locator("#rows tbody tr")).to_have_count(2)


async def test_a_file_of_clients_goes_in_and_its_wrong_rows_come_back(
    site: Site, page: Page, tmp_path: Path
) -> None:
    file = tmp_path / "clients <b>.csv"
    file.write_text("number,tag,zone\n79016000001,#file,Europe/Moscow\n79016000002,<i>tag</i>,Moscow\n12,x,UTC\n")
    await page.goto("/clients/import/")
    await page.locator("input[type=file]").set_input_files(file)
    result = page.locator("#result")
    await expect(result).to_contain_text("3 rows")
    await expect(result).to_contain_text("IANA")
    async with page.expect_download() as download:
        await result.get_by_role("button", name="Download").click()
    rejected = await (await download.value).path()
    assert rejected.read_text().splitlines()[0] == "line,reason"
    assert len(rejected.read_text().splitlines()) == 3
    await page.goto("/clients/")
    async with page.expect_download() as download:
        await page.get_by_role("link", name="Export").click()
    assert "79016000001" in (await (await download.value).path()).read_text()


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


async def test_somebody_on_the_stop_list_gets_nothing_of_a_mailing_and_the_page_says_so(
    site: Site, page: Page
) -> None:
    await site.add_clients("#stops", 3, 79_026_000_000)
    await page.goto("/clients/")
    await page.get_by_role("link", name="Stop list").click()
    form = page.locator("form", has=page.get_by_role("heading", name="Write to this number no more"))
    for status in ("is on the list now", "is on the stop list already"):
        await form.get_by_label("Number").fill("+7 902 600-00-01")
        await form.get_by_role("button", name="Put it on the list").click()
        text = "+7 902 600-00-01" if status == "is on the list now" else status
        await expect(page.locator("main")).to_contain_text(text)
    await page.goto("/mailings/new/text/?tag=%23stops&text=Sale&end=2035-01-01T10:00")
    await page.get_by_label("Name").fill("Autumn sale")
    await page.get_by_role("button", name="Next: the time").click()
    await expect(page.locator("main")).to_contain_text("1 person is on the stop list and gets nothing.")
    await page.get_by_role("button", name="4 Check").click()
    await page.get_by_role("button", name="Send it to 2 people").click()
    await expect(page.locator("h1")).to_contain_text("Autumn sale")
    await expect(page.locator("#unsent")).to_contain_text("The number is on the stop list")
    await page.goto("/clients/stop-list/?number=79026000001")
    await page.get_by_role("link", name="Remove").click()
    await page.get_by_role("button", name="Take it off the list").click()
    await expect(page.locator("tbody tr")).to_have_count(0)


async def test_an_operator_sees_the_results_of_all_attempts_and_those_of_the_week(site: Site, page: Page) -> None:
    await site.add_clients("#results", 12, 79_025_000_000)
    await site.sandbox.control.behave("reject", share=0.5, seed=3)
    mailing_id = await site.add_mailing("#results", "Half of them")
    await until_finished(site, mailing_id)
    await page.goto(f"/messages/results/?mailing={mailing_id}")
    await expect(page.locator("tbody tr")).to_have_count(12)
    refused = await _count(site, mailing_id, "failed")
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
    await expect(page.locator("#connection")).to_be_hidden(timeout=20_000)
    faults.console.clear()  # the browser's words on the connection that broke
    await site.control(mailing_id, "cancel")


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
    paths = pages(Things(mailing_id, found, message, serial)).values()
    problems: list[str] = []
    async with visiting(browser, site.url, site.token, faults, language=language, size=size, dark=dark) as context:
        page = await context.new_page()
        for path in paths:
            await page.goto(path)
            problems += await accessibility_problems(page)
            if wider := await overflow(page):
                problems.append(f"{path} is {wider} pixels too wide")
    assert problems == []
    assert faults == Faults()


async def _count(site: Site, mailing_id: int, status: str) -> int:
    return (await site.system.status(mailing_id)).get(status, 0)


async def _calls(site: Site) -> float:
    """Return how often the API was asked for mailings."""
    metrics = (await site.system.api.get("/metrics")).text
    found = re.findall(r'duration_seconds_count\{method="GET",route="/api/mailing/"[^}]*\} (\S+)', metrics)
    assert found
    return sum(map(float, found))
