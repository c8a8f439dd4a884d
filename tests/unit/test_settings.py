"""Where settings come from."""

from pathlib import Path

import pytest

from shared.settings import BrokerSettings, load


@pytest.fixture(autouse=True)
def _nothing_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither by the environment nor by a developer's own `.env`."""
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
