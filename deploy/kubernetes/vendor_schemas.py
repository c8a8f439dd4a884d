"""`python -m deploy.kubernetes.vendor_schemas CRD.yaml…`: the schemas that custom resources are checked against.

A schema is what a CustomResourceDefinition says of its stored version, without descriptions and status. Every
object with known fields is closed: the API server drops an unknown field silently, and here it is found.
"""

import json
import sys
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped] # its stubs would be one more dependency

FOLDER = Path(__file__).parent / "schemas"

Schema = dict[str, Any]  # JSON Schema is open by nature


def main() -> None:
    for argument in sys.argv[1:]:
        definition = yaml.safe_load(Path(argument).read_text())
        group, kind = definition["spec"]["group"], definition["spec"]["names"]["kind"]
        version = next(one for one in definition["spec"]["versions"] if one["storage"])
        schema = close(version["schema"]["openAPIV3Schema"])
        schema["properties"].pop("status", None)
        schema["properties"]["metadata"] = {"type": "object"}
        path = FOLDER / f"{kind}.{version['name']}.{group}.json"
        path.write_text(json.dumps(schema, separators=(",", ":"), sort_keys=True) + "\n")
        print(path)


def close(schema: Schema) -> Schema:
    """Return the schema without descriptions, and with no room for fields that it does not name."""
    closed = {name: _close_part(name, part) for name, part in schema.items() if name != "description"}
    if "properties" in closed and not (
        closed.keys() & {"additionalProperties", "x-kubernetes-preserve-unknown-fields"}
    ):
        closed["additionalProperties"] = False
    return closed


def _close_part(name: str, part: Any) -> Any:
    match name, part:
        case "properties", dict():
            return {field: close(schema) for field, schema in part.items()}
        case (("items" | "additionalProperties"), dict()):
            return close(part)
    return part


if __name__ == "__main__":
    main()
