"""A mailing that is being written. It lives in the address of the page, so it can be left, kept and sent on."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from pydantic import JsonValue

from services.console.forms import instant, lines
from services.console.rest.answers import Mailing

LASTS = timedelta(hours=24)  # until the end, if the person says nothing else
WINDOW = ("09:00", "21:00")  # offered first, so that nobody is woken up by oversight


@dataclass(frozen=True, slots=True)
class Draft:
    """The fields as they were typed."""

    tag: str = ""
    code: str = ""
    zone: str = ""
    name: str = ""
    kind: str = ""  # empty: marketing
    text: str = ""
    start: str = ""  # empty: at once
    end: str = ""
    begin: str = ""  # of the local window
    until: str = ""
    rate: str = ""

    @property
    def names_somebody(self) -> bool:
        """Return True if the draft says whom it is for."""
        return bool(self.filter())

    def filter(self) -> dict[str, JsonValue]:
        """Return the filter as the API takes it."""
        chosen = {"tag": lines(self.tag), "code": lines(self.code.replace(",", "\n")), "zone": lines(self.zone)}
        return {name: list(values) for name, values in chosen.items() if values}

    def body(self, zone: ZoneInfo, now: datetime) -> dict[str, JsonValue]:
        """Return the mailing as the API takes it. What cannot be read is left to the API to refuse."""
        starts = instant(self.start, zone) if self.start else now
        ends = instant(self.end, zone)
        return {
            "filter": self.filter(),
            "name": self.name.strip() or None,
            "kind": self.kind or "marketing",
            "text": self.text.replace("\r\n", "\n"),
            "starts_at": starts.isoformat() if starts else self.start,
            "expired_at": ends.isoformat() if ends else self.end,
            "window": {"from": self.begin, "until": self.until} if self.begin or self.until else None,
            "rate": number_or_text(self.rate),
        }

    def values(self) -> dict[str, str]:
        """Return the fields by name."""
        return asdict(self)


NAMES = tuple(field.name for field in fields(Draft))


def draft_of(values: Mapping[str, str]) -> Draft:
    """Return the draft of an address or a form."""
    return Draft(**{name: values[name] for name in NAMES if name in values})


def fresh(zone: ZoneInfo, now: datetime) -> Draft:
    """Return a draft with what most mailings have: local hours, and a day to be sent in."""
    return Draft(end=_input(now + LASTS, zone), begin=WINDOW[0], until=WINDOW[1])


def like(mailing: Mailing, zone: ZoneInfo, now: datetime) -> Draft:
    """Return a draft of the same text to the same people, at a new time."""
    made = replace(
        fresh(zone, now),
        **{name: "\n".join(map(str, mailing.filter.get(name, ()))) for name in ("tag", "code", "zone")},
        name=mailing.name or "",
        kind=mailing.kind if mailing.kind != "marketing" else "",
        text=mailing.text,
        begin=mailing.window.begin[:5] if mailing.window else "",
        until=mailing.window.until[:5] if mailing.window else "",
        rate=f"{mailing.rate:g}" if mailing.rate else "",
    )
    lasted = mailing.expired_at - mailing.starts_at
    return replace(made, end=_input(now + max(lasted, timedelta(hours=1)), zone))


def number_or_text(text: str) -> JsonValue:
    """Return a number with a point or a comma; None for nothing; what is no number stays text."""
    if not text:
        return None
    try:
        return float(text.replace(",", ".").replace(" ", ""))
    except ValueError:
        return text


def _input(at: datetime, zone: ZoneInfo) -> str:
    return at.astimezone(zone).replace(tzinfo=None).isoformat(timespec="minutes")
