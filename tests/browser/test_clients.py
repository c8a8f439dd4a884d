"""Clients, their import and the stop list in a real browser."""

import re
from pathlib import Path

from playwright.async_api import Page, expect

from tests.browser.site import Site


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
    await page.get_by_label("Attributes").fill("1st = Anna")
    await page.get_by_role("button", name="Save").click()
    await expect(page.locator("#attributes-error")).to_contain_text("a name begins with a letter")
    await page.get_by_label("Attributes").fill("name = Anna\nvisits = 3")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("+7 915 700-30-50")
    await expect(page.locator("dl.facts").first).to_contain_text("Anna")
    await page.get_by_role("link", name="Edit").click()
    await expect(page.get_by_label("Attributes")).to_have_value("name = Anna\nvisits = 3")
    await page.get_by_label("Time zone", exact=True).last.fill("Moscow")
    await page.get_by_role("button", name="Save").click()
    await expect(page.locator("#zone-error")).to_contain_text("IANA")
    await page.goto("/mailings/new/text/?tag=%23typed")
    await page.get_by_label("Text", exact=True).fill("Hello {name|friend}, it is {city|here}")
    await expect(page.locator("#preview")).to_contain_text("Hello Anna, it is here")
    await expect(page.locator("#preview")).to_contain_text("1 person has no value for city.")


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
    await search.get_by_label("Number").fill("7 901 500")
    await expect(page.locator("#rows tbody tr")).to_have_count(2)
    await search.get_by_label("Number").fill("*0002")
    await expect(page.locator("#rows tbody tr")).to_have_count(1)
    await search.get_by_label("Tag").fill("#found, #other")
    await expect(page).to_have_url(re.compile(r"other"))
    await expect(page.locator("#rows tbody tr")).to_have_count(1)


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
    await result.get_by_role("link", name="Write to them").click()
    await expect(page.get_by_role("button", name="#file", exact=True)).to_be_visible()
    await page.goto("/clients/")
    async with page.expect_download() as download:
        await page.get_by_role("link", name="Export").click()
    assert "79016000001" in (await (await download.value).path()).read_text()


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
    await page.get_by_label("Name", exact=True).fill("Autumn sale")
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


async def test_several_clients_get_another_tag_and_are_deleted_together(site: Site, page: Page) -> None:
    await site.add_clients("#together", 3, 79_029_000_000)
    await page.goto("/clients/?tag=%23together")
    await page.get_by_label("All on this page").check()
    await page.get_by_role("button", name="Another tag").click()
    await expect(page.locator("h1")).to_have_text("Give 3 clients another tag?")
    await page.get_by_label("New tag").fill("#elsewhere")
    await page.get_by_role("button", name="Change 3 clients").click()
    await expect(page).to_have_url(re.compile("tag=%23elsewhere"))
    await expect(page.locator("tbody tr")).to_have_count(3)
    await page.get_by_label("Choose +7 902 900-00-01").check()
    await page.get_by_role("button", name="Delete the chosen ones").click()
    await expect(page.locator("main")).to_contain_text("1 person gets nothing more")
    await page.get_by_role("button", name="Delete 1 client").click()
    await page.goto("/clients/?tag=%23elsewhere")
    await expect(page.locator("tbody tr")).to_have_count(2)


async def test_two_people_who_edit_the_same_client_are_told(site: Site, page: Page) -> None:
    client_id = await site.system.add_client(79_014_600_000, tag="#before")
    await page.goto(f"/clients/{client_id}/edit/")
    answer = await site.system.api.patch(f"/api/client/{client_id}/", json={"tag": "#theirs"})
    assert answer.is_success
    await page.get_by_label("Tag").fill("#mine")
    await page.get_by_role("button", name="Save").click()
    await expect(page.locator("#tag-error")).to_contain_text("Somebody else has changed this meanwhile")
    await expect(page.locator("#tag-error")).to_contain_text("#theirs")
    await expect(page.get_by_label("Tag")).to_have_value("#mine")
    await page.get_by_role("button", name="Save").click()
    await expect(page.locator("main")).to_contain_text("#mine")
