"""What a well-formed request can be refused for. `problems` knows how to say it in HTTP."""

from shared.errors import MailingError


class Refusal(MailingError):
    """The base of all of them; its text is meant for the caller."""


class NotFound(Refusal):
    """There is no such thing, or no more."""

    def __init__(self, noun: str, number: int) -> None:
        super().__init__(f"There is no {noun} {number}.")


class NumberTaken(Refusal):
    """A client with this phone number exists."""

    def __init__(self) -> None:
        super().__init__("Another client has this number.")


class StateForbids(Refusal):
    """The mailing has gone too far for this."""


class KeyInFlight(Refusal):
    """The first request with this Idempotency-Key has no answer yet."""

    def __init__(self) -> None:
        super().__init__("A request with this Idempotency-Key is being answered at this moment; try again soon.")


class KeyReused(Refusal):
    """This Idempotency-Key belongs to a request with another path or body."""

    def __init__(self) -> None:
        super().__init__("Another request had this Idempotency-Key; each needs a key of its own.")


class Invalid(Refusal):
    """A value that only shows to be wrong beside others, or beside the clock."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field} {message}.")
        self.field = field
        self.message = message
