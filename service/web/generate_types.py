"""Write src/schema.ts: the JSON shapes of `service.schemas` as TypeScript, so that the console cannot drift from them.

Run `.venv/bin/python service/web/generate_types.py` after a change of the schemas; a test compares the two.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
OUTPUT = HERE / "src" / "schema.ts"
#: What the console reads; what these refer to comes along by itself.
MODELS = ("Track", "Detection", "Sensor", "Zone", "Alert")
PLAN = ("Plan",)  # of service.plan
DRAFT = ("DraftVerdict",)  # of service.site_draft
SYSTEM = ("System",)  # of service.system
BASE_MAP = ("BaseMap",)  # of service.base_map
FORECAST = ("Forecast",)  # of service.forecast
FLIGHTS = ("FlightModel", "ReplayModel")  # of service.flights
HEADER = "// Written by generate_types.py from service/schemas.py. Do not edit.\n"

Schema = dict[str, Any]


def typescript(schema: Schema) -> str:
    """The TypeScript type of one JSON schema.

    Raises:
        ValueError: a construct that the service's schemas do not use so far.
    """
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema["enum"])
    if "anyOf" in schema:
        return " | ".join(dict.fromkeys(typescript(option) for option in schema["anyOf"]))
    return _of_kind(schema)


def _of_kind(schema: Schema) -> str:
    match schema.get("type"):
        case "string":
            return "string"
        case "number" | "integer":
            return "number"
        case "boolean":
            return "boolean"
        case "null":
            return "null"
        case "array":
            return _array(schema)
        case "object":
            return _mapping(schema)
    raise ValueError(f"no TypeScript for {json.dumps(schema)}")


def _array(schema: Schema) -> str:
    if "prefixItems" in schema:
        return f"readonly [{', '.join(map(typescript, schema['prefixItems']))}]"
    item = typescript(schema["items"])
    if schema.get("minItems") == schema.get("maxItems") is not None:
        return f"readonly [{', '.join([item] * schema['minItems'])}]"
    return f"readonly ({item})[]" if "|" in item or item.startswith("readonly") else f"readonly {item}[]"


def _mapping(schema: Schema) -> str:
    value = typescript(schema["additionalProperties"])
    names = schema.get("propertyNames")
    return f"Readonly<Partial<Record<{typescript(names) if names else 'string'}, {value}>>>"


def _fields(schema: Schema) -> list[str]:
    return [f"  readonly {name}: {typescript(field)};" for name, field in schema["properties"].items()]


def declaration(name: str, schema: Schema) -> str:
    """An exported interface, or a type for what is no object with named fields."""
    if "properties" not in schema:
        return f"export type {name} = {typescript(schema)};\n"
    return "\n".join([f"export interface {name} {{", *_fields(schema), "}", ""])


def generate() -> str:
    """The whole of schema.ts."""
    from pydantic.json_schema import models_json_schema

    from service import base_map, flights, forecast, plan, schemas, site_draft, system

    owners = (
        (schemas, MODELS),
        (plan, PLAN),
        (flights, FLIGHTS),
        (system, SYSTEM),
        (site_draft, DRAFT),
        (base_map, BASE_MAP),
        (forecast, FORECAST),
    )
    models = [getattr(owner, name) for owner, names in owners for name in names]
    _, definitions = models_json_schema([(model, "serialization") for model in models])
    found: Schema = definitions["$defs"]
    return HEADER + "\n" + "\n".join(declaration(name, found[name]) for name in sorted(found))


if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent.parent))
    OUTPUT.write_text(generate(), encoding="utf-8")
