"""Validation of manifests by their schemas, without a cluster."""

import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]
import kubernetes_validate  # type: ignore[import-not-found] # it is in the environment of these checks alone

from deploy.kubernetes.manifests import Manifest

FOLDER = Path(__file__).parent / "schemas"

# The oldest release that we support, and the newest that there is a schema for.
RELEASES = ("1.32", "1.37")


def problems(manifest: Manifest) -> Iterator[str]:
    """Say what is wrong with an object by its kind's schema; unknown fields are."""
    schema = custom_schema(manifest)
    if schema is not None:
        for error in jsonschema.Draft202012Validator(schema).iter_errors(manifest):
            yield f"{error.json_path}: {error.message}"
        return
    for release in RELEASES:
        try:
            kubernetes_validate.validate(dict(manifest), release, strict=True)
        except kubernetes_validate.ValidationError as error:
            yield f"{error.json_path}: {error.message} (Kubernetes {release})"
        except kubernetes_validate.SchemaNotFoundError as error:
            yield f"{error.message}; a custom resource needs a file in {FOLDER.name}/"


def custom_schema(manifest: Manifest) -> Manifest | None:
    """Return the schema of a custom resource; None if there is none in our folder."""
    group, _, version = manifest["apiVersion"].rpartition("/")
    return _read(FOLDER / f"{manifest['kind']}.{version}.{group}.json")


@lru_cache
def _read(path: Path) -> Manifest | None:
    return dict(json.loads(path.read_text())) if path.is_file() else None
