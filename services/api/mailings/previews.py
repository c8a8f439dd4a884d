"""Preview of a mailing: its audience and a forecast, before it is created."""

import asyncio
from collections import Counter

from services.api.edge.principal import numbers_are_masked
from services.api.edge.refusals import RoleForbids
from services.api.edge.transactions import Database
from services.api.mailings import rules
from services.api.mailings.audience_queries import count_audience
from services.api.mailings.forecast import forecast
from services.api.mailings.reference_queries import check_mailings_exist
from services.api.mailings.schemas import MailingIn, Preview, TextParts
from services.api.mailings.text_queries import describe_texts
from shared.access.roles import Role
from shared.contracts import utc_now
from shared.ledger.audience import names_numbers
from shared.placeholders import render_plain
from shared.sms_parts import parts
from shared.workspace_policy import WorkspacePolicy


async def preview(
    database: Database, new: MailingIn, provider_rate: float | None, policy: WorkspacePolicy
) -> Preview:
    """Count the audience and forecast the mailing. Raises Invalid, RoleForbids."""
    now = utc_now()
    rules.check_times(new.starts_at, new.expired_at, now)
    rules.check_provider_fields(vars(new), policy.provider_fields)
    rules.check_hours(new.window, new.kind, policy)
    rules.check_parts(new.text, new.max_parts)
    rules.check_cap(new.frequency_cap, new.kind)
    audience = new.filter.normalised()
    if names_numbers(audience) and numbers_are_masked.get():
        raise RoleForbids("To find out whether a number is in the directory", Role.OPERATOR)
    await database.statement(check_mailings_exist, audience)
    groups, sample = await database.statement(count_audience, new.filter, new.kind)
    by_zone, by_code = Counter[str](), Counter[int]()
    for group in groups:
        by_zone[group.zone] += group.clients
        by_code[group.code] += group.clients
    text = parts(render_plain(new.text))
    personal = await database.statement(describe_texts, new.text, new.filter, sample)
    hours = policy.local_hours(None if new.window is None else new.window.as_window(), new.kind)
    rate = min((rate for rate in (new.rate, provider_rate) if rate is not None), default=None)
    begins = max(now, new.starts_at)
    # In a thread, because a year with clients all over the world takes long.
    expected = await asyncio.to_thread(forecast, by_zone, hours, rate, begins, new.expired_at)
    return Preview(
        recipients=by_zone.total(),
        by_zone=by_zone,
        by_code=by_code,
        unknown_zones=expected.unknown_zones,
        stopped=sum(group.stopped for group in groups),
        quiet_time=policy.quiet_time(new.kind),
        needs_approval=policy.approve_above is not None and by_zone.total() > policy.approve_above,
        text_parts=TextParts(count=text.count, encoding=text.encoding, units=text.units),
        texts=personal.texts,
        lacking=personal.lacking,
        most_parts=personal.most_parts or text.count,
        late=expected.late,
        finish=expected.finish,
        rate=rate,
        sample=sample,
    )
