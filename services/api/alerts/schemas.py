"""Answers about alerts."""

from datetime import datetime

from pydantic import BaseModel, Field

from services.api.edge.pages import Next


class AlertOut(BaseModel):
    """A condition that somebody should look at, from its beginning to its end."""

    id: int
    kind: str = Field(examples=["mailing_late"])
    subject: str = Field(description="The mailing's or the webhook's id, the queue's name, or nothing.")
    severity: str = Field(description="`page`: for now; `ticket`: for today.", examples=["page"])
    facts: dict[str, object] = Field(description="The numbers behind it, as they were last observed.")
    began_at: datetime
    notified_at: datetime = Field(description="When people and programs were last notified.")
    ended_at: datetime | None


class AlertPage(BaseModel):
    """Alerts, newest first."""

    items: list[AlertOut]
    next: Next
