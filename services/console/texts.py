"""Texts of mailings, as the console shows them while somebody writes. Pure."""

from shared.placeholders import BrokenPlaceholder, render_plain
from shared.sms_parts import Parts, parts


def parts_of(text: str) -> Parts:
    """Return the parts of a text for a client without attributes. A broken placeholder stands for itself."""
    try:
        return parts(render_plain(text))
    except BrokenPlaceholder:
        return parts(text)
