"""Pages of documentation: what they name exists, and they speak plain English."""

import importlib.util
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from shared.cli.known_settings import service_settings
from shared.cli.main import COMMANDS
from shared.statuses import MessageStatus, Reason
from tests.unit.test_metrics import series_names

REPOSITORY = Path(__file__).parents[2]
DECISIONS = REPOSITORY / "docs" / "decisions"
PAGES = sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md")])
# Decisions and the changelog describe the past, so they may name what is gone. Their links must hold all the same.
CURRENT_PAGES = [page for page in PAGES if page.parent != DECISIONS and page.name != "CHANGELOG.md"]

CODE_BLOCK = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
CODE_SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
FILE = re.compile(r"(?:services|shared|tests|deploy|docs|\.ci|\.github)/[\w./@-]*")
JARGON = re.compile(
    r"\b(told|tells?|heard|whom|lest|whatever|put right|in hand|hands full|mended|reckon\w*|"
    r"subscribers?|addressees?|broadcasts?|urgent|express|sent on (?:its|their) own|"
    r"(?<!dead )(?<!dead-)letters?)\b",
    re.IGNORECASE,
)
# Files that a reader of the pages makes.
GENERATED = {"deploy/.env", "deploy/compose.override.yaml", "deploy/kubernetes/overlays/mine/kustomization.yaml"}
# Named by pages, but not settings of a service: of the composition, and of the sandbox.
OTHER_SETTING_SOURCES = ("deploy/compose.yaml", "deploy/environment.sh", "deploy/sandbox/__main__.py")


def prose(text: str) -> str:
    """Return the page without code."""
    return CODE_SPAN.sub("", CODE_BLOCK.sub("", text))


def anchor(heading: str) -> str:
    """Return the fragment under which a heading can be linked."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    return {anchor(heading) for heading in HEADING.findall(CODE_BLOCK.sub("", page.read_text()))}


def missing_files(text: str, page: Path) -> Iterator[str]:
    """Yield paths of the project that do not exist, and names of modules and folders that it has nowhere."""
    for span in CODE_SPAN.findall(text):
        if re.fullmatch(r"\w+\.py|[\w-]+/", span) and span not in module_and_folder_names():
            yield span
        if FILE.fullmatch(span) and span not in GENERATED and not (REPOSITORY / span).exists():
            yield span


def missing_names(text: str, page: Path) -> Iterator[str]:
    """Yield functions and classes that are not in the module in which a page places them."""
    for name, path in re.findall(r"`(\w+)` in\s`([\w./]+\.py)`", text):
        module = REPOSITORY / path
        if not module.exists() or not re.search(rf"^(?:async def|def|class) {name}\b", module.read_text(), re.M):
            yield f"{name} in {path}"


def broken_links(text: str, page: Path) -> Iterator[str]:
    """Yield relative links without a file, or without the heading that they point to."""
    for link in LINK.findall(CODE_BLOCK.sub("", text)):
        if ":" in link:
            continue
        path, _, fragment = link.partition("#")
        target = page.parent / path if path else page
        if not target.exists() or (fragment and fragment not in anchors(target)):
            yield link


def unknown_targets(text: str, page: Path) -> Iterator[str]:
    """Yield targets that the Makefile does not have."""
    targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    code = "\n".join([*CODE_SPAN.findall(text), *CODE_BLOCK.findall(text)])
    yield from (
        f"make {name}" for name in re.findall(r"^make ([a-z-]+)", code, re.MULTILINE) if name not in targets
    )


def unknown_modules(text: str, page: Path) -> Iterator[str]:
    """Yield modules that cannot be run."""
    for name in re.findall(r"python -m ((?:services|shared|deploy|tests)[\w.]*)", " ".join(text.split())):
        if importlib.util.find_spec(name) is None:
            yield name


def unknown_commands(text: str, page: Path) -> Iterator[str]:
    """Yield subcommands that the operator's command does not have."""
    code = "\n".join([*CODE_SPAN.findall(text), *CODE_BLOCK.findall(text)])
    named = re.findall(r"(?:^|\| )mailing ([a-z][a-z-]+)", code, re.MULTILINE)
    yield from (f"mailing {name}" for name in named if name not in COMMANDS)


def unknown_settings(text: str, page: Path) -> Iterator[str]:
    """Yield environment variables that nothing reads."""
    yield from set(re.findall(r"\bMAILING_[A-Z_]*[A-Z]\b", text)) - settings() - other_settings()


def unknown_metrics(text: str, page: Path) -> Iterator[str]:
    """Yield metrics that no service has."""
    secrets = {name.lower() for name in settings()}  # a setting may be a file of this name
    named = {span for span in CODE_SPAN.findall(text) if re.fullmatch(r"mailing_\w+", span)}
    yield from named - series_names() - secrets - events() - {"mailing_id"}


