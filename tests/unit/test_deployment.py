"""What must hold of the files that deploy the system, and can be read off them."""

from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped] # its stubs would be one more dependency

REPOSITORY = Path(__file__).parents[2]
COMPOSITION = yaml.safe_load((REPOSITORY / "deploy" / "compose.yaml").read_text())
SERVICES = COMPOSITION["services"]
OURS = [name for name, service in SERVICES.items() if "mailing-service" in service["image"]]


def test_no_password_has_a_default() -> None:
    secrets = [
        line
        for line in (REPOSITORY / "deploy" / "compose.yaml").read_text().splitlines()
        if "PASS" in line or "TOKEN" in line
    ]
    assert secrets
    assert all(":?" in line for line in secrets)


@pytest.mark.parametrize("name", SERVICES)
def test_what_is_published_is_published_here_alone(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


@pytest.mark.parametrize("name", OURS)
def test_a_service_of_ours_has_no_rights_and_nothing_to_write_on(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("name", [name for name in SERVICES if name not in OURS])
def test_another_image_is_pinned_to_a_release(name: str) -> None:
    assert SERVICES[name]["image"].count(".") >= 1


@pytest.mark.parametrize("file", [".gitlab-ci.yml", ".github/workflows/ci.yml"])
def test_ci_checks_tests_and_builds(file: str) -> None:
    text = (REPOSITORY / file).read_text()
    yaml.safe_load(text)
    assert all(command in text for command in ("make check", "make test", "docker build --file deploy/Dockerfile"))
