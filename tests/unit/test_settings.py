"""Sources of settings, and the table of settings in docs/reference.md."""

from collections.abc import Iterator
from datetime import time, timedelta
from pathlib import Path

import pytest

from services.api.settings import ApiSettings
from services.console.settings import ConsoleSettings
from services.notifier.settings import NotifierSettings
from services.planner.settings import PlannerSettings
from services.sender.settings import SenderSettings
from shared.settings import BrokerSettings, load

REFERENCE = Path(__file__).parents[2] / "docs/reference.md"
REQUIRED = "required"


@pytest.fixture(autouse=True)
def _nothing_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hide the environment and a developer's own `.env`."""
    monkeypatch.delenv("MAILING_BROKER_URL", raising=False)
    monkeypatch.chdir(tmp_path)


def test_a_secret_may_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "mailing_broker_url").write_text("amqp://user:password@broker/\n")
    assert load(BrokerSettings, tmp_path).broker_url.get_secret_value() == "amqp://user:password@broker/"


def test_the_environment_comes_before_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mailing_broker_url").write_text("amqp://file/")
    monkeypatch.setenv("MAILING_BROKER_URL", "amqp://environment/")
    assert load(BrokerSettings, tmp_path).broker_url.get_secret_value() == "amqp://environment/"


def test_a_missing_setting_is_named_and_ends_the_process(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        load(BrokerSettings, tmp_path / "nowhere")
    assert capsys.readouterr().err == "setting MAILING_BROKER_URL: Field required\n"


def test_the_reference_has_every_setting_with_its_default_and_no_other() -> None:
    assert dict(_documented()) == dict(_defined())


def _documented() -> Iterator[tuple[str, str | None]]:
    """Yield the variables of the table and their defaults; None for a default in words."""
    for line in REFERENCE.read_text().splitlines():
        if line.startswith("| `MAILING_"):
            names, defaults, _ = line.removeprefix("| ").split(" | ", 2)
            several = ", " in names
            for name, default in zip(
                names.split(", "), defaults.split(", ") if several else [defaults], strict=True
            ):
                literal = default.strip("`") if default.startswith("`") else None
                yield name.strip("`"), REQUIRED if default.startswith(REQUIRED) else literal


def _defined() -> Iterator[tuple[str, str | None]]:
    """Yield the settings of all services and their defaults."""
    for kind in (ApiSettings, ConsoleSettings, NotifierSettings, PlannerSettings, SenderSettings):
        for name, field in kind.model_fields.items():
            yield f"MAILING_{name.upper()}", REQUIRED if field.is_required() else _as_set(field.default)


def _as_set(default: object) -> str | None:
    """Return the default as the environment would have it; None if it is computed or missing."""
    match default:
        case timedelta():
            return f"{default.total_seconds():g}"
        case bool():
            return str(default).lower()
        case time():
            return default.isoformat("minutes")
        case int() | float() | str():
            return str(default)
    return None
