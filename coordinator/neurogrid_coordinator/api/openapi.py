"""The OpenAPI document: FastAPI's paths, with bodies and answers from our msgspec definitions."""

from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from .errors import CODES
from .native.schemas import ErrorAnswer

_TEMPLATE = "#/components/schemas/{name}"


class Schemas:
    """Collects the types that routes mention, and writes them into the document at the end."""

    def __init__(self) -> None:
        self._kinds: list[type] = [ErrorAnswer]

    def answer(self, kind: type, description: str) -> dict[str, Any]:
        """A success answer whose ``data`` is a ``kind``."""
        self._kinds.append(kind)
        schema = {
            "type": "object",
            "required": ["success", "data", "timestamp"],
            "properties": {
                "success": {"const": True},
                "data": {"$ref": _TEMPLATE.format(name=kind.__name__)},
                "message": {"type": "string"},
                "timestamp": {"type": "string", "format": "date-time"},
            },
        }
        return {"description": description, "content": {"application/json": {"schema": schema}}}

    def body(self, kind: type, example: object = None) -> dict[str, Any]:
        """For ``openapi_extra``: a JSON body that is a ``kind``."""
        self._kinds.append(kind)
        content: dict[str, Any] = {"schema": {"$ref": _TEMPLATE.format(name=kind.__name__)}}
        if example is not None:
            content["example"] = example
        return {"requestBody": {"required": True, "content": {"application/json": content}}}

    def install(self, app: FastAPI) -> None:
        """Make ``app`` answer with this document."""

        def document() -> dict[str, Any]:
            if app.openapi_schema is None:
                made = get_openapi(
                    title=app.title,
                    version=app.version,
                    description=app.description,
                    routes=app.routes,
                    tags=app.openapi_tags,
                )
                _, components = msgspec.json.schema_components(self._kinds, ref_template=_TEMPLATE)
                place = made.setdefault("components", {})
                place.setdefault("schemas", {}).update(_portable(components))
                place["securitySchemes"] = {
                    "api_key": {"type": "http", "scheme": "bearer", "bearerFormat": "ng_..."}
                }
                app.openapi_schema = made
            return app.openapi_schema

        app.openapi = document  # type: ignore[method-assign]  # FastAPI's documented way to do it


def errors(*codes: str) -> dict[int | str, dict[str, Any]]:
    """The error answers with these codes, by HTTP status."""
    by_status: dict[int, list[str]] = {}
    for code in codes:
        by_status.setdefault(CODES[code][0], []).append(code)
    schema = {"$ref": _TEMPLATE.format(name=ErrorAnswer.__name__)}
    return {
        status: {
            "description": " or ".join(f"`{code}`" for code in names),
            "content": {"application/json": {"schema": schema}},
        }
        for status, names in by_status.items()
    }


def _portable(schema: Any) -> Any:
    """Patterns as JSON Schema has them: ECMAScript knows no ``\\Z``."""
    if isinstance(schema, dict):
        return {
            name: value.replace(r"\Z", "$")
            if name == "pattern" and isinstance(value, str)
            else _portable(value)
            for name, value in schema.items()
        }
    if isinstance(schema, list):
        return [_portable(item) for item in schema]
    return schema
