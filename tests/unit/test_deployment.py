"""Rules for the files that deploy the system."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped] # its stubs would be one more dependency

from shared import __version__

REPOSITORY = Path(__file__).parents[2]
COMPOSITION = yaml.safe_load((REPOSITORY / "deploy" / "compose.yaml").read_text())
SERVICES = COMPOSITION["services"]
CI = {".gitlab-ci.yml": "vendor.gitlab-ci", ".github/workflows/ci.yml": "vendor.github-workflows"}
OURS = [name for name, service in SERVICES.items() if "mailing-service" in service["image"]]


def test_no_password_has_a_default() -> None:
    secrets = [
        line
        for line in (REPOSITORY / "deploy" / "compose.yaml").read_text().splitlines()
        if "PASS" in line or "TOKEN" in line
    ]
    assert secrets
    assert all(":?" in line or line.endswith(":") for line in secrets)  # required, or passed on as it is


@pytest.mark.parametrize("name", SERVICES)
def test_what_is_published_is_published_here_alone(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


@pytest.mark.parametrize("name", OURS)
def test_a_service_of_ours_has_no_rights_and_nothing_to_write_on(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("name", OURS)
def test_a_service_of_ours_has_a_memory_limit(name: str) -> None:
    assert SERVICES[name]["mem_limit"] == "512m"


def test_the_image_is_labelled_with_the_version() -> None:
    dockerfile = (REPOSITORY / "deploy" / "Dockerfile").read_text()
    assert f'org.opencontainers.image.version="{__version__}"' in dockerfile


def test_new_passwords_are_refused_where_volumes_of_another_installation_are(tmp_path: Path) -> None:
    docker = tmp_path / "docker"
    docker.write_text('#!/bin/sh\n[ "$3" = mailing_rabbitmq ]\n')  # `docker volume inspect NAME`
    docker.chmod(0o755)
    command = ("sh", str(REPOSITORY / "deploy" / "check_volumes.sh"))
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    refused = subprocess.run(command, env=os.environ | path, capture_output=True, text=True, check=False)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "mailing_rabbitmq of another installation" in refused.stderr
    docker.write_text("#!/bin/sh\nexit 1\n")
    subprocess.run(command, env=os.environ | path, check=True)


def test_make_up_ends_with_addresses_users_and_the_place_of_passwords(tmp_path: Path) -> None:
    for script in ("environment.sh", "addresses.sh"):
        shutil.copy(REPOSITORY / "deploy" / script, tmp_path)
    settings = subprocess.check_output(("sh", str(tmp_path / "environment.sh")), text=True)
    settings += "MAILING_API_PORT=8001\n"
    settings = settings.replace("COMPOSE_PROFILES=demo", "COMPOSE_PROFILES=demo,monitoring")
    (tmp_path / ".env").write_text(settings)
    printed = subprocess.check_output(("sh", str(tmp_path / "addresses.sh")), text=True)
    for port in (8001, 15672, 8091, 9090, 3000):
        assert f"http://127.0.0.1:{port}" in printed
    assert "Passwords are in deploy/.env" in printed
    passwords = [line.partition("=")[2] for line in settings.splitlines() if "_PASSWORD=" in line]
    assert len(passwords) == 3
    assert not [password for password in passwords if password in printed]


@pytest.mark.parametrize("name", [name for name in SERVICES if name not in OURS])
def test_another_image_is_pinned_to_a_release(name: str) -> None:
    assert SERVICES[name]["image"].count(".") >= 1


@pytest.mark.parametrize("server", ["postgres", "rabbitmq"])
def test_compose_ci_and_tests_use_the_same_release_of_a_server(server: str) -> None:
    files = ("deploy/compose.yaml", *CI, "tests/servers.py", "deploy/local/rabbitmq_programs.py")
    tags = {
        tag
        for file in files
        for tag in re.findall(rf"\b{server}:(\d+\.\d[\w.-]*)", (REPOSITORY / file).read_text())
    }
    assert len(tags) == 1, tags


@pytest.mark.parametrize("file", CI)
def test_ci_tests_every_python_that_we_name(file: str) -> None:
    named = re.search(r"Python (3\.\d+)\D+(3\.\d+)", (REPOSITORY / "pyproject.toml").read_text())
    assert named
    first, last = (int(version.partition(".")[2]) for version in named.groups())
    text = (REPOSITORY / file).read_text()
    assert [minor for minor in range(first, last + 1) if f'"3.{minor}"' not in text] == []


@pytest.mark.parametrize(("file", "schema"), CI.items())
def test_a_ci_file_is_valid_by_its_schema(file: str, schema: str) -> None:
    program = (sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema)  # it has them: asks nobody
    done = subprocess.run([*program, file], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", CI)
def test_ci_checks_tests_builds_and_tries_the_composition(file: str) -> None:
    commands = "\n".join(_commands(yaml.safe_load((REPOSITORY / file).read_text())))
    wanted = ("make check", "make test", "docker build --file deploy/Dockerfile", "tests/e2e/compose.sh")
    assert [command for command in wanted if command not in commands] == []


def _commands(part: object) -> Iterator[str]:
    """Yield the commands: GitLab's `script` and GitHub's `run`."""
    match part:
        case {"script": [*lines]}:
            yield from map(str, lines)
        case {"run": str(command)}:
            yield command
        case dict():
            for one in part.values():
                yield from _commands(one)
        case list():
            for one in part:
                yield from _commands(one)
