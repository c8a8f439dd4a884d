"""People who did not get a mailing, grouped by status and reason."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from services.console.rest.answers import Mailing, Message
from services.console.rest.calls import Api
from services.console.words import UNSENT_STATUSES, Explanation, explanation_of
from shared.statuses import MessageStatus

LOOKED_AT = 1000  # messages of a status, of which the reasons are counted
EXAMPLES = 5  # messages of which the provider's words are shown


@dataclass(frozen=True, slots=True)
class Group:
    """People who did not get a mailing for the same reason.

    `people` is None if there are more messages of this status than were looked at. `is_only` is True if no other
    reason was found among those.
    """

    status: MessageStatus
    reason: str | None
    people: int | None
    is_only: bool
    explanation: Explanation
    answers: Sequence[str]


async def unsent_groups(api: Api, mailing: Mailing) -> list[Group]:
    """Return the groups, the largest status first."""
    statuses = sorted((s for s in UNSENT_STATUSES if mailing.count(s)), key=mailing.count, reverse=True)
    parts = await asyncio.gather(*(_groups_of(api, mailing, status) for status in statuses))
    return [group for part in parts for group in part]


async def _groups_of(api: Api, mailing: Mailing, status: MessageStatus) -> list[Group]:
    count = mailing.count(status)
    if len(status.reasons) == 1:
        (only,) = status.reasons
        page = await api.mailing_messages(mailing.id, status=status, limit=EXAMPLES)
        counted = {str(only): count}
    else:
        page = await api.mailing_messages(mailing.id, status=status, limit=LOOKED_AT)
        counted = dict(Counter(message.reason or "" for message in page.items))
        if len(counted) == 1 and page.next is None:
            counted = dict.fromkeys(counted, count)
    exact = len(status.reasons) == 1 or page.next is None
    return [
        Group(
            status,
            reason,
            people if exact else None,
            len(counted) == 1,
            explanation_of(status, reason),
            await _answers(api, [message for message in page.items if message.reason == reason])
            if reason == "answer"
            else (),
        )
        for reason, people in sorted(counted.items(), key=lambda item: -item[1])
    ]


async def _answers(api: Api, messages: Sequence[Message]) -> list[str]:
    """Return the provider's words on some of the messages, the most frequent first."""
    details = await asyncio.gather(*(api.message(message.id) for message in messages[:EXAMPLES]))
    reasons = Counter[str]()
    for detail in details:
        if detail.attempts:
            last = detail.attempts[-1]
            parts = (str(last.provider_status or ""), last.provider_text or "")
            reasons[" ".join(part for part in parts if part)] += 1
    return [words for words, _ in reasons.most_common(3) if words]
