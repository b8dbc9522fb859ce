"""What is wrong with an entry of a catalogue, in words for who wrote it: the field, what it may be, and what was likely meant. Pure."""

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from enum import Enum
from typing import Any, Final

import msgspec

# What fields with a pattern are, by their names.
_RULES: Final[Mapping[str, str]] = {
    "id": 'is a name such as "makers/model-7b": letters, digits, and . _ : / - after the first',
    "aliases": 'has names such as "makers/model-7b": letters, digits, and . _ : / - after the first',
    "category": 'is a word of small letters, digits and "-", as "chat"',
    "image": 'is an image, as "registry/name:tag" or "registry/name@sha256:DIGEST"',
    "cache_path": 'is "/inputs" or a folder below it: there a job finds its inputs',
    "health_path": 'is a path, as "/health"',
    "path": 'is a path below that folder, as "model.safetensors"',
    "sha256": "has 64 hexadecimal digits",
}
_PRICE: Final = 'is USDC in quotes, as "0.10"'
_PRICES: Final = re.compile(r"^(per_|(cached_)?(in|out)put_per_|.*usdc_per_hour$)")
_PLACE: Final = re.compile(r" - at `\$\.?([^`]*)`\Z")
_UNKNOWN: Final = re.compile(r"Object contains unknown field `([^`]*)`")
_NO_WORD: Final = re.compile(r"Invalid enum value (?:'([^']*)'|(\S+))")
_SHOWN_MAX: Final = 64


def said(error: msgspec.ValidationError, kind: type) -> str:
    """The mistake, with its field; the words of msgspec where there are no better ones.

    Args:
        kind: that the entry was read as.
    """
    text = str(error)
    found = _PLACE.search(text)
    place = found.group(1) if found else ""
    reason = text[: found.start()] if found else text
    name = re.sub(r"\[[^]]*\]", "", place.rpartition(".")[2])
    better = _better(reason, name, place, kind)
    if better is None:
        return f"{place}: {reason}" if place else reason
    return f"{place}: {better}" if place else better


def _better(reason: str, name: str, place: str, kind: type) -> str | None:
    if unknown := _UNKNOWN.match(reason):
        wrong, known = unknown.group(1), _fields(_at(kind, place))
        return f"there is no {wrong[:_SHOWN_MAX]!r}{_nearest(wrong, known)}"
    if no_word := _NO_WORD.match(reason):
        wrong = no_word.group(1) or no_word.group(2)
        words = _words(_at(kind, place))
        if words:
            listed = ", ".join(words)
            return f"{wrong[:_SHOWN_MAX]!r} is none of {listed}{_nearest(wrong, words)}"
    if _PRICES.match(name) and (reason.startswith("Expected `str") or "regex" in reason):
        return _PRICE
    if "regex" in reason:
        return _RULES.get(name)
    return None


def _nearest(wrong: str, known: list[str]) -> str:
    near = get_close_matches(wrong, known, n=1, cutoff=0.5)
    return f"; was {near[0]!r} meant?" if near else ""


def _at(kind: type, place: str) -> Any:
    """The type of what stands there, as msgspec knows it."""
    info: Any = msgspec.inspect.type_info(kind)
    for part in re.findall(r"[^.[\]]+|\[[^]]*\]", place):
        info = _inner(info, part)
    return info


def _inner(info: Any, part: str) -> Any:
    if isinstance(info, msgspec.inspect.UnionType):
        info = next((each for each in info.types if _has(each, part)), None)
    if isinstance(info, msgspec.inspect.StructType):
        return next((each.type for each in info.fields if each.encode_name == part), None)
    return getattr(info, "item_type", None)


def _has(info: Any, part: str) -> bool:
    return isinstance(info, msgspec.inspect.StructType) or (
        part.startswith("[") and hasattr(info, "item_type")
    )


def _first(info: Any, fits: Callable[[Any], bool]) -> Any:
    parts = info.types if isinstance(info, msgspec.inspect.UnionType) else (info,)
    return next((each for each in parts if fits(each)), None)


def _fields(info: Any) -> list[str]:
    found = _first(info, lambda each: isinstance(each, msgspec.inspect.StructType))
    return [each.encode_name for each in found.fields] if found is not None else []


def _words(info: Any) -> list[str]:
    literal = _first(info, lambda each: isinstance(each, msgspec.inspect.LiteralType))
    if literal is not None:
        return [str(each) for each in literal.values]
    enum = _first(info, lambda each: isinstance(each, msgspec.inspect.EnumType))
    members: list[Enum] = list(enum.cls) if enum is not None else []
    return [str(each.value) for each in members]
