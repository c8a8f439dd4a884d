"""Catalogs of translated texts.

A catalog is compiled from its `.po` file when a process first needs it, so no compiled file can be out of date.
"""

from functools import cache
from io import BytesIO
from pathlib import Path

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import Translations

SOURCE_LANGUAGE = "en"
LANGUAGES = {"en": "English", "ru": "Русский"}


def N_(text: str) -> str:  # noqa: N802 - gettext's customary name
    """Mark a text for the catalogs. It is translated where it is shown."""
    return text


@cache
def load_catalog(locales: Path, domain: str, language: str) -> Translations:
    """Return the translations of a domain into a language; the source language needs none."""
    if language == SOURCE_LANGUAGE:
        return Translations()
    compiled = BytesIO()
    with (locales / language / "LC_MESSAGES" / f"{domain}.po").open("rb") as source:
        write_mo(compiled, read_po(source, locale=language))
    compiled.seek(0)
    return Translations(compiled, domain=domain)
