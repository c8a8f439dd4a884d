"""Errors after which a caller does something different. Every other error is a fault."""


class MailingError(Exception):
    """Base of all of them."""


class NotPublished(MailingError):
    """Raised when the broker certainly does not have the message. It may be published again at once."""


class PublishUnknown(MailingError):
    """Raised when it is not known whether the broker has the message."""


class DatabaseUnavailable(MailingError):
    """Raised when PostgreSQL cannot be reached, or the connection is lost.

    `reason` is the driver's, with address and user: for logs, and not for callers of the API.
    """

    def __init__(self, message: str, reason: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason or message


class TransactionConflict(DatabaseUnavailable):
    """Raised when PostgreSQL rolled the transaction back in favour of another. It may succeed if repeated."""


class SchemaOutdated(DatabaseUnavailable):
    """Raised when the database has not the schema of this version: `mailing migrate` has not run."""


class CheckFailed(Exception):
    """Raised by a check of `mailing check`; each argument is a line with what is wrong and what to do."""
