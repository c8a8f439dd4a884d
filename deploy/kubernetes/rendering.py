"""Overlays as `kubectl kustomize` renders them, offline."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml  # type: ignore[import-untyped] # its stubs would be one more dependency

from deploy.kubernetes.manifests import Overlay

FOLDER = Path(__file__).parent
ALERTS = FOLDER.parent / "prometheus" / "alerts.yml"
RULES = FOLDER / "components" / "monitoring" / "alerts.yaml"


def overlays() -> list[Path]:
    """Return the folders of all overlays."""
    return sorted(path.parent for path in FOLDER.glob("overlays/*/kustomization.yaml"))


def render(folder: Path) -> Overlay:
    """Render an overlay. Its script `secrets.sh`, if there is one, prints the Secrets that its user creates."""
    done = _run(_kubectl(), "kustomize", str(folder))
    script = folder / "secrets.sh"
    secrets = yaml.safe_load_all(_run("sh", str(script))) if script.exists() else ()
    return Overlay(
        folder.name,
        [manifest for manifest in yaml.safe_load_all(done) if manifest],
        {one["metadata"]["name"]: frozenset(one["stringData"]) for one in secrets},
    )


def prometheus_rule() -> str:
    """Return Prometheus' alerts as an object for its operator."""
    indented = re.sub(r"(?m)^(?=.)", "  ", ALERTS.read_text())
    return (
        "# Written by `make kubernetes-alerts` from deploy/prometheus/alerts.yml: change that file.\n"
        "apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata: {name: mailing}\nspec:\n" + indented
    )


def _kubectl() -> str:
    """Return the path of kubectl: beside this Python, else on the PATH."""
    beside = Path(sys.executable).with_name("kubectl")
    found = str(beside) if beside.exists() else shutil.which("kubectl")
    if found is None:
        raise SystemExit("kubectl is needed: make kubernetes-check installs it")
    return found


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed: {done.stderr.strip()}")
    return done.stdout
