"""Whether an example of an answer is one that its operation may give, by the OpenAPI document."""

import json
from collections.abc import Iterator
from typing import Any

import jsonschema_rs

_JSON = "application/json"
_HERE = "urn:api"
# Of the document that was asked about last: it is long.
_REGISTRIES: dict[int, jsonschema_rs.Registry] = {}


def misfits(document: dict[str, Any], operation: dict[str, Any], example: object) -> list[str]:
    """What is wrong with this example of what the operation answers when all is well."""
    wrong: list[str] = []
    for status, answer in operation["responses"].items():
        content = answer.get("content", {}).get(_JSON)
        if status.startswith("2") and content is not None:
            wrong += errors_of(document, content["schema"], example)
            wrong += unknown_fields(document, content["schema"], example)
    return wrong


def errors_of(document: dict[str, Any], schema: dict[str, Any], value: object) -> list[str]:
    """What JSON Schema says against a value."""
    text = json.dumps(schema).replace('"#/', f'"{_HERE}#/')
    checked = jsonschema_rs.Draft202012Validator(
        json.loads(text), validate_formats=True, registry=_registry(id(document), document)
    )
    return [error.message for error in checked.iter_errors(value)]


def _registry(key: int, document: dict[str, Any]) -> jsonschema_rs.Registry:
    if key not in _REGISTRIES:
        _REGISTRIES.clear()
        _REGISTRIES[key] = jsonschema_rs.Registry([(_HERE, document)])
    return _REGISTRIES[key]


def unknown_fields(document: dict[str, Any], schema: dict[str, Any], value: object) -> list[str]:
    """Fields of a value that its schema does not tell of: an answer of yesterday's may have them."""
    return list(_unknown(document, schema, value, "$"))


def _unknown(
    document: dict[str, Any], schema: dict[str, Any], value: object, place: str
) -> Iterator[str]:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        yield from _unknown(document, document["components"]["schemas"][name], value, place)
    elif "anyOf" in schema or "oneOf" in schema:
        options = schema.get("anyOf") or schema["oneOf"]
        found = [list(_unknown(document, option, value, place)) for option in options]
        yield from min(found, key=len)
    elif isinstance(value, dict) and "properties" in schema:
        for field, part in value.items():
            if field in schema["properties"]:
                within = schema["properties"][field]
                yield from _unknown(document, within, part, f"{place}.{field}")
            else:
                yield f"{place}.{field} is not in the document"
    elif isinstance(value, list) and "items" in schema:
        for part in value:
            yield from _unknown(document, schema["items"], part, f"{place}[]")
