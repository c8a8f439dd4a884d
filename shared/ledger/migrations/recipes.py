"""Migration steps that come again, for the revisions in `versions`."""

from alembic import op


def add_final_status(status: str, *, all_statuses: list[str]) -> None:
    """Add a final message status to the type, and its column and checks to the counters.

    `all_statuses` are the statuses after the migration. A revision names them itself, because it must not change
    when the code does. The counters have one row for each mailing, so the checks are quick.
    """
    op.execute(f"ALTER TYPE message_status ADD VALUE '{status}'")
    op.execute("ALTER TABLE counters DROP CONSTRAINT add_up, DROP CONSTRAINT not_negative")
    op.execute(
        f"ALTER TABLE counters ADD COLUMN {status} bigint NOT NULL DEFAULT 0,"
        f" ADD CONSTRAINT add_up CHECK ({' + '.join(all_statuses)} = total),"
        f" ADD CONSTRAINT not_negative CHECK (least({', '.join(all_statuses)}) >= 0)"
    )


def add_reason(reason: str) -> None:
    """Add a reason for a final status to its type."""
    op.execute(f"ALTER TYPE message_reason ADD VALUE '{reason}'")
