"""Every text of the console is translated, and none stands outside the catalogs."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from jinja2 import Environment

from services.console.rendering import TEMPLATES
from services.console.translation import LANGUAGES, LOCALES, SOURCE_LANGUAGE, catalog, preferred_language

CONSOLE = TEMPLATES.parent
TRANSLATED = [language for language in LANGUAGES if language != SOURCE_LANGUAGE]
ATTRIBUTES = {"placeholder", "title", "aria-label", "alt"}
# Examples of what is typed, the same in every language; names of formats and of the product's own fields.
UNTRANSLATED = {
    "+7 905 700-30-50",
    "#AzbukaVkusa",
    "905, 906",
    "Europe/Moscow",
    "№",
    "number,tag,zone",
    "/docs/",
    "https://example.org/hook",
    "number,scope,source,note",
}
PLACEHOLDER = re.compile(r"%\(\w+\)s")


def extracted() -> set[str | tuple[str, ...]]:
    """Return every text that the code and the templates mark."""
    found = extract_from_dir(
        str(CONSOLE),
        method_map=[("**.py", "python"), ("**/templates/**.html", "jinja2")],
        options_map={"**/templates/**.html": {"newstyle_gettext": "true", "trimmed": "true"}},
        keywords={"_": None, "gettext": None, "ngettext": (1, 2), "N_": None},
    )
    return {message for _, _, message, _, _ in found if message}


def translations(language: str) -> Catalog:
    with (LOCALES / language / "LC_MESSAGES" / "console.po").open("rb") as source:
        return read_po(source, locale=language)


@pytest.mark.parametrize("language", TRANSLATED)
def test_every_text_is_translated_and_no_translation_is_left_over(language: str) -> None:
    known = {message.id for message in translations(language) if message.id}
    assert known == extracted()


@pytest.mark.parametrize("language", TRANSLATED)
def test_every_translation_is_there_in_all_plural_forms_with_the_same_placeholders(language: str) -> None:
    found = translations(language)
    for message in found:
        if not message.id:
            continue
        forms = message.string if isinstance(message.string, tuple) else (message.string,)
        assert all(forms), message.id
        assert not message.fuzzy, message.id
        if isinstance(message.id, tuple):
            assert len(forms) == found.num_plurals, message.id
        wanted = set(PLACEHOLDER.findall(str(message.id[-1] if isinstance(message.id, tuple) else message.id)))
        for form in forms:
            assert set(PLACEHOLDER.findall(str(form))) == wanted, message.id


@pytest.mark.parametrize("template", sorted(TEMPLATES.rglob("*.html")), ids=lambda path: path.name)
def test_no_text_of_a_template_stands_outside_the_catalogs(template: Path) -> None:
    assert not list(_bare_texts(template))


def test_a_template_with_a_bare_text_is_found(tmp_path: Path) -> None:
    template = tmp_path / "bare.html"
    template.write_text('<p title="A title">{{ _("Marked") }} bare {% if x %}and more{% endif %}</p>')
    assert list(_bare_texts(template)) == ["title=A title", "bare", "and more"]


def test_a_russian_plural_has_its_three_forms() -> None:
    words = catalog("ru")
    forms = [words.ungettext("%(n)s row", "%(n)s rows", count) % {"n": count} for count in (1, 2, 5, 11, 21)]
    assert forms == ["1 строка", "2 строки", "5 строк", "11 строк", "21 строка"]


@pytest.mark.parametrize(
    ("header", "language"),
    [("ru-RU,ru;q=0.9,en;q=0.8", "ru"), ("de,en;q=0.5", "en"), ("de", "en"), ("", "en"), ("RU", "ru")],
)
def test_the_browser_chooses_the_language_until_the_person_does(header: str, language: str) -> None:
    assert preferred_language(header) == language


class _Texts(HTMLParser):
    """Collects text and attributes with letters."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._ignored = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._ignored += tag in {"pre", "svg"}
        for name, value in attrs:
            if name in ATTRIBUTES and _has_words(value or ""):
                self.found.append(f"{name}={value}")

    def handle_endtag(self, tag: str) -> None:
        self._ignored -= tag in {"pre", "svg"}

    def handle_data(self, data: str) -> None:
        if not self._ignored:
            self.found += [line.strip() for line in data.split("\x01") if _has_words(line)]


def _bare_texts(template: Path) -> Iterator[str]:
    # What Jinja puts in is this character here, so that it is neither a word nor joins two of them.
    source = []
    depth = 0
    for _, kind, value in Environment().lex(template.read_text()):
        if kind in {"variable_begin", "block_begin", "comment_begin"}:
            depth += 1
        elif kind in {"variable_end", "block_end", "comment_end"}:
            depth -= 1
            source.append("\x01")
        elif kind == "data" and depth == 0:
            source.append(value)
    parser = _Texts()
    parser.feed("".join(source).replace("line,reason", ""))
    yield from parser.found


def _has_words(text: str) -> bool:
    left = text.replace("\x01", " ").strip()
    return left not in UNTRANSLATED and re.search(r"[A-Za-zА-Яа-я]{2}", left) is not None
