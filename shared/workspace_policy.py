"""Rules of the workspace that hold for all mailings. Pure."""

from dataclasses import dataclass

from shared.provider_fields import ProviderField


@dataclass(frozen=True, slots=True)
class WorkspacePolicy:
    """Rules that an administrator sets for everybody.

    A mailing to more than `approve_above` clients waits until somebody else approves it. It may have those of the
    fields for the provider's adapter that are `provider_fields`.
    """

    approve_above: int | None = None
    provider_fields: frozenset[ProviderField] = frozenset()


NO_POLICY = WorkspacePolicy()
