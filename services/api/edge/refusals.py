"""Errors for which a well-formed request is refused. `services.api.edge.problems` gives each its HTTP status."""

from datetime import timedelta

from shared.errors import MailingError


class Refusal(MailingError):
    """Base of all refusals. Its text is for the caller."""


class NotFound(Refusal):
    """Raised when there is no such thing, or no longer."""

    def __init__(self, noun: str, id_: int) -> None:
        super().__init__(f"There is no {noun} {id_}.")


class NumberTaken(Refusal):
    """Raised when another client has the phone number."""

    def __init__(self) -> None:
        super().__init__("Another client has this number.")


class StopExists(Refusal):
    """Raised when the number is on the stop list already."""

    def __init__(self) -> None:
        super().__init__("This number is on the stop list already. Change its entry instead.")


class StateForbids(Refusal):
    """Raised when the mailing's state does not allow the change."""


class KeyInFlight(Refusal):
    """Raised when the first request with this Idempotency-Key is still being answered."""

    def __init__(self) -> None:
        super().__init__("A request with this Idempotency-Key is being answered at this moment; try again soon.")


class KeyReused(Refusal):
    """Raised when a request with another path or body had this Idempotency-Key."""

    def __init__(self) -> None:
        super().__init__("Another request had this Idempotency-Key; each request needs a key of its own.")


class Invalid(Refusal):
    """Raised when a value is wrong only in relation to others or to the clock."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field} {message}.")
        self.field = field
        self.message = message


class WrongCredentials(Refusal):
    """Raised when the login or the password is wrong, or the link is used up. The text does not say which."""

    def __init__(self) -> None:
        super().__init__("Login or password is wrong, or the link was used or is too old.")


class IdentityRefused(Refusal):
    """Raised when an identity provider's token does not prove who signs in, or that person may not sign in."""


class NoIdentityProvider(Refusal):
    """Raised when no identity provider is configured."""

    def __init__(self) -> None:
        super().__init__("No identity provider is configured: MAILING_OIDC_ISSUER is not set.")


class TooManyLogins(Refusal):
    """Raised when a login comes too early after failures."""

    def __init__(self, wait: timedelta) -> None:
        self.seconds = max(1, round(wait.total_seconds()))
        super().__init__(f"Too many failed logins. Try again in {self.seconds} seconds.")


class LoginTaken(Refusal):
    """Raised when another user has the login."""

    def __init__(self) -> None:
        super().__init__("Another user has this login.")


class LastAdmin(Refusal):
    """Raised when nobody could administer the service after the change."""

    def __init__(self) -> None:
        super().__init__("This is the last admin. Make another user an admin first.")


class NoUser(Refusal):
    """Raised when the token belongs to a program, so that it has no user and no session."""

    def __init__(self) -> None:
        super().__init__("This token belongs to a program, not to a user.")
