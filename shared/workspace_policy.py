"""Rules of the workspace that hold for all mailings. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WorkspacePolicy:
    """Rules that an administrator sets for everybody.

    A mailing to more than `approve_above` clients waits until somebody else approves it.
    """

    approve_above: int | None = None


NO_POLICY = WorkspacePolicy()
