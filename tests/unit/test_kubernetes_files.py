"""Agreement of the manifests with the services that they describe."""

import importlib.util
import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped] # its stubs would be one more dependency

from deploy.kubernetes.custom_resources import find_schema, schema_problems
from deploy.kubernetes.manifests import title
from deploy.kubernetes.pod_rules import SHUTDOWN_SECONDS
from deploy.kubernetes.rendering import FOLDER, RULES, prometheus_rule
from deploy.kubernetes.vendor_schemas import close
from services.api.settings import ApiSettings
from services.console.main import GRACE
from services.console.settings import ConsoleSettings
from services.notifier.settings import NotifierSettings
from services.planner.settings import PlannerSettings
from services.sender.consumer import DRAIN_TIMEOUT
from services.sender.settings import SenderSettings

DEPLOYMENTS = {
    path.stem: manifest
    for path in FOLDER.glob("base/*.yaml")
    for manifest in yaml.safe_load_all(path.read_text())
    if manifest["kind"] == "Deployment" and "selector" in manifest["spec"]
}
MINE = ("", "/kustomization.yaml")  # the overlay that the guide's reader makes
SETTINGS = (ApiSettings, NotifierSettings, ConsoleSettings, PlannerSettings, SenderSettings)


def container(name: str) -> dict[str, Any]:
    found: dict[str, Any] = DEPLOYMENTS[name]["spec"]["template"]["spec"]["containers"][0]
    return found


def variables() -> set[str]:
    """Return the names of all variables that the manifests set."""
    lines = (FOLDER / "base" / "mailing.env").read_text().splitlines()
    for path in FOLDER.glob("overlays/*/kustomization.yaml"):
        for generated in yaml.safe_load(path.read_text())["configMapGenerator"]:
            lines += generated["literals"]
    for name in DEPLOYMENTS:
        lines += [variable["name"] for variable in container(name).get("env", [])]
    return {line.partition("=")[0] for line in lines}


def test_every_variable_is_a_setting_of_a_service() -> None:
    known = {f"MAILING_{name}".upper() for settings in SETTINGS for name in settings.model_fields}
    assert variables() - known == set()
    assert variables() & known


def test_every_secret_is_mounted_as_the_file_of_a_setting() -> None:
    known = {f"mailing_{name}" for settings in SETTINGS for name in settings.model_fields}
    paths = {
        item["path"]
        for name in DEPLOYMENTS
        for volume in DEPLOYMENTS[name]["spec"]["template"]["spec"].get("volumes", [])
        for source in volume["projected"]["sources"]
        for item in source["secret"]["items"]
    }
    assert paths == {
        "mailing_database_url",
        "mailing_broker_url",
        "mailing_provider_token",
        "mailing_smtp_password",
    }
    assert paths <= known


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_deployment_runs_a_service_that_there_is(name: str) -> None:
    (module,) = container(name)["args"]
    assert importlib.util.find_spec(f"{module}.__main__")


def test_every_service_is_deployed() -> None:
    services = {path.parent.name for path in (FOLDER.parents[1] / "services").glob("*/__main__.py")}
    assert services == set(DEPLOYMENTS), "a service needs a file in deploy/kubernetes/base"


def test_services_end_within_what_the_grace_periods_allow_for() -> None:
    api_grace = ApiSettings.model_fields["api_grace"].default
    assert api_grace < timedelta(seconds=SHUTDOWN_SECONDS)
    assert DRAIN_TIMEOUT < SHUTDOWN_SECONDS
    assert GRACE < SHUTDOWN_SECONDS


def test_the_alerts_for_the_operator_are_those_of_prometheus() -> None:
    assert RULES.read_text() == prometheus_rule(), "make kubernetes-alerts"
    alerts = yaml.safe_load((FOLDER.parent / "prometheus" / "alerts.yml").read_text())
    assert yaml.safe_load(RULES.read_text())["spec"] == alerts


def test_every_file_that_the_guide_names_is_there() -> None:
    guide = (FOLDER.parents[1] / "docs" / "kubernetes.md").read_text()
    named = set(re.findall(r"deploy/[\w./-]*\w", guide)) - {
        f"deploy/kubernetes/overlays/mine{end}" for end in MINE
    }
    assert len(named) > 5
    assert [name for name in named if not (FOLDER.parents[1] / name).exists()] == []


def test_a_schema_is_closed_where_its_fields_are_known() -> None:
    fields = {"description": {"type": "string", "description": "a field of this name"}}
    schema = {"type": "object", "description": "…", "properties": fields}
    assert close(schema) == {
        "type": "object",
        "properties": {"description": {"type": "string"}},
        "additionalProperties": False,
    }
    opened = {"type": "object", "properties": {}, "x-kubernetes-preserve-unknown-fields": True}
    assert close(opened) == opened


CUSTOM_RESOURCES = [
    manifest
    for path in sorted(FOLDER.glob("components/*/*.yaml"))
    for manifest in yaml.safe_load_all(path.read_text())
    if find_schema(manifest)
]


def test_every_schema_is_of_a_custom_resource_that_there_is() -> None:
    kinds = {manifest["kind"] for manifest in CUSTOM_RESOURCES}
    assert kinds == {path.name.partition(".")[0] for path in FOLDER.glob("schemas/*.json")}


@pytest.mark.parametrize("manifest", CUSTOM_RESOURCES, ids=title)
def test_a_custom_resource_is_valid_and_a_misspelt_field_is_found(manifest: dict[str, Any]) -> None:
    schema = find_schema(manifest)
    assert schema
    assert list(schema_problems(manifest, schema)) == []
    misspelt = {f"{name}s": value for name, value in manifest["spec"].items()}
    assert list(schema_problems(manifest | {"spec": misspelt}, schema))


@pytest.mark.parametrize("path", sorted(FOLDER.glob("schemas/*.json")), ids=lambda path: path.stem)
def test_a_schema_of_ours_is_closed_and_in_the_readme(path: Path) -> None:
    schema = json.loads(path.read_text())
    assert schema["properties"]["spec"]["additionalProperties"] is False
    own = "Written by us" in schema.get("$comment", "")
    assert own or path.name in (FOLDER / "schemas" / "README.md").read_text()
