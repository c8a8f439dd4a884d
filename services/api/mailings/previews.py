"""Preview of a mailing: its audience and a forecast, before it is created."""

import asyncio
from collections import Counter

from services.api.edge.transactions import Database
from services.api.mailings import rules
from services.api.mailings.audience_queries import count_audience, count_stopped
from services.api.mailings.forecast import forecast
from services.api.mailings.schemas import MailingIn, Preview, TextParts
from shared.contracts import utc_now
from shared.sms_parts import parts


async def preview(database: Database, new: MailingIn, provider_rate: float | None) -> Preview:
    """Count the audience and forecast the mailing. Raises Invalid."""
    now = utc_now()
    rules.check_times(new.starts_at, new.expired_at, now)
    groups, sample = await database.statement(count_audience, new.filter)
    stopped = await database.statement(count_stopped, new.filter, new.kind)
    by_zone, by_code = Counter[str](), Counter[int]()
    for group in groups:
        by_zone[group.zone] += group.clients
        by_code[group.code] += group.clients
    text = parts(new.text)
    window = None if new.window is None else new.window.as_window()
    rate = min((rate for rate in (new.rate, provider_rate) if rate is not None), default=None)
    begins = max(now, new.starts_at)
    # In a thread, because a year with clients all over the world takes long.
    expected = await asyncio.to_thread(forecast, by_zone, window, rate, begins, new.expired_at)
    return Preview(
        recipients=by_zone.total(),
        by_zone=by_zone,
        by_code=by_code,
        unknown_zones=expected.unknown_zones,
        stopped=stopped,
        text_parts=TextParts(count=text.count, encoding=text.encoding, units=text.units),
        late=expected.late,
        finish=expected.finish,
        rate=rate,
        sample=sample,
    )
