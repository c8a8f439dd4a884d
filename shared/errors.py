"""The errors that a caller does something different about; everything else is a fault."""


class MailingError(Exception):
    """The base of all of them."""


class NotPublished(MailingError):
    """The broker certainly does not have the message: it may be tried again at once."""


class PublishUnknown(MailingError):
    """The broker may or may not have the message."""


class DatabaseUnavailable(MailingError):
    """PostgreSQL could not be reached, or went away in the middle."""


class TransactionConflict(DatabaseUnavailable):
    """PostgreSQL undid the transaction in favour of another; the same may succeed now."""
