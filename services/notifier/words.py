"""Words of mails for statuses, reasons and states. They are translated where they are shown. Pure."""

from shared.statuses import MessageStatus
from shared.translation import N_

STATUSES = {
    MessageStatus.SENT: N_("Sent"),
    MessageStatus.FAILED: N_("Failed"),
    MessageStatus.EXPIRED: N_("Not sent in time"),
    MessageStatus.CANCELED: N_("Canceled"),
    MessageStatus.UNCERTAIN: N_("Uncertain"),
}
REASONS = {
    "none": N_("no reason noted"),
    "window": N_("the local window did not open again before the end"),
    "zone": N_("the client’s time zone is unknown"),
    "end": N_("the mailing’s end came first"),
    "cancel": N_("the mailing was canceled"),
    "client": N_("the client was deleted"),
    "answer": N_("the provider’s answer"),
    "silence": N_("a sender held the message and sent no report"),
}
STATES = {
    "scheduled": N_("scheduled"),
    "running": N_("running"),
    "finished": N_("finished"),
    "canceled": N_("canceled"),
    "deleted": N_("deleted"),
    "": N_("deleted"),
}
