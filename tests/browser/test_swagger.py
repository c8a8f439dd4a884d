"""Every operation in Swagger UI, tried in a real browser with the examples that its page shows."""

import re

import pytest
from playwright.async_api import Browser, Page, expect

from services.api.application import create_application
from tests.browser.browsing import Faults, visiting
from tests.browser.site import Site

# In this order, so that what an example names is there.
METHODS = ("post", "get", "patch", "put", "delete")
LAST = (
    "POST /api/mailing/{mailing_id}/cancel/",
    "DELETE /api/mailing/{mailing_id}/",
    "DELETE /api/session/",
    "DELETE /api/session/all/",
)
# Examples of what only the reader can have, or what the state of a new system forbids.
NOT_HERE = {
    "POST /api/session/": 401,  # the reader's password
    "POST /api/session/link/": 401,  # a link that was just made
    "POST /api/session/oidc/": 409,  # the token of a provider, and none is configured
}
# The first token is that of somebody else. With the last one, the reader signs out.
SKIPPED = {"DELETE /api/token/{token_id}/"}


def operations() -> list[str]:
    paths = create_application().openapi()["paths"]
    found = [f"{method.upper()} {path}" for method in METHODS for path, known in paths.items() if method in known]
    return [one for one in found if one not in LAST and one not in SKIPPED] + list(LAST)


@pytest.mark.timeout(300)  # 60 times a page with 60 operations
async def test_try_it_out_works_with_the_pages_own_examples(browser: Browser, site: Site, faults: Faults) -> None:
    url = str(site.system.api.base_url).rstrip("/")
    async with visiting(browser, url, None, faults, size=(800, 600)) as context:
        page = await context.new_page()
        await page.goto("/docs/")
        await authorize(page, site.token)
        answers = {operation: await try_out(page, operation) for operation in operations()}
    unexpected = {
        operation: answer
        for operation, answer in answers.items()
        if not (answer.startswith("2") or answer.startswith(str(NOT_HERE.get(operation, "never"))))
    }
    assert unexpected == {}
    assert not faults.policy


async def authorize(page: Page, token: str) -> None:
    """Give the page a token, as its reader does."""
    await page.get_by_role("button", name="Authorize").first.click()
    form = page.locator(".modal-ux")
    await form.get_by_role("textbox").fill(token)
    await form.get_by_role("button", name="Apply credentials").click()
    await form.get_by_role("button", name="Close").click()


async def try_out(page: Page, operation: str) -> str:
    """Execute the operation as the page shows it; return the status, and the body of an error."""
    method, path = operation.split()
    block = page.locator(f".opblock-{method.lower()}").filter(has=page.locator(f'[data-path="{path}"]'))
    # An event, because a click waits until the page with all its operations is drawn. A click: it must be there.
    await block.locator(".opblock-summary-control").dispatch_event("click")
    await block.get_by_role("button", name="Execute").click()
    answer = block.locator(".live-responses-table tbody tr.response").first
    invalid = block.locator(".validation-errors")
    await expect(answer.or_(invalid).first).to_be_attached(timeout=20_000)
    text = " ".join(await answer.or_(invalid).first.all_inner_texts())
    await block.locator(".opblock-summary-control").dispatch_event("click")
    return re.sub(r"\s+", " ", text).strip()[:400]
