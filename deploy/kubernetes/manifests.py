"""Rendered manifests, as plain JSON values, with the queries that the checks need."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Manifest = Mapping[str, Any]  # JSON, whose fields depend on its kind


@dataclass(frozen=True, slots=True)
class Overlay:
    """All objects of an overlay, and the keys of the Secrets that its user creates beforehand."""

    name: str
    manifests: Sequence[Manifest]
    secrets: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def of_kind(self, *kinds: str) -> list[Manifest]:
        return [manifest for manifest in self.manifests if manifest["kind"] in kinds]

    def pods(self) -> Iterator["Pod"]:
        """Yield the pods that the objects describe. Pods that operators create are not among them."""
        for manifest in self.of_kind("Deployment", "StatefulSet", "Job"):
            template = manifest["spec"]["template"]
            labels = template.get("metadata", {}).get("labels", {})
            yield Pod(title(manifest), manifest["kind"], labels, template["spec"])


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod template, and what it belongs to."""

    title: str
    kind: str
    labels: Mapping[str, str]
    spec: Manifest

    @property
    def is_service(self) -> bool:
        """True for our own services, but not for the migration."""
        return self.kind == "Deployment" and self.labels.get("app.kubernetes.io/name") == "mailing"

    def containers(self) -> list[Manifest]:
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]


def title(manifest: Manifest) -> str:
    """Return the object's kind and name, for messages."""
    return f"{manifest['kind']}/{manifest['metadata']['name']}"


def selects(selector: Manifest, labels: Mapping[str, str]) -> bool:
    """True if a selector by labels matches; an empty one matches everything."""
    equal = all(labels.get(name) == value for name, value in selector.get("matchLabels", {}).items())
    return equal and all(_holds(expression, labels) for expression in selector.get("matchExpressions", []))


def _holds(expression: Manifest, labels: Mapping[str, str]) -> bool:
    if expression["operator"] != "In":
        raise NotImplementedError(f"a selector with {expression['operator']}")
    return labels.get(expression["key"]) in expression["values"]
