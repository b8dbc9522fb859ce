"""The JSON Schema of a catalogue's file, from the types that read it: editors complete and check by it. Pure."""

from typing import Any

import msgspec

from .model_catalogue import MODELS_MAX, Model

# Python's end of a text, which JSON Schema's patterns do not know; there "$" is just that.
_END_OF_TEXT = r"\Z"


def catalogue_schema() -> dict[str, Any]:
    """Of draft 2020-12. It knows each field and its bounds; what fields have to fit each other, the reader alone."""
    (model,), parts = msgspec.json.schema_components([Model], ref_template="#/$defs/{name}")
    whole = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A catalogue of models",
        "type": "object",
        "properties": {"model": {"type": "array", "items": model, "maxItems": MODELS_MAX}},
        "additionalProperties": False,
        "$defs": parts,
    }
    plain: dict[str, Any] = _plain(whole)
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: each.replace(_END_OF_TEXT, "$") if name == "pattern" else _plain(each)
            for name, each in value.items()
        }
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value
