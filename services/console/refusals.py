"""Words of the API on what it refuses, in the person's language where the console knows them. Pure.

The console shows what the API says. A text that is not listed here, such as one with a number in it, stays English
and is marked as that, so that a screen reader reads it as English.
"""

from collections.abc import Callable, Mapping

from markupsafe import Markup, escape

from services.console.translation import N_

# Each of these stands in the source of the API; a test holds that.
MESSAGES = (
    N_(
        "must be a phone number 7XXXXXXXXXX, 11 digits that begin with 7:"
        " an integer, or a string like '+7 (905) 700-30-50'"
    ),
    N_("must not be empty"),
    N_("must not be blank"),
    N_("must not contain a NUL character"),
    N_("must not contain a line break or another control character"),
    N_("must name at least one condition, such as a code, a tag or a zone"),
    N_("must be an operator's code of three digits, like 905"),
    N_("must be a time of day from 00:00 to 23:59, like 09:00"),
    N_("must not be the same as from; leave out the window to send at any time of day"),
    N_("must be a date and a time like '2030-01-31T10:00:00Z' or '2030-01-31 13:00:00+03:00'"),
    N_("is not a date and time that exists in the years 1 to 9999, in UTC"),
    N_("is not a known IANA time zone; they look like 'Europe/Moscow'"),
    N_("must be after starts_at"),
    N_("is in the past already"),
    N_("is required"),
    N_("must look like https://example.org/path"),
    N_("leads to an address that is not public, and MAILING_WEBHOOK_ALLOW does not name it"),
    N_("Another client has this number."),
    N_("Another user has this login."),
    N_("This is the last admin. Make another user an admin first."),
    N_("This number is on the stop list already. Change its entry instead."),
    N_("Login or password is wrong, or the link was used or is too old."),
    N_("The mailing has started: its audience is fixed, and filter cannot be changed."),
    N_("The mailing is finished: there is nothing left to cancel."),
    N_("The mailing is canceled: nothing more of it is ever sent."),
    N_("The mailing has not started: there is nothing to retry."),
)
FIELDS: Mapping[str, str] = {
    "starts_at": N_("Start"),
    "expired_at": N_("End"),
    "window": N_("Local hours"),
    "rate": N_("Rate"),
    "text": N_("Text"),
    "name": N_("Name"),
    "filter": N_("Recipients"),
    "number": N_("Number"),
    "tag": N_("Tag"),
    "code": N_("Operator’s code"),
    "zone": N_("Time zone"),
}


def said(translate: Callable[[str], str], text: str) -> Markup:
    """Return the API's words, translated if they are known, else marked as English."""
    words = translate(text) if text else ""
    return escape(words) if words != text else Markup('<span lang="en">{}</span>').format(text)


def field_name(translate: Callable[[str], str], field: str) -> str:
    """Return the name of a field as the pages have it; the API's own if they have none."""
    name = FIELDS.get(field.partition(".")[0])
    return translate(name) if name else field
