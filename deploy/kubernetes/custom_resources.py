"""Validation of custom resources by the schemas in our folder."""

import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]

from deploy.kubernetes.manifests import Manifest

FOLDER = Path(__file__).parent / "schemas"


def find_schema(manifest: Manifest) -> Manifest | None:
    """Return the schema of a custom resource; None if there is none in our folder."""
    group, _, version = manifest["apiVersion"].rpartition("/")
    return _read(FOLDER / f"{manifest['kind']}.{version}.{group}.json")


def schema_problems(manifest: Manifest, schema: Manifest) -> Iterator[str]:
    """Yield what violates the schema. An unknown field does."""
    for error in jsonschema.Draft202012Validator(schema).iter_errors(manifest):
        yield f"{error.json_path}: {error.message}"


@lru_cache
def _read(path: Path) -> Manifest | None:
    return dict(json.loads(path.read_text())) if path.is_file() else None
