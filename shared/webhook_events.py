"""Events that a webhook may want. Pure."""

from enum import StrEnum


class WebhookEvent(StrEnum):
    """Kind of an event, as it is sent to webhooks."""

    MAILING_STARTED = "mailing.started"
    MAILING_PAUSED = "mailing.paused"
    MAILING_RESUMED = "mailing.resumed"
    MAILING_CANCELED = "mailing.canceled"
    MAILING_LATE = "mailing.late"
    MAILING_FINISHED = "mailing.finished"
    MESSAGE_SETTLED = "message.settled"
    ALERT_BEGAN = "alert.began"
    ALERT_CONTINUES = "alert.continues"
    ALERT_ENDED = "alert.ended"
    TEST = "webhook.test"  # sent only on request


# Those that a webhook can be subscribed to.
SUBSCRIBABLE = tuple(event for event in WebhookEvent if event is not WebhookEvent.TEST)
