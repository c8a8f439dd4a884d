"""Validation of manifests by their schemas, without a cluster."""

from collections.abc import Iterator

import kubernetes_validate  # type: ignore[import-not-found] # it is in the environment of these checks alone

from deploy.kubernetes.custom_resources import find_schema, schema_problems
from deploy.kubernetes.manifests import Manifest

# The oldest release that we support, and the newest that there is a schema for.
RELEASES = ("1.32", "1.37")


def problems(manifest: Manifest) -> Iterator[str]:
    """Yield what violates the schema of the object's kind. An unknown field does."""
    schema = find_schema(manifest)
    if schema is not None:
        yield from schema_problems(manifest, schema)
        return
    for release in RELEASES:
        try:
            kubernetes_validate.validate(dict(manifest), release, strict=True)
        except kubernetes_validate.ValidationError as error:
            yield f"{error.json_path}: {error.message} (Kubernetes {release})"
        except kubernetes_validate.SchemaNotFoundError as error:
            yield f"{error.message}; a custom resource needs a file in schemas/"
