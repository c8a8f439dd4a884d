"""Command lines: every program explains itself, and needs no settings and no server for that."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from shared import __version__
from shared.cli.main import COMMANDS, main, make_parser

REPOSITORY = Path(__file__).parents[2]
PROGRAMS = (
    "shared.cli",
    "services.api",
    "services.console",
    "services.notifier",
    "services.planner",
    "services.sender",
    "deploy.kubernetes",
    "deploy.local",
    "deploy.sandbox",
)


def output_of(*words: str | Path, folder: Path = REPOSITORY) -> str:
    """Run a program without any setting of ours and return what it prints."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAILING_")}
    done = subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_program_has_help_and_a_version(program: str) -> None:
    assert output_of(sys.executable, "-m", program, "--help").startswith("usage: ")
    assert output_of(sys.executable, "-m", program, "--version") == f"mailing {__version__}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"\n    {command}" in make_parser().format_help()
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: mailing {command}")


def test_the_help_of_a_service_lists_its_settings() -> None:
    lines = output_of(sys.executable, "-m", "services.sender", "--help").splitlines()
    rows = {line.split()[0]: line.split()[1] for line in lines if line.startswith("  MAILING_")}
    assert rows["MAILING_PROVIDER_URL"] == "required"
    assert rows["MAILING_REQUEST_TIMEOUT"] == "5"


def test_a_taken_port_is_reported_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "deploy.sandbox", "--port", "0", "--control-port", str(port)],
            cwd=REPOSITORY,
            env=os.environ | {"MAILING_SANDBOX_TOKEN": "any"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr


def test_the_launcher_runs_the_checkout_that_it_is_in_from_any_folder(tmp_path: Path) -> None:
    checkout = tmp_path / "my checkout"
    programs = checkout / ".venv" / "bin"
    programs.mkdir(parents=True)
    (checkout / "shared").symlink_to(REPOSITORY / "shared")
    launcher, python = programs / "mailing", programs / "python"
    launcher.write_bytes((REPOSITORY / "deploy" / "local" / "mailing").read_bytes())
    python.write_text(f'#!/bin/sh\necho "$PYTHONPATH"\nexec "{sys.executable}" "$@"\n')
    for program in (launcher, python):
        program.chmod(0o755)
    assert output_of(launcher, "--version", folder=tmp_path) == f"{checkout}\nmailing {__version__}\n"
