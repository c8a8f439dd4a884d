"""People who did not get a mailing, grouped by status and reason."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.console.rest.answers import Mailing, ProviderAnswer
from services.console.rest.calls import Api
from services.console.words import Explanation, explanation_of
from shared.statuses import MessageStatus

MOST_ANSWERS = 3


@dataclass(frozen=True, slots=True)
class Group:
    """People who did not get a mailing for the same reason, and the provider's most frequent words on it."""

    status: MessageStatus
    people: int
    explanation: Explanation
    answers: Sequence[str]


async def unsent_groups(api: Api, mailing: Mailing) -> list[Group]:
    """Return the groups, the largest first."""
    if not mailing.unsent:
        return []
    reasons = await api.reasons(mailing.id)
    return [
        Group(
            item.status,
            item.messages,
            explanation_of(item.status, item.reason),
            [words for answer in item.answers if (words := _words(answer))][:MOST_ANSWERS],
        )
        for item in reasons.items
    ]


def _words(answer: ProviderAnswer) -> str:
    parts = (str(answer.provider_status or ""), answer.provider_text or "")
    return " ".join(part for part in parts if part)
