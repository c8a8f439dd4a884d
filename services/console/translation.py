"""Languages: catalogs of translated texts, and the choice among them.

A catalog is compiled from its `.po` file when the process starts, so no compiled file can be out of date.
"""

from functools import cache
from io import BytesIO
from pathlib import Path

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import Translations

LOCALES = Path(__file__).parent / "locale"
SOURCE_LANGUAGE = "en"
LANGUAGES = {"en": "English", "ru": "Русский"}


def N_(text: str) -> str:  # noqa: N802 - gettext's customary name
    """Mark a text for the catalogs. It is translated where it is shown."""
    return text


@cache
def catalog(language: str) -> Translations:
    """Return the translations into a language; the source language needs none."""
    if language == SOURCE_LANGUAGE:
        return Translations()
    compiled = BytesIO()
    with (LOCALES / language / "LC_MESSAGES" / "console.po").open("rb") as source:
        write_mo(compiled, read_po(source, locale=language))
    compiled.seek(0)
    return Translations(compiled, domain="console")


def preferred_language(accept_language: str) -> str:
    """Return the first of the browser's languages that there is, else the source language."""
    for wanted in accept_language.split(","):
        language = wanted.partition(";")[0].strip().partition("-")[0].lower()
        if language in LANGUAGES:
            return language
    return SOURCE_LANGUAGE
