"""The OpenAPI document: FastAPI's paths, with bodies and answers from our msgspec definitions."""

from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from neurogrid_marketplace.request_signing import SIGNATURE_HEADER, TIMESTAMP_HEADER

from . import answer_examples, every_operation
from .error_answers import components, errors
from .idempotency import IDEMPOTENCY_KEY
from .native.schemas import ErrorAnswer
from .paths import API

__all__ = ["Schemas", "errors", "signed"]

# What `amounts.micro_usdc` takes.
_DECIMAL = r"^[0-9]{1,12}(\.[0-9]{1,6})?$"
_REPEATED = {"post", "patch"}
# Nothing is kept for who has not said who they are.
_OF_STRANGERS = ("/oauth/", f"{API}/auth/")
_WHOLE_MAX = 10**12 - 1
_TEMPLATE = "#/components/schemas/{name}"


class Schemas:
    """Collects the types that routes mention, and writes them into the document at the end."""

    def __init__(self) -> None:
        self._kinds: list[type] = [ErrorAnswer]
        self._sent: list[type] = []

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

    def bare(self, kind: type, description: str, example: object = None) -> dict[str, Any]:
        """An answer that is a ``kind`` without anything around it."""
        return {
            "description": description,
            "content": {"application/json": self._of(example, kind)},
        }

    def body(self, kind: type, example: object = None, *others: type) -> dict[str, Any]:
        """For ``openapi_extra``: a JSON body that is a ``kind``, or one of the others."""
        content = self._of(example, kind, *others)
        self._sent += [kind, *others]
        return {"requestBody": {"required": True, "content": {"application/json": content}}}

    def _of(self, example: object, *kinds: type) -> dict[str, Any]:
        self._kinds += kinds
        references = [{"$ref": _TEMPLATE.format(name=kind.__name__)} for kind in kinds]
        content: dict[str, Any] = {
            "schema": references[0] if len(references) == 1 else {"oneOf": references}
        }
        if example is not None:
            content["example"] = example
        return content

    def _take_numbers(self, schemas: dict[str, Any]) -> None:
        """Say of amounts in bodies that they may be whole numbers, too, as document 002 sends them; answers have text."""
        _, sent = msgspec.json.schema_components(self._sent, ref_template=_TEMPLATE)
        for name in sent:
            _widen(schemas[name])

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
                _leave_out_null(made)
                _name_idempotency_key(made)
                _, schemas = msgspec.json.schema_components(self._kinds, ref_template=_TEMPLATE)
                place = made.setdefault("components", {})
                place.setdefault("schemas", {}).update(_portable(schemas))
                self._take_numbers(place["schemas"])
                place["examples"] = components()
                every_operation.complete(made)
                answer_examples.show(made)
                app.openapi_schema = made
            return app.openapi_schema

        app.openapi = document  # type: ignore[method-assign]  # FastAPI's documented way to do it


def signed(operation: dict[str, Any]) -> dict[str, Any]:
    """The same ``openapi_extra``, with the headers of what the wallet has to sign."""
    headers = [
        {
            "name": SIGNATURE_HEADER,
            "in": "header",
            "description": "Base64 of the wallet's Ed25519 signature (docs/authentication.md).",
            "schema": {"type": "string", "maxLength": 100},
        },
        {
            "name": TIMESTAMP_HEADER,
            "in": "header",
            "description": "When it was signed: Unix seconds.",
            "schema": {"type": "string", "pattern": "^[0-9]{1,12}$"},
        },
    ]
    return {**operation, "parameters": [*operation.get("parameters", []), *headers]}


def _widen(schema: Any) -> None:
    if isinstance(schema, dict):
        if schema.get("type") == "string" and schema.get("format") == "decimal":
            schema |= {"type": ["string", "integer"], "minimum": 0, "maximum": _WHOLE_MAX}
        for part in schema.values():
            _widen(part)
    elif isinstance(schema, list):
        for part in schema:
            _widen(part)


def _leave_out_null(document: dict[str, Any]) -> None:
    """A parameter of a query or a header that is left out is no null: there is no way to send one."""
    for operations in document["paths"].values():
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                schema = parameter.get("schema", {})
                kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
                if len(kinds) == 1:
                    del schema["anyOf"]
                    schema.update(kinds[0])
                elif kinds:
                    schema["anyOf"] = kinds


def _name_idempotency_key(document: dict[str, Any]) -> None:
    """`repeating` takes the key of every POST and PATCH that asks who its caller is, and may refuse it."""
    for path, operations in document["paths"].items():
        for method in _REPEATED & operations.keys():
            operation = operations[method]
            named = operation.setdefault("parameters", [])
            if path.startswith(_OF_STRANGERS) or IDEMPOTENCY_KEY["name"] in (
                each["name"] for each in named
            ):
                continue
            named.append(IDEMPOTENCY_KEY)
            answers = operation["responses"]
            refusals = [answer for status, answer in answers.items() if str(status)[0] == "4"]
            if refusals and "409" not in answers:
                answers["409"] = {
                    "description": "`IDEMPOTENCY_MISMATCH` or `CONFLICT`",
                    "content": refusals[0]["content"],
                }


def _portable(schema: Any) -> Any:
    """Patterns as JSON Schema has them (ECMAScript knows no ``\\Z``), and one for decimals in strings."""
    if isinstance(schema, dict):
        if schema.get("format") == "decimal":
            schema = {"pattern": _DECIMAL, **schema}
        return {
            name: value.replace(r"\Z", "$")
            if name == "pattern" and isinstance(value, str)
            else _portable(value)
            for name, value in schema.items()
        }
    if isinstance(schema, list):
        return [_portable(item) for item in schema]
    return schema
