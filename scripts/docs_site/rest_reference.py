"""A page for each group of the REST API, from the coordinator's own OpenAPI document."""

import asyncio
import json
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

_METHODS = ("get", "post", "put", "patch", "delete")
_EXAMPLE_CHARACTERS_MAX = 2500


def document() -> dict[str, Any]:
    """The OpenAPI document as a coordinator serves it."""
    # The tests' own world: an application with a database and no market.
    sys.path.insert(0, str(Path(__file__).parent.parent.parent / "tests"))
    from coordinator.api_world import open_world

    async def ask() -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as folder:
            async with open_world(Path(folder) / "world") as world:
                found: dict[str, Any] = world.app.openapi()
                return found

    return asyncio.run(ask())


def pages(found: dict[str, Any]) -> dict[str, str]:
    """Place on the site -> text: one for each tag, and an index."""
    tags = {tag["name"]: tag.get("description", "") for tag in found.get("tags", [])}
    by_tag: dict[str, list[tuple[str, str, dict[str, Any]]]] = defaultdict(list)
    for path, item in found["paths"].items():
        for method in _METHODS:
            if method in item:
                by_tag[(item[method].get("tags") or ["other"])[0]].append(
                    (method.upper(), path, item[method])
                )
    made: dict[str, str] = {}
    index = [
        (
            "# REST API\n\nMade from the coordinator's OpenAPI document, which it serves at `/openapi.json`;"
            " `/docs` is the same with a form to try it.\n\n| group | operations |\n|---|---|\n"
        )
    ]
    for tag in sorted(by_tag, key=str.lower):
        name = "".join(c if c.isalnum() else "-" for c in tag.lower()).strip("-")
        parts = [f"# REST: {tag}\n\n{tags.get(tag, '')}\n"]
        parts += [_operation(found, *operation) for operation in by_tag[tag]]
        made[f"reference/rest/{name}.md"] = "\n".join(parts)
        listed = "<br>".join(f"`{method} {path}`" for method, path, _ in by_tag[tag])
        index.append(f"| [{tag}]({name}.md) | {listed} |\n")
    made["reference/rest/index.md"] = "".join(index)
    return made


def _operation(found: dict[str, Any], method: str, path: str, operation: dict[str, Any]) -> str:
    parts = [f"\n## `{method} {path}`\n\n**{operation.get('summary', '')}**\n"]
    if text := operation.get("description"):
        parts.append(f"\n{text}\n")
    if parameters := operation.get("parameters"):
        parts.append("\n| parameter | in | type | |\n|---|---|---|---|\n")
        for given in parameters:
            one = _resolved(found, given)
            text = " ".join(one.get("description", "").split()).replace("|", "\\|")
            must = " (required)" if one.get("required") else ""
            parts.append(
                f"| `{one['name']}`{must} | {one['in']} | {_kind(one.get('schema', {}))} | {text} |\n"
            )
    body = operation.get("requestBody", {}).get("content", {})
    for kind, content in body.items():
        parts.append(f"\nBody, `{kind}`:\n")
        parts.append(_fields(found, content.get("schema", {})))
        parts.append(_example(content.get("example")))
    parts.append("\n| answer | |\n|---|---|\n")
    shown = ""
    for status, answer in sorted(operation.get("responses", {}).items()):
        one = _resolved(found, answer)
        text = " ".join(one.get("description", "").split()).replace("|", "\\|")
        parts.append(f"| {status} | {text} |\n")
        for content in one.get("content", {}).values():
            if not shown and status.startswith("2"):
                shown = _example(content.get("example"))
    return "".join(parts) + shown


def _resolved(found: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    place: Any = value
    for _ in range(8):
        if "$ref" not in place:
            break
        names = place["$ref"].removeprefix("#/").split("/")
        place = found
        for name in names:
            place = place[name]
    resolved: dict[str, Any] = place
    return resolved


def _kind(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[1]
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(dict.fromkeys(_kind(choice) for choice in choices))
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    kind = schema.get("type", "any")
    return f"list of {_kind(schema.get('items', {}))}" if kind == "array" else str(kind)


def _fields(found: dict[str, Any], schema: dict[str, Any]) -> str:
    schema = _resolved(found, schema)
    if "properties" not in schema:
        return ""
    rows = ["\n| field | type | |\n|---|---|---|\n"]
    for name, field in schema["properties"].items():
        must = " (required)" if name in schema.get("required", ()) else ""
        text = " ".join(field.get("description", "").split()).replace("|", "\\|")
        rows.append(f"| `{name}`{must} | {_kind(field)} | {text} |\n")
    return "".join(rows)


def _example(example: object) -> str:
    if example is None:
        return ""
    text = json.dumps(example, indent=2, ensure_ascii=False)
    if len(text) > _EXAMPLE_CHARACTERS_MAX:
        text = text[:_EXAMPLE_CHARACTERS_MAX] + "\n…"
        return f"\n```text\n{text}\n```\n"
    return f"\n```json\n{text}\n```\n"