def jargon(text: str, page: Path) -> Iterator[str]:
    """Yield words that only we would understand."""
    yield from (match[0] for match in JARGON.finditer(prose(text)))


@cache
def module_and_folder_names() -> frozenset[str]:
    rooms = ("services", "shared", "deploy", "tests", "docs")
    paths = [path for room in rooms for path in [REPOSITORY / room, *(REPOSITORY / room).rglob("*")]]
    return frozenset(f"{path.name}/" if path.is_dir() else path.name for path in paths)


@cache
def settings() -> frozenset[str]:
    """Return the settings of all services."""
    return frozenset(f"MAILING_{name.upper()}" for kind in service_settings() for name in kind.model_fields)


@cache
def other_settings() -> frozenset[str]:
    text = "\n".join((REPOSITORY / source).read_text() for source in OTHER_SETTING_SOURCES)
    return frozenset(re.findall(r"MAILING_[A-Z_]+", text))


@cache
def events() -> frozenset[str]:
    """Return every string in the services that may be the name of a log event."""
    modules = [*REPOSITORY.glob("services/**/*.py"), *REPOSITORY.glob("shared/**/*.py")]
    return frozenset(
        name for module in modules for name in re.findall(r'"([a-z]+(?:_[a-z]+)+)"', module.read_text())
    )


def alerts() -> set[str]:
    return set(re.findall(r"- alert: (\w+)", (REPOSITORY / "deploy/prometheus/alerts.yml").read_text()))


Rule = Callable[[str, Path], Iterator[str]]
RULES: tuple[Rule, ...] = (
    missing_files,
    missing_names,
    unknown_targets,
    unknown_modules,
    unknown_settings,
    unknown_metrics,
    jargon,
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("page", CURRENT_PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_a_page_names_what_exists_in_plain_words(page: Path, rule: Rule) -> None:
    assert list(rule(page.read_text(), page)) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    assert list(broken_links(page.read_text(), page)) == []


@pytest.mark.parametrize(
    ("rule", "text", "problem"),
    [
        (missing_files, "see `services/nowhere.py`", "services/nowhere.py"),
        (missing_files, "see `nowhere.py`", "nowhere.py"),
        (missing_names, "`nobody` in `shared/statuses.py`", "nobody in shared/statuses.py"),
        (broken_links, "[there](docs/nowhere.md)", "docs/nowhere.md"),
        (broken_links, "[there](docs/glossary.md#nowhere)", "docs/glossary.md#nowhere"),
        (unknown_targets, "run `make nothing`", "make nothing"),
        (unknown_modules, "python -m\nservices.nobody", "services.nobody"),
        (unknown_commands, "run `mailing nothing`", "mailing nothing"),
        (unknown_settings, "set MAILING_NOTHING", "MAILING_NOTHING"),
        (unknown_metrics, "look at `mailing_nothing_total`", "mailing_nothing_total"),
        (jargon, "The planner has heard it; `told` is code.", "heard"),
    ],
)
def test_a_rule_finds_what_is_wrong(rule: Rule, text: str, problem: str) -> None:
    assert list(rule(text, REPOSITORY / "README.md")) == [problem]


def test_every_alert_has_a_remedy() -> None:
    text = (REPOSITORY / "docs/operation.md").read_text()
    assert set(re.findall(r"^\| `([A-Z]\w+)` \|", text, re.MULTILINE)) == alerts()


def test_every_log_event_that_operators_are_shown_exists() -> None:
    table = (REPOSITORY / "docs/operation.md").read_text().partition("| line | meaning |")[2].partition("\n\n")[0]
    named = set(re.findall(r"`([a-z]+_[a-z_]+)`", table))
    assert named
    assert named - events() == set()


def test_the_glossary_has_every_status_and_reason_as_the_code_describes_them() -> None:
    text = (REPOSITORY / "docs/glossary.md").read_text()
    rows = {f"| `{s}` | {'yes' if s.is_final else 'no'} | {s.description} |" for s in MessageStatus}
    assert {row for row in rows if row not in text} == set()
    assert {reason for reason in Reason if f"| `{reason}` | " not in text} == set()


def test_decisions_are_numbered_and_listed() -> None:
    records = sorted(path.name for path in DECISIONS.glob("[0-9]*.md"))
    index = (DECISIONS / "README.md").read_text()
    assert [int(name[:4]) for name in records] == list(range(1, len(records) + 1))
    assert [name for name in records if f"]({name})" not in index] == []


@pytest.mark.parametrize("path", sorted(DECISIONS.glob("[0-9]*.md")), ids=lambda path: path.stem)
def test_a_decision_says_why_and_what_follows(path: Path) -> None:
    headings = HEADING.findall(path.read_text())
    assert headings[0].startswith(f"{path.name[:4]} · ")
    assert headings[1:] == ["Context", "Decision", "Consequences", "Measurement"]
