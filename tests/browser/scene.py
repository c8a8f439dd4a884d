"""A lively set of clients and mailings for the pictures."""

import asyncio
from datetime import timedelta

from pydantic import JsonValue

from shared.contracts import utc_now
from tests.browser.site import Site
from tests.browser.tour import Things
from tests.e2e.system import until

PEOPLE = 48_000
FIRST = 79_050_000_000
WINDOW: JsonValue = {"from": "09:00", "until": "21:00"}
SALE = "Autumn sale: 20 % off everything until Sunday. Show this message at the till."
ORDER = "Ваш заказ готов. Ждём вас сегодня до 20:00, вход со двора."


async def set_scene(site: Site) -> Things:
    """Fill the directory, and let mailings run, wait, fail and end."""
    await site.add_clients("#AzbukaVkusa", PEOPLE, FIRST)
    await site.add_clients("#vip", 1_200, FIRST + 10_000_000)
    await site.add_clients("#Омск", 300, FIRST + 20_000_000)
    await site.sandbox.control.behave("reject", share=0.06, seed=5)
    done = await site.add_mailing("#vip", "A table is free tonight at eight. Reply to this number to book it.")
    await until_finished(site, done)
    await site.sandbox.control.behave("unavailable", share=0.03, seed=7)
    canceled = await site.add_mailing("#AzbukaVkusa", "Wrong text, sorry", rate=400)
    await asyncio.sleep(3)
    await site.control(canceled, "cancel")
    await site.add_mailing(
        "#Омск", "A new shop opens in Omsk on Friday.", starts_at=_at(hours=27), expired_at=_at(hours=60)
    )
    await site.add_mailing(
        "#AzbukaVkusa",
        "Reminder: your appointment is tomorrow.",
        starts_at=_at(minutes=12),
        expired_at=_at(hours=30),
        window=WINDOW,
    )
    paused = await site.add_mailing("#vip", ORDER, rate=20)
    await asyncio.sleep(4)
    await site.control(paused, "pause")
    await site.sandbox.control.behave("reject", share=0.02, seed=9)
    await site.add_mailing(
        "#AzbukaVkusa", "Maintenance tonight from 01:00 to 03:00.", rate=15, expired_at=_at(minutes=20)
    )
    mailing = await site.add_mailing("#AzbukaVkusa", SALE, rate=1_500, expired_at=_at(hours=3))
    await asyncio.sleep(15)
    slower = await site.system.api.patch(f"/api/mailing/{mailing}/", json={"rate": 90})
    assert slower.is_success, slower.text
    refused = await site.system.api.get(f"/api/mailing/{done}/messages/", params={"status": "failed", "limit": 1})
    item = refused.json()["items"][0]
    return Things(mailing, item["client_id"], item["id"], item["number"])


async def until_finished(site: Site, mailing_id: int) -> None:
    """Wait for the end of a mailing."""

    async def is_finished() -> bool:
        answer = await site.system.api.get(f"/api/mailing/{mailing_id}/")
        return bool(answer.json()["state"] == "finished")

    await until(is_finished, timeout=60, what=f"mailing {mailing_id} has finished")


def _at(**later: float) -> str:
    return (utc_now() + timedelta(**later)).isoformat()
