"""Languages of the console, and the choice among them."""

from pathlib import Path

from babel.support import Translations

from shared.translation import LANGUAGES, N_, SOURCE_LANGUAGE, load_catalog

__all__ = ["LANGUAGES", "LOCALES", "N_", "SOURCE_LANGUAGE", "catalog", "preferred_language"]

LOCALES = Path(__file__).parent / "locale"


def catalog(language: str) -> Translations:
    """Return the console's texts in a language."""
    return load_catalog(LOCALES, "console", language)


def preferred_language(accept_language: str) -> str:
    """Return the first of the browser's languages that there is, else the source language."""
    for wanted in accept_language.split(","):
        language = wanted.partition(";")[0].strip().partition("-")[0].lower()
        if language in LANGUAGES:
            return language
    return SOURCE_LANGUAGE
