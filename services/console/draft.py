"""A mailing that is being written. It lives in the address of the page, so it can be left, kept and sent on."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from pydantic import JsonValue

from services.console.forms import collected, instant, lines
from services.console.rest.answers import Mailing

LASTS = timedelta(hours=24)  # until the end, if the person says nothing else
WINDOW = ("09:00", "21:00")  # offered first, so that nobody is woken up by oversight


@dataclass(frozen=True, slots=True)
class Draft:
    """The fields as they were typed."""

    tag: str = ""
    code: str = ""
    zone: str = ""
    not_in: str = ""  # numbers of mailings whose recipients are left out
    more: str = ""  # further conditions of the filter, as JSON
    name: str = ""
    kind: str = ""  # empty: marketing
    text: str = ""
    sender_name: str = ""
    validity: str = ""  # seconds
    max_parts: str = ""
    cap_messages: str = ""
    cap_days: str = ""
    no_repeat: str = ""
    start: str = ""  # empty: at once
    end: str = ""
    begin: str = ""  # of the local window
    until: str = ""
    days: str = ""  # of the week, with commas; empty: every day
    rate: str = ""

    @property
    def names_somebody(self) -> bool:
        """Return True if the draft says whom it is for."""
        return bool(self.filter())

    def filter(self) -> dict[str, JsonValue]:
        """Return the filter as the API takes it."""
        chosen, more = self.chosen(), _conditions(self.more)
        return {"all": [chosen, more]} if chosen.keys() & more.keys() else {**chosen, **more}

    def chosen(self) -> dict[str, JsonValue]:
        """Return the conditions that have fields of their own."""
        lists = {"tag": lines(self.tag), "code": _listed(self.code), "zone": lines(self.zone)}
        chosen: dict[str, JsonValue] = {name: list(values) for name, values in lists.items() if values}
        if mailings := _listed(self.not_in):
            chosen["not_in_mailing"] = [int(one) if one.isdecimal() else one for one in mailings]
        return chosen

    def body(self, zone: ZoneInfo, now: datetime) -> dict[str, JsonValue]:
        """Return the mailing as the API takes it. What cannot be read is left to the API to refuse."""
        starts = instant(self.start, zone) if self.start else now
        ends = instant(self.end, zone)
        return {
            "filter": self.filter(),
            "name": self.name.strip() or None,
            "kind": self.kind or "marketing",
            "text": self.text.replace("\r\n", "\n"),
            "sender_name": self.sender_name.strip() or None,
            "validity": whole_or_text(self.validity),
            "starts_at": starts.isoformat() if starts else self.start,
            "expired_at": ends.isoformat() if ends else self.end,
            "window": self.window(),
            "rate": number_or_text(self.rate),
            "max_parts": whole_or_text(self.max_parts),
            "frequency_cap": cap_of(self.cap_messages, self.cap_days),
            "no_repeat": whole_or_text(self.no_repeat),
        }

    def window(self) -> dict[str, JsonValue] | None:
        """Return the local window as the API takes it."""
        return window_of(self.begin, self.until, self.days)

    def values(self) -> dict[str, str]:
        """Return the fields by name."""
        return asdict(self)


NAMES = tuple(field.name for field in fields(Draft))


def draft_of(values: Mapping[str, str]) -> Draft:
    """Return the draft of an address or a form."""
    return Draft(**{name: values[name] for name in NAMES if name in values})


def typed(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return one value for each field of a form: the first, or all the days that are checked, with commas."""
    form = collected(list(pairs))
    return {name: ",".join(filter(None, form[name])) if name == "days" else form[name][0] for name in form}


def window_of(begin: str, until: str, days: str) -> dict[str, JsonValue] | None:
    """Return a local window as the API takes it; None if no hours are given."""
    if not begin and not until:
        return None
    window: dict[str, JsonValue] = {"from": begin, "until": until}
    return window | {"days": list(days.split(","))} if days else window


def fresh(zone: ZoneInfo, now: datetime) -> Draft:
    """Return a draft with what most mailings have: local hours, and a day to be sent in."""
    return Draft(end=_input(now + LASTS, zone), begin=WINDOW[0], until=WINDOW[1])


def like(mailing: Mailing, zone: ZoneInfo, now: datetime) -> Draft:
    """Return a draft of the same text to the same people, at a new time."""
    made = replace(
        fresh(zone, now),
        **_filter_fields(mailing.filter),
        name=mailing.name or "",
        kind=mailing.kind if mailing.kind != "marketing" else "",
        text=mailing.text,
        sender_name=mailing.sender_name or "",
        validity=str(mailing.validity or ""),
        begin=mailing.window.begin[:5] if mailing.window else "",
        until=mailing.window.until[:5] if mailing.window else "",
        days=",".join(mailing.window.days) if mailing.window else "",
        rate=f"{mailing.rate:g}" if mailing.rate else "",
        max_parts=str(mailing.max_parts or ""),
        cap_messages=str(mailing.frequency_cap.messages) if mailing.frequency_cap else "",
        cap_days=str(mailing.frequency_cap.days) if mailing.frequency_cap else "",
        no_repeat=str(mailing.no_repeat or ""),
    )
    lasted = mailing.expired_at - mailing.starts_at
    return replace(made, end=_input(now + max(lasted, timedelta(hours=1)), zone))


def _listed(text: str) -> list[str]:
    return lines(text.replace(",", "\n"))


def _conditions(text: str) -> dict[str, JsonValue]:
    """Return the conditions of a text. One that is no object of JSON is left to the API to refuse."""
    if not text.strip():
        return {}
    try:
        parsed = json.loads(text)
    except ValueError:
        parsed = None
    return parsed if isinstance(parsed, dict) else {"all": text}


def _names_sent_mailings(parts: JsonValue) -> bool:
    """Return True if the parts of `not_in_mailing` say no more than the field of the form can say."""
    return isinstance(parts, list) and all(
        isinstance(part, dict) and part.get("status") == ["sent"] for part in parts
    )


def _filter_fields(filter_: Mapping[str, JsonValue]) -> dict[str, str]:
    """Return the fields of a draft for a mailing's filter."""
    rest = dict(filter_)
    found = {name: "\n".join(map(str, _list(rest.pop(name, [])))) for name in ("tag", "code", "zone")}
    if _names_sent_mailings(rest.get("not_in_mailing")):
        parts = _list(rest.pop("not_in_mailing"))
        found["not_in"] = ", ".join(str(part["id"]) for part in parts if isinstance(part, dict))
    return {**found, "more": json.dumps(rest, ensure_ascii=False) if rest else ""}


def _list(value: JsonValue) -> list[JsonValue]:
    return value if isinstance(value, list) else []


def number_or_text(text: str) -> JsonValue:
    """Return a number with a point or a comma; None for nothing; what is no number stays text."""
    if not text:
        return None
    try:
        return float(text.replace(",", ".").replace(" ", ""))
    except ValueError:
        return text


def cap_of(messages: str, days: str) -> dict[str, JsonValue] | None:
    """Return a frequency cap as the API takes it; None if neither number is given."""
    if not messages and not days:
        return None
    return {"messages": whole_or_text(messages), "days": whole_or_text(days)}


def whole_or_text(text: str) -> JsonValue:
    """Return a whole number; None for nothing; what is none stays text."""
    text = text.strip()
    return int(text) if text.isdecimal() and len(text) < 10 else text or None


def _input(at: datetime, zone: ZoneInfo) -> str:
    return at.astimezone(zone).replace(tzinfo=None).isoformat(timespec="minutes")
