"""Rules of the workspace that hold for all mailings. Pure."""

from dataclasses import dataclass, replace

from shared.provider_fields import ProviderField
from shared.stop_list import MailingKind
from shared.windows import Window


@dataclass(frozen=True, slots=True)
class WorkspacePolicy:
    """Rules that an administrator sets for everybody.

    A mailing to more than `approve_above` clients waits until somebody else approves it. Marketing is sent only
    during the `marketing_hours`, by each client's own clock: the rest of the day is the quiet time. A mailing may
    have those of the fields for the provider's adapter that are `provider_fields`.
    """

    approve_above: int | None = None
    provider_fields: frozenset[ProviderField] = frozenset()
    marketing_hours: Window | None = None

    def local_hours(self, window: Window | None, kind: MailingKind) -> Window | None:
        """Return the hours of a mailing with the window: for marketing, only those outside the quiet time."""
        if self.marketing_hours is None or kind is not MailingKind.MARKETING:
            return window
        return self.marketing_hours if window is None else replace(window, bound=self.marketing_hours)

    def quiet_time(self, kind: MailingKind) -> str | None:
        """Return the time in which such mailings are not sent, such as `21:00-08:00`; None if there is none."""
        hours = self.marketing_hours
        if hours is None or kind is not MailingKind.MARKETING:
            return None
        return f"{hours.end:%H:%M}-{hours.start:%H:%M}"


NO_POLICY = WorkspacePolicy()
